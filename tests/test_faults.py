"""What is told of a line that went wrong because its window stood still."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graves_nb import sampling
from graves_nb.endings import Line
from graves_nb.faults import LONGEST_BLANK, LONGEST_WORD, SPARE, stood_still, went_wrong
from graves_nb.hands import ink_of, weigh
from graves_nb.pretrained import load_hand, load_model
from graves_nb.sampling import Job, write, write_samples
from graves_nb.window import looked_at

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore::graves_nb.sampling.LineTrouble")
TEXT = "we counted all stars until ten"


@pytest.fixture(scope="module")
def shipped():
    return load_model()


def line_of(text, pace=18.0, before=""):
    "A line at a steady pace, after a prime."
    line = Line(torch.zeros(len(before + text)), 9000, job=Job(text))
    line.usual = pace * weigh(text, ink_of)
    line.looks = [pace * ink_of(c) for c in before + text] + [500]  # what is drawn of no character counts for none
    return line


words = st.lists(st.text("abcdefghijklmnopqrstuvwxyz.,", min_size=1, max_size=9), min_size=1, max_size=6)


@given(words, st.floats(8, 40), st.sampled_from(["", "as in my hand "]))
def test_a_steady_line_did_not_stand_still(parts, pace, before):
    assert stood_still(line_of(" ".join(parts), pace, before)) == ""


@given(words, st.data())
def test_the_word_at_which_it_stood_still_is_named(parts, data):
    text = " ".join(parts)
    k = data.draw(st.integers(0, len(parts) - 1))
    line, place = line_of(text, before="and "), 4 + len(" ".join(parts[:k])) + (k > 0)
    usual = 18 * weigh(parts[k], ink_of)
    line.looks[place] += (LONGEST_WORD - 1) * usual + SPARE - 1
    assert stood_still(line) == ""
    line.looks[place] += 2
    assert f"of {parts[k]!r} where {usual:.0f} are usual" in stood_still(line)
    if k:
        line = line_of(text, before="and ")
        line.looks[place - 1] = LONGEST_BLANK
        assert stood_still(line) == ""
        line.looks[place - 1] = LONGEST_BLANK + 1
        assert f"{LONGEST_BLANK + 1} points are drawn in the blank after {parts[k - 1]!r}" in stood_still(line)


def test_a_pause_in_its_prime_is_none_of_the_line():
    line = line_of("a line", before="a prime ")
    line.looks[1] = 900
    assert stood_still(line) == ""


@pytest.mark.parametrize("hand", [None, "joined"])
def test_what_was_looked_at_is_what_the_trace_says(shipped, hand, monkeypatch):
    prime = None if hand is None else load_hand(hand)
    lines, of_line = [], sampling.sample_of
    monkeypatch.setattr(sampling, "sample_of", lambda model, line: lines.append(line) or of_line(model, line))
    alone = write_samples(shipped, [TEXT], seed=3, prime=prime, trace=True)[0]
    write_samples(shipped, [TEXT, TEXT + " and went to bed"], seed=3, prime=prime)  # beside a longer one
    first, second = (line.looks for line in lines if line.job.text == TEXT)
    assert first == second
    places = looked_at(alone.trace.phi).numpy()
    counted = np.bincount(places[places >= 0], minlength=len(lines[0].text))
    assert (
        abs(counted - first[:-1])[:-1].max() <= 8
    )  # each fourth step is looked at; the last character has points that were taken back
    assert sum(first) >= len(places)


def test_joined_lines_that_stand_still_are_told_and_written_again(shipped):
    found = write_samples(shipped, [TEXT] * 48, bias=1, seed=0, joined=True)
    still = [sample for sample in found if "stood still" in sample.trouble]
    assert 2 <= len(still) <= 24
    for sample in still[:3]:
        again = write(shipped, TEXT, bias=1, seed=sample.job.seed, joined=True, retry=5)
        assert not np.array_equal(again.points, sample.ink.points)


def test_printed_lines_seldom_stand_still(shipped):
    found = write_samples(shipped, [TEXT, "the old clock struck seven"] * 24, bias=0.5, seed=0, joined=False)
    assert sum("stood still" in sample.trouble for sample in found) <= 1


def test_of_a_line_without_usual_points_nothing_is_said():
    line = Line(torch.zeros(4), 100, job=Job("some"))
    line.stopped, line.points, line.looks = True, [(0.0, 0.0, 1.0)] * 40, [90] * 5
    assert went_wrong(line, write(load_model(), "some", bias=1)) == ""
