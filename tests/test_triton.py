"""The kernels of a GPU without one: in Triton's interpreter, in a process of its own, or on the GPU that is here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # has to be said before kernels are imported

if sys.platform == "linux" and not INTERPRETED and not torch.cuda.is_available():

    def test_kernels_are_right_in_the_interpreter():
        "All tests below, and those of every backend, for this one."
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "triton", __file__]
        environment = os.environ | dict(TRITON_INTERPRET="1", OMP_NUM_THREADS="1")
        run = subprocess.run(
            [*command, str(ROOT / "tests" / "test_backends.py")],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        passed = re.search(r"(\d+) passed", run.stdout)
        assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
        assert passed and int(passed[1]) >= 15 and "skipped" not in run.stdout
