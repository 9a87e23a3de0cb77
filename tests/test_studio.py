"""The Studio, in a real JupyterLab in a real browser: typed, drawn, written, scrubbed; and its memory."""

import gc
import shutil
import time

import pytest
from browser import ROOT, SCREENSHOTS, ask, lab, page, run_notebook

from graves_nb.pretrained import load_model
from graves_nb.sampling import write
from graves_nb.widgets import InkPad, Studio


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "nbs" / "studio.ipynb", folder)
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


def player_points(made):
    return int(made.locator(".graves-player canvas").get_attribute("data-points"))


def press_write(made, text):
    "Seconds until there is ink, and until the line is written and its views are there."
    made.get_by_label("text", exact=True).fill(text)
    made.wait_for_timeout(300)
    made.evaluate("document.querySelector('.graves-player canvas').dataset.points = 0")
    begun = time.monotonic()
    made.get_by_role("button", name="Write").click()
    made.wait_for_function("document.querySelector('.graves-player canvas').dataset.points > 50")
    first = time.monotonic() - begun
    while not ask(made, f"studio.sample.ink.text == {text!r} and not studio.write_button.disabled"):
        made.wait_for_timeout(100)
    made.wait_for_selector(".js-plotly-plot .heatmaplayer image", state="attached")
    return first, time.monotonic() - begun


def draw_on_pad(made, ink):
    "Recorded strokes, by mouse."
    made.get_by_text("Your own hand").click()
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


def test_the_studio_in_a_browser(address):
    with page() as made:
        run_notebook(made, address, "studio.ipynb")
        first, whole = press_write(made, "seen in a browser")
        print(f"first ink after {first:.2f} s, all views after {whole:.2f} s")
        assert first < 5
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
        made.wait_for_timeout(500)
        assert ask(made, "studio.player.position") == drawn - 8 and player_points(made) == drawn - 8

        before = ask(made, "studio.bias.value")
        made.locator(".noUi-handle").first.focus()
        made.keyboard.press("ArrowRight")
        made.wait_for_timeout(300)
        assert ask(made, "studio.bias.value") > before

        pad = InkPad()
        pad.load(write(load_model(), "my own hand", bias=0.5, seed=4, style=1))
        draw_on_pad(made, pad.ink)
        made.get_by_label("it says").fill("my own hand")
        made.wait_for_timeout(500)
        assert ask(made, "len(studio.pad.strokes)") == len(pad.ink.strokes)
        press_write(made, "and the words after")
        assert ask(made, "studio.message.value") == "" and "prime=prime" in ask(made, "studio.code.value")
        call = "exec(studio.code.value.replace('write(load', 'again = write(load'), globals())"
        assert ask(made, f"[{call}, again.points.tolist() == studio.sample.ink.points.tolist()][1]")

        made.get_by_label("text", exact=True).fill("")
        made.get_by_role("button", name="Write").click()
        made.get_by_role("alert").wait_for()
        assert "empty" in made.get_by_role("alert").inner_text()

        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        made.screenshot(path=SCREENSHOTS / "studio.png")
        assert made.complaints == [] and made.strangers == []


def test_fifty_lines_leave_no_memory_behind():
    import resource

    studio, used, held = Studio(text="again and again", seed=1), [], []
    for _ in range(50):
        studio.write(wait=True)
        gc.collect()
        held.append(len(gc.get_objects()))
        used.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    studio.close()
    print(f"objects after 10 lines {held[9]:,}, after 50 {held[-1]:,}; memory {used[9]:.0f} MB, {used[-1]:.0f} MB")
    assert held[-1] < 1.02 * held[9] and used[-1] < used[9] + 60


def test_every_control_has_a_label():
    studio = Studio()
    for name in ("text", "style", "bias", "seed", "model", "pad_text", "logarithmic", "code", "file"):
        assert getattr(studio, name).description
    for button in (studio.write_button, studio.stop_button, studio.save_button):
        assert button.description and button.tooltip
    studio.close()
