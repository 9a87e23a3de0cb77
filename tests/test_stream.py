"""The stream of writing: what comes out of it, in which company, with which models, and what it says went wrong."""

import copy
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graves_nb import contracts
from graves_nb.alphabet import ASCII
from graves_nb.branching import drawn_at_pace, go_on
from graves_nb.contracts import Layer, only_backends, register_head, register_layer
from graves_nb.endings import Ending, Line
from graves_nb.faults import fault_of_prime, went_wrong
from graves_nb.ink import Ink, OffsetScaler
from graves_nb.mixture import MixtureHead
from graves_nb.model import InkModel
from graves_nb.pretrained import list_hands, load_hand, load_model
from graves_nb.sampling import (
    Job,
    LineTrouble,
    Settings,
    after_prime,
    drawing_network,
    next_seed,
    prepare_line,
    sample_ink,
    sample_text,
    stream,
    stream_text,
    text_to_write,
    word_groups,
    write,
    write_samples,
)
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork
from graves_nb.window import vagueness

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore::graves_nb.sampling.LineTrouble")
SCALER = OffsetScaler((0.1, 0.0), (0.5, 0.4))


def small(seed=0, **config):
    "An untrained model whose window moves a character every three points."
    torch.manual_seed(seed)
    sizes = dict(n_chars=len(ASCII), hidden_size=24, points_per_char=3.0) | config
    return InkModel(SynthesisNetwork(SynthesisConfig(**sizes)), ASCII, SCALER)


@pytest.fixture(scope="module")
def shipped():
    return load_model()


def wave(text="wave"):
    t = np.linspace(0, 4 * np.pi, 60)
    return Ink.from_strokes([np.column_stack([t / 2, np.sin(t)]), [[8, 0.5], [8.5, 1]]], text=text)


# ---------------------------------------------------------------- company


@pytest.mark.parametrize("backends", [None, ("torch",), ()])
@pytest.mark.parametrize("primed", [False, True])
def test_twenty_lines_are_each_the_line_written_alone(backends, primed):
    model, prime = small(n_layers=2), wave("w") if primed else None
    texts = [f"{'o' * (i % 4)} {i}" for i in range(20)]
    with only_backends(*(contracts.BACKENDS if backends is None else backends)):
        together = write(model, texts, seed=3, prime=prime, max_points_per_char=16)
        for i, (text, ink) in enumerate(zip(texts, together, strict=True)):
            alone = write(model, text, seed=3 + i, prime=prime, max_points_per_char=16)
            assert len(alone) == len(ink) and np.array_equal(alone.points, ink.points)


def test_lines_of_several_biases_and_hands_share_a_stream():
    model = small()
    jobs = [Job(f"job {i}", i, wave() if i % 2 else None, bias=i % 3 / 2, label=i) for i in range(9)]
    samples = {sample.job.label: sample for sample in stream(model, jobs, together=4)}
    for job in jobs:
        alone = write(model, job.text, job.bias, job.seed, job.prime, retry=0)
        assert np.array_equal(samples[job.label].ink.points, alone.points)


# ---------------------------------------------------------------- growing


@pytest.mark.parametrize("prime", [None, wave()])
def test_new_points_of_a_growing_line_are_those_of_the_line(shipped, prime):
    *parts, last = stream(shipped, [Job("growing", 4, prime)], bias=1, growing=True, trace=True)
    assert last.done and not any(part.done for part in parts) and len(parts) > 3
    seen = np.concatenate([part.points for part in parts])
    np.testing.assert_allclose(seen[:, :2], last.ink.points[: len(seen), :2], atol=1e-3)
    whole = parts[-1].whole()
    assert len(whole.ink) == len(seen) == len(whole.trace.outputs) + 1
    assert np.array_equal(last.ink.points, write(shipped, "growing", 1, 4, prime).points)


def test_a_part_costs_what_is_new_of_it():
    model = small(hidden_size=8)
    text = "long line " * 60
    parts = [part for part in stream(model, [Job(text, 1)], growing=True) if not part.done]
    assert len(parts) > 10 and max(len(part.points) for part in parts) <= 17


def test_a_long_line_costs_what_its_length_costs():
    model, taken = small(hidden_size=16), []
    for times in (40, 160):
        text, begun = "a few words " * times, time.perf_counter()
        ink = write(model, text, seed=1, max_points_per_char=8)
        taken.append((time.perf_counter() - begun) / len(ink))
    assert taken[1] < 2.5 * taken[0], taken


# ---------------------------------------------------------------- models


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_models_of_other_types_write(shipped, dtype):
    model = replace(shipped, network=copy.deepcopy(shipped.network).to(dtype))
    ink = write(model, "types", bias=1, seed=2)
    assert ink.points.dtype == write(shipped, "types", bias=1, seed=2).points.dtype and len(ink) > 40
    assert drawing_network(model.network)[1].dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


def test_the_default_type_of_torch_changes_nothing(shipped):
    expected = write(shipped, "the same", bias=1, seed=5)
    torch.set_default_dtype(torch.float64)
    try:
        assert np.array_equal(write(shipped, "the same", bias=1, seed=5).points, expected.points)
    finally:
        torch.set_default_dtype(torch.float32)


def test_weights_that_are_no_numbers_write_nothing():
    model = small()
    with torch.no_grad():
        model.network.output.weight[3, 2] = float("nan")
    with pytest.raises(ValueError, match="the model's weights are not finite: output.weight"):
        write(model, "nothing")


def test_a_network_with_a_head_and_a_layer_of_ones_own_writes():
    class Averaging(Layer):
        "A layer that nobody runs fast."

        equations = "averaging"

        def __init__(self, input_size, hidden_size, clip=None):
            super().__init__()
            self.linear = torch.nn.Linear(input_size, hidden_size)

        def initial_state(self, like):
            return State(like.new_zeros(like.shape[-2], self.linear.out_features))

        def step(self, x, state, index=None):
            return State((state.h + torch.tanh(self.linear(x))) / 2)

    class Steps(MixtureHead):
        "A mixture with a random number more."

        equations = "steps"

        def draws(self, steps, generator):
            return torch.cat([super().draws(steps, generator), torch.rand(steps, 1, generator=generator)], -1)

        def sample(self, y, draws, bias=0.0):
            return super().sample(y, draws[:, :4], bias)

    register_layer("averaging")(Averaging), register_head("steps")(Steps)
    try:
        model = small(layer="averaging", head="steps")
        inks = write(model, ["one", "two words"], seed=4)
        assert np.array_equal(inks[1].points, write(model, "two words", seed=5).points) and len(inks[1]) > 2
    finally:
        contracts.LAYERS.pop("averaging"), contracts.HEADS.pop("steps")


class State(tuple):
    "Of a layer: what it shows is all that it keeps."

    _fields = ("h",)
    h = property(lambda self: self[0])

    def __new__(cls, h):
        return super().__new__(cls, (h,))


# ---------------------------------------------------------------- text and numbers


def test_text_is_folded_and_stripped_or_refused_with_places():
    model = small()
    ink = write(model, " \u201cna\u00efve\u201d\u00a0\u2013\tok ", seed=1)
    assert ink.text == '"naive" - ok' and np.array_equal(ink.points, write(model, '"naive" - ok', seed=1).points)
    with pytest.raises(ValueError, match="cannot write '\u03bb', '\u6f22' in .*line 1, column 2.*line 1, column 5"):
        write(model, "a\u03bbb \u6f22")
    for blank in (" ", "\t\n", "\u00a0"):
        with pytest.raises(ValueError, match="nothing to write"):
            write(model, blank)
    with pytest.raises(ValueError, match="2 lines"):
        write(model, "one\ntwo")
    with pytest.raises(ValueError, match="cannot write"):
        write(model, "caf\u00e9", fold=False)
    assert text_to_write(model, "caf\u00e9") == "cafe"
    assert len(write(model, "ok", prime=wave("\u00e9t\u00e9"))) > 1  # of a prime, too


@pytest.mark.parametrize(
    "keywords, error, message",
    [
        (dict(seed=1.5), ValueError, "seed is a whole number"),
        (dict(seed="1"), ValueError, "seed is a whole number"),
        (dict(seed=2**64), ValueError, "seed is a whole number from"),
        (dict(bias="much"), ValueError, "bias is a finite number"),
        (dict(prime="x"), TypeError, "a prime is ink"),
        (dict(hand=99), ValueError, "no hand 99"),
        (dict(stop="soon"), ValueError, "stop is"),
        (dict(retry=-1), ValueError, "retry is"),
        (dict(text=3), TypeError, "text is a line or a list of lines, got 3"),
        (dict(text=[3]), TypeError, "a text to write is a str"),
        (dict(temper=3), TypeError, "temper"),
    ],
)
def test_what_is_asked_wrongly_is_named(keywords, error, message):
    with pytest.raises(error, match=message):
        write(small(), **(dict(text="ok") | keywords))


def test_numbers_of_any_type_are_numbers():
    model = small()
    expected = write(model, "ok", bias=1.0, seed=1).points
    for seed in (np.int64(1), torch.tensor(1), 1.0):
        assert np.array_equal(write(model, "ok", bias=np.float32(1), seed=seed).points, expected)
    with pytest.raises(ValueError, match="n_points is a whole number"):
        sample_ink(model=load_model("unipen-prediction"), n_points=1.5)


# ---------------------------------------------------------------- trouble


def test_a_line_that_its_limit_ends_says_so(shipped):
    with pytest.warns(LineTrouble, match="'cut short' of seed 3 went wrong: it was ended by its limit of 18 points"):
        (sample,) = write_samples(shipped, ["cut short"], seed=3, max_points_per_char=2)
    assert not sample.stopped and "limit" in sample.trouble and sample.job.seed == 3
    with pytest.warns(LineTrouble, match="limit"):
        write(shipped, "cut short", seed=3, max_points_per_char=2)


def test_a_clean_line_warns_of_nothing(shipped):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (sample,) = write_samples(shipped, ["a clean line"], bias=1, seed=3, prime=load_hand(3))
    assert sample.stopped and sample.trouble == ""


def test_a_prime_whose_text_is_another_is_told(shipped):
    for number in range(1, 9):
        hand = load_hand(number)
        assert fault_of_prime(hand) == ""
        assert "seems not to be what the ink shows" in fault_of_prime(replace(hand, text="no"))
    wrong = replace(load_hand(1), text="no")
    with pytest.warns(LineTrouble, match="the text of its prime, 'no', seems not to be what the ink shows"):
        write(shipped, "anything", prime=wrong)


def test_what_went_wrong_is_written_again_with_another_seed(shipped):
    many = write_samples(shipped, ["idea"] * 200, bias=1, seed=0)
    first = next(sample for sample in many if sample.trouble)  # wanders off
    seed = first.job.seed
    (again,) = write_samples(shipped, ["idea"], bias=1, seed=seed, retry=5)
    assert not again.trouble and again.job.seed != seed
    assert np.array_equal(write(shipped, "idea", bias=1, seed=again.job.seed).points, again.ink.points)
    assert np.array_equal(write(shipped, "idea", bias=1, seed=seed, retry=0).points, first.ink.points)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # `write` does so by itself
        assert not np.array_equal(write(shipped, "idea", bias=1, seed=seed).points, first.ink.points)


def test_a_line_that_leaves_its_line_is_told():
    t = np.linspace(0, np.pi, 12)
    arches = [np.stack([i - 0.4 * np.cos(t), -np.sin(t)], 1) for i in range(20)]
    line = Line(torch.zeros(20), 600)
    line.stopped, line.points = True, [(0.0, 0.0, 0.0)] * 240
    for drop, slope, wrong in ((0, 0, False), (8, 0, True), (0, 0.4, False)):  # one that runs downhill is made level
        strokes = [s + [0, slope * i + drop * (i > 14)] for i, s in enumerate(arches)]
        strokes = [s - [12 * (drop > 0) * (i > 14), 0] for i, s in enumerate(strokes)]
        said = went_wrong(line, Ink.from_strokes(strokes, "twenty letters above"))
        assert ("it leaves its line" in said) == wrong
    few = Ink.from_strokes([[(0, 0), (0, 9)]], "l")
    assert went_wrong(line, few) == ""  # of a few letters nothing can be said


def test_a_line_with_a_scribble_in_it_is_told(shipped):
    line = prepare_line(shipped, Job("some words", seed=1))
    ink = Ink.from_strokes([[(i / 10, -(i % 2)) for i in range(90)]], "some words")
    line.stopped, line.points = True, [(0.0, 0.0, 0.0)] * int(2 * line.usual)
    assert went_wrong(line, ink) == ""
    line.points *= 2
    assert went_wrong(line, ink) == (
        f"it has {len(line.points)} points where {line.usual:.0f} are usual: there is a scribble in it"
    )


# ---------------------------------------------------------------- hands that last


def test_a_joined_hand_lasts_to_the_end_of_a_line(shipped):
    text = "the little boat went slowly down the river in the morning sun"
    joined = [load_hand(name) for name in list_hands() if "joined" in name]
    for words in (0, 1):
        written = [write(shipped, [text] * 6, bias=1, seed=0, prime=hand, reprime=words) for hand in joined]
        strokes = np.array([[len(ink.strokes) for ink in inks] for inks in written])
        assert len(joined) == 4 and (strokes.mean(1) / sum(map(str.isalpha, text)) < 0.55).all()


@given(text=st.lists(st.sampled_from(["a", "no", "-", "&", "3", "it's", "..."]), min_size=1), count=st.integers(1, 4))
def test_parts_hold_all_words_in_order_and_none_is_a_sign_alone(text, count):
    groups = word_groups(" ".join(text), count)
    assert " ".join(groups) == " ".join(text)
    if any(map(str.isalnum, "".join(text))):
        assert all(any(map(str.isalnum, group)) for group in groups[:-1])


def test_parts_are_side_by_side_and_the_same_in_any_company(shipped):
    hand = load_hand(1)
    (alone,) = write_samples(shipped, ["some of my words"], bias=1, seed=4, prime=hand, reprime=1)
    among = write_samples(shipped, ["others", "some of my words", "and more"], bias=1, seed=3, prime=hand, reprime=1)[1]
    assert alone.ink.text == "some of my words" == among.job.text and among.job.seed == 4 and among.stopped
    assert np.array_equal(alone.ink.points, among.ink.points)
    assert np.array_equal(alone.ink.strokes[0][0], [0, 0])
    first = write(shipped, "some", bias=1, seed=4, prime=hand, reprime=1)
    assert np.allclose(alone.ink.points[: len(first.points)], first.points, atol=1e-5)  # of the line's seed
    spans = [ink.points for ink in (first, alone.ink)]
    assert spans[1][len(spans[0]) :, 0].min() > spans[0][:, 0].max()  # the next words are right of it


def test_a_part_begins_where_the_network_put_it_and_finishes_no_prime(shipped):
    line = Line(
        torch.zeros(3), 99, prime=torch.as_tensor(shipped.scaler.normalise(np.float32([[4, 0, 1], [1, -1, 1]])))
    )
    line.points = shipped.scaler.normalise(
        np.float32([[2.0, 1.0, 0.0]])
    ).tolist()  # 2 to the right of the prime, on its line
    ink = Ink.from_strokes([[(-3, 0), (-2.5, 0)], [(0, 0), (1, 1)]], "x")  # the first stroke is over the prime
    (stroke,) = after_prime(shipped, line, ink)
    np.testing.assert_allclose(stroke, [[2, 0], [3, 1]], atol=1e-5)
    alone = Ink.from_strokes([[(-3, 0), (-2.5, 0)]], "x")
    assert len(after_prime(shipped, line, alone)) == 1  # nothing else is there


def test_words_drawn_side_by_side_are_neither_shown_growing_nor_traced(shipped):
    for other in ("growing", "trace"):
        with pytest.raises(ValueError, match="neither trace nor growing"):
            Settings(reprime=1, **{other: True})
    with pytest.raises(ValueError, match="reprime"):
        Settings(reprime=-1)
    with pytest.raises(ValueError, match="in line 1, column 5"):
        write(shipped, "one \u4e2d two", prime=load_hand(1), reprime=1)


# ---------------------------------------------------------------- ends


def test_the_end_of_the_paper_is_a_choice(shipped):
    for seed in range(5):
        paper = write(shipped, "ocean", bias=1, seed=seed, stop="paper")
        whole = write(shipped, "ocean", bias=1, seed=seed)
        n = len(paper) - 1
        assert len(whole) >= len(paper) and np.array_equal(whole.points[:n], paper.points[:n])


@pytest.mark.parametrize("word", ["ocean", "hello", "Monday"])
def test_no_stroke_is_added_to_a_word_that_needs_none(shipped, word):
    samples = [sample for sample in write_samples(shipped, [word] * 24, bias=1, trace=True) if not sample.trouble]
    assert len(samples) >= 22
    for sample in samples:
        sizes = np.array([np.ptp(stroke, axis=0).max() for stroke in sample.ink.strokes])
        assert sizes[-1] > 0.25, f"{word} {sample.job.seed} ends in a dot"


def test_an_i_and_a_t_keep_their_marks(shipped):
    inks = write(shipped, ["light"] * 12, bias=1)
    assert sum(len(ink.strokes) >= 3 for ink in inks) >= 9


def line_of(word, moves, passed_at, places):
    "A line that has taken these moves."
    line = Line(torch.zeros(len(word)), 300, Ending(word))
    for i, (move, place) in enumerate(zip(moves, places, strict=True)):
        if not line.done:
            line.take(move, i >= passed_at, [float(u == place) for u in range(len(word) + 1)])
    return line


def test_a_stroke_that_runs_on_is_cut_where_the_pen_is_slow():
    moves = [(0.1, 0, 0)] * 10 + [(0.2, 0, 0)] * 6 + [(0.01, 0, 0)] + [(0.2, 0, 0)] * 40
    line = line_of("o", moves, 8, [0] * 8 + [1] * 49)
    assert line.stopped and 14 <= len(line.points) <= 18 and line.points[-1][2] == 1


def test_a_full_stop_is_a_dot():
    moves = [(0.1, 0, 0)] * 9 + [(0.1, 0, 1), (0.3, 0.5, 0)] + [(0.01, 0, 0)] * 20 + [(0, 0, 1)]
    line = line_of("a.", moves, 11, [0] * 9 + [1, 1] + [2] * 21)
    assert line.stopped and len(line.points) == 13


@pytest.mark.parametrize("passed_at", [19, 20, 22, 23])
def test_a_mark_above_a_letter_that_has_none_is_taken_back(passed_at):
    "A letter, one that goes down and up again, two dots above it; the window passes as they begin, in them, or after."
    first = [(0.1, 0, 0)] * 6 + [(0.1, 0, 1)]
    letter = [(0.2, -1, 0)] + [(0.05, 0.1, 0)] * 5 + [(0.05, -0.1, 0)] * 5 + [(0, 0, 1)]
    dots = [(-0.2, -0.6, 0), (0.02, 0, 1), (0.1, 0, 0), (0.02, 0, 1)]
    after = [(1.5, 1, 0)] + [(0.1, 0, 0)] * 8 + [(0.1, 0, 1)]
    moves, without = first + letter + dots + after, len(first) + len(letter)
    places = [0] * len(first) + [1] * (passed_at - len(first)) + [2] * (len(moves) - passed_at)
    for word, kept in (("no", without), ("n\u00f6", without + len(dots))):
        line = line_of(word, moves, passed_at, places)
        assert line.stopped and len(line.points) == kept and line.points[-1][2] == 1
        assert line.arrived == len(first)  # up to there it is sure from the beginning


# ---------------------------------------------------------------- text


def test_texts_of_a_seed_stay_what_they_were():
    text = sample_text(load_model("wiki"), 100, prime="The history of ", seed=5)
    assert text.startswith("the scholles'', where Aruba and American actors the einstein because exception of ")
    words = stream_text(load_model("wiki"), "The history of ", seed=5)
    streamed = "".join(next(words) for _ in range(60))
    assert text.startswith(streamed)


def test_unlikely_symbols_are_left_out():
    model = load_model("wiki")
    greedy = sample_text(model, 40, prime="The ", top_k=1, seed=1)
    assert greedy == sample_text(model, 40, prime="The ", top_k=1, seed=2)
    assert greedy == sample_text(model, 40, prime="The ", top_p=1e-6, seed=3)
    assert sample_text(model, 40, prime="The ", top_p=1.0, seed=3) == sample_text(model, 40, prime="The ", seed=3)
    for wrong in (dict(top_k=0), dict(top_p=0), dict(top_p=1.5), dict(temperature=0), dict(seed=1.5)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            sample_text(model, 4, **wrong)


def test_settings_are_checked_when_they_are_made():
    assert Settings(bias=np.float64(1)).bias == 1
    for wrong in (dict(together=0), dict(max_points_per_char=0), dict(bias=-1)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Settings(**wrong)


@pytest.mark.parametrize(
    "choice", [{}, dict(temperature=0.7, top_k=40), dict(top_p=0.9), dict(top_k=1), dict(top_k=3, top_p=0.99)]
)
def test_compiled_text_is_the_plain_one(choice):
    model = load_model("wiki")
    drawn = sample_text(model, 50, prime="The ", seed=2, count=3, **choice)
    with only_backends():
        assert drawn == sample_text(model, 50, prime="The ", seed=2, count=3, **choice)
    assert drawn[1] == sample_text(model, 50, prime="The ", seed=3, **choice)  # alone as in company


@pytest.mark.parametrize("left", [1, 5, 20, 60])
def test_what_somebody_draws_at_the_end_of_a_line_stays(shipped, left):
    (sample,) = write_samples(shipped, ["what if"], bias=0.5, seed=3, trace=True)
    at = len(sample.ink) - left
    x, y = sample.ink.points[at - 1, :2]
    own = drawn_at_pace(shipped, [[[x + 5, y - 10], [x + 5, y + 2]], [[x + 3, y - 4], [x + 8, y - 4]]])
    after = go_on(shipped, sample, at, seed=1, drawn=own)
    assert np.allclose(after.ink.points[at : at + len(own)], own, atol=1e-2) and after.stopped
    assert np.allclose(after.ink.points[: at - 1], sample.ink.points[: at - 1], atol=1e-2)


# -- the best of several


def seeds_of(seed, count):
    "Those of a line and of the ones that it is compared with."
    return [seed, *(next_seed(seed, 1_500_450_271 * k) for k in range(1, count))]


@pytest.mark.parametrize("hand", [None, 2])
def test_the_best_of_several_is_the_one_with_the_sharpest_window(shipped, hand):
    texts, prime = ["two of them", "a sentence with several words"], hand and load_hand(hand)
    together = write_samples(shipped, texts, bias=1, seed=6, prime=prime, best_of=4)
    for i, (text, best) in enumerate(zip(texts, together, strict=True)):
        joined = write_samples(shipped, [text], bias=1, seed=6 + i, prime=prime)[0].job.joined
        how = dict(bias=1, prime=prime, joined=joined)
        alone = [write_samples(shipped, [text], seed=seed, trace=True, **how)[0] for seed in seeds_of(6 + i, 4)]
        sharpest = min(alone, key=lambda s: (bool(s.trouble), vagueness(s.trace.window, s.trace.phi.shape[1])))
        assert best.job.seed == sharpest.job.seed and best.job.joined == joined and best.trace is None
        assert np.array_equal(best.ink.points, sharpest.ink.points)
        assert np.array_equal(write(shipped, text, 1, 6 + i, prime, best_of=4, straight=False).points, best.ink.points)
    assert len({best.job.seed for best in together} - {6, 7}) >= 1  # it was not the first each time


def test_a_line_that_went_wrong_is_never_the_best_where_another_did_not(shipped):
    seed = next(seed for seed in range(60) if write_samples(shipped, ["idea"], bias=1, seed=seed)[0].trouble)
    best, others = write_samples(shipped, ["idea"], bias=1, seed=seed, best_of=3)[0], seeds_of(seed, 3)[1:]
    fine = [not write_samples(shipped, ["idea"], bias=1, seed=other)[0].trouble for other in others]
    assert any(fine) and not best.trouble and best.job.seed in others


def test_the_best_of_several_has_a_trace_where_that_is_wanted_and_is_not_shown_growing(shipped):
    kept, bare = (write_samples(shipped, ["so"], bias=1, seed=3, best_of=3, trace=trace)[0] for trace in (True, False))
    assert np.array_equal(kept.ink.points, bare.ink.points) and bare.trace is None
    assert len(kept.trace.phi) == len(kept.ink) - 1
    for wrong, match in ((dict(best_of=0), "best_of is a whole number"), (dict(growing=True), "the best of 3")):
        with pytest.raises(ValueError, match=match):
            list(stream(shipped, [Job("so", 1)], **dict(best_of=3) | wrong))


def test_each_part_of_a_line_that_is_shown_its_hand_again_is_the_best_of_several(shipped):
    job, how = Job("a few words here", 3, load_hand(1)), dict(bias=1, reprime=2)
    (one,), (best,) = (list(stream(shipped, [job], **how, best_of=count)) for count in (1, 5))
    assert best.stopped and best.ink.text == one.ink.text and not np.array_equal(best.ink.points, one.ink.points)
