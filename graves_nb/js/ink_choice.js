// A row of small pictures of ink, of which one is chosen: radio buttons, as a page and its keyboard know them.

const SVG = "http://www.w3.org/2000/svg";

function picture({ path, box }) {
  const svg = document.createElementNS(SVG, "svg");
  const drawn = svg.appendChild(document.createElementNS(SVG, "path"));
  svg.setAttribute("viewBox", box);
  svg.setAttribute("aria-hidden", "true");
  drawn.setAttribute("d", path);
  drawn.setAttribute("vector-effect", "non-scaling-stroke");
  return svg;
}

function render({ model, el }) {
  const row = el.appendChild(document.createElement("div"));
  const name = `graves-choice-${Math.random()}`;
  row.className = "graves-choice";
  row.setAttribute("role", "radiogroup");
  el.addEventListener("keydown", (event) => event.key !== "Escape" && event.stopPropagation()); // else JupyterLab takes arrow keys

  function draw() {
    row.setAttribute("aria-label", model.get("description"));
    const head = document.createElement("span");
    head.textContent = model.get("description");
    const parts = model.get("pictures").map((each) => {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), { type: "radio", name, value: each.value });
      input.checked = each.value === model.get("value");
      input.setAttribute("aria-label", each.label);
      input.addEventListener("change", () => {
        model.set("value", each.value);
        model.save_changes();
      });
      label.title = each.label;
      label.append(input, each.path ? picture(each) : Object.assign(document.createElement("span"), { textContent: each.label }));
      return label;
    });
    const focused = row.contains(document.activeElement);
    row.replaceChildren(head, ...parts);
    if (focused) row.querySelector("input:checked")?.focus();
  }
  model.on("change:pictures", draw);
  model.on("change:value", () => row.querySelectorAll("input").forEach((input) => (input.checked = input.value === model.get("value"))));
  draw();
}

export default { render };
