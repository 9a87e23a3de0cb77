"""The mixture density output: densities by hand, derivatives in closed form, bias, samples, and what is refused."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb.mixture import (
    component_log_density,
    log1m_tanh2,
    log_density,
    mixture_loss,
    mixture_loss_plain,
    mixture_mean,
    mixture_mode,
    random_draws,
    sample_mixture,
    split_outputs,
)

torch.set_num_threads(1)


def pack(end, *components):
    "Outputs from ehat and a (pihat, muhat1, muhat2, sigmahat1, sigmahat2, rhohat) for each Gaussian."
    return torch.tensor([end, *itertools.chain(*zip(*components, strict=True))], dtype=torch.float64)


TWO = pack(0.4, (0.3, 0.5, -1.0, 0.2, -0.3, 0.6), (-0.5, -1.5, 0.5, -0.4, 0.5, -1.1))


def make(shape, mixtures, seed=0):
    "Outputs and targets, as random as they come."
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(*shape, 1 + 6 * mixtures, generator=generator, dtype=torch.float64)
    x = torch.randn(*shape, 3, generator=generator, dtype=torch.float64)
    x[..., 2] = (x[..., 2] > 0.5).double()
    return y, x


def by_the_papers_letters(y, x):
    "Density (23)-(25) and derivatives (27)-(37) of one point, with plain numbers."
    m = (len(y) - 1) // 6
    ehat, rest = y[0], [y[1 + i * m : 1 + (i + 1) * m] for i in range(6)]
    e = 1 / (1 + math.exp(ehat))  # (18)
    total = sum(map(math.exp, rest[0]))
    gammas, blocks = [], []
    for pihat, mu1, mu2, s1, s2, rhohat in zip(*rest, strict=True):
        pi, s1, s2, rho = math.exp(pihat) / total, math.exp(s1), math.exp(s2), math.tanh(rhohat)  # (19)-(22)
        z1, z2 = (x[0] - mu1) / s1, (x[1] - mu2) / s2
        z, c = z1**2 + z2**2 - 2 * rho * z1 * z2, 1 / (1 - rho**2)  # (25), (37)
        gammas.append(pi * math.exp(-z * c / 2) / (2 * math.pi * s1 * s2 * math.sqrt(1 - rho**2)))  # (24), (28)
        tilt1, tilt2 = c * (z1 - rho * z2), c * (z2 - rho * z1)
        blocks.append([tilt1 / s1, tilt2 / s2, tilt1 * z1 - 1, tilt2 * z2 - 1, z1 * z2 + rho * (1 - c * z)])
    density = sum(gammas)
    gammas = [g / density for g in gammas]  # (29)
    weights = [math.exp(pihat) / total - g for pihat, g in zip(rest[0], gammas, strict=True)]
    others = [-g * block[i] for i in range(5) for g, block in zip(gammas, blocks, strict=True)]
    return density * (e if x[2] else 1 - e), [x[2] - e, *weights, *others]


# ---------------------------------------------------------------- densities
@pytest.mark.parametrize("point", [(0.0, 0.0, 0.0), (0.7, -1.2, 1.0), (-2.0, 3.0, 0.0)])
def test_density_and_derivatives_by_the_papers_letters(point):
    density, expected = by_the_papers_letters(TWO.tolist(), point)
    y, x = TWO.clone().requires_grad_(), torch.tensor(point).double()
    assert log_density(split_outputs(TWO), x).item() == pytest.approx(math.log(density), rel=1e-6)
    loss = mixture_loss(y, x)
    loss.backward()
    assert loss.item() == pytest.approx(-math.log(density), rel=1e-6)
    assert y.grad.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_without_correlation_it_is_a_product_of_normals():
    p = split_outputs(pack(0.0, (0.0, 1.0, -2.0, 0.5, -0.5, 0.0)))
    x = torch.randn(20, 2, dtype=torch.float64)
    normals = torch.exp(-0.5 * ((x - p.means[0]) / p.stds[0]) ** 2) / (p.stds[0] * math.sqrt(2 * math.pi))
    torch.testing.assert_close(component_log_density(p, x)[:, 0].exp(), normals.prod(-1))


@pytest.mark.parametrize("seed", range(3))
def test_density_integrates_to_one(seed):
    y, _ = make((), 4, seed)
    y[13:] = y[13:].clamp(-1, 1)  # as wide and as tilted as this grid can resolve
    line = torch.linspace(-25, 25, 501, dtype=torch.float64)
    plane = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1)
    p = split_outputs(y)
    density = torch.logsumexp(p.log_weights + component_log_density(p, plane), -1).exp()
    assert density.sum().item() * 0.1**2 == pytest.approx(1, abs=1e-6)
    flags = [log_density(p, torch.tensor([0.1, 0.2, flag]).double()).exp() for flag in (0, 1)]
    at = torch.logsumexp(p.log_weights + component_log_density(p, torch.tensor([0.1, 0.2]).double()), -1).exp()
    torch.testing.assert_close(sum(flags), at)


@settings(deadline=None)
@given(st.floats(-30, 30))
def test_log1m_tanh2_is_exact(r):
    assert log1m_tanh2(torch.tensor(r, dtype=torch.float64)).item() == pytest.approx(
        -2 * math.log(math.cosh(r)), abs=1e-12
    )


@settings(deadline=None)
@given(st.floats(-15, 15), st.floats(-50, 50), st.floats(-50, 50))
def test_no_point_is_denser_than_the_mean(rho_hat, x1, x2):
    p = split_outputs(pack(0.0, (0.0, 0.0, 0.0, 0.0, 0.0, rho_hat)).float())
    at, mean = component_log_density(p, torch.tensor([[x1, x2], [0.0, 0.0]]))[:, 0]
    assert at <= mean


# ---------------------------------------------------------------- the loss
@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 3), max_size=3), st.integers(1, 5), st.integers(0, 999))
def test_closed_form_equals_autograd(shape, mixtures, seed):
    y, x = make(shape, mixtures, seed)
    weight, y = torch.randn(shape, dtype=torch.float64), y.requires_grad_()
    losses = mixture_loss(y, x), mixture_loss_plain(y, x)
    assert losses[0].shape == tuple(shape)
    torch.testing.assert_close(*losses)
    closed, auto = (torch.autograd.grad((loss * weight).sum(), y)[0] for loss in losses)
    torch.testing.assert_close(closed, auto, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("mixtures", [1, 3])
def test_closed_form_against_finite_differences(mixtures):
    y, x = make((2, 2), mixtures)
    assert torch.autograd.gradcheck(lambda y: mixture_loss(y, x), y.requires_grad_())


@pytest.mark.parametrize("rho_hat, log_std", [(30, 0), (-30, 0), (0, 15), (0, -15), (8, -4), (-8, 4)])
def test_extreme_outputs_are_finite_in_single_precision(rho_hat, log_std):
    y = pack(50.0, (0.0, 0.5, 0.5, log_std, log_std, rho_hat), (-80.0, -0.5, 0.5, log_std, 0.0, -rho_hat))
    x = torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    results = []
    for dtype in (torch.float32, torch.float64):
        leaf = y.to(dtype).expand(3, -1).clone().requires_grad_()
        loss = mixture_loss(leaf, x.to(dtype))
        loss.sum().backward()
        assert loss.isfinite().all() and leaf.grad.isfinite().all()
        results.append(loss.detach().double())
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


wild = st.floats(-60, 60, width=32)
places = st.floats(-10, 10, width=32)


def in_both(y, x):
    "Losses and derivatives in single precision, and those in double precision of the same numbers."
    for dtype in (torch.float32, torch.float64):
        leaf = y.detach().to(dtype, copy=True).requires_grad_()
        loss = mixture_loss(leaf, x.to(dtype))
        loss.sum().backward()
        yield loss.detach(), leaf.grad


@settings(max_examples=200, deadline=None)
@given(wild, wild, wild, wild, st.booleans(), st.floats(-1e4, 1e4, width=32), st.floats(-1e4, 1e4, width=32))
def test_whatever_the_outputs_nothing_is_nan_or_endless(pi, s1, s2, rho, on_it, x1, x2):
    mean = (x1, x2) if on_it else (0.5, -0.25)
    for others in ([], [(0.0, 0.0, 0.0, 1.0, 1.0, 0.5)]):
        y = pack(0.0, (pi, *mean, s1, s2, rho), *others).float()
        x = torch.tensor([x1, x2, 1.0])
        (loss, grad), (exact, _) = in_both(y, x)
        assert loss.isfinite() and grad.isfinite().all()
        if others or on_it or exact < 1e30 and rho == 0:
            torch.testing.assert_close(loss.double(), exact, rtol=1e-4, atol=1e-4)
        p = split_outputs(y)
        assert component_log_density(p, x[:2]).isfinite().all() and log_density(p, x).isfinite()
        assert sample_mixture(split_outputs(y[None]), torch.tensor([[0.3, 0.2, 1.5, -1.5]])).isfinite().all()


@settings(max_examples=200, deadline=None)
@given(st.floats(-60, -20, width=32), st.floats(-60, 60, width=32), st.booleans(), places, places)
def test_a_gaussian_that_is_far_off_has_no_part_in_the_derivatives(log_std, rho, on_a_diagonal, x1, x2):
    x2 = x1 if on_a_diagonal else x2
    far = (0.3, x1 + 3.0, x2 - 2.0, log_std, log_std, rho)
    y, x = pack(0.4, (0.1, 1.0, -2.0, 0.5, 1.5, 0.7), far).float(), torch.tensor([x1, x2, 0.0])
    (loss, grad), (exact, by) = in_both(y, x)
    torch.testing.assert_close((loss.double(), grad.double()), (exact, by), rtol=1e-4, atol=1e-4)
    assert (grad[[4, 6, 8, 10, 12]] == 0).all()


@settings(max_examples=100, deadline=None)
@given(wild, st.floats(-3, 3), st.floats(-3, 3))
def test_near_a_gaussian_of_any_tilt_derivatives_are_right(rho, along, across):
    "Points some standard deviations along the diagonals, where single precision has nothing to cancel."
    a, b = ((2 / (1 + math.exp(2 * sign * rho))) ** 0.5 for sign in (1, -1))
    for z in (a * across, -a * across), (b * along, b * along):
        y, x = pack(0.4, (0.0, 0.0, 0.0, 0.0, 0.0, rho)).float(), torch.tensor([*z, 0.0])
        (loss, grad), (exact, by) = in_both(y, x)
        torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(grad.double(), by, rtol=1e-4, atol=1e-4)


def test_without_a_distribution_there_is_no_point():
    draws = torch.tensor([[0.3, 0.2, 1.5, -1.5]])
    for place in (0, 1, 2):
        y = TWO.clone()[None]
        y[0, place] = math.nan
        assert sample_mixture(split_outputs(y), draws).isnan().all()


@pytest.mark.parametrize("rho_hat, s1, s2", list(itertools.product((-30.0, 30.0), (-15.0, 15.0), (-15.0, 15.0))))
def test_all_extremes_together_are_finite_in_double_precision(rho_hat, s1, s2):
    y = pack(0.0, (0.0, 0.0, 0.0, s1, s2, rho_hat)).requires_grad_()
    loss = mixture_loss(y, torch.tensor([2.0, -1.0, 1.0]).double())
    loss.backward()
    assert loss.isfinite() and y.grad.isfinite().all()


def test_a_large_ehat_means_that_the_stroke_goes_on():
    going_on, ending = split_outputs(pack(40.0, (0,) * 6)), split_outputs(pack(-40.0, (0,) * 6))
    assert going_on.end_of_stroke < 1e-15 and ending.end_of_stroke == 1
    assert log_density(going_on, torch.tensor([0.0, 0.0, 1.0]).double()) == pytest.approx(
        -math.log(2 * math.pi) - 40, rel=1e-12
    )


# ---------------------------------------------------------------- outputs and bias
def test_blocks_of_outputs_are_where_saved_models_have_them():
    p = split_outputs(torch.arange(13.0))
    assert p.end_logit == 0
    torch.testing.assert_close(p.log_weights, torch.log_softmax(torch.tensor([1.0, 2.0]), 0))
    assert p.means.tolist() == [[3, 5], [4, 6]] and p.log_stds.tolist() == [[7, 9], [8, 10]]
    assert p.rho_hat.tolist() == [11, 12]


@pytest.mark.parametrize("n", [0, 1, 6, 8, 120])
def test_other_numbers_of_outputs_are_refused(n):
    with pytest.raises(ValueError, match=f"1 \\+ 6 M, got {n}"):
        split_outputs(torch.zeros(2, n))


@pytest.mark.parametrize("bias", [-0.1, float("nan"), float("-inf"), float("inf")])
def test_impossible_bias_is_refused(bias):
    with pytest.raises(ValueError, match="bias must be"):
        split_outputs(TWO, bias)


@settings(deadline=None)
@given(st.floats(0, 10))
def test_bias_by_equations_61_and_62(bias):
    p, biased = split_outputs(TWO), split_outputs(TWO, bias)
    torch.testing.assert_close(biased.stds, p.stds * math.exp(-bias))
    weights = p.weights ** (1 + bias)
    torch.testing.assert_close(biased.weights, weights / weights.sum())
    for name in ("end_logit", "means", "rho_hat"):
        assert torch.equal(getattr(biased, name), getattr(p, name))


def test_boundless_bias_writes_the_mode():
    y, _ = make((50,), 20)
    x = sample_mixture(split_outputs(y, bias=1e4), random_draws(50, torch.Generator().manual_seed(0)))
    mode = mixture_mode(split_outputs(y))
    heaviest = y[:, 1:21].argmax(-1)
    assert torch.equal(mode, torch.stack([y[:, 21:41], y[:, 41:61]], -1)[torch.arange(50), heaviest])
    torch.testing.assert_close(x[:, :2], mode)


# ---------------------------------------------------------------- samples
def test_samples_have_the_mixtures_mean_covariance_and_coin():
    n, p = 40_000, split_outputs(TWO)
    draws = random_draws(n, torch.Generator().manual_seed(0)).double()
    x = sample_mixture(split_outputs(TWO.expand(n, -1)), draws)
    mean = mixture_mean(p)
    covariance = torch.zeros(2, 2, dtype=torch.float64)
    for pi, mu, (s1, s2), rho in zip(p.weights, p.means, p.stds, p.correlations, strict=True):
        inner = torch.stack([torch.stack([s1 * s1, rho * s1 * s2]), torch.stack([rho * s1 * s2, s2 * s2])])
        covariance += pi * (inner + torch.outer(mu - mean, mu - mean))
    deviations = x[:, :2] - mean
    products = torch.einsum("ni,nj->nij", deviations, deviations)
    for ours, expected in ((deviations, 0), (products, covariance), (x[:, 2], p.end_of_stroke)):
        standard_error = ours.std(0) / n**0.5
        assert ((ours.mean(0) - expected).abs() < 4 * standard_error).all()


def test_samples_follow_the_density():
    n = 40_000
    draws = random_draws(n, torch.Generator().manual_seed(1)).double()
    x = sample_mixture(split_outputs(TWO.expand(n, -1)), draws)
    line = torch.arange(-2, 2, 0.02, dtype=torch.float64) + 0.01
    cell = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1)
    p = split_outputs(TWO)
    density = torch.logsumexp(p.log_weights + component_log_density(p, cell), -1).exp() * 0.02**2
    for half in (slice(0, 100), slice(100, 200)):  # x1 in [-2, 0] and in [0, 2], x2 in [-2, 2]
        expected = density[half].sum()
        low, high = line[half][0] - 0.01, line[half][-1] + 0.01
        inside = (x[:, 0] > low) & (x[:, 0] < high) & (x[:, 1].abs() < 2)
        assert abs(inside.double().mean() - expected) < 4 * (expected * (1 - expected) / n) ** 0.5


def test_the_same_seed_draws_the_same_numbers():
    a, b, c = (random_draws(50, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert a.shape == (50, 4) and torch.equal(a, b) and not torch.equal(a, c)
    assert (a[:, :2] >= 0).all() and (a[:, :2] < 1).all()


def test_a_line_does_not_depend_on_its_batch():
    y, _ = make((6,), 3)
    draws = random_draws(6, torch.Generator().manual_seed(0)).double()
    together = sample_mixture(split_outputs(y), draws)
    alone = torch.cat([sample_mixture(split_outputs(y[i : i + 1]), draws[i : i + 1]) for i in range(6)])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("u, expected", [(0.0, 0), (0.49, 0), (0.51, 1), (1 - 2**-24, 1)])
def test_the_first_uniform_chooses_the_component(u, expected):
    y = pack(0.0, (0.0, -5.0, 0.0, 0.0, 0.0, 0.0), (0.0, 5.0, 0.0, 0.0, 0.0, 0.0)).float()
    x = sample_mixture(split_outputs(y[None]), torch.tensor([[u, 0.5, 0.0, 0.0]]))
    assert x[0, 0] == (-5, 5)[expected]


def test_the_mean_has_the_least_expected_squared_error():
    y, _ = make((), 3)
    p = split_outputs(y)
    p = p._replace(means=p.means.clone())

    def expected_error(point):
        return (p.weights * ((p.means - point).square().sum(-1) + p.stds.square().sum(-1))).sum()

    mean = mixture_mean(p).requires_grad_()
    (slope,) = torch.autograd.grad(expected_error(mean), mean)
    torch.testing.assert_close(slope, torch.zeros(2).double())
    assert all(expected_error(mean) < expected_error(mean + 0.1 * torch.randn(2)) for _ in range(10))
