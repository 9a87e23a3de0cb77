"""Writing and drawing: stop rule, batches, seeds, bias, primes, traces, on untrained networks and a shipped one."""

from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch

from graves_nb.alphabet import ASCII, TextBatch
from graves_nb.drawing import has_finished
from graves_nb.endings import Ending, Line, last_word, line_end
from graves_nb.ink import Ink, OffsetScaler
from graves_nb.mixture import random_draws, sample_mixture, split_outputs
from graves_nb.model import InkModel
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.pretrained import load_model
from graves_nb.sampling import (
    Batch,
    Job,
    _trace_of_line,
    adapt_ink,
    drawing_network,
    prime_offsets,
    read_prime,
    sample_ink,
    stream,
    take_rows,
    trace_ink,
    write,
    write_samples,
)
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork
from graves_nb.window import WindowParameters, window_phi

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def small():
    "An untrained network whose window moves a character every three points."
    torch.manual_seed(0)
    config = SynthesisConfig(n_chars=len(ASCII), hidden_size=12, points_per_char=3.0)
    return InkModel(SynthesisNetwork(config), ASCII, OffsetScaler((0.1, 0.0), (0.5, 0.4)))


@pytest.fixture(scope="module")
def scribbler():
    "An untrained network that knows no text."
    torch.manual_seed(1)
    network = PredictionNetwork(PredictionConfig(hidden_size=12, n_mixtures=4))
    return InkModel(network, None, OffsetScaler((0.1, -0.2), (0.5, 0.4)))


@pytest.fixture(scope="module")
def shipped():
    return load_model()


def ending_of(model, text):
    "How a line of this text ends."
    return Ending.of(text, model.scaler)


def drawn(model, indices, seeds, bias=0.5, limit=300, finish=False, prime=None, together=48):
    "Offsets, how they ended, and traces, of lines drawn together."
    texts = ["".join(model.alphabet.symbols[i] for i in index) for index in indices]
    endings = [ending_of(model, text) if finish else None for text in texts]
    lines = [
        Line(index, limit, ending, Job(text, seed), prime)
        for index, ending, text, seed in zip(indices, endings, texts, seeds, strict=True)
    ]
    for first in range(0, len(lines), together):
        batch = Batch(*drawing_network(model.network), bias, trace=True)
        batch.enter(lines[first : first + together])
        while batch.lines:
            batch.step()
            batch.leave()
    return [(torch.tensor(line.points), line.stopped, trace_of(line)) for line in lines]


def trace_of(line):
    "All of it, the way from a prime included."
    line.prime = None
    return _trace_of_line(line, len(line.points))


def plain_line(model, text, bias, seed, limit, finish):
    "One line, drawn by the definition: the oracle of the batched sampler. Also the network's outputs."
    network, index = model.network, TextBatch.from_indices([model.encode(text)])
    state, x = network.initial_state(torch.zeros(1, 3)), torch.zeros(1, 3)
    generator, points, outputs, places, passed = torch.Generator().manual_seed(seed), [], [], [], None
    draws = torch.cat([random_draws(256, generator) for _ in range(limit // 256 + 1)])
    word = ending_of(model, text).word
    with torch.no_grad():
        for row in draws[: limit + 1]:
            y, state, window = network.step(x, state, index)
            x = sample_mixture(split_outputs(y, bias), row[None])
            phi = window_phi(window, len(text) + 1)[0]
            if passed is None and bool((phi[-1] > phi[:-1]).all()):
                passed = len(points)
            if passed is not None and points and not finish:
                return points, True, outputs
            if len(points) == limit:
                break
            points.append(x)
            outputs.append(y)
            own = phi[-len(word) - 1 :]
            places.append(int(own.argmax()) if own.max() > 0.03 else -1)
    if passed is None:
        return points, False, outputs
    last = last_word(ending_of(model, text), torch.cat(points).tolist(), places)  # looks at what came much later, too
    kept = max(1, line_end(last, passed))
    points[kept - 1] = torch.cat([points[kept - 1][:, :2], torch.ones(1, 1)], 1)
    return points[:kept], True, outputs[:kept]


@pytest.mark.parametrize("whole, together", [(False, 48), (True, 48), (True, 2)])
def test_batch_equals_single_lines_drawn_by_definition(small, whole, together):
    texts, seeds = ["a", "some words", "mid", "ttt", "over"], range(3, 8)
    indices = [ASCII.encode(t) for t in texts]
    samples = drawn(small, indices, seeds, finish=whole, together=together)
    for text, seed, (points, stopped, trace) in zip(texts, seeds, samples, strict=True):
        expected, ended, outputs = plain_line(small, text, 0.5, seed, 300, whole)
        assert ended == stopped and len(points) == len(expected) > 0
        torch.testing.assert_close(points, torch.cat(expected), atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(trace.outputs, torch.cat(outputs), atol=1e-3, rtol=1e-3)
        assert trace.phi.shape == (len(points), len(text))


def line_by(moves, finish, passed_at, drift=0.0):
    "The moves that a line takes, of a word that needs a bar."
    line = Line(torch.zeros(3), 100, Ending("t", mean=(drift, 0.0)) if finish else None)
    for i, move in enumerate(moves):
        if not line.done:
            line.take(move, i >= passed_at)
    return moves[: len(line.points)]


DOWN, UP = 0.0, 1.0


@pytest.mark.parametrize(
    "passed_at, finish, drift, taken",
    [
        (2, False, 0.0, 2),  # the paper's rule: no further
        (2, True, 0.0, 5),  # the end of the stroke, and a stroke that begins left of the edge at 3
        (3, True, 0.0, 5),  # passed between strokes: the same
        (2, True, 2.5, 3),  # the scale's mean is part of every move: -2 is to the right then
        (9, True, 0.0, 9),  # not yet passed
    ],
)
def test_one_more_stroke_only_if_it_begins_left_of_the_edge(passed_at, finish, drift, taken):
    moves = [(1, 0, DOWN), (1, 0, DOWN), (1, 0, UP), (-2, 0, DOWN), (1, 0, UP), (-1, 0, DOWN), (1, 0, UP), (1, 0, UP)]
    moves.append((2, 0, UP))
    assert line_by(moves, finish, passed_at, drift) == moves[:taken]


def test_a_stroke_beyond_the_edge_is_not_drawn():
    moves = [(1, 0, UP), (0.5, 0, DOWN), (0, 0, UP)]
    assert line_by(moves, True, 1) == moves[:1]
    assert line_by(moves, True, 0) == moves[:1]  # the first point is always drawn


def test_the_last_letter_is_finished_after_a_letter_but_not_after_a_dot(small):
    for seed in range(4):
        at_once, whole = (
            drawn(small, [ASCII.encode("abc")], [seed], bias=0.0, limit=400, finish=finish)[0][0]
            for finish in (False, True)
        )
        assert len(whole) >= len(at_once) and torch.equal(whole[: len(at_once)], at_once)
        assert whole[-1, 2] == 1
    letter, dot = write_samples(small, ["abc", "ab."], seed=1)
    assert letter.ink.text == "abc" and dot.ink.text == "ab." and letter.stopped and dot.stopped


def test_limit_ends_a_line_and_says_so(small):
    (sample,) = write_samples(small, ["four"], seed=1, max_points_per_char=1)
    assert not sample.stopped
    assert len(sample.ink) == 4 + 1


def test_stop_rule_needs_the_end_to_beat_every_character():
    window = WindowParameters(*(torch.tensor([[v]]) for v in (1.0, 1.0, 2.6)))
    assert has_finished(window, torch.tensor([2])).item()
    assert not has_finished(window, torch.tensor([3])).item()
    two = WindowParameters(torch.tensor([[1.0, 2.0]]), torch.ones(1, 2), torch.tensor([[4.0, 1.0]]))
    assert not has_finished(two, torch.tensor([3])).item()  # a heavier Gaussian still looks at the first character


def test_same_seed_same_ink_other_seed_other_ink(small):
    first, again, other = (write(small, "seed", seed=s) for s in (2, 2, 3))
    assert np.array_equal(first.points, again.points)
    assert not np.array_equal(first.points[:5], other.points[:5])


def test_global_generator_is_not_touched(small):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    write(small, "quiet", seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_large_bias_writes_the_mode(small):
    runs = drawn(small, [ASCII.encode("x")] * 2, [0, 1], bias=1e4, limit=20)
    torch.testing.assert_close(runs[0][0][:1, :2], runs[1][0][:1, :2], atol=1e-4, rtol=0)


def test_prime_is_read_as_if_it_had_been_drawn(small):
    offsets = torch.randn(6, 3).abs()
    text = TextBatch.from_indices([ASCII.encode("prime")])
    state, x = read_prime(small.network, offsets, 1, text)
    stepped, last = small.network.initial_state(x), torch.zeros(1, 3)
    for row in offsets:
        _, stepped, _ = small.network.step(last, stepped, text)
        last = row[None]
    torch.testing.assert_close(state.layers[2].h, stepped.layers[2].h, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(state.window.kappa, stepped.window.kappa, atol=1e-5, rtol=1e-5)
    assert torch.equal(x, last)


def test_prime_changes_what_follows_and_is_not_returned(small):
    prime = write(small, "prime", seed=1)
    plain, primed = write(small, "text", seed=0), write(small, "text", seed=0, prime=prime)
    assert primed.text == "text"
    assert not np.array_equal(plain.points[:10], primed.points[:10])


def wave(points=60, text=""):
    t = np.linspace(0, 4 * np.pi, points)
    return Ink.from_strokes([np.column_stack([t / 2, np.sin(t)]), [[8, 0.5], [8.5, 1]]], text=text)


def test_ink_after_a_prime_begins_at_its_own_first_point():
    torch.manual_seed(0)
    network = SynthesisNetwork(SynthesisConfig(n_chars=len(ASCII), hidden_size=12, n_layers=1, points_per_char=12.0))
    model, prime = InkModel(network, ASCII, OffsetScaler((0.1, 0.0), (0.5, 0.4))), wave(text="wave")
    (sample,) = write_samples(model, ["some text"], seed=3, prime=prime, trace=True)
    indices = [torch.cat([ASCII.encode("wave "), ASCII.encode("some text")])]
    offsets = prime_offsets(model, prime)
    ((points, _, trace),) = drawn(model, indices, [3], limit=540, finish=True, prime=offsets)
    expected = model.scaler.denormalise(points.numpy())
    assert len(points) > 20
    assert np.array_equal(sample.ink.strokes[0][0], [0, 0]) and len(sample.ink) == len(points)
    np.testing.assert_allclose(sample.ink.offsets(), expected[1:], atol=1e-4)
    assert len(sample.trace.outputs) == len(sample.ink.offsets()) == len(trace.outputs) - 1
    assert torch.equal(sample.trace.outputs, trace.outputs[1:]) and torch.equal(sample.trace.phi, trace.phi[1:])
    assert sample.trace.phi.shape[1] == len("wave some text")


def test_a_trace_is_what_each_offset_was_drawn_from(small):
    sample, other = write_samples(small, ["trace", "me"], bias=0.5, seed=4, trace=True)
    offsets = torch.from_numpy(small.scaler.normalise(sample.ink.offsets()))
    draws = random_draws(256, torch.Generator().manual_seed(4))[: len(offsets)]
    again = sample_mixture(split_outputs(sample.trace.outputs, 0.5), draws)
    torch.testing.assert_close(again, offsets, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(sample.trace.phi, window_phi(sample.trace.window, 5))
    assert other.trace.phi.shape == (len(other.ink) - 1, 2)
    assert all(p.shape == (len(offsets), 10) for p in sample.trace.window)


@pytest.mark.parametrize("text", ["again", "a"])
def test_reading_what_was_written_expects_the_same(small, text):
    (sample,) = write_samples(small, [text], seed=2, trace=True)
    trace = trace_ink(small, sample.ink)
    torch.testing.assert_close(trace.outputs, sample.trace.outputs, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(trace.phi, sample.trace.phi, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(tuple(trace.window), tuple(sample.trace.window), atol=1e-3, rtol=1e-3)


def test_ink_without_text_is_traced_by_a_prediction_model_only(small, scribbler):
    ink = wave()
    trace, state, x = trace_ink(scribbler, ink), scribbler.network.initial_state(torch.zeros(1, 3)), torch.zeros(1, 3)
    assert trace.window is None and trace.phi is None
    for expected, row in zip(trace.outputs, scribbler.scaler.normalise(ink.offsets()), strict=True):
        y, state, _ = scribbler.network.step(x, state)
        torch.testing.assert_close(y[0], expected, atol=1e-4, rtol=1e-4)
        x = torch.from_numpy(row)[None]
    with pytest.raises(ValueError, match="the ink has no text"):
        trace_ink(small, ink)
    with pytest.raises(ValueError, match="at least 2 points, this has 1"):
        trace_ink(scribbler, Ink.from_strokes([[[0, 0]]]))


def test_ink_of_no_words_by_definition(scribbler):
    inks = sample_ink(scribbler, 30, bias=0.3, seed=5, count=3)
    for seed, ink in enumerate(inks, 5):
        state, x = scribbler.network.initial_state(torch.zeros(1, 3)), torch.zeros(1, 3)
        drawn = []
        with torch.no_grad():
            for row in random_draws(29, torch.Generator().manual_seed(seed)):
                y, state, _ = scribbler.network.step(x, state)
                x = sample_mixture(split_outputs(y, 0.3), row[None])
                drawn.append(x)
        expected = scribbler.scaler.denormalise(torch.cat(drawn).numpy())
        expected[-1, 2] = 1  # ink ends where its last stroke ends
        np.testing.assert_allclose(ink.offsets(), expected, atol=1e-3)
        assert len(ink) == 30 and ink.text == ""
    assert np.allclose(sample_ink(scribbler, 30, bias=0.3, seed=6).points, inks[1].points, atol=1e-3)


def test_ink_of_no_words_may_be_primed_with_or_without_a_text(scribbler):
    plain = sample_ink(scribbler, 20, seed=1)
    for prime in (wave(), wave(text="wave it")):
        primed = sample_ink(scribbler, 20, seed=1, prime=prime)
        assert len(primed) == 20 and np.array_equal(primed.strokes[0][0], [0, 0])
        assert not np.allclose(primed.offsets(), plain.offsets(), atol=1e-3)
        twice = sample_ink(scribbler, 20, seed=1, prime=prime, count=2)
        assert len(twice) == 2 and np.allclose(twice[0].points, primed.points, atol=1e-3)


def test_each_kind_of_model_is_told_what_to_use_instead(small, scribbler):
    with pytest.raises(ValueError, match="takes a synthesis model, but the model is a prediction model: `sample_ink`"):
        write(scribbler, "ok")
    with pytest.raises(ValueError, match="takes a prediction model, but the model is a synthesis model: `write`"):
        sample_ink(small)
    for wrong in (dict(n_points=1), dict(count=0)):
        with pytest.raises(ValueError, match="nothing to draw"):
            sample_ink(scribbler, **wrong)
    with pytest.raises(ValueError, match="bias"):
        sample_ink(scribbler, 5, bias=-1)


def test_a_hand_is_a_prime_that_is_in_the_package(small, monkeypatch, tmp_path):
    monkeypatch.setattr("graves_nb.pretrained.HANDS", tmp_path)
    hand = wave(text="wave")
    hand.save(tmp_path / "01-wavy.inkml")
    expected = write(small, "text", seed=2, prime=hand).points
    for name in (1, "1", "style-01", "wavy"):
        assert np.array_equal(write(small, "text", seed=2, hand=name).points, expected)
    with pytest.raises(ValueError, match="give one of the two"):
        write(small, "text", hand=1, prime=hand)
    with pytest.raises(ValueError, match="no hand 2: shipped are wavy"):
        write(small, "text", hand=2)


def test_rows_of_states_of_any_shape():
    state = ((torch.arange(3), torch.arange(6).view(3, 2)), WindowParameters(*torch.arange(9).view(3, 3)))
    taken = take_rows(state, torch.tensor([2, 0]))
    assert taken[0][0].tolist() == [2, 0] and taken[0][1].tolist() == [[4, 5], [0, 1]]
    assert isinstance(taken[1], WindowParameters) and taken[1].kappa.tolist() == [8, 6]


def test_ink_without_a_text_is_measured_by_its_height(small):
    ink = wave()
    one, other = (adapt_ink(small, replace(ink, strokes=tuple(s * k for s in ink.strokes))) for k in (1.0, 30.0))
    np.testing.assert_allclose(one.points, other.points, atol=1e-3)
    height = np.ptp(np.concatenate(one.strokes)[:, 1])
    assert 1.2 < height < 1.5  # of a sine whose standard deviation is 0.45: 2 * 0.45 * sqrt(2)
    flat = Ink.from_strokes([[[0, 0], [1, 0], [2, 0]]])
    with pytest.raises(ValueError, match="no width or no height"):
        adapt_ink(small, flat)


def test_prime_may_have_any_size(small):
    prime = Ink.from_strokes([np.cumsum(np.random.default_rng(0).random((40, 2)), 0)], text="abc")
    scaled = replace(prime, strokes=tuple(s * np.float32(25) for s in prime.strokes))
    torch.testing.assert_close(prime_offsets(small, prime), prime_offsets(small, scaled), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    "text, keywords, message",
    [
        ("", {}, "empty"),
        ("\u03bb\u03b5\u03c9", {}, "cannot write"),
        ("\u00e9t\u00e9", {"fold": False}, "cannot write"),
        ("ok", {"bias": -0.1}, "bias"),
        ("ok", {"bias": float("nan")}, "bias"),
        ("ok", {"bias": float("inf")}, "bias"),
        ("ok", {"prime": Ink.from_strokes([np.eye(2)])}, "no text"),
        ("ok", {"prime": Ink.from_strokes([np.ones((1, 2))], text="a")}, "at least 2 points"),
    ],
)
def test_bad_input_is_named(small, text, keywords, message):
    with pytest.raises(ValueError, match=message):
        write(small, text, **keywords)


def test_a_string_is_not_a_list_of_lines(small):
    with pytest.raises(TypeError, match="list of lines"):
        write_samples(small, "abc")


def test_shipped_model_still_writes(shipped):
    samples = write_samples(shipped, ["Shipped weights write", "and they know an end", "every time"], bias=1, seed=0)
    assert all(sample.stopped for sample in samples)
    for sample in samples:
        left, top, right, bottom = sample.ink.bounds
        letters = len(sample.ink.text)
        assert 0.4 * letters < right - left < 2.5 * letters  # in widths of a letter: a line, not a scribble
        assert 8 * letters < len(sample.ink) < 40 * letters
        assert len(sample.ink.strokes) >= 2


def test_ten_thousand_lines_stream_in_the_memory_of_a_few(small):
    taken, held = [0], []

    def jobs():
        for i in range(10_000):
            taken[0] += 1
            yield Job("ok", i)

    for done, sample in enumerate(stream(small, jobs(), bias=1, together=48), 1):
        assert taken[0] - done <= 2 * 48 and len(sample.ink) > 1
        if done in (2_000, 10_000):
            held.append(psutil.Process().memory_info().rss / 1e6)
    assert done == 10_000 and held[1] - held[0] < 10, f"{held} MB"
