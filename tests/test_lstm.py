"""The LSTM layer: the paper's equations by hand, the fast pass against the plain one, and what is refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb.backend_torch import product
from graves_nb.contracts import only_backends
from graves_nb.lstm import LSTMState, PeepholeLSTM, clip_derivative, lstm_cell
from graves_nb.sequence import product_dtype

torch.set_num_threads(1)
sizes = st.tuples(*[st.integers(1, 4)] * 4)  # time, batch, input, hidden
clips = st.sampled_from([None, 10.0, 0.02])


def make(time, batch, n_in, hidden, clip=None, dtype=torch.float64, seed=0):
    "A layer with nothing at zero, and inputs and a state for it."
    torch.manual_seed(seed)
    layer = PeepholeLSTM(n_in, hidden, clip=clip).to(dtype)
    for weight in layer.parameters():
        torch.nn.init.normal_(weight)
    state = LSTMState(torch.randn(batch, hidden, dtype=dtype), torch.randn(batch, hidden, dtype=dtype))
    return layer, torch.randn(time, batch, n_in, dtype=dtype), state


def plain(layer, x, state):
    outputs = []
    for row in x:
        state = layer.step(row, state)
        outputs.append(state.h)
    return torch.stack(outputs), state


def derivatives(layer, run, x, state):
    "By input, initial state and weights, of a sum that weighs every output and the last state differently."
    inputs = [v.clone().requires_grad_() for v in (x, *state)]
    h, last = run(inputs[0], LSTMState(*inputs[1:]))
    values = torch.cat([h.flatten(), last.h.flatten(), last.c.flatten()])
    loss = (values * torch.linspace(-3, 4, len(values)).to(x)).sum()
    return torch.autograd.grad(loss, [*inputs, *layer.parameters()])


# ---------------------------------------------------------------- the equations
def test_one_cell_by_hand():
    def s(a):
        return 1 / (1 + math.exp(-a))

    i = s(0.3 * 2.0 - 0.2 * 0.5 + 0.7 * -0.8 + 0.1)  # (7)
    f = s(-0.4 * 2.0 + 0.6 * 0.5 - 0.3 * -0.8 + 1.0)  # (8)
    c = f * -0.8 + i * math.tanh(0.9 * 2.0 + 0.5 * 0.5 - 0.2)  # (9)
    o = s(0.2 * 2.0 - 0.7 * 0.5 + 1.1 * c + 0.3)  # (10)
    layer = PeepholeLSTM(1, 1).double()
    rows = dict(weight_ih=[[0.3], [-0.4], [0.9], [0.2]], weight_hh=[[-0.2], [0.6], [0.5], [-0.7]])
    rows |= dict(peephole=[[0.7], [-0.3], [1.1]], bias=[0.1, 1.0, -0.2, 0.3])
    layer.load_state_dict({name: torch.tensor(values).double() for name, values in rows.items()})
    x, state = torch.tensor([[[2.0]]]).double(), LSTMState(*torch.tensor([[[0.5]], [[-0.8]]]).double())
    expected = [o * math.tanh(c), c]  # (11)
    for h, last in (layer(x, state), plain(layer, x, state)):
        assert [last.h.item(), last.c.item()] == pytest.approx(expected, rel=1e-6)
        assert torch.equal(h[-1], last.h)


def test_without_peepholes_it_is_torchs_lstm():
    layer, x, state = make(5, 3, 2, 4)
    layer.peephole.data.zero_()
    theirs = torch.nn.LSTM(2, 4).double()
    own = dict(weight_ih_l0=layer.weight_ih, weight_hh_l0=layer.weight_hh, bias_ih_l0=layer.bias)
    theirs.load_state_dict(own | dict(bias_hh_l0=torch.zeros(16)))
    h, (h_last, c_last) = theirs(x, (state.h[None], state.c[None]))
    torch.testing.assert_close(layer(x, state), (h, LSTMState(h_last[0], c_last[0])))


@settings(deadline=None)
@given(st.integers(1, 2000), st.integers(1, 2000))
def test_weights_are_counted_by_the_formula(n_in, hidden):
    with torch.device("meta"):
        layer = PeepholeLSTM(n_in, hidden)
    assert sum(p.numel() for p in layer.parameters()) == 4 * hidden * (n_in + hidden + 1) + 3 * hidden


def test_names_of_weights_are_those_of_saved_models():
    assert list(PeepholeLSTM(2, 3).state_dict()) == ["weight_ih", "weight_hh", "peephole", "bias"]


def test_only_forget_gates_start_with_a_bias():
    bias = PeepholeLSTM(2, 3, forget_bias=2.0).bias
    assert bias.tolist() == [0, 0, 0, 2, 2, 2, 0, 0, 0, 0, 0, 0]


# ---------------------------------------------------------------- derivatives
@pytest.mark.parametrize("limit", [None, 0.5])
def test_clipping_leaves_values_and_limits_derivatives(limit):
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = clip_derivative(x, limit)
    assert torch.equal(y, x)
    (y * torch.tensor([-4.0, 0.25, 4.0])).sum().backward()
    assert x.grad.tolist() == ([-4, 0.25, 4] if limit is None else [-0.5, 0.25, 0.5])


@settings(max_examples=25, deadline=None)
@given(sizes, clips, st.integers(0, 1000))
def test_fast_pass_equals_plain_steps(size, clip, seed):
    layer, x, state = make(*size, clip=clip, seed=seed)
    torch.testing.assert_close(layer(x, state), plain(layer, x, state))
    fast = derivatives(layer, layer, x, state)
    slow = derivatives(layer, lambda *inputs: plain(layer, *inputs), x, state)
    torch.testing.assert_close(fast, slow)


def test_the_small_clip_of_these_tests_is_felt():
    clipped, free = (
        derivatives(layer, layer, x, s) for layer, x, s in (make(4, 3, 2, 4, clip=c) for c in (0.02, None))
    )
    assert all((a - b).abs().max() > 0.1 for a, b in zip(clipped, free, strict=True))


@settings(max_examples=6, deadline=None)
@given(st.tuples(*[st.integers(1, 3)] * 4), st.integers(0, 1000))
def test_fast_pass_against_finite_differences(size, seed):
    layer, x, state = make(*size, seed=seed)
    weights = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    names = list(layer.state_dict())

    def run(x, h0, c0, *weights):
        inputs = (x, LSTMState(h0, c0))
        h, last = torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), inputs)
        return h, last.h, last.c

    assert torch.autograd.gradcheck(run, (*(v.requires_grad_() for v in (x, *state)), *weights))


@pytest.mark.parametrize("seed", range(3))
def test_plain_cell_against_finite_differences(seed):
    torch.manual_seed(seed)
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 12), (2, 3), (3, 3))]
    assert torch.autograd.gradcheck(lstm_cell, inputs)


def test_clip_bounds_what_reaches_the_input():
    layer, x, state = make(30, 2, 3, 8, clip=0.01)
    dx = derivatives(layer, layer, x, state)[0]
    assert 0 < dx.abs().max() <= 0.01 * layer.weight_ih.abs().sum(0).max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_derivatives_that_arrive_transposed_are_read_right(dtype):
    layer, x, _ = make(3, 2, 3, 4, dtype=dtype)
    v = torch.randn(2, 4, dtype=dtype)
    transposed = v.t().contiguous()
    results = []
    for loss in (
        lambda h, c: (c.t() * transposed).sum() + (h[1].t() * transposed).sum(),
        lambda h, c: ((c + h[1]) * v).sum(),
    ):
        h, last = layer(x)
        results.append(torch.autograd.grad(loss(h, last.c), list(layer.parameters())))
    torch.testing.assert_close(*results)


# ---------------------------------------------------------------- sequences
@settings(max_examples=15, deadline=None)
@given(st.integers(2, 6), st.data(), clips)
def test_chunks_with_carried_state_are_the_whole(time, data, clip):
    cut = data.draw(st.integers(1, time - 1))
    layer, x, state = make(time, 2, 3, 4, clip=clip)

    def chunked(x, state):
        first, between = layer(x[:cut], state)
        second, last = layer(x[cut:], between)
        return torch.cat([first, second]), last

    torch.testing.assert_close(chunked(x, state), layer(x, state))
    torch.testing.assert_close(derivatives(layer, chunked, x, state), derivatives(layer, layer, x, state))


def test_padding_changes_nothing():
    layer, x, _ = make(5, 1, 3, 4)
    padded = torch.cat([x, torch.randn(3, 1, 3).double()]).requires_grad_()
    long, short = layer(padded)[0][:5], layer(x)[0]
    torch.testing.assert_close(long, short, rtol=0, atol=0)
    long.sum().backward()
    assert not padded.grad[5:].any() and padded.grad[:5].any()


def test_lines_of_a_batch_do_not_see_each_other():
    layer, x, state = make(4, 3, 2, 4)
    for row in range(3):
        alone = layer(x[:, row : row + 1], LSTMState(*(v[row : row + 1] for v in state)))[0]
        torch.testing.assert_close(alone, layer(x, state)[0][:, row : row + 1])


def test_no_state_is_a_state_of_zeros():
    layer, x, _ = make(3, 2, 2, 4)
    zeros = torch.zeros(2, 4, dtype=torch.float64)
    torch.testing.assert_close(layer(x), layer(x, LSTMState(zeros, zeros)), rtol=0, atol=0)


def test_bf16_products_stay_close_to_fp32():
    torch.manual_seed(0)
    layer, x = PeepholeLSTM(8, 64), torch.randn(20, 4, 8)
    results = []
    for enabled in (True, False):
        layer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            assert product_dtype(x) == (torch.bfloat16 if enabled else torch.float32)
            h, _ = layer(x)
        h.square().mean().backward()
        results.append((h.detach(), *(p.grad.clone() for p in layer.parameters())))
    for narrow, exact in zip(*results, strict=True):
        assert narrow.dtype == torch.float32
        error = (narrow - exact).norm() / exact.norm()
        assert 0 < error < 0.02  # a factor is rounded by up to 1 part in 256


def test_products_of_narrow_factors_come_back_wide():
    a, b = torch.tensor([[257.0, 1.0]]), torch.tensor([[2.0], [0.0]])
    assert product(a, b, torch.float32).item() == 514
    out = torch.empty(1, 1)
    assert product(a, b.bfloat16(), torch.bfloat16, out=out) is out
    assert out.item() == 512 and out.dtype == torch.float32


# ---------------------------------------------------------------- refused
@pytest.mark.parametrize("wrong", [dict(input_size=0), dict(hidden_size=0), dict(clip=0.0), dict(clip=float("nan"))])
def test_impossible_layers_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        PeepholeLSTM(**(dict(input_size=2, hidden_size=3) | wrong))


@pytest.mark.parametrize("shape", [(4, 2, 3), (4, 2), (0, 1, 2)])
def test_impossible_inputs_are_refused(shape):
    with pytest.raises(ValueError, match=r"input must be \(time, batch, 2\)"):
        PeepholeLSTM(2, 3)(torch.zeros(shape))


def test_a_state_of_another_batch_is_refused():
    layer = PeepholeLSTM(2, 3)
    with pytest.raises(ValueError, match="state must hold"):
        layer(torch.zeros(4, 5, 2), layer.initial_state(torch.zeros(1, 2)))


def test_derivatives_of_a_layer_that_drops_candidates_are_those_of_finite_differences():
    torch.manual_seed(0)
    layer = PeepholeLSTM(2, 3, clip=None).double()
    x, h, c = (torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((4, 2, 2), (2, 3), (2, 3)))

    def run(x, h, c, *weights):
        with layer.dropping(0.4, torch.Generator().manual_seed(1)):
            named = dict(zip(dict(layer.named_parameters()), weights, strict=True))
            return torch.func.functional_call(layer, named, (x, LSTMState(h, c)))[0]

    for backends in (("torch",), ()):
        with only_backends(*backends):
            assert torch.autograd.gradcheck(run, (x, h, c, *layer.parameters()))


def test_dropped_candidates_are_a_share_of_all_and_what_is_left_makes_up_for_them():
    layer = PeepholeLSTM(1, 400)
    with torch.no_grad():
        layer.bias[:400] = 50.0  # everything is written, nothing is kept
        layer.bias[400:800] = -50.0
    x = torch.ones(50, 2, 1)
    with torch.no_grad(), only_backends():
        c = layer(x[:1])[1].c
        with layer.dropping(0.25, torch.Generator().manual_seed(0)):
            _, dropped = layer(x[:1])
    share = (dropped.c == 0).double().mean().item()
    assert abs(share - 0.25) < 0.05  # 800 of them: three deviations
    kept = dropped.c != 0
    torch.testing.assert_close(dropped.c[kept], c[kept] / 0.75)
    assert layer.dropped is None
    with pytest.raises(RuntimeError), layer.dropping(0.25, torch.Generator()):
        raise RuntimeError
    assert layer.dropped is None and layer.equations == PeepholeLSTM.equations
