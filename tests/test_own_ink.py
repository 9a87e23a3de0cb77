"""A folder of one's own ink, from the shell: counted, trained on, and what is wrong with it told."""

import json

import numpy as np
import pytest
from test_cli import graves

from conftest import trace_of
from graves_nb.hands import measure_hand
from graves_nb.ink import Ink
from graves_nb.own_ink import OwnInk
from graves_nb.recipes import configure, find_recipe
from graves_nb.settings import make_stages


def fill(folder, texts=tuple(f"line {n:02}" for n in range(24)), size=30.0, writer="me"):
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        Ink.from_strokes(trace_of(text, size), text=text, writer=writer).save(folder / f"{writer}-{number:02}.inkml")
    return folder


def test_it_is_counted_trained_on_and_written_with(tmp_path):
    folder, run = fill(tmp_path / "ink"), tmp_path / "run"
    assert "24 lines" in (said := graves("data", folder).stdout) and "21 to train on, 3 held out" in said
    settings = [w for s in ("points=1500", "batch_size=4", "precision=fp32", "log_updates=1") for w in ("--set", s)]
    done = graves("train", "own-hand", "--data", folder, "--out", run, *settings)
    assert done.returncode == 0, done.stderr
    scores = []
    for model in ("unipen-synthesis", run):  # it began with the shipped weights: the loss falls within some updates
        assert graves("evaluate", model, "--data", folder, "--json", tmp_path / "e.json").returncode == 0
        scores.append(json.loads((tmp_path / "e.json").read_text()))
    assert [score["lines"] for score in scores] == [3, 3] and {score["data"] for score in scores} == {"own ink"}
    assert scores[1]["nats_per_point"] < scores[0]["nats_per_point"]
    assert graves("write", "mine", "-o", tmp_path / "mine.svg", "--model", run).returncode == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<ink><trace>1 2, 3", "not a readable InkML file"),
        ("<ink><trace>1 2, 3 4</trace></ink>", "it has no text"),
        ('<ink><annotation type="truth">\u0142oty</annotation><trace>1 2, 3 4</trace></ink>', "'\u0142'"),
        ('<ink><annotation type="truth">dot</annotation><trace>1 2</trace></ink>', "no width or no height"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, said):
    (fill(tmp_path / "ink") / "wrong.inkml").write_text(content, encoding="utf-8")
    own = OwnInk(tmp_path / "ink")
    assert len(own.inks) == 24 and list(own.malformed) == ["wrong.inkml"] and said in own.malformed["wrong.inkml"]
    with pytest.raises(ValueError, match="wrong.inkml cannot be used") as caught:
        own.split("train")
    assert said in str(caught.value)


def test_what_can_be_trained_on_is_what_is_counted(tmp_path):
    for name, text in (
        ("a.inkml", "Zo\u00eb M\u00fcller"),
        ("B.INKML", "Ko\u0308ln"),
        ("linked/c.inkml", "stra\u00dfe"),
    ):
        (tmp_path / "disk" / name).parent.mkdir(parents=True, exist_ok=True)
        Ink.from_strokes(trace_of(text, 30.0), text=text, writer="me").save(tmp_path / "line.inkml")
        (tmp_path / "line.inkml").rename(tmp_path / "disk" / name)
    (tmp_path / "ink").mkdir()
    for name in ("a.inkml", "B.INKML", "linked"):
        (tmp_path / "ink" / name).symlink_to(tmp_path / "disk" / name)
    (tmp_path / "ink" / "linked" / "again").symlink_to(tmp_path / "ink")
    (tmp_path / "ink" / "._a.inkml").write_bytes(b"\0\5\26\7")
    listed = graves("data", tmp_path / "ink").stdout
    assert "3 lines" in listed and "files that could not be read: 0" in listed
    assert "K\u00f6ln" in {ink.text for ink in OwnInk(tmp_path / "ink").inks.values()}
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        OwnInk(tmp_path / "nowhere")


def test_the_shell_names_it_in_one_line_and_trains_nothing(tmp_path):
    (fill(tmp_path / "ink") / "wrong.inkml").write_text("<ink><trace>1 2, 3 4</trace></ink>")
    listed = graves("data", tmp_path / "ink").stdout
    assert "files that could not be read: 1" in listed and "wrong.inkml" in listed
    failed = graves("train", "own-hand", "--data", tmp_path / "ink", "--out", tmp_path / "run")
    assert failed.returncode == 1 and len(failed.stderr.strip().splitlines()) == 1
    assert "wrong.inkml" in failed.stderr and not (tmp_path / "run" / "model.safetensors").exists()


def test_two_writers_of_any_size_come_out_alike(tmp_path):
    fill(tmp_path, size=5.0, writer="small")
    fill(tmp_path, size=500.0, writer="large")
    widths = {}
    for ink in OwnInk(tmp_path).split("train"):
        widths.setdefault(ink.writer, []).append(np.ptp(ink.points[:, 0]))
    assert np.isclose(np.median(widths["small"]), np.median(widths["large"]), rtol=0.05)


def test_the_split_keeps_to_names_and_covers_all(tmp_path):
    own = OwnInk(fill(tmp_path / "a"))
    train, valid = ({ink.text for ink in own.split(name)} for name in ("train", "valid"))
    assert not train & valid and len(train | valid) == 24
    again = OwnInk(fill(tmp_path / "b", size=99.0))
    assert {ink.text for ink in again.split("valid")} == valid


def test_recipes_with_a_curriculum_say_what_to_set(tmp_path):
    folder = fill(tmp_path / "ink")
    failed = graves("train", "unipen-synthesis", "--data", folder, "--out", tmp_path / "run")
    assert failed.returncode == 1 and "--set word_fraction=0 --set composed=0 --set spelled=0" in failed.stderr
    recipe = configure(find_recipe("unipen-synthesis"), dict(word_fraction="0", composed="0", spelled="0"))
    assert len(make_stages(recipe, recipe.data.open(folder))[-1].inks) == 21


def test_a_hand_is_measured_on_ink_with_its_text():
    bare = Ink.from_strokes(trace_of("abc", 30.0))
    with pytest.raises(ValueError, match="ink with its text: 1 of 1 pieces have none"):
        measure_hand([bare])
    with pytest.raises(ValueError, match="there is no ink"):
        measure_hand([])


def test_options_of_dynamic_evaluation_are_not_ignored(tmp_path):
    for words in (("--rate", "0.5"), ("--method", "rms")):
        done = graves("evaluate", "wiki", "--data", tmp_path, *words)
        assert done.returncode == 1 and "add --dynamic" in done.stderr
