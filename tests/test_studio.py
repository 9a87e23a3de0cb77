"""The widgets in a real JupyterLab in a real browser: typed, drawn, written, scrubbed; by keyboard; their memory."""

import gc
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import weakref

import nbformat
import numpy as np
import pytest
from browser import ROOT, SCREENSHOTS, ask, free_port, lab, node_modules, run_all, run_notebook, tab, wait_for
from ipywidgets.widgets.widget import _instances

from graves_nb.pretrained import list_hands, load_model
from graves_nb.sampling import write, write_samples
from graves_nb.widgets import InkPad, MixtureExplorer, Studio, WindowExplorer

EXPLORERS = """from graves_nb import widgets as w
from graves_nb.pretrained import load_model
from graves_nb.sampling import write_samples
model = load_model()
(sample,) = write_samples(model, ["hand"], bias=0.5, seed=2, trace=True)
explorer = w.MixtureExplorer(model, sample.ink, sample.trace)
follower = w.WindowExplorer(model, sample.ink, sample.trace)"""

INK = """from graves_nb.pretrained import load_model
from graves_nb.sampling import write
wide = write(load_model(), "ink that is wider than its cell " * 2, bias=1, seed=0)"""

MONITOR = """import torch
from graves_nb import widgets as w
from graves_nb.model import InkModel
from graves_nb.pretrained import load_model
from graves_nb.sampling import write
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork
from graves_nb.tasks import InkTask, Stage
from graves_nb.training import TrainConfig, Trainer
model, inks = load_model(), write(load_model(), ["ab", "ba"], bias=1, seed=1)
network = SynthesisNetwork(SynthesisConfig(n_chars=len(model.alphabet), hidden_size=12, n_layers=2))
config = TrainConfig(points=10**9, batch_size=2, log_updates=2, warmup_updates=2, precision="fp32")
small = InkModel(network, model.alphabet, model.scaler)
monitor = w.TrainingMonitor(Trainer(small, InkTask([Stage(inks)], inks), "run", config), "ab", every=2)"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    for name in ("studio.ipynb", "65_pad.ipynb", "23_mixture.ipynb"):
        shutil.copy(ROOT / "nbs" / name, folder)
    shutil.copytree(ROOT / "nbs" / "pictures", folder / "pictures")  # which notebooks show
    kernel = dict(kernelspec=dict(name="python3", display_name="Python 3", language="python"))
    sources = dict(
        explorers=(EXPLORERS, "explorer", "follower", "explorer"), monitor=(MONITOR, "monitor"), ink=(INK, "wide")
    )
    for name, each in sources.items():
        cells = [nbformat.v4.new_code_cell(source) for source in each]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / f"{name}.ipynb")
    with lab(folder) as found:
        yield found


@pytest.fixture(scope="module")
def opened(address, browser):
    "The Studio as its notebook shows it, for several tests."
    with tab(browser, width=1366, height=768) as made:
        run_notebook(made, address, "studio.ipynb")
        until(made, "len(studio.ladder.pictures) > 0")
        yield made


@pytest.fixture
def studio_page(opened):
    "The Studio, of which nothing was complained yet."
    opened.complaints.clear()
    opened.set_viewport_size(dict(width=1366, height=768))
    yield opened
    assert opened.complaints == [] and opened.strangers == []


VIEW = "[...document.querySelectorAll('.graves-line')].at(-1)"  # before it is that of what is on the pad

LINE = f"{VIEW}.parentElement.gravesLine().line"
HEIGHTS = f"[...{VIEW}.querySelectorAll('canvas')].map((canvas) => canvas.getBoundingClientRect().height)"

AT = f"Number({VIEW}.dataset.at)"

MOVE = f"""async (to) => {{
    const slider = {VIEW}.querySelector('.graves-time input');
    const [old, begun] = [{AT}, performance.now()];
    slider.value = to;
    slider.dispatchEvent(new Event('input'));
    slider.dispatchEvent(new Event('change'));
    if ({AT} === old) throw new Error('the cursor has not moved');
    await new Promise((painted) => requestAnimationFrame(() => {{
        const {{ port1, port2 }} = new MessageChannel();  // its message comes when the frame has been painted
        port1.onmessage = painted;
        port2.postMessage(0);
    }}));
    return performance.now() - begun;
}}"""

FITS = """() => {
    const text = document.querySelector('.jp-OutputArea-output .widget-text').getBoundingClientRect();
    const line = [...document.querySelectorAll('.graves-line')].at(-1).getBoundingClientRect();
    return line.bottom - text.top <= document.querySelector('.jp-NotebookPanel-notebook').clientHeight;
}"""

# What sticks out of the output that it is in, or is drawn on fewer pixels than it takes.
CUT_OFF = """() => {
    const output = document.querySelector('.graves-line').closest('.jp-OutputArea-output').getBoundingClientRect();
    const parts = [...document.querySelectorAll(
        '.jp-OutputArea-output :is(button, input, select, textarea, canvas, svg, p)')];
    const wide = parts.filter((e) => {
        const box = e.getBoundingClientRect();
        const seen = e.checkVisibility() && !e.closest('.graves-choice') && box.width; // a choice rolls
        return seen && (box.right > output.right + 1 || box.left < output.left - 1);
    });
    const frayed = [...document.querySelectorAll('.graves-line canvas')].filter((e) =>
        e.checkVisibility() && Math.abs(e.getBoundingClientRect().width - e.parentElement.clientWidth) > 1);
    return [...wide, ...frayed].map((e) => e.outerHTML.slice(0, 200));
}"""

CUT_OFF_PLAIN = """() =>
[...document.querySelectorAll('.jp-OutputArea-output :is(button, svg, text, p)')].filter((e) => {
    const [box, output] = [e.getBoundingClientRect(), e.closest('.jp-OutputArea-output').getBoundingClientRect()];
    return e.checkVisibility() && box.width && (box.right > output.right + 1 || box.left < output.left - 1);
}).map((e) => e.outerHTML.slice(0, 200))"""

# The colours of a part of the picture, as how many of its pixels are drawn.
DRAWN = (
    f"() => [...{VIEW}.querySelectorAll('canvas')]"
    + """.map((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let drawn = 0;
    for (let i = 3; i < data.length; i += 4) drawn += data[i] > 0;
    return drawn;
})"""
)

AXE = """async () => {
    const rules = { region: { enabled: false } };
    const found = await axe.run('.jp-OutputArea-output', { rules });
    return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ')}`);
}"""

NAMELESS = """() => [...document.querySelectorAll(
        '.jp-OutputArea-output :is(input, select, button, textarea, canvas, [role=slider])')]
    .filter((e) => !(e.getAttribute('aria-label') || e.labels?.length || e.title || e.textContent.trim()))
    .filter((e) => e.ariaHidden !== 'true')
    .map((e) => e.outerHTML)"""

# Frames that the player draws while the page draws sixty of its own.
DRAWN_OF_SIXTY = """async () => {
    const canvas = document.querySelector('.graves-player canvas');
    const frames = Number(canvas.dataset.frames);
    for (let i = 0; i < 60; i++) await new Promise(requestAnimationFrame);
    return Number(canvas.dataset.frames) - frames;
}"""

WORK = """(code) => {
    window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code, store_history: false});
}"""


def player_points(made):
    return int(made.locator(".graves-player canvas").first.get_attribute("data-points"))


def focused(made):
    "What a screen reader says first of the control that has the keyboard."
    return made.evaluate("""() => {
        const e = document.activeElement;
        return e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent.trim();
    }""")


def tab_to(made, name, most=40):
    "Press Tab until a control has the keyboard."
    for _ in range(most):
        if focused(made) == name:
            return
        made.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {name!r}")


def until(made, expression, seconds=30, each=100):
    "Wait until something holds in the kernel."
    end = time.monotonic() + seconds
    while not ask(made, expression):
        if time.monotonic() > end:
            keep_picture(made, "not-yet")
            said = made.locator(".graves-words").all_inner_texts()
            raise AssertionError(f"after {seconds} s, not yet: {expression}; the page says {said}")
        made.wait_for_timeout(each)


def press_write(made, text):
    "Seconds until there is ink, and until the line is written and its views are there; by keyboard."
    field = made.get_by_label("text", exact=True)
    field.fill(text)
    made.wait_for_timeout(300)
    made.evaluate(f"{VIEW}.querySelector('canvas').dataset.points = 0")
    field.focus()
    tab_to(made, "Write")
    begun = time.monotonic()
    made.keyboard.press("Enter")
    made.wait_for_function(f"{VIEW}.querySelector('canvas').dataset.points > 0", polling=10)
    first = time.monotonic() - begun
    shown(made)
    assert focused(made) == "Write"  # all the while
    assert ask(made, "studio.sample.ink.text") == text
    return first, time.monotonic() - begun


def shown(made):
    "Wait until the line is written, and what is in the browser is what Python has."
    until(made, "studio.samples and not studio.writes", seconds=120)
    wanted = ask(made, "studio.view.line['id']")
    made.wait_for_function(
        f"(id) => ({LINE})?.id === id && {VIEW}.querySelector('[data-line]')?.dataset.line === String(id)", arg=wanted
    )


NATS = """__import__('graves_nb.plots').plots.step_losses(
    studio._model, studio.sample.ink, studio.sample.trace, studio.bias.value).astype(float).tolist()"""


def same_as_python(made):
    "What the browser shows of a line, against what Python computes anew."
    there = made.evaluate(
        f"(() => {{ const line = {LINE}; return [line.nats, line.points, line.text, line.letters, line.ends]; }})()"
    )
    ink = ask(made, "studio.sample.ink.points.astype(float).round(3).tolist()")
    np.testing.assert_allclose(there[0], ask(made, NATS), atol=1e-3)
    np.testing.assert_allclose(there[1], ink, atol=1e-3)
    assert there[2] == ask(made, "studio.sample.ink.text") and len(there[3]) == len(there[4]) == len(ink) - 1
    assert min(made.evaluate(DRAWN)[:5]) > 100


def steady_box(made, thing) -> dict:
    "Where a thing is once it is in sight and has stopped moving."
    thing.scroll_into_view_if_needed()
    before, box = None, thing.bounding_box()
    while before != box:
        made.wait_for_timeout(300)
        before, box = box, thing.bounding_box()
    return box


def seconds_to_stop(made):
    "From the press of Stop until nothing is written any more."
    until(made, "studio.writes")
    made.wait_for_function(f"{VIEW}.querySelector('canvas').dataset.points > 100", polling=10)
    begun = time.monotonic()
    made.get_by_role("button", name="Stop").click()
    until(made, "not studio._thread.is_alive()", each=20)
    return time.monotonic() - begun


def draw_on_pad(made, ink):
    "Recorded strokes, by mouse."
    canvas = made.locator(".graves-pad canvas")
    canvas.wait_for()
    box = steady_box(made, canvas)
    for stroke in ink.strokes:
        (x, y), *rest = (stroke + [box["x"], box["y"]]).tolist()
        made.mouse.move(x, y)
        made.mouse.down()
        for x, y in rest:
            made.mouse.move(x, y)
        made.mouse.up()


def keep_picture(made, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    made.screenshot(path=SCREENSHOTS / f"{name}.png")


SMALL = """() => [...document.querySelectorAll('.jp-OutputArea-output button')]
    .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 24).map((e) => e.outerHTML)"""

WORDS = (
    "a the of handwriting, memory network; learns to write Graves 1308 what if it was (not) told: pen! paper?".split()
)


def random_texts(count):
    "Texts of 1 to 400 characters, in no order."
    chance, lengths = random.Random(5), [1, 2, 60, 61, 136, 400, *(round(1.29**i) for i in range(count - 6))]
    chance.shuffle(lengths)
    for length in lengths:
        text = " ".join(chance.choice(WORDS) for _ in range(length))[:length].strip()
        yield text if text else "a"


def test_the_studio_in_a_browser(studio_page):
    made = studio_page
    first, whole = press_write(made, "seen in a browser")
    print(f"first ink after {first:.2f} s, all views after {whole:.2f} s")
    assert first < 5 and made.evaluate(NAMELESS) == []
    drawn = ask(made, "len(studio.sample.ink)")
    same_as_python(made)
    assert made.evaluate(FITS)  # all of it is on one screen

    for _ in range(3):  # other work may be in the way
        times = [made.evaluate(MOVE, drawn - i) for i in range(2, 9)]
        moved = sorted(times)[len(times) // 2]
        print(f"a move of the cursor is on the screen, in all views, after {moved:.0f} ms (median of {len(times)})")
        if moved < 100:
            break
    assert moved < 100
    until(made, f"studio.view.at == {drawn - 8}")
    made.locator(".graves-line").last.focus()
    for key, wanted in (("ArrowLeft", "drawn - 9"), ("Home", "1"), ("ArrowRight", "2"), ("End", "drawn - 1")):
        made.keyboard.press(key)
        until(made, f"studio.view.at == {eval(wanted, dict(drawn=drawn))}")
    made.keyboard.press("Shift+ArrowLeft")
    until(made, f"0 <= studio.view.line['letters'][studio.view.at - 1] < {len('seen in a browser') - 1}")
    views = made.locator(".graves-layer").last
    box = views.bounding_box()
    views.click(position=dict(x=box["width"] / 2, y=box["height"] - 6))  # on a letter
    at = ask(made, "studio.view.at")
    made.wait_for_function(f"{LINE}.places.includes({AT})")
    assert "than chance" in made.locator(".graves-words").last.inner_text()
    ink = made.locator(".graves-layer").nth(-2)
    ink.click(position=dict(x=120, y=60))
    until(made, f"studio.view.at != {at}")
    for _ in range(6):
        made.get_by_role("button", name="Tour" if _ == 0 else "Next").click()
        assert f"{_ + 1}/6" in made.locator(".graves-words").last.inner_text()
    made.get_by_role("button", name="Done").click()

    ask(made, "setattr(studio.view, 'at', 80) or 0")
    made.wait_for_function(f"{AT} === 80")
    made.get_by_role("button", name="What if?").click()
    until(made, "len(studio.view.branches) == 40")
    made.get_by_text("40 ways to go on").wait_for()
    keep_picture(made, "what-if")
    before, wanted = ask(made, "studio.view.line['id']"), ask(made, "studio.view.branches[2]['points'][5]")
    for _ in range(3):
        made.keyboard.press("ArrowDown")
    made.keyboard.press("Enter")
    until(made, f"studio.view.line['id'] > {before}")
    assert np.allclose(ask(made, "studio.ink.points[85].tolist()"), wanted, atol=0.05)
    shown(made)
    same_as_python(made)
    assert "go_on(model, sample, 81" in ask(made, "studio.code.value")
    made.get_by_role("button", name="Memory").click()
    until(made, "len(studio.view.cells) > 0")
    views.click(position=dict(x=300, y=200))
    made.get_by_text("The network was told nothing of this").wait_for()
    made.get_by_role("button", name="Memory").click()
    until(made, "not studio.view.cells")
    ask(made, "setattr(studio.view, 'playing', False) or 0")
    made.wait_for_timeout(1000)  # until the browser has heard of it, and has said where it stopped
    ask(made, "setattr(studio.view, 'at', 79) or setattr(studio.view, 'at', 80) or 0")
    made.wait_for_function(f"{AT} === 80")
    before = ask(made, "studio.view.line['id']")
    made.get_by_role("button", name="Your pen").click()
    made.get_by_text("Draw on the line").wait_for()  # which may move the line down
    box = steady_box(made, ink)
    made.mouse.move(box["x"] + 700, box["y"] + 60)
    made.mouse.down()
    made.mouse.move(box["x"] + 705, box["y"] + 110, steps=5)
    made.mouse.up()
    until(made, f"studio.view.line['id'] > {before} and len(studio.view.forks) == 2")
    shown(made)
    same_as_python(made)

    before = ask(made, "studio.bias.value")
    made.get_by_label("bias", exact=True).focus()
    made.keyboard.press("ArrowRight")
    until(made, f"studio.bias.value > {before} and studio._call['bias'] == studio.bias.value")  # written again
    shown(made)
    made.get_by_role("radio", name=list_hands()[2].replace("-", " "), exact=True).check(force=True)
    until(made, f"studio._call['hand'] == {list_hands()[2]!r} and not studio.writes")
    made.get_by_role("radio", name="bias 0.5").check(force=True)
    until(made, "studio._call['bias'] == 0.5")
    shown(made)
    same_as_python(made)

    made.get_by_label("text", exact=True).fill("a line so long that there is time to stop it " * 12)
    made.keyboard.press("Enter")  # one writing: a click would come on top of the one that a changed text begins
    spent = seconds_to_stop(made)
    print(f"stopped after {spent:.2f} s")
    made.get_by_text("stopped").wait_for()
    shown(made)
    assert spent < 3 and not ask(made, "all(sample.stopped for sample in studio.samples)")
    same_as_python(made)
    axe = (node_modules() / "axe-core" / "axe.min.js").read_text()
    made.evaluate(axe + "; 0")
    assert made.evaluate(AXE) == []


def count_at_rest(made):
    "How many lines were shown, once the last of what was asked for before is among them."
    count = -1
    while (now := ask(made, "studio.view._count")) != count:
        count = now
        until(made, "not studio.writes")
        made.wait_for_timeout(1000)
    return count


def test_one_wish_is_one_line_and_a_preset_brings_it_back(studio_page):
    made = studio_page
    before = count_at_rest(made)
    field = made.get_by_label("text", exact=True)
    field.fill("typed, then clicked")
    made.get_by_title("write the text").click()  # which takes the keyboard from the text
    until(made, "studio.samples and studio.sample.ink.text == 'typed, then clicked'")
    shown(made)
    made.wait_for_timeout(1500)
    assert count_at_rest(made) == before + 1
    made.get_by_title("write the text").click()  # later on, it is a wish of its own
    until(made, f"studio.view._count > {before + 1}")
    assert count_at_rest(made) == before + 2
    field.fill("entered")
    made.keyboard.press("Enter")
    until(made, "studio.sample.ink.text == 'entered'")
    shown(made)
    assert focused(made) == "text"

    made.get_by_role("button", name="What if?").click()  # at the end, it asks in the middle
    until(made, "len(studio.view.branches) == 40")
    assert 10 < ask(made, "studio.view.at") < ask(made, "len(studio.sample.ink) / 2")
    made.get_by_role("button", name="Take it").click()
    until(made, "len(studio.view.forks) == 1")
    ink = ask(made, "studio.ink.points.tolist()")
    with made.expect_download() as coming:
        made.get_by_role("button", name="preset", exact=True).click()
    assert coming.value.suggested_filename == "line.json" and os.path.getsize(coming.value.path()) < 1000
    name = made.get_by_label("preset", exact=True)
    name.fill("mine")
    made.get_by_title("under this name").click()
    made.get_by_text("kept as 'mine' in presets.json").wait_for()

    def change():
        field.fill("something else")
        made.keyboard.press("Enter")
        until(made, "studio.sample.ink.text == 'something else' and not studio.writes")

    def back():
        until(made, "studio.sample.ink.text == 'entered' and len(studio.view.forks) == 1")
        shown(made)
        assert ask(made, "studio.ink.points.tolist()") == ink
        same_as_python(made)

    change()
    made.locator(".graves-line input[type=file]").last.set_input_files(coming.value.path())
    back()
    preset = json.dumps(ask(made, "studio.preset"))
    change()
    name.fill("mine")
    name.press("Enter")  # which is no wish to lose the line that is there
    until(made, "studio.presets.value == 'mine'")
    at = count_at_rest(made)
    made.wait_for_timeout(1500)
    assert count_at_rest(made) == at and ask(made, "studio.sample.ink.text") == "something else"
    made.get_by_title("under this name").click()
    made.get_by_text("'mine' is kept already: press Keep again").wait_for()
    made.get_by_role("button", name="Bring back").click()
    back()
    change()
    name.fill(preset)
    name.press("Enter")
    back()
    name.fill('{"hand": "left"}')
    name.press("Enter")
    made.get_by_role("alert").get_by_text("there is no hand 'left'").wait_for()


def test_letters_are_joined_where_that_is_chosen(studio_page):
    made = studio_page
    letters, field = made.get_by_label("letters", exact=True), made.get_by_label("text", exact=True)
    before = ask(made, "studio.preset")
    for label, joined in (("joined", True), ("printed", False)):
        letters.select_option(label)
        until(made, f"studio.samples[0].job.joined is {joined} and not studio.writes")
        shown(made)
        same_as_python(made)
    kept = ask(made, "studio.preset")
    assert kept["joined"] is False and "joined" not in before
    letters.select_option("as in the hand")
    until(made, "studio._call['joined'] is None and not studio.writes")
    field.fill("something else")
    made.keyboard.press("Enter")
    until(made, "studio.sample.ink.text == 'something else' and not studio.writes")
    name = made.get_by_label("preset", exact=True)
    name.fill(json.dumps(kept | dict(joined=True)))
    name.press("Enter")
    until(
        made,
        "studio.samples[0].job.joined is True and studio.joined.value is True and not studio.writes",
    )
    same_as_python(made)
    letters.select_option("as in the hand")
    until(made, "studio._call['joined'] is None and not studio.writes")


def test_one_s_own_hand_in_a_browser(studio_page):
    made = studio_page
    made.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    made.set_viewport_size(dict(width=1366, height=1700))
    pad = InkPad()
    pad.load(write(load_model(), "my own hand", bias=0.5, seed=4, hand=1))
    made.get_by_label("text", exact=True).focus()
    tab_to(made, "Write with my own hand")
    own = made.get_by_role("button", name="Write with my own hand")
    assert own.get_attribute("aria-pressed") == "false"
    made.keyboard.press("Enter")
    made.wait_for_function("(e) => e.getAttribute('aria-pressed') === 'true'", arg=own.element_handle())
    draw_on_pad(made, pad.ink)
    made.get_by_label("it says").fill("my own hand")
    until(made, f"len(studio.pad.strokes) == {len(pad.ink.strokes)} and studio.pad.ink.text == 'my own hand'")
    press_write(made, "and the words after")
    assert ask(made, "studio.message.value") == "" and "prime=prime" in ask(made, "studio.code.value")
    call = "exec(studio.code.value.replace('write(load', 'again = write(load'), globals())"
    assert ask(made, f"[{call}, again.points.tolist() == studio.sample.ink.points.tolist()][1]")
    assert ask(made, "studio.reading.line['text']") == "my own hand"
    keep_picture(made, "studio")
    made.get_by_label("it says").fill("my own hand is longer than that, and says much more")
    until(made, "'longer' in studio.pad.ink.text")
    press_write(made, "words")
    made.get_by_role("alert").get_by_text("is that what it says?").wait_for()

    for ending in ("svg", "png", "inkml"):
        made.get_by_label("file", exact=True).fill(f"kept.{ending}")
        made.wait_for_timeout(300)
        made.get_by_title("write the line to the file").click()
        made.get_by_text(f"saved to kept.{ending}").wait_for()
    assert ask(made, "__import__('graves_nb.ink').ink.Ink.load('kept.inkml').text") == "words"
    for label, name in (("moving SVG", "line.svg"), ("InkML", "line.inkml"), ("recipe", "line.py")):
        with made.expect_download() as coming:
            made.get_by_role("button", name=label, exact=True).click()
        assert coming.value.suggested_filename == name and os.path.getsize(coming.value.path()) > 300

    for _ in pad.ink.strokes:  # and back, by keyboard
        made.locator(".graves-pad canvas").press("Backspace")
    until(made, "studio.pad.ink is None")
    draw_on_pad(made, pad.ink)
    until(made, f"len(studio.pad.strokes) == {len(pad.ink.strokes)}")
    for left in reversed(range(len(pad.ink.strokes))):
        made.keyboard.press("Control+z")  # the pad has the keyboard, for it was drawn on
        until(made, f"len(studio.pad.strokes) == {left}")
    for text, said in (("", "empty"), ("words", "the pad is empty")):
        made.get_by_label("text", exact=True).fill(text)
        made.wait_for_timeout(300)
        made.get_by_title("write the text").click()
        made.get_by_role("alert").get_by_text(said).wait_for()
        if not text:
            made.get_by_label("text", exact=True).fill("words")
    made.evaluate((node_modules() / "axe-core" / "axe.min.js").read_text() + "; 0")
    assert made.evaluate(AXE) == [] and made.evaluate(SMALL) == []


def test_any_text_in_any_window_in_a_browser(studio_page):
    made = studio_page
    widths, times = (1366, 600, 390), []
    ask(made, "setattr(studio.hand, 'value', studio.hand.pictures[0]['value']) or 0")
    for i, text in enumerate(random_texts(25)):
        if i % 8 == 3:
            made.set_viewport_size(dict(width=widths[i // 8 % 3], height=900))
        begun = time.monotonic()
        ask(made, f"setattr(studio.text, 'value', {text!r}) or 0")
        until(made, f"studio._call['text'] == {text!r}", each=20)
        shown(made)
        times.append((len(text), round(time.monotonic() - begun, 2)))
        same_as_python(made)
        assert made.evaluate(CUT_OFF) == [], (text, made.viewport_size)
        rows = ask(made, "len(studio.view.page)")
        assert rows == (0 if len(text) <= 60 else ask(made, "len(studio.samples)"))
        if rows:
            made.locator(".graves-page button").last.click()
            until(made, f"studio.view.row == {rows - 1}")
            shown(made)
            same_as_python(made)
    print("characters and seconds:", sorted(times))
    made.evaluate((node_modules() / "axe-core" / "axe.min.js").read_text() + "; 0")
    for theme, width in itertools.product(("JupyterLab Dark", "JupyterLab Light"), widths):
        made.evaluate("(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
        made.set_viewport_size(dict(width=width, height=900))
        made.wait_for_timeout(500)
        assert made.evaluate(CUT_OFF) == [] and made.evaluate(AXE) == [], (theme, width)
        keep_picture(made, f"studio-{width}-{theme[11:].lower()}")

    made.set_viewport_size(dict(width=1366, height=768))
    made.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    made.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
    made.reload()  # the kernel lives
    made.locator(".graves-line canvas").last.wait_for(timeout=60_000)
    made.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel")
    shown(made)
    same_as_python(made)
    ask(made, "setattr(studio.text, 'value', 'after all that') or 0")
    until(made, "studio._call['text'] == 'after all that'")
    shown(made)
    same_as_python(made)

    made.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    made.get_by_role("button", name="What if?").click()  # nobody is there to answer
    made.get_by_text("No answer yet").wait_for(timeout=15_000)
    run_all(made)
    until(made, "len(studio.ladder.pictures) > 0")
    ask(made, "setattr(studio.text, 'value', 'after all that') or 0")
    until(made, "studio._call['text'] == 'after all that'")
    shown(made)
    same_as_python(made)

    made.evaluate("window.jupyterapp.commands.execute('@jupyter-widgets/jupyterlab-manager:saveWidgetState')")
    made.wait_for_timeout(500)
    made.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    made.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
    heights = made.evaluate(HEIGHTS)
    made.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    made.reload()  # and opened without what made it
    made.wait_for_function(f"document.querySelector('.graves-line') && {LINE}?.text === 'after all that'")
    made.locator(".graves-line").last.focus()
    made.keyboard.press("Home")
    made.wait_for_function(f"{AT} === 1")
    assert min(made.evaluate(DRAWN)[:5]) > 100
    assert made.evaluate(HEIGHTS) == pytest.approx(heights, abs=3)  # of ink and views
    made.get_by_title("play or pause (space)").last.click()  # the ink plays
    made.wait_for_function(f"{AT} > 20")
    keep_picture(made, "without-kernel")


def test_a_component_notebook_in_a_browser(address, browser):
    with tab(browser, height=1700) as made:
        run_notebook(made, address, "65_pad.ipynb")
        player = made.locator(".graves-player").first
        player.scroll_into_view_if_needed()
        player.get_by_label("speed").select_option("0.25")
        player.get_by_label("loop").check()  # so that it does not end by itself
        until(made, "player.speed == 0.25 and player.loop")
        player.get_by_label("play or pause").focus()
        made.evaluate(WORK, "time.sleep(6)")  # the kernel has no time for the player
        made.keyboard.press("Enter")
        made.wait_for_timeout(200)
        before, frames = player_points(made), made.evaluate(DRAWN_OF_SIXTY)
        assert frames > 55 and player_points(made) > before  # whatever else the machine does, it leaves none out
        points = "Number(document.querySelector('.graves-player canvas').dataset.points)"
        made.wait_for_function(f"{points} > 20 && {points} < 60")  # which comes again, in a loop
        made.keyboard.press("Enter")
        until(made, "not player.playing and 20 < player.position < len(ink)")
        keep_picture(made, "component")
        assert made.complaints == [] and made.strangers == []


INK_AT = """(n) => {
    const view = document.querySelectorAll('.graves-line')[n].parentElement;
    return [view.gravesFrames().ink.at([0, 0]), view.gravesFrames().ink.scale];
}"""


def test_explorers_in_a_browser(address, browser):
    with tab(browser, height=1700) as made:
        run_notebook(made, address, "explorers.ipynb")
        mixture, window, again = made.locator(".graves-line").all()
        line = "document.querySelectorAll('.graves-line')[0].parentElement.gravesLine().line"
        where, narrow = made.evaluate(INK_AT, 0), f"{line}.byStep.get(1)[0].xx"
        mixture.focus()
        for key, at in (("ArrowRight", 2), ("End", "len(sample.ink) - 1"), ("Home", 1)):
            made.keyboard.press(key)
            until(made, f"explorer.at == {at}")
            assert made.evaluate(INK_AT, 0) == where  # the line keeps its place
            made.wait_for_function(
                "(at) => document.querySelectorAll('.graves-line')[2].dataset.at === at",
                arg=mixture.get_attribute("data-at"),
            )  # what is shown twice has its cursor in both
        before = made.evaluate(narrow)
        made.get_by_label("bias", exact=True).first.focus()
        begun = time.monotonic()
        made.keyboard.press("ArrowRight")
        made.wait_for_function(f"(old) => {narrow} < old", arg=before)
        print(f"another bias: drawn after {1000 * (time.monotonic() - begun):.0f} ms")
        assert ask(made, "explorer.bias") == pytest.approx(0.1)
        assert made.evaluate(narrow) / before == pytest.approx(np.exp(-0.2), rel=1e-3)  # (61)
        views = window.locator(".graves-layer").last
        views.scroll_into_view_if_needed()
        box = views.bounding_box()
        views.click(position=dict(x=64 + (box["width"] - 74) * 2.5 / 4, y=100))  # the third of four letters
        until(made, "follower.line['letters'][follower.at - 1] == 2")
        assert "it looks at the “n”" in window.locator(".graves-words").inner_text()
        keep_picture(made, "explorers")
        assert made.evaluate(CUT_OFF) == [] and made.evaluate(NAMELESS) == []
        made.evaluate((node_modules() / "axe-core" / "axe.min.js").read_text() + "; 0")
        assert made.evaluate(AXE) == [] and made.complaints == [] and made.strangers == []


LIGHT = """() => [...document.querySelectorAll('.jp-OutputArea-output, .jp-OutputArea-output *')].filter((e) => {
    const [red, green, blue, alpha = 1] = getComputedStyle(e).backgroundColor.match(/[\\d.]+/g).map(Number);
    return alpha > 0.5 && Math.min(red, green, blue) > 200;
}).map((e) => e.outerHTML.slice(0, 200))"""


def test_ink_in_a_dark_notebook_has_no_white_box_and_is_not_cut_off(address, browser):
    with tab(browser) as made:
        run_notebook(made, address, "ink.ipynb", dark=True)
        made.set_viewport_size(dict(width=600, height=900))
        made.wait_for_timeout(300)
        svg, output = made.locator(".graves-ink svg"), made.locator(".jp-OutputArea-output")
        assert made.evaluate(LIGHT) == []
        inner, outer = svg.bounding_box(), output.bounding_box()
        assert outer["x"] <= inner["x"] and inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 1
        ends = svg.evaluate("""(svg) => {
            const box = svg.getBoundingClientRect();
            const all = [...svg.querySelectorAll('path')].map((path) => path.getBoundingClientRect());
            const [left, right] = [Math.min(...all.map((p) => p.left)), Math.max(...all.map((p) => p.right))];
            return [left - box.left, box.right - right];
        }""")
        assert min(ends) >= 0
        lightness = svg.evaluate("(svg) => getComputedStyle(svg).color.match(/[\\d.]+/g).slice(0, 3).map(Number)")
        assert min(lightness) > 180 and made.complaints == []


LIGHT_IN_FIGURES = """() => [...document.querySelectorAll('.js-plotly-plot, .js-plotly-plot *')].filter((e) => {
    const {backgroundColor, fill, fillOpacity} = getComputedStyle(e), {width, height} = e.getBoundingClientRect();
    const light = (colour, opacity) => {
        const [red, green, blue, alpha = 1] = (colour.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
        return alpha * opacity > 0.5 && Math.min(red, green, blue) > 200;
    };
    const filled = ['rect', 'path'].includes(e.tagName) && width * height > 400;
    return light(backgroundColor, 1) || (filled && light(fill, fillOpacity));
}).map((e) => e.outerHTML.slice(0, 200))"""


def test_figures_in_a_dark_notebook_have_no_white_box(address, browser):
    with tab(browser) as made:
        run_notebook(made, address, "23_mixture.ipynb", dark=True)
        made.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg .bg').length > 5")
        keep_picture(made, "figures-dark")
        assert made.evaluate(LIGHT_IN_FIGURES) == made.complaints == []


def test_the_interrupt_of_a_kernel_stops_a_training_in_a_browser(address, browser):
    with tab(browser) as made:
        run_notebook(made, address, "monitor.ipynb")
        made.get_by_title("start, or go on").click()
        until(made, "len(monitor.losses.get('training', [])) > 3 and monitor.line.value.count('<svg') > 1", seconds=60)
        made.get_by_text("a second").wait_for()
        keep_picture(made, "monitor")
        made.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
        made.get_by_text("stopped, Start goes on").wait_for()
        until(made, "not monitor._thread.is_alive()")
        seen = ask(made, "monitor.trainer.progress.points")
        made.get_by_title("start, or go on").click()
        until(made, f"monitor.trainer.progress.points > {seen}")
        made.get_by_title("stop after this update").click()
        made.get_by_text("stopped, Start goes on").wait_for()
        assert made.evaluate(CUT_OFF_PLAIN) == [] and made.complaints == []


def test_graves_lab_opens_the_studio_running(tmp_path, browser):
    port, log = free_port(), tmp_path / "log"
    command = [
        sys.executable,
        "-c",
        "from graves_nb.cli import main; main()",
        "lab",
        str(tmp_path),
        "--",
        "--no-browser",
    ]
    env = os.environ | dict(JUPYTER_RUNTIME_DIR=str(tmp_path / "runtime"), PYTHONPATH=str(ROOT))
    with log.open("wb") as out:
        command += [f"--port={port}", "--port-retries=0"]
        server = subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True)
        try:
            wait_for(f"http://127.0.0.1:{port}/api", server, log)
            link = re.search(rf"http://127.0.0.1:{port}/lab/tree/\S+", log.read_text())[0]
            with tab(browser, width=1366, height=768) as made:
                made.goto(link)
                made.wait_for_selector(".graves-line canvas[data-points]", timeout=90_000, state="attached")
                made.wait_for_function(f"{LINE}?.text === 'Hello from a neural network'")
                assert not made.locator(".jp-CodeCell .jp-Cell-inputArea .cm-editor").first.is_visible()
                keep_picture(made, "graves-lab")
        finally:
            os.killpg(server.pid, signal.SIGTERM)  # JupyterLab, too, which the command waits for
            server.wait(20)
    assert f"{port}/lab/tree/studio.ipynb" in log.read_text()
    assert "Studio()" in (tmp_path / "studio.ipynb").read_text()


def test_a_page_without_jupyter_shows_the_studio(tmp_path):
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--execute", "--to", "html", "--output-dir", str(tmp_path)]
    env = os.environ | dict(PYTHONPATH=str(ROOT))
    subprocess.run([*command, str(ROOT / "nbs" / "studio.ipynb")], check=True, env=env, capture_output=True)
    written = (tmp_path / "studio.html").read_text()
    print(f"the page has {len(written) / 1e6:.1f} MB")
    assert len(written) < 3e6 and "Hello from a neural network" in written and "graves-line" in written


FIFTY = """import gc, json, resource, weakref
from ipywidgets.widgets.widget import _instances
from graves_nb.widgets import Studio
before, studio, used, held = len(_instances), Studio(text="again and again", seed=1), [], []
for _ in range(50):
    studio.write(wait=True)
    gc.collect()
    held.append(len(gc.get_objects()))
    used.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
gone = weakref.ref(studio)
studio.close()
del studio
gc.collect()
print(json.dumps([held, used, len(_instances) == before, gone() is None]))"""


def test_fifty_lines_leave_no_memory_behind():
    run = subprocess.run([sys.executable, "-c", FIFTY], check=True, capture_output=True, text=True)
    held, used, closed, gone = json.loads(run.stdout)
    print(f"objects after 10 lines {held[9]:,}, after 50 {held[-1]:,}; memory {used[9]:.0f} MB, {used[-1]:.0f} MB")
    assert held[-1] < 1.02 * held[9] and used[-1] < used[9] + 60 and closed and gone


@pytest.mark.parametrize("kind", [MixtureExplorer, WindowExplorer])
def test_what_is_closed_leaves_nothing_behind(kind):
    model = load_model()
    (sample,) = write_samples(model, ["ab"], seed=1, trace=True)
    before, view = len(_instances), kind(model, sample.ink, sample.trace)
    view.at = 7
    gone = weakref.ref(view)
    view.close()
    del view
    gc.collect()
    assert len(_instances) == before and gone() is None


def test_every_control_has_a_label():
    studio = Studio()
    for name in ("text", "hand", "ladder", "bias", "seed", "model", "pad_text", "code", "file", "own"):
        assert getattr(studio, name).description
    for button in (studio.write_button, studio.stop_button, studio.save_button):
        assert button.description and button.tooltip
    studio.close()
