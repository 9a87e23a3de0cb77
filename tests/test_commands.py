"""Every command that the README and the docs show runs, and what people bring works or is refused in one clear line."""

import base64
import io
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from browser import tab
from commands import graves
from legibility import compare, letters
from PIL import Image, ImageOps
from playwright.sync_api import Error as BrowserError
from pypdfium2 import PdfDocument
from rapidocr_onnxruntime import RapidOCR

from graves_nb.ink import Ink

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = {  # what a command begins with: why it is not run here
    "graves train": "hours of training; test_cli trains small networks by the same command",
    "graves evaluate": "needs a model that was trained on data that is not here; test_cli evaluates",
    "graves data iam": "IAM-OnDB may not be redistributed; test_cli counts a folder made like it",
    "graves data unipen": "UNIPEN is no part of the repository; test_unipen reads a folder made like it",
    "graves data my-folder": "a collection of the reader's own; test_collections registers one",
    "graves tables 4": "needs IAM-OnDB and hours of training; test_tables runs a table and shows one",
    "graves write 'my own model'": "needs a model that was trained before; test_cli writes with one",
    "graves write 'this is how I write'": "the same",
    "graves export": "needs the extra `onnx`; the notebook of exports and test_wheel do",
    "graves bench": "minutes on an idle machine",
    "graves lab": "opens JupyterLab; test_studio does",
    "graves collect": "opens JupyterLab; test_collect opens its notebook",
    "accelerate": "several processes or hosts; test_training starts two",
}


def shown_commands():
    "Those of indented lines and blocks of code, without comments, continued lines joined."
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"^(?: {4}|(?=graves |GRAVES_))(.*)$", text, re.MULTILINE):
            words = shlex.split(line, comments=True) if "graves " in line and "`" not in line else []
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words = words[1:]
            if words[:1] in (["graves"], ["accelerate"]):
                yield (
                    page.name,
                    words[: min([words.index(mark) for mark in (">", "|", "<") if mark in words], default=None)],
                )


SHOWN = list({tuple(words): page for page, words in shown_commands()}.items())


def reason(words):
    "Why a command is not run."
    return next((why for start, why in NOT_RUN.items() if shlex.join(words).startswith(start)), None)


def refused(run):
    "The single line of a command that was given something it cannot use."
    (line,) = run.stderr.strip().splitlines()
    assert run.returncode in (1, 2) and line.startswith("graves"), run
    return line


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    "A folder with what the pages take for granted."
    folder = tmp_path_factory.mktemp("desk")
    (folder / "lines.txt").write_text("one\ntwo\n")
    (folder / "notes.txt").write_text("a note, and a note")
    assert graves("write", "fox", "-o", "fox.inkml", cwd=folder).returncode == 0
    return folder


def test_pages_show_commands():
    assert len(SHOWN) > 30 and {words[1] for words, _ in SHOWN if words[0] == "graves"} >= {
        "write",
        "sample",
        "compress",
    }
    unused = [start for start in NOT_RUN if not any(shlex.join(w).startswith(start) for w, _ in SHOWN)]
    assert [start for start in unused if start not in ("graves bench", "graves lab")] == []


@pytest.fixture(scope="module")
def reader():
    return RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)


def screenshot_of(page, tries=3):
    "A page's picture; a browser that is short of memory for the moment is asked again."
    try:
        return page.screenshot()
    except BrowserError as error:
        if tries == 1 or "Unable to capture screenshot" not in str(error):
            raise
    page.wait_for_timeout(1000)
    return screenshot_of(page, tries - 1)


def photographed(path, browser):
    "A picture as a person sees it, on white, cut to what is on it."
    if path.suffix == ".pdf":
        image = PdfDocument(path)[0].render(scale=3).to_pil()
    else:
        with tab(browser, width=1200, height=1700, device_scale_factor=2) as page:
            kind = {".svg": "svg+xml", ".png": "png"}[path.suffix]
            source = f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
            page.set_content(
                f'<body style="margin: 0; background: white"><img style="max-width: 1200px" src="{source}">'
            )
            image = Image.open(io.BytesIO(screenshot_of(page)))
    image = image.convert("L").point(lambda v: v if v < 150 else 255)  # rulers are pale
    left, top, right, bottom = image.point(lambda v: 255 * (v < 200)).getbbox()
    return ImageOps.expand(image.crop((left, top, right, bottom)), 30, 255)


def read_lines(image, reader):
    "What a recogniser makes of a picture: its lines are cut apart where rows of it are empty."
    rows = np.flatnonzero((np.asarray(image) < 200).any(axis=1))
    lines = [line for line in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(line) > 9]  # else dots
    cut = [ImageOps.expand(image.crop((0, line[0], image.width, line[-1] + 1)), 20, 255) for line in lines]
    return " ".join(reader(np.asarray(line.convert("RGB")), use_det=False, use_cls=False)[0][0][0] for line in cut)


@pytest.mark.parametrize("words", [w for w, _ in SHOWN if not reason(w)], ids=shlex.join)
def test_what_the_pages_show_runs(desk, words, request):
    if words[1] == "decompress":
        graves("compress", words[2].removesuffix(".graves"), "-o", words[2], cwd=desk)
    if words[1] == "data":
        graves("write", "--from", "lines.txt", "-o", words[2], cwd=desk)
    run = graves(*words[1:], cwd=desk, stdin=b"read from a pipe\n")
    assert run.returncode == 0, run.stderr
    made = desk / words[words.index("-o") + 1] if "-o" in words else desk
    if words[1] == "write" and made.suffix in (".svg", ".png", ".pdf"):  # somebody looks at it
        text = "read from a pipe" if words[2] == "-" else words[2]
        image = photographed(made, request.getfixturevalue("browser"))
        reading = compare(text, read_lines(image, request.getfixturevalue("reader")))
        print(f"{reading.edits} of {len(letters(text))}: {text!r} is read as {reading.read!r}")
        assert reading.edits <= len(letters(text)) / 2


@pytest.mark.parametrize("words", [w for w, _ in SHOWN if reason(w)], ids=shlex.join)
def test_options_of_what_is_not_run_are_known(words):
    words = list(words)
    words = words[words.index("graves") + 1 :] if "graves" in words else words
    shown = graves(words[0], "--help").stdout.decode()
    assert all(word in shown for word in words if word.startswith("--"))


REFUSED = [
    (["write", "a\nb", "-o", "x.svg"], "--page"),
    (["write", "hi", "-o", "x.svg", "--prime-text", "hi"], "--prime"),
    (["write", "--page", "--from", "lines.txt", "-o", "x"], "graves write - --page"),
    (["write", "don\u2019t", "--exact", "-o", "x.svg"], '"don\'t" can be written'),
    (["write", "hi", "-o", "-", "--count", "2"], "standard output"),
    (["write", "hi", "-o", "x.svg", "--format", "png"], "--format"),
    (["write", "hi", "-o", "x.inkml", "--pen", "2"], "--pen"),
    (["write", "hi", "-o", "x.svg", "--height", "nan"], "height"),
    (["write", "hi", "-o", "x.svg", "--paper", "B7"], "A4"),
    (
        ["write", "hi", "-o", "x.svg", "--paper", "30x20"],
        "no line of 8 mm fits on a sheet of 30 x 20 mm with margins of 15 mm",
    ),
    (["write", "hi", "-o", "x.svg", "--paper", "A4", "--height", "400"], "a smaller --height or --margin"),
    (["write", "hi", "-o", "x.svg", "--paper", "A4", "--unit", "px"], "millimetres"),
    (["write", "a " * 4000, "-o", "x.svg", "--page", "--paper", "A6"], "do not fit"),
    (["write", "hi", "-o", "x.svg", "--page", "--paper", "A6", "--margin", "52"], "too narrow"),
    (["write", "hi", "-o", "x.svg", "--page", "--justify"], "--justify"),
    (["write", "hi", "-o", "x.svg", "--paper", "A6", "--sheets", "2"], "--sheets"),
    (["write", "word " * 200, "-o", "x.svg", "--page", "--paper", "A6"], "--sheets 3"),
    (["write", "hi", "-o", "x.png", "--plot"], "--plot"),
    (["dataset", "lines.txt", "--texts", "notes.txt", "--lines", "1"], "is a file"),
    (["collect", "notes.txt"], "is a file"),
    (["write", "hi", "-o", "x.svg", "--bias", "1e308"], "bias"),
    (["write", "hi", "-o", "x.svg", "--seed", str(2**64)], "seed"),
    (["write", "hi", "-o", "x.svg", "--count", "10**9"], "--count"),
    (["write", "hi", "-o", "x.svg", "--width", "0"], "--width"),
    (["write", "hi", "-o", "x.svg", "--stop", "never"], "finish or paper"),
    (["write", "hi", "-o", "x.svg", "--hand", "nobody"], "nobody"),
    (["write", "hi", "-o", "x.svg", "--model", "wiki"], "graves sample"),
    (["write", "hi", "-o", "/proc/x.svg"], "/proc/x.svg"),
    (["write", "-hello", "-o", "x.svg"], "after --"),
    (["write", "--from", "lines.txt", "-o", "lines.txt"], "is a file"),
    (["write", "--from", "lines.txt", "-o", "x", "--shard", "4/3"], "3/16"),
    (["write", "--from", "fox.inkml", "-o", "x"], "is ink"),
    (["write", "--from", ".", "-o", "x"], "folder"),
    (["sample", "--model", "wiki", "--temperature", "1e-320"], "temperature"),
    (["sample", "--model", "wiki", "--length", "1000000000000"], "--length"),
    (["sample", "--model", "wiki", "--bias", "1"], "--bias"),
    (["sample", "--model", "wiki", "-o", "nowhere/x"], "nowhere"),
    (["train", "own-hand", "--data", "x", "--out", "lines.txt"], "is a file"),
    (["train", "own-hand", "--data", "x", "--out", "run", "--device", "toaster"], "toaster"),
    (["train", "own-hand", "--data", "x", "--out", "run", "--set", "learning_rate=1e308"], "learning_rate"),
    (["train", "own-hand", "--data", "x", "--out", "run", "--set", f"seed={2**70}"], "seed"),
    (["train", "own-hand", "--data", "x", "--out", "/proc/run"], "/proc"),
    (["evaluate", "wiki", "--data", "notes.txt", "--json", "/proc/x.json"], "/proc/x.json"),
    (["compress", "."], "folder"),
    (["surprise", "."], "folder"),
    (["surprise", "nowhere.txt"], "no file nowhere.txt"),
    (["surprise", "notes.txt", "--model", "unipen-synthesis"], "model of text"),
    (["compress", "notes.txt", "-o", "nowhere/x"], "nowhere"),
    (["decompress", "notes.txt", "-o", "x"], "not a file that `graves compress` wrote"),
    (["export", "-o", "nowhere/x.onnx"], "nowhere"),
    (["lab", "nowhere"], "nowhere"),
    (["frobnicate"], "frobnicate"),
]


@pytest.mark.parametrize("words, message", REFUSED, ids=lambda v: " ".join(v)[:60] if isinstance(v, list) else "")
def test_what_cannot_be_used_is_told_in_one_line(desk, words, message):
    before = sorted(desk.iterdir())
    assert message in refused(graves(*words, cwd=desk))
    assert sorted(desk.iterdir()) == before


def test_a_text_from_word_is_folded_and_that_is_said(tmp_path):
    run = graves("write", "\u201cit\u2019s\u201d caf\u00e9", "-o", "x.inkml", cwd=tmp_path)
    assert run.returncode == 0 and "3 characters replaced" in run.stderr and "--exact" in run.stderr
    assert Ink.load(tmp_path / "x.inkml").text == '"it\'s" caf\u00e9'


def test_standard_input_and_output(tmp_path):
    run = graves("write", "-", "-o", "-", "--format", "inkml", stdin=b"hello\n", cwd=tmp_path)
    (tmp_path / "a.inkml").write_bytes(run.stdout)
    assert Ink.load(tmp_path / "a.inkml").text == "hello" and run.stderr == ""
    assert graves("write", "hi", "-o", "-", cwd=tmp_path).stdout.startswith(b"<svg")
    packed = graves("compress", "-", stdin=b"well, well, well", cwd=tmp_path)
    assert packed.stdout.startswith(b"graves1\n") and "16 bytes" in packed.stderr
    assert graves("decompress", "-", stdin=packed.stdout, cwd=tmp_path).stdout == b"well, well, well"
    assert "empty" in refused(graves("write", "-", "-o", "x.svg", cwd=tmp_path))
    assert graves("write", "hm", "-o", "x.svg", "--prime", "-", stdin=run.stdout, cwd=tmp_path).returncode == 0


def test_lines_from_a_pipe_are_read_once_and_counted(tmp_path):
    for name in ("-", "/dev/stdin"):
        run = graves("write", "--from", name, "-o", "ink", stdin=b"a\r\nb", cwd=tmp_path)
        assert b"2 lines written" in run.stdout, run
        assert sorted(p.name for p in (tmp_path / "ink").iterdir()) == ["000001.inkml", "000002.inkml"]
        shutil.rmtree(tmp_path / "ink")


def test_what_a_changed_text_bias_or_seed_makes_different_is_written_anew(tmp_path):
    def lines(text, *options):
        run = graves("write", "--from", "-", "-o", "ink", *options, stdin=text, cwd=tmp_path)
        return tuple(map(int, re.findall(r"(\d+) lines written(?:, (\d+) there)?", run.stdout.decode())[0][0:1]))[0]

    assert [lines(b"a\nb\n"), lines(b"a\nb\n"), lines(b"a\nc\n")] == [2, 0, 1]
    assert [lines(b"a\nc\n", "--bias", "1"), lines(b"a\nc\n", "--bias", "1"), lines(b"a\nc\n", "--seed", "1")] == [
        2,
        0,
        2,
    ]
    (tmp_path / "ink" / "000002.inkml").write_bytes((tmp_path / "ink" / "000002.inkml").read_bytes()[:-20])
    assert lines(b"a\nc\n", "--seed", "1") == 1


def test_shards_give_the_same_set(tmp_path):
    text = b"a\n\nb\nc\n"
    graves("write", "--from", "-", "-o", "whole", "--count", "2", "--format", "svg", stdin=text, cwd=tmp_path)
    for parts in (2, 3):
        for part in range(1, parts + 1):
            words = ["--from", "-", "-o", f"in{parts}", "--count", "2", "--format", "svg", "--shard", f"{part}/{parts}"]
            assert graves("write", *words, stdin=text, cwd=tmp_path).returncode == 0
    whole, *others = ({p.name: p.read_bytes() for p in (tmp_path / f).iterdir()} for f in ("whole", "in2", "in3"))
    assert len(whole) == 6 and others == [whole, whole]


def test_a_line_is_refused_by_file_and_line(tmp_path):
    (tmp_path / "t.txt").write_text("fine\n\u4e2d\n", encoding="utf-8")
    assert "t.txt, line 2: cannot write" in refused(graves("write", "--from", "t.txt", "-o", "ink", cwd=tmp_path))
    (tmp_path / "t.txt").write_bytes(b"caf\xe9\n")
    assert "iconv" in refused(graves("write", "--from", "t.txt", "-o", "ink", cwd=tmp_path))
    (tmp_path / "t.txt").write_bytes(bytes(range(256)))
    assert "control characters" in refused(graves("write", "--from", "t.txt", "-o", "ink", cwd=tmp_path))
    (tmp_path / "t.txt").write_bytes(b"\n \n")
    assert "no line" in refused(graves("write", "--from", "t.txt", "-o", "ink", cwd=tmp_path))
    assert not (tmp_path / "ink").exists()


def test_a_page_is_no_prime(tmp_path):
    graves("write", "one\ntwo", "--page", "-o", "page.inkml", cwd=tmp_path)
    for words in (["write", "hi"], ["sample"]):
        assert "one line" in refused(graves(*words, "-o", "x.svg", "--prime", "page.inkml", cwd=tmp_path))


def test_pictures_as_asked(tmp_path):
    words = ["write", "a b", "--page", "--width", "1", "-o", "-", "--paper", "A4", "--colour", "#ff0000"]
    sheet = graves(*words, "--background", "none", cwd=tmp_path).stdout.decode()
    assert 'width="210mm" height="297mm"' in sheet and "#ff0000" in sheet and "background" not in sheet
    small = graves("write", "a", "-o", "-", "--height", "100", "--margin", "0", cwd=tmp_path).stdout.decode()
    assert 'height="76"' in small  # less the 0.12 that stay free above and below


START = [sys.executable, "-m", "graves_nb"]


def test_both_modules_are_the_command():
    for module in ("graves_nb", "graves_nb.cli"):
        run = subprocess.run([sys.executable, "-m", module, "models"], capture_output=True, text=True)
        assert run.returncode == 0 and "wiki" in run.stdout, run.stderr


def test_a_closed_pipe_is_no_error():
    command = f"{shlex.join(START)} recipes | head -1"
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert len(run.stdout.splitlines()) == 1 and run.stderr == ""


def test_interrupted_and_gone_on(tmp_path):
    (tmp_path / "many.txt").write_text("".join(f"line number {i}\n" for i in range(300)))
    words = ["write", "--from", "many.txt", "-o", "ink"]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # deaf where a shell runs it behind
    run = subprocess.Popen([*START, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    while not list(tmp_path.glob("ink/*.inkml")) and run.poll() is None:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=60)
    assert run.returncode == 130 and told == "graves: interrupted\n"
    there = {p: p.stat().st_mtime_ns for p in tmp_path.glob("ink/*")}
    assert 0 < len(there) < 300 and all(p.suffix == ".inkml" for p in there)
    (tmp_path / "many.txt").write_text("".join(f"line number {i}\n" for i in range(60)))
    assert graves(*words, cwd=tmp_path).returncode == 0
    assert all(p.stat().st_mtime_ns == before for p, before in there.items())


def test_two_runs_into_one_folder(tmp_path):
    (tmp_path / "t.txt").write_text("one\ntwo\nthree\n")
    command = [*START, "write", "--from", "t.txt", "-o", "ink"]
    runs = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) for _ in range(2)]
    assert [run.communicate()[1] for run in runs] == [b"", b""] and not any(run.returncode for run in runs)
    assert [Ink.load(p).text for p in sorted((tmp_path / "ink").iterdir())] == ["one", "two", "three"]
