"""Ink there and back: offsets, files, scaling, batches, and what is refused."""

import errno
import os
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from graves_nb.files import replacing
from graves_nb.ink import (
    Ink,
    OffsetScaler,
    bucket_batches,
    check_output,
    pad_batch,
    resample,
    resample_stroke,
    smooth,
)

settings.register_profile("steady", deadline=None)  # how fast a busy machine is proves nothing
settings.load_profile("steady")

coordinates = st.floats(-1e4, 1e4, width=32)
strokes = st.lists(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12), min_size=1, max_size=6)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=20)
rows = st.lists(st.tuples(coordinates, coordinates, st.sampled_from([0.0, 1.0])), min_size=1, max_size=9)


@pytest.fixture
def hook():
    return Ink.from_strokes([[(0, 0), (0, 3), (1, 4)], [(2, 0)], [(3, 1), (5, 1)]], text="j'-", writer="w")


def assert_same_strokes(ours, theirs):
    assert [len(s) for s in ours.strokes] == [len(s) for s in theirs.strokes]
    for a, b in zip(ours.strokes, theirs.strokes, strict=True):
        np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------- strokes and offsets
@given(strokes)
def test_offsets_and_back_only_move_the_ink(raw):
    raw[0] = [raw[0][0], *raw[0]]  # a first stroke of one point is joined to the next one
    ink = Ink.from_strokes(raw)
    back = Ink.from_offsets(ink.offsets())
    assert len(ink.offsets()) == len(ink) - 1
    assert [len(s) for s in back.strokes] == [len(s) for s in ink.strokes]
    moved = ink.points[:, :2].astype(np.float64) - ink.points[0, :2]
    np.testing.assert_allclose(back.points[:, :2], moved, atol=0.05)
    np.testing.assert_array_equal(back.points[:, 2], ink.points[:, 2])


def test_the_flag_belongs_to_the_later_point(hook):
    np.testing.assert_array_equal(hook.offsets(), [(0, 3, 0), (1, 1, 1), (1, -4, 1), (1, 1, 0), (2, 0, 1)])
    assert hook.points[:, 2].tolist() == [0, 0, 1, 1, 0, 1]
    assert hook.bounds == (0, 0, 5, 4)


def test_a_last_stroke_may_stay_open():
    ink = Ink.from_offsets([(1, 0, 0), (1, 0, 1), (1, 1, 0), (0, 1, 0)], text="so")
    assert [len(s) for s in ink.strokes] == [3, 2] and ink.text == "so"


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ([], "at least one stroke"),
        ([[]], "stroke 0 needs the shape"),
        ([np.zeros((0, 2))], "stroke 0 has no points"),
        ([[(0, 0)], [(0, 0, 0)]], "stroke 1 needs the shape"),
        ([[(0, float("inf"))]], "not finite"),
        ([[("a", "b")]], "could not convert"),
    ],
)
def test_bad_strokes_are_refused(raw, complaint):
    with pytest.raises(ValueError, match=complaint):
        Ink.from_strokes(raw)


@pytest.mark.parametrize("rows", [[1, 2, 3], [[1, 2]], np.zeros((2, 3, 1)), [[float("nan"), 0, 0]]])
def test_bad_offsets_are_refused(rows):
    with pytest.raises(ValueError, match="shape|not finite"):
        Ink.from_offsets(rows)


def test_ink_cannot_be_changed_by_the_way(hook):
    source = np.zeros((2, 2), np.float32)
    ink = Ink.from_strokes([source])
    source += 1
    assert not ink.strokes[0].any()
    with pytest.raises(ValueError, match="read-only"):
        hook.strokes[0][0] = 1
    with pytest.raises(AttributeError):
        hook.text = "other"


# ---------------------------------------------------------------- resampling, smoothing
@given(strokes, st.floats(0.1, 5))
def test_resampling_keeps_ends_strokes_and_bounds(raw, rate):
    ink = Ink.from_strokes(raw)
    other = resample(ink, rate)
    assert len(other.strokes) == len(ink.strokes)
    for a, b in zip(ink.strokes, other.strokes, strict=True):
        np.testing.assert_array_equal(b[[0, -1]], a[[0, -1]])
        assert (b.min(0) >= a.min(0) - 1e-2).all() and (b.max(0) <= a.max(0) + 1e-2).all()


def test_resampling_is_even_in_time_not_in_space():
    slow_then_fast = np.float32([(0, 0), (1, 0), (10, 0)])
    np.testing.assert_allclose(resample_stroke(slow_then_fast, 2)[:, 0], [0, 0.5, 1, 5.5, 10])
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="positive"):
            resample(Ink.from_strokes([slow_then_fast]), rate)


def test_smoothing_takes_off_noise_and_keeps_the_shape():
    t = np.linspace(0, 2 * np.pi, 200)
    circle = 10 * np.stack([np.cos(t), np.sin(t)], 1)
    noisy = circle + np.random.default_rng(0).normal(0, 0.2, circle.shape)
    even = smooth(Ink.from_strokes([noisy]), 2.0).strokes[0]
    assert np.abs(even - circle)[3:-3].mean() < 0.6 * np.abs(noisy - circle)[3:-3].mean()
    np.testing.assert_allclose(even[[0, -1]], noisy[[0, -1]], atol=1e-5)
    assert smooth(Ink.from_strokes([noisy]), 0).strokes[0].tolist() == np.float32(noisy).tolist()


# ---------------------------------------------------------------- scaling
@given(st.lists(rows, min_size=1, max_size=4), coordinates, st.floats(0.01, 100))
def test_scaling_and_back(raw, mean, std):
    scaler = OffsetScaler((mean, -mean), (std, 2 * std))
    for r in raw:
        r = np.float32(r)
        there = scaler.normalise(r)
        atol = 1e-5 * (np.abs(r).max() + abs(mean) + 1)
        np.testing.assert_allclose(scaler.denormalise(there), r, atol=atol)
        np.testing.assert_array_equal(there[:, 2], r[:, 2])
    assert OffsetScaler.from_dict(scaler.to_dict()) == scaler


def test_fitting_weighs_every_row_the_same():
    few, many = np.float32([(1, 10, 1)]), np.tile(np.float32([(5, 20, 0)]), (3, 1))
    scaler = OffsetScaler.fit(iter([few, many]))
    assert scaler.mean == (4.0, 17.5)
    np.testing.assert_allclose(scaler.std, (np.sqrt(3), np.sqrt(18.75)))


@pytest.mark.parametrize(
    ("mean", "std"), [((0, 0), (1, 0)), ((0, 0), (1, -1)), ((0, float("nan")), (1, 1)), ((0, 0, 0), (1, 1, 1))]
)
def test_impossible_scalers_are_refused(mean, std):
    with pytest.raises(ValueError, match="two finite means and two positive deviations|inhomogeneous"):
        OffsetScaler(mean, std)


# ---------------------------------------------------------------- batches
@given(st.lists(rows, min_size=1, max_size=5), st.sampled_from([1, 4]))
def test_padding_loses_nothing_and_shifts_by_one(raw, multiple):
    inputs, targets, mask = pad_batch(raw, multiple)
    assert inputs.shape == targets.shape == (*mask.shape, 3) and len(mask) % multiple == 0
    for b, r in enumerate(raw):
        n = len(r)
        assert mask[:, b].tolist() == [True] * n + [False] * (len(mask) - n)
        np.testing.assert_array_equal(targets[:n, b], np.float32(r))
        np.testing.assert_array_equal(inputs[1:n, b], np.float32(r)[:-1])
    assert not inputs[0].any() and not inputs[~mask].any() and not targets[~mask].any()


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        pad_batch([])


@given(
    st.lists(st.integers(1, 900), max_size=80),
    st.integers(1, 9),
    st.one_of(st.none(), st.integers(1, 3000)),
    st.integers(0, 5),
)
@settings(max_examples=60)
def test_buckets_hold_everything_once_within_their_bounds(lengths, size, max_points, seed):
    def draw():
        return bucket_batches(lengths, size, max_points, torch.Generator().manual_seed(seed))

    batches = draw()
    assert batches == draw()
    assert sorted(i for b in batches for i in b) == list(range(len(lengths)))
    ends = sorted((min(lengths[i] for i in b), max(lengths[i] for i in b)) for b in batches)
    assert all(a[1] <= b[0] for a, b in zip(ends, ends[1:], strict=False))
    for b in batches:
        assert len(b) <= size
        assert max_points is None or len(b) == 1 or len(b) * max(lengths[i] for i in b) <= max_points


def test_batches_come_in_no_order_of_length():
    batches = bucket_batches(range(1, 401), 10, generator=torch.Generator().manual_seed(0))
    longest = [max(b) for b in batches]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)
    with pytest.raises(ValueError, match="at least 1"):
        bucket_batches([1], 0)


# ---------------------------------------------------------------- files
@given(strokes, texts, texts)
@settings(max_examples=40)
def test_inkml_holds_exactly_the_ink(tmp_path_factory, raw, text, writer):
    path = tmp_path_factory.mktemp("ink") / "x.inkml"
    ink = Ink.from_strokes(raw, text, writer)
    ink.save(path)
    back = Ink.load(path)
    assert_same_strokes(back, ink)
    assert (back.text, back.writer) == (text, writer)


def test_inkml_of_others_is_read(tmp_path):
    path = tmp_path / "other.INKML"
    path.write_text(
        """<?xml version="1.0"?><inkml:ink xmlns:inkml="http://www.w3.org/2003/InkML">
        <inkml:traceFormat><inkml:channel name="T"/><inkml:channel name="Y"/><inkml:channel name="X"/>
        </inkml:traceFormat><inkml:trace>
        0 2 1,
        5 4 3
        </inkml:trace></inkml:ink>"""
    )
    assert Ink.load(path).strokes[0].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<ink><trace>1 2",
        b"<ink></ink>",
        b"<ink><trace></trace></ink>",
        b"<ink><trace>1 2, 3</trace></ink>",
        b"<ink><trace>1 2, a b</trace></ink>",
        b"<ink><trace>'1 '1, 1 2</trace></ink>",
        b"<ink><trace>nan 2</trace></ink>",
        b"<svg/>",
        b'<ink><traceFormat><channel name="X"/></traceFormat><trace>1</trace></ink>',
        b'<?xml version="1.0" encoding="nonsense"?><ink/>',
        b'<!DOCTYPE ink [<!ENTITY a "b">]><ink><trace>1 2</trace><annotation>&a;</annotation></ink>',
        b"\xff\xfe\x00",
    ],
)
def test_broken_inkml_is_named(tmp_path, content):
    path = tmp_path / "broken.inkml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.inkml is not a readable InkML file"):
        Ink.load(path)


def test_only_inkml_is_read(tmp_path, hook):
    with pytest.raises(ValueError, match=r"\.inkml files only"):
        Ink.load(hook.save(tmp_path / "x.svg"))
    with pytest.raises(FileNotFoundError):
        Ink.load(tmp_path / "none.inkml")


def test_svg_is_the_same_bytes_every_time_and_well_formed(tmp_path, hook):
    odd = Ink(hook.strokes, text="<&\"'>\x00\x0b")
    for ink in (hook, odd):
        first = ink.save(tmp_path / "a.svg").read_bytes()
        assert first == ink.save(tmp_path / "b.svg").read_bytes() == ink._repr_svg_().encode()
        root = ET.fromstring(first)
        assert len(root.findall(".//{*}path")) == 3
    assert ET.fromstring(odd.to_svg()).find("{*}title").text == "<&\"'>\ufffd\ufffd"


def test_svg_stays_within_its_margins(hook):
    root = ET.fromstring(hook.to_svg(height=100))
    width, height = float(root.get("width")), float(root.get("height"))
    d = " ".join(p.get("d") for p in root.findall(".//{*}path"))
    numbers = np.array([float(v) for v in d.translate(str.maketrans("MLQ", "   ")).split()]).reshape(-1, 2)
    assert height == 100
    assert (numbers >= 11.9).all() and (numbers <= np.array([width, height]) - 11.9).all()


def test_png_looks_like_the_svg(tmp_path, hook):
    image = Image.open(hook.save(tmp_path / "x.png"))
    root = ET.fromstring(hook.to_svg())
    assert image.size == (round(float(root.get("width"))), round(float(root.get("height"))))
    dark = np.asarray(image.convert("L")) < 128
    ys, xs = np.nonzero(dark)
    assert 0.1 * image.height < ys.min() < ys.max() < 0.9 * image.height
    assert dark[:, : image.width // 3].any() and dark[:, -image.width // 3 :].any()


@pytest.mark.parametrize("raw", [[[(3, 3)]], [[(0, 0), (9, 0)]], [[(0, 0), (0, 9)]], [[(1e6, 1e6), (1e6, 1e6)]]])
def test_odd_shapes_are_drawn(tmp_path, raw):
    ink = Ink.from_strokes(raw)
    pixels = np.asarray(Image.open(ink.save(tmp_path / "x.png")).convert("L"))
    assert (pixels < 128).any() and max(pixels.shape) < 4000
    assert "nan" not in ink.to_svg()


def test_a_name_must_say_the_format(tmp_path, hook):
    for name in ("x.gif", "x", "svg"):
        with pytest.raises(ValueError, match=r"\.svg, \.png or \.inkml"):
            hook.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_text_that_xml_cannot_hold_is_refused_and_nothing_is_left(tmp_path, hook):
    with pytest.raises(ValueError, match="control characters"):
        Ink(hook.strokes, text="a\x00b").save(tmp_path / "x.inkml")
    assert list(tmp_path.iterdir()) == []


def test_unwritable_paths_are_named(tmp_path, hook, monkeypatch):
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "file").write_text("")
    for bad in (tmp_path / "none" / "x.svg", tmp_path / "folder.svg", tmp_path / "file" / "x.svg"):
        with pytest.raises(OSError, match=f"cannot write .*{bad.name}"):
            hook.save(bad)
        with pytest.raises(OSError, match="cannot write"):
            check_output(bad)
    monkeypatch.setattr(os, "access", lambda *a: False)
    with pytest.raises(PermissionError, match="not writable"):
        check_output(tmp_path / "x.svg")


def test_a_failed_write_leaves_the_old_file(tmp_path, hook):
    path = hook.save(tmp_path / "x.inkml")
    before = path.read_bytes()
    with pytest.raises(OSError, match="cannot write .*x.inkml: No space"), replacing(path) as file:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        raise KeyboardInterrupt
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["x.inkml"]
