"""Weight noise: what is drawn and put back, the cost of the weights, gradients against Monte Carlo."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Normal, kl_divergence

from graves_nb.alphabet import TextBatch
from graves_nb.noise import AdaptiveWeightNoise, WeightNoise
from graves_nb.optim import GateMuon, split_weights
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork

torch.set_num_threads(1)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def networks():
    torch.manual_seed(0)
    yield nn.Linear(5, 3)
    yield PredictionNetwork(PredictionConfig(hidden_size=6, n_layers=2, n_mixtures=2))
    yield SynthesisNetwork(SynthesisConfig(n_chars=4, hidden_size=6, n_layers=2, n_mixtures=2, n_window=2))


def outputs(network):
    if isinstance(network, nn.Linear):
        return network(torch.ones(2, 5))
    x = torch.randn(7, 2, 3, generator=seeded(1))
    if isinstance(network, PredictionNetwork):
        return network(x)[0]
    return network(x, TextBatch.from_indices([torch.tensor([0, 1, 2]), torch.tensor([3])]))[0]


@pytest.mark.parametrize("kind", [WeightNoise, AdaptiveWeightNoise])
@pytest.mark.parametrize("network", list(networks()), ids=lambda n: type(n).__name__)
def test_a_draw_moves_every_weight_and_is_undone_to_the_bit(kind, network):
    noise, before = kind(network), [w.detach().clone() for w in network.parameters()]
    clean = outputs(network).detach()
    with noise.drawn(seeded()):
        assert all(not torch.equal(w, b) for w, b in zip(network.parameters(), before, strict=True))
        noisy = outputs(network)
        noisy.sum().backward()
    assert all(map(torch.equal, network.parameters(), before))
    assert all(w.grad is not None for w in network.parameters())
    assert not torch.allclose(noisy, clean)
    torch.testing.assert_close(outputs(network), clean, rtol=0, atol=0)


def test_an_error_within_a_draw_loses_nothing():
    layer = nn.Linear(4, 4)
    before = layer.weight.detach().clone()
    with pytest.raises(RuntimeError, match="boom"), WeightNoise(layer).drawn(seeded()):
        raise RuntimeError("boom")
    assert torch.equal(layer.weight, before)


def test_same_seed_same_draw_and_the_size_is_right():
    layer = nn.Linear(400, 300, bias=False)
    before, noise, drawn = layer.weight.detach().clone(), WeightNoise(layer), []
    for seed in (0, 0, 1):
        with noise.drawn(seeded(seed)):
            drawn.append(layer.weight.detach() - before)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert drawn[0].std().item() == pytest.approx(0.075, rel=0.01)
    assert abs(drawn[0].mean().item()) < 4 * 0.075 / 120_000**0.5
    assert abs((drawn[0] * drawn[2]).mean().item()) < 4 * 0.075**2 / 120_000**0.5


def spread_out(seed=0):
    "A small noise module whose standard deviations all differ."
    torch.manual_seed(seed)
    noise = AdaptiveWeightNoise(nn.Linear(4, 3).double())
    with torch.no_grad():
        for log_std in noise.log_std:
            log_std += torch.randn(log_std.shape, generator=seeded(seed), dtype=torch.float64)
    return noise


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_cost_is_the_divergence_and_the_prior_is_the_best(seed):
    noise = spread_out(seed)
    mean, variance = noise.prior()

    def divergence(prior_mean, prior_log_variance):
        prior = Normal(prior_mean, (0.5 * prior_log_variance).exp())
        own = zip(noise.network.parameters(), noise.stds(), strict=True)
        return sum(kl_divergence(Normal(w.detach(), s), prior).sum() for w, s in own)

    assert noise.complexity() == pytest.approx(divergence(mean, variance.log()).item(), rel=1e-9)
    free = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([free], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def closure():
        search.zero_grad()
        loss = divergence(free[0], free[1])
        loss.backward()
        return loss

    search.step(closure)
    assert free[0].item() == pytest.approx(mean.item(), abs=1e-4)
    assert free[1].exp().item() == pytest.approx(variance.item(), rel=1e-4)


def test_the_prior_part_of_the_gradients_is_that_of_the_divergence():
    noise = spread_out()
    mean, variance = noise.prior()
    with noise.drawn(seeded()):
        pass
    for w in noise.network.parameters():
        w.grad = torch.zeros_like(w)
    noise.collect(0.25)
    weights = [w.detach().clone().requires_grad_() for w in noise.network.parameters()]
    log_stds = [s.detach().clone().requires_grad_() for s in noise.log_std]
    prior = Normal(mean, variance.sqrt())
    own = [kl_divergence(Normal(w, s.exp()), prior).sum() for w, s in zip(weights, log_stds, strict=True)]
    (0.25 * sum(own)).backward()
    for w, s, by_w, by_s in zip(noise.network.parameters(), noise.log_std, weights, log_stds, strict=True):
        torch.testing.assert_close(w.grad, by_w.grad)
        torch.testing.assert_close(s.grad, by_s.grad)


def expected_loss(layer, x, y, draws):
    "The loss 0.5 |w x - y|^2 summed over lines, at many draws."
    return 0.5 * (torch.einsum("dij,bj->dbi", draws, x) - y).square().sum((1, 2))


@pytest.mark.parametrize("estimate", ["pathwise", "squared"])
def test_gradients_against_monte_carlo(estimate):
    torch.manual_seed(3)
    layer = nn.Linear(3, 1, bias=False).double()
    noise = AdaptiveWeightNoise(layer, std=0.1, estimate=estimate)
    x = torch.randn(200, 3, dtype=torch.float64)
    with torch.no_grad():
        y = layer(x) + torch.randn(200, 1, dtype=torch.float64)  # the weights are the right ones, the noise is 1
    by_mean, by_log_std, count = [], [], 400
    for draw in range(count):  # a line a batch, as the squared estimate assumes
        rows = slice(draw % 200, draw % 200 + 1)
        layer.zero_grad()
        with noise.drawn(seeded(draw)):
            (0.5 * (layer(x[rows]) - y[rows]).square().sum() * 200).backward()
        gradient = layer.weight.grad / 200
        layer.weight.grad = gradient.clone()
        noise.collect(1e-12)
        by_mean.append(200 * gradient)
        by_log_std.append(200 * noise.log_std[0].grad)
    by_mean, by_log_std = torch.stack(by_mean), torch.stack(by_log_std)
    mean, log_std = layer.weight.detach(), noise.log_std[0].detach()
    epsilon = torch.randn(20_000, 1, 3, generator=seeded(9), dtype=torch.float64)

    def loss_at(m, s):  # the same draws on both sides of a difference
        return expected_loss(layer, x, y, m + s.exp() * epsilon).mean().item()

    for i in range(3):
        nudge = torch.zeros_like(mean)
        nudge[0, i] = 1e-4
        true_mean = (loss_at(mean + nudge, log_std) - loss_at(mean - nudge, log_std)) / 2e-4
        true_std = (loss_at(mean, log_std + nudge) - loss_at(mean, log_std - nudge)) / 2e-4
        error = by_mean[:, 0, i].std().item() / count**0.5
        assert abs(by_mean[:, 0, i].mean().item() - true_mean) < 4 * error
        error = by_log_std[:, 0, i].std().item() / count**0.5
        tilt = 0.15 * true_std if estimate == "squared" else 0.0  # the weights' own spread adds to the squares
        assert abs(by_log_std[:, 0, i].mean().item() - true_std) < 4 * error + tilt


def test_muon_moves_means_and_adam_the_rest():
    torch.manual_seed(0)
    network = PredictionNetwork(PredictionConfig(hidden_size=6, n_layers=2, n_mixtures=2))
    noise = AdaptiveWeightNoise(network)
    gates, rest = split_weights(noise)
    assert {id(p) for p in gates} == {
        id(p) for n, p in network.named_parameters() if "weight_ih" in n or "weight_hh" in n
    }
    assert {id(p) for p in noise.log_std} <= {id(p) for p in rest}
    optimizer, before = GateMuon(noise), [p.detach().clone() for p in noise.parameters()]
    with noise.drawn(seeded()):
        outputs(network).square().sum().backward()
    cost = noise.collect(0.1)
    optimizer.step()
    assert math.isfinite(cost) and not any(map(torch.equal, before, noise.parameters()))


def test_its_state_can_be_saved():
    noise, other = spread_out(0), spread_out(1)
    other.load_state_dict(noise.state_dict())
    assert other.complexity() == noise.complexity()
