"""The parts of the legibility measurement that need neither a model nor a recogniser."""

import io
import string

import glyphs
import legibility
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from legibility import Reading, choose_lines, compare, contact_sheet, edit_distance, error_rate, interval, render
from PIL import Image

from graves_nb.ink import Ink
from graves_nb.sampling import Job, Sample, Trace

WORDS = st.text("abc", max_size=6)


def wave(text="a wave", points=60, scale=1.0, shift=0.0, writer=""):
    "One stroke, some twelve units wide and two high."
    t = np.linspace(0, 4 * np.pi, points)
    return Ink.from_strokes([np.column_stack([t, np.sin(t)]) * scale + shift], text=text, writer=writer)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("abc", "abc", 0), ("ab", "ba", 2)],
)
def test_edit_distance_by_hand(a, b, distance):
    assert edit_distance(a, b) == distance


@settings(deadline=None)
@given(WORDS, WORDS, WORDS)
def test_edit_distance_is_a_distance(a, b, c):
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))


def test_error_rate_by_hand():
    readings = [compare("The cat", "the c at"), compare("A dog", "dig"), compare("ox", "")]
    assert [r.edits for r in readings] == [0, 2, 2]
    assert error_rate(readings) == pytest.approx(4 / 12)


def test_error_rate_may_exceed_one():
    assert error_rate([compare("a", "bcd")]) == 3


def test_interval_holds_the_rate():
    readings = [compare("abcd", "abcd")] * 10 + [compare("abcd", "")] * 10
    low, high = interval(readings)
    assert 0.2 < low < error_rate(readings) == 0.5 < high < 0.8
    assert interval(readings) == (low, high)
    assert interval([Reading("abcd", "abc", 1)] * 3) == (0.25, 0.25)


def test_sentences():
    sentences = legibility.read_sentences(100)
    assert len(set(map(legibility.letters, sentences))) == 100
    assert all(legibility.SHORTEST <= len(s) <= legibility.LONGEST for s in sentences)
    characters = "".join(sentences)
    assert set(characters) <= set(string.ascii_letters + string.digits + " ,.!?'")
    assert set(string.ascii_lowercase) <= set(characters)
    assert all(s == " ".join(s.split()) and s[0].isupper() for s in sentences)
    assert sum(c.isdigit() for c in characters) < 10


@pytest.mark.parametrize("count", [0, -1, 101])
def test_sentences_out_of_range(count):
    with pytest.raises(SystemExit, match=f"1 to 100, not {count}"):
        legibility.read_sentences(count)


def test_render_size_and_colours():
    image = Image.open(io.BytesIO(render(wave())))
    grey = np.asarray(image.convert("L"))
    assert image.format == "PNG" and image.height == legibility.HEIGHT
    assert image.width > 2 * image.height
    assert grey[[0, -1]].min() == grey[:, [0, -1]].min() == 255
    assert grey.min() < 60 and 0.02 < (grey < 128).mean() < 0.5


@pytest.mark.parametrize(("scale", "shift"), [(0.01, 0.0), (1.0, -300.0), (40.0, 7.0)])
def test_render_ignores_units(scale, shift):
    pictures = [
        np.asarray(Image.open(io.BytesIO(render(ink))).convert("L"), dtype=float)
        for ink in (wave(), wave(scale=scale, shift=shift))
    ]
    assert pictures[0].shape == pictures[1].shape
    assert np.abs(pictures[0] - pictures[1]).mean() < 1


def test_render_a_single_point():
    assert Image.open(io.BytesIO(render(Ink.from_strokes([[(3, 4)]], text="a")))).height == legibility.HEIGHT


def test_choose_lines_prefers_the_length_of_sentences():
    inks = [wave("x" * n, writer=f"w{n % 7}") for n in range(5, 60)] + [wave("y" * 20, points=701)]
    chosen = choose_lines(inks, 23)
    assert sorted(len(ink.text) for ink in chosen[:21]) == list(range(15, 36))
    assert sorted(len(ink.text) for ink in chosen[21:]) == [14, 36]
    assert all(len(ink) <= legibility.MOST_POINTS for ink in chosen)
    assert choose_lines(reversed(inks), 23) == chosen
    assert len(choose_lines(inks, 1000)) == 55


def test_contact_sheet():
    inks = [wave()] * 7
    sheet = contact_sheet(inks, [compare(ink.text, "a 波 wave") for ink in inks], columns=5, cell=(200, 100))
    assert sheet.size == (1000, 200)
    assert np.asarray(sheet)[100:, 400:].min() == 255


def test_readings_by_a_recogniser_that_knows_one_word():
    readings = legibility.read_all([wave("Wave"), wave("cave")], lambda png: "wave", "test")
    assert [r.edits for r in readings] == [0, 1]
    result = legibility.summary(readings)
    assert (result["lines"], result["characters"], result["read_without_error"]) == (2, 8, 1)
    assert result["error_rate"] == 0.125


@pytest.mark.parametrize(
    "arguments", [["--lines", "-1"], ["--lines-only", "--lines", "0"], ["--lines", "5"], ["--lines-only"]]
)
def test_options_that_make_no_sense(arguments, capsys):
    with pytest.raises(SystemExit):
        legibility.parse(arguments)
    assert "--lines" in capsys.readouterr().err


# ---------------------------------------------------------------- single characters


def bar(x, low, high, points=9):
    "A vertical stroke, y down."
    return np.linspace((x, -high), (x, -low), points).astype(np.float32)


def test_a_picture_of_a_character_is_centred_and_as_large_as_it_may_be():
    large, small = (glyphs.picture_of([bar(x, 0, high)]) for x, high in ((3, 1.4), (0, 0.7)))
    assert np.array_equal(large, small) and large.shape == (glyphs.SIDE, glyphs.SIDE)
    assert large.sum(0).argmax() in (15, 16) and abs(large[:16].sum() - large[16:].sum()) < 3
    assert glyphs.sizes_of([bar(3, 0, 1.4)])[1] > glyphs.sizes_of([bar(0, 0, 0.7)])[1]
    dot = glyphs.picture_of([np.float32([[5, 5]])])
    assert 0 < dot.sum() < large.sum() / 2


def test_a_line_is_cut_where_the_window_looked():
    strokes = [
        bar(0, 0, 1),
        bar(1, 0, 1),
        np.float32([[0.0, -1.2], [0.0, -1.25]]),
    ]  # two letters, and a dot on the first
    joined = np.concatenate([bar(2, 0, 1), bar(3, 0, 1)])
    places = [*[0] * 9, *[1] * 9, 1, 1, *[2] * 9, *[3] * 9]
    for late in (False, True):  # the window moves on before the dot, or in it
        order = [strokes[0], strokes[2], strokes[1], joined] if late else [*strokes, joined]
        own = [*[0] * 9, 0, 1, *[1] * 9, *places[20:]] if late else places
        looked = torch.nn.functional.one_hot(torch.tensor(own[1:]), 4).float()
        ink = Ink.from_strokes(order, "iljk")
        sample = Sample(ink, True, Trace(None, None, looked), job=Job("iljk"))
        pieces = glyphs.cut(sample)
        assert [len(p) for p in pieces] == ([2, 1, 1, 1] if late else [1, 2, 1, 1])
        assert sum(len(s) for p in pieces for s in p) == len(ink) + 1  # the joint belongs to both letters


def test_shapes_that_are_alike_differ_by_their_place():
    assert glyphs.alike("C") == "cC" and glyphs.alike("@") == "@"
    quote, comma = [bar(0, 1.0, 1.4)], [bar(0, -0.45, 0.15)]
    assert glyphs.stands("'", quote, 0.0) and not glyphs.stands(",", quote, 0.0)
    assert glyphs.stands(",", comma, 0.0) and not glyphs.stands("'", comma, 0.0)


def test_the_judge_learns_shapes():
    rng = np.random.default_rng(0)

    def glyph(c):
        tilt = rng.normal(0, 0.1)
        shape = [bar(tilt, 0, 1.2)] if c == "l" else [bar(0, 0, 0.7), bar(0.5, 0, 0.7)[::-1] + np.float32([tilt, 0])]
        return Ink.from_strokes(shape, c)

    judge = glyphs.train([glyph(c) for c in "ln" * 128], epochs=8)
    unseen = [glyph(c) for c in "lnnl"]
    assert glyphs.names_of(judge, [g.strokes for g in unseen]) == list("lnnl") and glyphs.names_of(judge, []) == []


def test_a_share_is_a_mean_over_characters():
    shares = glyphs.shares_of([("a", True), ("a", False), ("b", True), ("7", False)])
    assert shares["each"] == {"7": 0.0, "a": 0.5, "b": 1.0} and shares["groups"] == {"digits": 0.0, "letters": 0.75}
