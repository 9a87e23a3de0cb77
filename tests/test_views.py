"""The JavaScript of the widgets and of the page that writes, in a browser, with stand-ins for Python and network."""

import json
import shutil

import numpy as np
import pytest
import torch
from browser import ROOT, serve, tab

from graves_nb.endings import MARKED, Ending, Line
from graves_nb.explorers import LineView, MixtureExplorer
from graves_nb.pretrained import load_model
from graves_nb.sampling import sample_ink, write_samples

HELPERS = """
HTMLElement.prototype.setPointerCapture = () => {};  // pointers of a test are none of the browser's
window.sleep = (ms) => new Promise((go) => setTimeout(go, ms));
window.stateOf = (state) => {
  const heard = {};
  return {
    state, sent: [], get: (name) => state[name], save_changes() {},
    set(name, value) {
      if (state[name] === value) return;
      state[name] = value;
      for (const act of [...(heard[`change:${name}`] || [])]) act();
    },
    send(message) { this.sent.push(message); },
    tell(message) { for (const act of heard["msg:custom"]) act(message); },
    on: (name, act) => (heard[name] ??= []).push(act),
    off: (name, act) => (heard[name] = heard[name].filter((other) => other !== act)),
  };
};
window.view = async (name, state, model = stateOf(structuredClone(state))) => {
  const el = document.body.appendChild(document.createElement("div"));
  const close = (await import(`/${name}.js`)).default.render({ model, el });
  await sleep(50);  // until its size is known
  const [ink] = el.querySelectorAll(".graves-top, canvas:not(.graves-layer canvas)");
  const point = (kind, x, y, pointerId = 1) => ink.dispatchEvent(new PointerEvent(kind, {
    bubbles: true, pointerId,
    clientX: ink.getBoundingClientRect().left + x, clientY: ink.getBoundingClientRect().top + y }));
  const stroke = (end = "pointerup") => {
    point("pointerdown", 300, 80);
    point("pointermove", 330, 60);
    point(end, 330, 60);
  };
  const button = (label) => [...el.querySelectorAll("button")].find((each) => each.textContent === label);
  const key = (key, shiftKey = false) =>
    el.querySelector(".graves-line").dispatchEvent(
      new KeyboardEvent("keydown", { key, shiftKey, bubbles: true, cancelable: true }));
  return { model, el, ink, close, point, stroke, button, key, line: el.gravesLine?.() };
};
"""
PLAYED = dict(strokes=[[[i, 0] for i in range(2000)]], box=[0, 0, 2000, 10], text="", position=0.0, playing=False)
PLAYED |= dict(loop=False, speed=1.0, points_per_second=100.0)


def state_of(view):
    "What the browser is told of a widget."
    return {name: getattr(view, name) for name in view.trait_names(sync=True) if name[0] != "_" and name != "layout"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    "The address of a page with the JavaScript beside it."
    folder = tmp_path_factory.mktemp("views")
    for path in (ROOT / "graves_nb" / "js").glob("*.js"):
        shutil.copy(path, folder)
    live = (ROOT / "docs" / "static" / "live.js").read_text(encoding="utf-8")
    (folder / "live.js").write_text(live + "\nexport { Ending, Page };\n", encoding="utf-8")
    (folder / "index.html").write_text(
        f"<!doctype html><title>views</title><link rel=icon href='data:,'><body><script>{HELPERS}</script>"
    )
    with serve(folder) as address:
        yield address


@pytest.fixture
def page(place, browser):
    with tab(browser) as made:
        made.goto(f"{place}/index.html")
        yield made
        assert made.complaints == []


@pytest.fixture(scope="module")
def line():
    model = load_model()
    (sample,) = write_samples(model, ["hand"], bias=0.5, seed=2, trace=True)
    view = LineView(model, sample)
    view.page = [sample.ink.points.round(2).tolist()] * 2
    return json.loads(json.dumps(state_of(view)))


def test_a_stroke_is_sent_unless_it_was_given_up(page, line):
    sent = page.evaluate(
        """async (state) => {
          const ends = {
            waits: () => {}, escape: ({ key }) => key("Escape"), pen: ({ button }) => button("Your pen").click(),
            line: ({ model }) => model.set("line", { ...model.get("line"), id: 99 }), removed: ({ close }) => close(),
          };
          const sent = {};
          for (const [name, end] of Object.entries(ends)) {
            const made = (sent[name] = await view("line_view", state));
            made.button("Your pen").click();
            made.stroke();
            end(made);
          }
          const cut = (sent.cancelled = await view("line_view", state));
          cut.button("Your pen").click();
          cut.stroke("pointercancel");
          const during = (sent.during = await view("line_view", state));  // a line that comes while the pen is down
          during.button("Your pen").click();
          during.point("pointerdown", 300, 80);
          during.model.set("line", { ...state.line, id: 100 });
          during.point("pointermove", 310, 80);
          during.point("pointerup", 310, 80);
          const touch = [cut.ink.style.touchAction, during.ink.style.touchAction];
          await sleep(1300);
          const drawn = (model) => model.sent.filter(({ kind }) => kind === "drawn");
          const counts = Object.entries(sent).map(([name, { model }]) => [name, drawn(model)]);
          return { touch, pens: Object.values(sent).map(({ line }) => line.pen), ...Object.fromEntries(counts) };
        }""",
        line,
    )
    (waited,) = sent.pop("waits")
    assert [len(stroke) for stroke in waited["strokes"]] == [2]
    assert sent.pop("touch") == ["none", ""] and sent.pop("pens")[:4] == [False] * 4
    assert set(map(len, sent.values())) == {0}, sent


def test_a_palm_beside_the_pen_draws_nothing(page, line):
    pad = dict(strokes=[], seen=[], show_seen=True, width=640, height=180, text="")
    strokes, drawn = page.evaluate(
        """async ([pad, state]) => {
          const written = async (made) => {
            const moves = [["down", 100, 1], ["move", 110, 1], ["down", 500, 2], ["move", 510, 2], ["move", 120, 1],
                           ["up", 510, 2], ["move", 130, 1], ["up", 130, 1]];
            for (const [kind, x, id] of moves) made.point(`pointer${kind}`, x, 60, id);
          };
          const made = await view("ink_pad", pad);
          await written(made);
          const other = await view("line_view", state);
          other.button("Your pen").click();
          await written(other);
          const lengths = other.line.strokes.map((stroke) => stroke.length);
          return [made.model.state.strokes.map((stroke) => stroke.map(([x]) => x)), lengths];
        }""",
        [pad, line],
    )
    assert len(strokes) == 1 and drawn == [4]
    assert [b - a for a, b in zip(strokes[0], strokes[0][1:], strict=False)] == pytest.approx([10, 10, 10], abs=0.2)


def test_ink_plays_at_its_pace_in_however_many_views(page, line):
    for name, state, at in (
        ("stroke_player", PLAYED, "position"),
        ("line_view", line | dict(at=1, playing=True), "at"),
    ):
        rates, late = page.evaluate(
            """async ([name, state, at]) => {
              const rates = [];
              for (const count of [1, 3]) {
                const { model } = await view(name, { ...state, playing: false });
                for (let i = 1; i < count; i++) await view(name, null, model);
                const from = model.get(at);
                model.set("playing", true);
                const begun = performance.now();
                await sleep(700);
                rates.push((model.get(at) - from) / (performance.now() - begun) * 1000);
                model.set("playing", false);
              }
              const late = await view(name, { ...state, playing: true });  // a page that is loaded again
              await sleep(500);
              const moved = late.model.get(at);
              if (name === "stroke_player") {
                late.model.set("position", 1000);  // by somebody else
                await sleep(300);
                return [rates, [moved, late.model.get(at)]];
              }
              return [rates, [moved, 1010]];
            }""",
            [name, state, at],
        )
        assert max(rates) < 115 and min(rates) > 30, (name, rates)
        assert late[0] > 5 and 1005 < late[1] < 1100, (name, late)


def test_python_that_cannot_be_copied_is_said_to_be_below(page, line):
    said = page.evaluate(
        """async (state) => {
          const { model, line } = await view("line_view", state), said = [];
          const [refuses, takes] = [() => Promise.reject(1), () => Promise.resolve()];
          for (const clipboard of [undefined, { writeText: refuses }, { writeText: takes }]) {
            Object.defineProperty(navigator, "clipboard", { value: clipboard, configurable: true });
            model.tell({ kind: "copy", text: "x" });
            await sleep(20);
            said.push(line.note);
          }
          return said;
        }""",
        line,
    )
    assert [("does not let" in each, "clipboard" in each) for each in said] == [
        (True, False),
        (True, False),
        (False, True),
    ]


def test_ink_has_the_colour_of_another_theme(page, line):
    pad = dict(strokes=[[[20, 20, 0], [600, 150, 9]]], seen=[], show_seen=True, width=640, height=180, text="")
    counts = page.evaluate(
        """async (states) => {
          const style = document.head.appendChild(document.createElement("style"));
          style.textContent = "body { color: rgb(0, 0, 0) } body[data-theme=dark] { color: rgb(0, 255, 0) }";
          const green = (canvas) => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const dark = (i) => data[i - 1] < 50 && data[i + 1] < 50;
            return data.some((value, i) => i % 4 === 1 && value > 200 && dark(i) && data[i + 2] > 100);
          };
          const counts = {};
          for (const [name, state] of Object.entries(states)) {
            delete document.body.dataset.theme;
            const { el } = await view(name, state);
            await sleep(100);
            const which = name === "line_view" ? ".graves-page canvas" : "canvas";
            const seen = () => [...el.querySelectorAll(which)].map(green);
            const before = seen();
            document.body.dataset.theme = "dark";
            await sleep(200);
            counts[name] = [before, seen()];
          }
          return counts;
        }""",
        dict(ink_pad=pad, stroke_player=PLAYED | dict(position=2000.0), line_view=line),
    )
    assert counts == dict(
        ink_pad=[[False], [True]], stroke_player=[[False], [True]], line_view=[[False, False], [True, True]]
    )


def test_a_line_without_a_text_is_spoken_of_without_letters(page):
    wild = load_model("unipen-prediction")
    view = MixtureExplorer(wild, sample_ink(wild, 60))
    said, at, tour = page.evaluate(
        """async (state) => {
          const made = await view("line_view", state);
          made.key("ArrowRight", true);
          made.key("ArrowRight");
          return [made.el.querySelector(".graves-words").textContent, made.model.get("at"), made.button("Tour").hidden];
        }""",
        json.loads(json.dumps(state_of(view))),
    )
    assert said.startswith("Gaussian ") and "prime" not in said and at == 2 and tour


def test_two_quick_wishes_on_the_live_page_are_one_line(page):
    most, seeds, read = page.evaluate(
        """async () => {
          const place = document.body.appendChild(document.createElement("form")), parts = {};
          for (const name of ["text", "bias", "seed", "style", "said", "shown", "letters", "save", "stop", "again"])
            place.append((parts[name] = Object.assign(document.createElement("input"), { name })));
          place.append(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
          place.lastChild.setAttribute("class", "sheet");
          Object.assign(parts.text, { value: "hello" });
          Object.assign(parts.bias, { value: "0.5" });
          parts.letters.replaceChildren = () => {};
          const { Page } = await import("/live.js");
          const page = new Page(place);
          let [writing, most, read] = [0, 0, 0];
          const [about, fold] = [{ styles: [] }, (text) => text];
          page.writer = { about, fold, encode() {}, async *write(text, { seed, halted }) {
            most = Math.max(most, ++writing);
            try {
              for (let i = 0; i < 20 && !halted(); i++, read += seed === 1) await sleep(5);  // the hand
              for (let i = 0; i < 30 && !halted(); i++) {
                await sleep(2);
                yield { x: i / 10, y: seed * 100, end: 0, phi: [] };
              }
            } finally { writing--; }
          } };
          const ask = (seed) => { parts.seed.value = seed; return page.write(); };
          ask(1);
          await sleep(30);
          await Promise.all([ask(2), ask(3)]);
          return [most, [...new Set(page.sheet.strokes.flat().map(([, y]) => y / 100))], read];
        }"""
    )
    assert most == 1 and seeds == [3] and read < 20


def test_the_live_page_ends_a_line_as_python_does(page):
    "Any moves, and the window anywhere, so that every rule has its turn."
    rng, cases = np.random.default_rng(0), []
    for i in range(400):
        word = ["no", "my", "tick", "grape", "n\u00f6", "so.", "why?"][i % 7]
        steps = 3 * len(word) + 30
        moves = np.column_stack([rng.normal(0.05, 0.2, (steps, 2)), rng.random(steps) < 0.12]).tolist()
        places = rng.integers(0, (1 + i % 2) * (len(word) + 1), steps).clip(max=len(word))
        if i % 3:
            places.sort()
        cases.append(dict(word=word, moves=moves, places=[int(place) for place in places]))
    kept = page.evaluate(
        """async ([cases, marked]) => {
          const { Ending } = await import("/live.js");
          return cases.map(({ word, moves, places }) => {
            const line = new Ending(word, { mean: [0, 0], std: [1, 1], marked, pace: 18 });
            moves.forEach((move, i) => {
              const phi = [...word, ""].map((_, u) => Number(u === places[i]));
              if (!line.stopped) line.take(move, phi, i === moves.length - 1);
            });
            return line.points.length;
          });
        }""",
        [cases, MARKED],
    )
    for case, points in zip(cases, kept, strict=True):
        line = Line(torch.zeros(len(case["word"])), len(case["moves"]), Ending(case["word"]))
        for move, place in zip(case["moves"], case["places"], strict=True):
            if not line.done:
                line.take(move, place == len(case["word"]), [float(u == place) for u in range(len(case["word"]) + 1)])
        assert len(line.points) == points, case
    assert len(set(kept)) > 10


def test_a_line_that_plays_goes_on_from_where_the_slider_is_put(page, line):
    at = page.evaluate(
        """async (state) => {
          const made = await view("line_view", { ...state, at: 1, playing: false });
          made.button("▶").click();
          await sleep(100);
          const time = made.el.querySelector(".graves-time input[type=range]");
          const far = Math.round(Number(time.max) * 0.7);
          time.value = far;
          time.dispatchEvent(new Event("input"));
          await sleep(200);
          return [made.model.get("at"), far, Number(time.max), made.model.get("playing")];
        }""",
        line,
    )
    now, put, end, playing = at
    assert put < now < end or (now == end and not playing)
