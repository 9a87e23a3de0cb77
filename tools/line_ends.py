"""Do lines end as they should? Words that end in all kinds of letters, with many seeds, and a picture of the ends.

    python tools/line_ends.py --seeds 200 --sheet ends.png --json ends.json
    python tools/line_ends.py --seeds 200 --stop paper

Judged by other means than those by which lines are ended. A mark too many: the last stroke is small, touches nothing,
and the word has no letter that would want it. Cut: the line ends in the middle of a stroke, and in most of 15 ways in
which the network would have gone on, the pen makes more than half a letter's width without leaving the letter; or the
last letter has less than 45 % of its usual points; or its full stop is missing. Failed: the line says so itself. That
another letter follows has no such sign; for that the pictures should be looked at.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from graves_nb.branching import _on_paper, points_kept, stand
from graves_nb.contracts import map_state
from graves_nb.drawing import draw_points
from graves_nb.hands import POINTS_PER_CHARACTER, ink_of
from graves_nb.ink import Ink
from graves_nb.model import InkModel
from graves_nb.pretrained import load_model
from graves_nb.sampling import STOPS, Numbers, Sample, texts_of, write_samples

WORDS = "ocean Monday hello light fox jazz him web king idea taxi cat well. wow! 12345".split()
DOTTED, BARRED, SEPARATE = "ij", "tfx5", ".,!?:;"
SMALL, TOUCHING = 0.45, 0.12  # in widths of a letter: size of a mark, how near it is to what it crosses
UNWRITTEN = 0.5  # in widths of a letter: what may be missing of the last one


def judge(model: InkModel, sample: Sample) -> str:  # "good", "mark too many", "cut", "failed"
    "What is wrong with the end of a line."
    if sample.trouble:
        return "failed"
    word, looks = sample.ink.text, sample.trace.phi.argmax(1).numpy()
    if word[-1] in SEPARATE:
        return "good" if is_dot_or_bar(sample.ink.strokes[-1]) else "cut"
    arrived = np.flatnonzero(looks == len(word) - 1)
    usual = model.info.get("points_per_char", 18.0) * ink_of(word[-1]) / POINTS_PER_CHARACTER
    if not len(arrived) or len(looks) - arrived[0] < 0.45 * usual:
        return "cut"
    lifted = model.network.head.split(sample.trace.outputs[-1:]).end_of_stroke.item()
    if lifted < 0.05 and still_to_come(model, sample) > UNWRITTEN:
        return "cut"
    return "mark too many" if has_false_mark(word, sample.ink.strokes) else "good"


@torch.no_grad()
def still_to_come(model: InkModel, sample: Sample, ways: int = 15, steps: int = 24) -> float:  # in widths of a letter
    "How far the pen would have gone on within the last letter: before it lifts, or goes to the right of all ink."
    kept = points_kept(sample, len(sample.ink), None)
    kept[-1, 2] = 0.0
    line, batch = stand(model, sample, kept)
    draws = torch.stack([Numbers(batch.network.head.draws, seed).take(steps) for seed in range(ways)]).to(batch.like)
    state = map_state(lambda tensor: tensor.repeat_interleave(ways, 0), batch.state)
    drawn = draw_points(batch.network, *state, draws, batch.bias, texts_of([line] * ways, batch.like))
    return float(np.median([within(_on_paper(model, kept[-1], rows), sample.ink.bounds[2]) for rows in drawn.points]))


def within(points: np.ndarray, right: float) -> float:
    "The length of the way that points go until the pen lifts or is right of all ink."
    ends = np.flatnonzero((points[1:, 2] == 1) | (points[1:, 0] > right + 0.05))
    way = points[: ends[0] + 2 if len(ends) else None, :2]
    return float(np.hypot(*np.diff(way, axis=0).T).sum())


def has_false_mark(word: str, strokes: Sequence[np.ndarray]) -> bool:
    "Whether the last stroke is a mark that no letter wants."
    if len(strokes) < 2 or word[-1] in SEPARATE or not is_dot_or_bar(strokes[-1]):
        return False
    before = np.concatenate(strokes[:-1])
    if gap(strokes[-1], strokes) < TOUCHING or strokes[-1][0, 0] > before[:, 0].max():
        return False
    marks = [stroke for stroke in strokes[1:] if is_dot_or_bar(stroke)]
    apart = [stroke for stroke in marks if gap(stroke, strokes) > TOUCHING]
    bars = max(0, sum(c in BARRED for c in word) - (len(marks) - len(apart)))
    return len(apart) > sum(c in DOTTED for c in word) + bars


def is_dot_or_bar(stroke: np.ndarray) -> bool:
    "Whether a stroke is small, or flat: no stem."
    wide, high = np.ptp(stroke, axis=0)
    return bool(high < 0.25 or (high < SMALL and wide > high))


def gap(stroke: np.ndarray, strokes: Sequence[np.ndarray]) -> float:
    "How far a stroke is from all others."
    others = np.concatenate([other for other in strokes if other is not stroke])
    return float(np.hypot(*(stroke[:, None] - others[None]).transpose(2, 0, 1)).min())


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
        rows += [(sample, judge(model, sample)) for sample in samples]
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
    if options.sheet and options.sheet.suffix.lower() not in Image.registered_extensions():
        parser.error(f"--sheet is the name of a picture, such as ends.png, got {options.sheet}")
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
