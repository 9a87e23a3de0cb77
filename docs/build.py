"""Build the site from the notebooks: python docs/build.py FOLDER."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs"), str(ROOT / "tools")]

from browser import node_modules  # noqa: E402
from execute import NotebookError, execute  # noqa: E402
from figures import plain  # noqa: E402
from pages import page_of, public_names  # noqa: E402

WORK = ROOT / ".cache" / "docs"
ROOMS = {
    "Files and data": "01",
    "The paper": "2",
    "Fast": "3",
    "Learning": "4",
    "Using": "5",
    "Showing": "6s",
    "Shipping": "7",
}
LIVE_WEIGHTS = "half"  # of the network in the page: exactly the one that is shipped
ABROAD = [chr(c) for c in range(0xA0, 0x250)]  # what people type into the page, beside the characters of `FOLDINGS`
HERO = dict(text="the pen moves by itself", bias=1, seed=4)  # on the first page
GUIDES = (
    "live",
    "start",
    "characters",
    "paper",
    "training",
    "tables",
    "own_ink",
    "pages",
    "plotters",
    "datasets",
    "gpus",
    "widgets",
    "speed",
    "comparison",
    "gallery",
    "extending",
    "contributing",
    "changelog",
)
BROWSER = {  # what the pages load, from packages that docs/package.json names
    "mathjax/es5/tex-svg.js": "tex-svg.js",
    "plotly.js-cartesian-dist-min/plotly-cartesian.min.js": "plotly.min.js",
    "onnxruntime-web/dist/ort.wasm.bundle.min.mjs": "ort.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs": "ort-wasm-simd-threaded.mjs",
}


def notebooks() -> list[Path]:
    "Those of the site, in the order of the design."
    found = [*ROOT.glob("nbs/[0-9]*.ipynb"), *ROOT.glob("nbs/experiments/*.ipynb")]
    return [*sorted(found), *(ROOT / "nbs" / f"{name}.ipynb" for name in ("index", "studio", "gallery", "extending"))]


def vendor(folder: Path) -> None:
    "Bring the JavaScript that pages need, at the versions of docs/package-lock.json."
    seen, lock = folder / "lock.json", (ROOT / "docs" / "package-lock.json").read_text()
    if seen.exists() and seen.read_text() == lock:
        return
    modules = node_modules()
    folder.mkdir(parents=True, exist_ok=True)
    for source, name in BROWSER.items():
        shutil.copy(modules / source, folder / name)
    seen.write_text(lock)


def live(folder: Path) -> None:
    "What the page that writes needs: the network, all else there is to know as JSON; and the line of the first page."
    from graves_nb.endings import MARKED
    from graves_nb.export import export_onnx
    from graves_nb.hands import is_joined
    from graves_nb.ink import animated_svg
    from graves_nb.pretrained import DEFAULT_MODEL, HANDS, MODELS, list_hands, load_hand, load_model
    from graves_nb.sampling import prime_offsets, write
    from graves_nb.texts import FOLDINGS, equivalent

    made_of = [ROOT / "graves_nb" / name for name in ("endings.py", "export.py", "texts.py")]
    made_of += [MODELS / DEFAULT_MODEL / "model.safetensors", Path(__file__), *sorted(HANDS.iterdir())]
    seen, now = folder / ".made-of", digest(made_of)
    if seen.exists() and seen.read_text() == now:
        return
    model = load_model()
    foldings = [(c, equivalent(c, model.alphabet.symbols)) for c in (*FOLDINGS, *ABROAD)]
    config, hands = model.network.config, [load_hand(name) for name in list_hands()]
    export_onnx(model, folder / "live.onnx", LIVE_WEIGHTS)
    offsets = [[[round(v, 6) for v in row] for row in prime_offsets(model, hand).tolist()] for hand in hands]
    about = dict(
        symbols=model.alphabet.symbols,
        joined=model.alphabet.joined,
        letters=len(model.alphabet),
        foldings={c: written for c, written in foldings if written not in (None, c)},
        marked=dict(MARKED),
        cells=config.hidden_size,
        layers=config.n_layers,
        window=config.n_window,
        pace=model.info.get("points_per_char", 18.0),
        styles=[
            dict(name=name, text=hand.text.strip(), joined=is_joined(hand), offsets=rows)
            for name, hand, rows in zip(list_hands(), hands, offsets, strict=True)
        ],
    )
    (folder / "hero.svg").write_text(animated_svg(write(model, **HERO), width=4))
    (folder / "live.json").write_text(json.dumps(about | model.scaler.to_dict(), separators=(",", ":")))
    seen.write_text(now)


def write_if_new(path: Path, text: str) -> None:
    "Leave alone what is as it should be, so that Sphinx does not read it again."
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def hero() -> str:
    "A line that writes itself, and where to write another, for the top of the first page."
    line = (WORK / "live" / "hero.svg").read_text()
    return "```{raw} html\n" + (ROOT / "docs" / "hero.html").read_text().format(line=line) + "```"


def contents() -> str:
    "The tables of contents, for the end of the first page."
    rooms = {
        caption: [f"{p.stem}" for p in notebooks() if p.stem[0] in digit and p.parent.name == "nbs"]
        for caption, digit in ROOMS.items()
    }
    figures = [f"experiments/{p.stem}" for p in notebooks() if p.parent.name == "experiments"]
    guides = [name for name in GUIDES if name not in rooms]
    cards = sorted(f"models/{p.parent.name}" for p in (ROOT / "graves_nb" / "models").glob("*/card.md"))
    parts = {
        "Begin": guides,
        **rooms,
        "The paper's figures": figures,
        "Models": cards,
        "Reference": ["names", "notebooks"],
    }
    trees = [
        f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```"
        for caption, pages in parts.items()
    ]
    return "\n\n".join(trees)


def index_of_names(names: dict[str, str]) -> str:
    "The page with all public names, module by module."
    lines = ["# All names", "", "What the package offers, module by module; a name leads to its definition.", ""]
    for module, page in page_of_module().items():
        own = [f"{{py:obj}}`{name} <{module}.{name}>`" for name in names if names[name] == module]
        lines += [f"## {module}", "", f"[{page}]({page}.ipynb): " + ", ".join(own), ""]
    return "\n".join(lines)


def page_of_module() -> dict[str, str]:
    "Which notebook each module comes from, in the order of the notebooks."
    found = {path.stem: re.search(r"#\| *default_exp (\w+)", path.read_text(encoding="utf-8")) for path in notebooks()}
    return {f"graves_nb.{name[1]}": page for page, name in found.items() if name}


def moved(text: str) -> str:
    "A page of docs/ or of the root, with links as they are on the site."
    text = re.sub(r"\]\((?:\.\./)?nbs/", "](", text)
    text = re.sub(r"\]\((?:\.\./)?nbs\)", "](index.ipynb)", text)
    text = re.sub(r"\]\((?:\.\./)?graves_nb/models/([\w-]+)/card\.md\)", r"](models/\1.md)", text)
    text = re.sub(r"\]\((?:\.\./)?docs/", "](", text)
    return text.replace("](../CONTRIBUTING.md)", "](contributing.md)").replace("](../CHANGELOG.md)", "](changelog.md)")


def sources(folder: Path, places: dict[Path, Path]) -> None:
    "What Sphinx is to read."
    names, kept = public_names(ROOT / "graves_nb"), set()

    def put(name, text):
        write_if_new(folder / name, text)
        kept.add(folder / name)

    for path, executed in places.items():
        name = path.relative_to(ROOT / "nbs")
        page = page_of(path, executed, names, "../" * (len(name.parts) - 1))
        if name.stem == "index":
            page.cells[0].source = page.cells[0].source.replace("\n", f"\n\n{hero()}\n", 1)
            page.cells.append(nbformat.v4.new_markdown_cell(contents()))
        for number, cell in enumerate(page.cells):
            cell.id = f"cell-{number}"
        put(str(name), nbformat.writes(page))
    for path in sorted((ROOT / "docs").glob("*.md")):
        text = plain(path.read_text(encoding="utf-8")).replace("<!-- legibility -->", legibility())
        put(path.name, moved(text))
    for name in ("CONTRIBUTING", "CHANGELOG"):
        put(f"{name.lower()}.md", moved((ROOT / f"{name}.md").read_text(encoding="utf-8")))
    for path in sorted((ROOT / "graves_nb" / "models").glob("*/card.md")):
        card = re.sub(r"\]\(\.\./([\w-]+)/card\.md\)", r"](\1.md)", plain(path.read_text(encoding="utf-8")))
        put(f"models/{path.parent.name}.md", card)
    put("names.md", index_of_names(names))
    for path in [*(ROOT / "docs" / "images").glob("*"), ROOT / "docs" / "bench.json"]:
        target = folder / path.relative_to(ROOT / "docs")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != path.read_bytes():
            shutil.copy(path, target)
        kept.add(target)
    for path in [p for p in folder.rglob("*") if p.is_file() and p not in kept]:
        path.unlink()


def legibility() -> str:
    "The figures of tools/legibility.py for each way to store the weights, as a table; of those that were measured."
    rows = [
        "| weights | bias | sentences | character error rate (95 %) | read without an error |",
        "|---|---|---|---|---|",
    ]
    for name in ("float32", "half", "int8"):
        path = ROOT / "docs" / "legibility" / f"{name}.json"
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))["model"]
            low, high = found["interval"]
            rate = f"{found['error_rate']:.3f} ({low:.3f} to {high:.3f})"
            rows.append(f"| {name} | {found['bias']:g} | {found['lines']} | {rate} | {found['read_without_error']} |")
    return "\n".join(rows) if len(rows) > 2 else "Not measured yet for these weights."


def digest(paths) -> str:
    "Of the contents of files."
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def pages(made: Path) -> None:
    "Sphinx, if anything changed that it reads; what it warns of is an error."
    folders = (WORK / "source", WORK / "vendor", WORK / "live", ROOT / "docs", ROOT / "graves_nb")
    read = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    seen, now = made / ".made-of", digest(read)
    if seen.exists() and seen.read_text() == now:
        return
    seen.unlink(missing_ok=True)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q"]
    command += ["-c", ROOT / "docs", "-d", WORK / "trees", WORK / "source", made]
    subprocess.run([str(part) for part in command], check=True, env=os.environ | dict(PYTHONPATH=str(ROOT)))
    seen.write_text(now)


def build(site: Path) -> Path:
    "Bring the site up to date; says where its first page is."
    start = time.monotonic()
    vendor(WORK / "vendor")
    live(WORK / "live")
    places = execute(notebooks())
    sources(WORK / "source", places)
    pages(WORK / "html")
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(WORK / "html", site)
    print(f"built in {time.monotonic() - start:.0f} s")
    return site / "index.html"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python docs/build.py FOLDER")
    try:
        print(build(Path(sys.argv[1]).resolve()))
    except (RuntimeError, NotebookError) as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"this failed, for what it says above: {' '.join(map(str, error.cmd[:6]))} ...")
