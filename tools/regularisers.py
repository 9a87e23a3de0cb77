"""Weight noise against none on held-out writers: the same start, the same points, several seeds.

    python tools/regularisers.py --data unipen --json nbs/experiments/adaptive_noise.json

A small network learns few lines of UNIPEN for a while; from its best weights each way goes on for as many points. Each
run is judged by its best weights (as it would be used: the lowest validation loss, with adaptive noise the shortest
description) and by its last ones, on all held-out lines. Runs lie in --out and go on where they were broken off.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from legibility import versions

from graves_nb.pretrained import load_model
from graves_nb.recipes import configure, find_recipe, prepare, scored
from graves_nb.settings import Recipe
from graves_nb.training import CHECKPOINT, LOG

COMMON = dict(
    hidden_size=64,
    max_lines=200,
    batch_size=8,
    learning_rate=0.01,
    adam_learning_rate=0.002,
    decay_fraction=0.5,
    vary=0,
)
START = dict(points=500_000, validate_points=100_000)
WAYS = {  # what differs from the start
    "none": dict(),
    "adaptive": dict(noise="adaptive", noise_estimate="signed", std_learning_rate=0.02),
}


def settings_of(changes: dict) -> dict[str, str]:
    "As from `--set`."
    return {name: str(value) for name, value in changes.items()}


def recipe_of(seed: int, changes: dict) -> Recipe:
    "Three small layers on few lines."
    return configure(find_recipe("prediction-3x400-fast"), settings_of(COMMON | dict(seed=seed) | changes))


def curve_of(folder: Path) -> list[list[float]]:
    "Points seen and the loss on held-out lines, from a run's log."
    entries = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return [[e["points"], round(e["valid_nats_per_point"], 4)] for e in entries if "valid_nats_per_point" in e]


def figures_of(model, recipe: Recipe, data: Path) -> dict:
    "The loss on all held-out lines."
    figures, digest = scored(model, recipe.data.open(data, recipe.alphabet), "valid")
    return {k: figures[k] for k in ("nats_per_point", "sse", "lines", "points")} | dict(digest=digest)


def trained(recipe: Recipe, data: Path, folder: Path) -> dict:
    "A run, made or taken from its folder: by its best weights, by its last, and its curve."
    if not (folder / "judged.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        prepare(recipe, data, folder, lambda entry: None, (folder / CHECKPOINT).is_file()).fit()
        best, last = load_model(folder), load_model(folder / "model.safetensors")
        told = dict(
            best=figures_of(best, recipe, data), last=figures_of(last, recipe, data), points=last.info["points"]
        )
        (folder / "judged.json").write_text(json.dumps(told | dict(curve=curve_of(folder))))
    return json.loads((folder / "judged.json").read_text())


def runs_of(seed: int, options: argparse.Namespace) -> Iterator[tuple[str, dict]]:
    "The start, and each way that goes on from it."
    start = options.out / f"start-{seed}"
    yield "start", trained(recipe_of(seed, START), options.data, start)
    rest = dict(points=options.points, validate_points=options.points // 12, init_from=start)
    for name, changes in WAYS.items():
        yield name, trained(recipe_of(seed, rest | changes), options.data, options.out / f"{name}-{seed}")


def main(arguments: Sequence[str] | None = None) -> None:
    "Train, judge, print, save."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of UNIPEN")
    parser.add_argument("--out", type=Path, default=Path("runs/regularisers"), help="folder of the runs")
    parser.add_argument("--points", type=int, default=6_000_000, help="of each way")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    seeds = {}
    for seed in range(options.seeds):
        seeds[seed] = dict(runs_of(seed, options))
        told = {
            f"{name} {of}": round(run[of]["nats_per_point"], 3)
            for name, run in seeds[seed].items()
            for of in ("best", "last")
        }
        print(seed, told, flush=True)
    if options.json:
        about = dict(command=shlex.join(sys.argv), versions=versions(), settings=COMMON, start=START, ways=WAYS)
        options.json.write_text(json.dumps(about | dict(seeds=list(seeds.values())), indent=1) + "\n")


if __name__ == "__main__":
    main()
