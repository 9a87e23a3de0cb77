// What the controls of a page lack: names of sliders and states of buttons for who cannot see them.

// Says which buttons are pressed, now and whenever that changes.
function tellPressed(button) {
  const tell = () => {
    const pressed = String(button.classList.contains("mod-active"));
    if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
  };
  if (!button.hasAttribute("aria-pressed")) new MutationObserver(tell).observe(button, { attributeFilter: ["class"] });
  tell();
}

function finish() {
  document.querySelectorAll(".widget-toggle-button").forEach(tellPressed);
  for (const slider of document.querySelectorAll(".widget-slider")) {
    const label = slider.querySelector(".widget-label").textContent;
    slider.querySelector(".noUi-handle")?.setAttribute("aria-label", label);
    slider.querySelector(".widget-readout")?.setAttribute("aria-label", `${label}, as a number`);
  }
}

function render({ el }) {
  const later = () => setTimeout(finish, 50);
  const watch = new ResizeObserver(later);
  watch.observe(el);
  return () => watch.disconnect();
}

export default { render };
