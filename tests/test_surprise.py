"""What surprises a network of text: by hand, step by step, and as a page that shows nothing but the text."""

import html
import re

import numpy as np
import pytest
import torch
from commands import graves
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb import surprise
from graves_nb.corpus import ALL_BYTES, END, NULL, Vocabulary
from graves_nb.model import TextModel
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.surprise import Surprise, surprise_page, surprises


def model_of(vocabulary, cells=6):
    torch.manual_seed(0)
    return TextModel(PredictionNetwork(PredictionConfig(len(vocabulary), cells, 2, "softmax")), vocabulary)


BYTES = model_of(ALL_BYTES)


def by_steps(model, text):
    "Bits of each symbol, by the plain step in float64: the oracle."
    network, bits, before = model.network.double(), [], NULL
    state = network.initial_state(torch.tensor([NULL]))
    for index in model.vocabulary.encode(text).tolist():
        y, state, _ = network.step(torch.tensor([before]), state)
        bits.append(-y.log_softmax(-1)[0, index].item() / np.log(2))
        before = index
    model.network.float()
    return bits


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_characters_tell_what_their_bytes_do(text):
    told = surprises(BYTES, text)
    assert [s.text for s in told] == list(text)
    expected, at = by_steps(BYTES, text), 0
    for s in told:
        n = len(s.text.encode())
        assert s.bits == pytest.approx(sum(expected[at : at + n]), rel=1e-4)
        at += n


def test_a_text_in_pieces_is_the_text_as_a_whole(monkeypatch):
    text = "in pieces, or as a whole" * 3
    whole = [s.bits for s in surprises(BYTES, text)]
    monkeypatch.setattr(surprise, "STEPS", 7)
    np.testing.assert_allclose([s.bits for s in surprises(BYTES, text)], whole, rtol=1e-5)


def test_words_and_what_was_expected():
    model = model_of(Vocabulary("word", ("one", "two", END)))
    told = surprises(model, "two one\ntwo")
    assert [s.text for s in told] == ["two ", "one ", "\n", "two ", "\n"]
    for s in told:
        shares = [p for _, p in s.expected]
        assert sorted(symbol for symbol, _ in s.expected) == sorted(["one", "two", END])
        assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match="vocabulary of 3 has not: 'three'"):
        surprises(model, "three")


def test_a_page_has_the_text_and_nothing_that_runs():
    told = surprises(BYTES, '<script>&\n"quoted"</script>')
    page = surprise_page(told, "<b>")
    inside = re.search(r"<pre>(.*)</pre>", page, re.S)[1]
    assert html.unescape(re.sub(r"<[^>]*>", "", inside)).replace("↵", "") == "".join(s.text for s in told)
    assert "<script" not in page and "<h1>&lt;b&gt;</h1>" in page
    shades = re.findall(r'class="s(\d)" title', page)
    assert [int(k) for k in shades] == [min(round(s.bits), 8) for s in told]
    assert 'title="2.5 bits; expected: blank 50%"' in surprise_page([Surprise("x", 2.5, ((" ", 0.5),))])


def test_from_a_pipe_to_a_pipe(tmp_path):
    run = graves("surprise", "-", "-o", "-", stdin="na\u00efve".encode(), cwd=tmp_path)
    assert run.returncode == 0 and "5 characters or words" in run.stderr
    assert run.stdout.decode().startswith("<!DOCTYPE html>") and list(tmp_path.iterdir()) == []


def test_a_text_is_shown_as_it_would_be_kept(tmp_path):
    words = ["sample", "--model", "wiki", "--length", "50", "--prime", "The ", "--seed", "3"]
    shown = graves(*words, cwd=tmp_path)
    assert graves(*words, "-o", "kept.txt", cwd=tmp_path).returncode == 0
    assert shown.stdout == (tmp_path / "kept.txt").read_bytes() + b"\n" and shown.stderr == ""
