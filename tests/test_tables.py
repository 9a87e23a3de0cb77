"""Tables: what may stand beside the paper's figures, rows in order from the row before, nothing run twice."""

import json
import warnings
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from graves_nb import tables
from graves_nb.cli import app
from graves_nb.collections import Collection
from graves_nb.model import mean_model
from graves_nb.pretrained import load_model
from graves_nb.recipes import describe, find_recipe, prepare, read_results
from graves_nb.rows import BEYOND, BEYOND_INK, BEYOND_TEXT, MEANS, RECIPES, MeanRow
from graves_nb.settings import Reported, configure
from graves_nb.tables import (
    PAPER_DATA,
    TABLES,
    data_verdict,
    quick_name,
    result_faults,
    results_of,
    rows_of,
    run_table,
    table_markdown,
    table_text,
)

ALL = [row for table in TABLES for row in rows_of(table)]
LINE = dict(recipe="synthesis-fast", data="IAM-OnDB", split="valid", lines=1438, points=890_266)
LINE |= dict(
    nats=-1111.3, nats_per_point=-1.798, sse=0.427, info=dict(points=33_000_000), minutes=21.0, command="graves"
)
TEXT = dict(recipe="penn-char-fast", data="Penn Treebank by chars", split="test", dynamic=None, symbols=442_423)
TEXT |= dict(bpc=1.111, perplexity=75.0, error_rate=0.25)
SMALL = dict(hidden_size="6", points="900", batch_size="4", precision="fp32", warmup_updates="2", patience="0")


class Lines(Collection):
    "Something that calls itself IAM-OnDB."

    name, kind, splits = "IAM-OnDB", "ink", ("graves_train", "graves_valid")

    def __init__(self, **counts):
        self.counts = counts

    def split(self, name):
        if name not in self.counts:
            raise FileNotFoundError(f"no split {name!r}: testset_v.txt is missing")
        return range(self.counts[name])

    def report(self):
        return self.counts


@pytest.fixture
def penn(tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"ptb.{name}.txt").write_text(" ab ba \n ba ab ab \n" * 20)
    return tmp_path


def quiet(entry):
    pass


def test_every_row_of_the_paper_is_in_a_table_after_the_row_that_it_begins_with():
    names = [row.name for row in ALL]
    trained = [row for row in ALL if row not in MEANS]
    assert len(names) == len(set(names)) == 11 + len(BEYOND) + len(MEANS) and all(
        quick_name(row) in RECIPES for row in trained
    )
    assert all(names.index(row.after) < names.index(row.name) for row in trained if row.after and row not in BEYOND)
    quick = [quick_name(row) for row in trained]
    after = {name: find_recipe(name).after for name in quick if find_recipe(name).after}
    assert all(quick.index(before) < quick.index(name) for name, before in after.items())
    noisy = {row.name for row in trained if row.train.noise != "none"}
    assert noisy | {row.name for row in BEYOND} == {row.name for row in trained if row.after}
    assert set(after) == {quick_name(row) for row in trained if row.after}


def test_rows_that_are_not_in_the_paper_say_so(tmp_path):
    assert [row.name for row in BEYOND_TEXT] == ["penn-char-noise-dropout"]
    for row in BEYOND_TEXT:
        assert row in rows_of(1)[-1:] and row.train.noise == "fixed" and row.train.dropout_of == "candidates"
        assert row.train.dropout and row.train.average and row.reported.bpc is None
        assert table_text(1, []).count("  char, weight noise and dropout") == 2
        said = table_text(1, [TEXT | dict(recipe=row.name)])
        assert "noise and dropout\n    paper  not in the paper\n    here   at rest, 1.111 BPC" in said
    assert BEYOND == BEYOND_TEXT + BEYOND_INK and [row.name for row in BEYOND_INK] == [
        "prediction-3x400-longer",
        "synthesis-longer",
        "synthesis-dropout",
        "synthesis-decay",
        "synthesis-decay-2",
        "synthesis-decay-3",
        "synthesis-decay-4",
    ]
    assert [(row.name, row in rows_of(4)) for row in MEANS] == [("synthesis-mean", True)]
    for row, table in zip(BEYOND_INK, (3, 4, 4, 4, 4, 4, 4), strict=True):
        how = row.name.removeprefix("prediction-3x400-").removeprefix("synthesis-")
        assert bool(row.train.dropout) == (how == "dropout") and row.train.average and row.reported.nats is None
        assert bool(row.train.weight_decay) == (how.startswith("decay") or table == 3)
        assert row in rows_of(table)[3 if table == 3 else 2 :] and f"{how}\n    paper  not in the paper" in table_text(
            table, []
        )
        figures = LINE | dict(recipe=row.name, nats=-1234.5)
        assert "here   -1234.5 nats a line" in table_text(table, [figures])
    done = list(run_table(3, [tmp_path], tmp_path / "out", paper=True, report=quiet))
    assert len(done) == 3 and not any("longer" in said for said in done)


def test_a_row_begins_with_the_run_that_is_made_before_it():
    assert find_recipe("synthesis-adaptive").after == "synthesis"
    assert find_recipe("synthesis-adaptive-fast").after == "synthesis-fast" == find_recipe("synthesis-longer").after
    assert find_recipe("synthesis-decay").after == "synthesis-longer"
    for row in BEYOND:
        assert f"set init_from to a run of {row.after}" in describe(row) and row.after in RECIPES


def test_a_row_that_begins_with_random_weights_though_it_goes_on_says_so(penn, tmp_path):
    recipe = replace(configure(find_recipe("penn-word-noise-fast"), SMALL), init_from="")
    with pytest.warns(
        UserWarning, match="penn-word-noise-fast is to go on from a run of penn-word-fast, and begins with"
    ):
        prepare(recipe, penn, tmp_path / "run", report=quiet)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare(configure(find_recipe("penn-word-fast"), SMALL), penn, tmp_path / "first", report=quiet).fit(minutes=0)
        prepare(replace(recipe, init_from=str(tmp_path / "first")), penn, tmp_path / "second", report=quiet)


def test_data_that_are_the_papers_are_told_from_others():
    expected = PAPER_DATA["IAM-OnDB"]
    assert "figures can be compared" in data_verdict(Lines(**expected))
    less = data_verdict(Lines(**expected | dict(graves_train=10_000)))
    assert "cannot be compared" in less and "10,000, the paper has 10,741" in less
    lacking = data_verdict(Lines(graves_train=10_741))
    assert "graves_valid: none of 1,438" in lacking and "testset_v.txt is missing" in lacking
    other = Lines(**expected)
    other.name = "UNIPEN"
    assert "UNIPEN is not what the paper used" in data_verdict(other)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        (dict(split="graves_valid"), None),
        (dict(lines=1437), "1,437 of 1,438"),
        (dict(split="test"), "of the split test"),
        (dict(data="UNIPEN"), "of UNIPEN"),
        (dict(data_faults=["train: 5, the paper has 10,741"]), "trained on other data: train: 5, the paper has 10,741"),
    ],
)
def test_a_figure_stands_beside_the_papers_only_if_it_is_of_all_its_data(change, fault):
    result = LINE | change
    assert result_faults(result) == ([] if fault is None else [fault])
    text, site = table_text(4, [result]), table_markdown(4, [result])
    beside, _, below = text.partition("not the paper's data")
    assert ("-1111.3" in beside) == (fault is None) == ("-1111.3" not in below)
    assert fault is None or fault in below and fault in site
    assert ("33M points in 21 min" in beside) == (fault is None)
    assert "adaptive" in beside and "nobody has run it yet" in beside


def test_what_the_package_has_is_in_the_tables_and_no_other_data_stand_beside_the_papers():
    results = read_results()
    shown = [r.figures for table in TABLES for r in results_of(table, results)]
    assert {r["recipe"] for r in results} == {r["recipe"] for r in shown}
    assert all(r.faults for table in TABLES for r in results_of(table, results) if "UNIPEN" in r.figures["data"])


def test_rows_are_run_in_order_each_from_the_row_before_and_not_twice(penn, monkeypatch):
    begun = []
    prepare = tables.prepare
    monkeypatch.setattr(tables, "prepare", lambda recipe, *rest: begun.append(recipe) or prepare(recipe, *rest))
    monkeypatch.setattr(tables, "rows_of", lambda table: [r for r in rows_of(table) if r.data.text == "penn-word"])
    done = list(run_table(1, [penn / "nowhere", penn], penn / "out", SMALL, report=quiet))
    assert len(done) == 6 and [r.name for r in begun] == ["penn-word-fast", "penn-word-noise-fast"]
    assert begun[1].init_from == str(penn / "out" / "penn-word-fast") and begun[1].train.noise == "fixed"
    record = json.loads((penn / "out" / "results" / "penn-word-noise-fast-dynamic.json").read_text())
    assert record["recipe"] == "penn-word-noise-fast" and record["dynamic"]["learning_rate"] > 0
    assert record["split"] == "test" and len(record["data_faults"]) == 3 and record["minutes"] >= 0
    assert load_model(penn / "out" / "penn-word-noise-fast").info["recipe"] == "penn-word-noise-fast"
    (penn / "out" / "results" / "penn-word-noise-fast.json").unlink()
    again = list(run_table(1, [penn], penn / "out", SMALL, report=quiet))
    assert "done already" in again[0] and len(again) == 2 and len(begun) == 3
    (penn / "out" / "results" / "penn-word-noise-fast-rms.json").unlink()
    (penn / "out" / "penn-word-noise-fast").rename(penn / "elsewhere")
    kept = "penn-word-noise-fast.json, penn-word-noise-fast-dynamic.json came from a run that is no longer in"
    said = list(run_table(1, [penn], penn / "out", SMALL, report=quiet))
    assert len(said) == 2 and kept in said[1] and len(begun) == 3
    assert not (penn / "out" / "penn-word-noise-fast").exists()
    monkeypatch.setattr(tables, "rows_of", rows_of)
    assert all("not run" in said for said in run_table(4, [penn], penn / "out", report=quiet))


def test_a_mean_is_made_of_the_rows_that_are_there_and_judged_as_they_are(penn, monkeypatch):
    words = [row for row in rows_of(1) if row.data.text == "penn-word"]
    shares = {"penn-word-fast": 1.0, "penn-word-noise-fast": 3.0}
    mean = MeanRow("penn-word-mean", shares, Reported("table 1, word, mean"), words[0].data)
    monkeypatch.setattr(tables, "MEANS", [mean])
    monkeypatch.setattr(tables, "rows_of", lambda table: [mean])
    assert list(run_table(1, [penn], penn / "out", SMALL, paper=True, report=quiet)) == []
    (said,) = run_table(1, [penn], penn / "out", SMALL, report=quiet)
    assert said == "penn-word-mean: not run: it is a mean with penn-word-fast, which is not run"
    monkeypatch.setattr(tables, "rows_of", lambda table: [*words, mean])
    done = list(run_table(1, [penn], penn / "out", SMALL, report=quiet))
    assert len(done) == 9 and done[-1].startswith("penn-word-mean: dynamic by rms")
    parts = [load_model(penn / "out" / name) for name in shares]
    made = load_model(penn / "out" / "penn-word-mean")
    for name, weights in mean_model(parts, [1, 3]).network.state_dict().items():
        assert torch.equal(weights, made.network.state_dict()[name])
    record = json.loads((penn / "out" / "results" / "penn-word-mean.json").read_text())
    assert record["recipe"] == "penn-word-mean" and record["info"]["shares"] == shares and not record["dynamic"]
    below = table_text(1, read_results([penn / "out" / "results"])).partition("not the paper's data")[2]
    assert "penn-word-mean (82,430" not in below and "penn-word-mean" in below
    assert all("done already" in said for said in run_table(1, [penn], penn / "out", SMALL, report=quiet))
    (nowhere,) = [said for said in run_table(1, [], penn / "other", SMALL, report=quiet) if "mean" in said]
    assert nowhere == "penn-word-mean: not run: no --data was given"


def test_the_command_shows_tables_and_refuses_what_it_cannot_do(tmp_path):
    def graves(*words):
        return CliRunner().invoke(app, ["tables", *map(str, words)])

    shown = graves()
    assert shown.exit_code == 0 and all(f"table {n}:" in shown.output for n in TABLES)
    assert shown.output.count("nobody has run it yet") <= 2 * len(ALL)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "synthesis-fast.json").write_text(json.dumps(LINE))
    assert "here   -1111.3 nats a line" in graves(4, "--out", tmp_path).output
    for words in ((5,), (4, "--run"), (4, "--paper"), (4, "--out", tmp_path / "nowhere")):
        assert graves(*words).exit_code != 0
