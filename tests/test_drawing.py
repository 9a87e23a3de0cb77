"""Compiled drawing against the plain loop: any size, any number of lines, either kind of network, any precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb import native
from graves_nb.alphabet import TextBatch
from graves_nb.contracts import map_state, only_backends
from graves_nb.drawing import draw_points, draw_points_plain
from graves_nb.drawing_c import pack_once
from graves_nb.mixture import random_draws
from graves_nb.native import KINDS
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork

needs_compiler = pytest.mark.skipif(native.library() is None, reason="no C compiler: the plain loop is all there is")


def network_of(kind, seed, cells=11, layers=2, mixtures=3, half=False):
    torch.manual_seed(seed)
    if kind == "synthesis":
        network = SynthesisNetwork(SynthesisConfig(7, cells, layers, mixtures, 4, points_per_char=2))
    else:
        network = PredictionNetwork(PredictionConfig(3, cells, layers, n_mixtures=mixtures))
    if half:
        with torch.no_grad():
            for p in network.parameters():
                p.copy_(p.half())
    return network


def arguments(network, lines, steps, seed):
    "State, offsets, random numbers, bias, texts of different lengths; the state as some steps have left it."
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(lines, 3, generator=generator)
    draws = torch.stack([random_draws(steps + 3, generator) for _ in range(lines)])
    text = ()
    if isinstance(network, SynthesisNetwork):
        lengths = torch.randint(1, 9, (lines,), generator=generator).tolist()
        text = (TextBatch.from_indices([torch.randint(7, (n,), generator=generator) for n in lengths]),)
    begun = draw_points_plain(network, network.initial_state(x), x, draws[:, :3], 0.5, *text)
    return begun.state, begun.points[:, -1], draws[:, 3:], 0.7, *text


def flatten(drawn):
    state = drawn.state
    parts = [drawn.points, drawn.outputs, *(t for layer in state.layers for t in layer)]
    return parts if drawn.window is None else [*parts, *drawn.window, *state.window]


@needs_compiler
@pytest.mark.parametrize("kind", ["synthesis", "prediction"])
@settings(max_examples=25, deadline=None)
@given(
    lines=st.integers(1, 15), steps=st.integers(1, 6), cells=st.integers(1, 40), layers=st.integers(1, 3),
    mixtures=st.integers(1, 6), half=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_compiled_equals_plain(kind, lines, steps, cells, layers, mixtures, half, seed):
    network = network_of(kind, seed, cells, layers, mixtures, half)
    args = arguments(network, lines, steps, seed)
    ours, plain = draw_points(network, *args), draw_points_plain(network, *args)
    for a, b in zip(flatten(ours), flatten(plain), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    if kind == "synthesis":
        assert torch.equal(ours.finished, plain.finished)
    assert pack_once(network).struct.kind == KINDS[torch.float16 if half else torch.float32]


@needs_compiler
@pytest.mark.parametrize("kind", ["synthesis", "prediction"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_line_is_the_same_to_the_bit_whatever_is_beside_it(kind, threads):
    network, before = network_of(kind, 0, cells=37), torch.get_num_threads()
    state, x, draws, bias, *text = arguments(network, 13, 9, 1)
    torch.set_num_threads(threads)
    try:
        together = draw_points(network, state, x, draws, bias, *text)
    finally:
        torch.set_num_threads(before)
    for i in range(13):
        one = [TextBatch(*(part[i : i + 1] for part in t)) for t in text]
        layers = tuple(type(layer)(*(part[i : i + 1] for part in layer)) for layer in state.layers)
        parts = (type(state.window)(*(part[i : i + 1] for part in state.window)),) if text else ()
        alone = draw_points(network, type(state)(layers, *parts), x[i : i + 1], draws[i : i + 1], bias, *one)
        assert torch.equal(alone.points[0], together.points[i]) and torch.equal(alone.outputs[0], together.outputs[i])


@needs_compiler
def test_what_goes_in_is_left_alone():
    network = network_of("synthesis", 0)
    args = arguments(network, 4, 5, 2)
    copies = [t.clone() for t in (args[1], args[2], args[0].window.kappa, args[0].layers[0].h)]
    draw_points(network, *args)
    for before, now in zip(copies, (args[1], args[2], args[0].window.kappa, args[0].layers[0].h), strict=True):
        assert torch.equal(before, now)


def test_changed_weights_draw_other_points():
    network = network_of("synthesis", 0)
    args = arguments(network, 2, 5, 3)
    before = draw_points(network, *args)
    with torch.no_grad():
        network.layers[1].weight_hh.mul_(-1.0)
    after = draw_points(network, *args)
    assert not torch.allclose(before.outputs, after.outputs)
    torch.testing.assert_close(after.points, draw_points_plain(network, *args).points, rtol=1e-3, atol=1e-4)


def test_without_a_compiler_and_in_double_precision():
    network = network_of("prediction", 4).double()
    x = torch.zeros(2, 3, dtype=torch.double)
    draws = torch.stack([random_draws(4, torch.Generator().manual_seed(i)) for i in range(2)]).double()
    assert draw_points(network, network.initial_state(x), x, draws).points.dtype == torch.double
    network = network_of("synthesis", 4)
    args = arguments(network, 2, 5, 3)
    with only_backends("torch"):
        drawn, together = draw_points(network, *args).points, draw_points_plain(network, *args).points
        for i in range(2):  # the line drawn alone, bit for bit; rows of a product may be rounded otherwise in company
            state, x, draws, text = map_state(lambda tensor, i=i: tensor[i : i + 1], (*args[:3], args[4]))
            assert torch.equal(drawn[i], draw_points_plain(network, state, x, draws, args[3], text).points[0])
    torch.testing.assert_close(drawn, together, rtol=1e-4, atol=1e-5)


def fused_step(p):
    "Of an optimiser that torch does not count."
    p.grad = torch.ones_like(p)
    torch.optim.SGD([p], 1.0, fused=True).step()


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.data.mul_(-1.0),
        lambda p: p.data.copy_(torch.flip(p.data, [0])),
        lambda p: np.negative(p.detach().numpy(), out=p.detach().numpy()),
        lambda p: (
            torch.optim.SGD([p], 1.0, fused=True).step() if setattr(p, "grad", torch.ones_like(p)) is None else None
        ),
    ],
)
def test_weights_that_changed_by_whatever_means_draw_other_points(change):
    network = network_of("synthesis", 0)
    args = arguments(network, 2, 5, 3)
    before = draw_points(network, *args)
    change(network.layers[1].weight_hh)
    after = draw_points(network, *args)
    assert not torch.allclose(before.outputs, after.outputs)
    torch.testing.assert_close(after.points, draw_points_plain(network, *args).points, rtol=1e-3, atol=1e-4)


def test_a_network_that_was_made_for_inference_alone_draws():
    with torch.inference_mode():
        network = network_of("synthesis", 0)
        args = arguments(network, 2, 5, 3)
        torch.testing.assert_close(
            draw_points(network, *args).points, draw_points_plain(network, *args).points, rtol=1e-3, atol=1e-4
        )


class Doubled(torch.nn.Linear):
    "An output layer of somebody's own."

    def forward(self, x):
        return 2 * super().forward(x)


def test_an_output_layer_of_ones_own_counts_wherever_it_is_used():
    network = network_of("prediction", 0)
    x = torch.zeros(2, 3)
    args = network.initial_state(x), x, torch.stack([random_draws(5, torch.Generator().manual_seed(i)) for i in (0, 1)])
    sequence, before = torch.randn(4, 2, 3), draw_points(network, *args).outputs
    usual = network(sequence).y
    own = Doubled(network.output.in_features, network.output.out_features)
    own.load_state_dict(network.output.state_dict())
    network.output = own
    torch.testing.assert_close(network(sequence).y, 2 * usual)
    torch.testing.assert_close(draw_points(network, *args).outputs[:, 0], 2 * before[:, 0], rtol=1e-4, atol=1e-5)


def test_hooks_are_called():
    network, calls = network_of("prediction", 0), []
    x = torch.zeros(2, 3)
    args = network.initial_state(x), x, torch.stack([random_draws(5, torch.Generator().manual_seed(i)) for i in (0, 1)])
    network.output.register_forward_hook(lambda *told: calls.append(told))
    network(torch.randn(4, 2, 3)), draw_points(network, *args)
    assert len(calls) == 1 + 2 * 5  # a line after the other


@needs_compiler
def test_what_is_of_another_network_is_refused_before_anything_is_read():
    network = network_of("synthesis", 0)
    state, x, draws, bias, text = arguments(network, 3, 5, 2)
    other = network_of("synthesis", 0, cells=9).initial_state(x)
    wrong = [
        (other, x, draws, text),
        (network.initial_state(x[:1]), x, draws, text),
        (map_state(torch.Tensor.double, state), x, draws, text),
        (state, x, torch.cat([draws, draws], -1), text),
        (state, x, draws[..., :2], text),
        (state, x, draws, text._replace(index=text.index.int())),
        (state, x, draws, text._replace(mask=2 * text.mask)),
    ]
    for start, points, numbers, words in wrong:
        with pytest.raises(ValueError):
            draw_points(network, start, points, numbers, bias, words)
