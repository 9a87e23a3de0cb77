"""Text in and out of numbers: round trips, folding, and what is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb.alphabet import ASCII, PAPER_ALPHABET, Alphabet, TextBatch

ascii_texts = st.text(st.sampled_from(ASCII.symbols), min_size=1, max_size=30)


@settings(deadline=None)
@given(ascii_texts)
def test_encoding_can_be_undone(text):
    index = ASCII.encode(text)
    assert index.dtype == torch.int64 and index.shape == (len(text),)
    assert "".join(ASCII.symbols[i] for i in index) == text


def test_ascii_is_what_a_keyboard_prints():
    assert ASCII.symbols == "".join(chr(i) for i in range(128) if chr(i).isprintable())
    assert len(ASCII) == 95


def test_the_papers_alphabet_has_57_labels():
    assert len(PAPER_ALPHABET) == 57
    assert sum(c.isalpha() for c in PAPER_ALPHABET.symbols) == 52


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=0x2FF), min_size=1, max_size=30))
def test_folding_sends_every_other_character_to_the_last_label(text):
    index = PAPER_ALPHABET.encode(text).tolist()
    for character, i in zip(text, index, strict=True):
        if character in PAPER_ALPHABET.symbols:
            assert PAPER_ALPHABET.symbols[i] == character
        else:
            assert i == 56


def test_unknown_characters_are_named():
    with pytest.raises(ValueError, match=r"cannot write 'é', '…' in 'café…'"):
        ASCII.encode("café…")


@pytest.mark.parametrize("alphabet", [ASCII, PAPER_ALPHABET])
def test_empty_text_is_refused(alphabet):
    with pytest.raises(ValueError, match="empty"):
        alphabet.encode("")


@pytest.mark.parametrize("symbols", ["", "aba"])
def test_an_alphabet_needs_characters_each_once(symbols):
    with pytest.raises(ValueError, match="each once"):
        Alphabet(symbols)


@settings(deadline=None)
@given(st.lists(ascii_texts, min_size=1, max_size=5))
def test_a_batch_holds_its_texts_and_nothing_else(texts):
    batch = TextBatch.from_indices([ASCII.encode(text) for text in texts])
    assert batch.index.shape == batch.mask.shape == (len(texts), max(map(len, texts)))
    assert batch.lengths.tolist() == [len(text) for text in texts]
    assert batch.mask.sum() == sum(map(len, texts)) and not batch.index[batch.mask == 0].any()
    for row, text, n in zip(batch.index, texts, batch.lengths, strict=True):
        assert "".join(ASCII.symbols[i] for i in row[:n]) == text
