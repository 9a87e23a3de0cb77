"""Every notebook by its promise, in nbs/index.ipynb and docs/notebooks.md: fails where one is stale; --write mends it.

What a list says of a notebook is the notebook's own first line: its title, and what it promises below.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STOREYS = {
    "0": "Files, colours, and what people bring",
    "1": "Data",
    "2": "The paper",
    "3": "Fast",
    "4": "Learning",
    "5": "Using",
    "6": "Showing",
    "7": "Shipping",
    "": "To begin with",
    "experiments": "The paper's tables and figures",
}
CELL = "notebooks"  # of nbs/index.ipynb: the id of the cell that holds the list
MARKS = "<!-- notebooks -->\n", "<!-- end of notebooks -->"  # around the list of docs/notebooks.md


def promise_of(path: Path) -> str:
    "The line below a notebook's title, without its last stop."
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    opening = next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.match(r"# \S.*\n+> (\S.*)", opening)[1].removesuffix(".")


def storey_of(path: Path, nbs: Path) -> str:
    "The digit that a notebook's name begins with, or the folder it is in."
    folder = path.relative_to(nbs).parent.as_posix()
    return folder if folder != "." else path.stem[0] if path.stem[0].isdigit() else ""


def table(nbs: Path, prefix: str) -> str:
    "All notebooks but the first page, storey by storey, with links that begin with `prefix`."
    paths = [p for p in sorted(nbs.rglob("*.ipynb")) if p.name != "index.ipynb" and ".ipynb_checkpoints" not in p.parts]
    rows = []
    for storey, name in STOREYS.items():
        own = [path for path in paths if storey_of(path, nbs) == storey]
        if own:
            rows += [f"| **{name}** | |"]
        for path in own:
            rows.append(f"| [{path.stem}]({prefix}{path.relative_to(nbs).as_posix()}) | {promise_of(path)} |")
    return "\n".join(["| notebook | promise |", "|---|---|", *rows])


def index_with(root: Path) -> str:
    "nbs/index.ipynb with its list as it should be."
    notebook = json.loads((root / "nbs" / "index.ipynb").read_text(encoding="utf-8"))
    cell = next(cell for cell in notebook["cells"] if cell["id"] == CELL)
    cell["source"] = f"## All notebooks\n{table(root / 'nbs', '')}".splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def page_with(root: Path) -> str:
    "docs/notebooks.md with its list as it should be."
    text = (root / "docs" / "notebooks.md").read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    return f"{before}{MARKS[0]}\n{table(root / 'nbs', '../nbs/')}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}"


def main(write: bool) -> int:
    "Exit code: 1 where a list was not as it should be, and is not mended."
    wanted = {"nbs/index.ipynb": index_with(ROOT), "docs/notebooks.md": page_with(ROOT)}
    stale = [name for name, text in wanted.items() if (ROOT / name).read_text(encoding="utf-8") != text]
    for name in stale:
        if write:
            (ROOT / name).write_text(wanted[name], encoding="utf-8")
        else:
            print(f"{name}: its list of notebooks is not what the notebooks say; run `make export`", file=sys.stderr)
    return int(bool(stale) and not write)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] == ["--write"]))
