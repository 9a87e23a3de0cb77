"""Make the page that lists the notebooks: python docs/build.py FOLDER. Fails where list and notebooks disagree."""

import html
import re
import sys
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parent.parent
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }}
td, th {{ padding: .2rem 1rem .2rem 0; text-align: left; vertical-align: top }}
</style>
{body}
</html>
"""


def faults(page: str) -> list[str]:
    "What is wrong with the list of notebooks, one line a fault."
    here = ROOT / "docs"
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", page) if not re.match(r"[a-z]+:|#", t)]
    found = [f"index.md: no such file: {t}" for t in targets if not (here / t).exists()]
    linked = {(here / t).resolve() for t in targets}
    notebooks = (p for p in sorted((ROOT / "nbs").rglob("*.ipynb")) if p.stem != "index")
    shown = (p for p in notebooks if not any(part[0] in "._" for part in p.relative_to(ROOT).parts))
    return found + [f"index.md: does not list {p.relative_to(ROOT)}" for p in shown if p.resolve() not in linked]


def build(folder: Path) -> Path:
    "Write the page and say where; links lead to the notebooks of this checkout."
    source = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    if wrong := faults(source):
        raise ValueError("\n".join(wrong))
    body = MarkdownIt("commonmark").enable("table").render(source).replace('href="../', f'href="{ROOT.as_uri()}/')
    title = re.search(r"^# (.+)$", source, re.MULTILINE)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(PAGE.format(title=html.escape(title[1] if title else ""), body=body), encoding="utf-8")
    return path


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python docs/build.py FOLDER")
    try:
        print(build(Path(sys.argv[1])).resolve())
    except ValueError as error:
        sys.exit(str(error))
