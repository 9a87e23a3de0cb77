"""IAM-OnDB as its users have it on disk, written on the spot: whole, in archives, and broken in every way."""

import errno
import io
import math
import multiprocessing
import re
import shutil
import tarfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from graves_nb import iamondb
from graves_nb.alphabet import PAPER_ALPHABET
from graves_nb.files import each
from graves_nb.iamondb import (
    ARCHIVES,
    SETS,
    IAMOnDB,
    correct,
    fill_gaps,
    find_parts,
    read_strokes,
    read_transcription,
    read_writer,
    remove_steps,
    resolve,
    try_line,
)
from graves_nb.ink import OffsetScaler

settings.register_profile("steady", deadline=None)  # how fast a busy machine is proves nothing
settings.load_profile("steady")

HEAD = """<?xml version="1.0" encoding="ISO-8859-1"?>
<WhiteboardCaptureSession>
  <WhiteboardDescription>
    <SensorLocation corner="top_left"/>
    <DiagonallyOppositeCoords x="6512" y="1376"/>
    <VerticallyOppositeCoords x="966" y="1376"/>
    <HorizontallyOppositeCoords x="6512" y="787"/>
  </WhiteboardDescription>
  <StrokeSet>
"""
FOOT = "  </StrokeSet>\n</WhiteboardCaptureSession>\n"


def xml_of(strokes):
    rows = []
    for s in strokes:
        rows.append(f'    <Stroke colour="black" start_time="{s[0][2]:.2f}" end_time="{s[-1][2]:.2f}">\n')
        rows += [f'      <Point x="{x:.0f}" y="{y:.0f}" time="{t:.2f}"/>\n' for x, y, t in s]
        rows.append("    </Stroke>\n")
    return HEAD + "".join(rows) + FOOT


def loops(text, start=1000, now=769.05):
    "A loop a letter, 24 readings each, at a clock of hundredths."
    strokes = []
    for place, c in enumerate(text):
        if c != " ":
            t = np.linspace(0, 2 * np.pi, 24)
            x, y = start + 200 * place + 25 * t - 40 * np.cos(t), 1000 + (60 + ord(c)) * np.sin(t)
            strokes.append(np.column_stack([x.round(), y.round(), (now + 0.015 * np.arange(24)).round(2)]))
            now += 0.6
    return strokes


def form_xml(form, writer):
    "A whole form; those that were not recorded in Bern have no General."
    general = f"""  <General>
    <Caption/>
    <Form id="{form}" writerID="{writer}" saveTime="1"/>
    <Setting location="IAM" producer="made up"/>
  </General>
  <Transcription><Text>no matter</Text></Transcription>
"""
    return xml_of(loops("ab")).replace("  <Whiteboard", (general if writer else "") + "  <Whiteboard", 1)


PAGES = {  # form: writer, lines
    "a01-000u": ("10168", ["A MOVE to", "stop it, 50%"]),
    "a01-000x": ("10168", ["A MOVE"]),
    "a02-000z": ("10170", ["ten to one", "it is (not)", "so"]),
    "a03-011": ("", ["and on"]),
    "b01-014": ("10171", ["it ends", "here."]),
    "z01-000": ("", ["of no set"]),
}
NAMED = {"train": ["a01-000u"], "valid1": ["a01-000x"], "valid2": ["a03-011"], "test": ["b01-014", "a02-000"]}


class Folder:
    "A folder in the layout of the database."

    def __init__(self, root: Path, sets="task1"):
        self.root = root
        for form, (writer, lines) in PAGES.items():
            for n, text in enumerate(lines, 1):
                self.write(self.ink(form, n), xml_of(loops(text)))
            self.say(form, lines)
            self.write(f"original/{form[:3]}/{form[:7]}/strokes{form[7:]}.xml", form_xml(form, writer))
        for split, names in NAMED.items():
            self.write(f"{sets}/{SETS[split]}", "".join(f" {name}\n" for name in names))

    @staticmethod
    def ink(form, n):
        return f"lineStrokes/{form[:3]}/{form[:7]}/{form}-{n:02d}.xml"

    @staticmethod
    def text(form):
        return f"ascii/{form[:3]}/{form[:7]}/{form}.txt"

    def say(self, form, lines, end="\n"):
        body = end.join(lines)
        self.write(self.text(form), f"OCR:{end}{end}something else{end}{end}CSR:{end}{end}{body}{end}{end}")

    def write(self, name, content):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("latin-1"))

    def remove(self, name):
        path = self.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def read(self, **kwargs):
        return IAMOnDB(self.root, cache=self.root.parent / "cache", **kwargs)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "iamondb")


def same(a, b):
    assert [(i.text, i.writer, len(i.strokes)) for i in a] == [(i.text, i.writer, len(i.strokes)) for i in b]
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x.points, y.points)


# ---------------------------------------------------------------- what is there
def test_lines_come_as_recorded_with_their_text_and_writer(folder):
    db = folder.read()
    assert [i.text for i in db.split("train")] == PAGES["a01-000u"][1]
    (ink,) = db.split("valid1")
    for stroke, recorded in zip(ink.strokes, loops("A MOVE"), strict=True):
        assert stroke.dtype == np.float32 and not stroke.flags.writeable
        np.testing.assert_array_equal(stroke, recorded[:, :2])  # y grows downwards on the board as here
    assert ink.writer == db.split("train")[0].writer != db.split("test")[0].writer
    assert re.fullmatch("[0-9a-f]{12}", ink.writer) and db.split("valid2")[0].writer == ""


def test_the_splits_are_those_of_the_set_files_and_the_papers_use_of_them(folder):
    db = folder.read()
    assert db.names("train") == ["a01-000u-01", "a01-000u-02"]
    assert db.names("test") == ["b01-014-01", "b01-014-02", "a02-000z-01", "a02-000z-02", "a02-000z-03"]
    assert db.names("graves_train") == db.names("train") + db.names("test") + db.names("valid2")
    assert db.names("graves_valid") == db.names("valid1") == ["a01-000x-01"]
    assert [i.text for i in db.split("graves_valid")] == ["A MOVE"] and len(db.lines()) == 10
    with pytest.raises(ValueError, match="no split 'valid': take train, valid1"):
        db.split("valid")


def test_the_report_counts_and_is_complete(folder):
    report = folder.read().report()
    sizes = {s: (report[s]["forms"], report[s]["lines"], report[s]["writers"], report[s]["left_out"]) for s in SETS}
    assert sizes == {"train": (1, 2, 1, 0), "valid1": (1, 1, 1, 0), "valid2": (1, 1, 0, 0), "test": (2, 5, 2, 0)}
    letters = len("".join(PAGES["a01-000u"][1]).replace(" ", ""))
    assert report["train"]["points"] == 24 * letters
    assert (report["all"]["forms"], report["all"]["lines"]) == (6, 10)
    assert report["all"]["characters"] == len(set("".join(t for _, lines in PAGES.values() for t in lines)))
    assert not any(report[key] for key in ("missing", "malformed", "left_out", "repeated"))
    assert report["corrected"] == {"removed": 0, "interpolated": 0}
    assert sum(report[s]["of_lines"] for s in SETS) == 12179 and sum(report[s]["of_forms"] for s in SETS) == 1727


def test_alphabets(folder):
    db = folder.read()
    assert db.alphabet() is PAPER_ALPHABET and len(db.alphabet()) == 57
    assert set(db.alphabet(full=True).symbols) == set("".join(i.text for i in db.lines()))


def test_a_scaler_fits_on_it(folder):
    offsets = [i.offsets() for i in folder.read().split("graves_train")]
    scaler = OffsetScaler.fit(offsets)
    rows = np.concatenate([scaler.normalise(o) for o in offsets])
    np.testing.assert_allclose(rows[:, :2].std(0), 1, rtol=1e-4)


# ---------------------------------------------------------------- where it lies
@pytest.mark.parametrize("sets", [".", "task1", "data/iam-ondb-t1"])
def test_set_files_are_found_wherever_they_are(tmp_path, sets):
    assert len(Folder(tmp_path / "iamondb", sets).read().split("graves_train")) == 8


def test_folders_as_the_archives_unpack(folder, tmp_path):
    known = folder.read().lines()
    for part, name in ARCHIVES.items():
        target = folder.root / "data" / name / part
        target.parent.mkdir(parents=True)
        (folder.root / part).rename(target)
    same(folder.read().lines(), known)
    assert IAMOnDB.found_at(folder.root) and not IAMOnDB.found_at(folder.root / "task1")
    assert not IAMOnDB.found_at(tmp_path / "nowhere")


def test_where_there_is_none_it_says_what_it_looked_for_and_how_to_get_it(folder, tmp_path, unipen_folder):
    folder.remove("lineStrokes")
    for root in (folder.root, tmp_path / "nowhere", tmp_path / "iamondb" / "task1" / "trainset.txt", unipen_folder):
        with pytest.raises(FileNotFoundError, match="lineStrokes/ or an archive lineStrokes-all.tar.gz.*Register"):
            IAMOnDB(root)
        assert not IAMOnDB.found_at(root)
    (folder.root / "lineStrokes").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no \.xml file in .*lineStrokes"):
        folder.read().lines()


def test_parts_that_are_missing_are_said_to_be(folder):
    for name in ("ascii", "original", "task1/testset_f.txt"):
        folder.remove(name)
    db = folder.read()
    assert {(i.text, i.writer) for i in db.lines()} == {("", "")} and len(db.lines()) == 10
    for words, said in zip(("no text", "no writer", "no split test"), db.report()["missing"], strict=True):
        assert words in said
    assert "test" not in db.report() and db.report()["train"]["lines"] == 2
    for name in ("test", "graves_train"):
        with pytest.raises(FileNotFoundError, match=r"testset_f\.txt is missing.*Register"):
            db.split(name)


@pytest.mark.parametrize("max_gap, max_step", [(0.5, 500), (2.5, 0), (math.nan, 500), (2.5, math.nan)])
def test_parameters_that_make_no_sense_are_refused(folder, max_gap, max_step):
    with pytest.raises(ValueError, match="max_gap needs to be at least 1"):
        folder.read(max_gap=max_gap, max_step=max_step)


# ---------------------------------------------------------------- set files
def test_names_of_forms():
    forms = ["a01-053", "a01-053x", "a02-000z", "a03-001u", "a03-001x", "a04-001u", "a04-001z", "a05-00"]
    sets = {"train": ["a01-053", "a02-000", "a05-0"], "test": ["a01-053x", "a03-001", "a04-001", "a02-000", "b"]}
    found, unknown = resolve(sets, forms)
    assert found == {"train": ["a01-053", "a02-000z"], "test": ["a01-053x", "a04-001z", "a02-000z"]}
    assert unknown == {"train": ["a05-0"], "test": ["a03-001", "b"]}
    assert resolve({"train": ["a03-001", "a03-001u"]}, forms)[0] == {"train": ["a03-001x", "a03-001u"]}


def test_forms_unknown_or_in_two_sets_are_reported(folder):
    folder.write("task1/trainset.txt", "\ufeff".encode() + b" a01-000u\r\n\r\n q09-999 \r\n a01-000u\r\n b01-014\r\n")
    db = folder.read()
    assert db.report()["train"]["unknown"] == ["q09-999"] and db.report()["repeated"] == ["b01-014"]
    assert db.names("train") == ["a01-000u-01", "a01-000u-02", "b01-014-01", "b01-014-02"]
    assert len(db.names("graves_train")) == 8  # each line once


# ---------------------------------------------------------------- transcriptions
@pytest.mark.parametrize("lines", [["A MOVE to"], ["A MOVE to", "stop it", "now"], []])
def test_a_form_with_more_or_fewer_lines_of_text_is_left_out_whole(folder, lines):
    folder.say("a01-000u", lines)
    report = folder.read().report()
    assert list(report["left_out"]) == ["a01-000u-01", "a01-000u-02"]
    assert set(report["left_out"].values()) == {f"{len(lines)} lines of text, but the lines 1, 2 of ink"}
    assert (report["train"]["lines"], report["train"]["left_out"], report["all"]["lines"]) == (0, 2, 8)


def test_a_missing_file_of_ink_shifts_nothing(folder):
    folder.remove(folder.ink("a02-000z", 2))
    report = folder.read().report()
    assert report["left_out"]["a02-000z-03"] == "3 lines of text, but the lines 1, 3 of ink"
    assert report["test"]["lines"] == 2


def test_a_broken_file_of_ink_costs_only_itself(folder):
    folder.write(folder.ink("a02-000z", 2), "<broken")
    db = folder.read()
    assert [i.text for i in db.split("test")] == [*PAGES["b01-014"][1], "ten to one", "so"]
    assert db.report()["test"]["left_out"] == 1


def test_forms_without_a_readable_transcription_are_left_out(folder):
    folder.remove(folder.text("a01-000x"))
    folder.write(folder.text("a03-011"), "OCR:\n\nand on\n")
    folder.write(folder.text("z01-000"), b"CSR:\n\nof \x00 set\n")
    db = folder.read()
    assert db.report()["left_out"] == dict.fromkeys(["a01-000x-01", "a03-011-01", "z01-000-01"], "no transcription")
    said = db.report()["malformed"]
    assert said == {folder.text("a03-011"): "no part CSR:", folder.text("z01-000"): r"'of \x00 set' is not text"}


def test_ends_of_lines_of_every_kind(folder):
    folder.say("b01-014", ["", " it  ends ", "", "here.\t"], end="\r\n")
    folder.say("a02-000z", ["ten to one%%%%%%%%%%%it is (not)", "so"])
    db = folder.read()
    assert [i.text for i in db.split("test")] == PAGES["b01-014"][1] + PAGES["a02-000z"][1]
    assert read_transcription("CSR:\n\n100%\n\xa3 5\n") == ["100%", "\xa3 5"]


# ---------------------------------------------------------------- broken files
GOOD = xml_of(loops("so"))
BOMB = "<!DOCTYPE x [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(98 + i)} '{f'&{chr(97 + i)};' * 10}'>" for i in range(9)
)
OUTSIDE = "<!DOCTYPE x [<!ENTITY secret SYSTEM 'file:///etc/hostname'>]>"
ROOT = "<WhiteboardCaptureSession>"
BROKEN = {
    "empty": ("", "not well-formed XML: no element found"),
    "truncated": (GOOD[: len(GOOD) // 2], "not well-formed XML"),
    "not xml": ("x,y,t\n1,2,3\n", "not well-formed XML"),
    "nul bytes": (b"\x00" * 500, "not well-formed XML"),
    "bomb": (GOOD.replace(ROOT, BOMB + "]>" + ROOT + "&j;", 1), "declares the entity 'a'"),
    "bomb in utf-16": (GOOD.replace("ISO-8859-1", "UTF-16").replace(ROOT, BOMB + "]>" + ROOT).encode("utf-16"), "'a'"),
    "external entity": (GOOD.replace(ROOT, OUTSIDE + ROOT + "&secret;"), "declares the entity 'secret'"),
    "parameter entity": (
        GOOD.replace(ROOT, "<!DOCTYPE x [<!ENTITY % p SYSTEM 'http://x.invalid/'> %p;]>" + ROOT),
        "'p'",
    ),
    "undeclared entity": (GOOD.replace("<StrokeSet>", "<StrokeSet>&nowhere;"), "undefined entity"),
    "wrong root": ("<?xml version='1.0'?><ink><trace>1 2, 3 4</trace></ink>", "the document is <ink>, not <White"),
    "unknown encoding": (GOOD.replace("ISO-8859-1", "klingon"), "encoding"),
    "many bytes a letter": (GOOD.replace("ISO-8859-1", "shift_jis"), "encoding"),
    "all x negative": (re.sub('x="[0-9]+', 'x="-12', GOOD), "x=-12"),
    "all y negative": (re.sub('<Point x="([0-9]+)" y="', r'<Point x="\1" y="-', GOOD), "point 1 has y=-"),
    "missing x": (re.sub('<Point x="[0-9]+"', "<Point", GOOD, count=1), "a Point without x on line 11"),
    "missing y": (GOOD.replace("y=", "z="), "without y"),
    "missing time": (re.sub('time="[0-9.]+"/', "/", GOOD), "without time"),
    "words": (re.sub('time="[0-9.]+"', 'time="noon"', GOOD), "'noon' where a number should be"),
    "nothing": (re.sub('<Point x="[0-9]+"', '<Point x=""', GOOD), "'' where a number should be"),
    "infinite": (re.sub('<Point x="[0-9]+"', '<Point x="1e999"', GOOD), "x=inf"),
    "not a number": (re.sub('time="[0-9.]+"', 'time="nan"', GOOD), "time=nan"),
    "off every board": (re.sub('<Point x="[0-9]+"', '<Point x="1e30"', GOOD), "x=1e"),
    "no strokes": (HEAD + FOOT, "no strokes"),
    "no points": (HEAD + '<Stroke colour="black"/>' + FOOT, "strokes without points"),
    "loose point": (HEAD + '<Point x="1" y="1" time="1"/><Stroke/>' + FOOT, "outside of a Stroke"),
    "point, no stroke": (HEAD + '<Point x="1" y="1" time="1"/>' + FOOT, "no strokes"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named_with_its_reason_and_the_rest_is_read(folder, case):
    content, reason = BROKEN[case]
    name = folder.ink("a01-000u", 2)
    folder.write(name, content)
    db = folder.read()
    assert list(db.report()["malformed"]) == [name] and reason in db.report()["malformed"][name]
    assert db.report()["left_out"] == {"a01-000u-02": db.report()["malformed"][name]}
    assert db.names("train") == ["a01-000u-01"] and len(db.lines()) == 9


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3))
def test_cut_and_spoilt_anywhere_a_file_is_read_or_refused(place, bytes_):
    data = GOOD.encode()
    for spoilt in (data[:place], data[:place] + bytes_ + data[place + 1 :]):
        try:
            strokes = read_strokes(spoilt)
        except ValueError as error:
            assert str(error)
        else:
            assert all(s.shape[1] == 3 and np.isfinite(s).all() for s in strokes)


def test_what_is_odd_but_whole_is_read():
    strokes = read_strokes(GOOD.replace("</StrokeSet>", "<Stroke/></StrokeSet>").encode())  # a stroke without points
    assert [len(s) for s in strokes] == [24, 24]
    plain = re.sub(r'<Point x="(\d+)" y="(\d+)" time="([\d.]+)"/>', r"<Point time='\3' y='\2' x='\1'> </Point>", GOOD)
    for xml in (
        plain.encode("utf-8").replace(b"ISO-8859-1", b"utf-8"),
        GOOD.replace(ROOT, "<!DOCTYPE x>" + ROOT).encode(),
    ):
        for a, b in zip(read_strokes(xml), strokes, strict=True):
            np.testing.assert_array_equal(a, b)


def test_files_of_other_names_and_second_copies_are_reported_and_hidden_ones_passed_over(folder):
    folder.write("lineStrokes/a01/notes.xml", GOOD)
    folder.write("lineStrokes/copy/a01-000u-01.xml", GOOD)
    folder.write("lineStrokes/a01/a01-000/._a01-000u-01.xml", b"\x00")
    db = folder.read()
    said = db.report()["malformed"]
    assert said["lineStrokes/a01/notes.xml"] == "its name does not end in the number of a line"
    assert said["lineStrokes/copy/a01-000u-01.xml"] == "a second file of that name" and len(said) == 2
    assert len(db.lines()) == 10 and len(db.split("train")[0].strokes) == 7


def test_a_file_that_cannot_be_opened_is_malformed(tmp_path):
    assert "No such file" in try_line(tmp_path / "gone.xml", 2.5, 500.0)


# ---------------------------------------------------------------- writers
def test_writers_are_digests_of_their_numbers(folder, tmp_path):
    (tmp_path / "form.xml").write_text(form_xml("a01-000u", "10168"))
    assert read_writer(tmp_path / "form.xml") == folder.read().split("train")[0].writer


@pytest.mark.parametrize(
    "content, reason",
    [
        ("<other/>", "<other>"),
        (HEAD[:200], "not well-formed"),
        (OUTSIDE + form_xml("", "1"), "secret"),
        ("", "no element"),
    ],
)
def test_a_broken_form_costs_the_writer_alone(folder, content, reason):
    folder.write("original/a01/a01-000/strokesu.xml", content)
    db = folder.read()
    assert reason in db.report()["malformed"]["original/a01/a01-000/strokesu.xml"]
    assert [i.writer for i in db.split("train")] == ["", ""] and db.split("valid1")[0].writer


def test_what_follows_the_writer_is_not_read(tmp_path):
    path = tmp_path / "strokesz.xml"
    path.write_text(form_xml("", "77")[:600] + " " * 10_000 + "<broken")
    assert len(read_writer(path)) == 12


# ---------------------------------------------------------------- corrections
def plainly_corrected(strokes, max_gap, max_step):
    "The corrections told step by step, without arrays."

    def step(a, b):
        return math.hypot(b[0] - a[0], b[1] - a[1])

    whole = []
    for stroke in strokes:
        pieces = [[stroke[0]]]
        for a, b in zip(stroke[:-1], stroke[1:], strict=True):
            if step(a, b) > max_step:
                pieces.append([])
            pieces[-1].append(b)
        if len(pieces) > 1:
            kept = []
            for piece in pieces:
                if len(piece) > 2:
                    if kept and step(kept[-1][-1], piece[0]) <= max_step:
                        kept[-1] += piece
                    else:
                        kept.append(piece)
            pieces = kept
        whole += pieces
    pairs = [p for s in whole for p in zip(s[:-1], s[1:], strict=True)]
    waits = sorted(b[2] - a[2] for a, b in pairs if b[2] > a[2])
    lengths = sorted(step(a, b) for a, b in pairs if step(a, b) > 0)
    usual = max(np.median(lengths), 1) if lengths else math.inf
    short = [w for w in waits if w < np.median(waits) + 0.015]
    period = sum(short) / len(short) if short else math.inf
    filled = []
    for s in whole:
        filled.append([s[0][:2]])
        for a, b in zip(s[:-1], s[1:], strict=True):
            n = 1
            if b[2] - a[2] > max_gap * period:
                n = max(round(min((b[2] - a[2]) / period, step(a, b) / (usual / 2))), 1)
            filled[-1] += [[a[c] + (b[c] - a[c]) * k / n for c in (0, 1)] for k in range(1, n + 1)]
    return filled


def walks(draw_step, draw_wait, rng, sizes):
    "Strokes whose steps and waits are of these kinds."
    strokes, at = [], np.array([3000.0, 1000, 500])
    for n in sizes:
        rows = np.column_stack([*rng.normal(0, 25, (2, n)), np.full(n, 0.01)])
        jump, late = rng.random(n) < draw_step, rng.random(n) < draw_wait
        rows[jump, :2] += rng.choice([-900, 700, 1500], (jump.sum(), 1))
        rows[late, 2] = rng.choice([0.0, 0.05, 0.11, 3.0], late.sum())
        strokes.append((at + np.cumsum(rows, axis=0)).round(2))
        at = strokes[-1][-1] + [0, 0, 0.3]
    return strokes


@given(st.integers(0, 2**32), st.sampled_from([0, 0.03, 0.2]), st.sampled_from([0, 0.05, 0.3]))
@settings(max_examples=150)
def test_corrections_do_what_the_plain_ones_do(seed, draw_step, draw_wait):
    rng = np.random.default_rng(seed)
    strokes = walks(draw_step, draw_wait, rng, rng.integers(1, 30, rng.integers(1, 6)))
    expected = plainly_corrected([s.tolist() for s in strokes], 2.5, 500)
    if not expected:
        with pytest.raises(ValueError, match="every step is longer than 500"):
            correct(strokes)
        return
    found, removed, added = correct(strokes)
    assert [len(s) for s in found] == [len(s) for s in expected]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert sum(map(len, found)) == sum(map(len, strokes)) - removed + added
    assert all(np.hypot(*np.diff(s, axis=0).T).max(initial=0) <= 500.01 for s in found)


@given(arrays(float, (6, 3), elements=st.floats(0, 1e5)), st.sampled_from([1.0, 2.5, math.inf]))
@example(
    np.array([[0, 0, 0], [0, 0, 2], [0, 0, 0], [0, 0, 0], [0, 0, 1.2e-308], [0, 0, 0]]), 1.0
)  # a clock too fine to divide by
@example(
    np.array([[0, 0, 0], *[[0, 0, 2.2e-313]] * 2, [0, 0, 1], *[[0, 0, 2.2e-313]] * 2]), 1.0
)  # and one that goes back
def test_corrections_of_anything_stay_within_its_bounds(rows, max_gap):
    try:
        strokes, _, added = correct([rows[:2], rows[2:]], max_gap, 500.0)
    except ValueError:
        return
    xy = np.concatenate(strokes)
    assert (xy >= rows[:, :2].min(0) - 0.01).all() and (xy <= rows[:, :2].max(0) + 0.01).all()
    assert len(xy) < 6 * 1001 and (not added or max_gap < math.inf)


def test_lost_readings_return_to_their_places_on_a_straight_line(folder):
    t = np.arange(30)
    whole = np.column_stack([1000 + 20 * t, 1200 + 10 * t, 5 + 0.02 * t])
    folder.write(folder.ink("a01-000x", 1), xml_of([np.delete(whole, [*range(4, 9), 15, *range(20, 28)], axis=0)]))
    db = folder.read()
    np.testing.assert_allclose(db.split("valid1")[0].strokes[0], np.delete(whole, 15, axis=0)[:, :2], rtol=1e-6)
    assert db.report()["corrected"] == {"removed": 0, "interpolated": 13}
    assert len(folder.read(max_gap=1.5).split("valid1")[0]) == 30  # then a single one is a gap too
    assert len(folder.read(max_gap=math.inf).split("valid1")[0]) == 16


def test_a_reading_far_off_goes_and_the_stroke_stays_one(folder):
    strokes = loops("so")
    strokes[0][10, 0] += 3000
    folder.write(folder.ink("a01-000x", 1), xml_of(strokes))
    (ink,) = folder.read().split("valid1")
    np.testing.assert_array_equal(ink.strokes[0], np.delete(strokes[0], 10, axis=0)[:, :2])
    assert folder.read().report()["corrected"] == {"removed": 1, "interpolated": 0}
    assert len(folder.read(max_step=math.inf).split("valid1")[0]) == 48


def test_moves_between_strokes_may_be_long():
    strokes = [*loops("so"), *loops("so", start=6000, now=900.0), *loops("i", start=1100, now=990.0)]
    assert correct(strokes)[1:] == (0, 0) and len(correct(strokes)[0]) == 5


def test_no_clock_makes_points_without_end():
    x = np.array([[0, 0, 0], [1e-9, 0, 0.01], [2e-9, 0, 0.02], [400, 0, 1e300], [401, 0, 1e300]])
    assert len(fill_gaps(x, 1.0, 0.01, 2.5)) == 5 + 799
    assert sum(map(len, correct([x])[0])) == 804
    assert sum(map(len, correct([x[::-1]])[0])) == 5  # time that runs backwards says nothing


def test_single_readings_and_still_pens_are_left_alone():
    dot, still = np.array([[5.0, 5, 1]]), np.array([[5.0, 5, 1], [5, 5, 1], [5, 5, 1]])
    for strokes in ([dot], [dot, dot], [still], [still, dot]):
        assert correct(strokes)[1:] == (0, 0)
    assert remove_steps(np.array([[0.0, 0, 0], [900, 0, 1]]), 500) == []


# ---------------------------------------------------------------- archives
def pack_up(root, target, part, name, extra=()):
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target / name, "w:gz") as tar:
        tar.add(root / part, part)
        for member in extra:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return target / name


@pytest.fixture
def packed(folder, tmp_path):
    root = tmp_path / "packed"
    for part, name in ARCHIVES.items():
        pack_up(folder.root, root, part, f"{name}.tar.gz")
    shutil.copytree(folder.root / "task1", root / "task1")
    return root


def test_archives_hold_the_same_as_folders(folder, packed, tmp_path):
    cache = tmp_path / "elsewhere"
    db = IAMOnDB(packed, cache=cache)
    assert IAMOnDB.found_at(packed) and db.report() == folder.read().report()
    same(db.split("graves_train"), folder.read().split("graves_train"))
    assert len(list(cache.glob("iamondb-*/"))) == 3 and not list(cache.glob("*.part"))
    before = {p: p.stat().st_mtime_ns for p in cache.rglob("*")}
    IAMOnDB(packed, cache=cache).lines()
    assert before == {p: p.stat().st_mtime_ns for p in cache.rglob("*")}


def test_a_folder_goes_before_an_archive(folder):
    pack_up(folder.root, folder.root, "ascii", "lineStrokes-all.tar.gz")
    assert find_parts(folder.root)["lineStrokes"] == folder.root / "lineStrokes"
    assert len(folder.read().lines()) == 10


def member(name, **about):
    info = tarfile.TarInfo(name)
    for key, value in about.items():
        setattr(info, key, value)
    return info


EVIL = {
    "climbs out": [member("../../evil.xml", size=5)],
    "climbs out in the middle": [member("lineStrokes/../../../evil.xml", size=5)],
    "link out": [member("lineStrokes/out", type=tarfile.SYMTYPE, linkname="../../../..")],
    "link within": [member("lineStrokes/in", type=tarfile.SYMTYPE, linkname="a01")],
    "link to the root": [member("out", type=tarfile.SYMTYPE, linkname="/"), member("out/evil.xml", size=5)],
    "hard link": [member("lineStrokes/hard", type=tarfile.LNKTYPE, linkname="../../evil.xml")],
    "device": [member("lineStrokes/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "pipe": [member("lineStrokes/pipe", type=tarfile.FIFOTYPE)],
}


@pytest.mark.parametrize("case", EVIL)
def test_an_archive_that_is_not_to_be_trusted_is_refused(folder, packed, tmp_path, case):
    pack_up(folder.root, packed, "lineStrokes", "lineStrokes-all.tar.gz", EVIL[case])
    cache = tmp_path / "deep" / "er" / "cache"
    with pytest.raises(ValueError, match=r"cannot use .*lineStrokes-all\.tar\.gz: .*"):
        IAMOnDB(packed, cache=cache).lines()
    assert not list(tmp_path.rglob("evil*")) and not list(cache.iterdir())


def test_an_absolute_path_stays_below_the_target(folder, packed, tmp_path):
    pack_up(folder.root, packed, "lineStrokes", "lineStrokes-all.tar.gz", [member(f"{tmp_path}/evil.xml", size=5)])
    assert len(IAMOnDB(packed, cache=tmp_path / "cache").lines()) == 10
    assert not (tmp_path / "evil.xml").exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9])
def test_a_damaged_archive_is_named(packed, tmp_path, share):
    archive = packed / "lineStrokes-all.tar.gz"
    archive.write_bytes(archive.read_bytes()[: int(share * archive.stat().st_size)])
    with pytest.raises(ValueError, match=r"cannot use .*lineStrokes-all\.tar\.gz: .*download it again"):
        IAMOnDB(packed, cache=tmp_path / "cache").lines()


def test_an_archive_with_a_wrong_bit_is_named_wherever_the_bit_is(packed, tmp_path):
    archive = packed / "lineStrokes-all.tar.gz"
    whole, named = archive.read_bytes(), 0
    for place in range(40, len(whole) - 8, len(whole) // 25):
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"cannot use .*lineStrokes-all\.tar\.gz: .*download it again"):
            IAMOnDB(packed, cache=tmp_path / "cache").lines()
        named += 1
    assert named > 20 and not list((tmp_path / "cache").glob("iamondb-*/lineStrokes"))


def test_an_archive_of_something_else_is_named(folder, packed, tmp_path):
    pack_up(folder.root, packed, "ascii", "lineStrokes-all.tar.gz")
    with pytest.raises(FileNotFoundError, match=r"lineStrokes-all\.tar\.gz holds no folder lineStrokes/"):
        IAMOnDB(packed, cache=tmp_path / "cache").lines()


def test_unpacking_goes_on_where_it_was_stopped(packed, tmp_path, monkeypatch):
    cache, copy, copied = tmp_path / "cache", shutil.copyfileobj, []

    def stopped(source, target):
        copied.append(target.name)
        if len(copied) == 5:
            target.write(b"half")
            raise KeyboardInterrupt
        copy(source, target)

    monkeypatch.setattr(iamondb.shutil, "copyfileobj", stopped)
    with pytest.raises(KeyboardInterrupt):
        IAMOnDB(packed, cache=cache).lines()
    assert len([p for p in cache.rglob("*.xml")]) == 4 and not list(cache.glob("iamondb-*[!t]/"))
    assert len(IAMOnDB(packed, cache=cache).lines()) == 10
    assert len(copied) == 1 + sum(1 for p in cache.rglob("*") if p.is_file() and p.suffix != ".npz")


def test_two_at_once_do_not_hinder_each_other(packed, tmp_path, monkeypatch):
    cache, unpack_member, first = tmp_path / "cache", iamondb.unpack_member, []

    def interrupted(*args):
        if not first:
            first.append(True)
            first[0] = IAMOnDB(packed, cache=cache).lines()
        return unpack_member(*args)

    monkeypatch.setattr(iamondb, "unpack_member", interrupted)
    second = IAMOnDB(packed, cache=cache).lines()
    same(first[0], second)
    assert not list(cache.glob("*.part"))


def test_two_processes_unpack_the_same_archive(folder, packed, tmp_path):
    cache, processes = tmp_path / "cache", multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, processes) as pool:
        counts = [pool.submit(count_lines, packed, cache) for _ in range(4)]
        assert [c.result() for c in counts] == [10] * 4
    assert len(list(cache.glob("iamondb-*/"))) == 3 and not [p for p in cache.iterdir() if "part" in p.name]


def count_lines(root, cache):
    return len(IAMOnDB(root, cache=cache).lines())


def test_an_error_in_the_middle_of_an_archive_leaves_nothing_behind(packed, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    cache = tmp_path / "cache"
    monkeypatch.setattr(iamondb.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space"):
        IAMOnDB(packed, cache=cache).lines()
    assert not list(cache.iterdir())


# ---------------------------------------------------------------- readings off the board
def test_a_reading_with_a_negative_coordinate_is_corrected_like_a_missing_one(folder):
    name, whole = folder.ink("a01-000u", 2), loops("so")
    first = whole[0]
    there = np.flatnonzero(np.arange(len(first)) % 5 == 2)[:2]
    for change in ((0, -12.0), (1, -3.0)):
        slipped = first.copy()
        slipped[there, change[0]] = change[1]
        folder.write(name, xml_of([slipped, *whole[1:]]))
        missing = folder.read()
        assert not missing.report()["malformed"] and len(missing.split("train")) == 2
        line = missing.split("train")[1]
        assert line.bounds[0] >= 0 and line.bounds[1] >= 0
        assert missing.report()["corrected"]["removed"] == len(there)
        folder.write(name, xml_of([np.delete(first, there, axis=0), *whole[1:]]))
        same([line], [folder.read().split("train")[1]])


def test_readings_lost_off_the_board_are_put_back_on_a_straight_line(folder):
    stroke = np.column_stack([20.0 * np.arange(30) + 5, np.full(30, 50.0), 700 + 0.02 * np.arange(30)])
    slipped = stroke.copy()
    slipped[10:14, 1] = -1
    folder.write(folder.ink("a01-000u", 2), xml_of([slipped]))
    db = folder.read()
    assert db.report()["corrected"] == dict(removed=4, interpolated=4)
    np.testing.assert_allclose(db.split("train")[1].strokes[0], stroke[:, :2], atol=1e-3)


# ---------------------------------------------------------------- the cache
def test_the_second_time_nothing_is_parsed(folder, monkeypatch):
    db = folder.read()
    known, report = db.lines(), db.report()
    monkeypatch.setattr(iamondb, "parse", None)
    again = folder.read()
    same(again.lines(), known)
    assert again.report() == report and again.names("test") == db.names("test")


def test_a_change_is_seen(folder):
    assert len(folder.read().split("valid1")[0].strokes) == 5
    folder.write(folder.ink("a01-000x", 1), xml_of(loops("A BIT MORE")))
    assert len(folder.read().split("valid1")[0].strokes) == 8
    folder.say("a01-000x", ["A bit more"])
    assert folder.read().split("valid1")[0].text == "A bit more"
    folder.write("task1/testset_v.txt", " a03-011\n")
    assert folder.read().names("valid1") == ["a03-011-01"]
    assert len({folder.read(max_gap=g, max_step=s).cache for g in (2, 3) for s in (400, 500)}) == 4


@pytest.mark.parametrize("spoil", [lambda b: b[:500], lambda b: b"", lambda b: b[:-300] + b"\x00" * 300])
def test_a_damaged_cache_is_made_again(folder, spoil):
    db = folder.read()
    known = db.lines()
    db.cache.write_bytes(spoil(db.cache.read_bytes()))
    same(folder.read().lines(), known)
    assert len(db.cache.read_bytes()) > 1000


def test_a_database_of_which_nothing_is_left_is_read_once(folder, monkeypatch):
    for path in folder.root.glob("lineStrokes/*/*/*.xml"):
        path.write_text("<broken")
    assert folder.read().lines() == [] and len(folder.read().report()["left_out"]) == 10
    monkeypatch.setattr(iamondb, "parse", None)
    assert folder.read().split("train") == []


# ---------------------------------------------------------------- many files
def test_several_processes_read_the_same(folder, monkeypatch):
    folder.write(folder.ink("a02-000z", 2), "<broken")
    alone = folder.read()
    alone.lines()
    monkeypatch.setattr(iamondb, "each", lambda f, items, what: each(f, items, what, workers=2))
    alone.cache.unlink()
    together = folder.read()
    same(together.lines(), alone.lines())
    assert together.report() == alone.report()
