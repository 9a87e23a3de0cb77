"""Data sets: the same however they are split or stopped, and nothing bad goes in."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from commands import graves
from PIL import Image

import graves_nb.dataset as dataset
from graves_nb.dataset import DataSet, write_dataset
from graves_nb.ink import Ink
from graves_nb.pretrained import load_model

GRAVES = [sys.executable, "-c", "from graves_nb.cli import main; main()", "dataset"]
TEXTS = b"one\ntwo words\n\nthree\n"


def files_in(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    "A set that was made at once."
    wanted = DataSet(tmp_path_factory.mktemp("whole"), 8, seed=5)
    made = write_dataset(load_model(), io.BytesIO(TEXTS), wanted)
    return wanted, made


def test_it_is_an_imagefolder(whole):
    wanted, made = whole
    rows = [json.loads(row) for row in (wanted.folder / "metadata.jsonl").read_text().splitlines()]
    assert len(rows) == made.there == made.written and made.written + made.failed == 8
    images = sorted(f"images/{p.name}" for p in (wanted.folder / "images").iterdir())
    assert [row["file_name"] for row in rows] == images
    for row in rows:
        assert Image.open(wanted.folder / row["file_name"]).height == 64
        assert Ink.load(wanted.folder / row["ink"]).text == row["text"]
        assert 0.5 <= row["bias"] <= 1.5 and 0.025 <= row["pen"] <= 0.07
    assert [p.suffix for p in wanted.folder.iterdir() if p.is_file()].count(".png") == 0
    assert len({row["hand"] for row in rows}) > 1 and len({row["bias"] for row in rows}) > 1


@pytest.mark.parametrize("parts", [2, 3, 11])
def test_shards_give_the_same_set(whole, tmp_path, parts):
    wanted, _ = whole
    for part in reversed(range(1, parts + 1)):
        shard = replace(wanted, folder=tmp_path, shard=(part, parts))
        write_dataset(load_model(), io.BytesIO(TEXTS), shard)
    assert files_in(tmp_path) == files_in(wanted.folder)


def test_a_killed_one_goes_on(whole, tmp_path):
    wanted, _ = whole
    (tmp_path / "texts.txt").write_bytes(TEXTS)
    words = [*GRAVES, tmp_path / "set", "--texts", tmp_path / "texts.txt", "--lines", "8", "--seed", "5"]
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    while first.poll() is None and not list(tmp_path.glob("set/images/*.png")):
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    left = {p for p in files_in(tmp_path / "set") if not p.endswith(".tmp")}
    assert {p: files_in(tmp_path / "set")[p] for p in left} == files_in(wanted.folder)


def test_a_full_disk_is_told_and_what_is_there_stays(whole, tmp_path, monkeypatch):
    wanted, made = whole
    real, left = dataset.replacing, [6]

    def full(path):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path)

    monkeypatch.setattr(dataset, "replacing", full)
    with pytest.raises(OSError, match="No space left.*3 lines of this part are complete.*goes on"):
        write_dataset(load_model(), io.BytesIO(TEXTS), replace(wanted, folder=tmp_path))
    monkeypatch.undo()
    again = write_dataset(load_model(), io.BytesIO(TEXTS), replace(wanted, folder=tmp_path))
    assert again.kept == 3 and files_in(tmp_path) == files_in(wanted.folder)


def labels_of(folder):
    "What the metadata and the ink say of each image."
    rows = [json.loads(row) for row in (folder / "metadata.jsonl").read_text().splitlines()]
    return [(row["text"], Ink.load(folder / row["ink"]).text) for row in rows]


def test_no_image_is_named_with_another_text_than_its_own(whole, tmp_path, monkeypatch):
    wanted, made = whole
    shutil.copytree(wanted.folder, tmp_path / "set")
    wanted, other, said = replace(wanted, folder=tmp_path / "set"), io.BytesIO(b"new\n" + TEXTS), []
    part = write_dataset(load_model(), other, replace(wanted, shard=(1, 2)), said.append)
    assert all(text == shown for text, shown in labels_of(wanted.folder)) and part.there <= 4
    assert "of other texts or settings" in said[-1] and "without --shard" in said[-1]

    real, done = dataset.save_item, []

    def interrupted(*args):
        if done:
            raise KeyboardInterrupt
        done.append(real(*args))

    monkeypatch.setattr(dataset, "save_item", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(load_model(), io.BytesIO(TEXTS), wanted)
    assert not (wanted.folder / "metadata.jsonl").exists()  # it would name some with another text
    monkeypatch.undo()
    assert write_dataset(load_model(), io.BytesIO(TEXTS), wanted).there == made.there
    assert files_in(wanted.folder) == files_in(whole[0].folder)


def test_a_line_that_failed_leaves_no_older_image_behind(whole, tmp_path, monkeypatch):
    shutil.copytree(whole[0].folder, tmp_path / "set")
    wanted, real, said = replace(whole[0], folder=tmp_path / "set"), dataset.stream, []

    def failing(*args, **kwargs):
        for sample in real(*args, **kwargs):
            lost = sample.job.label.number == 1
            yield SimpleNamespace(job=sample.job, ink=sample.ink, trouble="it ran away" if lost else sample.trouble)

    monkeypatch.setattr(dataset, "stream", failing)
    made = write_dataset(load_model(), io.BytesIO(b"new\n" + TEXTS), wanted, said.append)
    assert "line 1 is left out: it ran away" in said and made.failed and made.there == made.written + made.kept
    assert not (tmp_path / "set" / "images" / "00000001.png").exists()
    assert all(text == shown for text, shown in labels_of(wanted.folder))


def test_bad_texts_are_all_named_at_once(tmp_path):
    bad = "fine\n\u4e2d\u6587 is Chinese\nfine\nso is \u5b57\n".encode()
    done = graves("dataset", tmp_path / "set", "--texts", "-", "--lines", "3", stdin=bad)
    (line,) = done.stderr.splitlines()
    assert (
        done.returncode == 1
        and "line 2" in line
        and "line 4" in line
        and "'so is' can be written" in line.replace('"', "'")
    )
    assert not list(tmp_path.glob("set/images/*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lines", "0"], "--lines"),
        (["--lines", "3", "--bias", "2-1"], "range"),
        (["--lines", "3", "--bias", "much"], "--bias"),
        (["--lines", "3", "--hands", "any,nobody"], "nobody"),
        (["--lines", "3", "--shard", "3/2"], "--shard"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path, words, message):
    done = graves("dataset", tmp_path / "set", "--texts", "-", *words, stdin=TEXTS)
    assert done.returncode in (1, 2) and message in done.stderr and not (tmp_path / "set").exists()


def test_hands_have_names_and_numbers_and_blank_lines_are_no_lines(tmp_path):
    texts = "one\n\u200b\u200b\n \ufeff\ntwo\n".encode()
    done = graves("dataset", tmp_path / "set", "--texts", "-", "--lines", 4, "--hands", "1,slanted", stdin=texts)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "set" / "metadata.jsonl").read_text().splitlines()]
    assert {row["text"] for row in rows} <= {"one", "two"} and {row["hand"] for row in rows} <= {"plain", "slanted"}
