"""The widgets in a real JupyterLab in a real browser: typed, drawn, written, scrubbed; by keyboard; their memory."""

import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import weakref

import nbformat
import pytest
from browser import ROOT, SCREENSHOTS, ask, free_port, lab, page, run_notebook, wait_for
from ipywidgets.widgets.widget import _instances

from graves_nb.plots import contrast
from graves_nb.pretrained import load_model
from graves_nb.sampling import write, write_samples
from graves_nb.widgets import InkPad, MixtureExplorer, Studio, WindowExplorer

EXPLORERS = """from graves_nb import widgets as w
from graves_nb.pretrained import load_model
from graves_nb.sampling import write_samples
model = load_model()
(sample,) = write_samples(model, ["hand"], bias=0.5, seed=2, trace=True)
explorer = w.MixtureExplorer(model, sample.ink, sample.trace)
follower = w.WindowExplorer(model, sample.ink, sample.trace)"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    for name in ("studio.ipynb", "65_pad.ipynb"):
        shutil.copy(ROOT / "nbs" / name, folder)
    shutil.copytree(ROOT / "nbs" / "pictures", folder / "pictures")  # which notebooks show
    cells = [nbformat.v4.new_code_cell(source) for source in (EXPLORERS, "explorer", "follower")]
    kernel = dict(kernelspec=dict(name="python3", display_name="Python 3", language="python"))
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "explorers.ipynb")
    with lab(folder) as found:
        yield found


CURSOR = "document.querySelector('.graves-cursor').innerHTML"

MOVE = f"""async (to) => {{
    const slider = document.querySelector('.graves-player input[type=range]');
    const [old, begun] = [{CURSOR}, performance.now()];
    slider.value = to;
    slider.dispatchEvent(new Event('input'));
    slider.dispatchEvent(new Event('change'));
    if ({CURSOR} === old) throw new Error('the cursor has not moved');
    await new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted)));
    return performance.now() - begun;
}}"""

NAMELESS = """() => [...document.querySelectorAll(
        '.jp-OutputArea-output :is(input, select, button, textarea, canvas, [role=slider])')]
    .filter((e) => !(e.getAttribute('aria-label') || e.labels?.length || e.title || e.textContent.trim()))
    .map((e) => e.outerHTML)"""

RATE = """async () => {
    const canvas = document.querySelector('.graves-player canvas');
    const [frames, begun] = [Number(canvas.dataset.frames), performance.now()];
    await new Promise((passed) => setTimeout(passed, 1500));
    return (Number(canvas.dataset.frames) - frames) / (performance.now() - begun) * 1000;
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


def until(made, expression, seconds=30):
    "Wait until something holds in the kernel."
    end = time.monotonic() + seconds
    while not ask(made, expression):
        assert time.monotonic() < end, f"after {seconds} s, not yet: {expression}"
        made.wait_for_timeout(100)


def press_write(made, text):
    "Seconds until there is ink, and until the line is written and its views are there; by keyboard."
    field = made.get_by_label("text", exact=True)
    field.fill(text)
    made.wait_for_timeout(300)
    made.evaluate("document.querySelector('.graves-player canvas').dataset.points = 0")
    field.focus()
    tab_to(made, "Write")
    begun = time.monotonic()
    made.keyboard.press("Enter")
    made.wait_for_function("document.querySelector('.graves-player canvas').dataset.points > 50")
    first = time.monotonic() - begun
    until(made, f"studio.sample.ink.text == {text!r} and not studio.write_button.disabled")
    made.wait_for_selector(".js-plotly-plot .heatmaplayer image", state="attached")
    return first, time.monotonic() - begun


def draw_on_pad(made, ink):
    "Recorded strokes, by mouse."
    canvas = made.locator(".graves-pad canvas")
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    made.wait_for_timeout(300)
    box = canvas.bounding_box()
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


def test_the_studio_in_a_browser(address):
    with page() as made:
        run_notebook(made, address, "studio.ipynb")
        first, whole = press_write(made, "seen in a browser")
        print(f"first ink after {first:.2f} s, all views after {whole:.2f} s")
        assert first < 5 and made.evaluate(NAMELESS) == []
        assert ask(made, "studio.sample.ink.text") == "seen in a browser"
        drawn = ask(made, "len(studio.sample.ink)")
        assert player_points(made) == drawn

        slider = made.get_by_label("time, in points")
        slider.focus()
        before = made.evaluate(CURSOR)
        slider.press("ArrowLeft")
        made.wait_for_function(f"(old) => {CURSOR} !== old", arg=before)
        times = [made.evaluate(MOVE, drawn - i) for i in range(2, 9)]
        moved = sorted(times)[len(times) // 2]
        print(f"a move of the cursor is on the screen, in all views, after {moved:.0f} ms (median of {len(times)})")
        assert moved < 100 and made.locator(".graves-cursor line").count() == 3
        until(made, f"studio.player.position == {drawn - 8}")
        assert player_points(made) == drawn - 8

        before = ask(made, "studio.bias.value")
        made.get_by_label("bias", exact=True).focus()
        made.keyboard.press("ArrowRight")
        until(made, f"studio.bias.value > {before} and studio._asked['bias'] == studio.bias.value")  # written again
        until(made, "not studio.write_button.disabled")

        made.get_by_label("text", exact=True).fill("a line so long that there is time to stop it " * 12)
        made.wait_for_timeout(300)
        made.get_by_title("write the text").click()
        # the kernel answers while it writes
        until(made, "studio.write_button.disabled and len(studio.sample.ink) > 50")
        made.get_by_role("button", name="Stop").click()
        made.get_by_text("stopped").wait_for()
        until(made, "not studio.write_button.disabled")
        assert not ask(made, "studio.sample.stopped")

        pad = InkPad()
        pad.load(write(load_model(), "my own hand", bias=0.5, seed=4, hand=1))
        made.get_by_label("text", exact=True).focus()
        tab_to(made, "Write with my own hand")
        made.keyboard.press("Enter")
        draw_on_pad(made, pad.ink)
        made.get_by_label("it says").fill("my own hand")
        until(made, f"len(studio.pad.strokes) == {len(pad.ink.strokes)} and studio.pad.ink.text == 'my own hand'")
        press_write(made, "and the words after")
        assert ask(made, "studio.message.value") == "" and "prime=prime" in ask(made, "studio.code.value")
        call = "exec(studio.code.value.replace('write(load', 'again = write(load'), globals())"
        assert ask(made, f"[{call}, again.points.tolist() == studio.sample.ink.points.tolist()][1]")
        keep_picture(made, "studio")

        for ending in ("svg", "png", "inkml"):
            made.get_by_label("file", exact=True).fill(f"kept.{ending}")
            made.wait_for_timeout(300)
            made.get_by_title("write the line to the file").click()
            made.get_by_text(f"saved to kept.{ending}").wait_for()
        assert ask(made, "__import__('graves_nb.ink').ink.Ink.load('kept.inkml').text") == "and the words after"

        for _ in pad.ink.strokes:  # and back, by keyboard
            made.locator(".graves-pad canvas").press("Backspace")
        until(made, "studio.pad.ink is None")
        for text, said in (("", "empty"), ("words", "the pad is empty")):
            made.get_by_label("text", exact=True).fill(text)
            made.wait_for_timeout(300)
            made.get_by_title("write the text").click()
            made.get_by_role("alert").get_by_text(said).wait_for()
            if not text:
                made.get_by_label("text", exact=True).fill("words")
        assert made.complaints == [] and made.strangers == []


SAME = """(wanted) => {
    const layout = document.querySelector('.js-plotly-plot')._fullLayout;
    const axes = Object.keys(layout).filter((key) => key.startsWith('yaxis')).sort();
    const off = (axis, i) => axis.domain.some((end, side) => Math.abs(end - wanted[i][side]) > 1e-6);
    return axes.length === wanted.length && !axes.some((key, i) => off(layout[key], i));
}"""

LETTERS = """() => {
    const page = getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor;
    const letters = [...document.querySelectorAll('.js-plotly-plot .main-svg text:not(.hoverlayer text)')];
    return [page, [...new Set(letters.map((text) => getComputedStyle(text).fill))]];
}"""

SMALL = """() => [...document.querySelectorAll('.jp-OutputArea-output button')]
    .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 24).map((e) => e.outerHTML)"""


def hex_of(colour):
    "A colour of CSS as #rrggbb."
    return "#" + "".join(f"{int(float(part)):02x}" for part in re.findall(r"[\d.]+", colour)[:3])


@pytest.mark.parametrize("dark", [False, True])
def test_a_long_line_after_a_short_one_in_a_browser(address, dark):
    with page() as made:
        run_notebook(made, address, "studio.ipynb", dark=dark)
        field = made.get_by_label("text", exact=True)
        for text in ("hi", "a line that is a good deal longer than that"):
            field.fill(text)
            field.press("Enter")
            until(made, f"studio.sample is not None and studio.sample.ink.text == {text!r}")
            until(made, "not studio.write_button.disabled")
            assert focused(made) == "text"
            wanted = ask(made, "[list(studio.figure.layout[f'yaxis{i}'].domain) for i in ('', 2, 3, 4)]")
            made.wait_for_function(SAME, arg=wanted)
            made.wait_for_function("document.querySelectorAll('.graves-cursor line').length === 3")
            keep_picture(made, f"{'dark' if dark else 'light'}-{len(text)}")
        ground, letters = made.evaluate(LETTERS)
        ratios = [contrast(hex_of(colour), hex_of(ground)) for colour in letters]
        print(f"letters {letters} on {ground}: {[round(ratio, 1) for ratio in ratios]}")
        assert min(ratios) >= 4.5 and made.evaluate(SMALL) == []
        own = made.get_by_role("button", name="Write with my own hand")
        assert own.get_attribute("aria-pressed") == "false"
        own.click()
        made.wait_for_function("(e) => e.getAttribute('aria-pressed') === 'true'", arg=own.element_handle())
        assert made.complaints == [] and made.strangers == []


def test_a_component_notebook_in_a_browser(address):
    with page() as made:
        run_notebook(made, address, "65_pad.ipynb")
        player = made.locator(".graves-player").first
        player.scroll_into_view_if_needed()
        player.get_by_label("speed").select_option("0.25")
        until(made, "player.speed == 0.25")
        player.get_by_label("play or pause").focus()
        made.evaluate(WORK, "time.sleep(2)")  # the kernel has no time for the player
        made.keyboard.press("Enter")
        made.wait_for_timeout(200)
        before, rate = player_points(made), made.evaluate(RATE)
        print(f"the player draws {rate:.0f} frames a second while the kernel is busy")
        assert rate > 25 and player_points(made) > before
        made.keyboard.press("Enter")
        until(made, "not player.playing and 20 < player.position < len(ink)")
        player.get_by_label("loop").check()
        until(made, "player.loop")
        keep_picture(made, "component")
        assert made.complaints == [] and made.strangers == []


PATHS = """(n) => [...document.querySelectorAll('.js-plotly-plot')[n].querySelectorAll('path.js-line')]
    .map((path) => path.getAttribute('d')).join()"""


def test_explorers_in_a_browser(address):
    with page() as made:
        run_notebook(made, address, "explorers.ipynb")
        for name, state in (("bias", "explorer.bias.value > 0"), ("point", "explorer.step.value > 1")):
            made.get_by_label(name, exact=True).first.focus()
            drawn, begun = made.evaluate(PATHS, 0), time.monotonic()
            made.keyboard.press("ArrowRight")
            made.wait_for_function(f"(old) => ({PATHS})(0) !== old", arg=drawn)
            print(f"another {name}: drawn after {1000 * (time.monotonic() - begun):.0f} ms")
            assert ask(made, state)
        drawn = made.evaluate(PATHS, 1)
        letter = made.locator(".js-plotly-plot").nth(1).locator(".textpoint").nth(2)
        letter.scroll_into_view_if_needed()
        box = letter.bounding_box()
        for x in (0.3, 0.5):  # plotly takes a click where it saw the mouse hover
            made.mouse.move(box["x"] + x * box["width"], box["y"] + box["height"] / 2)
            made.wait_for_timeout(300)
        made.mouse.down()
        made.mouse.up()
        until(made, "follower.step.value == w.where_written(sample.trace, 'hand', 2)")
        made.wait_for_function(f"(old) => ({PATHS})(1) !== old", arg=drawn)
        keep_picture(made, "explorers")
        assert made.evaluate(NAMELESS) == [] and made.complaints == [] and made.strangers == []


def test_graves_lab_opens_the_studio(tmp_path):
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
        finally:
            os.killpg(server.pid, signal.SIGTERM)  # JupyterLab, too, which the command waits for
            server.wait(20)
    assert f"{port}/lab/tree/studio.ipynb" in log.read_text()
    assert "Studio()" in (tmp_path / "studio.ipynb").read_text()


def test_fifty_lines_leave_no_memory_behind():
    import resource

    before, studio, used, held = len(_instances), Studio(text="again and again", seed=1), [], []
    for _ in range(50):
        studio.write(wait=True)
        gc.collect()
        held.append(len(gc.get_objects()))
        used.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(f"objects after 10 lines {held[9]:,}, after 50 {held[-1]:,}; memory {used[9]:.0f} MB, {used[-1]:.0f} MB")
    assert held[-1] < 1.02 * held[9] and used[-1] < used[9] + 60
    gone = weakref.ref(studio)
    studio.close()
    del studio
    gc.collect()
    assert len(_instances) == before and gone() is None


@pytest.mark.parametrize("kind", [MixtureExplorer, WindowExplorer])
def test_what_is_closed_leaves_nothing_behind(kind):
    model = load_model()
    (sample,) = write_samples(model, ["ab"], seed=1, trace=True)
    before, view = len(_instances), kind(model, sample.ink, sample.trace)
    view.step.value = 7
    gone = weakref.ref(view)
    view.close()
    del view
    gc.collect()
    assert len(_instances) == before and gone() is None


def test_every_control_has_a_label():
    studio = Studio()
    for name in ("text", "hand", "bias", "seed", "model", "pad_text", "logarithmic", "code", "file", "own"):
        assert getattr(studio, name).description
    for button in (studio.write_button, studio.stop_button, studio.save_button):
        assert button.description and button.tooltip
    studio.close()
