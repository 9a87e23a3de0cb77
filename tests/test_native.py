"""Compiled steps: the numbers of the plain ones, and every way to do without them."""

import ctypes
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb import backend_c, backend_torch, native
from graves_nb.contracts import find_backend, only_backends
from graves_nb.lstm import PeepholeLSTM
from graves_nb.sequence import LSTMLoop

torch.set_num_threads(1)
COMPILER = shutil.which(os.environ.get("CC", "cc"))
DECLINED = os.environ.get("GRAVES_NATIVE") == "0"
clips = st.sampled_from([None, 10.0, 0.1])
small = st.integers(1, 9)
scales = st.sampled_from([1.0, 1 / 0.6])


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    "A process that has not looked for compiled steps yet, with an empty cache."
    monkeypatch.delenv("GRAVES_NATIVE", raising=False)
    monkeypatch.setenv("GRAVES_CACHE", str(tmp_path / "cache"))
    native.library.cache_clear()
    yield monkeypatch
    native.library.cache_clear()


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def run_layer():
    "What a layer in single precision makes of some input, and its derivatives."
    torch.manual_seed(0)
    layer, x = PeepholeLSTM(3, 7, clip=0.5), torch.randn(6, 4, 3)
    with torch.no_grad():
        layer.peephole.normal_()
    h, last = layer(x)
    (h.square().sum() + last.c.sum()).backward()
    return [h.detach(), last.c.detach(), *(p.grad for p in layer.parameters())]


def assert_steps_agree(name, args):
    "Run a step both ways and compare all that it leaves in its arguments."
    results = []
    for step in (getattr(backend_c, name), getattr(backend_torch, name)):
        own = [a.clone() if isinstance(a, torch.Tensor) else a for a in args]
        own = [strided(a) if i in STRIDED.get(name, ()) else a for i, a in enumerate(own)]
        step(*own)
        results.append([a for a in own if isinstance(a, torch.Tensor)])
    for ours, theirs in zip(*results, strict=True):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


STRIDED = {"cell_forward_": [2], "cell_backward_": [2], "window_forward_": [5], "window_backward_": [2]}


def strided(a):
    "The same numbers, as columns of a wider tensor."
    return torch.cat([torch.full((len(a), 2), 7.0), a, torch.full((len(a), 3), 7.0)], 1)[:, 2 : 2 + a.shape[1]]


def cell_arguments(rows, n, seed, scale=1.0):
    torch.manual_seed(seed)
    gates, cells, h = scale * torch.randn(rows, 4 * n), scale * torch.randn(2, rows, n), scale * torch.randn(rows, n)
    return gates, cells, h, torch.randn(3, n)


def drop(gates, scale):
    "Some candidates, where a scale says that there are dropped ones."
    if scale != 1:
        g = gates.chunk(4, dim=-1)[2]
        g[torch.rand_like(g) < 0.4] = torch.inf


def loop_of(peephole, clip, scale=1.0):
    "What a step back is told of its loop."
    n = peephole.shape[1]
    return LSTMLoop(torch.zeros(4 * n, n), peephole, clip, torch.float32, scale)


def window_arguments(rows, gaussians, chars, symbols, seed):
    torch.manual_seed(seed)
    p, kappa = torch.randn(rows, 3 * gaussians), chars * torch.rand(rows, gaussians)
    mask = (torch.arange(chars) < torch.randint(1, chars + 1, (rows, 1))).float()
    return p, kappa, torch.randint(symbols, (rows, chars)), mask


def rounded(x, dtype):
    "What factors of that type are, in float64."
    return x.to(dtype).double()


def outputs_and_gradients(layer, x, bf16):
    "Of a layer's sum of squares, by its input and its weights, all in a row."
    x = x.clone().requires_grad_()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        h, _ = layer(x)
    h.square().sum().backward()
    return torch.cat([part.flatten() for part in (h.detach(), x.grad, *(p.grad for p in layer.parameters()))])


# ---------------------------------------------------------------- with a compiler
def test_steps_are_compiled_exactly_where_they_can_be():
    assert (native.library() is not None) == (COMPILER is not None and not DECLINED)
    assert backend_c.BACKEND.serves(torch.zeros(2)) == (native.library() is not None)


def test_only_single_precision_on_the_processor_is_taken():
    assert not backend_c.BACKEND.serves(torch.zeros(2, dtype=torch.float64))
    assert not backend_c.BACKEND.serves(torch.zeros(2, dtype=torch.bfloat16))
    assert not backend_c.BACKEND.serves(torch.zeros(2, device="meta"))


if native.library() is not None:  # a machine without a compiler has nothing to compare

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 5), st.integers(1, 40), scales, st.integers(0, 999))
    def test_cell_forward(rows, n, scale, seed):
        gates, *rest = cell_arguments(rows, n, seed)
        drop(gates, scale)
        assert_steps_agree("cell_forward_", (gates, *rest, scale))

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 5), st.integers(1, 40), clips, scales, st.integers(0, 999))
    def test_cell_backward(rows, n, clip, scale, seed):
        gates, cells, h, peephole = cell_arguments(rows, n, seed)
        drop(gates, scale)
        backend_torch.cell_forward_(gates, cells, h, peephole, scale)
        args = gates, cells, *torch.randn(3, rows, n), torch.randn(3, n), loop_of(peephole, clip, scale)
        assert_steps_agree("cell_backward_", args)

    @settings(max_examples=30, deadline=None)
    @given(small, small, small, small, st.integers(0, 999))
    def test_window_forward(rows, gaussians, chars, symbols, seed):
        p, kappa, index, mask = window_arguments(rows, gaussians, chars, symbols, seed)
        assert_steps_agree("window_forward_", (p, kappa, kappa + 9, index, mask, torch.zeros(rows, symbols)))

    @settings(max_examples=30, deadline=None)
    @given(small, small, small, small, st.integers(0, 999))
    def test_window_backward(rows, gaussians, chars, symbols, seed):
        p, kappa, index, mask = window_arguments(rows, gaussians, chars, symbols, seed)
        dw, dw_out = torch.randn(2, rows, symbols)
        args = torch.zeros_like(p), torch.randn(rows, gaussians), dw, dw_out, p.exp(), kappa, index, mask
        assert_steps_agree("window_backward_", args)

    def test_saturated_gates_are_finite():
        gates, cells, h, peephole = cell_arguments(4, 16, 0, scale=200.0)
        assert_steps_agree("cell_forward_", (gates, cells, h, peephole))
        backend_torch.cell_forward_(gates, cells, h, peephole)
        args = gates, cells, *torch.randn(3, 4, 16), torch.zeros(3, 16), loop_of(peephole, None)
        assert_steps_agree("cell_backward_", args)

    def test_what_lies_around_a_strided_output_is_left_alone():
        gates, cells, _, peephole = cell_arguments(3, 5, 0)
        wide = torch.full((3, 11), 7.0)
        backend_c.cell_forward_(gates, cells, wide[:, 2:7], peephole)
        assert (wide[:, :2] == 7).all() and (wide[:, 7:] == 7).all() and (wide[:, 2:7] != 7).all()

    @pytest.mark.parametrize("others", [("torch",), ()])
    def test_a_layer_gives_the_same_numbers_either_way(others):
        compiled = run_layer()
        with only_backends(*others):
            for ours, plain in zip(compiled, run_layer(), strict=True):
                torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)

    factors = st.sampled_from([dtype for dtype in (torch.float32, torch.bfloat16) if native.multiplies(dtype)])

    @settings(max_examples=60, deadline=None)
    @given(st.integers(1, 60), st.integers(1, 150), st.integers(1, 90), factors, st.booleans(), st.integers(0, 999))
    def test_products(rows, outputs, inputs, dtype, turned, seed):
        torch.manual_seed(seed)
        weight = torch.randn(inputs, outputs).t() if turned else torch.randn(outputs, inputs)
        x, y = torch.randn(rows, inputs), torch.randn(rows, outputs)
        expected = y.double() + rounded(x, dtype) @ rounded(weight, dtype).t()
        native.add_product_(y, x, native.pack(weight, dtype))
        torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-4)

    @settings(max_examples=60, deadline=None)
    @given(st.integers(1, 600), st.integers(1, 70), st.integers(1, 70), factors, st.integers(0, 999))
    def test_outer_products(many, rows, columns, dtype, seed):
        torch.manual_seed(seed)
        a, b, y = torch.randn(many, rows), torch.randn(many, columns), torch.randn(rows, columns)
        expected = y.double() + rounded(a, dtype).t() @ rounded(b, dtype)
        native.add_outer_(y, a, b, dtype)
        torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-3)

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 30), factors, st.integers(0, 999))
    def test_a_row_does_not_depend_on_those_beside_it(rows, dtype, seed):
        torch.manual_seed(seed)
        x, packed = torch.randn(rows, 21), native.pack(torch.randn(70, 21), dtype)
        together, alone = torch.zeros(rows, 70), torch.zeros(rows, 70)
        native.add_product_(together, x, packed)
        for r in range(rows):
            native.add_product_(alone[r : r + 1], x[r : r + 1], packed)
        assert torch.equal(together, alone)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(1, 9), st.integers(1, 9), st.integers(8, 40), st.integers(0, 999))
    def test_layers_with_bf16_products_are_as_good_as_those_by_torch(steps, batch, n, seed):
        torch.manual_seed(seed)
        layer, x = PeepholeLSTM(5, n), torch.randn(steps, batch, 5)
        exact, compiled = outputs_and_gradients(layer, x, False), outputs_and_gradients(layer, x, True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native, "multiplies", lambda dtype: dtype == torch.float32)
            by_torch = outputs_and_gradients(layer, x, True)
        assert 0 < (compiled - exact).norm() <= 1.5 * (by_torch - exact).norm() + 0.003 * exact.norm()

    def test_built_once_kept_and_no_denormal_lost(fresh, tmp_path):
        torch.set_flush_denormal(False)
        library = native._compile(COMPILER)
        ctypes.CDLL(str(library))
        tiny = torch.full((4,), 1e-39)
        assert (tiny * 0.5 > 0).all()
        assert [path.name for path in (tmp_path / "cache").iterdir()] == [library.name]
        fresh.setattr(native, "_build", None)  # a second build would fail
        assert native._compile(COMPILER) == library
        fresh.setattr(native, "FLAGS", (*native.FLAGS, "-DX"))
        with pytest.raises(TypeError):
            native._compile(COMPILER)  # another build has another name


# ---------------------------------------------------------------- without
def test_declined_is_quiet(fresh, caplog):
    fresh.setenv("GRAVES_NATIVE", "0")
    assert native.library() is None and find_backend(torch.zeros(2)) is backend_torch.BACKEND
    assert not caplog.records


def test_no_compiler_is_quiet_unless_somebody_named_one(fresh, tmp_path, caplog):
    fresh.delenv("CC", raising=False)
    fresh.setenv("PATH", str(tmp_path))
    assert native.library() is None and not caplog.records
    native.library.cache_clear()
    fresh.setenv("CC", "no-such-compiler")
    assert native.library() is None
    (record,) = caplog.records
    assert "no-such-compiler" in record.getMessage() and record.getMessage().startswith("graves: ")


def test_a_compiler_may_come_with_words_of_its_own(fresh, tmp_path):
    compiler = script(tmp_path / "a name with blanks", f'exec {COMPILER} "$@"')
    fresh.setenv("CC", f"'{compiler}' -pipe")
    assert (native.library() is not None) == (COMPILER is not None)


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(fresh, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    fresh.setenv("GRAVES_CACHE", str(tmp_path / "file" / "cache"))
    assert (native.library() is not None) == (COMPILER is not None)
    assert len(caplog.records) == (COMPILER is not None)
    assert all("GRAVES_CACHE" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    "compiler, complaint",
    [
        ("echo out of registers >&2; exit 1", "out of registers"),
        ('while [ "$1" != -o ]; do shift; done; echo not a library > "$2"', "step-"),
    ],
)
def test_a_compiler_that_fails_costs_one_warning(fresh, tmp_path, caplog, compiler, complaint):
    plain = run_without(fresh)
    fresh.setenv("CC", script(tmp_path / "cc", compiler))
    with caplog.at_level(logging.WARNING):
        results = [run_layer() for _ in range(2)]
    (record,) = caplog.records
    assert record.name == "graves_nb.native" and complaint in record.getMessage()
    for result in results:
        assert all(torch.equal(a, b) for a, b in zip(result, plain, strict=True))
    assert not list((tmp_path / "cache").glob("*/"))  # nothing half done is left


def run_without(fresh):
    "A layer's numbers by plain steps; afterwards the search for a compiler starts again."
    fresh.setenv("GRAVES_NATIVE", "0")
    plain = run_layer()
    fresh.delenv("GRAVES_NATIVE")
    native.library.cache_clear()
    return plain


def test_a_cache_that_cannot_be_written_costs_one_warning(fresh, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    fresh.setenv("GRAVES_CACHE", str(tmp_path / "file" / "cache"))
    fresh.setenv("CC", script(tmp_path / "cc", "exit 0"))
    assert native.library() is None and native.library() is None
    assert len(caplog.records) == 1


def test_cache_folder_follows_the_environment(fresh, tmp_path):
    assert native.cache_folder() == tmp_path / "cache"
    fresh.delenv("GRAVES_CACHE")
    fresh.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert native.cache_folder() == tmp_path / "graves_nb"
    fresh.delenv("XDG_CACHE_HOME")
    fresh.setenv("HOME", str(tmp_path))
    assert native.cache_folder() == tmp_path / ".cache" / "graves_nb"


TEAMS = pytest.mark.parametrize("team", [pytest.param(native.torch_team(), id="torch's"), pytest.param(None, id="own")])


@TEAMS
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_rows_are_shared_once_each_and_an_error_in_a_thread_is_raised(monkeypatch, team, threads):
    monkeypatch.setattr(native, "_team", team)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    for rows in (0, 1, 7, 101):
        done = torch.zeros(rows)
        native.share_rows(rows, lambda a, b, done=done: done[a:b].add_(1))
        assert done.tolist() == [1] * rows

    def fail(first, end):
        raise MemoryError(f"rows {first} to {end}")

    with pytest.raises(MemoryError, match=r"rows \d to \d"):
        native.share_rows(7, fail)


@TEAMS
def test_rows_are_shared_from_many_threads_at_a_time(monkeypatch, team):
    monkeypatch.setattr(native, "_team", team)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    done = torch.zeros(8, 50)

    def share(row):
        for _ in range(20):
            native.share_rows(50, lambda a, b: done[row, a:b].add_(1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(share, range(8)))
    assert (done == 20).all()


def test_a_team_may_have_fewer_threads_than_were_asked_for():
    def start(body, data, count, flags):
        body(data)

    done, alone = [], native.Team(start, lambda: 0, lambda: 1)
    native.in_team(alone, done.append, [(0, 2), (2, 5), (5, 7)])
    assert done == [(0, 2), (2, 5), (5, 7)]


def test_a_forked_child_has_threads_of_its_own(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    native.share_rows(2, lambda a, b: None)  # the parent's threads are there

    def in_child():
        done = []
        native.share_rows(7, lambda a, b: done.append((a, b)))
        os._exit(0 if sorted(done) == [(0, 3), (3, 7)] and native._team is None else 1)

    child = multiprocessing.get_context("fork").Process(target=in_child)
    child.start()
    child.join(30)
    assert child.exitcode == 0


LOOP = """import resource
import torch
from graves_nb.lstm import PeepholeLSTM
torch.manual_seed(0)
layer, x = PeepholeLSTM(3, 64), torch.randn(400, 32, 3)
for _ in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    layer(x)[0].square().sum().backward()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"""


def test_a_loop_of_one_s_own_asks_the_system_for_no_memory_again():
    run = subprocess.run([sys.executable, "-c", LOOP], check=True, capture_output=True, text=True)
    faults = [int(line) for line in run.stdout.splitlines()]
    middle = sorted(faults[5:])[3]  # of seven: the system itself moves pages in one loop or another
    assert middle < 1000  # the gates alone have 3,200 pages
