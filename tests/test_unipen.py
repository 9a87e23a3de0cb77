"""UNIPEN archives written on the spot: what is read, kept, dropped, named and remembered."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb.files import pack, unpack
from graves_nb.hands import (
    PRINTABLE,
    Hand,
    despike,
    fault_of_ink,
    ink_of,
    line_starts,
    measure_hand,
    rescale,
    trim_dwell,
    weigh,
    width_of,
)
from graves_nb.ink import Ink
from graves_nb.unipen import (
    Rules,
    Unipen,
    close_up,
    index_files,
    is_held_out,
    parse_components,
    parse_spans,
    writer_digests,
)

settings.register_profile("steady", deadline=None)  # how fast a busy machine is proves nothing
settings.load_profile("steady")


def loops(text, size=100.0, points=24, y=0.0, white=0.0):
    "A loop a letter, y up, as wide as the letter and with as many points as its neighbours."
    strokes, x = [], 0.0
    for n, c in enumerate(text):
        t = np.linspace(0, 2 * np.pi, max(round(points * (0.35 if c in ",." else 1)), 2))
        wide = width_of(c)
        if c != " ":
            loop = np.stack([x + wide * (t / 7 + 0.15 * np.sin(t)), y + 0.6 * (1 - np.cos(t))], 1)
            strokes.append(size * (loop + 0.01 * (n % 3)))
        x += wide + white
    return strokes


class Archive:
    "A folder in UNIPEN's layout."

    def __init__(self, root: Path):
        self.root = root
        for part in ("data/7", "data/8", "include"):
            (root / part).mkdir(parents=True)

    def page(self, name, lines, source="abc", writer=None, hover=False, columns="X Y", quality="OK"):
        "Lines of [(word or text, strokes)]: a line of several words is listed at both levels."
        ink, index, n = [f".COORD {columns}", f".WRITER_ID {writer or name}"], {"7": [], "8": []}, 0
        for words in lines:
            start = n
            for text, strokes in words:
                first = n
                for s in strokes:
                    ink += [".PEN_DOWN", *(" ".join(f"{v:.1f}" for v in self.row(p, columns)) for p in s)]
                    ink += [".PEN_UP", *([" ".join(["7"] * len(columns.split()))] if hover else [])]
                    n += 2 if hover else 1
                if len(words) > 1:
                    index["7"].append((f"{first}-{n - 1}", text))
            index["8"].append((f"{start}-{n - 1}", " ".join(t for t, _ in words)))
        self.write(f"include/{source}/{name}.dat", "\n".join(ink) + "\n")
        for level, segments in index.items():
            self.index(name, [f'{r} {quality} "{self.escape(t)}"' for r, t in segments], level, source)
        return self

    @staticmethod
    def row(point, columns):
        return [dict(X=point[0], Y=point[1]).get(c, 3) for c in columns.split()]

    @staticmethod
    def escape(text):
        return text.replace("\\", "\\\\").replace('"', '\\"')

    def index(self, name, segments, level="8", source="abc"):
        head = f".VERSION 1.0\n.INCLUDE {source}/{name}.dat\n"
        self.write(f"data/{level}/{source}/{name}.dat", head + "".join(f".SEGMENT TEXT {s}\n" for s in segments))

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, "latin-1")

    def read(self, **kwargs):
        return Unipen(self.root, self.root.parent / "cache", **kwargs)


TEXTS = ["a day in May", "it will not do", "some more of it", "never again"]


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path / "unipen")


@pytest.fixture
def plain(archive):
    return archive.page("ann", [[(t, loops(t))] for t in TEXTS])


# ---------------------------------------------------------------- reading
def test_lines_come_upright_with_text_and_writer(plain):
    lines = plain.read().lines()
    assert [i.text for i in lines] == TEXTS
    for ink in lines:
        assert len(ink.strokes) == len(ink.text.replace(" ", ""))
        assert ink.strokes[0][0].tolist() == [0, 0] and ink.bounds[1] < -0.5  # loops go up: y is negative
        assert ink.writer and "ann" not in ink.writer


@pytest.mark.parametrize("change", [dict(hover=True), dict(columns="P Y X T")])
def test_hovering_pens_and_other_columns_change_nothing(plain, tmp_path, change):
    other = Archive(tmp_path / "other").page("ann", [[(t, loops(t))] for t in TEXTS], **change)
    for a, b in zip(plain.read().lines(), other.read().lines(), strict=True):
        np.testing.assert_array_equal(a.points, b.points)


def test_sizes_and_rates_become_one(archive):
    for k in range(3):
        pages = [[(t, loops(t, size=7.0**k, points=12 * 2**k))] for t in TEXTS]
        archive.page(f"w{k}", pages)
    lines = archive.read().lines()
    for group in (lines[n :: len(TEXTS)] for n in range(len(TEXTS))):
        widths = [i.bounds[2] - i.bounds[0] for i in group]
        assert len(group) == 3 and max(widths) < 1.05 * min(widths)
        assert max(map(len, group)) < 1.2 * min(map(len, group))
    finer = archive.read(points_per_char=36).lines()
    assert sum(map(len, finer)) == pytest.approx(2 * sum(map(len, lines)), rel=0.05)


def test_labels_are_read_whole(archive):
    texts = ['say "no more"', "back \\ slash", "a, b; c. (d)", "~!@#$%^&*()_+ x"]
    archive.page("ann", [[(t, loops(t))] for t in texts + TEXTS])
    assert [i.text for i in archive.read().lines()] == texts + TEXTS


def test_spans_may_be_listed_and_cut(plain):
    plain.index("ann", ['15,16-17 OK "not"', '18 OK "d"', '18:0-18:11 ? "d"'], level="7")
    whole, d, half = plain.read().words()
    assert [(i.text, len(i.strokes)) for i in (whole, d, half)] == [("not", 3), ("d", 1), ("d", 1)]
    np.testing.assert_allclose(len(half) - 1, (len(d) - 1) * 11 / 23, atol=0.51)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_ranges_and_back(first, more, a, b):
    (span,) = parse_spans(f"{first}:{a}-{first + more}:{b}")
    assert (span.first, span.first_point, span.last, span.last_point) == (first, a, first + more, b)
    (whole,) = parse_spans(f"{first}-{first + more}")
    assert (whole.first_point, whole.last_point) == (0, None)


@pytest.mark.parametrize("ranges", ["", "3-", "x", "4-3", "1;2", "-2", "1-2-3"])
def test_bad_ranges_are_refused(ranges):
    with pytest.raises(ValueError, match="range of components|backwards"):
        parse_spans(ranges)


@pytest.mark.parametrize(
    "text", [".PEN_DOWN\n1 2\n3\n", ".PEN_DOWN\n1 x\n", ".PEN_DOWN\n1 nan\n", ".COORD X P\n.PEN_DOWN\n1 2\n"]
)
def test_bad_ink_is_refused(text):
    with pytest.raises(ValueError, match="rows|convert|finite|no X and Y"):
        parse_components(text)


# ---------------------------------------------------------------- what is dropped
def dropped(archive, level="line"):
    return archive.read().report()[level]["dropped"]


@pytest.mark.parametrize(
    ("text", "ink", "fault"),
    [
        ("caf\xe9 au lait", loops("cafe au lait"), "characters outside printable ASCII"),
        ("a much longer label", loops("short"), "width against label"),
        ("no", loops("a longer line"), "width against label"),
        ("never again", loops("never again", points=5), "points against label"),
        ("one at a time", loops("one at a time", white=0.75), "spread out"),
        ("one two three four", loops("one two") + loops("three four", y=-5), "more than one line"),
        ("tall letters", [s * (1, 12) for s in loops("tall letters")], "too tall"),
        ("so it jumps", [*loops("so it jumps"), np.array([(0, 0), (700, 0)])], "jump in a stroke"),
        ("out XXX of it", loops("out XXX of it"), "marked bad"),
        (TEXTS[0], loops(TEXTS[0]), "duplicate"),
    ],
)
def test_each_fault_is_found_and_counted(archive, text, ink, fault):
    archive.page("ann", [[(t, loops(t))] for t in TEXTS] + [[(text, ink)]])
    assert dropped(archive) == {fault: 1}
    assert [i.text for i in archive.read().lines()] == TEXTS


def test_bad_quality_and_scant_writers_are_dropped(plain):
    plain.page("bob", [[("poor ink", loops("poor ink"))]], quality="BAD")
    plain.page("cy", [[("I am", loops("I am"))]])
    assert dropped(plain) == {"marked bad": 1, "too little by this writer": 1}


def test_rules_can_be_changed(plain):
    strict = plain.read(rules=Rules(width=0.0, short=0.0))
    assert strict.report()["line"]["kept"] == 0 and plain.read().report()["line"]["kept"] == 4


def test_good_ink_with_delayed_dots_and_slant_stays(archive):
    dotted = [*loops("it is written"), np.array([(50.0, 150.0), (52.0, 151.0)])]
    slanting = [s + np.stack([0 * s[:, 0], 0.15 * s[:, 0]], 1) for s in loops("going uphill now")]
    archive.page("ann", [[(t, loops(t))] for t in TEXTS])
    archive.page("bea", [[("it is written", dotted)], [("going uphill now", slanting)]])
    assert dropped(archive) == {} and len(archive.read().lines()) == 6


def test_a_label_of_two_lines_is_cut_where_its_words_are_known(archive):
    upper = [("some", loops("some")), ("more", [s + (520, 0) for s in loops("more")])]
    lower = [("again", [s - (0, 500) for s in loops("again")])]
    archive.page("ann", [[(t, loops(t))] for t in TEXTS] + [upper + lower])
    assert [i.text for i in archive.read().lines()] == [*TEXTS, "some more", "again"]
    assert [i.text for i in archive.read().words()] == ["some", "more", "again"]


# ---------------------------------------------------------------- labels
def test_spaces_of_tokenised_labels_follow_the_ink(archive):
    def line(*tokens):
        words, x = [], 0.0
        for text, gap in tokens:
            words.append((text, [s + (x, 0) for s in loops(text)]))
            x += 100 * (weigh(text, width_of) + gap)
        return words

    usual = [line(*((w, 1.0) for w in t.split())) for t in ("the lazy dog was here", "all good men will come")]
    tokens = [("wait", 0.0), (",", 1.0), ("room", 1.0), ("2", 0.0), ("4", 0.0), ("!", 0.0)]
    archive.page("ann", [*usual, usual[0][:4], usual[1][1:], line(*tokens)], source="hpp")
    assert [i.text for i in archive.read().lines()][-1] == "wait, room 24!"
    plain = Archive(archive.root.parent / "same")
    plain.page("ann", [*usual, usual[0][:4], usual[1][1:], line(*tokens)], source="abc")
    assert [i.text for i in plain.read().lines()][-1] == "wait , room 2 4 !"


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("He ' s never lazy .", "He's never lazy."),
        ("Is it so ?", "Is it so?"),
        ("no change here", "no change here"),
        ("stop . Go on , then ; now !", "stop. Go on, then; now!"),
    ],
)
def test_marks_close_up(tokens, text):
    assert close_up(tokens) == text


# ---------------------------------------------------------------- people
def test_no_writer_is_on_both_sides_of_the_split(archive):
    for k in range(60):
        words = [[(w, loops(w, size=90.0 + k)) for w in t.split()] for t in TEXTS[:2]]
        for n, line in enumerate(words):
            words[n] = [(w, [p + (450 * m, 0) for p in s]) for m, (w, s) in enumerate(line)]
        archive.page(f"writer{k}", words)
    corpus = archive.read()
    for level in ("line", "word"):
        train, valid = corpus.split("train", level), corpus.split("valid", level)
        everything = corpus.lines() if level == "line" else corpus.words()
        assert len(train) + len(valid) == len(everything) > 100
        assert {i.writer for i in valid} == {w for w in {i.writer for i in everything} if is_held_out(w)}
        assert train and valid
    for name, level in (("test", "line"), ("train", "page")):
        with pytest.raises(ValueError, match="train or valid"):
            corpus.split(name, level)


def test_a_person_is_one_writer_at_every_tablet():
    def same(a, b):
        return writer_digests(*a)[1] == writer_digests(*b)[1]

    assert same(("apa", "Ann_Lee_1"), ("app", "ann_lee_2")) and same(("hpb", "abc"), ("hpp", "hpb3abc0"))
    assert same(("sta", "hpb0-abc"), ("hpp", "hpb2-abc"))
    assert not same(("cea", "ab1234"), ("cea", "ab1235")) and not same(("apa", "ann"), ("lex", "ann"))


def test_no_name_gets_into_the_cache(archive):
    archive.page("Annabel_Example", [[(t, loops(t))] for t in TEXTS])
    corpus = archive.read()
    corpus.lines()
    assert b"Annabel" not in corpus.cache.read_bytes()


# ---------------------------------------------------------------- broken archives
def test_a_missing_archive_says_what_to_do(tmp_path, archive):
    for root in (tmp_path / "nowhere", archive.root / "data"):
        with pytest.raises(FileNotFoundError, match="no UNIPEN archive.*data/ is missing.*Unpack"):
            Unipen(root)
    with pytest.raises(FileNotFoundError, match="neither data/8.*nor data/7.*Unpack"):
        index_files(archive.root)
    shutil.rmtree(archive.root / "include")
    with pytest.raises(FileNotFoundError, match="include/ is missing"):
        Unipen(archive.root)


def test_broken_files_among_good_ones_are_skipped_and_named(plain):
    plain.write("include/abc/odd.dat", ".PEN_DOWN\n1 2\n3")
    plain.write("include/abc/cut.dat", ".PEN_DOWN\n1 2\n3 4\n")
    for name, segment in (("odd", '0 OK "a"'), ("cut", '0-7 OK "a"'), ("lost", '0 OK "a"'), ("wrong", "0-x OK a")):
        plain.index(name, [segment])
    report = plain.read().report()
    assert report["malformed"] == {
        "data/8/abc/cut.dat": "component 7 is named, the ink ends at 0",
        "data/8/abc/lost.dat": "include/abc/lost.dat is missing",
        "data/8/abc/odd.dat": "3 numbers do not fill rows of X Y",
        "data/8/abc/wrong.dat": "include/abc/wrong.dat is missing",
    }
    plain.write("include/abc/wrong.dat", ".PEN_DOWN\n1 2\n")
    assert "not a segment" in plain.read().report()["malformed"]["data/8/abc/wrong.dat"]
    assert report["line"]["kept"] == 4 and report["line"]["files"] == 5


@pytest.mark.parametrize("name", ["/nowhere/x.dat", "../outside.dat", "abc/../../outside.dat", "/etc/passwd"])
def test_a_file_that_leads_out_of_the_archive_is_skipped_and_named(plain, name):
    (plain.root / "outside.dat").write_text(".PEN_DOWN\n1 2\n3 4\n")
    plain.write("data/8/abc/out.dat", f'.INCLUDE {name}\n.SEGMENT TEXT 0 OK "a"\n')
    report = plain.read().report()
    assert report["malformed"] == {"data/8/abc/out.dat": f"it includes {name}, which is not below include/"}
    assert report["line"]["kept"] == 4


def test_any_character_has_a_width_and_points():
    assert width_of("ä") == width_of("a") and ink_of("a") < ink_of("ä") < ink_of("ế") < 2 * ink_of("w")
    assert width_of("字") > width_of("m") > width_of("ß") == width_of("o")


@given(st.text(min_size=1, max_size=20))
def test_any_label_can_be_weighed(text):
    assert 0 < weigh(text, width_of) <= 2 * len(text) and 0 < weigh(text, ink_of) < np.inf


def test_a_hand_is_measured_on_any_letters():
    ink = Ink.from_strokes([np.random.default_rng(0).normal(size=(90, 2)).cumsum(0)], text="Grüße 字")
    hand = measure_hand([ink])
    assert hand.unit > 0 and len(rescale(ink, hand)) > 1
    assert isinstance(fault_of_ink(ink, hand), str)


def test_columns_may_stand_in_a_document_of_their_own(plain, tmp_path):
    other = Archive(tmp_path / "other").page("ann", [[(t, loops(t))] for t in TEXTS], columns="Y X")
    ink = (other.root / "include/abc/ann.dat").read_text().replace(".COORD Y X\n", "")
    other.write("include/abc/doc.doc", ".PAD a tablet\n.COORD Y X\n.ALPHABET\n")
    other.write("include/abc/ann.dat", ".INCLUDE abc/doc.doc\n" + ink)
    for a, b in zip(plain.read().lines(), other.read().lines(), strict=True):
        np.testing.assert_array_equal(a.points, b.points)


# ---------------------------------------------------------------- cache
def test_the_second_reading_comes_from_the_cache(plain, monkeypatch):
    first = plain.read()
    lines, words = first.lines(), first.words()
    monkeypatch.setattr("graves_nb.unipen.parse", lambda *a: pytest.fail("parsed again"))
    second = plain.read()
    assert second.report() == first.report() and len(second.words()) == len(words)
    for a, b in zip(second.lines(), lines, strict=True):
        assert (a.text, a.writer) == (b.text, b.writer)
        np.testing.assert_array_equal(a.points, b.points)


@pytest.mark.parametrize("spoil", ["truncate", "garbage", "empty", "foreign", "inconsistent"])
def test_a_spoilt_cache_is_made_anew(plain, spoil):
    corpus = plain.read()
    texts, good = [i.text for i in corpus.lines()], corpus.cache.read_bytes()
    if spoil == "foreign":
        np.savez(corpus.cache, other=np.zeros(3))
    elif spoil == "inconsistent":
        with np.load(corpus.cache) as saved:
            arrays = {k: saved[k] for k in saved.files}
        np.savez(corpus.cache, **(arrays | {"line_strokes": arrays["line_strokes"] + 1}))
    else:
        corpus.cache.write_bytes({"truncate": good[: len(good) // 2], "garbage": b"x" * 500, "empty": b""}[spoil])
    assert [i.text for i in plain.read().lines()] == texts
    assert corpus.cache.read_bytes() == good
    assert [p.name for p in corpus.cache.parent.iterdir()] == [corpus.cache.name]


def test_the_cache_knows_when_archive_or_parameters_change(plain):
    before = plain.read()
    assert plain.read(points_per_char=20).cache != before.cache != plain.read(rules=Rules(width=0.4)).cache
    plain.page("bob", [[(t, loops(t, size=3.0))] for t in TEXTS])
    assert plain.read().cache != before.cache and len(plain.read().lines()) == 8
    with pytest.raises(ValueError, match="18 to 25"):
        plain.read(points_per_char=float("nan"))


def test_the_environment_says_where_caches_go(plain, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAVES_CACHE", str(tmp_path / "elsewhere"))
    corpus = Unipen(plain.root)
    corpus.lines()
    assert corpus.cache.parent == tmp_path / "elsewhere" and corpus.cache.exists()


@given(st.lists(st.tuples(st.text(max_size=5), st.integers(1, 4)), max_size=5))
def test_packing_and_back(items):
    inks = [Ink.from_strokes([np.full((k, 2), n)] * k, t, t[::-1]) for n, (t, k) in enumerate(items)]
    back = unpack(pack(inks), Ink)
    assert [(i.text, i.writer, len(i.strokes)) for i in back] == [(i.text, i.writer, len(i.strokes)) for i in inks]
    assert all((a.points == b.points).all() for a, b in zip(back, inks, strict=True))


# ---------------------------------------------------------------- hands
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=20), st.integers(1, 3))
def test_trimming_keeps_the_way_and_bounds_the_rests(points, keep):
    stroke = np.float32(points)
    trimmed = trim_dwell(stroke, keep).tolist()

    def way(p):
        return [a for a, b in zip(p, p[1:] + [None], strict=True) if a != b]

    assert way(trimmed) == way(stroke.tolist())
    runs = [1]
    for a, b in zip(trimmed, trimmed[1:], strict=False):
        runs = [*runs[:-1], runs[-1] + 1] if a == b else [*runs, 1]
    assert max(runs) <= keep and runs[0] == runs[-1] == 1


def test_spikes_go_and_corners_stay():
    corner = np.float32([(0, 0), (9, 0), (9, 9), (18, 9)])
    assert despike(corner, 1.0).tolist() == corner.tolist()
    spike = np.float32([(0, 0), (1, 0), (90, 90), (2, 0), (3, 0)])
    assert despike(spike, 1.0).tolist() == [[0, 0], [1, 0], [2, 0], [3, 0]]


@given(st.floats(0.01, 1000), st.integers(6, 200))
def test_a_hand_undoes_size_and_rate(unit, points):
    raw = Ink.from_strokes(loops("any old text", size=unit, points=points), "any old text")
    ink = rescale(raw, Hand(unit, points))
    assert ink.bounds[2] - ink.bounds[0] == pytest.approx((raw.bounds[2] - raw.bounds[0]) / unit, rel=0.2)
    assert 10 < len(ink) / len(ink.text) < 35


@given(st.text(PRINTABLE, min_size=4, max_size=30).filter(lambda t: len(t.replace(" ", "")) > 3))
def test_ink_as_wide_as_its_label_is_one_line(text):
    strokes = [np.float32(s) for s in loops(text, size=1.0)]
    assert len(line_starts(strokes, 1.0)) == 0
    assert fault_of_ink(Ink(tuple(strokes), text), Hand(1.0, 24.0)) not in ("width against label", "too tall")
