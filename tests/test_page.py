"""Pages: how a text is broken, and that one hand writes it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graves_nb.hands import weigh, width_of
from graves_nb.ink import Ink
from graves_nb.page import break_lines, choose_hand, places_in_prime, stack_lines, write_page
from graves_nb.pretrained import load_model
from graves_nb.sampling import write


@given(st.text(alphabet="ab \t\n\r-", max_size=60), st.integers(1, 12))
def test_lines_hold_all_that_is_not_blank_and_are_no_longer_than_asked(text, width):
    lines = break_lines(text, width)
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    assert all(len(line) <= width and line == line.strip() for line in lines)
    assert lines == [""] or lines[0] and lines[-1]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 9, [""]),
        ("  \n\t\n", 9, [""]),
        ("\ta\t b \r\n\r\n c\n", 9, ["a b", "", "c"]),
        ("extraordinary", 5, ["extra", "ordin", "ary"]),
        ("to be", 1, ["t", "o", "b", "e"]),
        ("so by-pass", 8, ["so", "by-pass"]),
    ],
)
def test_blanks_and_long_words(text, width, lines):
    assert break_lines(text, width) == lines


def test_without_a_prime_a_seed_is_a_hand(monkeypatch):
    import graves_nb.page as page

    calls, write = [], page.write
    monkeypatch.setattr(page, "write", lambda *args, **how: calls.append((*args, how)) or write(*args, **how))
    model, text = load_model(), "one hand\nfor all\nof it"
    first = write_page(model, text, bias=1, seed=3)
    (hand_call, lines_call) = calls
    assert hand_call[1:] == ("one hand for all of it", 1, 3, dict(joined=None))
    assert lines_call[1] == ["one hand", "for all", "of it"] and lines_call[4].text == "one hand for all of it"
    again, given = write_page(model, text, bias=1, seed=3), choose_hand(model, text, 1, 3)
    primed = write_page(model, text, bias=1, seed=3, prime=given)
    for other in (again, primed):
        for a, b in zip(first.strokes, other.strokes, strict=True):
            np.testing.assert_array_equal(a, b)
    other = write_page(model, text, bias=1, seed=4)
    assert [len(s) for s in other.strokes] != [len(s) for s in first.strokes]


def test_a_single_line_needs_no_hand_and_a_narrow_page_is_written():
    model = load_model()
    assert write_page(model, "A").text == "A"
    assert write_page(model, " so\n", width=1).text == "s\no"
    with pytest.raises(ValueError, match="nothing to write"):
        write_page(model, "\n \t")


def test_one_line_that_climbs_does_not_push_the_others_apart():
    flat = write_page(load_model(), "flat")
    tall = type(flat).from_strokes([[(0, 0), (0, 100 * np.ptp(flat.points[:, 1]))]], text="l")
    page = stack_lines([flat, flat, flat, tall])
    tops = [s[:, 1].min() for s in page.strokes[:: len(flat.strokes)]]
    assert tops[1] - tops[0] == pytest.approx(1.3 * np.ptp(flat.points[:, 1]), rel=0.01)


def line_of(text, top, foot):
    "Teeth between two heights, y down, a tooth for each character, as wide as the text."
    steps = np.linspace(0, weigh(text, width_of), 2 * len(text))
    return Ink.from_strokes([[(x, top if i % 2 else foot) for i, x in enumerate(steps)]], text=text)


def test_lines_do_not_overlap_where_most_of_them_are_low():
    low, tall = line_of("we are", -0.7, 0), line_of("big day", -1.4, 0.85)
    page = stack_lines([low, low, low, tall, low])
    spans = [(stroke[:, 1].min(), stroke[:, 1].max()) for stroke in page.strokes]
    assert all(lower[0] > upper[1] for upper, lower in zip(spans, spans[1:], strict=False))


def test_dots_are_low_and_quotes_are_high_on_their_lines():
    letters, dots, quotes = line_of("aces", -0.7, 0), line_of("...", -0.08, 0), line_of("''", -1.4, -1)
    page = stack_lines([letters, dots, letters, quotes], spacing=10)
    feet = [stroke[:, 1].max() - 10 * row for row, stroke in enumerate(page.strokes)]
    assert feet[1] == pytest.approx(feet[0], abs=0.1) and feet[3] == pytest.approx(feet[0] - 1, abs=0.2)


def test_a_text_is_folded_before_it_is_broken():
    dots = "well\u2026 " * 8  # each of them is written as three characters
    page = write_page(load_model(), f"\u200b\n{dots}\n\u200b\nno", width=20, hand=1)
    assert (
        all(len(line) <= 20 for line in page.text.split("\n"))
        and page.text.startswith("well... well...\n")
        and page.text.endswith("\n\nno")
    )
    with pytest.raises(ValueError, match="line 2, column 1"):
        write_page(load_model(), "hi\n\u03bb")


def test_an_empty_line_takes_no_seed(monkeypatch):
    import graves_nb.page as page

    seeds, write = [], page.write
    monkeypatch.setattr(
        page,
        "write",
        lambda m, lines, bias, seed, *args, **how: (
            seeds.append((lines, seed)) or write(m, lines, bias, seed, *args, **how)
        ),
    )
    write_page(load_model(), "a\n\nb", hand=1, seed=5)
    assert seeds == [(["a", "b"], 5)]


def test_a_hand_is_one_whose_ink_says_its_text(monkeypatch):
    "Else each line that it primes would begin with the rest of its text."
    import graves_nb.page as page

    model, text = load_model(), "always this hand"
    good = write(model, text, 1.5, hand="plain")
    half = replace(good, strokes=good.strokes[: len(good.strokes) // 2])
    assert places_in_prime(model, good)[-1] >= len(text) - 2 > len(text) // 2 > places_in_prime(model, half)[-1]
    drawn, seeds = [half, half, good], []
    monkeypatch.setattr(
        page, "write", lambda model, line, bias, seed, **how: seeds.append(seed) or drawn[len(seeds) - 1]
    )
    assert choose_hand(model, text, 1, 7) is good
    assert seeds[0] == 7 and len(set(seeds)) == 3
    drawn, seeds[:] = [half] * 9, []
    assert choose_hand(model, text, 1, 7) is half and len(seeds) == page.TRIES
