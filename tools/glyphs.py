"""A judge of single characters: it learns from people, is tried on others, and then looks at a model's lines.

    python tools/glyphs.py --data DIR --json docs/legibility/glyphs.json --sheet docs/images/glyphs.png

A small network learns the isolated characters of UNIPEN's training writers. How often it is right of the held-out
writers' says what its word is worth. Then every character of printable ASCII is written in three texts with four
seeds, as in characters.py, cut out of each line where the model's window looked at it, and shown to the judge.
Characters of one shape, as `c` and `C`, count as one; where they differ by their place, as `'` and `,`, the place
is checked.
"""

import argparse
import json
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from characters import GROUPS, RETRIES, SEEDS, texts_of
from legibility import POINTS_PER_CHAR, digest_of, versions
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from graves_nb.compose import baseline_of
from graves_nb.glyphs import extent_of
from graves_nb.ink import Ink
from graves_nb.pretrained import load_model
from graves_nb.sampling import Sample, write_samples
from graves_nb.unipen import Unipen

CHARACTERS = "".join(chr(i) for i in range(33, 127))
ALIKE = ("cC", "kK", "oO0", "pP", "sS5", "uU", "vV", "wW", "xX", "zZ", "1lI|", "t+", "',", "`\\", "-_~")  # of one shape
PLACED = "',`\\-_~"  # that their place tells apart
SIDE, FULL = 32, 4  # of the picture, in pixels; how many times larger it is drawn
FAR = 0.6  # letter widths that the middle of a character may be off its usual height


def alike(c: str) -> str:
    "All characters of its shape."
    return next((group for group in ALIKE if c in group), c)


def picture_of(strokes: Sequence[np.ndarray]) -> np.ndarray:  # (SIDE, SIDE), from 0 to 1
    "Strokes in the middle of a square, as large as it allows."
    xy = np.concatenate([s[:, :2] for s in strokes])
    low, high = xy.min(0), xy.max(0)
    scale = (SIDE - 6) * FULL / max(*(high - low), 0.25)  # a dot stays small
    page = Image.new("L", (SIDE * FULL, SIDE * FULL))
    draw = ImageDraw.Draw(page)
    for stroke in strokes:
        points = (stroke[:, :2] - (low + high) / 2) * scale + SIDE * FULL / 2
        draw.line([tuple(p) for p in points], 255, 2 * FULL, "curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - FULL, y - FULL, x + FULL, y + FULL), 255)
    return np.asarray(page.reduce(FULL), np.float32) / 255


def sizes_of(strokes: Sequence[np.ndarray]) -> list[float]:
    "Width and height in letter widths, as logarithms, and how many strokes there are."
    wide, high = np.ptp(np.concatenate([s[:, :2] for s in strokes]), axis=0)
    return [float(np.log(wide + 0.1)), float(np.log(high + 0.1)), min(len(strokes), 4) - 1.0]


class Judge(nn.Module):
    "Which character it is, from its picture and its size."

    def __init__(self):
        super().__init__()
        sizes = 1, 24, 48, 96
        layers = [
            (nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
            for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        ]
        self.look = nn.Sequential(
            *(part for layer in layers for part in layer),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(96 * 16, 128),
            nn.ReLU(),
        )
        self.name = nn.Linear(128 + 3, len(CHARACTERS))

    def forward(self, pictures: Tensor, sizes: Tensor) -> Tensor:  # logits, (glyphs, characters)
        return self.name(torch.cat([self.look(pictures[:, None]), sizes], 1))


def tensors_of(pieces: Sequence[Sequence[np.ndarray]]) -> tuple[Tensor, Tensor]:
    "What the judge is shown of them."
    return torch.tensor(np.stack([picture_of(p) for p in pieces])), torch.tensor([sizes_of(p) for p in pieces])


def train(glyphs: Sequence[Ink], epochs: int, seed: int = 0) -> Judge:
    "A judge that has seen these; rare characters are shown more often."
    torch.manual_seed(seed)
    judge, chance = Judge(), torch.Generator().manual_seed(seed)
    pictures, sizes = tensors_of([g.strokes for g in glyphs])
    labels, counts = torch.tensor([CHARACTERS.index(g.text) for g in glyphs]), Counter(g.text for g in glyphs)
    shares = torch.tensor([counts[g.text] ** -0.5 for g in glyphs])
    optimiser = torch.optim.AdamW(judge.parameters(), 2e-3, weight_decay=0.01)
    updates = epochs * len(glyphs) // 128
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=updates)
    for update in range(updates):
        rows = torch.multinomial(shares, 128, generator=chance)
        seen = sizes[rows] + torch.tensor([0.1, 0.1, 0.0]) * torch.randn(128, 3, generator=chance)
        loss = nn.functional.cross_entropy(judge(pictures[rows], seen), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if update % 200 == 0:
            print(f"judge: {update} of {updates} updates, {loss.item():.3f} nats", file=sys.stderr)
    return judge.eval()


@torch.no_grad()
def names_of(judge: Judge, pieces: Sequence[Sequence[np.ndarray]]) -> list[str]:
    "What the judge takes each for."
    return [CHARACTERS[i] for i in judge(*tensors_of(pieces)).argmax(1)] if pieces else []


def runs_of(places: np.ndarray) -> list[tuple[int, int]]:
    "Where equal numbers follow each other."
    ends = [*(np.flatnonzero(np.diff(places)) + 1), len(places)]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def is_over(stroke: np.ndarray, piece: Sequence[np.ndarray]) -> bool:
    "Whether a stroke is above, below or across what is there of a character, as a dot or a bar that comes late."
    x, own = stroke[:, 0], np.concatenate(piece)[:, 0]
    return min(x.max(), own.max()) - max(x.min(), own.min()) > -0.05 and x.mean() < own.max() + 0.15


def cut(sample: Sample) -> list[list[np.ndarray]]:  # of each character of the text: strokes, or parts of them
    "A line in characters, by where the window looked while each point was drawn."
    looked = np.concatenate([[0], sample.trace.phi.argmax(1).numpy()])
    pieces, begun = [[] for _ in sample.job.text], 0
    for stroke in sample.ink.strokes:
        places = looked[begun : begun + len(stroke)]
        begun += len(stroke)
        first, most = int(places[0]), int(np.bincount(places).argmax())
        late = pieces[first] and is_over(stroke, pieces[first])
        if late or (places == most).mean() >= 0.7 or np.ptp(stroke[:, 0]) < 1:
            pieces[first if late else most].append(stroke)
            continue
        for a, b in runs_of(places):
            pieces[places[a]].append(stroke[max(a - 1, 0) : b])
    return pieces


def stands(c: str, piece: Sequence[np.ndarray], line: float) -> bool:
    "Whether it is about as high above the line as it usually is."
    y = line - np.concatenate(piece)[:, 1]
    return abs((y.max() + y.min()) / 2 - sum(extent_of(c)) / 2) < FAR


def shares_of(right: Sequence[tuple[str, bool]]) -> dict[str, float]:
    "How many of each character were right, and the mean over the characters of each group."
    each = {c: [ok for d, ok in right if d == c] for c in CHARACTERS}
    each = {c: float(np.mean(oks)) for c, oks in each.items() if oks}
    groups = {
        name: float(np.mean([each[c] for c in cs if c in each])) for name, cs in GROUPS.items() if set(cs) & set(each)
    }
    return dict(
        groups={name: round(share, 4) for name, share in groups.items()}, each={c: round(s, 4) for c, s in each.items()}
    )


def judge_model(judge: Judge, name: str, bias: float) -> tuple[list[tuple[str, bool]], dict[str, list]]:
    "Each character where it was asked for: whether it is right, and what was cut out of the line."
    model, right, seen = load_model(name), [], {c: [] for c in CHARACTERS}
    jobs = [(c, text) for c in CHARACTERS for text in texts_of(c)]
    for seed in SEEDS:
        samples = write_samples(
            model,
            [text for _, text in jobs],
            bias=bias,
            seed=1000 * seed,
            max_points_per_char=POINTS_PER_CHAR,
            retry=RETRIES,
            trace=True,
        )
        for (c, text), sample in zip(jobs, samples, strict=True):
            pieces, line = cut(sample), baseline_of(sample.ink)
            for piece in (pieces[i] for i, d in enumerate(text) if d == c):
                taken = names_of(judge, [piece])[0] if piece else ""
                ok = bool(piece) and taken in alike(c) and (c not in PLACED or stands(c, piece, line))
                right.append((c, ok))
                seen[c].append((piece, taken, ok))
    return right, seen


def sheet_of(seen: dict[str, list], shown: int = 14) -> Image.Image:
    "Each character, what was cut out as it, green where the judge agrees."
    size, rows = 46, (len(seen) + 1) // 2
    page, font = Image.new("RGB", (2 * (shown + 1) * size, rows * size), "white"), ImageFont.load_default(22)
    draw = ImageDraw.Draw(page)
    for i, (c, pieces) in enumerate(seen.items()):
        x, y = i // rows * (shown + 1) * size, i % rows * size
        draw.text((x + 14, y + 8), c, "#2c5a9f", font)
        for j, (piece, taken, ok) in enumerate(pieces[:shown]):
            at = x + (j + 1) * size, y
            if piece:
                page.paste(Image.fromarray((255 - 255 * picture_of(piece)).astype(np.uint8)), (at[0] + 4, at[1] + 4))
            draw.text((at[0] + 36, at[1] + 30), taken, "#2a7d3f" if ok else "#b3261e", ImageFont.load_default(12))
    return page


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unipen-synthesis", help="a shipped model, a model file or a run's folder")
    parser.add_argument("--data", type=Path, required=True, help="folder of UNIPEN")
    parser.add_argument("--bias", type=float, default=1.0)
    parser.add_argument("--epochs", type=int, default=4, help="of the judge's training")
    parser.add_argument("--judge", type=Path, help="keep the judge in this file, or take it from there")
    parser.add_argument("--json", type=Path, help="write the shares to this file")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet to this .png")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the same sums in the same order everywhere
    collection = Unipen(options.data)
    single = {split: [g for g in collection.characters(split) if g.text in CHARACTERS] for split in ("train", "valid")}
    judge = Judge().eval()
    if options.judge and options.judge.is_file():
        judge.load_state_dict(torch.load(options.judge, weights_only=True))
    else:
        judge = train(single["train"], options.epochs)
        if options.judge:
            torch.save(judge.state_dict(), options.judge)
    taken = names_of(judge, [g.strokes for g in single["valid"]])
    people = shares_of([(g.text, name in alike(g.text)) for g, name in zip(single["valid"], taken, strict=True)])
    right, seen = judge_model(judge, options.model, options.bias)
    model = shares_of(right)
    print(
        "people, held-out",
        people["groups"],
        "model",
        model["groups"],
        {c: s for c, s in model["each"].items() if s < 0.75},
        sep="\n",
    )
    if options.sheet:
        sheet_of(seen).quantize(16).save(options.sheet, optimize=True)
    if options.json:
        about = dict(
            command=shlex.join(sys.argv), versions=versions(), sha256=digest_of(options.model), bias=options.bias
        )
        about |= dict(glyphs={split: len(glyphs) for split, glyphs in single.items()}, people=people, model=model)
        options.json.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
