"""What kernels have to get right, on any device, with nothing but torch and the package: see `tests/on_gpu`."""

import torch

from graves_nb.alphabet import TextBatch
from graves_nb.backend_triton import is_interpreted
from graves_nb.batches import InkBatch, chunked_backward
from graves_nb.contracts import map_state, only_backends, state_tensors
from graves_nb.mixture import mixture_loss, mixture_loss_plain
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork


class Case:
    "A network with something to read."

    def __init__(self, kind, hidden, batch, steps, device, letters=9, symbols=12, layers=2):
        torch.manual_seed(0)
        self.kind, self.device = kind, device
        sizes = dict(hidden_size=hidden, n_layers=layers)
        if kind == "synthesis":
            self.network = SynthesisNetwork(SynthesisConfig(symbols, n_mixtures=3, points_per_char=3.0, **sizes))
        elif kind == "ink":
            self.network = PredictionNetwork(PredictionConfig(n_mixtures=3, **sizes))
        else:
            self.network = PredictionNetwork(
                PredictionConfig(symbols, hidden, layers, "softmax", lstm_clip=1.0, output_clip=None)
            )
        self.network.to(device)
        self.x = torch.randn(steps, batch, 3)
        self.text = None
        if kind == "characters":
            self.x = torch.randint(-1, symbols, (steps, batch))
        if kind == "synthesis":
            lengths = torch.randint(1, letters + 1, (batch, 1))
            self.text = TextBatch(torch.randint(symbols, (batch, letters)), (torch.arange(letters) < lengths).float())
        self.weigh = torch.randn(steps, batch, self.network.head.size)
        self.first = map_state(
            lambda t: 0.3 * torch.rand(t.shape).to(t), self.network.initial_state(self.x[:1].to(device))
        )

    def __str__(self):
        layers, batch = self.network.layers, self.x.shape[1]
        return f"{self.kind}, {len(layers)} x {layers[0].hidden_size}, batch {batch}, {len(self.x)} steps"

    def derivatives(self, *backends, narrow=None, exact=False):
        "Of all weights and all of the first state, as one vector, float64."
        dtype = torch.float64 if exact else torch.float32
        network = self.network.to(dtype)
        put = lambda t: t.to(self.device, dtype) if t.is_floating_point() else t.to(self.device)  # noqa: E731
        first = map_state(lambda t: put(t).requires_grad_(), self.first)
        text = None if self.text is None else TextBatch(*map(put, self.text))
        with (
            only_backends(*backends),
            torch.autocast(self.device, narrow or torch.bfloat16, enabled=narrow is not None),
        ):
            y, last, _ = network(put(self.x), text, first)
        loss = (y.to(dtype) * put(self.weigh)).sum() + sum(t.sum() for t in state_tensors(last))
        found = torch.autograd.grad(loss, [*state_tensors(first), *network.parameters()])
        self.network.float()
        return torch.cat([d.flatten() for d in found]).double().cpu()


def error_of(found, exact):
    "The relative norm of what is wrong."
    return ((found - exact).norm() / exact.norm()).item()


def check_precision(case, types=(None, torch.bfloat16, torch.float16)):
    "Errors of the kernels' derivatives, beside those of the plain loop with the same factors."
    exact, told = case.derivatives(exact=True), {}
    for narrow in types:
        name = str(narrow or torch.float32).removeprefix("torch.")
        ours, loop = (error_of(case.derivatives(b, narrow=narrow), exact) for b in ("triton", "torch"))
        told[name] = dict(kernels=ours, loop=loop)
        limit = 1e-5 if narrow is None else (2 if is_interpreted() else 1.3) * loop + 1e-4  # the interpreter cuts off
        assert ours <= limit, f"{case}, {name}: derivatives are wrong by {ours:.1e}, at most {limit:.1e} is right"
    return told


def check_same_bits(case, narrow=None):
    "Two runs give the same bits."
    assert torch.equal(*(case.derivatives("triton", narrow=narrow) for _ in range(2))), f"{case}: two runs differ"


def check_chunks(device, hidden=16, batch=3, steps=12):
    "The gradient in chunks is the gradient."
    case = Case("synthesis", hidden, batch, steps, device)
    target = torch.randn(steps, batch, 3, device=device)
    target[..., 2] = (target[..., 2] > 0).float()
    x, text = case.x.to(device), TextBatch(*(t.to(device) for t in case.text))
    data, found = InkBatch(x, target, torch.ones(steps, batch, dtype=torch.bool, device=device), text), []
    for chunk in (steps, 5):
        case.network.zero_grad()
        with only_backends("triton"):
            chunked_backward(case.network, data, chunk)
        found.append(torch.cat([w.grad.flatten() for w in case.network.parameters()]))
    assert error_of(found[1], found[0]) < 1e-4


def check_losses(device, spread, mixtures=4, count=37):
    "The mixture's loss and derivatives against those of float64: no worse than those of torch in float32."
    torch.manual_seed(0)
    y, x = spread * torch.randn(count, 1 + 6 * mixtures), torch.randn(count, 3)
    x[:, 2] = (x[:, 2] > 0).float()
    exact = y.double().requires_grad_()
    plain = mixture_loss_plain(exact, x.double())
    (right,) = torch.autograd.grad(plain.sum(), exact)
    wrong = []
    for backends in (("triton",), ()):
        ours = y.to(device).requires_grad_()
        with only_backends(*backends):
            loss = mixture_loss(ours, x.to(device))
        (found,) = torch.autograd.grad(loss.sum(), ours)
        assert loss.isfinite().all() and found.isfinite().all()
        torch.testing.assert_close(loss.detach().cpu().double(), plain.detach(), rtol=1e-4, atol=1e-4)
        wrong.append(((found.cpu().double() - right).abs() / (1 + right.abs())).mean().item())
    assert wrong[0] <= 3 * wrong[1] + 1e-6, f"derivatives of a mixture are wrong by {wrong[0]}, torch's by {wrong[1]}"
