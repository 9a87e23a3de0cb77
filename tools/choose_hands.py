"""Let a model write one sentence in many hands, and keep one of each kind that it can go on with: the package's hands.

    python tools/choose_hands.py --model unipen-synthesis --out graves_nb/styles --json docs/legibility/hands.json
    python tools/choose_hands.py --out graves_nb/styles --bias 1 --kinds joined joined-wide

A kind is a direction among the features of `graves_nb.style`, joined ones among those of joined lines. For each, the
line that goes farthest in it is tried first; of the first few, the one is kept in whose hand others are well formed, go
wrong least often, and are read with the fewest errors. With --kinds the other hands stay what they are.
"""

import argparse
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from characters import COLOURS
from legibility import SENTENCES, error_rate, made_by, read_all, recogniser
from PIL import Image

from graves_nb.hands import POINTS_PER_CHARACTER, Hand, fault_of_ink, is_joined
from graves_nb.ink import Ink
from graves_nb.model import InkModel
from graves_nb.pretrained import load_hand, load_model
from graves_nb.sampling import LineTrouble, Sample, write, write_samples
from graves_nb.style import HAND_FEATURES, SIZE_FEATURES, hand_features

SENTENCE = "the quick brown fox jumps over"  # what a hand shows of its letters
TRIALS = tuple(SENTENCES.read_text().splitlines()[::8])  # what each must be able to write; two are on the sheet
TRIAL_BIAS = 1.0  # at which it writes them
FEWEST_POINTS = 2  # for which the window looks at each letter, or it was skipped
TYPICAL = 2.5  # largest distance from the mean of any feature, in standard deviations: beyond, something went wrong
OWN_ERRORS = 0.08  # most of a line's characters that may be misread
JOINED_ERRORS = 0.7  # of a joined hand's: the recogniser misreads many of those, people fewer
JOINED_TROUBLED = 0.1  # most lines in a joined hand that may go wrong; in others none of the first few
TRIES = 16  # lines of a kind that are tried
AGAIN = 2  # how often each trial is written besides, to see how many go wrong
JOINING = 1.0  # errors a character that a stroke a letter is worth, in a joined hand
APART = 1.5  # least distance of two hands, in standard deviations
KINDS: dict[str, Mapping[str, float]] = {  # in standard deviations of the candidates' features
    "plain": {},
    "joined": {},
    "joined-slanted": {"slant": 1},
    "joined-upright": {"slant": -0.7},
    "joined-wide": {"proportion": -0.7},
    "slanted": {"slant": 1},
    "leaning-back": {"slant": -1},
    "round": {"proportion": -1, "turning": 0.5},
    "tall": {"proportion": 1},
    "spaced": {"air": 1},
}


def well_formed(
    model: InkModel,
    sample: Sample,  # with its trace
) -> bool:
    "Whether a line has an end, every letter was looked at in its turn, and its size and points are those of its text."
    if not sample.stopped or sample.trouble:
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


def candidates_of(
    rows: np.ndarray,  # (n, features), standardised
    kind: Mapping[str, float],  # one of `KINDS`; an empty one is the mean
    taken: Sequence[int],  # rows that are hands already
) -> Iterator[int]:
    "The rows that are apart from those taken: the farthest in a direction first, or the nearest to the mean."
    names = [name for name in HAND_FEATURES if name not in SIZE_FEATURES]
    direction = np.array([kind.get(name, 0.0) for name in names])
    direction /= max(np.linalg.norm(direction), 1e-9)
    along = rows @ direction
    score = along - 0.5 * np.linalg.norm(rows - np.outer(along, direction), axis=1)
    for i in np.argsort(-score, kind="stable").tolist():
        if all(np.linalg.norm(rows[i] - rows[k]) >= APART for k in taken):
            yield i


@dataclass(frozen=True)
class Trial:
    "Other texts in the hand of a line."

    samples: list[Sample]
    errors: float  # share of the characters, as the recogniser reads them
    troubled: float  # share of lines that went wrong, of these and more

    @property
    def strokes(self) -> float:
        "Strokes a letter."
        return float(np.mean([hand_features(s.ink)[list(HAND_FEATURES).index("strokes")] for s in self.samples]))


def trial(
    model: InkModel,
    prime: Ink,
    read: Callable[[bytes], str],
) -> Trial:
    "Other texts in a hand, read."
    samples = write_samples(model, TRIALS, bias=TRIAL_BIAS, prime=prime, trace=True)
    more = write_samples(model, TRIALS * AGAIN, bias=TRIAL_BIAS, seed=len(TRIALS), prime=prime)
    troubled = np.mean([s.trouble != "" for s in (*samples, *more)])
    return Trial(samples, error_rate(read_all([s.ink for s in samples], read, "reading")), float(troubled))


def cost(
    kind: str,
    tried: Trial,
) -> float:
    "What is against a hand: its errors, how often a line goes wrong, and what a joined one leaves unjoined."
    return tried.errors + tried.troubled + JOINING * tried.strokes * is_of_joined(kind)


def is_of_joined(
    kind: str,  # one of `KINDS`
) -> bool:
    return kind.startswith("joined")


def is_fine(
    model: InkModel,
    kind: str,
    tried: Trial,
) -> bool:
    "Whether a model can go on with a hand."
    if is_of_joined(kind):
        return tried.troubled <= JOINED_TROUBLED
    return all(well_formed(model, s) for s in tried.samples)


def choose(
    model: InkModel,
    inks: Sequence[Ink],  # candidates
    errors: Sequence[float],  # of each, as the recogniser reads it
    read: Callable[[bytes], str],
    kinds: Sequence[str] = tuple(KINDS),
) -> dict[str, tuple[Ink, Trial]]:  # by kind; without those that no candidate is fit for
    "A hand of each kind."
    rows, chosen, taken = standardised(inks), {}, []
    inside, tried = abs(rows).max(1) < TYPICAL, {}
    for kind in kinds:
        most = JOINED_ERRORS if is_of_joined(kind) else OWN_ERRORS
        usable = (i for i in candidates_of(rows, KINDS[kind], taken) if inside[i] and errors[i] <= most)
        tries = list(islice(usable, TRIES))
        tried |= {i: trial(model, inks[i], read) for i in tries if i not in tried}
        fine = [i for i in tries if is_fine(model, kind, tried[i])]
        if fine:
            best = min(fine, key=lambda i: (cost(kind, tried[i]), i))
            chosen[kind], taken = (inks[best], tried[best]), [*taken, best]
    return chosen


def write_candidates(
    model: InkModel,
    count: int,
    bias: float,
    seed: int,  # of the first line
    read: Callable[[bytes], str],
    joined: bool | None = None,  # whether their letters are joined; None is by chance
) -> tuple[list[Ink], list[float]]:  # lines, and the share of their characters that are misread
    "Lines that are well formed, and legible."
    samples = write_samples(model, [SENTENCE] * count, bias=bias, seed=seed, trace=True, joined=joined)
    fit = {i: s.ink for i, s in enumerate(samples) if well_formed(model, s) and (not joined or is_joined(s.ink))}
    good = [replace(ink, writer=str(seed + i)) for i, ink in fit.items()]
    errors = [error_rate([reading]) for reading in read_all(good, read, "reading")]
    legible = [i for i, rate in enumerate(errors) if rate <= JOINED_ERRORS]
    print(f"{len(good)} of {count} lines are well formed, {len(legible)} of them legible")
    return [good[i] for i in legible], [errors[i] for i in legible]


def save(
    inks: Mapping[str, Ink],  # by kind
    folder: Path,  # its older hands are removed
) -> list[Path]:
    "A file for each hand, to a thousandth of a letter's width."
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.inkml"):
        old.unlink()
    paths = [folder / f"{i:02d}-{kind}.inkml" for i, kind in enumerate(inks, 1)]
    for path, ink in zip(paths, inks.values(), strict=True):
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
    parser.add_argument("--out", type=Path, required=True, help="folder for the InkML files")
    parser.add_argument("--candidates", type=int, default=300, help="how many lines to choose from")
    parser.add_argument("--bias", type=float, default=0.5, help="of the lines to choose from")
    parser.add_argument("--seed", type=int, default=0, help="of the first line; the next take the numbers after it")
    parser.add_argument("--sheet", type=Path, help="write a picture of all hands, and of lines in them, to this file")
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="which to choose; others stay")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore", LineTrouble)  # they are counted
    model, read, found = load_model(options.model), recogniser(), {}
    for joined in (True, False):
        kinds = [kind for kind in options.kinds if is_of_joined(kind) == joined]
        if kinds:
            inks, errors = write_candidates(model, options.candidates, options.bias, options.seed, read, joined)
            found |= choose(model, inks, errors, read, kinds)
    if missing := [kind for kind in options.kinds if kind not in found]:
        raise SystemExit(f"no line is fit for {', '.join(missing)} among {options.candidates}: try more --candidates")
    hands = {kind: found[kind][0] if kind in found else load_hand(kind) for kind in KINDS}
    paths = dict(zip(KINDS, save(hands, options.out), strict=True))
    about = made_by(options.model)
    measured = json.loads(options.json.read_text())["hands"] if options.json and options.json.exists() else {}
    for kind, (ink, tried) in found.items():
        features = {name: round(float(v), 3) for name, v in zip(HAND_FEATURES, hand_features(ink), strict=True)}
        trials = dict(error_rate=tried.errors, went_wrong=tried.troubled, strokes=tried.strokes)
        trials = {name: round(value, 4) for name, value in trials.items()}
        measured[paths[kind].stem] = about | dict(seed=int(ink.writer), trials=trials, features=features)
        print(paths[kind].stem, trials)
    if options.json:
        options.json.write_text(json.dumps(dict(hands=measured), indent=1) + "\n")
    if options.sheet:
        rows = [[ink, *write(model, TRIALS[:2], bias=TRIAL_BIAS, prime=ink)] for ink in hands.values()]
        sheet(rows).quantize(COLOURS).save(options.sheet, optimize=True)


if __name__ == "__main__":
    torch.set_num_threads(1)  # the same sums in the same order everywhere
    torch.set_flush_denormal(True)
    main()
