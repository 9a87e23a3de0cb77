"""Joined writing: who decides on it, that it lasts along a line, and that it changes nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from graves_nb.alphabet import ASCII, LATIN, Alphabet
from graves_nb.batches import make_examples
from graves_nb.cli import app
from graves_nb.hands import JOINED, is_joined
from graves_nb.ink import Ink, OffsetScaler
from graves_nb.letter import write_letter
from graves_nb.model import InkModel, widen
from graves_nb.page import choose_hand, write_page
from graves_nb.pretrained import list_hands, load_hand, load_model
from graves_nb.sampling import (
    Job,
    Settings,
    chance_of_joining,
    next_seed,
    prepare_line,
    stream,
    trace_ink,
    write,
    write_samples,
)
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork

pytestmark = pytest.mark.filterwarnings("ignore::graves_nb.sampling.LineTrouble")
TEXTS = (
    "the rain has stopped at last",
    "we went home along the river",
    "nobody knows what comes next",
    "some say that it is too late",
    "she wrote a letter every day",
    "a window that slides over it",
)
ink_of_strokes = lambda count, text: Ink.from_strokes([[[i, 0], [i + 0.5, 1]] for i in range(count)], text)  # noqa: E731


@pytest.fixture(scope="module")
def shipped():
    return load_model()


def small(alphabet=ASCII, **info):
    torch.manual_seed(0)
    config = SynthesisConfig(n_chars=len(alphabet), hidden_size=16, n_layers=1, points_per_char=3.0)
    return InkModel(SynthesisNetwork(config), alphabet, OffsetScaler((0.1, 0.0), (0.5, 0.4)), info)


def share(model, **settings):
    inks = write(model, list(TEXTS) * 8, bias=0.5, seed=0, **settings)
    return np.mean([is_joined(ink) for ink in inks])


# ---------------------------------------------------------------- what the network does


def test_letters_are_joined_to_the_end_of_a_line_where_that_is_wanted(shipped):
    assert share(shipped, joined=True) > 0.7
    assert share(shipped, joined=False) < 0.1


def test_as_many_lines_are_joined_as_people_join(shipped):
    seeds, asked = range(200), Settings(bias=0.5)
    chosen = [prepare_line(shipped, Job(TEXTS[0], seed), asked).job.joined for seed in seeds[:48]]
    found = [is_joined(ink) for ink in write(shipped, [TEXTS[0]] * 48, bias=0.5, seed=0)]
    assert np.mean([a == b for a, b in zip(chosen, found, strict=True)]) > 0.85 and 0 < sum(found) < 24


@given(share=st.floats(0, 1), bias=st.floats(0, 100))
def test_the_chance_follows_the_bias_as_a_gaussian_of_the_mixture_does(share, bias):
    model, weights = small(LATIN, joined=share), torch.tensor([share, 1 - share], dtype=torch.float64)
    expected = torch.softmax((1 + bias) * weights.log(), 0)[0].item()
    assert chance_of_joining(model, "some words", bias) == pytest.approx(expected, abs=1e-5)
    for text in ("SOME WORDS", "some@words.org", "7 words"):
        assert chance_of_joining(model, text, bias) == 0


# ---------------------------------------------------------------- who decides


def test_the_seed_decides_in_any_company_and_again_where_a_line_is_tried_again(shipped):
    for bias in (0.0, 1.0):
        chance, asked = chance_of_joining(shipped, "some words", bias), Settings(bias=bias)
        found = [prepare_line(shipped, Job("some words", seed), asked).job.joined for seed in range(400)]
        assert abs(np.mean(found) - chance) < 4 * (chance * (1 - chance) / 400) ** 0.5
        assert found == [prepare_line(shipped, Job("others", seed), asked).job.joined for seed in range(400)]
    first = prepare_line(shipped, Job("some words", found.index(True))).job
    assert prepare_line(shipped, replace(first, seed=next_seed(first.seed))).job.joined is True


@pytest.mark.parametrize("seed", [-(2**63), -1, 2**64 - 1])
def test_every_seed_decides(shipped, seed):
    assert prepare_line(shipped, Job("a", seed)).job.joined in (True, False)


def test_a_line_is_the_same_whether_it_was_joined_by_chance_or_on_demand(shipped):
    samples = write_samples(shipped, ["some words"] * 30, seed=0)
    assert {sample.job.joined for sample in samples} == {True, False}
    for sample in samples[:12]:
        (again,) = write_samples(shipped, ["some words"], seed=sample.job.seed, joined=sample.job.joined)
        assert np.array_equal(again.ink.points, sample.ink.points)


def test_a_prime_decides_and_a_demand_before_it(shipped):
    for name in list_hands():
        hand = load_hand(name)
        assert prepare_line(shipped, Job("some words", 0, hand)).job.joined == is_joined(hand)
    curly = next(hand for hand in map(load_hand, list_hands()) if is_joined(hand))
    line = prepare_line(shipped, Job("some words", 0, curly, joined=False), Settings(joined=True))
    read = shipped.encode(curly.text + " ", True)
    assert line.job.joined is False
    assert line.text[: len(read)].equal(read) and line.text[len(read) :].equal(shipped.encode("some words"))


def test_lines_of_one_stream_may_ask_for_either(shipped):
    jobs = [Job("some words", 5, joined=joined, label=joined) for joined in (True, False, None)]
    found = {sample.job.label: sample for sample in stream(shipped, jobs)}
    assert found[True].job.joined and not found[False].job.joined
    assert not np.array_equal(found[True].ink.points, found[False].ink.points)
    assert np.array_equal(found[None].ink.points, found[found[None].job.joined].ink.points)


def test_pages_and_letters_are_in_one_hand(shipped):
    text = "the rain has stopped at last and we went home along the river, where nobody knows what comes next"
    for joined in (True, False):
        found = [is_joined(choose_hand(shipped, text, seed=seed, joined=joined)) == joined for seed in range(8)]
        pages = [write_page(shipped, text, seed=seed, joined=joined) for seed in range(3)]
        pages += write_letter(shipped, text, joined=joined)
        assert sum(found) >= 5 and sum(is_joined(page) == joined for page in pages) >= 3


# ---------------------------------------------------------------- models that know nothing of it


def test_a_model_without_such_letters_says_so_and_writes_as_ever():
    for alphabet in (ASCII, Alphabet("abc", fold=True)):
        model = small(alphabet, joined=1.0)
        assert prepare_line(model, Job("abc")).job.joined is False
        with pytest.raises(ValueError, match="no characters for joined writing"):
            write(model, "abc", joined=True)
        write(model, "abc", joined=False, retry=0)
        curly = Ink.from_strokes([[[i / 10, -(i % 2)] for i in range(90)]], "abcabcabc")
        assert is_joined(curly) and prepare_line(model, Job("abc", 0, curly)).job.joined is False


@pytest.mark.parametrize("wrong", ["yes", 0.5, 2, "False", [], np.array([1, 2])])
def test_joined_is_yes_no_or_nothing(wrong):
    with pytest.raises(ValueError, match="joined is True, False or None"):
        Settings(joined=wrong)


def test_the_command_says_the_same(tmp_path, shipped):
    def lifts(*options):
        path = tmp_path / "line.inkml"
        run = CliRunner().invoke(app, ["write", TEXTS[0], "-o", str(path), "--seed", "3", "--retry", "0", *options])
        assert run.exit_code == 0, run.output
        return Ink.load(path)

    for option, joined in (("--joined", True), ("--printed", False)):
        own = write(shipped, TEXTS[0], seed=3, joined=joined, retry=0)
        assert len(lifts(option).strokes) == len(own.strokes)
    assert len(lifts("--joined").strokes) < len(lifts("--printed").strokes)


# ---------------------------------------------------------------- what is learned from


@given(st.integers(1, 40), st.text(st.sampled_from("ab "), min_size=1, max_size=40))
def test_a_line_is_joined_by_its_pen_lifts_for_a_character(strokes, text):
    characters = len(text.replace(" ", ""))
    assert is_joined(ink_of_strokes(strokes, text)) == (characters > 1 and strokes - 1 < JOINED * characters)


def test_examples_are_read_as_they_look():
    model = small(LATIN)
    curly, plain = make_examples(model, [ink_of_strokes(2, "window"), ink_of_strokes(6, "window")])
    assert curly.index.equal(model.encode("window", True)) and plain.index.equal(model.encode("window"))
    assert not curly.index.equal(plain.index)


def test_a_widened_model_joins_as_it_prints_until_it_has_learned(shipped):
    older = small()
    wider = widen(older, LATIN)
    for joined in (True, False):
        ink = write(wider, "some words", joined=joined, retry=0)
        assert np.array_equal(ink.points, write(older, "some words", retry=0).points)


def test_a_trace_is_of_the_line_as_it_was_written(shipped):
    for joined in (True, False):
        (sample,) = write_samples(shipped, ["some words"], seed=1, trace=True, joined=joined)
        read = trace_ink(shipped, sample.ink, joined)
        n = min(len(read.outputs), len(sample.trace.outputs))
        torch.testing.assert_close(read.outputs[: n - 1], sample.trace.outputs[: n - 1], atol=2e-3, rtol=1e-3)
