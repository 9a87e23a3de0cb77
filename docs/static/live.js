// Handwriting in the page: the exported network of one step, the random numbers of graves_nb.export, the stop rule of graves_nb.sampling.
const STATIC = new URL(".", import.meta.url);
const PACE = 160; // points a second, if the machine can
const POINTS_PER_CHAR = 60; // ends a line that the stop rule does not
const PARTS = ["h", "c", "kappa", "w"];

// ---------------------------------------------------------------- random numbers

function mix(z) {
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

/** Two uniforms and two standard normals for point k: `portable_draws` of Python, number for number. */
export function draw(seed, k) {
  const start = mix((seed + 0x9e3779b9) >>> 0);
  const bits = (i) => mix((start + Math.imul(4 * k + i, 0x9e3779b9)) >>> 0);
  const radius = Math.sqrt(-2 * Math.log((bits(2) + 0.5) / 2 ** 32));
  const angle = 2 * Math.PI * (bits(3) / 2 ** 32);
  return [bits(0) / 2 ** 32, bits(1) / 2 ** 32, radius * Math.cos(angle), radius * Math.sin(angle)].map(Math.fround);
}

// ---------------------------------------------------------------- the mixture

/** A point by the network's outputs, (18)-(22), biased by (61) and (62). */
export function samplePoint(y, bias, [u, coin, z1, z2]) {
  const m = (y.length - 1) / 6;
  const logits = y.slice(1, 1 + m).map((value) => value * (1 + bias));
  const top = Math.max(...logits);
  const weights = logits.map((value) => Math.exp(value - top));
  const total = weights.reduce((a, b) => a + b);
  let j = 0;
  for (let sum = weights[0] / total; sum < u && j < m - 1; sum += weights[j] / total) j++;
  const std = (i) => Math.exp(y[1 + 3 * m + i] - bias);
  const rho = Math.tanh(y[1 + 5 * m + j]);
  const second = rho * z1 + Math.sqrt(1 - rho * rho) * z2;
  const end = 1 / (1 + Math.exp(y[0]));
  return [y[1 + m + j] + std(j) * z1, y[1 + 2 * m + j] + std(m + j) * second, coin < end ? 1 : 0];
}

// ---------------------------------------------------------------- the network

/** The network with what it needs to be used; `tell` hears what is being loaded. */
export async function loadWriter(tell = () => {}) {
  tell("loading the network ...");
  const files = ["live.json", "live.onnx", "ort-wasm-simd-threaded.wasm"].map(get);
  const [ort, about, weights, wasm] = await Promise.all([import(new URL("ort.mjs", STATIC)), ...files]);
  ort.env.wasm.wasmPaths = STATIC.href;
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(new Uint8Array(weights), { executionProviders: ["wasm"] });
  return new Writer(ort, session, about);
}

const shelf = window.caches?.open("live");
const kept = new Map(); // by address: when it is on the shelf, for a visit without a network

async function get(name) {
  const place = new URL(name, STATIC).href;
  const answer = await fetch(place);
  if (!answer.ok) throw new Error(`${name} did not arrive (${answer.status}): load the page again`);
  const copy = answer.clone();
  kept.set(place, shelf?.then((cache) => cache.put(place, copy)));
  return name.endsWith(".json") ? answer.json() : answer.arrayBuffer();
}

/** Keep the page with all that it loaded. */
async function keepPage() {
  if (!navigator.serviceWorker || !shelf) return;
  await navigator.serviceWorker.register(new URL("../offline.js", STATIC));
  const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
  const others = loaded.filter((name) => name.startsWith(location.origin) && !kept.has(name));
  const asked = [...new Set([location.pathname, ...others])].map((name) => new Request(name, { cache: "force-cache" }));
  await Promise.all([(await shelf).addAll(asked), ...kept.values()]);
}

class Writer {
  constructor(ort, session, about) {
    Object.assign(this, { ort, session, about });
  }

  /** A text as it can be written: curly quotes, dashes and their like by what is written for them, as Python does. */
  fold(text) {
    const { symbols, foldings } = this.about;
    const known = (c) => (symbols.includes(c) ? c : foldings[c]);
    const plain = (c) => [...c.normalize("NFKD").replace(/\p{M}/gu, "")].map((part) => known(part) ?? part).join("");
    return [...text.normalize("NFC")].map((c) => known(c) ?? plain(c)).join("").trim();
  }

  /** The characters of a text as numbers; letters of joined writing have others. */
  encode(text, joined = false) {
    const unknown = [...new Set(text)].filter((c) => !this.about.symbols.includes(c));
    if (!text.trim()) throw new Error("There is nothing to write: type a few words.");
    if (unknown.length) throw new Error(`The network does not know ${unknown.join(" ")} : it writes ASCII and accents.`);
    const { symbols, letters, joined: curves } = this.about;
    return [...text].map((c) => (joined && curves.includes(c) ? letters - curves.length + curves.indexOf(c) : symbols.indexOf(c)));
  }

  tensor(values, ...shape) {
    return new this.ort.Tensor("float32", Float32Array.from(values), shape);
  }

  /** What the first step is given. */
  start(index) {
    const { layers, cells, window, letters } = this.about;
    const rows = new Float32Array(index.length * letters);
    index.forEach((c, u) => (rows[u * letters + c] = 1));
    const zeros = (...shape) => this.tensor(new Float32Array(shape.reduce((a, b) => a * b)), ...shape);
    return {
      x: zeros(1, 3), h: zeros(layers, 1, cells), c: zeros(layers, 1, cells), kappa: zeros(1, window),
      w: zeros(1, letters), text: new this.ort.Tensor("float32", rows, [index.length, letters]),
    };
  }

  /** One step: the outputs and the weights of the characters; the state in `inputs` moves on. */
  async step(inputs) {
    const out = await this.session.run(inputs);
    for (const name of PARTS) inputs[name] = out[`${name}_next`];
    return [out.y.data, out.phi.data];
  }

  /** A line, point by point: {x, y, end, phi} in letter widths, phi over the characters of `text`. */
  async *write(text, { bias = 0.5, seed = 0, style = null, joined = false, halted = () => false } = {}) {
    const { mean, std, styles } = this.about;
    const hand = style === null ? null : styles[style];
    const before = hand ? hand.text + " " : "";
    const inputs = this.start(hand ? this.encode(before + text, hand.joined) : this.encode(text, joined));
    if (hand) {
      let rested = performance.now();
      for (const offset of hand.offsets) {
        if (halted()) return;
        if (performance.now() - rested > 30) {
          await pause(0); // so that Stop is heard
          rested = performance.now();
        }
        await this.step(inputs);
        inputs.x = this.tensor(offset, 1, 3);
      }
    }
    const rule = new Ending(text, this.about);
    let x = 0, y = 0, given = 0;
    if (!hand) yield { x, y, end: 0, phi: [] };
    const seen = [];
    for (let k = 0; k < POINTS_PER_CHAR * text.length && !rule.stopped; k++) {
      const [outputs, phi] = await this.step(inputs);
      const point = samplePoint([...outputs], bias, draw(seed, k)).map(Math.fround);
      inputs.x = this.tensor(point, 1, 3);
      seen.push([...phi.slice(before.length, -1)]);
      rule.take(point, [...phi], k + 1 === POINTS_PER_CHAR * text.length);
      for (; given < rule.sure; given++) {
        const [dx, dy, end] = rule.points[given];
        if (!(hand && given === 0)) [x, y] = [x + dx * std[0] + mean[0], y + dy * std[1] + mean[1]];
        yield { x, y, end, phi: seen[given] };
      }
    }
    this.lost = rule.passed === null;
  }
}

const SEPARATE = { ".": 1, ",": 1, "'": 1, "`": 1, "-": 1, _: 1, "!": 2, "?": 2, ":": 2, ";": 2, "=": 2, '"': 2 };
const LONGEST_MARK = 20, BESIDE = 0.15, FAR_BESIDE = 0.35, FEW = 2;

/** As numpy's: between the two nearest. */
function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b), at = q * (sorted.length - 1), k = Math.floor(at);
  return sorted[k] + (at - k) * ((sorted[k + 1] ?? sorted[k]) - sorted[k]);
}

/** Where a line ends: the notebook 51_endings of Python, function by function. */
class Ending {
  constructor(text, { mean, std, marked, pace = 18 }) {
    this.word = text.split(" ").pop().slice(-24);
    Object.assign(this, { mean, std, marked, unit: Math.abs(mean[0]) * pace || std[0] });
    Object.assign(this, { points: [], xy: [], places: [], arrived: null, passed: null, stopped: false });
    this.last = this.word[this.word.length - 1];
  }

  get sure() {
    return this.stopped || this.arrived === null ? this.points.length : this.arrived;
  }

  take(point, phi, atLimit) {
    const beyond = phi[phi.length - 1];
    if (this.passed === null && phi.slice(0, -1).every((value) => value < beyond)) this.passed = this.points.length;
    const [x, y] = this.xy.length ? this.xy[this.xy.length - 1] : [0, 0];
    this.points.push(point);
    this.xy.push([x + point[0] * this.std[0] + this.mean[0], y + point[1] * this.std[1] + this.mean[1]]);
    const weights = phi.slice(-this.word.length - 1), most = Math.max(...weights);
    const place = most > 0.03 ? weights.indexOf(most) : -1;
    this.places.push(place);
    if (this.arrived === null && place >= this.word.length - 1) this.arrived = this.points.length - 1;
    const after = this.points.length - this.passed;
    if (this.passed !== null && (point[2] === 1 || after % 25 === 0 || atLimit)) this.end(atLimit);
    else if (atLimit) this.stopped = true; // all of it stays, though it lost its way in the text
  }

  end(atLimit) {
    this.strokes = this.strokesOf();
    const n = this.points.length, kept = this.keep(), open = this.points[n - 1][2] !== 1;
    if (kept === n && !atLimit && (open || this.isAwaited())) return;
    const [begun] = this.strokes[this.strokes.length - 1];
    if (open && !atLimit && kept === begun && n - kept <= LONGEST_MARK) return;
    this.points.length = Math.max(kept, 1);
    const [dx, dy] = this.points[this.points.length - 1];
    this.points[this.points.length - 1] = [dx, dy, 1];
    this.stopped = true;
  }

  strokesOf() {
    const strokes = [];
    let a = 0;
    this.points.forEach((point, i) => {
      if (point[2] === 1) [strokes[strokes.length], a] = [[a, i + 1], i + 1];
    });
    return a < this.points.length ? [...strokes, [a, this.points.length]] : strokes;
  }

  column(a, b, axis) {
    return this.xy.slice(a, b).map((point) => point[axis]);
  }

  rightOfInk(i) {
    const [a] = this.strokes[i];
    return a ? (this.xy[a][0] - Math.max(...this.column(0, a, 0))) / this.unit : Infinity;
  }

  isSmall(i) {
    const [a, b] = this.strokes[i], ys = this.column(a, b, 1);
    return b - a <= 5 || Math.max(...ys) - Math.min(...ys) < 0.8 * this.unit;
  }

  isMark(i, [left, right]) {
    const [a, b] = this.strokes[i], xs = this.column(a, b, 0);
    const middle = xs.reduce((sum, x) => sum + x, 0) / xs.length;
    return this.isSmall(i) && b - a <= LONGEST_MARK && left - 0.9 * this.unit <= middle && middle <= right + 1.3 * this.unit;
  }

  unmarked(before) {
    const spans = [], used = new Set(), reach = before < this.strokes.length ? this.strokes[before][0] : this.xy.length;
    [...this.word].forEach((letter, u) => {
      const looked = this.places.slice(0, reach).flatMap((place, i) => (place === u ? [i] : []));
      if (!(letter in this.marked) || !looked.length) return;
      const xs = looked.map((i) => this.xy[i][0]), span = [Math.min(...xs), Math.max(...xs)];
      const later = [];
      for (let i = 0; i < before; i++) {
        if (!used.has(i) && this.strokes[i][0] > looked[0] && this.isMark(i, span)) later.push(i);
      }
      later.slice(0, this.marked[letter]).forEach((i) => used.add(i));
      if (this.marked[letter] > later.length) spans.push(span);
    });
    return spans;
  }

  separateStrokes(before) {
    const made = this.strokes.slice(0, before).filter(([a]) => this.places[a] === this.word.length - 1);
    return SEPARATE[this.last] - made.length;
  }

  isNeeded(i) {
    if (this.last in SEPARATE) return this.separateStrokes(i) > 0 && this.rightOfInk(i) < 1;
    return this.rightOfInk(i) < 0.35 && this.unmarked(i).some((span) => this.isMark(i, span));
  }

  isAwaited() {
    const n = this.strokes.length;
    return this.last in SEPARATE ? this.separateStrokes(n) > 0 : this.unmarked(n).length > 0;
  }

  longestDot() {
    return ".:!?".includes(this.last) ? 3 : 8;
  }

  endOfStroke(i) {
    const [a, b] = this.strokes[i];
    if (this.last in SEPARATE && this.places[a] >= this.word.length - 1) {
      return Math.min(b, Math.max(a + this.longestDot(), this.passed + 1));
    }
    if (b - this.passed <= ("gjyqzGJYQZ".includes(this.last) ? 24 : 17)) return b;
    const near = this.xy.slice(this.passed + 4, this.passed + 14);
    const steps = near.slice(1).map((point, k) => Math.hypot(point[0] - near[k][0], point[1] - near[k][1]));
    return this.passed + 6 + steps.indexOf(Math.min(...steps));
  }

  isAccent(i) {
    const [a, b] = this.strokes[i], last = this.word.length - 1;
    const low = this.last !== this.last.toUpperCase() || "0123689".includes(this.last); // nothing small stands above it
    const letter = this.places.slice(0, a).flatMap((place, k) => (place === last ? [this.xy[k][1]] : []));
    if (this.last in this.marked || !low || !letter.length || this.places[a] < last) return false;
    if (this.places.slice(a, b).filter((place) => place === last).length > letter.length) return false; // the letter itself
    const foot = quantile(this.column(0, a, 1), 0.75); // about where letters stand
    const ys = this.column(a, b, 1), middle = ys.reduce((sum, y) => sum + y, 0) / ys.length;
    const above = middle < quantile(letter, 0.2) && Math.max(...ys) < foot - this.unit / 4;
    return above && b - a <= LONGEST_MARK && !this.isNeeded(i);
  }

  keep() {
    let kept = this.endOfStrokes();
    for (let i = this.strokes.length - 1; i > 0; i--) {
      const [a, b] = this.strokes[i];
      if (b > kept) continue;
      if (!this.isAccent(i)) break;
      kept = a;
    }
    return kept;
  }

  endOfStrokes() {
    let i = this.strokes.findIndex(([a, b]) => a <= this.passed && this.passed < b);
    const [begun] = this.strokes[i];
    const beside = begun < this.passed ? FAR_BESIDE : this.isSmall(i) ? 0 : BESIDE;
    const few = this.last in SEPARATE ? 0 : FEW;
    if (i && this.passed - begun <= few && this.rightOfInk(i) > beside && !this.isNeeded(i)) return begun;
    let kept = this.endOfStroke(i);
    while (kept === this.strokes[i][1] && i + 1 < this.strokes.length && this.isNeeded(i + 1)) {
      const [a, b] = this.strokes[++i];
      kept = this.last in SEPARATE ? Math.min(b, a + this.longestDot()) : b;
    }
    return kept;
  }
}

// ---------------------------------------------------------------- the page

const SVG = "http://www.w3.org/2000/svg";

/** The line on the page, as far as it is written. */
class Sheet {
  constructor(svg, length) {
    this.svg = svg;
    this.box = [-1, -2.2, length + 2, 4.4];
    this.strokes = [[]];
    svg.replaceChildren();
    this.fit();
  }

  add({ x, y, end }) {
    const stroke = this.strokes[this.strokes.length - 1];
    stroke.push([x, y]);
    if (stroke.length === 1) {
      this.path = document.createElementNS(SVG, "path");
      this.svg.append(this.path);
    }
    this.path.setAttribute("d", pathOf(stroke));
    const [left, top, wide, high] = this.box;
    const low = [Math.min(left, x - 0.5), Math.min(top, y - 0.5)];
    const far = [Math.max(left + wide, x + 0.5), Math.max(top + high, y + 0.5)];
    this.box = [...low, far[0] - low[0], far[1] - low[1]];
    if (end) this.strokes.push([]);
  }

  /** The view on all of it; at the end close around the ink. */
  fit(close = false) {
    const points = this.strokes.flat();
    if (close && points.length) {
      const [xs, ys] = [points.map((p) => p[0]), points.map((p) => p[1])];
      const [left, top] = [Math.min(...xs) - 0.6, Math.min(...ys) - 0.6];
      this.box = [left, top, Math.max(...xs) + 0.6 - left, Math.max(...ys) + 0.6 - top];
    }
    this.svg.setAttribute("viewBox", this.box.map((v) => v.toFixed(2)).join(" "));
  }

  /** The line as a file. */
  file(text) {
    const copy = this.svg.cloneNode(true);
    copy.removeAttribute("class");
    const title = document.createElementNS(SVG, "title");
    title.textContent = text;
    copy.prepend(title);
    const look = { xmlns: SVG, fill: "none", stroke: "#1b1f3b", "stroke-width": 0.11, "stroke-linecap": "round", "stroke-linejoin": "round" };
    for (const [name, value] of Object.entries(look)) copy.setAttribute(name, value);
    return new Blob([copy.outerHTML], { type: "image/svg+xml" });
  }
}

function pathOf(stroke) {
  const [first, ...rest] = stroke.map(([x, y]) => `${x.toFixed(3)} ${y.toFixed(3)}`);
  return `M${first} ${rest.length ? "L" + rest.join(" ") : "l0 0"}`;
}

/** The page's controls and what they do. */
class Page {
  constructor(place) {
    this.place = place;
    this.part = (name) => place.querySelector(`[name=${name}], .${name}`);
    this.running = null;
    this.turn = 0; // how many lines were asked for
    this.halt = false;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
  }

  async open() {
    if (typeof WebAssembly !== "object") {
      throw new Error("This browser has WebAssembly switched off, which the network needs. The gallery shows what it writes.");
    }
    this.writer = await loadWriter((text) => this.say(text));
    const styles = this.part("style");
    this.writer.about.styles.forEach((hand, i) => styles.append(new Option(hand.name.replaceAll("-", " "), i + 1)));
    this.fromAddress();
    this.part("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.write();
    });
    this.part("again").addEventListener("click", () => {
      this.part("seed").value = Math.floor(Math.random() * 100000);
      this.write();
    });
    this.part("stop").addEventListener("click", () => (this.halt = true));
    this.part("save").addEventListener("click", () => this.save());
    this.part("bias").addEventListener("input", () => this.showBias());
    addEventListener("hashchange", () => {
      if (location.hash !== this.address()) {
        this.fromAddress();
        this.write();
      }
    });
    for (const name of ["write", "again"]) this.part(name).disabled = false;
    this.say("Ready: press Write.");
    keepPage().then(() => (this.place.dataset.kept = "yes"), () => {}); // a browser that keeps nothing can still write
    if (location.search || location.hash) await this.write();
  }

  say(text, wrong = false) {
    this.part("said").textContent = text;
    this.part("said").classList.toggle("wrong", wrong);
  }

  showBias() {
    this.part("shown").textContent = Number(this.part("bias").value).toFixed(1);
  }

  /** What the page is set to, as the end of its address. */
  address() {
    const names = ["text", "bias", "seed", "style"];
    return "#" + new URLSearchParams(names.map((name) => [name, this.part(name).value]));
  }

  fromAddress() {
    const asked = [location.search, location.hash].flatMap((part) => [...new URLSearchParams(part.slice(1))]);
    for (const [name, value] of asked) {
      if (["text", "bias", "seed"].includes(name)) this.part(name).value = value;
      if (name === "style" && [...this.part("style").options].some((o) => o.value === value)) this.part("style").value = value;
    }
    this.showBias();
  }

  settings() {
    const seed = Number(this.part("seed").value);
    if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) throw new Error("A seed is a whole number from 0 to 4294967295.");
    const style = this.part("style").value;
    const joined = style === "joined";
    return { seed, bias: Number(this.part("bias").value), style: style && !joined ? Number(style) - 1 : null, joined };
  }

  /** Write what the page is set to; a line that is being written is ended first, and one that waited for that makes room. */
  async write() {
    const mine = ++this.turn;
    this.halt = true;
    await this.running;
    if (mine !== this.turn) return;
    this.halt = false;
    this.running = this.writeLine();
    return this.running;
  }

  async writeLine() {
    let points = 0;
    try {
      points = await this.draw(this.writer.fold(this.part("text").value), this.settings());
    } catch (error) {
      this.say(error.message, true);
    }
    this.end(points);
  }

  async draw(text, settings) {
    const began = performance.now();
    let points = 0, first = null, shown = began;
    this.writer.encode(text);
    history.replaceState(null, "", location.pathname + this.address());
    this.begin(text, settings.style !== null);
    for await (const point of this.writer.write(text, { ...settings, halted: () => this.halt })) {
      if (this.halt) break;
      first ??= performance.now();
      this.sheet.add(point);
      points++;
      const ahead = this.calm.matches ? 0 : first + (1000 * points) / PACE - performance.now();
      if (ahead > 0 || performance.now() - shown > 30) {
        this.show(point);
        await pause(Math.max(ahead, 0));
        shown = performance.now();
      }
    }
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    this.say(`${this.halt ? "Stopped: " : ""}${points} points in ${seconds} s, seed ${settings.seed}.${this.writer.lost && !this.halt ? " It lost its way in the text: another seed may do better." : ""}`);
    return points;
  }

  begin(text, primed) {
    this.spell(text);
    this.sheet = new Sheet(this.part("sheet"), text.length);
    this.text = text;
    this.place.dataset.state = "writing";
    this.part("save").disabled = true;
    this.part("stop").disabled = false;
    this.say(primed ? "reading the hand, then writing ..." : "writing ...");
  }

  show(point) {
    this.light(point.phi);
    if (!this.calm.matches) this.sheet.fit();
  }

  end(points) {
    this.light([]);
    if (points) this.sheet.fit(true);
    this.part("save").disabled = !points;
    this.part("stop").disabled = true;
    this.place.dataset.state = "done";
  }

  /** The text as letters that can be lit. */
  spell(text) {
    const letters = [...text].map((c) => Object.assign(document.createElement("span"), { textContent: c }));
    this.part("letters").replaceChildren(...letters);
  }

  /** The letters as bright as the window's weights on them, the one that it looks at most being the brightest. */
  light(phi) {
    const top = Math.max(...phi, 1e-6);
    [...this.part("letters").children].forEach((letter, u) => letter.style.setProperty("--phi", ((phi[u] || 0) / top).toFixed(2)));
  }

  save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(this.sheet.file(this.text));
    link.download = `${this.text.replace(/[^A-Za-z0-9]+/g, "-").slice(0, 40)}.svg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
}

function pause(milliseconds) {
  return new Promise((go) => setTimeout(go, milliseconds));
}

const place = document.querySelector("#live");
if (place) {
  const page = new Page(place);
  page.open().catch((error) => page.say(error.message, true));
}
