// What the controls and figures of a page lack: names of sliders for who cannot see them, figures as wide as the page.

function finish() {
  for (const slider of document.querySelectorAll(".widget-slider")) {
    const label = slider.querySelector(".widget-label").textContent;
    slider.querySelector(".noUi-handle")?.setAttribute("aria-label", label);
    slider.querySelector(".widget-readout")?.setAttribute("aria-label", `${label}, as a number`);
  }
  window.dispatchEvent(new Event("resize")); // plotly listens
}

function render({ el }) {
  const later = () => setTimeout(finish, 50);
  const watch = new ResizeObserver(later);
  watch.observe(el);
  document.addEventListener("plotlywidget-after-render", later);
  return () => {
    watch.disconnect();
    document.removeEventListener("plotlywidget-after-render", later);
  };
}

export default { render };
