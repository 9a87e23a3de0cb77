"""Pictures of the widgets in a real JupyterLab, light and dark, into docs/images."""

import tempfile
from pathlib import Path

import nbformat
from browser import ROOT, lab, page, run_notebook

START = """from graves_nb.pretrained import load_model
from graves_nb.sampling import write_samples
from graves_nb import widgets as w
model = load_model()
(sample,) = write_samples(model, ["watch it think"], bias=1, seed=3, trace=True)"""
SHOWN = dict(
    studio="x = w.Studio(text='watch it think', seed=3); x.write(wait=True); x.player.position = 180; x",
    pad="x = w.InkPad(model); x.load(sample.ink); x",
    player="x = w.StrokePlayer(sample.ink); x.position = 150; x",
    mixture="x = w.MixtureExplorer(model, sample.ink, sample.trace); x.step.value = 120; x",
    window="x = w.WindowExplorer(model, sample.ink, sample.trace); x.step.value = 180; x",
)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cells = [nbformat.v4.new_code_cell(code) for code in (START, *SHOWN.values())]
        notebook = nbformat.v4.new_notebook(cells=cells)
        notebook.metadata.kernelspec = dict(name="python3", display_name="Python 3", language="python")
        nbformat.write(notebook, folder / "widgets.ipynb")
        with lab(folder) as address:
            for scheme in ("light", "dark"):
                with page(scheme, 1100, 5000) as made:
                    run_notebook(made, address, "widgets.ipynb", dark=scheme == "dark")
                    made.wait_for_timeout(12_000)
                    for widget, output in zip(SHOWN, made.locator(".jp-OutputArea-output").all(), strict=True):
                        path = ROOT / "docs" / "images" / f"{widget}-{scheme}.png"
                        output.screenshot(path=path)
                        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
