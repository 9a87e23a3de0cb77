"""The synthesis network: fast = plain = finite differences, chunks, padding, counts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb.alphabet import TextBatch
from graves_nb.lstm import LSTMState
from graves_nb.mixture import mixture_loss
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork, SynthesisState
from graves_nb.training import count_weights
from graves_nb.window import WindowState

torch.set_num_threads(1)
F64 = torch.float64


def make(n_chars=5, hidden=4, layers=2, window=2, clip=None, seed=0):
    torch.manual_seed(seed)
    config = SynthesisConfig(
        n_chars, hidden, layers, n_mixtures=2, n_window=window, lstm_clip=clip, output_clip=clip, points_per_char=2.0
    )
    network = SynthesisNetwork(config).to(F64)
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return network


def random_input(network, steps, batch, chars):
    x = torch.randn(steps, batch, 3, dtype=F64)
    x[..., 2] = (x[..., 2] > 0).to(F64)
    lengths = torch.randint(1, chars + 1, (batch,))
    lengths[0] = chars
    mask = (torch.arange(chars) < lengths[:, None]).to(F64)
    return x, TextBatch(torch.randint(0, network.config.n_chars, (batch, chars)), mask)


def random_state(network, batch):
    "A state in the middle of a line, and its tensors."
    c = network.config
    leaves = [torch.randn(batch, c.hidden_size, dtype=F64, requires_grad=True) for _ in range(2 * c.n_layers)]
    kappa = torch.rand(batch, c.n_window, dtype=F64, requires_grad=True)
    w = torch.rand(batch, c.n_chars, dtype=F64, requires_grad=True)
    layers = tuple(LSTMState(*leaves[2 * i : 2 * i + 2]) for i in range(c.n_layers))
    return SynthesisState(layers, WindowState(kappa, w)), [*leaves, kappa, w]


def step_by_step(network, x, text, state):
    outputs = []
    for row in x:
        y, state, window = network.step(row, state, text)
        outputs.append(y)
    return torch.stack(outputs), state, window


def total(y, state, x):
    "A scalar that depends on all outputs and on the whole last state."
    loss = mixture_loss(y[:-1], x[1:]).sum() if len(y) > 1 else y.square().sum()
    loss = loss + sum(t.square().sum() for layer in state.layers for t in layer)
    return loss + state.window.kappa.square().sum() + state.window.w.pow(3).sum()


shapes = dict(
    steps=st.integers(1, 6), batch=st.integers(1, 3), chars=st.integers(1, 5), layers=st.integers(1, 3),
    window=st.integers(1, 3), clip=st.sampled_from([None, 0.02]), seed=st.integers(0, 99),
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(**shapes)
def test_fast_pass_equals_the_plain_one(steps, batch, chars, layers, window, clip, seed):
    network = make(layers=layers, window=window, clip=clip, seed=seed)
    x, text = random_input(network, steps, batch, chars)
    state, leaves = random_state(network, batch)
    inputs = [*leaves, *network.parameters()]
    fast, fast_state, fast_window = network(x, text, state)
    plain, plain_state, plain_window = step_by_step(network, x, text, state)
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-10)
    for ours, theirs in zip(fast_window, plain_window, strict=True):
        torch.testing.assert_close(ours[-1], theirs, rtol=0, atol=1e-10)
    ours = torch.autograd.grad(total(fast, fast_state, x), inputs)
    theirs = torch.autograd.grad(total(plain, plain_state, x), inputs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-7)


def test_derivatives_agree_with_finite_differences():
    network = make(hidden=3, layers=2)
    x, text = random_input(network, 4, 2, 3)
    state, leaves = random_state(network, 2)

    def loss(*tensors):
        layers = tuple(LSTMState(*tensors[2 * i : 2 * i + 2]) for i in range(2))
        y, last, _ = network(x, text, SynthesisState(layers, WindowState(*tensors[4:6])))
        return total(y, last, x)

    assert torch.autograd.gradcheck(loss, leaves, atol=1e-5)
    weights = dict(network.named_parameters())
    with torch.no_grad():
        start = {name: p.clone() for name, p in weights.items()}
    gradient = torch.autograd.grad(loss(*leaves), list(weights.values()))
    for (name, p), g in zip(weights.items(), gradient, strict=True):
        direction = torch.randn_like(p)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                p.copy_(start[name] + sign * 1e-6 * direction)
                values.append(loss(*leaves).item())
                p.copy_(start[name])
        assert (values[0] - values[1]) / 2e-6 == pytest.approx((g * direction).sum().item(), rel=1e-5, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(steps=st.integers(2, 8), cut=st.integers(1, 7), seed=st.integers(0, 99))
def test_chunks_with_carried_state_equal_the_whole(steps, cut, seed):
    network = make(seed=seed)
    x, text = random_input(network, steps, 2, 4)
    cut = min(cut, steps - 1)
    whole, last, _ = network(x, text)
    first, state, _ = network(x[:cut], text)
    second, end, _ = network(x[cut:], text, state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-10)
    torch.testing.assert_close(end.window.kappa, last.window.kappa, rtol=0, atol=1e-10)


def test_padding_of_text_and_time_changes_nothing():
    network = make()
    x, text = random_input(network, 5, 2, 3)
    longer = TextBatch(torch.cat([text.index, torch.ones(2, 4, dtype=torch.long)], 1), torch.zeros(2, 7, dtype=F64))
    longer.mask[:, :3] = text.mask
    padded = torch.cat([x, torch.zeros(3, 2, 3, dtype=F64)])
    short, long = network(x, text)[0], network(padded, longer)[0]
    torch.testing.assert_close(long[:5], short, rtol=0, atol=1e-12)
    grads = [torch.autograd.grad(mixture_loss(y[:4], x[1:]).sum(), list(network.parameters())) for y in (short, long)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_a_loss_without_the_window_or_the_last_state_can_be_derived():
    network = make()
    x, text = random_input(network, 3, 1, 2)
    network(x, text)[0].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_bf16_products_stay_close():
    torch.manual_seed(0)
    network = SynthesisNetwork(SynthesisConfig(n_chars=8, hidden_size=32, points_per_char=3.0))
    x, text = torch.randn(20, 2, 3), TextBatch(torch.randint(0, 8, (2, 5)), torch.ones(2, 5))
    exact = network(x, text)[0]
    with torch.autocast("cpu", torch.bfloat16):
        narrow = network(x, text)[0].float()
    assert not torch.equal(exact, narrow)
    assert (exact - narrow).abs().max() < 0.05
    narrow.sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in network.parameters())


def test_clip_bounds_what_flows_back_not_the_weights_gradients():
    loose, tight = make(clip=None), make(clip=1e-6)
    x, text = random_input(loose, 6, 2, 3)
    big, small = (
        torch.autograd.grad(mixture_loss(n(x, text)[0][:-1], x[1:]).sum(), n.layers[0].bias)[0] for n in (loose, tight)
    )
    assert big.abs().max() > 1e-3 and 0 < small.abs().max() <= 6 * 2 * 1e-6 * 1.001


@pytest.mark.parametrize("chars, weights", [(57, 3_653_751), (95, None)])
def test_weight_counts(chars, weights):
    n = 400
    first = 4 * n * (3 + chars + n) + 3 * n + 4 * n
    other = 4 * n * (3 + chars + 2 * n) + 3 * n + 4 * n
    expected = first + 2 * other + 30 * n + 30 + 121 * 3 * n + 121
    assert count_weights(SynthesisNetwork(SynthesisConfig(n_chars=chars))) == expected
    assert weights in (None, expected)


@pytest.mark.parametrize("name", ["n_chars", "hidden_size", "n_layers", "n_mixtures", "n_window"])
def test_sizes_are_checked(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        SynthesisConfig(**{name: 0})


def test_wrong_input_is_refused_before_it_reaches_compiled_code():
    network = make().float()
    x, text = torch.randn(3, 2, 3), TextBatch(torch.tensor([[0, 5], [1, 1]]), torch.ones(2, 2))
    with pytest.raises(ValueError, match="characters must be 0 to 4, got 0 to 5"):
        network(x, text)
    fine = TextBatch(torch.zeros(2, 2, dtype=torch.long), torch.ones(2, 2))
    for wrong_x, wrong_text in (
        (x[0], fine),
        (x[:0], fine),
        (x[..., :2], fine),
        (x[:, :1], fine),
        (x, TextBatch(fine.index, torch.ones(2, 3))),
        (x, TextBatch(fine.index[:, :0], fine.mask[:, :0])),
    ):
        with pytest.raises(ValueError, match="must be"):
            network(wrong_x, wrong_text)


def test_strides_of_texts_and_derivatives_do_not_matter():
    torch.manual_seed(0)
    network = SynthesisNetwork(SynthesisConfig(n_chars=5, hidden_size=6, n_mixtures=2, n_window=2, points_per_char=2.0))
    x, index = torch.randn(4, 3, 3), torch.randint(0, 5, (1, 4)).expand(3, 4)
    results = []
    for text in (TextBatch(index, torch.ones(1, 1).expand(3, 4)), TextBatch(index.clone(), torch.ones(3, 4))):
        y, state, _ = network(x, text)
        loss = (y.transpose(0, 1).contiguous().transpose(0, 1) * y.detach()).sum() + state.layers[
            0
        ].c.t().square().sum()
        results.append((y, torch.autograd.grad(loss, list(network.parameters()))))
    torch.testing.assert_close(results[0], results[1])
    plain, end, _ = step_by_step(network, x, text, network.initial_state(x))
    loss = (plain * plain.detach()).sum() + end.layers[0].c.square().sum()
    expected = torch.autograd.grad(loss, list(network.parameters()))
    torch.testing.assert_close(results[0][1], expected, rtol=1e-3, atol=1e-4)
