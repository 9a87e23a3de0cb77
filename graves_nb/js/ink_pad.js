// A pad to write on: pointer events become strokes of [x, y, milliseconds], in CSS pixels of the pad.

function button(label, title, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.title = title;
  made.addEventListener("click", act);
  return made;
}

function path(context, stroke) {
  context.beginPath();
  stroke.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  if (stroke.length === 1) context.lineTo(stroke[0][0] + 0.1, stroke[0][1]);
  context.stroke();
}

function render({ model, el }) {
  const width = model.get("width");
  const height = model.get("height");
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  const bar = document.createElement("div");
  const status = document.createElement("span");
  let drawing = null;
  let pen = null; // the pointer that draws: a palm beside it is none
  let begun = 0;

  el.classList.add("graves-pad");
  el.addEventListener("keydown", (event) => event.key !== "Escape" && event.stopPropagation()); // else JupyterLab takes arrow keys
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "pad to write on; Backspace takes back a stroke, Delete clears");
  status.setAttribute("role", "status");

  function draw() {
    const shown = Math.min(1, (el.clientWidth - 2) / width); // as wide as there is room
    const scale = (window.devicePixelRatio || 1) * shown;
    canvas.style.width = `${width * shown}px`;
    canvas.style.height = `${height * shown}px`;
    canvas.width = width * scale;
    canvas.height = height * scale;
    context.scale(scale, scale);
    const colour = getComputedStyle(el).color;
    context.strokeStyle = colour;
    context.globalAlpha = 0.25;
    for (const share of [0.4, 0.68]) {
      context.beginPath();
      context.moveTo(0, share * height);
      context.lineTo(width, share * height);
      context.stroke();
    }
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.lineJoin = context.lineCap = "round";
    const strokes = model.get("strokes");
    for (const stroke of drawing ? [...strokes, drawing] : strokes) path(context, stroke);
    context.fillStyle = "#d9622b";
    if (model.get("show_seen") && !drawing) for (const [x, y] of model.get("seen")) context.fillRect(x - 1, y - 1, 2, 2);
    status.textContent = strokes.length ? `${strokes.length} stroke${strokes.length > 1 ? "s" : ""}` : "write here";
  }

  function keep(strokes) {
    model.set("strokes", strokes);
    model.save_changes();
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    const scale = width / canvas.clientWidth;
    const x = Math.min(Math.max((event.clientX - box.left - canvas.clientLeft) * scale, 0), width);
    const y = Math.min(Math.max((event.clientY - box.top - canvas.clientTop) * scale, 0), height);
    return [Math.round(x * 10) / 10, Math.round(y * 10) / 10, Math.round(event.timeStamp - begun)];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || (drawing && event.pointerId !== pen)) return;
    pen = event.pointerId;
    if (!begun) begun = event.timeStamp;
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true }); // so that its keys work
    drawing = [place(event)];
    draw();
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawing || event.pointerId !== pen) return;
    const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const each of events.length ? events : [event]) drawing.push(place(each));
    draw();
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, (event) => {
      if (!drawing || event.pointerId !== pen) return;
      const stroke = drawing;
      drawing = null;
      keep([...model.get("strokes"), stroke]);
    });
  const undo = () => keep(model.get("strokes").slice(0, -1));
  const clear = () => {
    begun = 0;
    keep([]);
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey))) undo();
    else if (event.key === "Delete") clear();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  for (const name of ["strokes", "seen", "show_seen"]) model.on(`change:${name}`, draw);
  bar.className = "graves-bar";
  bar.append(button("Undo", "take back the last stroke", undo), button("Clear", "take back all strokes", clear), status);
  el.append(canvas, bar);
  const watch = new ResizeObserver(draw); // also tells when the pad is on the page, and has its colours
  watch.observe(el);
  const theme = new MutationObserver(draw); // another theme has other colours
  theme.observe(document.body, { attributeFilter: ["data-jp-theme-name", "data-theme", "class"] });
  return () => {
    watch.disconnect();
    theme.disconnect();
  };
}

export default { render };
