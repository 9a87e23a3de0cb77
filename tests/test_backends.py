"""Every backend against the plain code, its oracle: outputs, states and all derivatives, at any size."""

import importlib
import os
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb.alphabet import TextBatch
from graves_nb.contracts import BACKENDS, find_backend, map_state, only_backends, state_tensors
from graves_nb.drawing import draw_points, draw_points_plain
from graves_nb.lstm import PeepholeLSTM
from graves_nb.mixture import MixtureHead
from graves_nb.noise import CandidateDropout
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork

torch.set_num_threads(1)
TYPES = {torch.float32: 2e-4, torch.float64: 1e-9}  # and how far sums in another order may lead
DEVICES = ["cpu", *["cuda"] * torch.cuda.is_available()]
pairs = [
    pytest.param(name, dtype, device, id=f"{name}-{dtype}-{device}".replace("torch.", ""))
    for name in BACKENDS
    for dtype in TYPES
    for device in DEVICES
    if importlib.import_module(BACKENDS[name]).BACKEND.serves(torch.zeros(1, dtype=dtype, device=device))
]
seeds = st.integers(0, 999)
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # by whoever runs this file: see tests/test_triton.py
FEW, LONG = (4, 4) if INTERPRETED else (12, 7)  # examples, and steps of the longest: it takes seconds for each


def network_of(kind, cells, layers, clip, dtype):
    if kind == "synthesis":
        sizes = dict(n_mixtures=2, n_window=3, lstm_clip=clip, output_clip=clip, points_per_char=2.0)
        network = SynthesisNetwork(SynthesisConfig(6, cells, layers, **sizes))
    elif kind == "ink":
        network = PredictionNetwork(PredictionConfig(3, cells, layers, n_mixtures=2, lstm_clip=clip))
    else:
        network = PredictionNetwork(PredictionConfig(7, cells, layers, "softmax", lstm_clip=clip, output_clip=None))
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return network.to(dtype)


def inputs_of(network, kind, steps, batch, dtype):
    if kind == "text":
        return torch.randint(-1, 7, (steps, batch)), None
    x = torch.randn(steps, batch, 3, dtype=dtype, requires_grad=True)
    if kind == "ink":
        return x, None
    index = torch.randint(6, (batch, 5))
    return x, TextBatch(index, (torch.arange(5) < torch.randint(1, 6, (batch, 1))).to(dtype))


def there(device, x, text):
    "Both on a device, as leaves."
    moved = x.detach().to(device).requires_grad_(x.requires_grad)
    return moved, None if text is None else TextBatch(*(t.to(device) for t in text))


def outputs_and_derivatives(network, x, text, state):
    "Everything that comes of a pass, and the derivatives of a sum that weighs it unevenly by all that went in."
    y, last, window = network(x, text, state)
    values = torch.cat([t.flatten() for t in (y, *state_tensors(last))])
    loss = (values * torch.linspace(-2, 3, len(values)).to(values)).sum()
    asked = [*state_tensors(state), *network.parameters(), *([x] if x.is_floating_point() and text is None else [])]
    parts = [values, *(p for p in window or ())]
    return [t.detach() for t in parts] + list(torch.autograd.grad(loss, asked))


def dropping(network, rate, seed):
    "Candidates left out by chance, the same for every backend."
    return CandidateDropout(network, rate).drawn(torch.Generator().manual_seed(seed)) if rate else nullcontext()


@pytest.mark.parametrize("name, dtype, device", pairs)
@pytest.mark.parametrize("kind", ["synthesis", "ink", "text"])
@settings(max_examples=FEW, deadline=None)
@given(
    steps=st.integers(1, LONG), batch=st.integers(1, 5), cells=st.integers(1, 20), layers=st.integers(1, 3),
    clip=st.sampled_from([None, 0.05]), rate=st.sampled_from([0.0, 0.4]), seed=seeds,
)  # fmt: skip
def test_a_sequence_is_what_the_plain_steps_make_of_it(
    name, dtype, device, kind, steps, batch, cells, layers, clip, rate, seed
):
    torch.manual_seed(seed)
    network = network_of(kind, cells, layers, clip, dtype).to(device)
    x, text = there(device, *inputs_of(network, kind, steps, batch, dtype))
    start = map_state(lambda t: torch.rand_like(t).requires_grad_(), network.initial_state(x[0]))
    found = []
    for backends in ((name,), ()):
        with only_backends(*backends), dropping(network, rate, seed):
            found.append(outputs_and_derivatives(network, x, text, start))
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=10 * TYPES[dtype], atol=TYPES[dtype])


@pytest.mark.parametrize("name, dtype, device", pairs)
@pytest.mark.parametrize("kind", ["synthesis", "ink"])
@settings(max_examples=10, deadline=None)
@given(lines=st.integers(1, 4), cells=st.integers(1, 20), layers=st.integers(1, 3), seed=seeds)
def test_drawing_is_what_the_plain_loop_draws(name, dtype, device, kind, lines, cells, layers, seed):
    torch.manual_seed(seed)
    network = network_of(kind, cells, layers, None, dtype).to(device)
    x, text = there(device, torch.zeros(lines, 3, dtype=dtype), inputs_of(network, kind, 1, lines, dtype)[1])
    chance = torch.Generator().manual_seed(seed)
    draws = torch.stack([network.head.draws(6, chance) for _ in range(lines)]).to(x)
    asked = network, network.initial_state(x), x, draws, 0.5, text
    with only_backends(name):
        drawn = draw_points(*asked)
    plain = draw_points_plain(*asked)
    torch.testing.assert_close(drawn.points, plain.points, rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(drawn.outputs, plain.outputs, rtol=1e-2, atol=1e-3)


def test_what_changes_its_equations_is_run_plainly():
    class Louder(PeepholeLSTM):
        "Its outputs are twice as large."

        def step(self, x, state, index=None):
            state = super().step(x, state, index)
            return state._replace(h=2 * state.h)

    class Blunt(MixtureHead):
        def sample(self, y, draws, bias=0.0):
            return torch.zeros(len(y), 3)

    layer, x = Louder(3, 4), torch.randn(5, 2, 3)
    assert find_backend(x, layer) is None and find_backend(x, PeepholeLSTM(3, 4)) is not None
    state = layer.initial_state(x)
    for row in x:
        state = layer.step(row, state)
    assert torch.equal(layer(x)[1].h, state.h)
    network = PredictionNetwork(PredictionConfig(hidden_size=4))
    network.head = Blunt(20)
    drawn = draw_points(network, network.initial_state(x[0]), x[0], torch.zeros(2, 3, 4))
    assert not drawn.points.any()


def test_weights_of_another_type_are_not_served():
    layer = PeepholeLSTM(3, 4).double()
    assert (
        find_backend(torch.zeros(2, 3), layer) is None and find_backend(torch.zeros(2, 3).double(), layer) is not None
    )


def test_candidates_are_dropped_by_whatever_serves_the_layer():
    layer, x = PeepholeLSTM(3, 5), torch.zeros(2, 1, 3)
    usual = find_backend(x, layer)
    with layer.dropping(0.5, torch.Generator().manual_seed(0)):
        assert find_backend(x, layer) is usual is not None
    assert find_backend(x, layer) is usual
