"""Run notebooks, for the site and for the tests, two at a time; a run of the same code on the same package is kept.

python docs/execute.py NOTEBOOK ...
"""

import asyncio
import hashlib
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kernels
import nbformat
import zmq
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
PACKAGE, CACHE = ROOT / "graves_nb", ROOT / ".cache" / "docs" / "executed"
TOGETHER = 2  # kernels at a time, of one thread each
SECONDS, TRIES = 300, 3  # the most that a notebook may take, and how often it may stall
LEFT_OUT = r"#\| *(slow|eval: *false)\b"  # cells that are not run
STRICT = "import warnings\nwarnings.filterwarnings('error', module='graves_nb')"


class NotebookError(Exception):
    "A notebook did not run to its end; the message is all there is to say."


def modules_of(code: str) -> set[str]:
    "Those of the package that some code imports, and those that they import."
    found, new = set(), imported(code)
    while new := {name for name in new if (PACKAGE / f"{name}.py").exists()} - found:
        found |= new
        new = set().union(*(imported(text_of(module)) for module in new))
    return found


def imported(code: str) -> set[str]:
    several = re.findall(r"from graves_nb import ([\w, ]+)", code)
    return {*re.findall(r"(?:graves_nb|from )\.(\w+)", code), *", ".join(several).split(", ")}


def text_of(module: str) -> str:
    return (PACKAGE / f"{module}.py").read_text(encoding="utf-8")


def place_of(path: Path, notebook) -> Path:
    "Where a run of this very code, on these very modules, weights and results, is kept; prose may change without it."
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    made_of = hashlib.sha256(code.encode())
    for module in sorted(modules_of(code)):
        made_of.update(text_of(module).encode())
    for folder in ("models", "styles", "results", "kernels", "js"):
        for file in sorted((PACKAGE / folder).rglob("*.*")):
            made_of.update(file.read_bytes())
    return CACHE / f"{path.stem}-{made_of.hexdigest()[:16]}.ipynb"


class Stalled(NotebookError):
    "A notebook took too long, or its kernel died."


async def run_cells(client: NotebookClient, seconds: float) -> None:
    "Run all of them; a reply that comes while nbclient sends an Output widget's state wakes nobody, so look for it."

    async def look():
        while True:
            await asyncio.sleep(1)
            if client.kc is not None and client.kc.channels_running:
                client.kc.shell_channel.socket.get(zmq.EVENTS)  # which reads what has come

    looking = asyncio.create_task(look())
    try:
        await asyncio.wait_for(client.async_execute(), seconds)
    finally:
        looking.cancel()
        await client.km.shutdown_kernel(now=True)


class Forked(KernelSpecManager):
    "Knows one kind of kernel: those that start in a moment."

    def get_kernel_spec(self, kernel_name):
        return KernelSpec(argv=[*kernels.command(), "-f", "{connection_file}"], language="python")


async def executed(path: Path, seconds: float, slow: bool):
    "A notebook with its outputs and the state of its widgets, run in its own folder."
    notebook, started = nbformat.read(path, as_version=4), []
    resources = {"metadata": {"path": str(path.parent)}}
    for cell in notebook.cells:
        if (found := re.search(LEFT_OUT, cell.source)) and not (slow and found[1] == "slow"):
            cell.metadata.tags = ["left-out"]
    notebook.cells.insert(0, new_code_cell(STRICT))
    room = tempfile.TemporaryDirectory(prefix="graves-")  # for sockets: two kernels may choose the same port
    manager = AsyncKernelManager(
        kernel_name="python3", kernel_spec_manager=Forked(), transport="ipc", ip=f"{room.name}/kernel"
    )
    client = NotebookClient(
        notebook, km=manager, timeout=None, resources=resources, skip_cells_with_tag="left-out",
        extra_arguments=["--log-level=ERROR"],
        on_cell_start=lambda cell, cell_index: started.append(cell.source),
    )  # fmt: skip
    try:
        with room:
            await run_cells(client, seconds)
    except CellExecutionError as error:
        raise NotebookError(f"{path.name} failed in this cell:\n\n{error}") from None
    except (TimeoutError, RuntimeError) as error:  # the latter of a kernel that died
        cell = started[-1] if started else "(none yet)"
        what = f"{path.name} took longer than {seconds:g} s, or its kernel died ({error}); this cell was running"
        raise Stalled(f"{what}:\n\n{cell}") from None
    del notebook.cells[0]
    return notebook


async def run(path: Path, place: Path, seconds: float, slow: bool) -> None:
    "Run a notebook and keep it; again if it stalls."
    for left in reversed(range(TRIES)):
        try:
            notebook = await executed(path, seconds, slow)
            break
        except Stalled as error:
            if not left:
                raise
            print(f"{error}\n\nonce more ...", file=sys.stderr)
    for old in place.parent.glob(f"{path.stem}-*.ipynb"):
        old.unlink()
    half = place.with_suffix(".part")
    nbformat.write(notebook, half)
    half.replace(place)


async def run_all(places: dict[Path, Path], seconds: float, slow: bool) -> None:
    "Run notebooks, a few together, until one fails."
    room = asyncio.Semaphore(TOGETHER)
    with tqdm(total=len(places), desc="notebooks", disable=not places) as bar:

        async def in_turn(path, place):
            async with room:
                await run(path, place, seconds, slow)
            bar.update()
            bar.set_postfix_str(path.stem)

        await asyncio.gather(*(in_turn(*each) for each in places.items()))


def in_loop(work) -> None:
    "Have a coroutine done, also where a loop is running already, as in a thread that drives a browser."
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


def execute(paths: list[Path], seconds: float = SECONDS, slow: bool = False) -> dict[Path, Path]:
    "Where each notebook with its outputs is, those that changed having been run."
    CACHE.mkdir(parents=True, exist_ok=True)
    places = {path: place_of(path, nbformat.read(path, as_version=4)) for path in paths}
    os.environ |= dict(OMP_NUM_THREADS="1", PYDEVD_DISABLE_FILE_VALIDATION="1", PYTHONPATH=str(ROOT))
    left = {path: place for path, place in places.items() if slow or not place.exists()}
    in_loop(run_all(left, seconds, slow))
    return places


if __name__ == "__main__":
    execute([Path(name).resolve() for name in sys.argv[1:]])
