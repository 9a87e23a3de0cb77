"""Run the notebooks for the site, two at a time; what did not change keeps the outputs of its last run."""

import hashlib
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
TOGETHER = 2  # kernels at a time, of one thread each


def code_of(notebook) -> str:
    "What a notebook runs; its prose may change without it."
    return "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def place_of(path: Path, notebook, cache: Path) -> Path:
    "Where a run of this very code is kept."
    return cache / f"{path.stem}-{hashlib.sha256(code_of(notebook).encode()).hexdigest()[:16]}.ipynb"


def run(path: Path, place: Path) -> None:
    "Run a notebook in its own folder and keep it with its outputs and the state of its widgets."
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources)
    client.execute()
    for old in place.parent.glob(f"{path.stem}-*.ipynb"):
        old.unlink()
    half = place.with_suffix(".part")
    nbformat.write(notebook, half)
    half.replace(place)


def execute(paths: list[Path], cache: Path) -> dict[Path, Path]:
    "Where each notebook with its outputs is, those that changed having been run."
    cache.mkdir(parents=True, exist_ok=True)
    places = {path: place_of(path, nbformat.read(path, as_version=4), cache) for path in paths}
    left = [path for path, place in places.items() if not place.exists()]
    os.environ |= dict(OMP_NUM_THREADS="1", PYDEVD_DISABLE_FILE_VALIDATION="1", PYTHONPATH=str(ROOT))
    with (
        ProcessPoolExecutor(TOGETHER, max_tasks_per_child=1) as pool,
        tqdm(total=len(left), desc="notebooks", disable=not left) as bar,
    ):
        jobs = {path: pool.submit(run, path, places[path]) for path in left}
        for path, job in jobs.items():
            try:
                job.result()
            except Exception as error:
                pool.shutdown(cancel_futures=True)
                raise RuntimeError(f"{path.relative_to(ROOT)} does not run: {error}") from error
            bar.update()
            bar.set_postfix_str(path.stem)
    return places


if __name__ == "__main__":
    execute([Path(name).resolve() for name in sys.argv[1:]], ROOT / ".cache" / "docs" / "executed")
