"""The optimisers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from graves_nb.lstm import PeepholeLSTM
from graves_nb.optim import GateMuon, GravesRMSprop, orthogonalise, split_weights

torch.set_num_threads(1)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
    seed=st.integers(0, 99),
)
def test_singular_values_come_near_one(rows, columns, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    u, _ = torch.linalg.qr(torch.randn(rows, rows, generator=generator))
    v, _ = torch.linalg.qr(torch.randn(columns, columns, generator=generator))
    rank = min(rows, columns)
    values = torch.linspace(0.2, 1, rank) * scale
    matrix = u[:, :rank] @ torch.diag(values) @ v[:, :rank].t()
    result = torch.linalg.svdvals(orthogonalise(matrix))
    assert 0.5 < result.min() and result.max() < 1.35
    aligned = u[:, :rank].t() @ orthogonalise(matrix) @ v[:, :rank]
    assert (aligned - torch.diag(aligned.diagonal())).abs().max() < 1e-3


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    rank=st.integers(1, 3),
    noise=st.sampled_from([0.0, 1e-4, 1e-2]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    batched=st.booleans(),
    seed=st.integers(0, 999),
)
def test_no_value_on_the_edge_explodes(shape, rank, noise, dtype, batched, seed):
    generator = torch.Generator().manual_seed(seed)
    flat = torch.randn(shape[0], rank, generator=generator) @ torch.randn(rank, shape[1], generator=generator)
    flat += noise * torch.randn(shape, generator=generator)
    result = orthogonalise(flat[None], dtype)[0] if batched else orthogonalise(flat, dtype)
    assert torch.linalg.matrix_norm(result.float(), 2) < 1.35


def test_a_zero_gradient_moves_nothing():
    assert torch.equal(orthogonalise(torch.zeros(3, 5)), torch.zeros(3, 5))


def test_other_weights_move_as_by_torch_adam():
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 3), nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    a = GateMuon(ours, adam_lr=0.01, beta2=0.98)
    b = torch.optim.Adam(theirs.parameters(), lr=0.01, betas=(0.9, 0.98))
    for _ in range(5):
        x = torch.randn(7, 4)
        for network, optimiser in ((ours, a), (theirs, b)):
            optimiser.zero_grad()
            network(x).square().sum().backward()
            optimiser.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)


def test_gates_move_by_orthogonal_blocks_with_momentum():
    torch.manual_seed(0)
    layer = PeepholeLSTM(5, 3)
    optimiser = GateMuon(layer, lr=0.1, momentum=0.9)
    average, expected = torch.zeros(12, 3), layer.weight_hh.detach().clone()
    for _ in range(3):
        for p in layer.parameters():
            p.grad = torch.randn_like(p)
        gradient = layer.weight_hh.grad.clone()
        average = 0.9 * average + 0.1 * gradient
        ahead = 0.1 * gradient + 0.9 * average
        expected -= 0.1 * torch.cat([orthogonalise(block) for block in ahead.chunk(4)])
        optimiser.step()
    torch.testing.assert_close(layer.weight_hh.detach(), expected, rtol=1e-4, atol=1e-5)


def test_weight_decay_takes_a_share_of_the_gate_matrices_alone():
    torch.manual_seed(0)
    layer = PeepholeLSTM(5, 3)
    optimiser = GateMuon(layer, lr=0.1, adam_lr=0.01, weight_decay=0.5)
    old = {name: p.detach().clone() for name, p in layer.named_parameters()}
    for _ in range(2):
        for p in layer.parameters():
            p.grad = torch.zeros_like(p)
        optimiser.step()
    for name, p in layer.named_parameters():
        expected = old[name] * (0.95**2 if name in ("weight_ih", "weight_hh") else 1.0)
        torch.testing.assert_close(p.detach(), expected, rtol=1e-6, atol=0)


def test_a_state_from_before_weight_decay_is_gone_on_with():
    optimiser = GateMuon(PeepholeLSTM(2, 2))
    state = optimiser.state_dict()
    del state["param_groups"][0]["weight_decay"]
    optimiser.load_state_dict(state)
    assert optimiser.param_groups[0]["weight_decay"] == 0


def test_every_weight_belongs_to_one_group():
    layer = PeepholeLSTM(5, 3)
    gates, rest = split_weights(layer)
    assert len(gates) == 2 and {id(p) for p in gates + rest} == {id(p) for p in layer.parameters()}
    assert len(gates) + len(rest) == len(list(layer.parameters()))


def test_state_survives_saving():
    torch.manual_seed(0)
    layer = PeepholeLSTM(2, 2)
    first = GateMuon(layer, lr=0.1)
    for p in layer.parameters():
        p.grad = torch.randn_like(p)
    first.step()
    second = GateMuon(layer, lr=0.5)
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["lr"] == pytest.approx(0.1)
    kept, other = first.state[layer.weight_hh]["average"], second.state[layer.weight_hh]["average"]
    assert torch.equal(kept, other)


def plain_rmsprop(w, gradients, lr, decay, momentum, eps):
    "(38)-(45) for one weight, number by number."
    n = m = move = 0.0
    for g in gradients:
        n = decay * n + (1 - decay) * g * g
        m = decay * m + (1 - decay) * g
        move = momentum * move - lr * g / (n - m * m + eps) ** 0.5
        w += move
    return w


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=8),
    st.floats(1e-5, 0.1),
    st.floats(0, 0.99),
    st.floats(0, 0.95),
)
def test_rmsprop_is_the_papers_for_any_gradients(gradients, lr, decay, momentum):
    weight = torch.tensor([0.5, 0.5], dtype=torch.float64, requires_grad=True)
    optimizer = GravesRMSprop([weight], lr=lr, decay=decay, momentum=momentum)
    for g in gradients:
        weight.grad = torch.tensor([g, -g], dtype=torch.float64)
        optimizer.step()
    expected = plain_rmsprop(0.5, gradients, lr, decay, momentum, 1e-4)
    assert weight[0].item() == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert weight[1].item() == pytest.approx(1 - expected, rel=1e-6, abs=1e-9)


def test_rmsprop_is_torchs_but_for_the_place_of_epsilon():
    ours, theirs = (torch.tensor([1.0], dtype=torch.float64, requires_grad=True) for _ in range(2))
    optimizers = [
        GravesRMSprop([ours], lr=1e-3, eps=1e-12),
        torch.optim.RMSprop([theirs], lr=1e-3, alpha=0.95, eps=0.0, centered=True, momentum=0.9),
    ]
    for g in (3.0, -1.0, 0.5, 2.0):
        for weight, optimizer in zip((ours, theirs), optimizers, strict=True):
            weight.grad = torch.tensor([g], dtype=torch.float64)
            optimizer.step()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-9)


def test_rmsprop_goes_on_from_its_state():
    torch.manual_seed(0)
    gradients = [torch.randn(4) for _ in range(6)]

    def run(weight, optimizer, some):
        for g in some:
            weight.grad = g.clone()
            optimizer.step()

    whole = torch.ones(4, requires_grad=True)
    run(whole, GravesRMSprop([whole]), gradients)
    part = torch.ones(4, requires_grad=True)
    first = GravesRMSprop([part])
    run(part, first, gradients[:3])
    second = GravesRMSprop([part], lr=1.0)
    second.load_state_dict(first.state_dict())
    run(part, second, gradients[3:])
    assert torch.equal(whole, part)


def test_rmsprop_calls_its_closure_and_leaves_weights_without_gradient():
    weight, idle = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = GravesRMSprop([weight, idle])

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0
    assert (weight < 1).all() and torch.equal(idle, torch.ones(2))


@pytest.mark.parametrize("wrong", [dict(lr=0), dict(eps=0), dict(decay=1), dict(momentum=-0.1)])
def test_rmsprop_refuses_impossible_settings(wrong):
    with pytest.raises(ValueError, match="must be above 0"):
        GravesRMSprop([torch.ones(1, requires_grad=True)], **wrong)


def test_frozen_weights_stay_and_impossible_settings_are_refused():
    torch.manual_seed(0)
    layer = PeepholeLSTM(3, 4)
    layer.weight_hh.requires_grad_(False), layer.peephole.requires_grad_(False)
    before = [p.detach().clone() for p in layer.parameters()]
    optimiser = GateMuon(layer)
    layer(torch.randn(5, 2, 3))[0].square().sum().backward()
    optimiser.step()
    moved = [not torch.equal(p, old) for p, old in zip(layer.parameters(), before, strict=True)]
    assert moved == [p.requires_grad for p in layer.parameters()]
    for wrong in (dict(lr=-1), dict(momentum=1.5), dict(beta2=2.0), dict(weight_decay=-3)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            GateMuon(layer, **wrong)
