"""At how many lines does the window stand still, and at how many of people's? See `docs/legibility/still.json`.

    python tools/stood_still.py --data UNIPEN --json docs/legibility/still.json

The sentences of `legibility.py`, printed, joined, and in each shipped hand; as they are drawn at first, and as `write`
draws those that went wrong again. People's lines are read with their texts, and are counted in the same way.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from legibility import SENTENCES, made_by

from graves_nb.endings import Line
from graves_nb.faults import LONGEST_BLANK, stood_still
from graves_nb.ink import Ink
from graves_nb.model import InkModel
from graves_nb.pretrained import list_hands, load_hand, load_model
from graves_nb.sampling import Job, Settings, prepare_line, stream, trace_ink
from graves_nb.unipen import Unipen
from graves_nb.window import looked_at

BIASES = 0.5, 1.0
RETRIES = 2  # as `write` has it


def line_of(
    model: InkModel,
    ink: Ink,  # of the model's size and pace, with its text
) -> Line:
    "A line of people's as if it had been written."
    line = prepare_line(model, Job(ink.text), Settings(fold=False))
    places = looked_at(trace_ink(model, ink).phi)
    line.looks = torch.bincount(torch.where(places < 0, len(ink.text), places), minlength=len(line.looks)).tolist()
    return line


def of_people(
    model: InkModel,
    inks: Sequence[Ink],
) -> dict:
    "How many of people's lines seem to stand still, and how long their longest blanks are."
    lines = [line_of(model, ink) for ink in inks if ink.text and not model.alphabet.unknown(ink.text)]
    blanks = [[n for n, c in zip(line.looks, line.job.text, strict=False) if c == " "] for line in lines]
    longest = np.array([max(own) for own in blanks if own])
    return dict(
        lines=len(lines),
        stood_still=sum(stood_still(line) != "" for line in lines),
        longest_blank_median=float(np.median(longest)),
        longest_blank_beyond=int((longest > LONGEST_BLANK).sum()),
    )


def of_written(
    model: InkModel,
    texts: Sequence[str],
    hand: str | None,
    joined: bool | None,
    bias: float,
) -> dict:
    "How many lines stand still as they are drawn at first, and in the end."
    prime = None if hand is None else load_hand(hand)
    found = {}
    for name, retry in (("first", 0), ("in the end", RETRIES)):
        jobs = [Job(text, seed, prime, joined=joined) for seed, text in enumerate(texts)]
        found[name] = sum("stood still" in s.trouble for s in stream(model, jobs, bias=bias, retry=retry))
    return dict(lines=len(texts)) | found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unipen-synthesis", help="a shipped model, a model file or a run's folder")
    parser.add_argument("--data", type=Path, help="a folder with UNIPEN, for people's lines")
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    options = parser.parse_args(arguments)
    model, texts, found = load_model(options.model), SENTENCES.read_text().splitlines(), {}
    ways = {"printed": (None, False), "joined": (None, True)} | {f"hand {name}": (name, None) for name in list_hands()}
    for bias in BIASES:
        found[f"bias {bias:g}"] = rows = {}
        for way, (hand, joined) in ways.items():
            rows[way] = of_written(model, texts, hand, joined, bias)
            print(bias, way, rows[way], flush=True)
    if options.data:
        found["people"] = of_people(model, Unipen(options.data).split("valid"))
        print(found["people"])
    if options.json:
        options.json.write_text(json.dumps(made_by(options.model) | found, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)  # the same sums in the same order everywhere
    torch.set_flush_denormal(True)
    main()
