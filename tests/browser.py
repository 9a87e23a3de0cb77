"""A real JupyterLab in a real browser, for tests and for pictures of the widgets."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCREENSHOTS = ROOT / ".cache" / "screenshots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def find_browser() -> str | None:
    "The path of a Chromium of this machine; None means the one that Playwright has, which is fetched if need be."
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    run = subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError("there is no browser to test with: install Chromium, or run `playwright install chromium`")
    return None


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def lab(folder: Path):
    "JupyterLab on a folder, with settings of its own; gives its address."
    port, home = free_port(), folder / ".jupyter"
    settings = home / "lab" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(dict(fetchNews="false", checkForUpdates=False)))
    places = dict(JUPYTER_CONFIG_DIR=home, JUPYTER_DATA_DIR=home / "data", JUPYTER_RUNTIME_DIR=home / "runtime")
    places |= dict(JUPYTERLAB_SETTINGS_DIR=home / "lab", JUPYTERLAB_WORKSPACES_DIR=home / "workspaces", HOME=folder)
    command = [
        sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}", "--port-retries=0",
        "--IdentityProvider.token=", "--expose-app-in-browser", "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly", f"--ServerApp.root_dir={folder}",
    ]  # fmt: skip
    cache = os.environ.get("GRAVES_CACHE", str(Path.home() / ".cache" / "graves_nb"))
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = os.environ | {k: str(v) for k, v in places.items()} | dict(GRAVES_CACHE=cache, PYTHONPATH=path)
    with (folder / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/api", server, folder / "lab.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(20)


def wait_for(address, server, log, seconds=60):
    "Until it answers."
    for _ in range(4 * seconds):
        if server.poll() is not None:
            raise RuntimeError(f"JupyterLab ended: {log.read_text()[-2000:]}")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address, timeout=2).read()
            return
        time.sleep(0.25)
    raise TimeoutError(f"JupyterLab did not answer: {log.read_text()[-2000:]}")


@contextlib.contextmanager
def page(scheme: str = "light", width: int = 1300, height: int = 1700):
    "A page of a browser, with what its console complained about and which requests left the machine."
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=QUIET)
        made = browser.new_page(viewport=dict(width=width, height=height), color_scheme=scheme)
        made.set_default_timeout(30_000)
        made.complaints, made.strangers = [], []
        made.on("console", lambda m: made.complaints.append(m.text) if m.type == "error" else None)
        made.on("pageerror", lambda e: made.complaints.append(str(e)))
        made.on("request", lambda r: made.strangers.append(r.url) if is_strange(r.url) else None)
        try:
            yield made
        finally:
            browser.close()


def is_strange(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))


def run_notebook(made, address: str, name: str, seconds: float = 120, dark: bool = False) -> None:
    "Open a notebook in JupyterLab, and run all of it."
    made.goto(f"{address}/lab/tree/{name}?reset")
    made.wait_for_selector(".jp-Notebook", timeout=60_000)
    made.wait_for_function("window.jupyterapp !== undefined")
    made.evaluate("""async () => {
        const panel = window.jupyterapp.shell.currentWidget;
        await panel.context.ready;
        await panel.sessionContext.ready;
        await panel.sessionContext.session.kernel.info;
    }""")
    made.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=60_000)
    if dark:
        made.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    made.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
    made.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    done = """() => {
        const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
        return [...cells].every((c) => c.type !== 'code' || c.executionState === 'idle' && c.executionCount !== null);
    }"""
    made.wait_for_function(done, timeout=1000 * seconds)


def ask(made, expression: str):
    "What a Python expression is in the kernel of the open notebook; it must be JSON."
    return made.evaluate(
        """async (code) => {
            const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const done = kernel.requestExecute({code: '', user_expressions: {x: code}, store_history: false});
            const found = (await done.done).content.user_expressions.x;
            if (found.status !== 'ok') throw new Error(found.evalue);
            return JSON.parse(found.data['text/plain'].replace(/^'|'$/g, '').replace(/\\\\'/g, "'"));
        }""",
        f"__import__('json').dumps({expression})",
    )
