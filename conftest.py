"""Collect the notebooks beside the tests: one item a notebook, run by nbdev's own runner in a process of its own."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tensors of tests are small: threads only wait for each other
os.environ.setdefault("GRAVES_CACHE", str(ROOT / ".cache" / "graves_nb"))
os.environ.setdefault("IPYTHONDIR", str(ROOT / ".cache" / "ipython"))
(ROOT / ".cache").mkdir(exist_ok=True)

RUN = """
import sys, warnings
from pathlib import Path
from nbdev import test

class Shell(test.CaptureShell):
    def run(self, code, **kwargs):
        Path(sys.argv[2]).write_text(code, encoding="utf-8")
        return super().run(code, **kwargs)

test.CaptureShell = Shell
warnings.filterwarnings("error", module="graves_nb")
ok, seconds = test.test_nb(Path(sys.argv[1]), skip_flags=sys.argv[3:])
sys.exit(not ok)
"""


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run notebook cells marked `#| slow`")
    parser.addoption("--notebook-seconds", type=float, help="time for one notebook (default: 120, with --slow 3600)")


def pytest_collect_file(file_path, parent):
    if file_path.suffix != ".ipynb" or any(part[0] in "._" for part in file_path.relative_to(ROOT).parts):
        return None
    return NotebookFile.from_parent(parent, path=file_path)


class NotebookFile(pytest.File):
    def collect(self):
        yield NotebookItem.from_parent(self, name="notebook")


class NotebookError(Exception):
    "A notebook did not run to its end; the message is all there is to say."


def run_to_the_end(command, folder, seconds):
    "All that it printed, and its exit code: None if it had to be killed."
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            return process.communicate(timeout=seconds)[0], process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.communicate()[0], None
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


class NotebookItem(pytest.Item):
    def runtest(self):
        slow = self.config.getoption("--slow")
        seconds = self.config.getoption("--notebook-seconds") or (3600 if slow else 120)
        flags = [] if slow else ["slow"]
        with tempfile.TemporaryDirectory() as folder:
            cell = Path(folder) / "cell.py"
            cell.write_text("(none yet)", encoding="utf-8")
            command = [sys.executable, "-c", RUN, str(self.path), str(cell), *flags]
            printed, code = run_to_the_end(command, self.path.parent, seconds)
            source = textwrap.indent(cell.read_text(encoding="utf-8").strip(), "    ")
        if code is None:
            raise NotebookError(f"{self.path.name} took longer than {seconds:g} s; this cell was running:\n\n{source}")
        if code:
            raise NotebookError(f"{self.path.name} failed in this cell:\n\n{source}\n\n{printed}")

    def repr_failure(self, excinfo, style=None):
        return str(excinfo.value) if isinstance(excinfo.value, NotebookError) else super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, 0, self.path.relative_to(ROOT).as_posix()
