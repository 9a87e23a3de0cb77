"""Long commands, killed at any moment and begun again: what they leave at the end is what one unbroken run leaves.

PYTHONPATH=. python tests/kills.py --kills 100
"""

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from test_unipen import TEXTS, Archive, loops

from graves_nb.corpus import ALL_BYTES
from graves_nb.ink import Ink
from graves_nb.model import TextModel
from graves_nb.prediction import PredictionConfig, PredictionNetwork


class Command(NamedTuple):
    "A command of the shell, and what it leaves."

    prepare: Callable[[Path], None]  # puts what it reads into a folder
    arguments: Callable[[Path], list[str]]  # for that folder, at the first start and after a kill
    results: Callable[[Path], dict]  # what counts of what is there at the end
    refuses: bool = False  # to begin where its output is there; then a kill came too late, and the work is done


# ---------------------------------------------------------------- commands
def own_ink(folder: Path) -> None:
    "A folder of ink to train on."
    (folder / "ink").mkdir()
    for i, text in enumerate(("a day", "in May", "it will", "not do", "never", "again")):
        Ink.from_strokes([s * (1, -1) for s in loops(text)], text, "w").save(folder / "ink" / f"{i}.inkml")


def text_of_letters(folder: Path) -> None:
    (folder / "ink").mkdir()
    (folder / "ink" / "a.txt").write_text("".join(Random(0).choices("abc de", k=4_000)))


def train(recipe: str, **settings) -> Callable[[Path], list[str]]:
    "A small run of a recipe, with a validation and a checkpoint as often as can be."
    settings = dict(hidden_size=8, n_layers=1, points=3_000, batch_size=2, checkpoint_minutes=1e-4) | settings
    settings |= dict(validate_points=1_000, log_updates=1, precision="fp32")

    def arguments(folder: Path) -> list[str]:
        data = folder / "ink" / "a.txt" if recipe.startswith("text") else folder / "ink"
        changes = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        resume = ["--resume"] if (folder / "run" / "checkpoint.pt").exists() else []
        return ["train", recipe, "--data", str(data), "--out", f"{folder}/run", *changes, *resume]

    return arguments


def trained(folder: Path) -> dict:
    "All weights that are left, and every figure of the log but those of the clock."
    entries = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    clock = ("minutes", "points_per_second", "symbols_per_second", "minutes_left")
    kept = [{k: v for k, v in entry.items() if k not in clock} for entry in entries]
    weights = {path.name: load_file(path) for path in (folder / "run").glob("*.safetensors")}
    assert {"model.safetensors", "best.safetensors"} <= set(weights), weights.keys()
    return {(file, name): w.numpy().tobytes() for file, all_ in weights.items() for name, w in all_.items()} | dict(
        log=kept
    )


def lines_of_text(folder: Path) -> None:
    (folder / "lines.txt").write_text("one\ntwo\nthree\n\nfour\n")


def write(folder: Path) -> list[str]:
    return ["write", "--from", f"{folder}/lines.txt", "-o", f"{folder}/out", "--count", "2", "--seed", "3"]


def bytes_model(folder: Path) -> Path:
    "A small model of all bytes."
    torch.manual_seed(0)
    model = TextModel(PredictionNetwork(PredictionConfig(256, 8, n_layers=1, head="softmax")), ALL_BYTES)
    return model.save(folder / "m.safetensors")


def text_to_compress(folder: Path) -> None:
    bytes_model(folder)
    (folder / "a.txt").write_bytes(b"some text, " * 60)


def compress(folder: Path) -> list[str]:
    return ["compress", f"{folder}/a.txt", "-o", f"{folder}/out", "--model", f"{folder}/m.safetensors"]


def text_to_decompress(folder: Path) -> None:
    from graves_nb.compression import compress as pack
    from graves_nb.model import Model

    (folder / "a.graves").write_bytes(pack(b"some text, " * 60, Model.load(bytes_model(folder))))


def decompress(folder: Path) -> list[str]:
    return ["decompress", f"{folder}/a.graves", "-o", f"{folder}/out", "--model", f"{folder}/m.safetensors"]


def archive(folder: Path) -> None:
    Archive(folder / "unipen").page("ann", [[(t, loops(t))] for t in TEXTS] * 8)


def data(folder: Path) -> list[str]:
    os.environ["GRAVES_CACHE"] = str(folder / "out")
    return ["data", str(folder / "unipen")]


def written(folder: Path) -> dict:
    "The files that are to stay, whole."
    out = folder / "out"
    files = [out] if out.is_file() else sorted(p for p in out.rglob("*") if p.is_file() and not p.name.startswith("."))
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def cached(folder: Path) -> dict:
    "The arrays of the cache."
    (path,) = (folder / "out").glob("unipen-*.npz")
    with np.load(path) as saved:
        return {name: array.tobytes() for name, array in saved.items()}


COMMANDS = {
    "train prediction": Command(own_ink, train("prediction-1x900", n_mixtures=2), trained),
    "train synthesis": Command(
        own_ink, train("synthesis-fast", n_mixtures=2, n_window=2, average=0.9, vary=0.1), trained
    ),
    "train adaptive": Command(own_ink, train("prediction-3x400-adaptive", n_mixtures=2, patience=2), trained),
    "train text": Command(text_of_letters, train("text-char", average=0.9), trained),
    "write --from": Command(lines_of_text, write, written),
    "compress": Command(text_to_compress, compress, written, refuses=True),
    "decompress": Command(text_to_decompress, decompress, written, refuses=True),
    "data": Command(archive, data, cached),
}


# ---------------------------------------------------------------- killing
def child(arguments: list[str]) -> None:
    "Run a command, silently."
    from graves_nb.cli import app

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "prediction-3x400-adaptive is to go on from a run of")  # here it begins by itself
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        app(arguments, prog_name="graves", standalone_mode=False)


def start(command: Command, folder: Path, seconds: float | None = None) -> bool:
    "Run a command; whether its work was done before it was killed, after so many seconds. A fork spares the imports."
    process = get_context("fork").Process(target=child, args=(command.arguments(folder),))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        return command.refuses and (folder / "out").exists()
    assert process.exitcode == 0, f"{command.arguments(folder)} ended with {process.exitcode}"
    return True


def fresh(command: Command, top: Path, name: str) -> Path:
    "A folder with what the command reads."
    folder = top / name
    folder.mkdir()
    command.prepare(folder)
    return folder


def kill_often(name: str, kills: int, seed: int = 0) -> int:
    "Kill a command so often, in as many runs as that takes; how many runs. Each run ends as the unbroken one does."
    command, chance, done, runs = COMMANDS[name], Random(f"{seed} {name}"), 0, 0
    with tempfile.TemporaryDirectory() as top:
        whole = fresh(command, Path(top), "whole")
        begun = time.monotonic()
        start(command, whole)
        usual, expected = time.monotonic() - begun, command.results(whole)
        while done < kills:
            folder, runs, ended = fresh(command, Path(top), f"run{runs}"), runs + 1, False
            while not ended:
                ended = start(command, folder, chance.uniform(0, usual) if done < kills else None)
                done += not ended
            assert command.results(folder) == expected, f"{name}: run {runs} of seed {seed} differs"
    return runs


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of all commands together")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--command", action="append", choices=sorted(COMMANDS), help="only these")
    given = parser.parse_args(arguments)
    names = given.command or list(COMMANDS)
    for name in names:
        kills = -(-given.kills // len(names))
        begun = time.monotonic()
        runs = kill_often(name, kills, given.seed)
        print(f"{name}: {kills} kills in {runs} runs, all as unbroken, {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
