"""Pictures: sizes of lines and pages, what plotters and printers get, and what is too large."""

import base64
import io
import re
import xml.etree.ElementTree as ET
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from graves_nb.ink import Ink, animated_svg
from graves_nb.page import stack_lines
from graves_nb.pictures import LARGEST, PAPERS, Picture, paper_size, place

coordinates = st.floats(-1e4, 1e4, width=32)
strokes = st.lists(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12), min_size=1, max_size=6)
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


def line_of(text, seed=0):
    "Loops and dots, as long as the text."
    t, rng = np.linspace(0, 6 * len(text), 20 * len(text)), np.random.default_rng(seed)
    loops = np.stack([t / 4 + np.cos(t), np.sin(t) * (1 + 0.1 * rng.random())], 1)
    return Ink.from_strokes([loops, [(1, -2)], [(2, -2), (2, -2)]], text=text)


def page_of(rows):
    return stack_lines([line_of("a page of lines", i) for i in range(rows)])


def lengths(svg):
    "How long each path is, of the polygon through its points at least."
    for path in ET.fromstring(svg).findall(".//{*}path"):
        points = np.array([float(v) for v in re.findall(r"-?[\d.]+", path.get("d"))]).reshape(-1, 2)
        yield np.linalg.norm(np.diff(points, axis=0), axis=1).sum()


def scale_of(ink, **picture):
    "Pixels per unit of the ink."
    first = place(ink.strokes, ink.text, Picture(**picture)).strokes[0]
    return np.ptp(first[:, 0]) / np.ptp(ink.strokes[0][:, 0])


# ---------------------------------------------------------------- sizes
sides = st.floats(1, 3000).map(lambda side: round(side, 1))


@given(sides, sides, st.sampled_from(["x", " x ", "\u00d7", "mm x "]), st.sampled_from(["", "mm", " mm"]))
def test_paper_is_told_by_its_sides(width, height, between, after):
    assert paper_size(f"{width}{between}{height}{after}") == (width, height)
    assert paper_size(f"{width}{between}{height}{after} landscape") == (height, width)


@pytest.mark.parametrize("name", PAPERS)
def test_paper_is_told_by_its_name(name):
    width, height = PAPERS[name]
    assert paper_size(name) == paper_size(name.upper()) == paper_size(f" {name.lower()} ") == (width, height)
    assert paper_size(f"{name}-landscape") == paper_size(f"{name} Landscape") == (height, width)


@pytest.mark.parametrize("name", ["", "B5", "A4x", "100", "100x", "x100", "0x10", "-5x10", "landscape", "A4landscape"])
def test_other_paper_is_refused(name):
    with pytest.raises(
        ValueError, match="there are A3, .*two sides in millimetres as 100x150, and each with -landscape"
    ):
        paper_size(name)


def test_letters_are_as_large_on_a_page_as_on_a_line():
    line = scale_of(line_of("a page of lines"))
    for rows in (2, 5, 40):
        assert scale_of(page_of(rows)) == pytest.approx(line, rel=0.15)
        assert page_of(rows).to_image().height == 120 * rows


def test_a_page_has_the_same_size_after_a_file(tmp_path):
    page = stack_lines([line_of("one"), None, line_of("two lines")])
    assert page.text.count("\n") == 2
    assert Ink.load(page.save(tmp_path / "page.inkml")).to_svg() == page.to_svg()


def test_line_ends_around_a_text_make_no_lines():
    ink = line_of("a line")
    assert Ink(ink.strokes, " \na line\n\n").to_image().size == ink.to_image().size


def test_lengths_are_those_asked_for_in_both_units():
    ink = page_of(3)
    pixels, paper = ink.to_svg(height=40, pen=2, margin=0), ink.to_svg(height=8, unit="mm", pen=0.5, margin=10)
    root, sheet = ET.fromstring(pixels), ET.fromstring(paper)
    assert float(root.get("height")) == pytest.approx((3 - 0.24) * 40) and 'stroke-width="2.00"' in pixels
    assert sheet.get("height").endswith("mm") and float(sheet.get("height")[:-2]) == pytest.approx(2.76 * 8 + 20)
    assert root.get("viewBox").split()[2:] == [root.get("width"), root.get("height")]
    assert 'stroke-width="0.5000"' in paper


def test_a_sheet_is_as_large_as_it_is_and_ink_that_is_larger_is_refused(tmp_path):
    a4 = Picture(height=8, unit="mm", sheet=PAPERS["A4"], margin=20, dpi=100)
    image = Image.open(page_of(3).save(tmp_path / "x.png", a4))
    assert image.size == (827, 1169) and round(image.info["dpi"][0]) == 100
    rows, columns = np.nonzero(np.asarray(image.convert("L")) < 250)
    assert abs(rows.min() / 100 * 25.4 - 20) < 1 and abs(columns.min() / 100 * 25.4 - 20) < 1
    with pytest.raises(ValueError, match="mm high with its margins, and the sheet 297: a smaller height"):
        page_of(40).to_svg(a4)


@given(strokes, ANY_TEXT, st.sampled_from(["px", "mm"]))
@settings(deadline=None, max_examples=60)
def test_ink_of_any_shape_lies_within_its_picture(raw, text, unit):
    ink, picture = Ink.from_strokes(raw, text), Picture(unit=unit)
    placed = place(ink.strokes, ink.text, picture)
    edge = picture.margin_width - picture.pen_width
    for stroke in placed.strokes:
        assert (stroke >= edge).all() and (stroke <= np.array(placed[1:]) - edge).all()
    svg = ink.to_svg(picture)
    assert ET.fromstring(svg) is not None and "nan" not in svg and "inf" not in svg
    assert ET.fromstring(animated_svg(ink)) is not None


@pytest.mark.parametrize(
    "raw",
    [
        [[(0, 0), (1e30, 1)]],
        [[(0, 0), (1, 1e30)]],
        [[(-3e38, -3e38), (3e38, 3e38)]],
        [[(0, 0), (1e-30, 1e-30)]],
        [[(5, 5)], [(5, 5)]],
    ],
)
def test_extremes_are_drawn_in_a_picture_of_bounded_size(raw):
    pixels = np.asarray(Ink.from_strokes(raw).to_image().convert("L"))
    assert pixels.shape[0] == 120 and pixels.shape[1] < 4000 and (pixels < 160).any()


@pytest.mark.parametrize("change", [dict(height=900_000), dict(height=5000)])
def test_pictures_beyond_measure_are_refused(tmp_path, change):
    with pytest.raises(ValueError, match=r"a PNG of [\d,]+ x [\d,]+ pixels is too large: .*smaller height"):
        page_of(12).save(tmp_path / "x.png", **change)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="pixels is too large"):
        line_of("a very long line " * 400).to_image()
    assert LARGEST[1] < Image.MAX_IMAGE_PIXELS  # Pillow opens what we write without a warning


@pytest.mark.parametrize(
    "wrong",
    [dict(height=0), dict(height=float("nan")), dict(pen=-1), dict(unit="pt"), dict(colour="no"), dict(sheet=(1, 0))],
)
def test_impossible_pictures_are_refused(wrong):
    with pytest.raises(ValueError):
        line_of("x").to_svg(**wrong)
    with pytest.raises(TypeError, match="thickness"):
        line_of("x").to_svg(thickness=1)


# ---------------------------------------------------------------- SVG
@pytest.mark.parametrize("change", [{}, dict(height=20), dict(height=8, unit="mm"), dict(pen=0.3)])
def test_a_plotter_draws_every_stroke_and_nothing_else(change):
    page = page_of(4)
    svg = page.to_svg(**change)
    tags = {e.tag.rpartition("}")[2] for e in ET.fromstring(svg).iter()}
    assert tags == {"svg", "title", "g", "path"}
    found = list(lengths(svg))
    assert len(found) == len(page.strokes)
    assert min(found) > 0.3 * Picture(**change).pen_width > 0


def test_the_paper_is_a_background_and_may_be_left_out():
    ink = line_of("x")
    assert 'style="background:#ffffff"' in ink.to_svg() and "background" not in ink.to_svg(background=None)
    clear = ink.to_image(background=None)
    assert clear.mode == "RGBA" and clear.getextrema()[3] == (0, 255)
    assert ink.to_image(colour="white", background="black").getpixel((0, 0)) == (0, 0, 0)


def test_png_is_the_same_drawing_at_every_size():
    ink = line_of("the same")
    small, large = (np.asarray(ink.to_image(height=h).convert("L").resize((200, 30))) for h in (120, 480))
    assert np.abs(small.astype(int) - large).mean() < 3


# ---------------------------------------------------------------- PDF
def commands_of(pdf):
    "The drawing commands of a PDF."
    packed = re.search(rb"stream\r?\n(.*?)endstream", pdf, re.S)[1].strip()
    return zlib.decompress(base64.a85decode(b"<~" + packed, adobe=True)).decode().split()


def test_pdf_is_vector_one_path_a_stroke_at_the_size_asked_for(tmp_path):
    page = page_of(3)
    pdf = page.save(tmp_path / "x.pdf", height=8, unit="mm", pen=0.4).read_bytes()
    assert pdf == page.save(tmp_path / "y.pdf", height=8, unit="mm", pen=0.4).read_bytes()
    box = [float(v) for v in re.search(rb"/MediaBox \[ ([^\]]+) \]", pdf)[1].split()]
    width, height = place(page.strokes, page.text, Picture(height=8, unit="mm"))[1:]
    assert box[2:] == pytest.approx([width / 25.4 * 72, height / 25.4 * 72], abs=0.01)
    commands = commands_of(pdf)
    assert [commands.count(c) for c in "mS"] == [len(page.strokes)] * 2 and commands.count("c") > 500
    assert not {"re", "f", "Do"} & set(commands)
    assert float(commands[commands.index("w") - 1]) == pytest.approx(0.4 / 25.4 * 72, rel=1e-3)
    with pytest.raises(ValueError, match="5 metres"):
        page.save(tmp_path / "z.pdf", height=4000, unit="mm")


def test_without_its_library_a_pdf_is_refused_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "reportlab.pdfgen.canvas", None)
    with pytest.raises(ModuleNotFoundError, match="a PDF needs reportlab: pip install reportlab"):
        line_of("x").save(tmp_path / "x.pdf")
    assert list(tmp_path.iterdir()) == []


def test_odd_titles_do_no_harm(tmp_path):
    odd = Ink(line_of("x").strokes, text="<&\"'>(\\)\x00\x0b\ud7ff")
    assert odd.save(tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")
    for svg in (odd.to_svg(), animated_svg(odd)):
        assert ET.fromstring(svg).find("{*}title").text == "<&\"'>(\\)\ufffd\ufffd\ud7ff"
    assert Image.open(io.BytesIO(odd.save(tmp_path / "x.png").read_bytes())).format == "PNG"


@pytest.mark.parametrize("pen", [6, 12, 40])
def test_a_broad_pen_leaves_no_slits(pen):
    "Every point within the pen's reach of a bend is ink."
    t = np.linspace(0, 12, 40)
    wave = np.stack([8 * t, 12 * np.sin(2 * t)], 1).astype(np.float32)
    picture = Picture(height=120, pen=pen, margin=40)
    (line,) = place([wave], "wave", picture).strokes
    grey = np.asarray(Ink.from_strokes([wave], text="wave").to_image(picture).convert("L"))
    middles = (line[1:] + line[:-1]) / 2  # the curve goes through them
    for angle in np.linspace(0, 6.28, 24):
        x, y = (middles + (pen / 2 - 1) * np.array([np.cos(angle), np.sin(angle)])).astype(int).T
        assert (grey[y, x] < 128).all()
