"""The road to a hand of one's own: prompts, files that can be trained on, and the notebook that the command opens."""

import json
import sys
from dataclasses import replace

import pytest

import graves_nb.cli as cli
from graves_nb.alphabet import ASCII
from graves_nb.collect import PROMPTS, Collector, least_seen
from graves_nb.own_ink import OwnInk
from graves_nb.pretrained import load_model
from graves_nb.sampling import write


def test_prompts_cover_the_alphabet_and_are_short_enough_to_be_trained_on():
    assert min(least_seen(PROMPTS).values()) >= 3 and len(set(PROMPTS)) == len(PROMPTS)
    assert all(len(prompt) <= 60 and not ASCII.unknown(prompt) for prompt in PROMPTS)


def test_what_is_collected_can_be_trained_on(tmp_path):
    prompts = ("one line", "another line", "the last one")
    collector = Collector(tmp_path / "ink", prompts)
    for prompt, ink in zip(prompts, write(load_model(), prompts, bias=1, seed=3), strict=True):
        assert collector.pad.text == prompt
        collector.pad.load(replace(ink, text=prompt))
        assert collector.save() or collector.save()
    assert collector.collected == 3 and collector.save_button.disabled
    own = OwnInk(tmp_path / "ink")
    assert sorted(ink.text for ink in own.split("train") + own.split("valid")) == sorted(prompts)
    assert "3 of 3" in Collector(tmp_path / "ink", prompts).progress.value


def test_a_disk_that_is_full_is_told_and_the_ink_stays_on_the_pad(tmp_path):
    (tmp_path / "ink").write_text("in the way")
    collector = Collector(tmp_path / "ink", ("a line",))
    collector.pad.load(replace(write(load_model(), "a line", bias=1), text="a line"))
    assert collector.save() is None and collector.message.value and collector.pad.strokes


def test_the_command_puts_a_notebook_that_runs_beside_the_lines(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("subprocess.run", lambda words: opened.append(words) or type("Done", (), dict(returncode=0)))
    with pytest.raises(SystemExit) as ended:
        cli.collect(tmp_path / "my ink", ["--no-browser"])
    assert ended.value.code == 0 and opened[0][:4] == [sys.executable, "-m", "jupyter", "lab"]
    assert any("collect.ipynb" in word for word in opened[0]) and opened[0][-1] == "--no-browser"
    names = {}
    for cell in json.loads((tmp_path / "my ink" / "collect.ipynb").read_text())["cells"]:
        exec(cell["source"], names)
    assert names["collector"].folder == tmp_path / "my ink"
