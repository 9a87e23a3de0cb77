"""The soft window: values by hand, derivatives in closed form, texts of different lengths."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb.alphabet import TextBatch
from graves_nb.backend_torch import window_backward_, window_forward_
from graves_nb.window import SoftWindow, WindowParameters, window_parameters, window_phi, window_vector

torch.set_num_threads(1)


def batch_of(*texts):
    return TextBatch.from_indices([torch.tensor(text) for text in texts])


def make(time, batch, gaussians, chars, symbols=5, seed=0):
    "Window outputs over time, derivatives by what is seen, and texts of different lengths."
    generator = torch.Generator().manual_seed(seed)
    p = torch.randn(time, batch, 3 * gaussians, generator=generator, dtype=torch.float64)
    dw = torch.randn(time, batch, symbols, generator=generator, dtype=torch.float64)
    lengths = [1 + (chars - 1) * row // max(batch - 1, 1) for row in range(batch - 1)] + [chars]
    text = TextBatch.from_indices([torch.randint(symbols, (n,), generator=generator) for n in lengths])
    return p, dw, text


def slide(p, kappa, text, symbols):
    "All that the window does over a sequence, by autograd's operations: positions and what is seen."
    kappas, seen = [], []
    for row in p:
        window = window_parameters(row, kappa)
        kappa = window.kappa
        kappas.append(kappa)
        seen.append(window_vector(window_phi(window, text.index.shape[1]), text, symbols))
    return torch.stack(kappas), torch.stack(seen)


# ---------------------------------------------------------------- values
def test_two_gaussians_over_three_characters_by_hand():
    a, b, k = (0.2, -0.5), (-1.0, 0.3), (-0.7, 0.4)  # ahat, bhat, khat
    kappa = [0.5 + math.exp(k[0]), 1.5 + math.exp(k[1])]  # (51)
    phi = [
        sum(math.exp(a[j]) * math.exp(-math.exp(b[j]) * (kappa[j] - u) ** 2) for j in (0, 1)) for u in (1, 2, 3)
    ]  # (46, 49, 50)
    p = torch.tensor([[*a, *b, *k]]).double()
    window = window_parameters(p, torch.tensor([[0.5, 1.5]]).double())
    assert window.kappa[0].tolist() == pytest.approx(kappa, rel=1e-6)
    assert window_phi(window, 3)[0].tolist() == pytest.approx(phi, rel=1e-6)
    w = window_vector(window_phi(window, 3), batch_of([3, 0, 3]), 4)  # (47)
    assert w[0].tolist() == pytest.approx([phi[1], 0, 0, phi[0] + phi[2]], rel=1e-6)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 99))
def test_phi_does_not_depend_on_how_far_it_is_asked_for(chars, gaussians, seed):
    torch.manual_seed(seed)
    window = WindowParameters(*torch.rand(3, 2, gaussians).double())
    torch.testing.assert_close(window_phi(window, chars + 3)[:, :chars], window_phi(window, chars))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(0, 99))
def test_the_window_only_moves_forward(time, batch, gaussians, chars, seed):
    p, _, text = make(time, batch, gaussians, chars, seed=seed)
    kappas, _ = slide(p, torch.zeros(batch, gaussians).double(), text, 5)
    assert (kappas.diff(dim=0, prepend=torch.zeros_like(kappas[:1])) > 0).all()


def test_what_stands_in_the_padding_is_not_seen():
    p, _, text = make(4, 3, 2, 5)
    start = torch.zeros(3, 2).double()
    dirty = text._replace(index=torch.where(text.mask > 0, text.index, 4))
    for ours, theirs in zip(slide(p, start, text, 5), slide(p, start, dirty, 5), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    alone = TextBatch(text.index[:1, : text.lengths[0]], text.mask[:1, : text.lengths[0]])
    torch.testing.assert_close(slide(p[:, :1], start[:1], alone, 5)[1], slide(p, start, text, 5)[1][:, :1])


# ---------------------------------------------------------------- derivatives
@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(0, 99))
def test_closed_form_equals_autograd(time, batch, gaussians, chars, seed):
    p, dw, text = make(time, batch, gaussians, chars, seed=seed)
    start = torch.rand(batch, gaussians).double().requires_grad_()
    p.requires_grad_()
    kappas, seen = slide(p, start, text, 5)
    dp_auto, dkappa_auto = torch.autograd.grad((seen * dw).sum(), (p, start))

    exponentials, positions = p.detach().clone(), [start.detach()]
    w = torch.zeros(time, batch, 5).double()
    mask = text.mask.double()
    for t in range(time):
        positions.append(torch.empty_like(positions[0]))
        window_forward_(exponentials[t], positions[t], positions[t + 1], text.index, mask, w[t])
    torch.testing.assert_close((torch.stack(positions[1:]), w), (kappas.detach(), seen.detach()))
    dp, dkappa = torch.empty_like(exponentials), torch.zeros_like(positions[0])
    for t in reversed(range(time)):
        parts = 0.25 * dw[t], 0.75 * dw[t]
        window_backward_(dp[t], dkappa, *parts, exponentials[t], positions[t + 1], text.index, mask)
    torch.testing.assert_close((dp, dkappa), (dp_auto, dkappa_auto), rtol=1e-6, atol=1e-12)


def test_derivatives_56_to_60_by_hand():
    a, b, k, before, dw = 0.3, -0.4, 0.1, 0.6, 1.7  # one Gaussian, one character, one step
    alpha, beta, kappa = math.exp(a), math.exp(b), before + math.exp(k)
    epsilon = alpha * math.exp(-beta * (kappa - 1) ** 2) * dw  # (56)
    by_kappa = 2 * beta * epsilon * (1 - kappa)  # (59), nothing comes from later
    expected = [epsilon, -beta * epsilon * (kappa - 1) ** 2, math.exp(k) * by_kappa]  # (57, 58, 60)
    p = torch.tensor([[a, b, k]], dtype=torch.float64, requires_grad=True)
    start = torch.tensor([[before]], dtype=torch.float64, requires_grad=True)
    seen = window_vector(window_phi(window_parameters(p, start), 1), batch_of([0]), 1)
    dp, dstart = torch.autograd.grad(dw * seen.sum(), (p, start))
    assert dp[0].tolist() == pytest.approx(expected, rel=1e-6)
    assert dstart.item() == pytest.approx(by_kappa, rel=1e-6)


# ---------------------------------------------------------------- the module
@settings(deadline=None)
@given(st.integers(1, 500), st.integers(1, 100), st.integers(1, 20))
def test_weights_are_counted_by_the_formula(n_in, symbols, gaussians):
    with torch.device("meta"):
        window = SoftWindow(n_in, symbols, gaussians)
    assert sum(p.numel() for p in window.parameters()) == 3 * gaussians * (n_in + 1)
    assert list(window.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("pace", [5.0, 20.0])
def test_the_first_pace_is_the_one_asked_for(pace):
    window, text = SoftWindow(3, 4, points_per_char=pace), batch_of([0, 1, 2, 3])
    h = torch.zeros(1, 3)
    state = window.initial_state(h)
    assert not state.kappa.any() and not state.w.any()
    for _ in range(int(2 * pace)):
        parameters, state = window.step(h, state, text)
    torch.testing.assert_close(state.kappa, torch.full((1, 10), 2.0))
    assert window_phi(parameters, 4).argmax() == 1
    assert parameters.alpha.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("wrong", [dict(points_per_char=0.0), dict(n_symbols=0), dict(n_gaussians=0)])
def test_impossible_windows_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        SoftWindow(**(dict(input_size=3, n_symbols=4) | wrong))
