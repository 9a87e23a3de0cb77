"""Features of hands, the nearest writer, and how styles are chosen."""

import math
from dataclasses import replace

import choose_hands
import numpy as np
import pytest
import torch
from choose_hands import KINDS, Trial, candidates_of, save, sheet, standardised, well_formed
from hypothesis import given, settings
from hypothesis import strategies as st
from legibility import compare

from graves_nb.alphabet import ASCII
from graves_nb.ink import Ink, OffsetScaler
from graves_nb.model import InkModel
from graves_nb.pretrained import list_hands, load_hand
from graves_nb.sampling import Sample, Trace
from graves_nb.style import (
    HAND_FEATURES,
    SIZE_FEATURES,
    NearestWriter,
    hand_features,
    pen_steps,
    slant_of,
    turning_of,
)
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork

NAMES = list(HAND_FEATURES)


def features(ink):
    return dict(zip(NAMES, hand_features(ink), strict=True))


def scribble(seed=0, text="ab cd", writer="", lean=0.0):
    "Strokes at random, one for each letter, leaning to the right."
    rng, strokes = np.random.default_rng(seed), []
    for i, c in enumerate(text):
        if c != " ":
            x, y = rng.normal(size=(2, 12)).cumsum(1) * 0.2
            strokes.append(np.column_stack([i + x - lean * y, y]))
    return Ink.from_strokes(strokes, text=text, writer=writer)


def test_a_line_of_two_letters_by_hand():
    ink = Ink.from_strokes([[(0, 0), (0, 2), (2, 2)], [(3, 0), (2, 2)]], text="an")
    found = features(ink)
    assert found["slant"] == pytest.approx(math.degrees(math.atan(1 / 4)))  # down by 4, of which one to the left
    assert found["width"] == pytest.approx(1.5)
    assert found["proportion"] == pytest.approx(found["height"] / 1.5)
    assert found["strokes"] == 1
    assert found["path"] == pytest.approx((4 + math.sqrt(5)) / 2 / 1.5)
    assert found["air"] == pytest.approx(math.sqrt(5) / (4 + 2 * math.sqrt(5)))
    assert found["points"] == 2.5
    assert found["rhythm"] == pytest.approx(np.std([2, 2, 5**0.5]) / np.mean([2, 2, 5**0.5]))
    assert found["turning"] == pytest.approx(90)
    assert found["back"] == pytest.approx(1 / 7)


def test_a_line_that_rises():
    x = np.linspace(0, 10, 30)
    ink = Ink.from_strokes([np.column_stack([x, -0.1 * x])], text="rise")
    assert features(ink)["slope"] == pytest.approx(math.degrees(math.atan(0.1)), rel=1e-3)
    assert features(ink)["height"] == pytest.approx(0, abs=1e-4)  # about the line


@pytest.mark.parametrize("degrees", [-30, -5, 0, 12, 40])
def test_slant_of_parallel_strokes_and_their_way_back_up(degrees):
    down = np.array([[-math.tan(math.radians(degrees)), 1.0]]) * 0.7
    flat, up = np.array([[5.0, 0.5]]), np.array([[9.0, -1.0]])
    assert slant_of(np.concatenate([down, up, flat, down])) == pytest.approx(degrees)
    assert slant_of(np.concatenate([up, flat])) == 0


def test_turning_of_a_circle_is_even_and_ignores_rest():
    angle = np.linspace(0, 2 * np.pi, 37)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    assert turning_of([circle]) == pytest.approx(10)
    assert turning_of([circle[::-1].repeat(2, axis=0)]) == pytest.approx(10)
    assert turning_of([circle[:2], circle[5:6]]) == 0


def test_steps_on_paper_and_in_the_air():
    paper, air = pen_steps(Ink.from_strokes([[(0, 0)], [(1, 1), (1, 3)], [(4, 3)]]))
    assert paper.tolist() == [[0, 2]] and air.tolist() == [[1, 1], [3, 0]]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(0.1, 50), dx=st.floats(-20, 20), dy=st.floats(-20, 20))
def test_place_changes_nothing_and_size_only_what_is_size(seed, scale, dx, dy):
    ink = scribble(seed)
    moved = replace(ink, strokes=tuple(s + np.float32((dx, dy)) for s in ink.strokes))
    scaled = replace(ink, strokes=tuple(s * np.float32(scale) for s in ink.strokes))
    before, after = features(ink), features(scaled)
    np.testing.assert_allclose(hand_features(moved), list(before.values()), rtol=1e-2, atol=1e-2)
    for name in NAMES:
        assert after[name] == pytest.approx(before[name] * (scale if name in SIZE_FEATURES else 1), rel=1e-3, abs=1e-4)


def test_ink_without_text_or_movement_has_no_style():
    for ink in (scribble(text="ab"), Ink.from_strokes([[(1, 1), (1, 1)]], text="a")):
        with pytest.raises(ValueError, match="with its text, got"):
            hand_features(replace(ink, text=" " if len(ink) > 2 else "a"))


def test_the_nearest_writer_by_hand():
    train = [scribble(seed, writer=writer, lean=lean) for writer, lean in (("b", 0.0), ("a", 0.8)) for seed in range(6)]
    nearest = NearestWriter.fit(train)
    rows = np.array([hand_features(ink) for ink in train])
    means = np.array([rows[6:].mean(0), rows[:6].mean(0)])
    scale = np.concatenate([rows[6:] - means[0], rows[:6] - means[1]]).std(0)
    scale[scale == 0] = 1
    scale[[NAMES.index(name) for name in SIZE_FEATURES]] = np.inf  # size is not asked about
    assert nearest.writers == ("a", "b")
    np.testing.assert_allclose(nearest.means, means)
    probe = scribble(77, lean=0.8)
    expected = np.sqrt((((hand_features(probe) - means) / scale) ** 2).sum(1))
    np.testing.assert_allclose(nearest.distances(probe), expected, rtol=1e-6)
    asked = [scribble(seed, writer=w, lean=lean) for w, lean in (("b", 0.0), ("a", 0.8)) for seed in range(20, 40)]
    assert sum(nearest.predict(ink) == ink.writer for ink in asked) >= 30


def test_one_line_of_each_writer_is_enough_but_one_writer_is_not():
    nearest = NearestWriter.fit([scribble(1, writer="a"), scribble(2, writer="b")])
    assert nearest.predict(scribble(1)) == "a" and nearest.predict(scribble(2)) == "b"
    with pytest.raises(ValueError, match="two writers or more, got \\['a'\\]"):
        NearestWriter.fit([scribble(1, writer="a"), scribble(2, writer="a")])


def test_candidates_of_a_kind_by_hand():
    rows = np.zeros((5, len(NAMES) - len(SIZE_FEATURES)))
    rows[:, 0] = [0, 2, -3, 4, 1]  # the slant
    assert list(candidates_of(rows, {"slant": 1}, [])) == [3, 1, 4, 0, 2]
    assert list(candidates_of(rows, {"slant": -1}, [])) == [2, 0, 4, 1, 3]
    assert list(candidates_of(rows, {}, [])) == [0, 4, 1, 2, 3], "the nearest to the mean first"
    assert list(candidates_of(rows, {"slant": 1}, [1])) == [3, 0, 2], "4 is less than 1.5 from the one that is taken"
    rows[3, 2] = 9  # far along, and farther beside
    assert next(candidates_of(rows, {"slant": 1}, [])) == 1


def sample_of(counts, text="ab c", stopped=True):
    "A line whose window looks at each character that many times."
    phi = torch.eye(len(text))[torch.tensor([i for i, n in enumerate(counts) for _ in range(n)])]
    t = np.linspace(0, 3.4 * 2 * np.pi, 72)
    ink = Ink.from_strokes([np.column_stack([t / (2 * np.pi), np.sin(t) * 0.6])], text=text)
    return Sample(ink, stopped, Trace(phi, None, phi))


def test_what_is_well_formed():
    model = InkModel(SynthesisNetwork(SynthesisConfig(len(ASCII), 4)), ASCII, OffsetScaler())
    assert well_formed(model, sample_of([20, 20, 0, 20]))
    assert not well_formed(model, sample_of([20, 1, 0, 20])), "a letter that was skipped"
    assert not well_formed(model, sample_of([20, 20, 0, 20], stopped=False))
    fine = sample_of([20, 20, 0, 20])
    wide = fine._replace(ink=replace(fine.ink, strokes=tuple(s * np.float32(6) for s in fine.ink.strokes)))
    assert not well_formed(model, wide), "six times too large"


def test_standardised_features_leave_out_size():
    rows = standardised([scribble(seed) for seed in range(5)])
    assert rows.shape == (5, len(NAMES) - len(SIZE_FEATURES))
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-9)
    assert set(np.round(rows.std(0), 6)) <= {0.0, 1.0}


def test_saved_styles_are_named_in_order_and_replace_older_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("graves_nb.pretrained.HANDS", tmp_path)
    save({str(seed): scribble(seed) for seed in range(3)}, tmp_path)
    paths = save({"plain": scribble(7), "joined-wide": scribble(8, text="ef")}, tmp_path)
    assert [path.name for path in paths] == ["01-plain.inkml", "02-joined-wide.inkml"]
    assert list_hands() == ["plain", "joined-wide"]
    style = load_hand(2)
    assert (style.text, style.writer) == ("ef", "02-joined-wide")
    np.testing.assert_allclose(style.points, scribble(8, text="ef").points, atol=6e-4)


def test_a_sheet_has_a_row_for_each_style():
    page = sheet([[scribble(1), scribble(2, text="abcdef")], [scribble(3), scribble(4)]], height=40)
    assert page.height == 80 and np.asarray(page)[40:].min() < 128


def test_choosing_prefers_what_is_read_and_what_stays_joined(monkeypatch):
    inks = [scribble(seed) for seed in range(12)]
    joined, troubled = {kind for kind in KINDS if kind.startswith("joined")}, 0.0

    def pretend(model, ink, read):
        k = next(i for i, other in enumerate(inks) if other is ink)
        return Trial([sample_of([20, 20, 0, 20])._replace(ink=scribble(k))], errors=0.1 + 0.01 * k, troubled=troubled)

    monkeypatch.setattr(choose_hands, "trial", pretend)
    monkeypatch.setattr(choose_hands, "well_formed", lambda model, sample: True)
    monkeypatch.setattr(choose_hands, "APART", 0.0)
    chosen = choose_hands.choose(None, inks, [0.0] * len(inks), None)
    assert list(chosen) == list(KINDS)
    for kind, (_, tried) in chosen.items():
        tries = list(candidates_of(standardised(inks), KINDS[kind], []))[: choose_hands.TRIES]
        costs = [choose_hands.cost(kind, pretend(None, inks[i], None)) for i in tries]
        assert choose_hands.cost(kind, tried) == min(costs)
        assert (choose_hands.cost(kind, tried) > tried.errors) == (kind in joined)
    monkeypatch.setattr(choose_hands, "well_formed", lambda model, sample: False)
    assert set(choose_hands.choose(None, inks, [0.0] * len(inks), None)) == joined  # a few of their lines may go wrong,
    troubled = 0.2  # but not a fifth
    assert choose_hands.choose(None, inks, [0.0] * len(inks), None) == {}
    assert list(choose_hands.choose(None, inks, [0.0] * len(inks), None, ["plain"])) == []


def test_candidates_are_the_lines_of_their_seeds(capsys, monkeypatch):
    torch.manual_seed(0)
    model = InkModel(SynthesisNetwork(SynthesisConfig(len(ASCII), 8, 1, points_per_char=4.0)), ASCII, OffsetScaler())
    monkeypatch.setattr(choose_hands, "well_formed", lambda model, sample: len(sample.ink) > 5)
    monkeypatch.setattr(choose_hands, "JOINED_ERRORS", 0.5)
    read = {True: choose_hands.SENTENCE, False: "nothing like it"}
    turns = iter([True, True, False, True, True, True] * 2)
    monkeypatch.setattr(
        choose_hands, "read_all", lambda inks, read, name: [compare(i.text, read[next(turns)]) for i in inks]
    )
    runs = [choose_hands.write_candidates(model, 6, 1.0, 3, read) for _ in range(2)]
    assert "6 of 6 lines are well formed, 5 of them legible" in capsys.readouterr().out
    assert all(errors == [0.0] * 5 for _, errors in runs)
    runs = [inks for inks, _ in runs]
    assert runs[0] and [ink.writer for ink in runs[0]] == [ink.writer for ink in runs[1]]
    assert all(np.array_equal(a.points, b.points) for a, b in zip(*runs, strict=True))
    assert all(ink.text == choose_hands.SENTENCE and 3 <= int(ink.writer) < 9 for ink in runs[0])
