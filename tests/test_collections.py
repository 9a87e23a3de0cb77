"""One door for all data: what is found at a path, what a class of one's own must have, what is said of the rest."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_cli import graves

from conftest import trace_of
from graves_nb import collections
from graves_nb.alphabet import ASCII, Alphabet
from graves_nb.collections import CONTRACT, Collection, collection_classes, open_collection, register_collection
from graves_nb.corpus import NULL, HutterPrize, PennTreebank, Sentences, Symbols, TextFile
from graves_nb.iamondb import IAMOnDB
from graves_nb.ink import Ink
from graves_nb.own_ink import OwnInk
from graves_nb.unipen import Unipen


@pytest.fixture
def table(monkeypatch):
    "The table of classes, as it was before."
    monkeypatch.setattr(collections, "added", [])


def own_ink(folder, texts=("one two", "three four", "five")):
    folder.mkdir()
    for number, text in enumerate(texts):
        Ink.from_strokes(trace_of(text, 30.0), text=text, writer="me").save(folder / f"{number}.inkml")
    return folder


def penn(folder):
    folder.mkdir()
    for name in ("train", "valid", "test"):
        (folder / f"ptb.{name}.txt").write_text(" a cat sat \n it sat \n a cat \n")
    return folder


# -- what is found


def test_each_kind_is_found_by_its_path(tmp_path, unipen_folder):
    (tmp_path / "enwik8").write_bytes(b"<page>" * 50)
    (tmp_path / "poem.txt").write_text("roses are red\n" * 30)
    (tmp_path / "iam" / "lineStrokes").mkdir(parents=True)
    places = {
        PennTreebank: penn(tmp_path / "penn"),
        HutterPrize: tmp_path / "enwik8",
        TextFile: tmp_path / "poem.txt",
        IAMOnDB: tmp_path / "iam",
        OwnInk: own_ink(tmp_path / "own"),
        Unipen: unipen_folder,
    }
    assert list(places) == list(collection_classes())
    for cls, path in places.items():
        found = open_collection(path)
        assert type(found) is cls and isinstance(found, Collection)
        assert isinstance(found.name, str) and isinstance(found.splits, tuple) and found.kind in ("ink", "text")
        assert {found.train_split, found.valid_split} <= set(found.splits)
        assert cls.looked_for and all(hasattr(cls, part) or part == "name" for part in CONTRACT)
    for cls in (PennTreebank, HutterPrize, TextFile, OwnInk, Unipen):
        found = open_collection(places[cls])
        assert len(found.split(found.train_split)) and len(found.split(found.valid_split)) and found.summary()
        with pytest.raises(ValueError, match="'nosuch'"):
            found.split("nosuch")


def test_options_go_to_the_reader_that_knows_them(tmp_path):
    options = dict(level="word", unit="char", alphabet=ASCII, points_per_char=20.0)
    assert open_collection(penn(tmp_path / "penn"), **options).vocabulary.unit == "word"
    assert open_collection(own_ink(tmp_path / "own"), **options).points_per_char == 20
    with pytest.raises(TypeError, match="no collection takes the option lvel"):
        open_collection(tmp_path / "penn", lvel="word")
    (tmp_path / "enwik8").write_bytes(b"<page>" * 50)
    assert type(open_collection(tmp_path / "enwik8", [TextFile])) is TextFile


def test_a_path_that_is_nothing_is_told_with_what_was_looked_for(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="there is no .*nowhere"):
        open_collection(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no data at .*empty.*ptb\.train.*enwik8.*lineStrokes.*\.inkml"):
        open_collection(tmp_path / "empty")
    for name in ("empty", "nowhere"):
        failed = graves("data", tmp_path / name)
        assert failed.returncode == 1 and len(failed.stderr.strip().splitlines()) == 1 and name in failed.stderr


# -- a class of one's own


def members():
    return dict(
        name="mine",
        splits=("train", "valid"),
        found_at=staticmethod(lambda path: Path(path).name == "mine"),
        split=lambda self, name: [Ink.from_strokes([[(0, 0), (1, 1), (2, 0)]], text="abc")],
        report=lambda self: dict(lines=1),
        __init__=lambda self, root: None,
    )


def test_a_class_of_ones_own_is_found_first_and_lacks_nothing(table, tmp_path):
    mine = register_collection(type("Mine", (), members()))
    own_ink(tmp_path / "mine")
    found = open_collection(tmp_path / "mine")
    assert isinstance(found, mine) and mine.__bases__ == (object,)
    assert (found.kind, found.words(), found.words("train"), found.pace()) == ("ink", [], [], 1.0)
    assert found.summary() == ["mine:", "  lines: 1"]
    again = register_collection(type("Mine", (), members()))
    assert isinstance(open_collection(tmp_path / "mine"), again) and len(collections.added) == 1
    latest = register_collection(type("Later", (), members()))
    assert isinstance(open_collection(tmp_path / "mine"), latest)


@pytest.mark.parametrize("part", CONTRACT)
def test_what_is_missing_is_named(table, part):
    cls = type("Mine", (), {name: value for name, value in members().items() if name != part})
    with pytest.raises(TypeError, match=rf"Mine is no collection yet: it has no {part};"):
        register_collection(cls)
    assert collections.added == []


@pytest.mark.parametrize("part", CONTRACT)
def test_one_that_is_a_collection_by_name_only_is_refused_too(table, part):
    cls = type("Mine", (Collection,), {name: value for name, value in members().items() if name != part})
    with pytest.raises(TypeError, match=part):
        register_collection(cls)


def test_name_and_splits_may_be_set_when_an_object_is_made(table, tmp_path):
    class Late:
        def __init__(self, root):
            self.name, self.splits = str(root), ("train",)

        @staticmethod
        def found_at(path):
            return True

        def split(self, name):
            return []

        def report(self):
            return {}

    register_collection(Late)
    assert open_collection(tmp_path).name == str(tmp_path)


def test_a_command_learns_of_a_class_from_its_file(tmp_path):
    (tmp_path / "my_data.py").write_text(
        "from graves_nb.collections import register_collection\n"
        "@register_collection\n"
        "class Diary:\n"
        "    'Mine.'\n"
        "    name, splits = 'diary', ('train', 'valid')\n"
        "    def __init__(self, root): pass\n"
        "    found_at = staticmethod(lambda path: True)\n"
        "    def split(self, name): return []\n"
        "    def report(self): return dict(pages=7)\n"
    )
    code = "from graves_nb.cli import main; main()"
    for names, said in ((str(tmp_path / "my_data.py"), "pages: 7"), ("nowhere.py", "which is no file")):
        run = subprocess.run(
            [sys.executable, "-c", code, "data", tmp_path],
            env=os.environ | {"GRAVES_COLLECTIONS": names},
            capture_output=True,
            text=True,
        )
        assert said in run.stdout + run.stderr and "Traceback" not in run.stderr


# -- alphabets


def test_ink_in_other_letters_is_usable_with_their_alphabet(tmp_path):
    folder, polish = own_ink(tmp_path / "own", ("mały", "żółw", "Łódź")), Alphabet(ASCII.symbols + "ŁŻółźż")
    assert len(OwnInk(folder, alphabet=polish).split("train")) == 2
    assert len(OwnInk(folder, alphabet=Alphabet("abc", fold=True)).split("train")) == 2
    with pytest.raises(ValueError, match=r"0\.inkml cannot be used: its text has 'ł'; .*2 more"):
        OwnInk(folder).split("train")
    with pytest.raises(ValueError, match=r"1\.inkml cannot be used: its text has 'ż'; the network knows .*ł"):
        OwnInk(folder, alphabet=Alphabet(ASCII.symbols + "Łźłó")).split("train")


# -- sentences


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=12),
    st.booleans(),
    st.integers(1, 5),
    st.none() | st.integers(0, 99),
)
def test_every_sentence_begins_with_the_null_vector(sizes, ended, batch_size, seed):
    text = [v for size in sizes for v in [*range(1, size + 1), 0]]
    text = text if ended else text[:-1]
    if not text:
        return
    sentences = Sentences(Symbols(np.array(text, np.uint8)), 0, batch_size, seed)
    pieces, order = list(sentences), np.concatenate([np.array(rows) for rows in sentences.rows])
    columns = [(x[m], y[m]) for p in pieces for x, y, m in zip(p.x.t(), p.target.t(), p.mask.t(), strict=True)]
    columns = [(x, y) for x, y in columns if len(y)]
    in_order = [columns[i] for i in np.argsort(order)]
    assert torch.cat([y for _, y in in_order]).tolist() == text
    assert seed is not None or order.tolist() == list(range(len(columns)))
    for x, y in columns:
        assert x[0] == NULL and torch.equal(x[1:], y[:-1]) and 0 not in y[:-1]
    assert len(columns) == text[:-1].count(0) + 1 and all(p.reset for p in pieces)
    assert all(p.x.shape[1] == batch_size for p in pieces)


def test_sentences_of_like_length_stand_together_in_an_order_by_the_seed():
    text = [v for size in [9, 1, 5, 2, 8, 1, 6, 2] * 5 for v in [1] * size + [0]]
    by_seed = [Sentences(Symbols(np.array(text, np.uint8)), 0, 5, seed) for seed in (None, 1, 1, 2)]
    area, orders = [sum(p.mask.numel() for p in s) for s in by_seed], [[list(rows) for rows in s.rows] for s in by_seed]
    assert area[1] == len(text) < area[0] and orders[1] == orders[2] != orders[3]


def test_three_sentences_give_three_null_vectors(tmp_path):
    for level in ("char", "word"):
        corpus = open_collection(tmp_path / "penn" if level == "word" else penn(tmp_path / "penn"), level=level)
        pieces = list(Sentences(corpus.split("valid"), corpus.end))
        assert len(pieces) == 3 and [int((p.x == NULL).sum()) for p in pieces] == [1, 1, 1]
        decoded = corpus.vocabulary.decode(torch.cat([p.target[p.mask] for p in pieces]))
        assert decoded == "a cat sat\nit sat\na cat\n"


@pytest.mark.parametrize(("symbols", "batch_size"), [([], 1), ([1, 2], 0)])
def test_no_sentences_is_an_error(symbols, batch_size):
    with pytest.raises(ValueError, match="at least 1 sentence"):
        Sentences(Symbols(np.array(symbols, np.uint8)), 0, batch_size)


# -- damaged archives


@pytest.mark.parametrize("name", ["enwik8.zip", "enwik8"])
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_zip_is_never_read_as_text(tmp_path_factory, name, place, byte):
    path = tmp_path_factory.mktemp("zip") / name
    content = bytes(np.random.default_rng(0).integers(60, 90, 3000, np.uint8))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("enwik8", content)
    whole = path.read_bytes()
    place %= len(whole)
    for damaged in (whole[: max(place, 4)], whole[:place] + bytes([byte]) + whole[place + 1 :]):
        if name == "enwik8" and not damaged.startswith(b"PK\x03\x04"):
            continue
        path.write_bytes(damaged)
        try:
            corpus = HutterPrize(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            read = b"".join(corpus.vocabulary.decode(corpus.split(part)[:]) for part in corpus.splits)
            assert read == content


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zips_of_other_methods_that_are_damaged_are_told(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "enwik8.zip", "w", method) as archive:
        archive.writestr("enwik8", b"a page of it " * 300)
    data = bytearray((tmp_path / "enwik8.zip").read_bytes())
    data[60:70] = bytes(10)
    (tmp_path / "enwik8.zip").write_bytes(data)
    failed = graves("data", tmp_path)
    assert failed.returncode == 1 and "enwik8.zip is a damaged zip archive" in failed.stderr
