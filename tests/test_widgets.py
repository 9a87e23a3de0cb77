"""The widgets without a browser: what they are told, what they do, what they say."""

import html
import subprocess
import sys
import threading

import numpy as np
import pytest

from graves_nb import widgets
from graves_nb.alphabet import Alphabet
from graves_nb.colours import ORANGE, contrast
from graves_nb.ink import Ink
from graves_nb.model import InkModel
from graves_nb.plots import step_losses, traces
from graves_nb.pretrained import load_model
from graves_nb.sampling import sample_ink, write
from graves_nb.steps import linked_figure
from graves_nb.studio import read_presets
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork
from graves_nb.tasks import InkTask, Stage
from graves_nb.training import TrainConfig, Trainer
from graves_nb.widgets import InkPad, Message, MixtureExplorer, Studio, TrainingMonitor


@pytest.fixture(scope="module")
def studio():
    made = Studio(text="hi", bias=1.0, seed=3)
    made.write(wait=True)
    yield made
    made.close()


def settle(studio):
    "Until what was begun is written."
    studio._thread.join()
    assert not studio.write_button.disabled and studio.stop_button.disabled


def test_all_widgets_are_found_in_one_place():
    for name in ("Studio", "InkPad", "StrokePlayer", "MixtureExplorer", "WindowExplorer", "TrainingMonitor"):
        assert name in widgets.__all__ and getattr(widgets, name).__module__ != widgets.__name__


def test_who_wants_a_pad_does_not_load_what_figures_need():
    code = """import sys, graves_nb.widgets as w; w.InkPad()
assert not {'jsonschema', 'plotly.basewidget'} & set(sys.modules)"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_short_line_leaves_nothing_to_a_longer_one(studio):
    for text in ("hi", "a good deal longer", "hi"):
        studio.text.value = text  # as the Enter key does
        settle(studio)
        fresh = linked_figure(load_model(), studio.sample.ink, studio.sample.trace, bias=1.0)
        assert studio.sample.ink.text == text and studio.figure._layout == fresh._layout
        (nats,) = traces(studio.figure, "nats")
        np.testing.assert_allclose(nats.y, step_losses(load_model(), studio.sample.ink, studio.sample.trace, 1.0))


def test_enter_in_the_text_writes_it(studio):
    assert not studio.text.continuous_update  # else every letter typed would begin a line
    studio.text.value = "entered"
    settle(studio)
    assert np.array_equal(studio.sample.ink.points, write(load_model(), "entered", bias=1, seed=3).points)


def test_a_file_is_replaced_only_when_asked_twice(studio, tmp_path):
    studio.file.value = str(tmp_path / "line.inkml")
    (tmp_path / "line.inkml").write_text("dear")
    assert studio.save() is None and "exists: press Save again" in studio.saved.value
    assert (tmp_path / "line.inkml").read_text() == "dear"
    assert Ink.load(studio.save()).text == studio.sample.ink.text
    studio.save()
    studio.file.value = str(tmp_path / "other.inkml")
    assert studio.save() is not None  # another name: the warning was of the first
    studio.file.value = str(tmp_path / "line.inkml")
    assert studio.save() is None


@pytest.mark.parametrize("text", ["gr\u00fc\u00df \u4f60", "\u4f60\u597d", "\U0001f600", "", "two\nlines"])
def test_what_cannot_be_written_is_said(studio, text):
    before = studio.sample
    studio.text.value = text
    studio.write(wait=True)
    assert 'role="alert"' in studio.message.value and "Error" not in studio.message.value
    assert studio.sample is before
    studio.text.value = "fine"
    settle(studio)
    assert studio.message.value == ""


def test_damaged_presets_are_said_and_stay_as_they_are(studio, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for damaged in (b'{"neat": {"text": "ne', b"[]", b"\xff"):
        (tmp_path / "presets.json").write_bytes(damaged)
        made = Studio()
        assert "no file of presets" in made.kept.value and made.presets.options == ()
        made.close()
        studio.presets.value = "neat"
        studio.keep_button.click()
        assert "mend it or move it away" in studio.kept.value and studio.presets.value == "neat"
        assert (tmp_path / "presets.json").read_bytes() == damaged
        studio.presets.value = ""
    (tmp_path / "presets.json").unlink()
    studio.presets.value = "neat"
    studio.keep_button.click()
    assert "kept as 'neat'" in html.unescape(studio.kept.value) and studio.presets.options == ("neat",)


def test_a_preset_comes_back_when_that_is_said_and_is_replaced_when_said_twice(studio, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    studio.text.value = "kept"
    settle(studio)
    kept = studio.ink.points
    studio.back_button.click()
    assert "none is kept yet" in studio.kept.value
    studio.presets.value = "mine"
    studio.keep_button.click()
    studio.text.value = "later"
    settle(studio)
    count = studio.view._count
    studio.presets.value = "mine"
    studio.keep_button.click()
    assert "press Keep again to replace it" in studio.kept.value and read_presets()["mine"]["text"] == "kept"
    assert studio.view._count == count and studio.sample.ink.text == "later"
    studio.back_button.click()
    settle(studio)
    assert np.array_equal(studio.ink.points, kept) and studio.presets.value == "mine"
    studio.text.value = "later"
    settle(studio)
    studio.keep_button.click()
    assert read_presets()["mine"]["text"] == "later" and studio.presets.options == ("mine",)
    studio.presets.value = "other"
    studio.back_button.click()
    assert "no preset is kept as 'other': choose from mine" in html.unescape(studio.kept.value)
    studio.presets.value = '{"text": "from text"}'
    settle(studio)
    assert studio.sample.ink.text == "from text" and studio.presets.value == ""


def test_a_preset_that_is_none_is_told(studio, tmp_path):
    path = tmp_path / "line.json"
    path.write_text('{"text": "of a file"}')
    studio.restore(str(path), wait=True)
    assert studio.sample.ink.text == "of a file"
    before = studio.view._count
    for wrong, said in (
        (str(tmp_path / "none.json"), "no file of one"),
        ('{"forks": ' + "[" * 100_000, "no preset"),
        ('{"seed": 2147483648}', "from 0 to 2147483647"),
    ):
        studio.view._handle_custom_msg(dict(kind="open", text=wrong), [])
        assert said in studio.message.value and studio.view._count == before


def test_what_a_page_and_a_stopped_line_leave_out_of_the_python_is_said():
    made = Studio(seed=3, text="many words need many lines: these will be two, or it may be three of them")
    made.write(wait=True)
    for row in (1, 0):
        made.choose(row)
        made.view.at = 20
        made.view.branch(2)
        made.view.take(1)
        assert made.sample is made.view.sample
    said = "line 1, 2 went on another way; neither this call nor a preset has it"
    assert said in made.message.value and made.code.value.startswith(f"# {said}\nfrom graves_nb")
    made.seed.value = 4
    settle(made)
    assert made.message.value == "" and made.code.value.startswith("from graves_nb")
    made.text.value = "a line that takes longer than this test; " * 3
    made.stop(wait=True)
    assert "stopped; the Python writes all of it" in made.message.value
    made.text.value = " " * 70
    assert "the text is blank" in made.message.value
    made.close()


def test_a_network_without_words_is_explored():
    wild = load_model("unipen-prediction")
    view = MixtureExplorer(wild, sample_ink(wild, 100))
    assert view.line["text"] == "" and len(view.line["nats"]) == len(view.line["points"]) - 1
    view.bias = 1.0
    assert view.line["bias"] == 1.0
    view.close()


def test_a_picture_that_fails_is_told_and_ends_no_training(tmp_path):
    network = SynthesisNetwork(
        SynthesisConfig(n_chars=5, hidden_size=12, n_mixtures=2, n_window=2, points_per_char=10.0)
    )
    inks = write(load_model(), ["ab", "ba"], bias=1, seed=1)
    config = TrainConfig(points=2000, batch_size=2, log_updates=2, warmup_updates=2, precision="fp32")
    model = InkModel(network, Alphabet(" abcd"), load_model().scaler)
    trainer = Trainer(model, InkTask([Stage(inks)], inks), tmp_path, config)
    monitor = TrainingMonitor(trainer)  # which is to write hello
    assert "cannot be shown" in monitor.message.value
    monitor.losses["training"] = [(1, float("nan"))]
    monitor.start()
    monitor._thread.join()
    assert (
        trainer.progress.ended and "done · 100%" in monitor.state.value and "cannot be shown" in monitor.message.value
    )
    monitor.close()
    assert trainer.report is print


def test_messages_are_next_to_their_buttons(studio):
    rows = [part.children for part in studio.children if hasattr(part, "children")]
    assert any(studio.save_button in row and studio.saved in row for row in rows)
    assert any(studio.back_button in row and studio.kept in row for row in rows)
    at = list(studio.children).index(studio.message)
    assert studio.write_button in studio.children[at - 1].children


def test_a_message_has_the_colour_of_the_page():
    message = Message()
    message.tell("<b>")
    assert "&lt;b&gt;" in message.value and "color: var(" in message.value
    assert min(contrast(ORANGE, page) for page in ("#ffffff", "#111111")) > 3  # of the bar, which is no text


def test_ink_on_a_pad_is_kept_in_the_middle():
    pad = InkPad(width=400, height=100)
    pad.load(Ink.from_strokes([[(0, 0), (10, 1)], [(3, 5)]], text="x"))
    left, top, right, bottom = pad.ink.bounds
    assert left + right == pytest.approx(400, abs=0.3) and top + bottom == pytest.approx(100, abs=0.3)
    assert right - left == pytest.approx(180, abs=0.3) and pad.text == "x"


def test_a_click_that_comes_late_is_one_wish_with_the_text_that_was_typed(monkeypatch):
    made = Studio(seed=3)
    monkeypatch.setattr("graves_nb.studio.ONE_WISH", -1.0)  # as if the click came long after the text
    made.text.value = "typed, then clicked " * 12  # which takes longer than this test
    writing = made._thread
    made.write_button.click()
    assert made._thread is writing
    made.stop(wait=True)
    made.write_button.click()
    assert made._thread is not writing
    made.stop(wait=True)


@pytest.mark.parametrize("first", ["text", "click", "both"])
def test_a_text_and_the_click_that_comes_with_it_are_one_line_in_whatever_order_they_are_heard(first):
    made = Studio(seed=3, text="this takes longer than it takes to say something else; " * 3)
    made.write(wait=True)
    made._asked = made._asked[0], -10.0  # some time later
    before = made.view._count
    acts = [lambda: setattr(made.text, "value", "something else"), made.write_button.click]
    threads = [threading.Thread(target=act) for act in (acts if first == "text" else acts[::-1])]
    for thread in threads:
        thread.start()
        if first != "both":
            thread.join()
    for thread in threads:
        thread.join()
    made._thread.join()
    assert made.view._count == before + 1 and made.sample.ink.text == "something else"


def test_who_stops_a_line_can_have_it_at_once():
    made = Studio(seed=3)
    made.write()
    made.stop(wait=True)
    stopped = made._thread
    made.write_button.click()
    assert made._thread is not stopped
    made.stop(wait=True)


def test_the_ladder_moves_no_slider_but_for_the_user():
    made = Studio(seed=3)
    made.write(wait=True)
    assert made.ladder.value == "1" and made.bias.value == 1.0
    made.ladder.value = "2"
    assert made.bias.value == 2.0
    made._thread.join()
    assert made.sample.job.bias == 2.0
