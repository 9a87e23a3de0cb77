"""Pictures of a line, of the widgets in a real JupyterLab and of the site, light and dark, into docs/images."""

import io
import tempfile
from pathlib import Path

import nbformat
from browser import ROOT, chromium, lab, page, run_notebook, serve, tab
from PIL import Image

from graves_nb.pretrained import load_model
from graves_nb.sampling import write

SCHEMES = ("light", "dark")

START = """import tempfile
import torch
from graves_nb import widgets as w
from graves_nb.model import InkModel
from graves_nb.pretrained import load_model
from graves_nb.sampling import write, write_samples
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork
from graves_nb.tasks import InkTask, Stage
from graves_nb.training import TrainConfig, Trainer
model = load_model()
(sample,) = write_samples(model, ["watch it think"], bias=1, seed=2, trace=True)"""
TRAINED = """torch.manual_seed(0)
texts = ["hello", "yellow", "jelly", "holly", "low hello", "only he", "why", "hole", "lowly", "ho ho"]
inks = write(model, texts, bias=1.5, seed=1)
small = SynthesisNetwork(SynthesisConfig(n_chars=len(model.alphabet), hidden_size=100, n_layers=2))
config = TrainConfig(points=50_000, batch_size=2, log_updates=4, warmup_updates=5, precision="fp32")
small = InkModel(small, model.alphabet, model.scaler)
x = w.TrainingMonitor(Trainer(small, InkTask([Stage(inks)], inks[:3]), tempfile.mkdtemp(), config), "hello")
x.start(); x._thread.join(); x.show_line(); x"""
SHOWN = dict(
    studio="x = w.Studio(text='watch it think', seed=2); x.write(wait=True); x.view.at = 180; x",
    pad="x = w.InkPad(model); x.load(sample.ink); x",
    player="x = w.StrokePlayer(sample.ink); x.position = 150; x",
    mixture="x = w.MixtureExplorer(model, sample.ink, sample.trace); x.at = 128; x",
    window="x = w.WindowExplorer(model, sample.ink, sample.trace); x.at = 180; x",
    training=TRAINED,
)
DRAWN = """() => {
    const player = document.querySelector('.graves-player canvas').dataset.points;
    const at = [...document.querySelectorAll('.graves-line')].map((view) => view.dataset.at).join();
    return player === '150' && at.endsWith('180,128,180');
}"""


SITE = dict(home="index.html", component="23_mixture.html", live="live.html", comparison="comparison.html")


def widgets() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cells = [nbformat.v4.new_code_cell(code) for code in (START, *SHOWN.values())]
        notebook = nbformat.v4.new_notebook(cells=cells)
        notebook.metadata.kernelspec = dict(name="python3", display_name="Python 3", language="python")
        nbformat.write(notebook, folder / "widgets.ipynb")
        with lab(folder) as address:
            for scheme in ("light", "dark"):
                with page(scheme, 1366, 6000) as made:
                    run_notebook(made, address, "widgets.ipynb", dark=scheme == "dark")
                    made.wait_for_function(DRAWN)
                    made.wait_for_timeout(2000)
                    for widget, output in zip(SHOWN, made.locator(".jp-OutputArea-output").all(), strict=True):
                        keep(output.screenshot(), f"{widget}-{scheme}")


def site() -> None:
    with serve(ROOT / "_site") as address, chromium() as browser:
        for scheme in SCHEMES:
            for name, path in SITE.items():
                with tab(browser, scheme, 1200, 800, reduced_motion="reduce") as made:
                    made.goto(f"{address}/{path}")
                    if name == "live":
                        made.locator("[name=write]:enabled").click()
                        made.wait_for_selector("#live[data-state=done]")
                    made.evaluate("window.MathJax?.startup.promise")
                    made.wait_for_timeout(500)
                    keep(made.screenshot(), f"site-{name}-{scheme}")


def line() -> None:
    ink = write(load_model(), "The quick brown fox jumps over the lazy dog", bias=1.5, seed=2)
    print(ink.save(ROOT / "docs" / "images" / "line.svg").relative_to(ROOT))


def keep(png: bytes, name: str) -> None:
    "In as many colours as are seen, a third of the bytes."
    path = ROOT / "docs" / "images" / f"{name}.png"
    Image.open(io.BytesIO(png)).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    line()
    widgets()
    site()
