"""Figures in prose that cannot drift from the files they come from: python docs/figures.py brings them up to date.

In a Markdown file, `<!-- figure: docs/bench.json threads d -->2<!-- -->` is the number 2: a file, the way to the value,
a format of Python's, and between the comments what it gives. The way's steps are parted by slashes: a key, a place in a
list, or the `name` of a list's entry. The site shows the number without the comments.
Between `<!-- tables -->` and its end stand the paper's tables beside ours.
"""

import functools
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = re.compile(r"(<!-- tables -->\n).*?(<!-- /tables -->)", re.DOTALL)
MACRO = re.compile(r"(<!-- figure: (\S+) (.+?) (\S+) -->)(.*?)(<!-- -->)", re.DOTALL)


@functools.cache
def read(path: str) -> object:
    "A JSON file, named from the root of the repository."
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


def take(value: object, step: str) -> object:
    "One step of the way: a dictionary's entry, or a list's by its place or its name."
    if isinstance(value, dict):
        return value[step]
    if step.lstrip("-").isdigit():
        return value[int(step)]
    return next(entry for entry in value if entry["name"] == step)


def figure(path: str, way: str, form: str) -> str:
    "The number as it is to stand in the text; minus signs as they are."
    return format(functools.reduce(take, way.split("/"), read(path)), form)


@functools.cache
def tables() -> str:
    "The paper's tables beside ours, from the results in the package."
    from graves_nb.recipes import read_results
    from graves_nb.tables import TABLES as numbers
    from graves_nb.tables import table_markdown

    return "".join(f"{table_markdown(number, read_results())}\n\n" for number in numbers)


def fresh(text: str) -> str:
    "The text with every figure as its file has it."
    text = TABLES.sub(lambda m: m[1] + tables() + m[2], text)
    return MACRO.sub(lambda m: m[1] + figure(m[2], m[3], m[4]) + m[6], text)


def plain(text: str) -> str:
    "The same for the site: fresh, and without the comments."
    return MACRO.sub(lambda m: figure(m[2], m[3], m[4]), text)


def pages() -> list[Path]:
    "Every Markdown file that may have figures."
    return [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("graves_nb/models/*/card.md"))]


if __name__ == "__main__":
    for page in pages():
        before = page.read_text(encoding="utf-8")
        if (now := fresh(before)) != before:
            page.write_text(now, encoding="utf-8")
            print(page.relative_to(ROOT))
