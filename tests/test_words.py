"""What the pages say: figures are those of the files they come from, and no notebook is left out."""

import json
import re

import figures
import list_notebooks
import pytest

ROOT = figures.ROOT
PAGES = figures.pages()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_figure_is_that_of_its_file(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("<!-- figure:") == len(figures.MACRO.findall(text)), "a figure without its end"
    assert figures.fresh(text) == text, "run `python docs/figures.py`"
    assert "<!-- figure:" not in figures.plain(text)


def test_there_are_figures():
    assert sum(len(figures.MACRO.findall(page.read_text(encoding="utf-8"))) for page in PAGES) > 25


def test_a_figure_by_key_place_and_name(tmp_path, monkeypatch):
    (tmp_path / "x.json").write_text(json.dumps({"a": [{"name": "b, c", "d": [1, 0.25]}]}))
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    text = "so <!-- figure: x.json a/b, c/d/1 .1% -->old<!-- --> it is"
    assert figures.plain(text) == "so 25.0% it is"
    assert figures.fresh(text) == text.replace("old", "25.0%")
    assert figures.plain(figures.fresh(text)) == figures.plain(text)


def test_both_lists_have_every_notebook():
    assert list_notebooks.main(write=False) == 0
    links = set(re.findall(r"\]\(([\w/]+\.ipynb)\)", json.dumps(json.loads(list_notebooks.index_with(ROOT)))))
    found = {
        p.relative_to(ROOT / "nbs").as_posix() for p in (ROOT / "nbs").rglob("*.ipynb") if "checkpoint" not in str(p)
    }
    assert links == found - {"index.ipynb"}


def test_a_notebook_that_is_missing_is_noticed(tmp_path, monkeypatch, capsys):
    for name in ("nbs/index.ipynb", "docs/notebooks.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    opening = dict(cell_type="markdown", id="a", metadata={}, source=["# New\n", "> A promise.\n"])
    (tmp_path / "nbs" / "19_new.ipynb").write_text(json.dumps(dict(cells=[opening])))
    monkeypatch.setattr(list_notebooks, "ROOT", tmp_path)
    assert list_notebooks.main(write=False) == 1 and "index.ipynb" in capsys.readouterr().err
    assert list_notebooks.main(write=True) == 0 and list_notebooks.main(write=False) == 0
    assert "[19_new](../nbs/19_new.ipynb) | A promise |" in (tmp_path / "docs" / "notebooks.md").read_text(
        encoding="utf-8"
    )
