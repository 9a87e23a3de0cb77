"""A real browser on a real JupyterLab, or on the site, for tests and for pictures."""

import contextlib
import functools
import gzip
import json
import mimetypes
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCREENSHOTS = ROOT / ".cache" / "screenshots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def find_browser() -> str | None:
    "The path of a Chromium of this machine, installed if need be; None means the one that Playwright has."
    apt = [["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]]
    own = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if path := which_browser():
        return path
    if shutil.which("apt-get") and os.geteuid() == 0 and succeed(apt):
        return which_browser()
    if succeed(own):
        return None
    raise RuntimeError("there is no browser to test with: `apt-get install chromium`, or `playwright install chromium`")


def which_browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def succeed(commands: list[list[str]]) -> bool:
    "Run one after the other until one fails; whether none did."
    quiet = dict(stdin=subprocess.DEVNULL, capture_output=True, env=os.environ | dict(DEBIAN_FRONTEND="noninteractive"))
    return all(subprocess.run(command, **quiet).returncode == 0 for command in commands)


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
def chromium():
    "A browser."
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def tab(browser, scheme: str = "light", width: int = 1300, height: int = 900, **options):
    "A page with an empty cache, with what its console complained about and which requests left the machine."
    context = browser.new_context(viewport=dict(width=width, height=height), color_scheme=scheme, **options)
    made = context.new_page()
    made.set_default_timeout(30_000)
    made.complaints, made.strangers = [], []
    made.on("console", lambda m: made.complaints.append(m.text) if m.type == "error" else None)
    made.on("pageerror", lambda e: made.complaints.append(str(e)))
    made.on("request", lambda r: made.strangers.append(r.url) if is_strange(r.url) else None)
    try:
        yield made
    finally:
        context.close()


@contextlib.contextmanager
def page(scheme: str = "light", width: int = 1300, height: int = 1700):
    "A page of a browser of its own."
    with chromium() as browser, tab(browser, scheme, width, height) as made:
        yield made


def is_strange(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))


def type_of(path: Path) -> str:
    return mimetypes.guess_type(path)[0] or "application/octet-stream"


def is_text(path: Path) -> bool:
    "Whether a web host compresses it: what is text, and WebAssembly."
    return type_of(path).startswith("text/") or type_of(path).endswith(("javascript", "json", "xml", "wasm"))


@functools.cache
def body(path: Path) -> bytes:
    "What is sent of a file."
    return gzip.compress(path.read_bytes(), 6) if is_text(path) else path.read_bytes()


class Files(SimpleHTTPRequestHandler):
    "Serves a folder as a web host does."

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            return self.send_error(404)
        self.send_response(200)
        headers = {"Content-Type": type_of(path), "Content-Length": len(body(path)), "Cache-Control": "max-age=600"}
        for name, value in (headers | ({"Content-Encoding": "gzip"} if is_text(path) else {})).items():
            self.send_header(name, str(value))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the page was closed
            self.wfile.write(body(path))

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serve(folder: Path):
    "The address of a folder, as long as it is needed."
    mimetypes.add_type("text/javascript", ".mjs")
    mimetypes.add_type("application/wasm", ".wasm")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def node_modules() -> Path:
    "JavaScript from the registry of npm, at the versions of docs/package-lock.json."
    work = ROOT / ".cache" / "docs"
    modules, lock, seen = work / "node_modules", ROOT / "docs" / "package-lock.json", work / "package-lock.json"
    whole = (modules / ".package-lock.json").exists()  # npm writes it last
    if whole and seen.exists() and seen.read_text() == lock.read_text():
        return modules
    if shutil.which("npm") is None:
        raise RuntimeError(
            "npm, of Node.js, is needed to fetch MathJax, plotly.js, onnxruntime-web and axe: install it"
        )
    work.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(modules, ignore_errors=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "docs" / name, work / name)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=work, check=True)
    return modules


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
        await panel.sessionContext.session.kernel.requestCommInfo({target_name: 'jupyter.widget'});
    }""")
    made.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=60_000)
    if dark:
        made.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    made.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
    made.wait_for_timeout(1500)  # so that what JupyterLab hears of old widgets does not undo the news of new ones
    run_all(made, seconds)


def run_all(made, seconds: float = 120) -> None:
    "Run all cells of the open notebook, and wait until none failed."
    made.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    done = """() => {
        const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells].filter((c) => c.type === 'code');
        const failed = cells.flatMap((c) => c.toJSON().outputs).find((o) => o.output_type === 'error');
        if (failed) throw new Error(`${failed.ename}: ${failed.evalue}`);
        return cells.every((c) => c.executionState === 'idle' && c.executionCount !== null);
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
