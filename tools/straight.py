"""Do long lines read better when they are made level, and from which length on? See `docs/legibility/straight.json`.

    python tools/straight.py --data DIR --json docs/legibility/straight.json

Lines of six lengths are written once and read twice, as they were drawn and as `write` hands them over when it is asked
for straight ones; the longest with two seeds. Slope and growth are those of the lines as drawn, beside people's.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from legibility import SENTENCES, digest_of, error_rate, interval, read_all, recogniser, versions

from graves_nb.hands import growth_of, slope_of, straighten
from graves_nb.ink import Ink, measurable
from graves_nb.pretrained import load_model
from graves_nb.sampling import straightened, write_samples
from graves_nb.unipen import Unipen

LENGTHS = ((10, 16), (20, 26), (28, 34), (36, 42), (44, 50), (60, 80))  # characters
SEEDS = (0, 1000)


def texts_of(low: int, high: int, count: int) -> list[str]:
    "Lines of a length, of the sentences' words one after the other."
    words, lines, row = SENTENCES.read_text().split(), [], []
    while len(lines) < count:
        row.append(words[0])
        words = words[1:] + words[:1]
        if len(" ".join(row)) >= low:
            lines += [" ".join(row)] * (len(" ".join(row)) <= high)
            row = []
    return lines


def shape(inks: Sequence[Ink]) -> dict:
    "How lines run and grow."
    slopes = [slope_of(measurable(ink)) for ink in inks]
    growth = [growth_of(measurable(straighten(ink))) for ink in inks]
    figures = dict(slope=np.mean(slopes), slope_abs=np.mean(np.abs(slopes)), growth=np.mean(growth))
    return {k: round(float(v), 4) for k, v in (figures | dict(growth_deviation=np.std(growth))).items()}


def read_rates(inks: Sequence[Ink], read) -> dict:
    "How well they are read."
    readings = read_all(inks, read, "reading")
    return dict(error_rate=round(error_rate(readings), 4), interval=[round(v, 4) for v in interval(readings)])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unipen-synthesis")
    parser.add_argument("--data", type=Path, help="folder of UNIPEN, for people's slopes")
    parser.add_argument("--bias", type=float, default=1.0)
    parser.add_argument("--count", type=int, default=32, help="lines of each length")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    model, read, rows = load_model(options.model), recogniser(), []
    people = [ink for ink in Unipen(options.data).split("valid", level="line")] if options.data else []
    for low, high in LENGTHS:
        for seed in SEEDS:
            texts = texts_of(low, high, options.count)
            drawn = [sample.ink for sample in write_samples(model, texts, options.bias, seed)]
            whole = [replace(ink, strokes=straightened(ink, True).strokes) for ink in drawn]
            row = dict(characters=[low, high], lines=len(texts), seed=seed, shape=shape(drawn))
            rows.append(row | dict(as_drawn=read_rates(drawn, read), straight=read_rates(whole, read)))
        similar = [ink for ink in people if low <= len(ink.text) <= high]
        rows[-1] |= dict(people=dict(lines=len(similar)) | shape(similar)) if similar else {}
        for row in rows[-len(SEEDS) :]:
            print(row["characters"], row["seed"], row["as_drawn"]["error_rate"], row["straight"]["error_rate"])
    if options.json:
        about = dict(command=shlex.join(["python", "tools/straight.py", *sys.argv[1:]]), versions=versions())
        about |= dict(model=options.model, sha256=digest_of(options.model), bias=options.bias)
        options.json.write_text(json.dumps(about | dict(rows=rows), indent=1) + "\n")


if __name__ == "__main__":
    main()
