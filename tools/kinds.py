"""How well are ten kinds of text read, each of 50 lines? See `docs/legibility/kinds.json`.

    python tools/kinds.py --model unipen-synthesis --json docs/legibility/kinds.json --sheet kinds.png

The lines are made from the word lists below by a fixed seed, so that two models write the same ones. Each is written
with two seeds, as `graves write` writes it, and read by the recogniser of `legibility.py`; case and spaces do not
count, everything else does.
"""

import argparse
import json
import random
import shlex
import string
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from legibility import (
    POINTS_PER_CHAR,
    SENTENCES,
    Reading,
    contact_sheet,
    digest_of,
    error_rate,
    interval,
    letters,
    read_all,
    recogniser,
    versions,
)

from graves_nb.pretrained import load_model
from graves_nb.sampling import write

SEEDS = (0, 1000)
FIRST = "Anna Ben Clara David Eva Frank Grace Hugo Iris Jack Kate Leo Maria Noah Olga Paul Rosa Sam Tina".split()
LAST = "Adler Brown Costa Dixon Evans Fischer Garcia Hill Ivanov Jensen Klein Lopez Moore Novak Owens Price".split()
CITY = "Bergen Cork Dover Exeter Florence Geneva Hull Izmir Jaffa Kyoto Lyon Malta Naples Oslo Porto Quebec".split()
STREET = "Mill Oak King Church Station Park Queen Bridge River Garden School High".split()
NAME = "value count index total left right name width height size".split()
MONTH = "January February March April May June July August September October November December".split()
WORD = "apple basket candle dinner engine forest garden harbour island jacket kitchen ladder market orange".split()

Draw = random.Random
words = SENTENCES.read_text().split


def prose(draw: Draw) -> str:
    "A sentence."
    return draw.choice(SENTENCES.read_text().splitlines())


def name(draw: Draw) -> str:
    "A person's name, with an initial now and then."
    middle = f" {draw.choice(string.ascii_uppercase)}." if draw.random() < 0.4 else ""
    return f"{draw.choice(FIRST)}{middle} {draw.choice(LAST)}"


def capitals(draw: Draw) -> str:
    "Words in capitals."
    return " ".join(draw.choice(WORD + CITY) for _ in range(3)).upper()


def number(draw: Draw) -> str:
    "A telephone number, a decimal or a large number."
    digits = "".join(draw.choice(string.digits) for _ in range(10))
    return draw.choice([f"+{digits[:2]} {digits[2:5]} {digits[5:]}", f"{digits[:4]}.{digits[4:7]}", f"{int(digits):,}"])


def date(draw: Draw) -> str:
    "A date or a time."
    day, month, year = draw.randint(1, 28), draw.randint(1, 12), draw.randint(1950, 2049)
    clock = f"{draw.randint(0, 23):02}:{draw.randint(0, 59):02}"
    forms = f"{day} {MONTH[month - 1]} {year}", f"{year}-{month:02}-{day:02}", f"{day}/{month}/{year} {clock}"
    return draw.choice(forms)


def price(draw: Draw) -> str:
    "Goods and what they cost."
    cents = f"${draw.randint(1, 99)}.{draw.randint(0, 99):02}"
    forms = f"{draw.randint(2, 12)} x {cents}", f"{draw.choice(WORD)}: {cents}", f"{draw.randint(5, 70)}% off {cents}"
    return draw.choice(forms)


def address(draw: Draw) -> str:
    "A street with its number and a town."
    return f"{draw.randint(1, 199)} {draw.choice(STREET)} Street, {draw.choice(CITY)} {draw.randint(10000, 99999)}"


def email(draw: Draw) -> str:
    "An e-mail address."
    sign = draw.choice("._-")
    host = f"{draw.choice(WORD)}.{draw.choice(['com', 'org', 'net', 'de'])}"
    return f"{draw.choice(FIRST).lower()}{sign}{draw.choice(LAST).lower()}@{host}"


def code(draw: Draw) -> str:
    "A line of a program."
    a, b, n = draw.choice(NAME), draw.choice(NAME), draw.randint(0, 99)
    forms = f"{a}[{n}] = {b} + 1;", f"if ({a} < {n}) {{", f"{a} = f({b}, {n})", f"{a} && !{b} || {n} > 1"
    return draw.choice([*forms, f"{a}_{b} *= {n} ^ 2"])


def long_line(draw: Draw) -> str:
    "Words of sentences, 60 to 80 characters of them."
    found, at = words(), draw.randrange(400)
    line = found[at]
    while len(line) < 60:
        at = (at + 1) % len(found)
        line += " " + found[at]
    return line


KINDS: dict[str, Callable[[Draw], str]] = {
    "prose": prose,
    "names": name,
    "capitals": capitals,
    "numbers": number,
    "dates": date,
    "prices": price,
    "addresses": address,
    "e-mail": email,
    "code": code,
    "60-80 characters": long_line,
}


def texts_of(kind: str, count: int) -> list[str]:
    "Different lines of a kind, always the same ones."
    draw, lines = Draw(kind), dict[str, None]()
    while len(lines) < count:
        lines[KINDS[kind](draw)] = None
    return list(lines)


def figures_of(readings: Sequence[Reading]) -> dict:
    "How well some lines are read."
    low, high = interval(readings)
    figures = dict(lines=len(readings), characters=sum(len(letters(r.text)) for r in readings))
    figures |= dict(error_rate=round(error_rate(readings), 4), interval=[round(low, 4), round(high, 4)])
    return figures | dict(read_without_error=sum(r.edits == 0 for r in readings))


def measure(model, kind: str, read, options: argparse.Namespace) -> tuple[dict, list, list]:
    "How well a kind is read; the lines and their readings."
    texts, inks = texts_of(kind, options.count), []
    for seed in SEEDS:
        how = dict(bias=options.bias, best_of=options.best_of, max_points_per_char=POINTS_PER_CHAR)
        inks += write(model, texts, seed=seed, **how)
    readings = read_all(inks, read, kind)
    figures = figures_of(readings)
    print("{:18s} {:.3f} ({:.3f} to {:.3f})".format(kind, figures["error_rate"], *figures["interval"]), flush=True)
    return figures, inks, readings


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unipen-synthesis", help="a shipped model, a model file or a run's folder")
    parser.add_argument("--bias", type=float, default=1.0)
    parser.add_argument("--best-of", type=int, default=1, help="lines that are drawn for each, of which one is kept")
    parser.add_argument("--count", type=int, default=50, help="lines of each kind")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--sheet", type=Path, help="write a picture of eight lines of each kind to this file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the same sums in the same order everywhere
    read, model = recogniser(), load_model(options.model)
    result, inks, readings = {}, [], []
    for kind in KINDS:
        result[kind], some, their = measure(model, kind, read, options)
        inks, readings = inks + some[:8], readings + their[:8]
    mean = round(sum(r["error_rate"] for r in result.values()) / len(result), 4)
    print(f"mean of the kinds  {mean:.3f}")
    if options.sheet:
        contact_sheet(inks, readings, columns=4).save(options.sheet)
    if options.json:
        about = {"command": shlex.join(sys.argv), "versions": versions(), "sha256": digest_of(options.model)}
        about |= {"bias": options.bias, "best_of": options.best_of, "seeds": SEEDS, "mean": mean, "kinds": result}
        options.json.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
