"""The optimiser."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from graves_nb.lstm import PeepholeLSTM
from graves_nb.optim import GateMuon, orthogonalise, split_weights

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
