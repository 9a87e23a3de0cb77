"""How many lines are joined, and how well are those read? See `docs/legibility/joined.json`.

    python tools/joined.py --data UNIPEN --json docs/legibility/joined.json --sheet joined.png

The sentences of `legibility.py`, with several seeds each and without a prime: as the seed has it, joined, and printed.
A line is joined if it has fewer than 0.45 pen lifts for each character that is not a blank (`is_joined`).
"""

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from characters import COLOURS
from legibility import SENTENCES, contact_sheet, error_rate, made_by, read_all, recogniser

from graves_nb.hands import is_joined
from graves_nb.ink import Ink
from graves_nb.pretrained import load_model
from graves_nb.sampling import LineTrouble, write
from graves_nb.unipen import Unipen

BIASES = 0.0, 0.5, 1.0
WAYS = {"by chance": None, "joined": True, "printed": False}


def share(inks: Sequence[Ink]) -> float:
    "Of joined lines."
    return round(float(np.mean([is_joined(ink) for ink in inks])), 4)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unipen-synthesis", help="a shipped model, a model file or a run's folder")
    parser.add_argument("--seeds", type=int, default=4, help="how many for each sentence")
    parser.add_argument("--data", type=Path, help="a folder with UNIPEN, for the share of people's lines")
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    parser.add_argument("--sheet", type=Path, help="write a picture of joined lines to this file")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore", LineTrouble)
    model, read, sentences, found = load_model(options.model), recogniser(), SENTENCES.read_text().splitlines(), {}
    for bias in BIASES:
        found[f"bias {bias:g}"] = rows = {}
        for way, joined in WAYS.items():
            inks = write(model, sentences * options.seeds, bias=bias, seed=0, joined=joined)
            rows[way] = dict(lines=len(inks), joined=share(inks))
            if bias == 1 and joined is not None:
                readings = read_all(inks[: len(sentences)], read, way)
                rows[way] |= dict(read=len(readings), error_rate=round(error_rate(readings), 4))
            print(bias, way, rows[way], flush=True)
            if options.sheet and bias == 1 and joined:
                contact_sheet(inks[:24], readings[:24]).quantize(COLOURS).save(options.sheet, optimize=True)
    if options.data:
        found["people"] = {
            name: dict(lines=len(lines), joined=share(lines))
            for name, lines in ((name, Unipen(options.data).split(name)) for name in ("train", "valid"))
        }
        print(found["people"])
    if options.json:
        options.json.write_text(json.dumps(made_by(options.model) | found, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)  # the same sums in the same order everywhere
    torch.set_flush_denormal(True)
    main()
