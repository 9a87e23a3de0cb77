"""Collect the notebooks beside the tests: one item a notebook, run by nbdev's own runner in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 300  # a notebook that takes longer hangs; the aim is 30

RUN = """
import sys
from pathlib import Path
from nbdev.test import test_nb
ok, seconds = test_nb(Path(sys.argv[1]), skip_flags=sys.argv[2:], force_flags=[], do_print=False, showerr=True)
sys.exit(not ok)
"""


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run notebook cells marked `#| slow`")


def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".ipynb" and ".ipynb_checkpoints" not in file_path.parts:
        return NotebookFile.from_parent(parent, path=file_path)
    return None


class NotebookFile(pytest.File):
    def collect(self):
        yield NotebookItem.from_parent(self, name="notebook")


class NotebookError(Exception):
    "A notebook's cell failed; the message is what it printed."


class NotebookItem(pytest.Item):
    def runtest(self):
        flags = [] if self.config.getoption("--slow") else ["slow"]
        root = Path(self.config.rootpath)
        environment = os.environ | {"PYTHONPATH": str(root), "IN_TEST": "1"}
        try:
            run = subprocess.run(
                [sys.executable, "-c", RUN, str(self.path), *flags],
                cwd=self.path.parent, env=environment, capture_output=True, text=True, timeout=SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise NotebookError(f"{self.path.name} ran for more than {SECONDS} s") from error
        if run.returncode:
            raise NotebookError(f"{run.stdout}\n{run.stderr}")

    def repr_failure(self, excinfo, style=None):
        return str(excinfo.value) if isinstance(excinfo.value, NotebookError) else super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, 0, self.path.relative_to(self.config.rootpath).as_posix()
