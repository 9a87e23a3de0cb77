"""Letters: all that is said is on the paper, within its margins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb.hands import weigh, width_of
from graves_nb.ink import Ink
from graves_nb.letter import Row, Sheet, lay_out, letter_rows, write_letter
from graves_nb.pictures import PAPERS, pages_pdf_of, svg_of
from graves_nb.pretrained import load_model

NARROW = Sheet((60, 60), (10, 10, 10, 10), height=6, jitter=0)


@settings(deadline=None, max_examples=50)
@given(st.text("ab im\n-W", max_size=80), st.floats(0.6, 1.6), st.floats(0, 100))
def test_rows_hold_all_that_is_not_blank_and_are_no_wider_than_the_paper(text, pace, indent):
    sheet = Sheet((60, 60), (10, 10, 10, 10), height=6, indent=indent)
    rows = letter_rows(text, sheet, pace)
    assert "".join(row.text for row in rows).replace(" ", "") == "".join(text.split())
    for row in rows:
        assert len(row.text) == 1 or weigh(row.text, width_of) * sheet.letter * pace <= sheet.room


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.text("abm", min_size=1, max_size=30)), min_size=1, max_size=6),
    st.integers(0, 9),
    st.floats(0, 1),
)
def test_blanks_before_a_line_set_it_in_and_a_common_margin_does_not(lines, margin, jitter):
    sheet = Sheet((90, 300), (10, 10, 10, 10), height=6, jitter=jitter, indent=9)
    rows = letter_rows("\n" + "\n".join(" " * (margin + n) + text for n, text in lines) + "\n ", sheet)
    assert "".join(row.text for row in rows) == "".join(text for _, text in lines)
    least = min(n for n, _ in lines)
    firsts = [row.inset for row in rows if row.first]
    assert np.allclose(firsts, [width_of(" ") * (n - least) for n, _ in lines])
    (page,) = lay_out(rows, [word(row.text) for row in rows], sheet, seed=0)
    assert page.points[:, 0].min() >= 10 - 1e-3 and page.points[:, 0].max() <= 80 + 1
    lefts = [s[:, 0].min() for s in page.strokes]
    starts = np.cumsum([0, *(len(row.text) for row in rows)])[:-1]
    for row, start in zip(rows, starts, strict=True):
        assert lefts[start] >= 10 + min(row.inset * sheet.letter, 35) - 1e-3


LINES = st.text("abm ", min_size=1, max_size=30).map(str.strip)


def word(text):
    "A stroke for each letter, as wide as it should be, and higher than wide."
    strokes, x = [], 0.0
    for c in text:
        if c != " ":
            strokes.append(np.array([[x, -1.0], [x + 0.5 * width_of(c), 1.0], [x + 0.9 * width_of(c), 0.0]]))
        x += width_of(c)
    return Ink.from_strokes(strokes, text=text)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.text("abm ", min_size=1, max_size=30).map(str.strip), min_size=1, max_size=40),
    st.booleans(),
    st.floats(0, 1),
    st.sampled_from([0, 5, 39, 400]),
)
def test_ink_is_within_the_margins_and_none_is_lost(lines, justify, jitter, indent):
    sheet = Sheet((60, 60), (10, 10, 10, 10), height=6, justify=justify, jitter=jitter, indent=indent)
    rows = [Row(line, i % 3 == 0, i % 3 == 2) for i, line in enumerate(lines)]
    inks = [word(line) if line else None for line in lines]
    pages = lay_out(rows, inks, sheet, seed=3)
    assert sum(len(page.strokes) for page in pages) == sum(len(ink.strokes) for ink in inks if ink)
    for page in pages:
        left, top, right, bottom = page.bounds
        assert left >= 10 - 0.01 and right <= 50.01 and top > 0 and bottom < 60


def test_justified_lines_end_at_the_margin_but_for_the_last():
    rows = [Row("mm mm mm mm", True, False), Row("mm mm mm mm", False, True)]
    sheet = Sheet((50, 60), (10, 10, 10, 10), height=6, jitter=0, justify=True)
    (page,) = lay_out(rows, [word(row.text) for row in rows], sheet)
    first, last = (np.concatenate(page.strokes[i : i + 8]) for i in (0, 8))
    assert first[:, 0].max() == pytest.approx(40, abs=0.01) and last[:, 0].max() < 35


def test_a_letter_on_several_sheets_is_one_pdf_and_the_same_again():
    model, text = load_model(), "One hand. " * 20
    pages = write_letter(model, text, NARROW, bias=1, seed=2)
    again = write_letter(model, text, NARROW, bias=1, seed=2)
    assert len(pages) > 1 and [svg_of(p.strokes, p.text, NARROW.picture()) for p in pages] == [
        svg_of(p.strokes, p.text, NARROW.picture()) for p in again
    ]
    assert " ".join(" ".join(p.text for p in pages).split()) == text.strip()
    pdf = pages_pdf_of([(p.strokes, p.text) for p in pages], NARROW.picture())
    assert pdf.count(b"/MediaBox") == len(pages)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(size=(30, 100)), "too narrow"),
        (dict(size=(100, 30)), "too low"),
        (dict(margins=(1, 1, 1)), "four margins"),
        (dict(height=float("inf")), "height"),
    ],
)
def test_paper_that_nobody_can_write_on_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Sheet(**changes)


def test_rules_are_printed_where_letters_stand():
    sheet = Sheet(PAPERS["A6"], ruled=True)
    picture = sheet.picture()
    assert len(picture.rules) == sheet.rows and picture.rules[0][1] == sheet.ruler(0)
    assert svg_of([np.array([[20.0, 20.0], [30.0, 20.0]])], "", picture).count("<path") == 2


def test_letters_are_not_mirrored_by_an_indent_or_by_haste():
    sheet = Sheet((60, 60), (10, 10, 10, 10), height=6, jitter=10, indent=400)
    (page,) = lay_out([Row("mm mm", True, False), Row("mm", False, True)], [word("mm mm"), word("mm")], sheet, seed=1)
    assert all(stroke[1, 0] > stroke[0, 0] for stroke in page.strokes)  # to the right, as it was written
    assert min(np.ptp(stroke[:, 0]) for stroke in page.strokes) > 0.4 * sheet.letter
