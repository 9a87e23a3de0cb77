"""The prediction network: fast = plain = finite differences, a hand-computed step, chunks, padding, counts."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb.lstm import LSTMState
from graves_nb.mixture import mixture_loss
from graves_nb.prediction import PredictionConfig, PredictionNetwork, PredictionState
from graves_nb.training import count_weights

torch.set_num_threads(1)
F64 = torch.float64


def make(hidden=4, layers=2, clip=None, seed=0, **keywords):
    torch.manual_seed(seed)
    config = PredictionConfig(
        hidden_size=hidden, n_layers=layers, n_mixtures=2, lstm_clip=clip, output_clip=clip, **keywords
    )
    network = PredictionNetwork(config).to(F64)
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return network


def random_offsets(steps, batch):
    x = torch.randn(steps, batch, 3, dtype=F64)
    x[..., 2] = (x[..., 2] > 0).to(F64)
    return x


def random_state(network, batch):
    "A state in the middle of a line, and its tensors."
    size, layers = network.config.hidden_size, network.config.n_layers
    leaves = [torch.randn(batch, size, dtype=F64, requires_grad=True) for _ in range(2 * layers)]
    return as_state(leaves), leaves


def as_state(leaves):
    return PredictionState(tuple(LSTMState(*leaves[i : i + 2]) for i in range(0, len(leaves), 2)))


def step_by_step(network, x, state):
    outputs = []
    for row in x:
        y, state, _ = network.step(row, state)
        outputs.append(y)
    return torch.stack(outputs), state, None


def total(y, state, _, x):
    "A scalar that depends on all outputs and on the whole last state."
    loss = mixture_loss(y[:-1], x[1:]).sum() if len(y) > 1 else y.square().sum()
    return loss + sum(t.square().sum() for layer in state.layers for t in layer)


def test_one_step_of_two_layers_by_hand():
    network = make(hidden=1, layers=2, input_size=1, head=1)
    for p in network.parameters():
        torch.nn.init.constant_(p, 0.5)

    def sigmoid(v):
        return 1 / (1 + math.exp(-v))

    def cell(*inputs):
        before = 0.5 * sum(inputs) + 0.5  # and a memory that is empty
        c = sigmoid(before) * math.tanh(before)
        return sigmoid(before + 0.5 * c) * math.tanh(c)

    first = cell(2.0)
    second = cell(2.0, first)  # the input is seen by both layers
    y, state, _ = network.step(torch.tensor([[2.0]], dtype=F64), network.initial_state(torch.zeros(1, 1, dtype=F64)))
    assert y.item() == pytest.approx(0.5 * first + 0.5 * second + 0.5, abs=1e-12)  # and both are seen by the output
    assert [layer.h.item() for layer in state.layers] == pytest.approx([first, second], abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 6),
    batch=st.integers(1, 3),
    layers=st.integers(1, 3),
    clip=st.sampled_from([None, 0.02]),
    seed=st.integers(0, 99),
)
def test_fast_pass_equals_the_plain_one(steps, batch, layers, clip, seed):
    network = make(layers=layers, clip=clip, seed=seed)
    x = random_offsets(steps, batch).requires_grad_()
    state, leaves = random_state(network, batch)
    inputs = [x, *leaves, *network.parameters()]
    fast, plain = network(x, state=state), step_by_step(network, x, state)
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-10)
    ours, theirs = (torch.autograd.grad(total(*result, x.detach()), inputs) for result in (fast, plain))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-7)


def test_derivatives_agree_with_finite_differences():
    network = make(hidden=2, layers=2)
    x, (_, leaves) = random_offsets(3, 2), random_state(network, 2)
    weights = list(network.named_parameters())

    def loss(x, *tensors):
        values = dict(zip((name for name, _ in weights), tensors[4:], strict=True))
        y, last, _ = torch.func.functional_call(network, values, (x, None, as_state(tensors[:4])))
        return total(y, last, None, targets)

    targets = x.clone()
    inputs = [x.requires_grad_(), *leaves, *(p.detach().clone().requires_grad_() for _, p in weights)]
    assert torch.autograd.gradcheck(loss, inputs, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(steps=st.integers(2, 9), cuts=st.sets(st.integers(1, 8), max_size=3), seed=st.integers(0, 99))
def test_chunks_with_carried_state_equal_the_whole(steps, cuts, seed):
    network, x = make(seed=seed), random_offsets(steps, 2)
    whole, last, _ = network(x)
    state, parts = None, []
    for start, stop in pairwise([0, *sorted(c for c in cuts if c < steps), steps]):
        y, state, _ = network(x[start:stop], state=state)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-10)
    torch.testing.assert_close(state, last, rtol=0, atol=1e-10)


def test_padding_changes_nothing():
    network, x = make(), random_offsets(5, 2)
    beside = torch.cat([x, random_offsets(5, 1)], dim=1)
    padded = torch.cat([beside, torch.zeros(3, 3, 3, dtype=F64)])
    short, long = network(x)[0], network(padded)[0][:5, :2]
    torch.testing.assert_close(long, short, rtol=0, atol=1e-12)
    grads = [torch.autograd.grad(mixture_loss(y[:4], x[1:]).sum(), list(network.parameters())) for y in (short, long)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_a_softmax_network_predicts_a_distribution_and_its_derivatives_are_right():
    network = make(input_size=5, head="softmax", hidden=3)
    symbols = torch.randint(0, 5, (6, 2))
    x = torch.cat([torch.zeros(1, 2, 5, dtype=F64), F.one_hot(symbols[:-1], 5).to(F64)])
    y = network(x).y
    assert y.shape == (6, 2, 5)
    plain, *_ = step_by_step(network, x, network.initial_state(x))
    losses = [F.cross_entropy(z.flatten(0, 1), symbols.flatten()) for z in (y, plain)]
    ours, theirs = (torch.autograd.grad(loss, list(network.parameters())) for loss in losses)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_bf16_products_stay_close():
    torch.manual_seed(0)
    network, x = PredictionNetwork(PredictionConfig(hidden_size=32)), torch.randn(20, 2, 3)
    exact = network(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        narrow = network(x)[0].float()
    assert not torch.equal(exact, narrow)
    assert (exact - narrow).abs().max() < 0.05
    narrow.sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in network.parameters())


def test_clips_bound_what_flows_back_at_every_step():
    x, gradients = random_offsets(6, 2), []
    for clip in (None, 1e-6):
        network = make(clip=clip)
        loss = mixture_loss(network(x)[0][:-1], x[1:]).sum()
        gradients.append(torch.autograd.grad(loss, [network.output.bias, network.layers[0].bias]))
    for loose, tight in zip(*gradients, strict=True):  # biases add up one derivative a step and line
        assert loose.abs().max() > 1e-3 and 0 < tight.abs().max() <= 6 * 2 * 1e-6 * 1.001


def test_the_output_has_a_clip_of_its_own():
    network = PredictionNetwork(PredictionConfig(hidden_size=3, n_mixtures=1, lstm_clip=None, output_clip=0.01))
    loss = 3 * network(torch.randn(4, 1, 3))[0].sum()
    (gradient,) = torch.autograd.grad(loss, network.output.bias)
    torch.testing.assert_close(gradient, torch.full((7,), 4 * 0.01))


@pytest.mark.parametrize(
    "config, weights",
    [
        (PredictionConfig(49, 1000, 1, "softmax"), 4_252_049),
        (PredictionConfig(10_000, 1000, 1, "softmax"), 54_017_000),
        (PredictionConfig(hidden_size=900, n_layers=1), 3_366_121),
        (PredictionConfig(), 3_368_121),
        (PredictionConfig(205, 700, 7, "softmax"), 30_537_005),
        (PredictionConfig(205, 700, 5, "softmax"), 21_252_205),
    ],
)
def test_weight_counts(config, weights):
    with torch.device("meta"):
        assert count_weights(PredictionNetwork(config)) == weights
    size, n, layers = config.input_size, config.hidden_size, config.n_layers
    first = 4 * n * (size + n) + 3 * n + 4 * n
    other = 4 * n * (size + 2 * n) + 3 * n + 4 * n
    assert weights == first + (layers - 1) * other + (n * layers + 1) * config.output_size


@pytest.mark.parametrize("name", ["input_size", "hidden_size", "n_layers", "n_mixtures"])
def test_sizes_are_checked(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        PredictionConfig(**{name: 0})


@pytest.mark.parametrize("head, said", [("linear", "'linear'"), (0, "output_size must be at least 1"), (None, "None")])
def test_heads_are_checked(head, said):
    with pytest.raises(ValueError, match=said):
        PredictionConfig(head=head)


@pytest.mark.parametrize("shape", [(4, 2, 2), (4, 3), (0, 2, 3)])
def test_wrong_input_is_refused(shape):
    with pytest.raises(ValueError, match=r"inputs must be \(time, batch, 3\)"):
        make()(torch.zeros(shape, dtype=F64))
