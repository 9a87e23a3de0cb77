"""Shipped models and styles: found by name, refused by name, and what they say of themselves."""

import numpy as np
import pytest

from graves_nb.ink import Ink
from graves_nb.pretrained import DEFAULT_MODEL, file_of_run, list_hands, list_models, load_hand, load_model, model_card


@pytest.fixture
def styles(tmp_path, monkeypatch):
    "A folder of two styles, and a file that is none."
    monkeypatch.setattr("graves_nb.pretrained.HANDS", tmp_path)
    for i, name in enumerate(("plain", "joined-wide"), 1):
        Ink.from_strokes([[(0, 0), (i, 1)]], text=f"hand {i}").save(tmp_path / f"0{i}-{name}.inkml")
    (tmp_path / "notes.txt").write_text("not a style")
    return tmp_path


def test_every_shipped_model_loads_and_says_its_kind():
    assert DEFAULT_MODEL in list_models()
    for name in list_models():
        model = load_model(name)
        assert model.kind in ("synthesis", "prediction", "text") and not model.network.training
        assert model_card(name).startswith(f"# {name}\n")
    assert load_model().kind == "synthesis"


def test_a_model_may_be_a_file_or_the_folder_of_a_run(tmp_path):
    model = load_model()
    path = model.save(tmp_path / "model.safetensors")
    for name in (path, str(path), tmp_path):
        assert load_model(name).network.config == model.network.config


def test_the_folder_of_a_run_means_its_best_model(tmp_path):
    model = load_model()
    assert file_of_run(tmp_path) == tmp_path / "model.safetensors"
    for name, points in (("model", 9), ("best", 5)):
        model.info["points"] = points
        model.save(tmp_path / f"{name}.safetensors")
        assert load_model(tmp_path).info["points"] == points
    assert load_model(tmp_path / "model.safetensors").info["points"] == 9


def test_styles_by_number_and_by_name(styles):
    assert list_hands() == ["plain", "joined-wide"]
    for name in (2, "2", "02", "style-02", "joined-wide"):
        assert load_hand(name).text == "hand 2"
        np.testing.assert_array_equal(load_hand(name).strokes[0], [[0, 0], [2, 1]])


@pytest.mark.parametrize("name", [0, 3, -1, "notes", "style-3", "../01-plain", "01-plain", "style-", "", "\u0662"])
def test_what_is_no_style(styles, name):
    with pytest.raises(ValueError, match="no hand .*: shipped are plain, joined-wide"):
        load_hand(name)


def test_no_styles_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr("graves_nb.pretrained.HANDS", tmp_path / "none")
    assert list_hands() == []
    with pytest.raises(ValueError, match="shipped are none"):
        load_hand(1)


def test_shipped_styles_are_ink_with_text_that_the_model_knows():
    for i, name in enumerate(list_hands(), 1):
        style = load_hand(i)
        assert style.writer == f"{i:02d}-{name}"
        assert 25 <= len(style.text) <= 35 and len(load_model().encode(style.text)) == len(style.text)
        assert 200 < len(style) < 1000
