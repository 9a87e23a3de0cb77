"""Texts: whatever people bring is read, folded, or refused clearly and in few words."""

import io
import os
import pickle
import re
import subprocess
import sys
import threading
import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from graves_nb.alphabet import ASCII
from graves_nb.texts import (
    FOLDINGS,
    Folded,
    Place,
    Replacement,
    UnwritableText,
    equivalent,
    fold,
    read_lines,
    read_text,
    show_foldings,
    single_line,
    strip_blanks,
    unwritable,
    unwritable_message,
    writable,
)

BEYOND = "\u2019\u201c\u2026\u00a0\u200b\ufeff\u00e9\u0301\u0327\u1ebf\u1eaf\u00df\u0142"
BEYOND += "\ufb01\u00bd\u00b2\u207b\u00b3\u226e\u0338"
ODD = "\ud800\udce9\x00\x07\r\n\v\x85\u2028\u4e2d\u03b1\U0001f600\ufe0f\u20e3\u200d"
ODD += "\u1100\u1161\u11a8\uac00\u212b\u304b\u3099"
alphabets = st.sampled_from(
    [ASCII.symbols, "abc e", ASCII.symbols + "\u00e9\u00fc\u00df\u00ea", "", "\u2019\u2026\u4e2d"]
)
pieces = st.one_of(st.characters(), st.sampled_from(BEYOND + ODD), st.characters(max_codepoint=0x17F), st.just("\r\n"))
texts = st.lists(pieces, max_size=30).map("".join)
plain = st.text(st.sampled_from(ASCII.symbols + "\n"), max_size=40)
files = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), min_size=1, max_size=40)


# -- folding


@given(texts, alphabets, st.booleans())
def test_every_character_is_written_or_refused_for_any_string(text, symbols, exact):
    folded = fold(text, symbols, {} if exact else FOLDINGS)
    assert set(folded.text) <= set(symbols) | {"\n"}
    lines = re.split("\r\n|\r|\n", text)
    for place in folded.refused:
        rest = lines[place.line - 1][place.column - 1 :]
        composed = [unicodedata.normalize("NFC", rest[:n]) for n in range(1, len(rest) + 1)]
        assert place.character in composed or place.character in rest
    if not folded.refused and not folded.replaced:
        assert unicodedata.normalize("NFC", folded.text) == unicodedata.normalize("NFC", text)


@given(texts, alphabets)
def test_folding_twice_changes_nothing(text, symbols):
    once = fold(text, symbols).text
    assert fold(once, symbols) == Folded(once)


@given(texts, alphabets)
def test_folding_with_others_kept_twice_changes_nothing(text, symbols):
    once = fold(text, symbols, others=True)
    assert not once.refused
    assert fold(once.text, symbols, others=True).text == once.text


@given(plain)
def test_a_writable_text_stays_as_it_is(text):
    assert fold(text, ASCII.symbols) == fold(text, ASCII.symbols, {}) == Folded(text)


@given(texts, st.data())
def test_what_the_alphabet_has_is_never_folded(text, data):
    symbols = set(data.draw(st.lists(st.sampled_from(sorted(set(text))), unique=True))) if text else set()
    kept = fold("".join(c for c in text if c in symbols and c not in "\r"), symbols)
    assert not kept.replaced and not kept.refused


@given(texts, alphabets)
@example("a\u0338\u0301", "a")
@example("\u1ebf", "e")
def test_composed_and_decomposed_texts_fold_to_the_same(text, symbols):
    composed, decomposed = (fold(unicodedata.normalize(form, text), symbols) for form in ("NFC", "NFD"))
    assert composed.text == decomposed.text and composed.replaced == decomposed.replaced
    assert [p.character for p in composed.refused] == [p.character for p in decomposed.refused]


@given(st.characters())
def test_one_character_is_one_replacement_or_one_refusal(character):
    folded = fold(character, ASCII.symbols)
    assert len(folded.replaced) + len(folded.refused) <= 1
    if not folded.replaced and not folded.refused:
        assert folded.text == unicodedata.normalize("NFC", character)


@pytest.mark.parametrize(
    "brought, written",
    [
        ("\u2018a\u2019 \u201cb\u201d \u201ec\u201f \u00abd\u00bb \u2039e\u203a", '\'a\' "b" "c" "d" \'e\''),
        ("a\u2013b\u2014c\u2012d\u2015e\u2212f\u2010g\u2011h", "a-b-c-d-e-f-g-h"),
        ("wait\u2026", "wait..."),
        ("a\tb\u00a0c\u2009d\u3000e\u202ff", "a b c d e f"),
        ("\ufeffso\u00adft\u200b \u2764\ufe0f"[:-2], "soft "),
        ("\ufb01n o\ufb00 su\ufb04e", "fin off suffle"),
        ("\u2022 2 \u00d7 3 \u00f7 4", "* 2 x 3 / 4"),
        ("\u2122 \u00a9 \u00bd 20\u00b0", "(TM) (c) 1/2 20deg"),
        ("1\u00bd m\u00b2, 10\u207b\u00b3, H\u2082O", "1 1/2 m^2, 10^-3, H2O"),
        ("\uff28\uff49\uff01 \U0001d400 \u2160\u2163", "Hi! A IIV"),
        ("caf\u00e9 u\u0308ber \u00df \u00e6\u00c6 \u00f8 \u0153 \u0142 \u0131", "cafe uber ss aeAE o oe l i"),
        ("\u0141\u00f3d\u017a, \u010ce\u0161tina, Ti\u1ebfng Vi\u1ec7t, \u0110\u1ed7", "Lodz, Cestina, Tieng Viet, Do"),
        ("a\r\nb\rc\u2028d\x0be", "a\nb\nc\nd\ne"),
        ("1\ufe0f\u20e3", "1"),
    ],
)
def test_what_word_processors_bring_is_written(brought, written):
    folded = fold(brought, ASCII.symbols)
    assert folded.text == written and not folded.refused


@pytest.mark.parametrize(
    "text", ["\u226e", "~\u0338", "\u4e2d", "\u03b1", "\U0001f600", "\x07", "\ud800", "\u05d0", "\u221e"]
)
def test_what_has_no_equivalent_is_refused(text):
    assert fold(text, ASCII.symbols).refused == (Place(text, 1, 1),)


def test_the_table_can_be_changed_and_switched_off():
    assert fold("a\u2192b", ASCII.symbols, {**FOLDINGS, "\u2192": " to "}).text == "a to b"
    assert fold("it\u2019s \u00e9", ASCII.symbols, {}).refused == (Place("\u2019", 1, 3), Place("\u00e9", 1, 6))
    assert fold("e\u0301", "\u00e9", {}) == Folded("\u00e9")  # composing replaces nothing
    assert equivalent("\u2026", "abc.") == "..." and equivalent("\u2026", "abc") is None
    assert all(f"{written:12} " in show_foldings() for written in ("...", "(TM)", "nothing", "a blank"))
    with pytest.raises(TypeError):
        FOLDINGS["a"] = "b"


def test_replacements_are_counted_and_told_in_one_line():
    folded = fold("It\u2019s Ann\u2019s\u2026 \u00e9\u00a0", ASCII.symbols)
    assert folded.replaced[0] == Replacement("\u2019", "'", 2)
    assert folded.note("--exact refuses them") == (
        "5 characters replaced: \u2019 by ' (2), \u2026 by ... (1), \u00e9 by e (1), "
        "U+00A0 (no-break space) by a blank (1); --exact refuses them"
    )
    assert Folded("x").note("never") == ""


@given(texts)
def test_notes_are_one_short_line_that_can_be_printed(text):
    note = fold(text, ASCII.symbols).note()
    assert "\n" not in note and len(note) < 1500
    note.encode()


# -- refusing


@given(texts)
def test_writable_gives_a_text_that_encodes_or_a_short_error(text):
    try:
        folded = writable(text, ASCII.symbols)
    except ValueError as error:
        message = str(error)
        message.encode()
        assert "\n" not in message and len(message) < 2500
        if isinstance(error, UnwritableText):
            assert error.refused and set(error.nearest) <= set(ASCII.symbols + "\n")
    else:
        assert folded.text == folded.text.strip() != "" and not folded.refused
        ASCII.encode(folded.text.replace("\n", " "))


def test_a_long_text_is_not_printed():
    text = "a" * 2500 + "\n" + "b" * 2499 + "\u4e2d"
    for error in (pytest.raises(UnwritableText, writable, text, ASCII.symbols).value, unwritable(text, ASCII.symbols)):
        assert "a text of 5,001 characters" in str(error) and "in line 2, column 2500" in str(error)
        assert len(str(error)) < 400
    with pytest.raises(UnwritableText) as refused:
        ASCII.encode("a" * 4999 + "\u00e9")
    assert len(str(refused.value)) < 200 and "line 1, column 5000" in str(refused.value)


def test_all_are_refused_at_once_ten_named():
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 200)))
    with pytest.raises(
        UnwritableText, match="and 190 others in a text of 200 characters.* and 190 more; nothing else"
    ) as refused:
        writable(text, ASCII.symbols)
    assert len(refused.value.refused) == 200 and refused.value.nearest == ""
    assert str(refused.value).count("line 1") == 10


def test_the_nearest_writable_text_is_offered():
    with pytest.raises(UnwritableText, match=r"'I  ink' can be written$") as refused:
        writable("I \u2665 ink", ASCII.symbols)
    assert refused.value.nearest == "I  ink"
    with pytest.raises(UnwritableText, match='"it\'s" can be written'):
        writable("it\u2019s", ASCII.symbols, {})
    assert str(unwritable("two\nlines", ASCII.symbols)).count("--page") == 1
    assert unwritable("two\nlines", ASCII.symbols).nearest == "two lines"


def test_the_error_travels_between_processes():
    error = unwritable("caf\u00e9", ASCII.symbols)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.refused, again.nearest) == (str(error), error.refused, error.nearest)
    assert str(error) == unwritable_message("caf\u00e9", error.refused, "cafe")


@given(texts, alphabets)
def test_unwritable_names_what_is_outside_at_its_place(text, symbols):
    refused = unwritable(text, symbols).refused
    assert [p.character for p in refused] == [c for c in text if c not in symbols]


# -- blanks and lines


@given(st.text(st.sampled_from(" ab\n\t"), max_size=10))
def test_blanks_are_stripped_at_the_ends_alone(text):
    if text.strip():
        assert strip_blanks(text) == text.strip() and strip_blanks(text) in text
    else:
        with pytest.raises(ValueError, match="nothing to write"):
            strip_blanks(text)


def test_what_folds_to_nothing_is_blank():
    for text in ("\u200b\ufeff", "\u00a0\t", " \n "):
        with pytest.raises(ValueError, match="the text is blank"):
            writable(text, ASCII.symbols)
    with pytest.raises(ValueError, match="the text is empty"):
        writable("", ASCII.symbols)


def test_one_line_is_one_line():
    assert single_line(writable("one line\r\n", ASCII.symbols).text) == "one line"
    with pytest.raises(ValueError, match="3 lines and one is written: --page"):
        single_line("a\nb\nc")


# -- reading


@given(files, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be", "utf-32-be", "utf-16-le"]))
def test_marked_encodings_are_read(text, encoding):
    assume("\n" not in text and "\r" not in text)
    mark = "\ufeff" if encoding.endswith("e") else ""
    data = (mark + text).encode(encoding)
    assert read_text(io.BytesIO(data)) == text
    assert [line for _, line in read_lines(io.BytesIO(data))] == [text]


class Dripping(io.RawIOBase):
    "A stream that gives its bytes a few at a time."

    def __init__(self, data, size):
        self.data, self.size = io.BytesIO(data), size

    def readable(self):
        return True

    def read(self, n=-1):
        return self.data.read(min(self.size, n))


@given(
    st.lists(st.sampled_from(["a", "\u00e9", "\U0001f600", "\n", "\r\n", "\r", " "]), min_size=1).map("".join),
    st.integers(1, 5),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_lines_do_not_depend_on_how_the_bytes_arrive(text, size, encoding):
    clean = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = clean.removesuffix("\n").split("\n")
    assert list(read_lines(Dripping(text.encode(encoding), size))) == list(enumerate(lines, 1))
    assert read_text(Dripping(text.encode(encoding), size)) == clean


@given(
    st.lists(st.sampled_from(["a", "\u00e9", "\n", "\r\n"])).map("".join), st.sampled_from([b"\xff", b"\xe9x", b"\x80"])
)
def test_a_bad_byte_is_named_with_its_place(before, bad):
    clean = before.replace("\r\n", "\n")
    line, column = clean.count("\n") + 1, len(clean) - (clean.rfind("\n") + 1) + 1
    data = before.encode() + bad + b"\nmore"
    for read in (read_text, lambda stream: list(read_lines(stream))):
        for stream in (io.BytesIO(data), Dripping(data, 1)):
            with pytest.raises(
                ValueError, match=f"^the stream, line {line}, column {column}: byte 0x{bad[0]:02X} is no UTF-8"
            ):
                read(stream)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    for read in (read_text, lambda stream: list(read_lines(stream))):
        try:
            read(io.BytesIO(data))
        except ValueError as error:
            assert str(error).startswith("the stream") and len(str(error)) < 1200


@pytest.mark.parametrize(
    "data, told",
    [
        (
            "caf\u00e9".encode("latin-1"),
            r"column 4: byte 0xE9 .*Latin-1 or Windows-1252; try: iconv -f WINDOWS-1252 -t UTF-8 ",
        ),
        ("\u201cink\u201d".encode("cp1252"), "looks like Windows-1252"),
        ("handwriting".encode("utf-16-le"), "looks like UTF-16LE without its mark; try: iconv -f UTF-16LE"),
        ("l\u00e9gende".encode("utf-16-be"), "looks like UTF-16BE"),
        ("d\u00e9j\u00e0 vu ".encode() + b"\xe9", "most of it is UTF-8"),
        (b"PK\x03\x04\xff\xfe", "a ZIP file, as .docx"),
        (b"%PDF-1.4\xe2\xe3", "a PDF file"),
        ("ink".encode("utf-16")[:-1], "is no UTF-16-LE, as which its mark announces it"),
        (b"a\0b and a long line of text", r"'\\x00' in line 1, column 2; remove them"),
        (b"one\ntwo\x1b[0m", r"'\\x1b' in line 2, column 4"),
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
    ],
)
def test_what_is_no_text_is_told(tmp_path, data, told):
    path = tmp_path / "a file.txt"
    path.write_bytes(data)
    for read in (read_text, lambda p: list(read_lines(p))):
        with pytest.raises(ValueError, match=told) as refused:
            read(path)
        assert str(refused.value).startswith(str(path))


def test_missing_files_and_folders_are_told_at_once(tmp_path):
    for read in (read_text, read_lines):
        with pytest.raises(FileNotFoundError, match="cannot read .*none.txt: there is no such file"):
            read(tmp_path / "none.txt")
        with pytest.raises(IsADirectoryError, match="cannot read .*: it is a folder"):
            read(str(tmp_path))
        with pytest.raises(ValueError, match="no file can be called that"):
            read("a\0b")
        with pytest.raises(OSError, match="cannot read .*: Not a directory"):
            (tmp_path / "file").write_text("x")
            read(tmp_path / "file" / "below")
    with pytest.raises(TypeError, match="a stream of bytes, not from StringIO"):
        read_text(io.StringIO("x"))


def test_lines_come_while_the_pipe_is_open():
    source, sink = os.pipe()
    with os.fdopen(source, "rb") as stream, os.fdopen(sink, "wb", buffering=0) as pipe:
        lines = read_lines(stream)
        for number in range(1, 4):
            pipe.write(b"x\n")
            found = []
            reader = threading.Thread(target=lambda found=found: found.append(next(lines)), daemon=True)
            reader.start()
            reader.join(10)
            assert found == [(number, "x")]


def test_standard_input_is_read_once():
    code = "from graves_nb.texts import read_lines, read_text; print(list(read_lines('-')))"
    asked = subprocess.run(
        [sys.executable, "-c", code], input="\ufeffone\r\ntw\u00f6".encode(), capture_output=True, check=True
    )
    assert asked.stdout.decode().strip() == "[(1, 'one'), (2, 'tw\u00f6')]"


def test_the_room_is_light():
    code = "import sys, graves_nb.texts; assert not {'torch', 'numpy', 'plotly'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
