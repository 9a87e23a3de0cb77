"""Whose hand is a primed line in? A classifier that knows real lines of held-out writers says of primed ones.

PYTHONPATH=. python tools/writers.py --data UNIPEN --json nbs/experiments/writers.json --sheet writers.png
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from graves_nb.compose import compose_lines
from graves_nb.evaluation import digest, provenance
from graves_nb.ink import Ink
from graves_nb.model import InkModel
from graves_nb.pretrained import load_model
from graves_nb.sampling import write
from graves_nb.style import NearestWriter
from graves_nb.unipen import Unipen

TEXTS = (
    "some other words to write",
    "nobody has seen this line",
    "a hand that is not mine",
    "the weather was better then",
    "only a few of them came",
)
COMPOSED = 4  # lines of a writer who has no second one, of single words
LETTERS = 12  # lower-case ones that make a line one of words, rather than a formula, an address or capitals
LONGEST = 45  # characters of a prime


def count_letters(
    ink: Ink,
) -> int:
    "Lower-case letters of its text."
    return sum(map(str.islower, ink.text))


def choose_prime(
    lines: Sequence[Ink],  # of one writer
) -> int:
    "Which line to prime with: the one with most lower-case letters that is not too long."
    short = [i for i, ink in enumerate(lines) if len(ink.text) <= LONGEST]
    return max(short, key=lambda i: (count_letters(lines[i]), len(lines[i].text), lines[i].text, -i))


def known_lines(
    lines: Sequence[Ink],  # of one writer
    words: Sequence[Ink],  # of the same
    prime: int,  # which line is left out
) -> list[Ink]:
    "What the classifier may know of a writer: other lines, of words if possible, or lines composed of single words."
    rest = [ink for i, ink in enumerate(lines) if i != prime]
    rest = [ink for ink in rest if count_letters(ink) >= LETTERS] or rest
    return rest or (compose_lines(words, COMPOSED, 0, max_chars=30) if words else [])


def gather(
    lines: Sequence[Ink],  # of the held-out writers
    words: Sequence[Ink],
    count: int,  # writers wanted
) -> tuple[list[Ink], list[Ink]]:  # a prime of each, and the lines that they are known by
    "The writers with most lines."
    names = sorted({ink.writer for ink in lines})
    by_writer = {name: [ink for ink in lines if ink.writer == name] for name in names}
    primes, known = [], []
    for name in sorted(names, key=lambda n: (-len(by_writer[n]), n)):
        at = choose_prime(by_writer[name])
        rest = known_lines(by_writer[name], [ink for ink in words if ink.writer == name], at)
        if rest and len(primes) < count:
            primes.append(by_writer[name][at])
            known += rest
    if len(primes) < count:
        raise SystemExit(f"only {len(primes)} writers have a prime and other lines, {count} are wanted")
    return primes, known


def ranks(
    judge: NearestWriter,
    inks: Sequence[Ink],
    writers: Sequence[str],  # who was meant
) -> list[int]:  # 1 is right
    "The place of the writer meant, from the nearest on."
    found = []
    for ink, writer in zip(inks, writers, strict=True):
        distances = judge.distances(ink)
        found.append(1 + int((distances < distances[judge.writers.index(writer)]).sum()))
    return found


def summary(
    found: Sequence[int],
) -> dict:
    "How often the first place and the first three places are right."
    places = np.array(found)
    return dict(lines=len(found), first=float((places == 1).mean()), first_three=float((places <= 3).mean()))


def measure(
    model: InkModel,
    primes: Sequence[Ink],
    known: Sequence[Ink],
    bias: float,
    seed: int,
    reprime: int = 0,  # words after which the prime is read again
) -> tuple[dict, list[list[Ink]]]:  # figures, lines written with each prime
    "Real lines that were left out, primed lines, and lines without a prime, before the same judge."
    judge = NearestWriter.fit(known)
    writers = [ink.writer for ink in primes]
    primed = [
        write(model, TEXTS, bias=bias, seed=100 * i + seed, prime=prime, reprime=reprime)
        for i, prime in enumerate(primes)
    ]
    unprimed = write(model, list(TEXTS) * len(primes), bias=bias, seed=seed)
    each = [writer for writer in writers for _ in TEXTS]
    places = ranks(judge, [ink for row in primed for ink in row], each)
    of_words = np.repeat([count_letters(ink) >= LETTERS for ink in primes], len(TEXTS))
    figures = dict(
        writers=len(primes),
        chance=1 / len(primes),
        real=summary(ranks(judge, primes, writers)),
        primed=summary(places),
        primed_with_words=summary(np.array(places)[of_words]),
        unprimed=summary(ranks(judge, unprimed, each)),
        places=np.array(places).reshape(len(primes), -1).tolist(),
    )
    return figures, primed


def sheet(
    primes: Sequence[Ink],
    primed: Sequence[Sequence[Ink]],
    height: int = 70,  # pixels of a line
) -> Image.Image:
    "Each prime, and beside it what was written with it."
    rows = [
        [ink.to_image(height=height) for ink in (prime, *row[:2])] for prime, row in zip(primes, primed, strict=True)
    ]
    widths = [max(picture.width for picture in column) for column in zip(*rows, strict=True)]
    page = Image.new("RGB", (sum(widths), height * len(rows)), "white")
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            page.paste(picture, (sum(widths[:j]), i * height))
    return page


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unipen-synthesis", help="a shipped model, a model file or a run's folder")
    parser.add_argument("--data", type=Path, required=True, help="the UNIPEN folder")
    parser.add_argument("--count", type=int, default=20, help="how many writers")
    parser.add_argument("--bias", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--reprime", type=int, default=0, help="words after which the prime is read again; 0 reads it once"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--sheet", type=Path, help="write a picture of primes and lines to this file")
    options = parser.parse_args(arguments)
    model, unipen = load_model(options.model), Unipen(options.data)
    lines = [ink for ink in unipen.split("valid", "line") if len(ink) < 1500]
    words = [ink for ink in unipen.split("valid", "word") if len(ink.text) > 2]
    primes, known = gather(lines, words, options.count)
    figures, primed = measure(model, primes, known, options.bias, options.seed, options.reprime)
    command = ["python", *sys.argv]
    origin = dict(
        model=options.model,
        info=model.info,
        bias=options.bias,
        seed=options.seed,
        reprime=options.reprime,
        texts=list(TEXTS),
    )
    result = figures | origin | provenance(digest([*primes, *known]), command)
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.sheet:
        sheet(primes, primed).save(options.sheet)


if __name__ == "__main__":
    torch.set_num_threads(1)  # the same sums in the same order everywhere
    torch.set_flush_denormal(True)
    main()
