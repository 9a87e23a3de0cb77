"""Writing: the stop rule, batches, seeds, bias and primes, on a small untrained network and on the shipped model."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from graves_nb.alphabet import ASCII, TextBatch
from graves_nb.ink import Ink, OffsetScaler
from graves_nb.mixture import random_draws, sample_mixture, split_outputs
from graves_nb.model import InkModel
from graves_nb.pretrained import load_model
from graves_nb.sampling import has_finished, prime_offsets, read_prime, sample_offsets, write, write_samples
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
def shipped():
    return load_model()


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def plain_line(model, text, bias, seed, limit, finish):
    "One line, drawn by the definition: the oracle of the batched sampler."
    network, index = model.network, TextBatch.from_indices([model.alphabet.encode(text)])
    state, x = network.initial_state(torch.zeros(1, 3)), torch.zeros(1, 3)
    generator, points, passed = torch.Generator().manual_seed(seed), [], False
    draws = torch.cat([random_draws(256, generator) for _ in range(limit // 256 + 1)])
    with torch.no_grad():
        while len(points) < limit:
            y, state, window = network.step(x, state, index)
            x = sample_mixture(split_outputs(y, bias), draws[None, len(points)])
            phi = window_phi(window, len(text) + 1)[0]
            passed = passed or bool((phi[-1] > phi[:-1]).all())
            in_stroke = finish and bool(points) and points[-1][0, 2] == 0
            if passed and not in_stroke:
                return torch.cat(points) if points else torch.zeros(0, 3), True
            points.append(x)
            if passed and x[0, 2] == 1:
                return torch.cat(points), True
    return torch.cat(points), False


def test_batch_equals_single_lines_drawn_by_definition(small):
    texts = ["a", "some words", "mid"]
    indices, finish = [ASCII.encode(t) for t in texts], [True, False, True]
    samples = sample_offsets(small.network, indices, 0.5, generators(3, 4, 5), [300] * 3, None, finish)
    for text, seed, whole, (points, stopped) in zip(texts, (3, 4, 5), finish, samples, strict=True):
        expected, ended = plain_line(small, text, 0.5, seed, 300, whole)
        assert ended == stopped
        torch.testing.assert_close(points, expected, atol=1e-3, rtol=1e-3)


def test_the_last_stroke_is_finished_after_a_letter_but_not_after_a_dot(small):
    for seed in range(4):
        at_once, whole = (
            sample_offsets(small.network, [ASCII.encode("abc")], 0.0, generators(seed), [400], None, [finish])[0][0]
            for finish in (False, True)
        )
        assert len(whole) >= len(at_once) and torch.equal(whole[: len(at_once)], at_once)
        assert not len(whole) or whole[-1, 2] == 1
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
    generator = generators(0, 1)
    runs = sample_offsets(small.network, [ASCII.encode("x")] * 2, 1e4, generator, [20] * 2)
    torch.testing.assert_close(runs[0][0][:1, :2], runs[1][0][:1, :2], atol=1e-4, rtol=0)


def test_prime_is_read_as_if_it_had_been_drawn(small):
    offsets = torch.randn(6, 3).abs()
    text = TextBatch.from_indices([ASCII.encode("prime")])
    state, x = read_prime(small.network, text, offsets)
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


def test_prime_may_have_any_size(small):
    prime = Ink.from_strokes([np.cumsum(np.random.default_rng(0).random((40, 2)), 0)], text="abc")
    scaled = replace(prime, strokes=tuple(s * np.float32(25) for s in prime.strokes))
    torch.testing.assert_close(prime_offsets(small, prime), prime_offsets(small, scaled), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    "text, keywords, message",
    [
        ("", {}, "empty"),
        ("\u00e9t\u00e9", {}, "cannot write"),
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
