"""Let a model write one sentence in many hands, and keep those that differ most: the styles of the package.

PYTHONPATH=. python tools/choose_hands.py --model unipen-synthesis --count 8 --out graves_nb/styles --sheet styles.png
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from graves_nb.hands import POINTS_PER_CHARACTER, Hand, fault_of_ink
from graves_nb.ink import Ink
from graves_nb.model import InkModel
from graves_nb.pretrained import load_model
from graves_nb.sampling import Sample, write_samples
from graves_nb.style import HAND_FEATURES, SIZE_FEATURES, hand_features

SENTENCE = "the quick brown fox jumps over"  # what a style shows of its letters
TRIALS = ("written in the same hand", "another line of it")  # what each must be able to write, and the sheet shows
FEWEST_POINTS = 2  # for which the window looks at each letter, or it was skipped
TYPICAL = 2.5  # largest distance from the mean of any feature, in standard deviations: beyond, something went wrong


def well_formed(
    model: InkModel,
    sample: Sample,  # with its trace
) -> bool:
    "Whether a line has an end, every letter was looked at in its turn, and its size and points are those of its text."
    if not sample.stopped:
        return False
    own = sample.trace.phi[:, -len(sample.ink.text) :]  # without the text of a prime
    looks = torch.bincount(own.argmax(1), minlength=own.shape[1])
    seen = all(n >= FEWEST_POINTS for n, c in zip(looks.tolist(), sample.ink.text, strict=True) if c != " ")
    pace = model.info.get("points_per_char", 18.0) / POINTS_PER_CHARACTER
    return seen and not fault_of_ink(sample.ink, Hand(1.0, pace))


def standardised(
    inks: Sequence[Ink],
) -> np.ndarray:  # (inks, features)
    "Features in standard deviations from their mean; those of size are left out, since a prime has none."
    use = [name not in SIZE_FEATURES for name in HAND_FEATURES]
    rows = np.array([hand_features(ink) for ink in inks])[:, use]
    return (rows - rows.mean(0)) / rows.std(0).clip(1e-9)


def farthest_first(
    rows: np.ndarray,  # (n, features)
    usable: Callable[[int], bool],  # asked once about each row whose turn it is
) -> Iterator[int]:
    "The row nearest to the mean, then ever the one that is farthest from all before."
    distance, left = -np.linalg.norm(rows - rows.mean(0), axis=1), set(range(len(rows)))
    while left:
        best = max(left, key=lambda i: (distance[i], -i))
        left.remove(best)
        if not usable(best):
            continue
        yield best
        here = np.linalg.norm(rows - rows[best], axis=1)
        distance = here if distance.max() <= 0 else np.minimum(distance, here)


def trial(
    model: InkModel,
    prime: Ink,
    bias: float,
) -> list[Sample]:
    "Other texts in the hand of a style."
    return write_samples(model, TRIALS, bias=bias, prime=prime, trace=True)


def choose(
    model: InkModel,
    count: int,  # styles wanted
    candidates: int,  # lines to choose from
    bias: float,
    seed: int,  # of the first line
) -> list[tuple[int, Ink]]:  # seeds and lines
    "Lines that differ most, of those that are well formed and that the model can go on with."
    samples = write_samples(model, [SENTENCE] * candidates, bias=bias, seed=seed, trace=True)
    good = [(seed + i, sample.ink) for i, sample in enumerate(samples) if well_formed(model, sample)]
    print(f"{len(good)} of {candidates} lines are well formed")
    if not good:
        return []
    rows = standardised([ink for _, ink in good])
    typical = abs(rows).max(1) < TYPICAL
    good = [pair for pair, fine in zip(good, typical, strict=True) if fine]

    def usable(i: int) -> bool:
        return all(well_formed(model, sample) for sample in trial(model, good[i][1], bias))

    chosen = farthest_first(rows[typical], usable)
    return [good[i] for _, i in zip(range(count), chosen, strict=False)]


def save(
    inks: Sequence[Ink],
    folder: Path,  # its older styles are removed
) -> list[Path]:
    "A file for each style, to a thousandth of a letter's width."
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("style-*.inkml"):
        old.unlink()
    paths = [folder / f"style-{i:02d}.inkml" for i in range(1, len(inks) + 1)]
    for path, ink in zip(paths, inks, strict=True):
        replace(ink, strokes=tuple(s.round(3) for s in ink.strokes), writer=path.stem).save(path)
    return paths


def sheet(
    rows: Sequence[Sequence[Ink]],  # a style, and what was written in it
    height: int = 90,  # pixels of a line
) -> Image.Image:
    "A row for each style."
    pictures = [[ink.to_image(height=height) for ink in row] for row in rows]
    widths = [max(picture.width for picture in column) for column in zip(*pictures, strict=True)]
    page = Image.new("RGB", (sum(widths), height * len(rows)), "white")
    for i, row in enumerate(pictures):
        for j, picture in enumerate(row):
            page.paste(picture, (sum(widths[:j]), i * height))
    return page


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unipen-synthesis", help="a shipped model, a model file or a run's folder")
    parser.add_argument("--count", type=int, default=8, help="how many styles")
    parser.add_argument("--out", type=Path, required=True, help="folder for the InkML files")
    parser.add_argument("--candidates", type=int, default=64, help="how many lines to choose from")
    parser.add_argument("--bias", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0, help="of the first line; the next take the numbers after it")
    parser.add_argument("--sheet", type=Path, help="write a picture of all styles, and of lines in them, to this file")
    options = parser.parse_args(arguments)
    model = load_model(options.model)
    chosen = choose(model, options.count, options.candidates, options.bias, options.seed)
    if len(chosen) < options.count:
        raise SystemExit(f"only {len(chosen)} usable styles among {options.candidates} lines: try more --candidates")
    paths = save([ink for _, ink in chosen], options.out)
    for (seed, ink), path in zip(chosen, paths, strict=True):
        values = zip(HAND_FEATURES, hand_features(ink), strict=True)
        print(path, f"seed {seed}", ", ".join(f"{name} {value:.2f}" for name, value in values))
    if options.sheet:
        inks = [Ink.load(path) for path in paths]
        sheet([[ink, *(s.ink for s in trial(model, ink, options.bias))] for ink in inks]).save(options.sheet)


if __name__ == "__main__":
    torch.set_num_threads(1)  # the same sums in the same order everywhere
    torch.set_flush_denormal(True)
    main()
