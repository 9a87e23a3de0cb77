"""Numbers that are none, endless or nearly nothing: compiled steps make of them what plain ones make."""

import ctypes
import os
import shutil
from types import SimpleNamespace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from graves_nb import backend_c, backend_torch, native
from graves_nb.alphabet import TextBatch
from graves_nb.drawing import draw_points, draw_points_plain
from graves_nb.mixture import random_draws
from graves_nb.native import KERNELS
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork

torch.set_num_threads(1)
pytestmark = pytest.mark.skipif(native.library() is None, reason="no C compiler: there are only plain steps")

NAN, INF = float("nan"), float("inf")
SPECIAL = [NAN, INF, 0.0, 1e-8, 1e-6, 1e-3, 87.0, 88.0, 88.5, 88.8, 89.0, 1e6, 1e30]
specials = st.sampled_from(SPECIAL + [-x for x in SPECIAL])
clips = st.sampled_from([None, 10.0])
seeds, small = st.integers(0, 999), st.integers(1, 4)


def spoil(args, names, data):
    "Some numbers of some of the arguments replaced by special ones."
    for i in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3), label="arguments"):
        flat = args[i].view(-1)
        places = data.draw(st.lists(st.integers(0, len(flat) - 1), min_size=1, max_size=4), label="places")
        flat[places] = torch.tensor([data.draw(specials) for _ in places])


def assert_same(ours, plain, rtol=2e-5, atol=2e-6):
    "NaN where the other has it, infinities too, and numbers within some units in the last place."
    assert torch.equal(ours.isnan(), plain.isnan())
    torch.testing.assert_close(ours, plain, rtol=rtol, atol=atol, equal_nan=True)


def after(backend, name, args):
    "What a step leaves in its arguments."
    own = [a.clone() if isinstance(a, torch.Tensor) else a for a in args]
    getattr(backend, name)(*own)
    return [a for a in own if isinstance(a, torch.Tensor)]


def largest(args):
    "Of the finite numbers among them, at least 1: what rounding errors are measured by where differences cancel."
    sizes = [a[a.isfinite()].abs() for a in args if isinstance(a, torch.Tensor)]
    return max([1.0, *(size.max().item() for size in sizes if len(size))])


def compare(name, args, same=assert_same):
    for ours, plain in zip(*(after(backend, name, args) for backend in (backend_c, backend_torch)), strict=True):
        same(ours, plain, atol=2e-6 * largest(args))


def same_where_finite(ours, plain, atol):
    "Where they are: an endless height times e^-87, which is 0 here, is NaN here and endless in torch."
    assert torch.equal(ours.isfinite(), plain.isfinite())
    torch.testing.assert_close(ours[ours.isfinite()], plain[plain.isfinite()], rtol=1e-4, atol=atol)


# ---------------------------------------------------------------- steps
def cell_arguments(rows, n, seed):
    "Gates, cells (before and after), h, peepholes."
    torch.manual_seed(seed)
    return torch.randn(rows, 4 * n), torch.randn(2, rows, n), torch.randn(rows, n), torch.randn(3, n)


def backward_arguments(forward, clip):
    "Gates and cells that a step has left, dh, dh_out, dc, derivatives by peepholes, and what the loop knows."
    backend_torch.cell_forward_(*forward)
    gates, cells, h, peephole = forward
    loop = SimpleNamespace(clip=clip, peephole=peephole, scale=1.0)
    return gates, cells, *torch.randn(3, *h.shape), torch.randn_like(peephole), loop


@settings(max_examples=150, deadline=None)
@given(small, st.integers(1, 20), seeds, st.data())
def test_cell_forward(rows, n, seed, data):
    args = cell_arguments(rows, n, seed)
    spoil(args, [0, 1, 3], data)
    args[1][1] = 0.0
    compare("cell_forward_", args)


@settings(max_examples=150, deadline=None)
@given(small, st.integers(1, 20), clips, seeds, st.data())
def test_cell_backward(rows, n, clip, seed, data):
    forward = cell_arguments(rows, n, seed)
    spoil(forward, [0, 1, 3], data)
    args = backward_arguments(forward, clip)
    if data.draw(st.booleans()):
        spoil(args, [2, 3, 4], data)
    compare("cell_backward_", args)


@pytest.mark.parametrize("scale", [1e2, 1e6, 1e30, INF])
def test_peepholes_learn_from_saturated_gates_what_plain_ones_do(scale):
    gates, *rest = cell_arguments(4, 16, 0)
    compare("cell_backward_", backward_arguments((scale * gates, *rest), None))


def window_arguments(rows, k, chars, seed):
    torch.manual_seed(seed)
    p, kappa, index = torch.randn(rows, 3 * k), chars * torch.rand(rows, k), torch.randint(5, (rows, chars))
    return p, kappa, index, (torch.arange(chars) < torch.randint(1, chars + 1, (rows, 1))).float()


def tame(p):
    "Keep exponentials from the ends of their range: e^-87 is 0 here, and not yet in torch."
    for sign in (-1, 1):
        p[(sign * p > 60) & (sign * p < 110)] = 60.0 * sign


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 40), seeds, st.data())
def test_window_forward(rows, k, chars, seed, data):
    p, kappa, index, mask = window_arguments(rows, k, chars, seed)
    args = p, kappa, torch.empty_like(kappa), index, mask, torch.zeros(rows, 5)
    spoil(args, [0, 1], data)
    tame(p)
    compare("window_forward_", args, same_where_finite)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 40), seeds, st.data())
def test_window_backward(rows, k, chars, seed, data):
    p, kappa, index, mask = window_arguments(rows, k, chars, seed)
    spoil((p, kappa), [0, 1], data)
    tame(p)
    args = torch.empty_like(p), torch.randn(rows, k), *torch.randn(2, rows, 5), p.exp(), kappa, index, mask
    if data.draw(st.booleans()):
        spoil(args, [1, 2, 3], data)
    compare("window_backward_", args, same_where_finite)


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-30, 10), st.booleans(), st.integers(1, 9))
@example(1e-8, False, 1)
@example(1e-6, True, 9)
def test_small_numbers_stay(x, negative, n):
    "An open output gate leaves tanh(c), right to a few units in the last place."
    x = torch.full((1, n), -x if negative else x)
    h, open_ = torch.empty_like(x), torch.full_like(x, 100.0)
    backend_c.cell_forward_(torch.cat([open_, open_, x, open_], 1), torch.zeros(2, 1, n), h, torch.zeros(3, n))
    torch.testing.assert_close(h.double(), x.double().tanh().tanh(), rtol=5e-7, atol=0)


# ---------------------------------------------------------------- products
dtypes = st.sampled_from([dtype for dtype in (torch.float32, torch.bfloat16) if native.multiplies(dtype)] or [None])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 9), dtypes, seeds, st.data())
def test_products(rows, outputs, inputs, dtype, seed, data):
    torch.manual_seed(seed)
    args = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(rows, outputs)
    for x in args[:2]:
        flat = x.view(-1)
        flat[data.draw(st.integers(0, len(flat) - 1))] = data.draw(st.sampled_from([NAN, INF, -INF, 0.0, 1e-8]))
    x, weight, y = args
    expected = y + (x.to(dtype).float().unsqueeze(1) * weight.to(dtype).float()).sum(-1)
    native.add_product_(y, x, native.pack(weight, dtype))
    assert_same(y, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([0x7F800001, 0x7FFFFFFF, 0x7FBFFFFF, 0xFF800001 - (1 << 32), -1]))
def test_packed_in_bfloat16_nan_is_nan(bits):
    weight = torch.tensor([[bits, 0x3F800000]], dtype=torch.int32).view(torch.float32)
    packed = native.pack(weight, torch.bfloat16).float()
    assert packed[0].isnan() and packed[1] == 1


# ---------------------------------------------------------------- drawing
def network_of(kind):
    torch.manual_seed(0)
    if kind == "synthesis":
        return SynthesisNetwork(
            SynthesisConfig(n_chars=7, hidden_size=9, n_layers=2, n_mixtures=3, n_window=4, points_per_char=2)
        )
    return PredictionNetwork(PredictionConfig(hidden_size=9, n_layers=2, n_mixtures=3))


@pytest.mark.parametrize("kind", ["synthesis", "prediction"])
@settings(max_examples=40, deadline=None)
@given(st.sampled_from([NAN, INF, -INF]), st.data())
def test_a_broken_weight_shows_in_what_is_drawn(kind, value, data):
    "In both ways alike; NaN leaves no point finite whose distribution it is in."
    network = network_of(kind)
    weights = dict(network.named_parameters())
    name = data.draw(st.sampled_from(list(weights)), label="weight")
    weight = weights[name]
    if name.startswith("window"):
        value = NAN  # an endless height is endless or NaN where it vanishes: see `same_where_finite`
    with torch.no_grad():
        weight.view(-1)[data.draw(st.integers(0, weight.numel() - 1))] = value
    x, draws = torch.zeros(2, 3), torch.stack([random_draws(5, torch.Generator().manual_seed(i)) for i in range(2)])
    text = (TextBatch.from_indices([torch.tensor([1, 2, 3]), torch.tensor([4])]),) if kind == "synthesis" else ()
    drawn = [f(network, network.initial_state(x), x, draws, 0.5, *text) for f in (draw_points, draw_points_plain)]
    for ours, plain in zip(*drawn, strict=True):
        if isinstance(ours, torch.Tensor) and ours.is_floating_point():
            assert_same(ours, plain, rtol=1e-4, atol=1e-4)
    broken = drawn[0].outputs[..., : 1 + 3].isnan().any(-1)
    assert drawn[0].points[broken].isnan().all()
    if kind == "synthesis":
        assert torch.equal(drawn[0].finished, drawn[1].finished)


# ---------------------------------------------------------------- windows over long texts
@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    "The same sources, but that a Gaussian is said to reach every character."
    folder, line = tmp_path_factory.mktemp("whole"), "Span span = {0, chars};\n"
    for path in KERNELS.iterdir():
        text = path.read_text()
        assert text.count(line) == (path.name == "window.h")
        (folder / path.name).write_text(text.replace(line, line + "return span;\n"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "SOURCES", [folder / source.name for source in native.SOURCES])
        return ctypes.CDLL(str(native._build(shutil.which(os.environ.get("CC", "cc")), folder)))


def both_ways(whole, name, args):
    "What a step leaves with windows that reach as far as they do, and with such that reach everywhere."
    for library in (native.library(), whole):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native, "library", lambda library=library: library)
            yield after(backend_c, name, args)


@settings(max_examples=100, deadline=None)
@given(small, small, st.integers(1, 300), st.floats(-12, 12), st.sampled_from([1, 1, 30]), seeds, st.data())
def test_what_a_window_does_not_reach_is_nothing(whole, rows, k, chars, width, spread, seed, data):
    p, kappa, index, mask = window_arguments(rows, k, chars, seed)
    p[:, k : 2 * k] += width
    kappa = spread * (kappa - 0.3 * chars)
    if data.draw(st.booleans()):
        spoil((p, kappa), [0, 1], data)
    forward = p, kappa, torch.empty_like(kappa), index, mask, torch.zeros(rows, 5)
    backward = torch.empty_like(p), torch.randn(rows, k), *torch.randn(2, rows, 5), p.exp(), kappa, index, mask
    for name, args in ("window_forward_", forward), ("window_backward_", backward):
        for near, far in zip(*both_ways(whole, name, args), strict=True):
            assert torch.equal(near.isnan(), far.isnan()) and torch.equal(near.nan_to_num(7), far.nan_to_num(7))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), seeds)
def test_padding_does_not_change_a_bit(chars, seed):
    p, kappa, index, _ = window_arguments(1, 3, chars, seed)
    derivatives = torch.randn(1, 3), *torch.randn(2, 1, 5)
    results = []
    for more in (0, 1, 9):
        padded, mask = torch.nn.functional.pad(index, (0, more)), (torch.arange(chars + more) < chars).float()[None]
        args = torch.empty_like(p), *(d.clone() for d in derivatives), p.exp(), kappa, padded, mask
        backend_c.window_backward_(*args)
        results.append(torch.cat(args[:2], 1))
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@pytest.mark.parametrize("length", [20, 500])
def test_drawing_is_the_same_however_far_windows_reach(whole, length):
    network, x = network_of("synthesis"), torch.zeros(1, 3)
    with torch.no_grad():
        network.window.bias[8:] = 1.0  # hurry
    text = TextBatch.from_indices([torch.arange(length) % 7])
    draws, drawn = random_draws(300, torch.Generator().manual_seed(0))[None], []
    for library in (native.library(), whole):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native, "library", lambda library=library: library)
            drawn.append(draw_points(network, network.initial_state(x), x, draws, 0.5, text))
    assert drawn[0].window.kappa.max() > length
    assert torch.equal(drawn[0].points, drawn[1].points) and torch.equal(drawn[0].finished, drawn[1].finished)
    assert torch.equal(drawn[0].state.window.w, drawn[1].state.window.w)
