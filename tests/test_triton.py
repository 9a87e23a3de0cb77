"""The kernels of a GPU without one: in Triton's interpreter, in a process of its own, or on the GPU that is here."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from graves_nb import backend_triton
from graves_nb.backend_triton import BACKEND, Card, Plan, Work, estimate, fault_of_device, is_interpreted, plans
from graves_nb.contracts import find_backend, only_backends, why_not
from graves_nb.sequence import LSTMLoop, LSTMTape, WindowLoop, WindowTape

ROOT = Path(__file__).parent.parent
GPU = torch.cuda.is_available()
CARDS = [
    Card(132, 227 * 1024),
    Card(108, 163 * 1024, (8, 0)),
    Card(128, 99 * 1024, (8, 9)),
    Card(40, 64 * 1024, (7, 5)),
]
TYPES = (torch.float32, torch.bfloat16, torch.float16)

if sys.platform == "linux" and not is_interpreted() and not GPU:

    def test_kernels_are_right_in_the_interpreter():
        "All tests of this file and, for this backend, those of every backend; the interpreter is chosen first."
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", "triton"]
        environment = os.environ | dict(TRITON_INTERPRET="1", OMP_NUM_THREADS="1")
        command += [__file__, str(ROOT / "tests" / "test_backends.py")]
        run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        passed = re.search(r"(\d+) passed", run.stdout)
        assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
        assert passed and int(passed[1]) >= 20 and "skipped" not in run.stdout

    def test_the_script_for_a_gpu_runs(tmp_path):
        "All of it on small sizes in the interpreter, so that one command is enough where there is a GPU."
        command = [
            sys.executable,
            str(ROOT / "tests" / "on_gpu"),
            "--device",
            "cpu",
            "--quick",
            "--json",
            str(tmp_path / "gpu.json"),
        ]
        environment = os.environ | dict(TRITON_INTERPRET="1", OMP_NUM_THREADS="1")
        run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
        assert "all is right" in run.stdout
        found = json.loads((tmp_path / "gpu.json").read_text())
        assert {"errors", "using", "training", "bench"} <= found.keys() and found["training"]["last"] > 0


@pytest.mark.parametrize("card", CARDS, ids=lambda card: str(card.capability))
@pytest.mark.parametrize("hidden", [16, 100, 400, 900, 1000])
def test_every_plan_fits_its_card_and_does_all_the_work(card, hidden):
    for batch in (1, 16, 33, 1024):
        for dtype in TYPES:
            work = Work(batch, hidden, dtype, 10.0, 57, 10)
            made = plans(card, work)
            assert made and sorted(made, key=lambda plan: estimate(plan, work)) == made
            for plan in made:
                b = plan.blocks
                assert b.parts * plan.together <= card.processors  # all programs that wait for each other run
                assert b.parts * b.cells >= hidden and plan.launches * plan.together * b.rows >= batch
                assert b.share * b.parts >= b.rows and b.letters >= 16
                weights = 4 * b.padded * b.cells * dtype.itemsize
                assert not b.keep or weights + b.rows * b.padded * dtype.itemsize < card.shared
                assert b.precision == ("tf32x3" if card.capability >= (8, 0) else "ieee")


def test_more_lines_take_larger_blocks_before_they_take_more_launches():
    rows = [plans(CARDS[0], Work(batch, 400, torch.bfloat16))[0].blocks.rows for batch in (16, 80, 160, 512)]
    assert rows == sorted(rows) and rows[0] == 16 and rows[-1] > 16


@pytest.mark.parametrize("card", CARDS, ids=lambda card: str(card.capability))
@pytest.mark.parametrize("hidden", [400, 1000])
def test_few_kernels_serve_all_batches(card, hidden):
    for dtype in TYPES:
        first = [plans(card, Work(batch, hidden, dtype, 10.0, 57, 10))[0] for batch in range(1, 1025)]
        assert len({(plan.blocks, plan.warps) for plan in first}) <= 8


@pytest.mark.skipif(sys.platform != "linux", reason="Triton is for Linux")
def test_nothing_is_compiled_for_a_length_or_a_text(monkeypatch):
    "Besides its blocks a kernel is given memory of the device only: numbers might be compiled in."
    launched = []
    monkeypatch.setattr(backend_triton, "launch", lambda kernel, given, sizes, plan: launched.append((given, plan)))
    for steps, letters in ((3, 2), (7, 5)):
        gates, h, c = torch.zeros(steps, 4, 64), torch.zeros(steps + 1, 4, 16), torch.zeros(steps + 1, 4, 16)
        weights = dict(recurrent=torch.zeros(64, 16), peephole=torch.zeros(3, 16), clip=None, dtype=torch.float32)
        backend_triton.run_forward(LSTMTape(gates, h, c), LSTMLoop(**weights))
        text = dict(
            index=torch.zeros(4, letters, dtype=torch.long), mask=torch.ones(4, letters), window=torch.zeros(6, 16)
        )
        tape = WindowTape(
            gates, torch.zeros(steps + 1, 4, 21), c, torch.zeros(steps, 4, 6), torch.zeros(steps + 1, 4, 2)
        )
        loop = WindowLoop(**weights | dict(recurrent=torch.zeros(64, 21)), **text)
        backend_triton.run_window_forward(tape, loop)
    assert len(launched) == 4 and len({plan for _, plan in launched}) == 2
    for given, _ in launched:
        assert all(part is None or torch.is_tensor(part) for group in given for part in group)


def test_where_it_does_not_run_there_is_a_reason(monkeypatch):
    place = torch.device("cuda")
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    said = fault_of_device.__wrapped__
    assert said(torch.device("cpu")) == "it runs on CUDA devices, not on cpu"
    monkeypatch.setattr(backend_triton, "card_of", lambda _: Card(13, 48 * 1024, (3, 7)))
    assert said(place) == "the card's capability is 3.7, Triton needs 7.5"
    monkeypatch.setattr(backend_triton, "card_of", lambda _: CARDS[0])
    monkeypatch.setattr(backend_triton, "try_kernel", lambda _: False)
    assert said(place) == "a trial kernel's numbers are wrong"

    def too_old(_):
        raise RuntimeError("CUDA driver version is insufficient\n for CUDA runtime version")

    monkeypatch.setattr(backend_triton, "try_kernel", too_old)
    assert said(place) == "a trial kernel does not run: CUDA driver version is insufficient for CUDA runtime version"
    monkeypatch.setattr(backend_triton.importlib.util, "find_spec", lambda _: None)
    assert said(place) == "Triton is not installed" and not is_interpreted()


def test_it_is_said_who_serves(monkeypatch):
    with only_backends("triton", "torch"):
        assert why_not(torch.zeros(1, dtype=torch.float16))["torch"] == ""
        assert "float32" in why_not(torch.zeros(1, dtype=torch.float16))["triton"]
    monkeypatch.setattr(backend_triton, "fault_of_device", lambda _: "there is no reason")
    with only_backends("triton", "torch"):
        assert why_not(torch.zeros(1)) == {"triton": "there is no reason", "torch": ""}
        assert type(find_backend(torch.zeros(1))).__name__ == "TorchBackend"


if GPU or is_interpreted():
    import gpu_checks
    from gpu_checks import Case

    DEVICE = "cuda" if GPU else "cpu"

    @pytest.mark.parametrize("kind", ["synthesis", "ink", "characters"])
    def test_narrow_factors_are_as_good_as_in_the_loop(kind):
        gpu_checks.check_precision(Case(kind, 18, 3, 5, DEVICE))

    def test_two_runs_give_the_same_bits():
        gpu_checks.check_same_bits(Case("synthesis", 18, 3, 4, DEVICE))

    def test_long_texts_in_large_alphabets():
        case = Case("synthesis", 16, 2, 3, DEVICE, letters=256, symbols=256, layers=1)
        gpu_checks.check_precision(case, [None])

    def test_chunks_give_the_whole_gradient():
        gpu_checks.check_chunks(DEVICE)

    @pytest.mark.parametrize("spread", [1, 5, 20])
    def test_losses_of_a_mixture(spread):
        gpu_checks.check_losses(DEVICE, spread)

    def test_lines_that_do_not_fit_are_left_to_the_next_launch(monkeypatch):
        launches, one = [], plans
        few = lambda card, work: [plan._replace(together=2, launches=2) for plan in one(card, work)[:1]]  # noqa: E731
        monkeypatch.setattr(backend_triton, "plans", few)
        launch = backend_triton.launch
        monkeypatch.setattr(backend_triton, "launch", lambda *a: launches.append(a[-1]) or launch(*a))
        case = Case("synthesis", 16, 40, 2, DEVICE, layers=1)
        monkeypatch.setattr(backend_triton, "cuts", lambda card, hidden: [(16, 16, 1)])
        plans.cache_clear()
        gpu_checks.check_precision(case, [None])
        plans.cache_clear()
        assert {(plan.blocks.rows, plan.together) for plan in launches} == {(16, 2)}

    def test_where_no_plan_fits_it_runs_step_by_step(monkeypatch):
        monkeypatch.setattr(backend_triton, "plans", lambda card, work: [])
        case = Case("synthesis", 5, 2, 3, DEVICE)
        with pytest.warns(UserWarning, match="no kernel fits 5 cells"):
            assert torch.equal(case.derivatives("triton"), case.derivatives("torch"))

    def test_a_plan_that_the_card_refuses_is_not_tried_again(monkeypatch):
        tried, work = [], Work(1, 16, torch.float32)
        first, second = (Plan(plans(CARDS[0], work)[0].blocks, warps, 1, 1) for warps in (4, 8))
        monkeypatch.setattr(backend_triton, "plans", lambda card, work: [first, second])
        monkeypatch.setattr(backend_triton, "REFUSED", set())

        def run(plan):
            tried.append(plan.warps)
            if plan is first:
                raise RuntimeError("out of resource: shared memory, Required: 300000")

        assert all(backend_triton.run_plans(CARDS[0], work, run) for _ in range(2)) and tried == [4, 8, 8]
        monkeypatch.setattr(backend_triton, "REFUSED", set())
        with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
            backend_triton.run_plans(
                CARDS[0], work, lambda plan: (_ for _ in ()).throw(RuntimeError("CUDA out of memory"))
            )
        assert BACKEND.serves(torch.zeros(1, device=DEVICE))
