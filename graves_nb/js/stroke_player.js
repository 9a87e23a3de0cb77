// Shows ink as it was written. Time runs here; the kernel is told where it is a few times a second.

function labelled(tag, label, attributes) {
  const made = document.createElement(tag);
  Object.assign(made, attributes);
  made.setAttribute("aria-label", label);
  return made;
}

function render({ model, el }) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  const bar = document.createElement("div");
  const play = labelled("button", "play or pause", { type: "button" });
  const time = labelled("input", "time, in points", { type: "range", min: 0, step: 1 });
  const speed = labelled("select", "speed");
  const loop = labelled("input", "loop", { type: "checkbox" });
  const loopLabel = document.createElement("label");
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  let last = 0;
  let told = 0;
  let frame = 0;
  let at = 0; // the position while it plays, in this view: others may show the same ink, and each moves by itself

  el.classList.add("graves-player");
  el.addEventListener("keydown", (event) => event.key !== "Escape" && event.stopPropagation()); // else JupyterLab takes arrow keys
  canvas.setAttribute("role", "img");
  for (const times of [0.25, 0.5, 1, 2, 4, 8]) speed.append(new Option(`${times} ×`, times));
  loopLabel.append(loop, " loop");
  bar.className = "graves-bar";
  bar.append(play, time, speed, loopLabel);
  el.append(canvas, bar);

  const count = () => model.get("strokes").reduce((sum, stroke) => sum + stroke.length, 0);

  // Ink in the middle of a canvas that keeps its height, as large as fits.
  function size() {
    const [left, top, right, bottom] = model.get("box");
    const wide = Math.max(right - left, 1e-6);
    const high = Math.max(bottom - top, 1e-6);
    const width = Math.max(el.clientWidth, 200);
    const height = 190;
    const scale = Math.min((width - 40) / wide, (height - 30) / high);
    return { x: (width - scale * (left + right)) / 2, y: (height - scale * (top + bottom)) / 2, scale, width, height };
  }

  function draw() {
    const { x: toRight, y: down, scale, width, height } = size();
    const dots = window.devicePixelRatio || 1;
    canvas.width = width * dots;
    canvas.height = height * dots;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    context.setTransform(dots, 0, 0, dots, 0, 0);
    context.lineJoin = context.lineCap = "round";
    context.lineWidth = 2.5;
    context.strokeStyle = getComputedStyle(el).color;
    let pen = null;
    const ends = [];
    for (const [alpha, whole] of [[0.15, true], [1, false]]) {
      context.globalAlpha = alpha;
      let rest = whole ? Infinity : model.get("position");
      for (const stroke of model.get("strokes")) {
        const shown = stroke.slice(0, Math.min(stroke.length, Math.max(Math.floor(rest), 0)));
        rest -= stroke.length;
        if (!shown.length) continue;
        context.beginPath();
        shown.forEach(([x, y], i) => {
          const at = [toRight + x * scale, down + y * scale];
          if (i) context.lineTo(...at);
          else context.moveTo(...at);
          pen = at;
        });
        if (shown.length === 1) context.lineTo(pen[0] + 0.1, pen[1]);
        context.stroke();
        if (!whole) ends.push(shown.length);
      }
    }
    if (pen && model.get("position") < count()) {
      context.fillStyle = "#d9622b";
      context.beginPath();
      context.arc(pen[0], pen[1], 4, 0, 7);
      context.fill();
    }
    canvas.dataset.frames = Number(canvas.dataset.frames || 0) + 1;
    canvas.dataset.points = ends.reduce((sum, n) => sum + n, 0);
    canvas.setAttribute("aria-label", `ink: ${model.get("text") || "no text"}`);
    time.max = count();
    time.value = model.get("position");
    play.textContent = model.get("playing") ? "Pause" : "Play";
    play.setAttribute("aria-pressed", model.get("playing"));
    speed.value = model.get("speed");
    loop.checked = model.get("loop");
  }

  function tell(force) {
    const now = performance.now();
    if (!force && now - told < 80) return;
    told = now;
    model.save_changes();
  }

  function tick(now) {
    if (!model.get("playing")) return;
    const step = (Math.min(now - last, 100) / 1000) * model.get("points_per_second") * model.get("speed");
    last = now;
    at += step;
    const end = at >= count();
    if (end) at = model.get("loop") ? 0 : count();
    model.set("position", at);
    if (end && !model.get("loop")) model.set("playing", false);
    draw();
    tell(end);
    frame = requestAnimationFrame(tick);
  }

  function run() {
    cancelAnimationFrame(frame);
    if (model.get("playing")) {
      [last, at] = [performance.now(), model.get("position")];
      frame = requestAnimationFrame(tick);
    }
    draw();
  }

  play.addEventListener("click", () => {
    const begin = !model.get("playing");
    if (begin && model.get("position") >= count()) model.set("position", 0);
    if (begin && still) model.set("position", count()); // motion was declined: all at once
    else model.set("playing", begin);
    tell(true);
    run();
  });
  time.addEventListener("input", () => {
    at = Number(time.value);
    model.set("position", at);
    tell(false);
    draw();
  });
  time.addEventListener("change", () => tell(true));
  speed.addEventListener("change", () => {
    model.set("speed", Number(speed.value));
    tell(true);
  });
  loop.addEventListener("change", () => {
    model.set("loop", loop.checked);
    tell(true);
  });
  model.on("change:playing", run);
  for (const name of ["strokes", "box", "speed", "loop", "text"]) model.on(`change:${name}`, draw);
  model.on("change:position", () => {
    const position = model.get("position");
    if (!model.get("playing")) draw();
    else if (Math.abs(position - at) > model.get("points_per_second") * model.get("speed") / 4) at = position; // somebody moved it
  });
  const watch = new ResizeObserver(draw);
  watch.observe(el);
  const theme = new MutationObserver(draw); // another theme has other colours
  theme.observe(document.body, { attributeFilter: ["data-jp-theme-name", "data-theme", "class"] });
  run(); // it may be playing already
  return () => {
    watch.disconnect();
    theme.disconnect();
    cancelAnimationFrame(frame);
  };
}

export default { render };
