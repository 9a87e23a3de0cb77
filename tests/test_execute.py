"""How notebooks are run, for the tests and for the site."""

import os
import subprocess
import sys
import time

import execute
import nbformat
import pytest


@pytest.mark.parametrize(
    ("source", "seconds", "said"),
    [("x = 1\nx.nothing", 60, "failed in this cell(?s:.*)x.nothing(?s:.*)no attribute"),
     ("import time\ntime.sleep(30)", 4, r"longer than 4 s, (?s:.*)this cell was running(?s:.*)sleep\(30\)")],
)  # fmt: skip
def test_a_notebook_that_does_not_run_is_told_with_its_cell(tmp_path, monkeypatch, source, seconds, said):
    monkeypatch.setattr(execute, "CACHE", tmp_path)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in ("1 + 1", source)])
    nbformat.write(notebook, tmp_path / "wrong.ipynb")
    with pytest.raises(execute.NotebookError, match=said):
        execute.execute([tmp_path / "wrong.ipynb"], seconds)


def test_a_notebook_is_run_again_when_what_it_needs_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "PACKAGE", tmp_path)
    for name, code in (("pen", "from .paper import x"), ("paper", "x = 1"), ("other", "y = 1")):
        (tmp_path / f"{name}.py").write_text(code)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("from graves_nb.pen import x")])
    first = execute.place_of(tmp_path / "a.ipynb", notebook)
    (tmp_path / "other.py").write_text("y = 2")
    assert execute.place_of(tmp_path / "a.ipynb", notebook) == first
    (tmp_path / "paper.py").write_text("x = 2")
    assert execute.place_of(tmp_path / "a.ipynb", notebook) != first


def notebook_of(path, *cells):
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells]), path)
    return path


def has_ended(pid):
    "Whether a process is gone within ten seconds: whoever reaps it may be busy."
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_kernels_share_nothing_and_end_with_their_notebook(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "CACHE", tmp_path / "runs")
    say = "import os, torch\nprint(os.getpid(), os.getcwd(), 'mark' in globals(), torch.rand(1).item())"
    paths = [notebook_of(tmp_path / name, say, "mark = 1") for name in ("a.ipynb", "b.ipynb")]
    runs = execute.execute(paths).values()
    told = [nbformat.read(run, 4).cells[0].outputs[0].text.split() for run in runs]
    assert told[0][0] != told[1][0] and told[0][1:] == told[1][1:] and told[0][1:3] == [str(tmp_path), "False"]
    for pid, *_ in told:
        assert has_ended(int(pid))


def test_whoever_is_killed_leaves_no_kernel(tmp_path):
    pid = tmp_path / "pid"
    say = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(100)"
    waiting = notebook_of(tmp_path / "a.ipynb", say)
    running = subprocess.Popen([sys.executable, execute.__file__, waiting], stderr=subprocess.DEVNULL)
    while not pid.exists() or not pid.read_text():
        assert running.poll() is None
        time.sleep(0.1)
    running.kill()
    running.wait()
    assert has_ended(int(pid.read_text())), f"kernel {pid.read_text()} still runs"
