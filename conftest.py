"""Collect the notebooks beside the tests: one item a notebook; the site is made of the same runs of them."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
sys.path += [str(ROOT / "docs"), str(ROOT / "tools")]

from execute import SECONDS, NotebookError, execute  # noqa: E402

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tensors of tests are small: threads only wait for each other
os.environ.setdefault("GRAVES_CACHE", str(ROOT / ".cache" / "graves_nb"))
os.environ.setdefault("IPYTHONDIR", str(ROOT / ".cache" / "ipython"))
(ROOT / ".cache").mkdir(exist_ok=True)


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run notebook cells marked `#| slow`")
    parser.addoption("--notebook-seconds", type=float, help=f"time for one notebook (default: {SECONDS}, --slow 3600)")


def pytest_collect_file(file_path, parent):
    if file_path.suffix != ".ipynb" or any(part[0] in "._" for part in file_path.relative_to(ROOT).parts):
        return None
    return NotebookFile.from_parent(parent, path=file_path)


class NotebookFile(pytest.File):
    def collect(self):
        yield NotebookItem.from_parent(self, name="notebook")


class NotebookItem(pytest.Item):
    def runtest(self):
        slow = self.config.getoption("--slow")
        seconds = self.config.getoption("--notebook-seconds") or (3600 if slow else SECONDS)
        execute([self.path], seconds, slow)

    def repr_failure(self, excinfo, style=None):
        return str(excinfo.value) if isinstance(excinfo.value, NotebookError) else super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, 0, self.path.relative_to(ROOT).as_posix()
