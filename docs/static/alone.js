// Runs the package's own widgets on a page without Python: a model that only remembers.
function remember(state) {
  const listeners = {};
  return {
    get: (name) => state[name],
    set: (name, value) => {
      state[name] = value;
      for (const told of listeners["change:" + name] || []) told();
    },
    on: (event, told) => (listeners[event] ||= []).push(told),
    off: () => {},
    save_changes: () => {},
    send: () => {},
  };
}

for (const place of document.querySelectorAll(".alone")) {
  const source = place.querySelector("script");
  if (!source) continue;
  const { esm, css, state } = JSON.parse(source.textContent);
  source.remove();
  const style = document.createElement("style");
  style.textContent = css;
  document.head.append(style);
  const address = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
  const widget = (await import(address)).default;
  const model = remember(state);
  await widget.initialize?.({ model });
  await widget.render({ model, el: place });
}
