"""Can a machine read what a model writes as well as it reads people? Character error rates of both, by the same road.

    python tools/legibility.py --model unipen-synthesis --data DIR --json legibility.json --sheet contact.png

`make test` installs the recogniser. It is no requirement of the package, since its own opencv-python wants a display:

    pip install ".[onnx,ocr]"
    pip install --no-deps rapidocr-onnxruntime
"""

import argparse
import hashlib
import io
import json
import platform
import random
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from graves_nb import __version__
from graves_nb.ink import Ink
from graves_nb.pretrained import MODELS, list_models, load_model
from graves_nb.sampling import Sample, write_samples
from graves_nb.unipen import Unipen

SENTENCES = Path(__file__).with_name("sentences.txt")
HEIGHT = 64  # pixels of a line with its margins; the recogniser scales every line to 48
PEN = 0.07  # width of the stroke as a share of the height; with HEIGHT among the best read, tried on training lines
SHORTEST, LONGEST = 15, 35  # characters of a sentence, and of a line by a person where there are enough
MOST_POINTS = 700  # of a line by a person
POINTS_PER_CHAR = 60  # a sample should stop by itself before this
PACKAGES = ("torch", "numpy", "pillow", "rapidocr-onnxruntime", "onnxruntime", "opencv-python-headless")


@dataclass(frozen=True)
class Reading:
    "A line, and what the recogniser took it for."

    text: str  # what is written
    read: str  # what was read
    edits: int  # between the two, case and spaces ignored


def letters(text: str) -> str:
    "The characters that count: lower case, no spaces."
    return "".join(text.lower().split())


def edit_distance(a: str, b: str) -> int:
    "Fewest insertions, deletions and substitutions that turn `a` into `b`."
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def compare(text: str, read: str) -> Reading:
    "A reading with its edits counted."
    return Reading(text, read, edit_distance(letters(read), letters(text)))


def error_rate(readings: Sequence[Reading]) -> float:
    "Edits of all lines over characters of all lines."
    return sum(r.edits for r in readings) / sum(len(letters(r.text)) for r in readings)


def interval(
    readings: Sequence[Reading],
    draws: int = 1000,  # bootstrap samples of the lines
) -> tuple[float, float]:  # 2.5% and 97.5%
    "How far the error rate would move with other lines; too narrow where a few writers wrote most of them."
    generator = random.Random(0)
    rates = sorted(error_rate(generator.choices(readings, k=len(readings))) for _ in range(draws))
    return rates[round(0.025 * (draws - 1))], rates[round(0.975 * (draws - 1))]


def read_sentences(
    count: int,  # how many of the file's
) -> list[str]:
    "The first sentences of the file beside this one."
    sentences = SENTENCES.read_text().splitlines()
    if not 0 < count <= len(sentences):
        raise SystemExit(f"--sentences should be 1 to {len(sentences)}, not {count}")
    return sentences[:count]


def choose_lines(
    inks: Iterable[Ink],  # by writers the model has not seen
    count: int,
) -> list[Ink]:
    "Lines of a sentence's length, then the nearest in length; always the same ones."

    def order(ink: Ink) -> tuple[int, str]:
        n = len(ink.text)
        label = f"{ink.writer}/{ink.text}/{len(ink)}"
        return max(SHORTEST - n, n - LONGEST, 0), hashlib.sha256(label.encode()).hexdigest()

    return sorted((ink for ink in inks if len(ink) <= MOST_POINTS), key=order)[:count]


def render(ink: Ink) -> bytes:  # of a PNG file
    "The picture that is read, the same for a person's ink and a model's."
    file = io.BytesIO()
    ink.to_image(height=HEIGHT, pen=PEN * HEIGHT).save(file, "PNG")
    return file.getvalue()


def recogniser() -> Callable[[bytes], str]:
    "Reads the PNG of a single line, as a whole: recognition without detection, on one thread."
    try:
        import cv2
        from rapidocr_onnxruntime import RapidOCR
    except ImportError as error:
        raise SystemExit(f"the recogniser is not installed ({error}); see the top of {Path(__file__).name}") from error
    cv2.setNumThreads(1)
    engine = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)

    def read(png: bytes) -> str:
        lines, _ = engine(png, use_det=False, use_cls=False, use_rec=True)
        return lines[0][0] if lines else ""

    return read


def read_all(
    inks: Sequence[Ink],
    read: Callable[[bytes], str],
    name: str,  # for the progress bar
) -> list[Reading]:
    "Every line rendered, read and compared."
    return [compare(ink.text, read(render(ink))) for ink in tqdm(inks, name, disable=None)]


def contact_sheet(
    inks: Sequence[Ink],
    readings: Sequence[Reading],
    columns: int = 5,
    cell: tuple[int, int] = (440, 104),  # width and height in pixels
) -> Image.Image:
    "All lines on one page, each with its text and below it what was read."
    wide, high = cell
    rows = -(-len(inks) // columns)
    sheet, font = Image.new("RGB", (columns * wide, rows * high), "white"), ImageFont.load_default(14)
    draw = ImageDraw.Draw(sheet)
    for i, (ink, reading) in enumerate(zip(inks, readings, strict=True)):
        x, y = i % columns * wide + 8, i // columns * high + 4
        picture = Image.open(io.BytesIO(render(ink)))
        picture.thumbnail((wide - 16, high - 44))
        sheet.paste(picture, (x, y))
        draw.text((x, y + high - 42), f"{i + 1}  {reading.text}", "#1b1f3b", font)
        read = reading.read.encode("ascii", "replace").decode()
        draw.text((x, y + high - 24), f"{reading.edits}  {read}", "#b03030" if reading.edits else "#2c7a3f", font)
    return sheet


def summary(readings: Sequence[Reading]) -> dict:
    "The figures of some lines, and each line."
    low, high = interval(readings)
    return {
        "lines": len(readings),
        "characters": sum(len(letters(r.text)) for r in readings),
        "error_rate": round(error_rate(readings), 4),
        "interval": [round(low, 4), round(high, 4)],
        "read_without_error": sum(r.edits == 0 for r in readings),
        "readings": [asdict(r) for r in readings],
    }


def describe(name: str, result: dict) -> str:
    "A line for a person."
    low, high = result["interval"]
    return (
        f"{name}: character error rate {result['error_rate']:.3f} (95% {low:.3f} to {high:.3f}), "
        f"{result['read_without_error']} of {result['lines']} lines without an error"
    )


def measure_people(data: Path, count: int, read: Callable[[bytes], str]) -> dict:
    "How well lines by held-out writers are read."
    lines = choose_lines(Unipen(data).split("valid", level="line"), count)
    if not lines:
        raise SystemExit(f"{data} has no lines by held-out writers of at most {MOST_POINTS} points")
    result = summary(read_all(lines, read, "people"))
    lengths = [len(ink.text) for ink in lines]
    in_range = sum(SHORTEST <= n <= LONGEST for n in lengths)
    writers = len({ink.writer for ink in lines})
    print(describe(f"{len(lines)} lines by {writers} people", result))
    extent = {"writers": writers, "of_sentence_length": in_range, "shortest": min(lengths), "longest": max(lengths)}
    return extent | result


def sample_all(model: str, sentences: Sequence[str], bias: float, seed: int) -> tuple[list[Sample], float]:
    "The samples and the seconds they took."
    if model.endswith(".onnx"):
        from graves_nb.export import OnnxWriter

        writer, start = OnnxWriter(model), time.perf_counter()
        lines = enumerate(tqdm(sentences, "writing", disable=None))
        return [writer.sample(text, bias, seed + i) for i, text in lines], time.perf_counter() - start
    loaded, start = load_model(model), time.perf_counter()
    samples = write_samples(loaded, sentences, bias=bias, seed=seed, max_points_per_char=POINTS_PER_CHAR)
    return samples, time.perf_counter() - start


def measure_model(options: argparse.Namespace, read: Callable[[bytes], str]) -> dict:
    "How well sentences by a model are read, and how they ended."
    sentences, digest = read_sentences(options.sentences), digest_of(options.model)
    samples, seconds = sample_all(options.model, sentences, options.bias, options.seed)
    inks, stopped = [s.ink for s in samples], sum(s.stopped for s in samples)
    readings = read_all(inks, read, "model")
    if options.sheet:
        contact_sheet(inks, readings).save(options.sheet)
    result = summary(readings)
    print(describe(f"{len(inks)} sentences by {options.model}, bias {options.bias:g}, seed {options.seed}", result))
    print(f"stopped by the stop rule before {POINTS_PER_CHAR} points a character: {stopped} of {len(samples)}")
    about = {"model": str(options.model), "sha256": digest, "bias": options.bias, "seed": options.seed}
    return about | {"stopped": stopped, "seconds_to_write": round(seconds, 1)} | result


def digest_of(
    model: str,  # as for `load_model`
) -> str:
    "SHA-256 of the model's file."
    path = MODELS / model / "model.safetensors" if model in list_models() else Path(model)
    path = path / "model.safetensors" if path.is_dir() else path
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def versions() -> dict[str, str]:
    "Of all that may move a figure."
    found = {"python": platform.python_version(), "graves_nb": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    return found


def made_by(
    model: str,  # as for `load_model`
) -> dict:
    "By which command, of which versions and of which weights a figure is."
    return dict(command=shlex.join(sys.argv), versions=versions(), sha256=digest_of(model))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    "The command line."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model",
        default="unipen-synthesis",
        help="a shipped model, a model file, a run's folder, or an exported .onnx",
    )
    parser.add_argument("--data", type=Path, help="folder of UNIPEN; needed unless --lines 0")
    parser.add_argument("--bias", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first sentence; the next take the numbers after it")
    parser.add_argument("--sentences", type=int, default=100, help="how many sentences of sentences.txt")
    parser.add_argument("--lines", type=int, default=300, help="how many lines by people; 0 leaves them out")
    parser.add_argument("--lines-only", action="store_true", help="only the lines by people, no model")
    parser.add_argument("--json", type=Path, help="write figures, readings and versions to this file")
    parser.add_argument("--sheet", type=Path, help="write a picture of all sentences to this file")
    options = parser.parse_args(arguments)
    if options.lines < 0 or (options.lines_only and not options.lines):
        parser.error("--lines should not be negative, nor 0 with --lines-only")
    if options.lines and not options.data:
        parser.error("lines by people need --data, the folder of UNIPEN; or leave them out with --lines 0")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    torch.set_num_threads(1)  # the same sums in the same order everywhere
    torch.set_flush_denormal(True)
    read = recogniser()
    result = {
        "command": shlex.join(sys.argv),
        "versions": versions(),
        "rendering": {"height": HEIGHT, "pen": PEN},
    }
    if options.lines:
        result["people"] = measure_people(options.data, options.lines, read)
    if not options.lines_only:
        result["model"] = measure_model(options, read)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
