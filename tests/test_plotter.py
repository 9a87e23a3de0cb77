"""What `--plot` writes is what plotters draw: judged by vpype, which is another's."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import graves
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb.ink import Ink
from graves_nb.pictures import PAPERS, Picture, least_travel, plot_of, travel

DOCS = Path(__file__).parent.parent / "docs" / "plotters.md"
VPYPE = [sys.executable, "-m", "vpype_cli"]


def run(words, stdin=None, cwd=None):
    done = subprocess.run(words, input=stdin, capture_output=True, cwd=cwd)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def written(*words):
    "What `graves` gives of these words."
    done = graves(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def counted(svg):
    "Paths of each layer, as vpype counts them."
    said = run([*VPYPE, "read", "-", "stat"], svg).decode()
    return [int(n) for n in re.findall(r"Path count: (\d+)", said)][:-1]


def test_vpype_reads_a_path_for_each_stroke_from_a_pipe(tmp_path):
    text = "Jiffy: it's six (6) boxes; isn't it?"
    svg = written("write", text, "-o", "-", "--plot", "--bias", "1")
    written("write", text, "-o", tmp_path / "a.inkml", "--bias", "1")
    assert counted(svg) == [len(Ink.load(tmp_path / "a.inkml").strokes)]
    assert b"mm" in svg and b"background" not in svg and b"rect" not in svg and b'fill="none"' in svg


def test_layers_are_pages_and_the_lines_of_the_paper():
    dots = [np.array([[10.0, 10.0]]), np.array([[12.0, 10.0], [12.0, 10.0]])]
    picture = Picture(
        unit="mm", height=8, sheet=PAPERS["A5"], laid=True, plot=True, rules=((5, 20, 140, 20), (5, 30, 140, 30))
    )
    svg = plot_of([(dots, "one"), (dots[:1], "two")], picture)
    assert counted(svg.encode()) == [2, 1, 2]


STROKES = st.lists(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=1, max_size=4).map(np.array), min_size=1
)


def as_set(strokes):
    "Strokes, whichever way they are drawn."
    return sorted(min(s.tolist(), s[::-1].tolist()) for s in strokes)


@settings(deadline=None, max_examples=50)
@given(STROKES)
def test_no_stroke_is_lost_and_no_way_is_longer(strokes):
    ordered = least_travel(strokes)
    assert as_set(ordered) == as_set(strokes) and travel(ordered) <= travel(strokes)


def test_a_page_of_writing_travels_less():
    ink = Ink.from_strokes([np.array([[x, y], [x + 1, y]]) for y in range(0, 40, 10) for x in range(0, 100, 3)])
    assert travel(least_travel(ink.strokes)) < 0.8 * travel(ink.strokes)


PIPED = [line.strip() for line in DOCS.read_text().splitlines() if line.startswith("    ") and "| vpype" in line]


@pytest.mark.parametrize("line", PIPED)
def test_the_commands_of_the_page_run(tmp_path, line):
    words, vpype = (shlex.split(part)[1:] for part in line.split("|"))
    run([*VPYPE, *vpype], written(*words), tmp_path)
    made = [path for path in tmp_path.iterdir() if path.stat().st_size > 200]
    assert bool(made) == ("write" in line.split("|")[1])


@pytest.mark.parametrize(
    "words",
    [["--unit", "px"], ["--background", "red"], ["--format", "png"], ["--format", "inkml"]],
)
def test_what_no_plotter_draws_is_refused(words):
    done = graves("write", "a", "-o", "-", "--plot", *words)
    assert done.returncode == 1 and "--plot" in done.stderr and len(done.stderr.splitlines()) == 1
