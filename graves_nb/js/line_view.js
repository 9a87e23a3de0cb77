// A line of handwriting with what the network expected at each point: ink, surprise, weights, text, all under one cursor.

const [BLUE, ORANGE] = ["#3f83d6", "#d9622b"];
const [LEFT, RIGHT, TITLE] = [64, 10, 18]; // pixels beside the views, and above each
const HIGH = { ink: 160, nats: 56, weights: 76, letters: 92, curves: 150, text: 20 };
const CLOSE = { side: 190, large: 320 }; // pixels, the height of the close-up

// ---- What Python sent

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

// The line with its arrays: points [x, y, lifted], and for step t (which draws point t) everything that was expected.
function unpack(line) {
  if (!line.points) return null;
  const found = { ...line, steps: line.points.length - 1, byStep: new Map() };
  const values = new Float32Array(bytesOf(line.gaussians).buffer);
  for (let i = 0; i < values.length; i += 8) {
    const [step, component, weight, x, y, xx, xy, yy] = values.subarray(i, i + 8);
    if (!found.byStep.has(step)) found.byStep.set(step, []);
    found.byStep.get(step).push({ component, weight, x, y, xx, xy, yy });
  }
  for (const all of found.byStep.values()) all.sort((a, b) => b.weight - a.weight);
  found.weights = { rows: line.components.length, values: bytesOf(line.weights), most: 1 };
  found.window = { rows: line.text.length, values: bytesOf(line.window), most: line.window_most };
  for (const map of [found.weights, found.window]) map.picture = picture(map, found.steps);
  if (line.curves) found.curves = new Float32Array(bytesOf(line.curves).buffer); // alpha, beta, kappa, of each Gaussian of each step
  found.places = [...line.text].map((_, u) => whereWritten(found, u));
  found.starts = line.points.flatMap((point, i) => (point[2] && i < found.steps ? [i + 1] : []));
  return found;
}

// The step in the middle of those that look at a character; where it has most weight if none does.
function whereWritten({ letters, window, steps }, u) {
  const looking = letters.flatMap((letter, i) => (letter === u ? [i + 1] : []));
  if (looking.length) return looking[looking.length >> 1];
  let best = 0;
  for (let i = 1; i < steps; i++) if (window.values[u * steps + i] > window.values[u * steps + best]) best = i;
  return best + 1;
}

// The colours of the package's maps: nothing, blue, orange.
function heat(value) {
  const mix = (a, b, share) => a.map((x, i) => Math.round(x + (b[i] - x) * share));
  const [blue, orange] = [[63, 131, 214], [217, 98, 43]];
  if (value < 0.4) return [...blue, Math.round((value / 0.4) * 230)];
  return [...mix(blue, orange, (value - 0.4) / 0.6), 235];
}

// Memory from -127 to 127: blue below nothing, orange above.
const signed = (value) => [...(value < 0 ? [63, 131, 214] : [217, 98, 43]), Math.min(2 * Math.abs(value), 254)];

function picture({ rows, values, most }, steps, paint = (value) => heat(Math.min(value / 255 / most, 1))) {
  const canvas = Object.assign(document.createElement("canvas"), { width: steps, height: Math.max(rows, 1) });
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  values.forEach((value, i) => image.data.set(paint(value), 4 * i));
  context.putImageData(image, 0, 0);
  return canvas;
}

function unpackCells(cells, steps) {
  if (!cells.rows) return null;
  const found = { names: cells.rows, rows: cells.rows.length, values: new Int8Array(bytesOf(cells.values).buffer) };
  return Object.assign(found, { picture: picture(found, steps, signed) });
}

// ---- What is said of a step

const percent = (share) => (share >= 0.1 ? `${Math.round(100 * share)} %` : `${(100 * share).toFixed(1)} %`);
const nats = (value) => value.toFixed(1).replace("-", "−");

function wordAround(text, u) {
  const [from, to] = [text.lastIndexOf(" ", u) + 1, text.indexOf(" ", u)];
  return text.slice(from, to < 0 ? text.length : to);
}

function whatIsWritten(line, step) {
  if (!line.text) return ""; // a network that knows no text
  const u = line.letters[step - 1];
  if (u < 0) return "between the prime and the text";
  if (line.text[u] === " ") return "at a space";
  const word = wordAround(line.text, u);
  const begun = line.starts.filter((start) => start <= step).pop() ?? 0;
  const before = line.points.slice(0, begun).reduce((most, [x]) => Math.max(most, x), -Infinity);
  const mark = begun && line.points[begun][0] < before - 0.4 * line.letter;
  const doing = mark ? "going back for a dot or a bar near" : "writing";
  return `${doing} the “${line.text[u]}”${word.length > 1 ? ` of “${word}”` : ""}`;
}

function sentence(line, step) {
  const [best] = line.byStep.get(step) || [];
  const better = line.chance[step - 1] - line.nats[step - 1];
  const judged = better >= 0 ? `${nats(better)} nats better than chance` : `${nats(-better)} nats worse than chance: a surprise`;
  const guess = best ? `Gaussian ${best.component} has ${percent(best.weight)} of the guess` : "no Gaussian has much weight";
  const said = [whatIsWritten(line, step), guess].filter((part) => part).join(": ");
  return `${said[0].toUpperCase()}${said.slice(1)}, the pen is lifted with ${percent(line.ends[step - 1])}. What came is ${judged}.`;
}

// The Gaussians of the window at a step, (46); places are counted from 0 along the text.
function windowAt({ curves, gaussians_of_window }, step) {
  const from = 3 * gaussians_of_window * (step - 1);
  return Array.from({ length: gaussians_of_window }, (_, k) => {
    const [alpha, beta, kappa] = curves.subarray(from + 3 * k, from + 3 * k + 3);
    return { alpha, beta, kappa, at: (u) => alpha * Math.exp(-beta * (kappa - u) ** 2) };
  });
}

function windowSentence(line, step) {
  const all = windowAt(line, step);
  const u = Math.max(line.letters[step - 1], 0);
  const best = all.reduce((most, g) => (g.at(u) > most.at(u) ? g : most));
  const shown = (value) => value.toFixed(2).replace("-", "−");
  const weight = shown(all.reduce((sum, g) => sum + g.at(u), 0));
  const from = `Most of that is from the Gaussian of height α = ${shown(best.alpha)} and narrowness β = ${shown(best.beta)} in the place κ = ${shown(best.kappa + 1)} of the text.`;
  return `At point ${step} it looks at the “${line.text[u]}”, with weight ${weight}. ${from} A place never goes back: the network says how far it moves on.`;
}

const WHY = `Surprise is the negative logarithm of a density. A density, unlike a probability, can be above 1, where a point is
  expected within less than the usual step; then its logarithm is positive and the surprise below 0. Only differences count: each nat
  less means that the point was e = 2.7 times as expected. Dashes: one Gaussian for all points, which knows nothing.`;

const NO_ANSWER = "No answer yet. This needs a running kernel: run the notebook in JupyterLab.";

// ---- The tour: what to look at, where to go, what to say

const least = (values) => values.reduce((best, value, i) => (value < values[best] ? i : best), 0) + 1;
const spread = (line, step) => (line.byStep.get(step) || []).reduce((sum, g) => sum + g.weight * (g.xx + g.yy), 0);

const TOUR = [
  ["ink", (line) => line.places[0], "Nobody wrote this line. The network drew it point by point: it says where the pen may go next, a die is cast, and the point that came is what it reads next. Press Play to watch."],
  ["ink", (line) => least(line.nats), "The colours are its guesses, made before each point came: orange where it was sure. Inside a stroke it is: the spots are small."],
  ["close", (line) => least(line.nats.map((_, i) => -spread(line, i + 1))), "When the pen lifts, the next stroke may begin in many places. The close-up shows the guess there: a cloud of a few Gaussians, each an oval, and a cross where the point came."],
  ["nats", (line) => least(line.nats.map((value, i) => line.nats[i] - line.chance[i] > 50 ? 0 : -value)), "How much each point surprised it. Peaks are the choices: a new stroke, a turn. Low ground is what follows by itself. Here is the highest peak."],
  ["weights", (line) => line.places[Math.min(1, line.places.length - 1)], "Each row is one of the Gaussians, and its colour how much of the guess it has. They have shared the work: some draw strokes, others the leap to the next one. Click one."],
  ["letters", (line) => line.places[Math.max(line.text.indexOf(" ") + 1, 0)], "It is told the text, and learned by itself where to look: a staircase over the characters, one stair a letter. Click a letter to go there. Then press “What if?”, to see how else the line could go on."],
];

// ---- The parts of the page

function made(tag, attributes = {}, ...parts) {
  const found = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) found.addEventListener(key.slice(2), value);
    else if (key in found && key !== "role") found[key] = value;
    else found.setAttribute(key, value);
  }
  found.append(...parts);
  return found;
}

function paper(label, height) {
  const canvas = made("canvas", { role: "img", "aria-label": label });
  canvas.style.height = `${height}px`;
  return canvas;
}

// A context whose unit is a CSS pixel, on a canvas that is as wide as its place.
function fresh(canvas, height, width = canvas.parentElement.clientWidth) {
  const dots = window.devicePixelRatio || 1;
  const [across, down] = [Math.round(width * dots), Math.round(height * dots)];
  const context = canvas.getContext("2d");
  if (canvas.width === across && canvas.height === down && context.reset) context.reset(); // cheaper than a new size
  else Object.assign(canvas, { width: across, height: down });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  context.scale(dots, dots);
  Object.assign(context, { lineJoin: "round", lineCap: "round", font: "12px system-ui, sans-serif", textBaseline: "middle" });
  return Object.assign(context, { wide: width, high: height });
}

function track(context, points, at, from = 0, to = points.length) {
  context.beginPath();
  for (let i = from; i < to; i++) {
    const begins = i === from || points[i - 1][2];
    const place = at(points[i]);
    if (begins) context.moveTo(...place);
    else context.lineTo(...place);
    if (begins && (i + 1 === to || points[i][2])) context.lineTo(place[0] + 0.1, place[1]);
  }
  context.stroke();
}

function dot(context, [x, y], radius, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fill();
}

function oval(context, at, scale, { x, y, xx, xy, yy }, deviations) {
  const [mean, root] = [(xx + yy) / 2, Math.hypot((xx - yy) / 2, xy)];
  const [cx, cy] = at([x, y]);
  const radii = [mean + root, mean - root].map((value) => Math.max(Math.sqrt(Math.max(value, 0)) * deviations * scale, 1));
  context.beginPath();
  context.ellipse(cx, cy, ...radii, 0.5 * Math.atan2(2 * xy, xx - yy), 0, 7);
}

// From a box [left, top, width, height] to a canvas, as large as fits.
function fitted(context, [left, top, wide, high], margin = 4, above = margin) {
  const scale = Math.min((context.wide - 2 * margin) / wide, (context.high - 2 * above) / high);
  const [right, down] = [(context.wide - scale * wide) / 2, (context.high - scale * high) / 2];
  const at = ([x, y]) => [right + (x - left) * scale, down + (y - top) * scale];
  const from = (x, y) => [(x - right) / scale + left, (y - down) / scale + top];
  return { at, from, scale };
}

function boxOf(points) {
  const [x, y] = [0, 1].map((i) => points.map((point) => point[i]));
  const [left, top] = [Math.min(...x), Math.min(...y)];
  return [left, top, Math.max(Math.max(...x) - left, 1e-6), Math.max(Math.max(...y) - top, 1e-6)];
}

// ---- The widget

function render({ model, el }) {
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const state = { line: null, at: 1, hover: null, pick: null, growing: null, strokes: [], pen: false, tour: null, way: null, cells: null, cell: null };
  const frames = {}; // how the canvases were drawn last
  let [last, told, running, waiting, patience] = [0, 0, 0, 0, 0];

  // -- controls
  const button = (label, title, onclick) => made("button", { type: "button", title, onclick }, label);
  const ink = paper("the line", HIGH.ink);
  const inkTop = made("canvas", { className: "graves-top", "aria-hidden": "true" });
  const views = paper("surprise, weights of the Gaussians, and the window over the text", 1);
  const viewsTop = made("canvas", { className: "graves-top", "aria-hidden": "true" });
  const few = () => !model.get("parts").includes("nats"); // then the close-up has more room
  const closeHigh = () => (few() ? CLOSE.large : CLOSE.side);
  const close = paper("the guess at the cursor, enlarged", closeHigh());
  const play = button("▶", "play or pause (space)", () => (model.get("playing") ? pause() : begin()));
  const time = made("input", { type: "range", min: 1, max: 1, step: 1, "aria-label": "time, in points" });
  const words = made("p", { className: "graves-words", role: "status" });
  const shares = made("div", { className: "graves-shares" });
  const whatIf = button("What if?", "draw 40 other ways on from the cursor (w)", () => askWhatIf());
  const pen = button("Your pen", "draw the next stroke yourself on the line; the network goes on from it", () => togglePen());
  const tour = button("Tour", "six things to see, in two minutes", () => lead(state.tour === null ? 0 : null));
  const memory = button("Memory", "what the memory cells hold, sorted by what they follow", () =>
    state.cells ? set("cells", {}) : ask({ kind: "cells" }, "reading the line again, with every cell recorded …"));
  const log = made("input", { type: "checkbox", onchange: () => set("log", log.checked) });
  const loop = made("input", { type: "checkbox", onchange: () => set("loop", loop.checked) });
  const speed = made("select", { "aria-label": "speed", onchange: () => set("speed", Number(speed.value)) });
  for (const times of [0.25, 0.5, 1, 2, 4, 8]) speed.append(new Option(`${times} ×`, times));
  const bias = made("input", { type: "range", min: 0, max: 5, step: 0.1, "aria-label": "bias", oninput: () => setBias(), onchange: () => setBias() });
  const biasValue = made("output", {});
  const label = (box, text, title) => made("label", { title }, box, ` ${text}`);
  const doing = made("div", { className: "graves-bar" }, whatIf, pen, memory, tour);
  const biasBar = made("div", { className: "graves-bar" });
  if (model.get("parts").includes("bias")) biasBar.append(made("label", { title: "0: as it learned to write; larger: neater, since the Gaussians are narrower and the heaviest weigh more" }, "bias ", bias), biasValue);
  const showing = made("div", { className: "graves-bar" }, speed, label(loop, "loop", "play over and over"),
    label(log, "faint ones", "colours of the densities on a logarithmic scale"));
  const taking = made("div", { className: "graves-bar" });
  const stage = made("div", { className: "graves-stage" },
    made("div", { className: "graves-layer" }, ink, inkTop), made("div", { className: "graves-time" }, play, time),
    made("div", { className: "graves-layer" }, views, viewsTop));
  const side = made("div", { className: "graves-side" }, made("div", {}, close), biasBar, words, shares, doing, showing, taking);
  const overview = made("div", { className: "graves-page", role: "group", "aria-label": "lines of the page" });
  const group = made("div", { className: "graves-line", tabIndex: 0, role: "group", "aria-label": "a line, point by point: arrow keys move, with Shift by character" }, stage, side);
  el.append(group, overview);

  function set(name, value) {
    model.set(name, value);
    model.save_changes();
  }

  // Ask Python for something; a page without a kernel gets no answer, and says so.
  function ask(message, meanwhile) {
    state.note = meanwhile || null;
    clearTimeout(patience);
    if (meanwhile) patience = setTimeout(() => state.note === meanwhile && news.say({ text: NO_ANSWER }), 8000);
    try {
      model.send(message);
    } catch {
      if (meanwhile) news.say({ text: NO_ANSWER });  // the kernel has gone, and with it the way to it
    }
    tell();
  }

  // At the end of a line there is nothing to choose: ask in its middle.
  function askWhatIf() {
    const { line, at } = state;
    if (at > 0.9 * line.steps) go(line.starts.findLast((start) => start < line.steps / 2) ?? Math.max(line.steps >> 1, 1));
    ask({ kind: "branch", at: state.at }, "asking the network for 40 ways on …");
  }

  function setBias() {
    biasValue.textContent = bias.value;
    set("bias", Number(bias.value));
    clearTimeout(patience);
    patience = setTimeout(() => state.line.bias !== model.get("bias") && news.say({ text: NO_ANSWER }), 8000);
  }

  // Take the pen, or put it away; what was drawn and not yet sent is forgotten.
  function holdPen(on) {
    clearTimeout(waiting);
    if (held === "pen") held = null;
    Object.assign(state, { pen: on, strokes: [] });
    pen.setAttribute("aria-pressed", on);
    inkTop.style.touchAction = on ? "none" : ""; // else a finger that draws down rolls the page
  }

  function togglePen(on = !state.pen) {
    holdPen(on);
    state.note = on ? "Draw on the line: the network goes on from your stroke, a second after the pen is lifted. The cursor is where it takes over." : null;
    draw();
  }

  // -- places
  const color = () => getComputedStyle(el).color;
  const step = () => state.hover ?? state.at;
  const across = () => views.clientWidth - LEFT - RIGHT;
  const xOf = (t) => LEFT + ((t - 1) / Math.max(state.line.steps - 1, 1)) * across();
  const stepAt = (x) => Math.min(Math.max(Math.round(((x - LEFT) / across()) * (state.line.steps - 1)) + 1, 1), state.line.steps);
  const shown = () => model.get("parts").filter((name) => name in VIEWS && (state.line.text.length || !VIEWS[name].ofText));
  const tops = () => {
    const found = {};
    let y = 0;
    for (const name of shown()) {
      found[name] = y + TITLE;
      y += TITLE + HIGH[name];
    }
    return { ...found, text: y, end: y + (state.line.text.length ? HIGH.text : 0) };
  };

  // What of the paper is shown: all of it, or what is around the cursor if that would be too small.
  function inkBox(context) {
    const { left, top, width, height } = state.line.density;
    const least = model.get("branches").length ? 70 : 9; // pixels for a letter
    const wide = Math.max((context.wide * state.line.letter) / least, least > 9 ? (height * context.wide) / HIGH.ink : 0);
    if (wide >= width) return [left, top, width, height];
    const [x, y] = state.line.points[state.at];
    const high = Math.min(height, (wide * HIGH.ink) / context.wide);
    const inside = (place, from, all, part) => Math.min(Math.max(place, from), from + all - part);
    return [inside(x - wide / 3, left, width, wide), inside(y - high / 2, top, height, high), wide, high];
  }

  // -- drawing: what stays
  function drawInk() {
    const context = fresh(ink, HIGH.ink);
    const { line, growing } = state;
    context.strokeStyle = color();
    context.lineWidth = 2;
    if (growing) {
      const points = growing.rows.get(growing.first) || [];
      if (points.length > 1) {
        const box = boxOf(points);
        const { at } = fitted(context, [box[0], box[1], Math.max(box[2], growing.room), box[3]], 14);
        track(context, points, at);
      }
      ink.dataset.points = [...growing.rows.values()].reduce((sum, row) => sum + row.length, 0);
      return;
    }
    if (!line) return;
    const frame = (frames.ink = fitted(context, inkBox(context), 4, TITLE));
    const { left, top, width, height } = line.density;
    const [x, y] = frame.at([left, top]);
    if (line.picture.complete && state.cell === null) context.drawImage(line.picture, x, y, width * frame.scale, height * frame.scale);
    context.globalAlpha = 0.35;
    context.lineWidth = 1.2;
    track(context, line.points, frame.at);
    context.globalAlpha = 1;
    const under = line.bias ? `all that is shown is under bias ${line.bias}` : "";
    if (state.cell === null) title(context, TITLE, "where each point was expected", [[BLUE, "roughly"], [ORANGE, "precisely"], [null, under]], 4);
    ink.dataset.points = line.points.length;
    ink.setAttribute("aria-label", `the line “${line.text}”, with where each point was expected`);
  }

  // A title with its key, as much of it as there is room for.
  function title(context, y, text, key = [], left = LEFT) {
    context.fillStyle = color();
    context.font = "600 12px system-ui, sans-serif";
    const from = Math.max(Math.min(left, context.wide - context.measureText(text).width), 0);
    context.fillText(text, from, y - TITLE / 2);
    let x = from + context.measureText(text).width + 14;
    context.font = "12px system-ui, sans-serif";
    for (const [paint, what] of key) {
      const wide = context.measureText(what).width + (paint ? 13 : 0);
      if (x + wide > context.wide) return;
      if (paint) dot(context, [x + 5, y - TITLE / 2], 4, paint);
      context.fillStyle = color();
      context.fillText(what, x + (paint ? 13 : 0), y - TITLE / 2);
      x += wide + 15;
    }
  }

  function scale(context, top, high, [low, most]) {
    const y = (value) => top + high - ((value - low) / (most - low)) * high;
    const each = [1, 2, 5, 10, 20, 50, 100].find((size) => (most - low) / size <= 4) || 200;
    context.textAlign = "right";
    context.strokeStyle = context.fillStyle = color();
    for (let value = Math.ceil(low / each) * each; value <= most; value += each) {
      context.globalAlpha = value === 0 ? 0.6 : 0.2;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(LEFT, y(value));
      context.lineTo(LEFT + across(), y(value));
      context.stroke();
      context.globalAlpha = 1;
      context.fillText(String(value).replace("-", "−"), LEFT - 6, y(value));
    }
    context.textAlign = "left";
    return y;
  }

  function drawNats(context, top) {
    const { line } = state;
    title(context, top, "surprise, in nats", [[BLUE, "each point; lower: better expected"], [ORANGE, "first of a stroke"], [null, "┄ by chance"]]);
    const sorted = [...line.chance].sort((a, b) => a - b);
    const highest = Math.max(...line.nats, sorted[Math.floor(0.9 * sorted.length)]);
    const y = scale(context, top, HIGH.nats, [Math.min(...line.nats, 0), highest]);
    const curve = (values) => {
      context.beginPath();
      values.forEach((value, i) => context.lineTo(xOf(i + 1), y(Math.min(value, highest))));
      context.stroke();
    };
    context.setLineDash([3, 3]);
    context.globalAlpha = 0.45;
    curve(line.chance);
    context.setLineDash([]);
    Object.assign(context, { globalAlpha: 1, strokeStyle: BLUE, lineWidth: 1.3 });
    curve(line.nats);
    for (const start of line.starts) dot(context, [xOf(start), y(line.nats[start - 1])], 2.5, ORANGE);
  }

  function drawMap(context, top, high, map) {
    const half = across() / Math.max(state.line.steps - 1, 1) / 2;
    context.imageSmoothingEnabled = false;
    context.drawImage(map.picture, LEFT - half, top, across() + 2 * half, high);
    context.globalAlpha = 0.3;
    context.strokeStyle = color();
    context.lineWidth = 1;
    context.strokeRect(LEFT - 0.5, top - 0.5, across() + 1, high + 1);
    context.globalAlpha = 1;
  }

  function drawWeights(context, top) {
    const { line } = state;
    title(context, top, "which Gaussians have the guess", [[BLUE, "some"], [ORANGE, "all of it"], [null, `(${line.components.length} of ${line.all} in use)`]]);
    drawMap(context, top, HIGH.weights, line.weights);
    const row = HIGH.weights / line.components.length;
    const every = Math.ceil(11 / row);
    context.textAlign = "right";
    line.components.forEach((name, i) => i % every === 0 && context.fillText(`no. ${name}`, LEFT - 6, top + (i + 0.5) * row));
    context.textAlign = "left";
  }

  function drawLetters(context, top) {
    title(context, top, "which character it looks at", [[null, "the text is below, where it is written; click a letter"]]);
    drawMap(context, top, HIGH.letters, state.line.window);
  }

  // The window at the cursor over the characters, which have places of their own: each Gaussian a curve, each sum a bar.
  const letterX = (u) => LEFT + ((u + 0.5) / state.line.text.length) * across();
  function drawCurves(context, top) {
    const { line } = state;
    const all = windowAt(line, step());
    const [high, one] = [HIGH.curves - HIGH.text, across() / line.text.length];
    title(context, top, "the window at the cursor, over the text", [[BLUE, "its Gaussians"], [ORANGE, "weight of a character: their sum"]]);
    const y = scale(context, top, high, [0, line.window_peak]);
    context.textAlign = "center";
    [...line.text].forEach((c, u) => {
      const weight = all.reduce((sum, g) => sum + g.at(u), 0);
      Object.assign(context, { fillStyle: ORANGE, globalAlpha: 0.55 });
      context.fillRect(letterX(u) - 0.3 * one, y(weight), 0.6 * one, top + high - y(weight));
      Object.assign(context, { fillStyle: color(), globalAlpha: 1, font: u === line.letters[step() - 1] ? "700 15px system-ui, sans-serif" : "12px system-ui, sans-serif" });
      if (one > 6) context.fillText(c === " " ? "␣" : c, letterX(u), top + high + HIGH.text / 2);
    });
    Object.assign(context, { textAlign: "left", strokeStyle: BLUE, lineWidth: 1.2, font: "12px system-ui, sans-serif" });
    for (const g of all) {
      context.beginPath();
      for (let x = LEFT; x <= LEFT + across(); x++) context.lineTo(x, y(g.at(((x - LEFT) / across()) * line.text.length - 0.5)));
      context.stroke();
      if (g.kappa > -0.5 && g.kappa < line.text.length - 0.5) dot(context, [letterX(g.kappa), y(g.alpha)], 3, BLUE);
    }
  }

  const VIEWS = {
    nats: { draw: drawNats }, weights: { draw: drawWeights }, letters: { draw: drawLetters, ofText: true },
    curves: { draw: drawCurves, ofText: true, moves: true }, // drawn with the cursor, for it is of one point
  };

  function drawViews() {
    const { line } = state;
    const top = line ? tops() : { end: 1 };
    const context = fresh(views, top.end);
    if (!line) return;
    context.globalAlpha = 1;
    views.dataset.line = line.id;
    for (const name of shown()) if (!VIEWS[name].moves && !(state.cells && name !== "nats")) VIEWS[name].draw(context, top[name]);
    if (state.cells) drawCells(context, top);
    else if (line.text.length) drawText(context, top.text);
  }

  const high = () => HIGH.weights + TITLE + HIGH.letters; // of the memory, which takes the place of two views

  function drawCells(context, top) {
    const { names, rows } = state.cells;
    title(context, top.weights, "memory cells, by what they follow", [[ORANGE, "above 0"], [BLUE, "below 0"], [null, "click one: the line has its colours"]]);
    drawMap(context, top.weights, high(), state.cells);
    context.textAlign = "right";
    names.forEach(({ follows }, i) => {
      if (i && names[i - 1].follows === follows) return;
      context.fillText(follows.replace("place ", "").replace("the ", ""), LEFT - 3, top.weights + (i / rows) * high() + 7);
    });
    context.textAlign = "left";
    drawText(context, top.text);
  }

  function drawOneCell(context, frame) {
    const { line, cells, cell } = state;
    const end = model.get("playing") ? state.at : line.steps;
    context.lineWidth = 4;
    for (let i = 1; i <= end; i++) {
      if (line.points[i - 1][2]) continue;
      const [r, g, b, alpha] = signed(cells.values[cell * line.steps + i - 1]);
      context.strokeStyle = `rgba(${r}, ${g}, ${b}, ${alpha / 255})`;
      track(context, line.points, frame.at, i - 1, i + 1);
    }
  }

  function drawText(context, top) {
    const { line } = state;
    context.textAlign = "center";
    context.fillStyle = color();
    let free = -Infinity;
    [...line.text].forEach((c, u) => {
      const x = xOf(line.places[u]);
      const wide = context.measureText(c).width + 1;
      if (x - wide / 2 < free) return;
      free = x + wide / 2;
      context.fillText(c === " " ? "␣" : c, x, top + HIGH.text / 2);
    });
    context.textAlign = "left";
  }

  // -- drawing: what moves
  function drawCursor() {
    const { line, at, hover } = state;
    const [over, onViews] = [fresh(inkTop, HIGH.ink), fresh(viewsTop, line ? tops().end : 1)];
    if (!line || state.growing) return;
    const frame = frames.ink;
    if (!frame) return;
    over.strokeStyle = color();
    over.lineWidth = 2.2;
    if (state.cells && state.cell !== null) drawOneCell(over, frame);
    else track(over, line.points, frame.at, 0, at + 1);
    drawWays(over, frame);
    over.strokeStyle = ORANGE;
    for (const stroke of state.strokes) track(over, stroke.map(([x, y]) => [x, y, 0]), frame.at);
    if (state.pick !== null) line.nats.forEach((_, i) => leads(line, i + 1) === state.pick && dot(over, frame.at(line.points[i + 1]), 2.5, ORANGE));
    for (const [t, alpha] of [[at, 1], [hover, 0.6]]) if (t !== null) drawAt(over, onViews, frame, t, alpha);
    for (const name of shown()) if (VIEWS[name].moves) VIEWS[name].draw(onViews, tops()[name]);
    drawMarks(onViews);
    group.dataset.at = at;
  }

  function drawAt(over, onViews, frame, t, alpha) {
    const top = tops();
    for (const context of [over, onViews]) Object.assign(context, { globalAlpha: alpha, strokeStyle: ORANGE, lineWidth: 2 });
    const [x, y] = frame.at(state.line.points[t]);
    over.beginPath();
    over.arc(x, y, 6, 0, 7);
    over.stroke();
    onViews.beginPath();
    for (const name of shown()) {
      if (VIEWS[name].moves) continue;
      onViews.moveTo(xOf(t), top[name]);
      onViews.lineTo(xOf(t), top[name] + HIGH[name]);
    }
    onViews.stroke();
    over.globalAlpha = onViews.globalAlpha = 1;
  }

  const leads = (line, t) => line.byStep.get(t)?.[0].component;

  // The letter that is looked at, the component that was chosen, the view that the tour speaks of.
  function drawMarks(context) {
    const { line } = state;
    const top = tops();
    const u = line.letters[step() - 1];
    Object.assign(context, { strokeStyle: ORANGE, lineWidth: 2 });
    if (u >= 0) context.strokeRect(xOf(line.places[u]) - 7, top.text + 1, 14, HIGH.text - 3);
    const one = state.cells && high() / state.cells.rows;
    if (one && state.cell !== null) context.strokeRect(LEFT - 2, top.weights + state.cell * one - 1, across() + 4, one + 2);
    const row = HIGH.weights / line.components.length;
    const i = state.cells || !top.weights ? -1 : line.components.indexOf(state.pick);
    if (i >= 0) context.strokeRect(LEFT - 2, top.weights + i * row - 1, across() + 4, row + 2);
    const told = state.tour === null ? "" : TOUR[state.tour][0];
    if (told in top) context.strokeRect(2, top[told] - TITLE + 1, context.wide - 4, HIGH[told] + TITLE + (told === "letters" ? HIGH.text : 0));
    ink.parentElement.classList.toggle("graves-told", told === "ink");
    close.parentElement.classList.toggle("graves-told", told === "close");
  }

  // Other ways on from the cursor: the likelier, the more orange.
  function drawWays(context, frame) {
    const ways = model.get("branches");
    ways.forEach((_, i) => {
      const rank = ways.length - 1 - i; // the likeliest on top
      const likely = 1 - rank / Math.max(ways.length - 1, 1);
      const [r, g, b] = heat(0.4 + 0.6 * likely);
      const chosen = rank === state.way;
      Object.assign(context, { strokeStyle: `rgb(${r}, ${g}, ${b})`, globalAlpha: chosen ? 1 : 0.35 + 0.35 * likely, lineWidth: chosen ? 3.5 : 1.4 });
      track(context, ways[rank].points, frame.at);
    });
    if (state.way !== null && ways[state.way]) {
      Object.assign(context, { strokeStyle: ORANGE, globalAlpha: 1, lineWidth: 3.5 });
      track(context, ways[state.way].points, frame.at);
    }
    context.globalAlpha = 1;
  }

  function drawClose() {
    const context = fresh(close, closeHigh());
    const { line } = state;
    if (!line || state.growing || !model.get("parts").includes("close")) return;
    const t = step();
    const [penAt, came] = [line.points[t - 1], line.points[t]];
    const guesses = (line.byStep.get(t) || []).filter((g) => g.weight >= 0.01);
    const seen = [penAt, came];
    for (const g of guesses) for (const side of [-2, 2]) seen.push([g.x + side * Math.sqrt(g.xx), g.y + side * Math.sqrt(g.yy)]);
    const [left, top, wide, high] = boxOf(seen);
    const reach = Math.max(wide, high * 1.3, 0.15 * line.letter);
    const box = [left + wide / 2 - reach * 0.65, top + high / 2 - reach / 2, reach * 1.3, reach];
    const { at, scale: size } = fitted(context, box, 8, 22);
    Object.assign(context, { strokeStyle: color(), lineWidth: 1.5, globalAlpha: 0.25 });
    track(context, line.points, at);
    Object.assign(context, { lineWidth: 2.5, globalAlpha: 1 });
    track(context, line.points, at, 0, t);
    dot(context, at(penAt), 4.5, color());
    cross(context, at(came));
    for (const g of [...guesses].reverse())
      for (const deviations of [2, 1]) {
        oval(context, at, size, g, deviations);
        Object.assign(context, { fillStyle: BLUE, strokeStyle: g.component === state.pick ? ORANGE : BLUE, lineWidth: g.component === state.pick ? 2.5 : 1 });
        context.globalAlpha = 0.3 * Math.sqrt(g.weight);
        context.fill();
        context.globalAlpha = Math.max(Math.sqrt(g.weight), 0.25);
        context.stroke();
      }
    context.globalAlpha = 1;
    for (const top of [0, closeHigh() - 19]) context.clearRect(0, top, context.wide, 19);
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = color();
    context.fillText("the guess at the cursor, enlarged", 8, 10);
    context.fillText("● pen   ✕ where it went   ovals: the guess", 8, closeHigh() - 9);
  }

  function cross(context, [x, y]) {
    Object.assign(context, { strokeStyle: ORANGE, lineWidth: 3 });
    context.beginPath();
    for (const side of [-1, 1]) {
      context.moveTo(x - 5, y - 5 * side);
      context.lineTo(x + 5, y + 5 * side);
    }
    context.stroke();
  }

  function tell() {
    const { line } = state;
    const t = line && Math.min(step(), line.steps);
    if (state.tour !== null && line) words.replaceChildren(...tourWords());
    else if (state.note) words.textContent = state.note;
    else if (state.growing) words.textContent = "writing …";
    else if (line && state.cells && state.cell !== null) words.textContent = cellWords();
    else if (line && model.get("branches").length) words.replaceChildren(...waysWords());
    else if (line?.curves) words.textContent = windowSentence(line, t);
    else if (line) words.replaceChildren(`${sentence(line, t)} `, made("span", { className: "graves-why", title: WHY.replace(/\s+/g, " "), tabIndex: 0, role: "note" }, "Why can it be negative?"));
    const guesses = line && !state.growing ? (line.byStep.get(t) || []).slice(0, few() ? 6 : 3) : [];
    const bar = (name, share, title, act, pressed) => {
      const found = made("button", { type: "button", title, onclick: act, "aria-pressed": pressed }, made("span", {}, name), made("span", {}, percent(share)));
      found.style.setProperty("--share", `${100 * share}%`);
      return found;
    };
    const rows = guesses.map((g) => bar(`Gaussian ${g.component}`, g.weight, "show where it leads", () => choose(g.component), g.component === state.pick));
    if (line && !state.growing) rows.push(bar("pen up", line.ends[t - 1], "go to the next point where the pen is lifted", () => nextLift(t), false));
    if (shares.contains(document.activeElement)) return; // do not take a button away from who presses it
    shares.replaceChildren(...rows);
  }

  function cellWords() {
    const { name, follows, correlation } = state.cells.names[state.cell];
    const held = state.cells.values[state.cell * state.line.steps + step() - 1] / 127;
    const [layer, cell] = name.split(".");
    return `Cell ${cell} of layer ${layer} goes ${correlation < 0 ? "against" : "with"} “${follows}” (correlation ${nats(correlation)}). It holds ${nats(held)} here, from −1 to 1. The network was told nothing of this: it made the cell so.`;
  }

  function waysWords() {
    const ways = model.get("branches");
    const best = ways[state.way ?? 0];
    return [`${ways.length} ways to go on, orange the likelier. ${state.way === null ? "The likeliest" : `No. ${state.way + 1}`} costs ${nats(best.nats)} nats a point. Click one to write on from it. `,
      button("Back", "to the line as it is (Escape)", () => set("branches", [])),
      button("Take it", "write on from the one that is marked (Enter)", () => take(state.way ?? 0))];
  }

  function tourWords() {
    const n = state.tour;
    return [`${n + 1}/${TOUR.length} `, TOUR[n][2], " ", button("Back", "the step before", () => lead(Math.max(n - 1, 0))),
      button(n + 1 < TOUR.length ? "Next" : "Done", "on", () => lead(n + 1 < TOUR.length ? n + 1 : null))];
  }

  function lead(n) {
    state.tour = n;
    state.note = null;
    tour.setAttribute("aria-pressed", n !== null);
    if (n !== null && state.line) go(TOUR[n][1](state.line));
    draw();
    if (n !== null) words.querySelector("button:last-child")?.focus();
  }

  function choose(component) {
    state.pick = state.pick === component ? null : component;
    drawMoving();
  }

  function nextLift(t) {
    const lifts = state.line.points.flatMap((point, i) => (point[2] && i ? [i] : []));
    go(lifts.find((lift) => lift > t) ?? lifts[0] ?? t);
  }

  function take(which) {
    ask({ kind: "go", which }, "writing on from there …");
  }

  function drawMoving() {
    const box = frames.ink && state.line && !state.growing && [...inkBox({ wide: ink.parentElement.clientWidth }), state.cell === null];
    if (box && String(box) !== frames.box) drawInk(); // it follows the cursor
    frames.box = String(box);
    drawCursor();
    drawClose();
    tell();
    if (state.line) {
      time.max = state.line.steps;
      time.value = state.at;
    }
    play.textContent = model.get("playing") ? "❚❚" : "▶";
    play.setAttribute("aria-pressed", model.get("playing"));
    ink.dataset.frames = Number(ink.dataset.frames || 0) + 1;
  }

  function draw() {
    group.classList.toggle("graves-narrow", el.clientWidth < 760);
    group.classList.toggle("graves-few", few());
    close.parentElement.hidden = shares.hidden = !model.get("parts").includes("close");
    biasBar.hidden = !model.get("parts").includes("bias");
    if (document.activeElement !== bias) bias.value = model.get("bias");
    biasValue.textContent = bias.value;
    drawInk();
    drawViews();
    drawMoving();
    for (const control of [play, time, whatIf, pen, tour]) control.disabled = !state.line || Boolean(state.growing);
    memory.disabled = !state.line || Boolean(state.growing);
    memory.setAttribute("aria-pressed", Boolean(state.cells));
    whatIf.hidden = pen.hidden = memory.hidden = !model.get("asks") || few();
    tour.hidden = few() || state.line?.text === ""; // it speaks of letters
    speed.value = model.get("speed");
    [loop.checked, log.checked] = [model.get("loop"), model.get("log")];
  }

  // -- going
  function go(t, force = true) {
    if (!state.line) return;
    state.at = Math.min(Math.max(Math.round(t), 1), state.line.steps);
    if (Math.round(state.position) !== state.at) state.position = state.at; // somebody moved it, perhaps while it plays
    state.hover = null;
    if (state.note && !state.pen) state.note = null;
    if (model.get("branches").length && !model.get("playing")) model.set("branches", []);
    model.set("at", state.at);
    const now = performance.now();
    if (force || now - told > 80) {
      told = now;
      model.save_changes();
    }
    drawMoving();
  }

  function goCharacter(by) {
    if (!state.line.text) return;
    const u = state.line.letters[state.at - 1];
    go(state.line.places[Math.min(Math.max(u + by, 0), state.line.text.length - 1)]);
  }

  function begin() {
    if (!state.line) return;
    if (model.get("branches").length) model.set("branches", []);
    if (state.at >= state.line.steps) state.at = 1;
    if (still) return go(state.line.steps); // motion was declined: all at once
    set("playing", true);
  }

  const pause = () => set("playing", false);

  function tick(now) {
    if (!model.get("playing") || !state.line) return;
    const moved = (Math.min(now - last, 100) / 1000) * model.get("points_per_second") * model.get("speed");
    last = now;
    state.position += moved;
    if (state.position >= state.line.steps) {
      if (model.get("loop")) state.position = 1;
      else model.set("playing", false);
    }
    go(state.position, !model.get("playing"));
    running = requestAnimationFrame(tick);
  }

  function run() {
    cancelAnimationFrame(running);
    if (model.get("playing")) {
      [last, state.position] = [performance.now(), state.at];
      running = requestAnimationFrame(tick);
    }
    drawMoving();
  }

  // -- pointers
  function placeIn(canvas, event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  function nearestPoint(x, y, most = Infinity) {
    let [best, distance] = [null, most];
    state.line.points.forEach((point, i) => {
      const [px, py] = frames.ink.at(point);
      const d = Math.hypot(px - x, py - y);
      if (i && d < distance) [best, distance] = [i, d];
    });
    return best;
  }

  function nearestWay(x, y) {
    let [best, distance] = [null, 14];
    model.get("branches").forEach(({ points }, k) =>
      points.forEach((point) => {
        const [px, py] = frames.ink.at(point);
        const d = Math.hypot(px - x, py - y);
        if (d < distance) [best, distance] = [k, d];
      }));
    return best;
  }

  function viewUnder(y) {
    const top = tops();
    if (state.line.text && y >= top.text) return "text";
    return shown().findLast((name) => y >= top[name] - TITLE);
  }

  // A click near a peak means the peak.
  function peakNear(t) {
    const reach = Math.ceil((6 / across()) * state.line.steps);
    let best = t;
    for (let i = Math.max(t - reach, 1); i <= Math.min(t + reach, state.line.steps); i++) if (state.line.nats[i - 1] > state.line.nats[best - 1]) best = i;
    return best;
  }

  function letterAt(x) {
    return state.line.places.reduce((best, place, u, all) => (Math.abs(xOf(place) - x) < Math.abs(xOf(all[best]) - x) ? u : best), 0);
  }

  function aimed(x, y) {
    const name = viewUnder(y);
    if (name === "text") return state.line.places[letterAt(x)];
    if (name === "curves") return state.line.places[Math.min(Math.max(Math.floor(((x - LEFT) / across()) * state.line.text.length), 0), state.line.text.length - 1)];
    return name === "nats" ? peakNear(stepAt(x)) : stepAt(x);
  }

  let held = null; // what a pointer has hold of, and which pointer: a palm beside the pen is none
  let finger = null;
  const other = (event) => held && event.pointerId !== finger;
  inkTop.addEventListener("pointerdown", (event) => {
    if (!state.line || state.growing || event.button || other(event)) return;
    finger = event.pointerId;
    const place = placeIn(inkTop, event);
    if (state.pen) {
      inkTop.setPointerCapture(event.pointerId);
      state.strokes.push([frames.ink.from(...place)]);
      clearTimeout(waiting);
      held = "pen";
    } else if (model.get("branches").length) {
      const way = nearestWay(...place);
      if (way !== null) take(way);
    } else {
      held = "ink";
      inkTop.setPointerCapture(event.pointerId);
      go(nearestPoint(...place));
    }
    group.focus({ preventScroll: true });
    event.preventDefault();
  });
  inkTop.addEventListener("pointermove", (event) => {
    if (!state.line || state.growing || other(event)) return;
    const place = placeIn(inkTop, event);
    if (held === "pen") state.strokes.at(-1).push(frames.ink.from(...place));
    else if (held === "ink") return go(nearestPoint(...place), false);
    else if (model.get("branches").length) state.way = nearestWay(...place);
    else if (!state.pen) state.hover = nearestPoint(...place, 30);
    drawMoving();
  });
  viewsTop.addEventListener("pointerdown", (event) => {
    if (!state.line || state.growing || event.button || other(event)) return;
    finger = event.pointerId;
    const [x, y] = placeIn(viewsTop, event);
    const within = (y - tops().weights) / high();
    if (state.cells && within >= 0 && within < 1) {
      const cell = Math.floor(within * state.cells.rows);
      state.cell = state.cell === cell ? null : cell;
      drawMoving();
      if (state.cell !== null) {
        go(1);
        begin();
      }
      return;
    }
    if (viewUnder(y) === "weights") {
      const row = Math.floor(((y - tops().weights) / HIGH.weights) * state.line.components.length);
      state.pick = state.line.components[row] ?? null;
    }
    go(aimed(x, y));
    held = "views";
    viewsTop.setPointerCapture(event.pointerId);
    group.focus({ preventScroll: true });
    event.preventDefault();
  });
  viewsTop.addEventListener("pointermove", (event) => {
    if (!state.line || state.growing || other(event)) return;
    const [x, y] = placeIn(viewsTop, event);
    if (held === "views") return go(viewUnder(y) === "curves" ? aimed(x, y) : stepAt(x), false);
    state.hover = viewUnder(y) === "curves" ? null : aimed(x, y); // else the curves would flee from the pointer
    drawMoving();
  });
  for (const layer of [inkTop, viewsTop]) {
    for (const kind of ["pointerup", "pointercancel"])
      layer.addEventListener(kind, (event) => {
        if (other(event)) return;
        if (held === "pen") {
          if (kind === "pointercancel") state.strokes.pop(); // the browser took it for something else
          if (state.strokes.length) waiting = setTimeout(sendStrokes, 900);
          drawMoving();
        } else if (held) model.save_changes();
        held = null;
      });
    layer.addEventListener("pointerleave", () => {
      state.hover = null;
      state.way = null;
      drawMoving();
    });
  }

  function sendStrokes() {
    const strokes = state.strokes;
    togglePen(false);
    if (!strokes.length) return;
    ask({ kind: "drawn", at: state.at, strokes }, "the network reads your stroke, and goes on …");
  }

  // -- keys
  const KEYS = {
    ArrowLeft: (event) => (event.shiftKey ? goCharacter(-1) : go(state.at - 1)),
    ArrowRight: (event) => (event.shiftKey ? goCharacter(1) : go(state.at + 1)),
    Home: () => go(1),
    End: () => go(Infinity),
    " ": () => (model.get("playing") ? pause() : begin()),
    w: () => whatIf.click(),
    Enter: () => model.get("branches").length && take(state.way ?? 0),
    ArrowDown: () => model.get("branches").length && mark(1),
    ArrowUp: () => model.get("branches").length && mark(-1),
    Escape: () => {
      if (state.pen) togglePen(false);
      if (state.tour !== null) lead(null);
      state.pick = state.note = state.cell = null;
      if (model.get("branches").length) set("branches", []);
      else drawMoving();
    },
  };

  function mark(by) {
    const n = model.get("branches").length;
    state.way = ((state.way ?? (by > 0 ? -1 : 0)) + by + n) % n;
    drawMoving();
  }

  group.addEventListener("keydown", (event) => {
    event.stopPropagation(); // else JupyterLab takes the keys
    const act = KEYS[event.key];
    if (!act || !state.line || state.growing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select, button") && event.key !== "Escape" && !(event.target === time && event.shiftKey)) return;
    act(event);
    event.preventDefault();
  });
  time.addEventListener("input", () => go(Number(time.value), false));
  time.addEventListener("change", () => model.save_changes());

  // -- news from Python
  function load() {
    const before = state.line;
    state.line = unpack(model.get("line"));
    state.cells = state.line && unpackCells(model.get("cells"), state.line.steps);
    Object.assign(state, { growing: null, hover: null, note: null, way: null });
    holdPen(false); // a stroke was of the line before
    if (state.line) {
      state.line.picture = state.line.density.source === before?.density.source ? before.picture : Object.assign(new Image(), { src: state.line.density.source, onload: draw });
      state.at = Math.min(Math.max(model.get("at"), 1), state.line.steps);
      if (!state.line.components.includes(state.pick)) state.pick = null;
    }
    draw();
  }

  function drawPage() {
    const lines = model.get("page");
    overview.replaceChildren(...lines.map((points, i) => {
      const canvas = made("canvas", { "aria-hidden": "true" });
      const found = made("button", { type: "button", title: `look at line ${i + 1}`, "aria-label": `line ${i + 1}`, "aria-pressed": i === model.get("row"), onclick: () => set("row", i) }, canvas);
      requestAnimationFrame(() => {
        const context = fresh(canvas, 30, Math.max(found.clientWidth - 8, 60));
        const widest = Math.max(...lines.filter((line) => line.length).map((line) => boxOf(line)[2]));
        if (!points.length) return;
        const [left, top, , high] = boxOf(points);
        const size = Math.min((context.wide - 8) / widest, 24 / high);
        Object.assign(context, { strokeStyle: color(), lineWidth: 1.3 });
        track(context, points, ([x, y]) => [4 + (x - left) * size, 3 + (y - top) * size]);
      });
      return found;
    }));
  }

  const news = {
    begin: ({ rows, room, first }) => {
      state.growing = { rows: new Map(), room, first, count: rows };
      draw();
    },
    grow: ({ row, points }) => {
      if (!state.growing) return;
      state.growing.rows.set(row, [...(state.growing.rows.get(row) || []), ...points]);
      drawInk();
    },
    end: () => {
      state.growing = null;
      draw();
    },
    say: ({ text }) => {
      state.note = text || null;
      tell();
    },
    file: ({ name, type, text, base64 }) => {
      const url = URL.createObjectURL(new Blob([base64 ? bytesOf(base64) : text], { type }));
      made("a", { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
      news.say({ text: `${name} is with your downloads` });
    },
    copy: async ({ text }) => {
      try {
        await navigator.clipboard.writeText(text); // there is no clipboard where the page came over plain HTTP
        news.say({ text: "the Python that writes this line is in your clipboard" });
      } catch {
        news.say({ text: "the browser does not let the page copy: the Python is below" });
      }
    },
  };
  const hear = (message) => news[message.kind]?.(message);
  const follow = () => {
    if (model.get("playing") || held) return;
    state.at = state.line ? Math.min(Math.max(model.get("at"), 1), state.line.steps) : 1;
    drawMoving();
  };
  const ways = () => {
    Object.assign(state, { way: null, note: null });
    draw();
    if (model.get("branches").length) group.focus({ preventScroll: true });
  };
  const remembered = () => {
    Object.assign(state, { cell: null, note: null, cells: state.line && unpackCells(model.get("cells"), state.line.steps) });
    draw();
  };
  const picker = made("input", { type: "file", accept: ".json,application/json", hidden: true, "aria-hidden": "true", tabIndex: -1, onchange: async () => {
    const [file] = picker.files;
    if (file) ask({ kind: "open", text: await file.text() });
    picker.value = "";
  } });
  function offer() {
    const take = (kind) => (kind === "open" ? picker.click() : ask({ kind: "file", file: kind }));
    taking.replaceChildren(...model.get("files").map(([kind, label, tip]) => button(label, tip, () => take(kind))), picker);
  }
  const heard = { "change:line": load, "change:at": follow, "change:branches": ways, "change:cells": remembered, "change:playing": run, "change:files": offer,
    "change:page": drawPage, "change:row": drawPage, "msg:custom": hear };
  for (const name of ["speed", "loop", "log", "asks"]) heard[`change:${name}`] = draw;
  for (const [name, act] of Object.entries(heard)) model.on(name, act);
  const drawAll = () => {
    draw();
    drawPage();
  };
  const watch = new ResizeObserver(drawAll);
  watch.observe(el);
  const theme = new MutationObserver(drawAll); // another theme has other colours
  theme.observe(document.body, { attributeFilter: ["data-jp-theme-name", "data-theme", "class"] });
  offer();
  load();
  run(); // it may be playing already
  Object.assign(el, { gravesLine: () => state, gravesFrames: () => frames }); // what is shown and where, for who tests it
  return () => {
    watch.disconnect();
    theme.disconnect();
    cancelAnimationFrame(running);
    clearTimeout(waiting);
    clearTimeout(patience);
    for (const [name, act] of Object.entries(heard)) model.off(name, act);
  };
}

export default { render };
