// An extension of JupyterLab, for `graves lab` alone: the Studio's notebook, which is opened first, is run once its kernel is there.

(() => {
  async function run(app) {
    await app.restored;
    for (let tries = 0; tries < 200; tries++) {
      const panel = app.shell.currentWidget;
      if (["studio.ipynb", "collect.ipynb"].includes(panel?.context?.path) && panel.sessionContext) {
        await panel.context.ready;
        await panel.sessionContext.ready;
        await panel.sessionContext.session?.kernel?.info;
        await new Promise((passed) => setTimeout(passed, 1000)); // until widgets of an earlier page have been asked for
        if (!app.shell.leftCollapsed) app.commands.execute("application:toggle-left-area"); // the Studio has all the room
        app.commands.execute("notebook:run-all-cells");
        return;
      }
      await new Promise((passed) => setTimeout(passed, 100));
    }
  }
  const plugin = {
    id: "graves-open:plugin",
    autoStart: true,
    activate: (app) => {
      run(app); // nobody waits for it
    },
  };
  const container = { init: () => {}, get: () => Promise.resolve(() => ({ __esModule: true, default: plugin })) };
  (window._JUPYTERLAB ??= {})["graves-open"] = container;
})();
