"""One small picture for each numbered notebook, which its second cell of prose shows where nothing is run.

python tools/key_pictures.py [--write] [--all] [NOTEBOOK ...]

Runs the notebooks whose picture is missing or older than their code (with --all every one), and writes
nbs/pictures/NAME.png. The picture is that of the cell marked `#| key`, or the last plotly figure, ink or image.
With --write a notebook that does not show its picture gets a cell that does; put right what that says of it.
"""

import base64
import hashlib
import html
import io
import json
import re
import sys
from pathlib import Path

from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngInfo

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT), str(ROOT / "docs"), str(ROOT / "tools")]

PICTURES = ROOT / "nbs" / "pictures"
FIGURE = "application/vnd.plotly.v1+json"
KINDS = (FIGURE, "image/svg+xml", "image/png")  # of outputs, the first that there is
WIDTH, HEIGHTS = 640, (240, 440)  # pixels: of all pictures, and the least and the most
MOST, MOST_TOGETHER = 25_000, 1_000_000  # bytes of a picture, and of the folder
SHOWN = re.compile(r"!\[(?P<says>[^\]]*)\]\(pictures/(?P<name>[\w-]+)\.png\)")


def numbered() -> list[Path]:
    "The notebooks that have a picture."
    return sorted((ROOT / "nbs").glob("[0-9]*.ipynb"))


def picture_of(path: Path) -> Path:
    "Where the picture of a notebook is."
    return PICTURES / f"{path.stem}.png"


def source_of(cell: dict) -> str:
    return "".join(cell["source"])  # files have lines, nbformat has one text


def code_digest(notebook: dict) -> str:
    "What tells the code of a notebook from what it was; prose does not count."
    code = "\0".join(source_of(cell) for cell in notebook["cells"] if cell["cell_type"] == "code")
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def digest_of(picture: Path) -> str | None:
    "Of which code a picture was made; None if there is no picture, or it does not say."
    if not picture.exists():
        return None
    with Image.open(picture) as image:
        return image.info.get("code")


def faults_of(path: Path) -> list[str]:
    "What is wrong with the picture of a notebook, and with how it is shown."
    notebook, picture = json.loads(path.read_text(encoding="utf-8")), picture_of(path)
    if not picture.exists():
        return [f"{path.name} has no picture"]
    faults = []
    if digest_of(picture) != code_digest(notebook):
        faults.append(f"the code of {path.name} has changed since its picture was made")
    if picture.stat().st_size > MOST:
        faults.append(f"the picture of {path.name} has {picture.stat().st_size} bytes, more than {MOST}")
    prose = [source_of(cell) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    shown = SHOWN.fullmatch(prose[1].strip()) if len(prose) > 1 else None
    if not shown or shown["name"] != path.stem:
        faults.append(f"{path.name} does not show its picture after the opening")
    elif len(shown["says"].split()) < 3:
        faults.append(f"{path.name} does not say what is seen on its picture: {shown['says']!r}")
    return faults


def key_output(notebook: dict) -> tuple[str, object] | None:
    "Kind and data of the picture that stands for a notebook which was run; None if there is none."
    marked, others = [], []
    for cell in notebook["cells"]:
        found = marked if re.search(r"^#\| *key\b", source_of(cell), re.MULTILINE) else others
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            found += [(kind, data[kind]) for kind in KINDS if kind in data][:1]
    return (marked or others or [None])[-1]


def what_is_seen(kind: str, data) -> str:
    "A first description, from what the output says of itself."
    if kind == FIGURE:
        layout, names = data["layout"], [trace["name"] for trace in data["data"] if trace.get("name")]
        titles = [layout.get(axis, {}).get("title", {}).get("text", "") for axis in ("yaxis", "xaxis")]
        titles = " over ".join(filter(None, titles))
        return f"A figure: {titles or data['data'][0].get('type')}" + (f"; {', '.join(names[:6])}" if names else "")
    label = re.search(r'aria-label="([^"]+)"|<title>([^<]+)</title>', str(data)) if kind == "image/svg+xml" else None
    return f"Handwriting: {html.unescape(label[1] or label[2])}" if label else "A picture that this notebook makes"


def with_picture_shown(notebook: dict, name: str, says: str) -> dict:
    "The notebook, its picture shown after its opening."
    cells = notebook["cells"]
    opening = next(i for i, cell in enumerate(cells) if cell["cell_type"] == "markdown")
    following = next((c for c in cells[opening + 1 :] if c["cell_type"] == "markdown"), None)
    if following and SHOWN.fullmatch(source_of(following).strip()):
        return notebook
    identity = hashlib.sha256(f"picture of {name}".encode()).hexdigest()[:8]
    source = f"![{re.sub(r'[][]', '', says)}](pictures/{name}.png)"
    cells.insert(opening + 1, dict(cell_type="markdown", id=identity, metadata={}, source=[source]))
    return notebook


def packed(image: Image.Image, code: str, most: int = MOST) -> bytes:
    "A PNG file of few colours, no larger than allowed, that says of which code it was made."
    about = PngInfo()
    about.add_text("code", code)
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    for colours in (128, 64, 32, 16):
        file = io.BytesIO()
        flat.quantize(colours, dither=Image.Dither.NONE).save(file, "PNG", optimize=True, pnginfo=about)
        if len(file.getvalue()) <= most:
            return file.getvalue()
    return packed(flat.resize([max(1, side * 4 // 5) for side in flat.size], Image.Resampling.LANCZOS), code, most)


def cropped(image: Image.Image, border: int = 8) -> Image.Image:
    "The picture without the white above and below."
    _, top, _, bottom = ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox() or (
        0,
        0,
        *image.size,
    )
    return image.crop((0, max(top - border, 0), image.width, min(bottom + border, image.height)))


def on_paper(figure: dict) -> dict:
    "A plotly figure as a still picture on white."
    layout = {key: value for key, value in figure["layout"].items() if key not in ("updatemenus", "sliders")}
    low, high = HEIGHTS
    layout |= dict(width=WIDTH, height=min(max(layout.get("height") or 320, low), high), autosize=False)
    layout["margin"] = dict(l=50, r=20) | (layout.get("margin") or {})
    layout |= dict(paper_bgcolor="white", font=dict(layout.get("font") or {}) | dict(color="#2a3f5f", size=11))
    return dict(data=figure["data"], layout=layout)


PAGE = f"""<!doctype html><meta charset="utf-8"><div id="it"></div><style>
body {{ margin: 0; background: white }}
#it {{ width: max-content }}
img {{ display: block; max-width: {WIDTH}px; max-height: {HEIGHTS[1]}px; padding: 8px; box-sizing: border-box }}
</style>"""
DRAW = """figure => {
    document.getElementById('it').innerHTML = '';
    return Plotly.newPlot('it', figure.data, figure.layout, {staticPlot: true}).then(() => null);
}"""
SHOW = """source => new Promise((done, failed) => {
    const image = new Image();
    image.onload = () => { document.getElementById('it').replaceChildren(image); done(null); };
    image.onerror = () => failed('the picture cannot be shown');
    image.src = source;
})"""


class Camera:
    "A page without a network that shows one picture after another."

    def __init__(self, page):
        import plotly.offline

        self.page = page
        page.set_content(PAGE)
        page.add_script_tag(content=plotly.offline.get_plotlyjs())

    def take(self, kind: str, data) -> Image.Image:
        "The picture of an output."
        if kind == FIGURE:
            self.page.evaluate(DRAW, on_paper(data))
        else:
            coded = data if kind == "image/png" else base64.b64encode(data.encode()).decode()
            self.page.evaluate(SHOW, f"data:{kind};base64,{coded}")
        return cropped(Image.open(io.BytesIO(self.page.locator("#it").screenshot())).convert("RGB"))


def runs_of(paths: list[Path]):
    "Each notebook with the file of its run, a few at a time; what failed is said and left out."
    from execute import NotebookError, execute

    while paths:
        some, paths = paths[:4], paths[4:]
        try:
            yield from execute(some).items()
        except NotebookError as error:
            print(error, file=sys.stderr)
            if len(some) > 1:  # those beside it are not to blame
                for path in some:
                    yield from runs_of([path])


def make_picture(path: Path, place: Path, camera: Camera, write: bool) -> None:
    "The picture of a notebook that was run; the notebook shows it from now on if that is asked for."
    import nbformat

    if (found := key_output(nbformat.read(place, as_version=4))) is None:
        print(f"{path.name}: there is no picture in it", file=sys.stderr)
        return
    notebook = json.loads(path.read_text(encoding="utf-8"))
    picture_of(path).write_bytes(packed(camera.take(*found), code_digest(notebook)))
    print(f"{picture_of(path).relative_to(ROOT)}: {picture_of(path).stat().st_size} bytes", flush=True)
    if write:
        notebook = with_picture_shown(notebook, path.stem, what_is_seen(*found))
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def make_pictures(paths: list[Path], write: bool) -> None:
    "Run notebooks, and make their pictures."
    from browser import chromium, tab

    PICTURES.mkdir(exist_ok=True)
    with chromium() as browser, tab(browser, width=WIDTH + 60, height=600) as page:
        camera = Camera(page)
        for path, place in runs_of(paths):
            make_picture(path, place, camera, write)
        assert not page.strangers, f"pictures asked the network for {page.strangers}"


def main(arguments: list[str]) -> int:
    "Make what is asked for; the exit code says whether all pictures are as they should be."
    named = [Path(name).resolve() for name in arguments if not name.startswith("--")]
    paths = named or numbered()
    if "--all" not in arguments and not named:
        paths = [path for path in paths if faults_of(path)]
    make_pictures(paths, "--write" in arguments)
    faults = [fault for path in (named or numbered()) for fault in faults_of(path)]
    print("\n".join(faults), file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
