"""The command line, run as a user would."""

import json
import subprocess
import sys

import commands
import numpy as np
import pytest
import torch
from test_iamondb import Folder

from graves_nb.corpus import ALL_BYTES
from graves_nb.hands import width_of
from graves_nb.ink import Ink
from graves_nb.letter import Sheet, write_letter
from graves_nb.model import TextModel
from graves_nb.page import write_page
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.pretrained import load_model
from graves_nb.sampling import write


def graves(*words, **options):
    "How a command ended, its output as text."
    ended = commands.graves(*words, **options)
    return ended._replace(stdout=ended.stdout.decode())


def told(run):
    "The single line of a failed run."
    assert run.returncode == 1, run.stderr
    (line,) = run.stderr.strip().splitlines()
    return line


def test_write_is_the_same_byte_for_byte(tmp_path):
    for name in ("a", "b"):
        run = graves("write", "again", "-o", tmp_path / f"{name}.svg", "--bias", 1, "--seed", 3)
        assert run.returncode == 0, run.stderr
        assert run.stdout.strip() == str(tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_write_every_format_count_and_prime(tmp_path):
    run = graves("write", "one", "-o", tmp_path / "one.inkml", "--count", 2, "--bias", 1)
    assert run.stdout.split() == [str(tmp_path / "one-1.inkml"), str(tmp_path / "one-2.inkml")]
    ink = Ink.load(tmp_path / "one-1.inkml")
    assert ink.text == "one" and len(ink) > 10
    primed = graves("write", "two", "-o", tmp_path / "two.png", "--prime", tmp_path / "one-1.inkml")
    assert primed.returncode == 0, primed.stderr
    assert (tmp_path / "two.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "words, message",
    [
        (["write", "", "-o", "x.svg"], "empty"),
        (["write", "na\u4e2dve", "-o", "x.svg"], "cannot write"),
        (["write", "ok", "-o", "x.svg", "--bias", "nan"], "bias"),
        (["write", "ok", "-o", "x.svg", "--bias=-1"], "bias"),
        (["write", "ok", "-o", "x.gif"], ".svg"),
        (["write", "ok", "-o", "missing/folder/x.svg"], "missing"),
        (["write", "ok", "-o", "x.svg", "--model", "nothing"], "unipen-synthesis"),
        (["write", "ok", "-o", "x.svg", "--prime", "none.inkml"], "none.inkml"),
        (["write", "-o", "x.svg"], "say what to write"),
        (["write", "ok", "-o", "x.svg", "--from", "lines.txt"], "say what to write"),
        (["write", "-o", "x", "--from", "no-lines.txt"], "no-lines.txt"),
        (["write", "-o", "x", "--from", "lines.txt", "--format", "gif"], ".svg"),
        (["write", " ", "-o", "x.svg", "--page"], "empty"),
        (["train", "no-such", "--data", ".", "--out", "run"], "no recipe"),
        (["train", "unipen-synthesis", "--data", "nowhere", "--out", "run"], "nowhere"),
        (["train", "unipen-synthesis", "--data", ".", "--out", "run", "--set", "sise=3"], "unknown setting"),
        (["train", "unipen-synthesis", "--data", ".", "--out", "run", "--set", "points"], "key=value"),
        (["evaluate", "unipen-synthesis", "--data", "nowhere"], "nowhere"),
        (["data", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_told_in_one_line(tmp_path, words, message):
    assert message in told(graves(*words, cwd=tmp_path))
    assert not list(tmp_path.glob("x.*"))


def test_write_a_page(tmp_path):
    words = ["write", "one two\nthree", "--page", "--width", 5, "--bias", 1, "-o", tmp_path / "page.inkml"]
    assert graves(*words).returncode == 0
    page = Ink.load(tmp_path / "page.inkml")
    assert page.text == "one\ntwo\nthree"
    alone = write(load_model(), "two", bias=1, seed=1)  # the second line, of the second seed
    assert len(page) > len(alone) and np.ptp(page.points[:, 1]) > 2 * np.ptp(alone.points[:, 1])


def test_the_name_of_a_file_is_written_and_said_to_be_one(tmp_path):
    notes = tmp_path / "n"
    notes.write_text("what it holds\n")
    run = graves("write", notes.name, "-o", "x.inkml", "--bias", 1, cwd=tmp_path)
    assert run.returncode == 0 and Ink.load(tmp_path / "x.inkml").text == "n"
    assert "n is a file" in run.stderr and "--from n" in run.stderr and "- --page < n" in run.stderr
    assert graves("write", "n" * 300, "-o", "y.inkml", "--bias", 1, cwd=tmp_path).returncode == 0  # no file's name
    for name in ("-", "a b"):
        (tmp_path / name).write_text("what it holds\n")
    piped = graves("write", "-", "-o", "z.inkml", "--bias", 1, cwd=tmp_path, stdin=b"piped")
    assert Ink.load(tmp_path / "z.inkml").text == "piped" and "is a file" not in piped.stderr
    assert "--from 'a b'" in graves("write", "a b", "-o", "w.inkml", "--bias", 1, cwd=tmp_path).stderr


def test_write_the_lines_of_a_file_and_go_on_where_it_stopped(tmp_path):
    (tmp_path / "lines.txt").write_text("one\n\n two \nthree\n")
    words = ["write", "--from", tmp_path / "lines.txt", "-o", tmp_path / "ink", "--count", 2, "--bias", 1, "--seed", 5]
    assert "6 lines" in graves(*words).stdout
    files = sorted((tmp_path / "ink").iterdir())
    assert [f.name for f in files] == [f"{n:06}-{i}.inkml" for n in (1, 3, 4) for i in (1, 2)]
    assert [Ink.load(f).text for f in files] == ["one"] * 2 + ["two"] * 2 + ["three"] * 2
    before = {f: f.read_bytes() for f in files}
    for f in files[1:4]:
        f.unlink()
    assert "3 lines" in graves(*words).stdout
    assert {f: f.read_bytes() for f in files} == before
    alone = write(load_model(), "two", bias=1, seed=5 + 2 * 2 + 1)
    assert len(Ink.load(files[3])) == len(alone)


def test_a_line_that_cannot_be_written_is_named_before_any_is(tmp_path):
    (tmp_path / "lines.txt").write_text("fine\nna\u4e2dve\n", encoding="utf-8")
    assert "line 2: cannot write" in told(graves("write", "--from", "lines.txt", "-o", "ink", cwd=tmp_path))
    assert not (tmp_path / "ink").exists()


def test_damaged_and_foreign_model_files(tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x00" * 100)
    assert "damaged" in told(graves("write", "ok", "-o", tmp_path / "x.svg", "--model", broken))


def test_a_prime_without_text_is_told_and_its_text_can_be_given(tmp_path):
    rng = np.random.default_rng(0)
    Ink.from_strokes([rng.normal(size=(40, 2)).cumsum(0)]).save(tmp_path / "hand.inkml")
    words = ["write", "ok", "-o", tmp_path / "x.svg", "--prime", tmp_path / "hand.inkml"]
    assert "no text" in told(graves(*words))
    assert graves(*words, "--prime-text", "hi").returncode == 0


def test_help_lists_the_commands_and_every_command_has_help():
    listed = graves("--help").stdout
    for command in ("write", "sample", "train", "evaluate", "compress", "decompress", "data", "recipes", "models"):
        assert command in listed
        assert graves(command, "--help").returncode == 0
    assert graves("models").stdout.split() == ["unipen-prediction", "unipen-synthesis", "wiki"]


def test_recipes_show_the_papers_figures_and_ours():
    listed = graves("recipes").stdout
    assert "unipen-synthesis" in listed and "(table 3, 3 layers): -1041.0 nats a line, SSE 0.41" in listed
    assert "here, UNIPEN valid" in listed


def test_styles_are_steady_and_a_prime_besides_is_refused(tmp_path):
    for name in ("a", "b"):
        assert graves("write", "hm", "-o", tmp_path / f"{name}.inkml", "--style", 2).returncode == 0
    assert (tmp_path / "a.inkml").read_bytes() == (tmp_path / "b.inkml").read_bytes()
    assert "one of the two" in told(
        graves("write", "hm", "-o", tmp_path / "c.svg", "--style", 2, "--prime", tmp_path / "a.inkml")
    )
    assert "no hand" in told(graves("write", "hm", "-o", tmp_path / "c.svg", "--style", 99))


def test_samples_without_a_text(tmp_path):
    run = graves("sample", "-o", tmp_path / "s.inkml", "--length", 50, "--count", 2)
    assert run.stdout.split() == [str(tmp_path / "s-1.inkml"), str(tmp_path / "s-2.inkml")]
    assert len(Ink.load(tmp_path / "s-2.inkml")) == 50
    assert "synthesis model" in told(graves("sample", "-o", tmp_path / "x.svg", "--model", "unipen-synthesis"))


def test_an_iamondb_folder_is_counted(tmp_path):
    root = Folder(tmp_path / "iamondb").root
    shown = graves("data", root).stdout
    for split in ("train: 2 of 5364", "valid1: 1 of 1438", "valid2: 1 of 1518", "test: 5 of 3859"):
        assert f"{split} lines" in shown
    (root / "task1" / "testset_f.txt").write_text(" b01-014\n q99-999\n")
    assert "names a form that is not here: q99-999" in graves("data", root).stdout


def test_wrong_options_exit_with_2():
    assert graves("write").returncode == 2
    assert graves("no-such-command").returncode == 2


def test_starting_the_command_loads_no_torch():
    code = "import sys, graves_nb.cli; assert not {'torch', 'plotly', 'ipywidgets'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_train_resume_and_evaluate_on_a_small_corpus(tmp_path, unipen_folder):
    run, small = (
        tmp_path / "run",
        ["hidden_size=8", "n_mixtures=2", "n_window=2", "log_updates=1", "batch_size=4", "composed=20", "spelled=0"],
    )
    words = ["train", "unipen-synthesis", "--data", unipen_folder, "--out", run]
    words += [w for s in small for w in ("--set", s)]
    first = graves(*words, "--set", "points=1500")
    assert first.returncode == 0, first.stderr
    assert "holds a run already" in told(graves(*words))
    more = graves(*words, "--set", "points=3000", "--resume")
    assert more.returncode == 0, more.stderr
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert log[-1]["points"] >= 3000 and "valid_nats_per_point" in log[-1]
    figures = graves("evaluate", run, "--data", unipen_folder, "--json", tmp_path / "e.json")
    assert figures.returncode == 0, figures.stderr
    assert json.loads((tmp_path / "e.json").read_text())["lines"] >= 1
    assert graves("write", "hm", "-o", tmp_path / "hm.svg", "--model", run).returncode == 0


def test_text_from_file_to_model_to_text_and_back(tmp_path):
    text = tmp_path / "song.txt"
    text.write_text("row, row, row your boat, gently down the stream, " * 100)
    small = ["hidden_size=8", "points=3000", "batch_size=4", "length=25", "log_updates=5"]
    words = [w for s in small for w in ("--set", s)]
    run = graves("train", "text-bytes", "--data", text, "--out", tmp_path / "run", *words)
    assert run.returncode == 0, run.stderr
    counted = graves("data", text).stdout
    assert "song.txt: train 4,704, valid 196 bytes, 18 different ones" in counted
    figures = {}
    for options in ((), ("--dynamic", "--rate", "0.01")):
        done = graves("evaluate", tmp_path / "run", "--data", text, "--json", tmp_path / "r.json", *options)
        assert done.returncode == 0, done.stderr
        record = json.loads((tmp_path / "r.json").read_text())
        assert (record["symbols"], record["recipe"]) == (196, "text-bytes")
        assert (record["dynamic"] is None) == (not options)
        figures[options] = record["bpc"]
    assert len(set(figures.values())) == 2
    draw = ("sample", "--model", tmp_path / "run", "--length", 40, "--prime", "row, ")
    shown = graves(*draw)
    assert len(shown.stdout.encode()) >= 41
    written = graves(*draw, "-o", tmp_path / "s.txt")
    assert written.stdout.strip() == str(tmp_path / "s.txt")
    assert (tmp_path / "s.txt").read_text(encoding="utf-8") + "\n" == shown.stdout


def test_files_are_compressed_and_come_back(tmp_path):
    text, packed, model = tmp_path / "a.txt", tmp_path / "a.txt.graves", tmp_path / "model.safetensors"
    content = b"so long, and so on; " * 150
    text.write_bytes(content)
    torch.manual_seed(0)
    network = PredictionNetwork(PredictionConfig(256, 8, 1, "softmax", lstm_clip=1.0, output_clip=None))
    TextModel(network, ALL_BYTES).save(model)
    options = ["--model", model]
    done = graves("compress", text, *options, "--dynamic", "--rate", "0.1", "--streams", 1)
    assert done.returncode == 0 and f"{packed}: 3,000 bytes in" in done.stdout, done.stderr
    assert len(packed.read_bytes()) < len(content) and b"sgd" in packed.read_bytes()
    assert "is there already" in told(graves("decompress", packed, *options))
    text.unlink()
    assert graves("decompress", packed, *options).returncode == 0
    assert text.read_bytes() == content
    packed.write_bytes(packed.read_bytes()[:-5])
    assert "cut short" in told(graves("decompress", packed, "-o", tmp_path / "b.txt", *options))
    assert not (tmp_path / "b.txt").exists()
    assert "no file" in told(graves("compress", tmp_path / "none", *options))
    assert "text model" in told(graves("compress", text, "-o", tmp_path / "c", "--model", "unipen-prediction"))


def test_the_penn_treebank_is_counted(tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"ptb.{name}.txt").write_text(" a cat sat \n a <unk> N \n")
    shown = graves("data", tmp_path).stdout
    assert "ptb.train.txt: 2 of 42,068 sentences" in shown
    assert "Penn Treebank by words: train 8, valid 8, test 8 words, 6 different ones" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("write", "hi", "--width", 20, "-o", "x.svg"), "--page"),
        (("write", "hi", "--colour", "nonsense", "-o", "x.svg"), "#rrggbb"),
        (("compress", "text", "--rate", 0.1), "--dynamic"),
    ],
)
def test_options_that_would_do_nothing_are_refused(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("hi")
    done = graves(*words)
    assert done.returncode == 1 and said in told(done) and [path.name for path in tmp_path.iterdir()] == ["text"]


def test_lines_that_cannot_be_written_are_told_and_left_out_where_that_is_asked(tmp_path):
    lines, words = tmp_path / "lines.txt", ("write", "--from", "lines.txt", "-o", "ink", "--skip")
    lines.write_text(f"one\n\u4e2d\u6587\ntwo\n{'a' * 5001}\nthree\n")
    done = graves(*words, cwd=tmp_path)
    assert done.returncode == 0 and "3 lines written, 2 left out" in done.stdout
    assert (
        "lines.txt, line 2, is left out: cannot write" in done.stderr
        and "line 4, is left out: a line of 5,001" in done.stderr
    )
    names = ["000001.inkml", "000003.inkml", "000005.inkml"]
    assert sorted(path.name for path in (tmp_path / "ink").iterdir()) == names
    again = graves(*words, cwd=tmp_path)
    assert "0 lines written, 3 there already, 2 left out" in again.stdout
    lines.write_text("\u4e2d\n\n")
    assert "has no line to write: none can be written" in graves(*words, cwd=tmp_path).stderr
    assert "--skip leaves lines of --from out" in told(graves("write", "hi", "-o", "x.svg", "--skip", cwd=tmp_path))


def test_a_file_of_lines_may_have_some_that_nobody_sees(tmp_path):
    lines = tmp_path / "lines"
    lines.write_text("one\n\u200b\n\u2060 \u00a0\ntwo\n")
    done = graves("write", "--from", lines, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000001.inkml", "000004.inkml"]


def test_a_letter_of_the_command_is_that_of_the_library(tmp_path):
    text, file = "\n  one\n\n  two words and more of them\n\tthree", tmp_path / "letter.svg"
    words = ("write", text, "--page", "--paper", "120x90-landscape", "--margin", 10, "--hand", "plain", "--seed", 7)
    done = graves(*words, "-o", file)
    assert done.returncode == 0, done.stderr
    sheet = Sheet((90, 120), (10,) * 4)
    (page,) = write_letter(load_model(), text, sheet, seed=7, hand="plain")
    (flush,) = write_letter(load_model(), text.replace("\tthree", "  three"), sheet, seed=7, hand="plain")
    moved = page.strokes[-1][0] - flush.strokes[-1][0]
    np.testing.assert_allclose(moved, (2 * width_of(" ") * sheet.letter, 0), atol=0.05)
    assert file.read_text() == page.to_svg(sheet.picture()) and 'width="90mm" height="120mm"' in file.read_text()
    assert graves(*words, "--bias", 0.5, "-o", tmp_path / "other.svg").returncode == 0
    assert file.read_text() != (tmp_path / "other.svg").read_text()


def test_a_page_of_the_command_is_that_of_the_library(tmp_path):
    text, file = "one\n\ntwo words\nthree", tmp_path / "page.inkml"
    done = graves("write", "-", "--page", "--hand", 2, "--seed", 7, "-o", file, stdin=text.encode())
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(Ink.load(file).points, write_page(load_model(), text, hand=2, seed=7).points, atol=1e-3)
