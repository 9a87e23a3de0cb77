"""Do lines end as they should? Words that end in all kinds of letters, each with many seeds: how many get a stroke too many, how many are cut.

    python tools/line_ends.py --seeds 200 --sheet ends.png --json ends.json
    python tools/line_ends.py --seeds 200 --stop paper

A mark too many is a small stroke by itself after the last letter where no letter of the word lacks one; another letter is a stroke that begins to
the right of a complete letter. A letter is cut where its last stroke has no end of its own, or where its ink has less than a third of the points
that it has in the middle of a word, or lacks a dot or a bar that it has there. The judge knows where the network goes on: it writes the line
once more without any end, and does not use the rule that it judges.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from graves_nb.ink import Ink
from graves_nb.model import InkModel
from graves_nb.pretrained import load_model
from graves_nb.sampling import STOPS, Sample, write_samples

WORDS = "ocean Monday hello light fox jazz him web king idea taxi cat well. wow! 12345".split()
MARKED = "ijtfx!?:;="  # letters of two strokes, if their second stroke is often by itself
SEPARATE = ".,!?:;"
SMALL, APART = 0.45, 0.3  # of a letter's width: height and width of a dot; white between another letter and the word


def extent(stroke: np.ndarray) -> tuple[float, float, float, float]:
    "Left, top, right, bottom."
    return *stroke.min(0).tolist(), *stroke.max(0).tolist()


def judge(sample: Sample) -> str:  # "good", "mark too many", "another letter", "cut", "failed"
    "What is wrong with the end of a line."
    if sample.trouble:
        return "failed"
    word, strokes = sample.ink.text, sample.ink.strokes
    looked = sample.trace.phi.argmax(1).numpy()
    place = np.concatenate([looked[:1], looked])  # of each point, the first included
    starts = np.cumsum([0, *map(len, strokes)])
    last = len(word) - 1
    own = [i for i, a in enumerate(starts[:-1]) if (place[a : starts[i + 1]] == last).any()]
    if not own or (place == last).sum() < (2 if word[-1] in SEPARATE else 5):
        return "cut"
    if len(strokes) == 1:
        return "good"
    left, top, right, bottom = extent(strokes[-1])
    before = np.concatenate(strokes[:-1])
    wanted = sum(c in MARKED for c in word)
    small = max(right - left, bottom - top) < SMALL or len(strokes[-1]) < 6
    marks = sum(is_mark(strokes, i) for i in range(1, len(strokes)))
    if small and word[-1] not in SEPARATE and marks > wanted and left < before[:, 0].max():
        return "mark too many"
    begun = place[max(starts[-2] - 1, 0)] == last and (place[: starts[-2]] == last).sum() > 5
    if (
        begun
        and left > before[:, 0].max() + APART
        and word[-1] not in SEPARATE + MARKED
        and starts[-2] > end_of(place, last)
    ):
        return "another letter"
    return "good"


def end_of(place: np.ndarray, last: int) -> int:
    "Where the window looked at the last letter for the last time, nearly."
    return int(np.flatnonzero(place == last)[-1]) - 2


def is_mark(strokes: Sequence[np.ndarray], i: int) -> bool:
    "Whether a stroke is a dot or a bar: small, and made after something to the right of where it begins, or above it."
    left, top, right, bottom = extent(strokes[i])
    before = np.concatenate(strokes[:i])
    near = before[(before[:, 0] > left - 0.3) & (before[:, 0] < right + 0.3)]
    crosses = len(near) > 0 and bottom - top < 0.5 and left < before[:, 0].max() - 0.1
    above = len(near) > 0 and bottom < near[:, 1].min() + 0.2
    return crosses or above


def sheet(samples: Sequence[tuple[Sample, str]], columns: int = 16, cell: tuple[int, int] = (150, 84)) -> Image.Image:
    "The ends of lines, 4 letters wide, those that are not good in red."
    wide, high = cell
    page = Image.new("RGB", (columns * wide, -(-len(samples) // columns) * high), "white")
    pen = ImageDraw.Draw(page)
    for i, (sample, verdict) in enumerate(samples):
        x, y = i % columns * wide, i // columns * high
        pen.text((x + 3, y + 2), f"{sample.job.seed} {verdict if verdict != 'good' else ''}", "#b03030")
        draw_end(
            pen, sample.ink, (x + wide - 16, y + high * 0.55), high / 3.4, "#20304a" if verdict == "good" else "#c02020"
        )
    return page


def draw_end(pen: ImageDraw.ImageDraw, ink: Ink, at: tuple[float, float], scale: float, colour: str) -> None:
    "The last letters, their right edge at a place; each stroke begins with a dot, and the last one is blue."
    middle, right = (ink.bounds[1] + ink.bounds[3]) / 2, ink.bounds[2]
    for number, stroke in enumerate(ink.strokes):
        near = stroke[:, 0] > right - 4
        if near.any():
            shade = "#0060ff" if number == len(ink.strokes) - 1 else colour
            rows = [(at[0] + (x - right) * scale, at[1] + (y - middle) * scale) for x, y in stroke[near]]
            pen.line(rows, fill=shade, width=2)
            x, y = rows[0]
            pen.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=shade)


def measure(model: InkModel, words: Sequence[str], seeds: int, bias: float, stop: str) -> list[tuple[Sample, str]]:
    "All samples, judged."
    rows = []
    for word in words:
        samples = write_samples(model, [word] * seeds, bias=bias, trace=True, stop=stop)
        rows += [(sample, judge(sample)) for sample in samples]
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unipen-synthesis", help="a shipped model, a model file or a run's folder")
    parser.add_argument("--words", nargs="+", default=WORDS, help="what to write")
    parser.add_argument("--seeds", type=int, default=100, help="how often each")
    parser.add_argument("--bias", type=float, default=1.0)
    parser.add_argument("--stop", choices=STOPS, default="finish")
    parser.add_argument("--sheet", type=Path, help="write pictures of the ends to this file, a page for each word")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    rows, figures = measure(load_model(options.model), options.words, options.seeds, options.bias, options.stop), {}
    for word in options.words:
        own = [row for row in rows if row[0].job.text == word]
        figures[word] = dict(Counter(verdict for _, verdict in own))
        print(f"{word:>10}", figures[word])
        if options.sheet:
            sheet(own).save(options.sheet.with_name(f"{options.sheet.stem}-{word}{options.sheet.suffix}"))
    print("      all:", figures_of(rows))
    if options.json:
        options.json.write_text(json.dumps(dict(all=figures_of(rows), words=figures), indent=1) + "\n")


def figures_of(rows: Sequence[tuple[Sample, str]]) -> dict[str, float]:
    "Shares of the verdicts."
    return {verdict: round(n / len(rows), 4) for verdict, n in Counter(verdict for _, verdict in rows).most_common()}


if __name__ == "__main__":
    import warnings

    torch.set_num_threads(1)  # the same sums in the same order everywhere
    torch.set_flush_denormal(True)
    warnings.simplefilter("ignore")  # lines that failed are counted
    main()
