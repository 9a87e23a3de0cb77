"""The tool that makes the pictures of notebooks, as far as it needs no browser."""

import copy

import nbformat
import pytest
from key_pictures import (
    FIGURE,
    KINDS,
    MOST,
    MOST_TOGETHER,
    PICTURES,
    code_digest,
    cropped,
    digest_of,
    faults_of,
    key_output,
    numbered,
    on_paper,
    packed,
    picture_of,
    what_is_seen,
    with_picture_shown,
)  # fmt: skip
from pages import page_of
from PIL import Image


def cell(kind, source, *outputs):
    made = dict(cell_type=kind, source=source, metadata={}, id="x")
    return made | dict(outputs=[dict(data=data) for data in outputs]) if kind == "code" else made


def notebook():
    plot = {FIGURE: dict(data=[dict(type="scatter", name="loss")], layout=dict(xaxis=dict(title=dict(text="points"))))}
    ink = {"text/plain": "Ink", "image/svg+xml": '<svg aria-label="a &amp; b"></svg>'}
    cells = [
        cell("code", "#| default_exp thing"),
        cell("markdown", "# Thing\n\n> A promise."),
        cell("code", "plot", plot),
        cell("markdown", "prose"),
        cell("code", "ink", ink),
        cell("code", "print(1)", {"text/plain": "1"}),
    ]
    return dict(cells=cells)


def test_the_last_picture_stands_for_a_notebook_unless_another_is_marked():
    made = notebook()
    assert key_output(made)[0] == "image/svg+xml"
    made["cells"][2]["source"] = ["#| key\n", "plot"]
    assert key_output(made)[0] == FIGURE
    assert key_output(dict(cells=made["cells"][:2])) is None
    assert KINDS[0] == FIGURE


def test_the_first_words_about_a_picture_are_taken_from_it():
    made = notebook()
    assert what_is_seen(*key_output(made)) == "Handwriting: a & b"
    made["cells"][2]["source"] = "#| key\nplot"
    assert what_is_seen(*key_output(made)) == "A figure: points; loss"


def test_digests_are_of_code_alone():
    made, other, lines = notebook(), notebook(), notebook()
    other["cells"][3]["source"] = "other prose"
    lines["cells"][2]["source"] = ["pl", "ot"]
    assert code_digest(made) == code_digest(other) == code_digest(lines)
    other["cells"][2]["source"] = "other code"
    assert code_digest(made) != code_digest(other)


def test_a_notebook_shows_its_picture_once_after_its_opening():
    made = with_picture_shown(notebook(), "05_thing", "ink [of a kind]")
    assert made["cells"][2]["source"] == ["![ink of a kind](pictures/05_thing.png)"]
    assert code_digest(made) == code_digest(notebook())
    assert with_picture_shown(copy.deepcopy(made), "05_thing", "something else") == made


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_pictures_are_small_and_say_of_which_code_they_are(tmp_path, mode):
    noise = Image.effect_noise((640, 440), 200).convert(mode)
    file = tmp_path / "noise.png"
    file.write_bytes(packed(noise, "0123456789abcdef"))
    assert file.stat().st_size <= MOST and digest_of(file) == "0123456789abcdef"
    assert digest_of(tmp_path / "none.png") is None


def test_what_is_white_above_and_below_is_cut_off():
    image = Image.new("RGB", (60, 100), "white")
    image.paste("black", (10, 40, 50, 60))
    assert cropped(image).size == (60, 36) and cropped(image.crop((0, 0, 60, 30))).size == (60, 30)


def test_figures_are_drawn_in_one_size_without_controls():
    figure = dict(data=[], layout=dict(height=3000, width=200, updatemenus=[1], sliders=[1], font=dict(size=40)))
    layout = on_paper(figure)["layout"]
    assert (layout["width"], layout["height"], layout["font"]["size"]) == (640, 440, 11)
    assert not {"updatemenus", "sliders"} & set(layout) and figure["layout"]["width"] == 200


def test_a_notebook_without_its_picture_is_found(tmp_path):
    file = tmp_path / "05_nothing.ipynb"
    file.write_text('{"cells": []}')
    assert faults_of(file) == ["05_nothing.ipynb has no picture"]


def test_the_site_runs_its_notebooks_and_leaves_out_what_stands_for_a_run(tmp_path):
    made = nbformat.v4.new_notebook()
    made.cells = [
        nbformat.v4.new_markdown_cell("# Thing"),
        nbformat.v4.new_markdown_cell("![what is seen there](pictures/05_thing.png)"),
        nbformat.v4.new_code_cell("#| key\nplot()"),
    ]
    nbformat.write(made, tmp_path / "05_thing.ipynb")
    page = page_of(tmp_path / "05_thing.ipynb", tmp_path / "05_thing.ipynb", {})
    assert [c.source for c in page.cells] == ["# Thing", "plot()"]


@pytest.mark.parametrize("path", numbered(), ids=lambda path: path.stem)
def test_every_notebook_shows_a_picture_of_its_own_code(path):
    "`make key-pictures` mends what this finds."
    assert faults_of(path) == []


def test_there_are_no_other_pictures_and_they_are_small():
    assert sorted(PICTURES.iterdir()) == sorted(map(picture_of, numbered()))
    assert sum(picture.stat().st_size for picture in PICTURES.iterdir()) < MOST_TOGETHER
