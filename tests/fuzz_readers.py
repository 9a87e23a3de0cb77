"""The families of inputs that `fuzz.py` reads: every reader of the package, and what people pass to its functions."""

import contextlib
import gzip
import hashlib
import io
import json
import pickle
import platform
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import fields
from functools import cache, partial
from pathlib import Path
from random import Random

import numpy as np
import torch
from fuzz import family
from mutations import ODD, VALUES, spoil, swap
from safetensors import safe_open
from safetensors.torch import save_file
from test_iamondb import Folder
from test_inkml import CONTEXTS, FORMULA, OFFICE, TABLET
from test_unipen import TEXTS, Archive, loops

from graves_nb import compose, compression, corpus, files, hands, ink, inkml, recipes, settings, texts
from graves_nb.alphabet import ASCII, Alphabet
from graves_nb.batches import make_examples, vary
from graves_nb.collections import open_collection
from graves_nb.compose import Spacing
from graves_nb.corpus import ALL_BYTES, HutterPrize, PennTreebank, TextFile, Vocabulary
from graves_nb.evaluation import evaluate
from graves_nb.iamondb import IAMOnDB
from graves_nb.ink import Ink, OffsetScaler
from graves_nb.model import InkModel, Model, TextModel
from graves_nb.own_ink import OwnInk
from graves_nb.page import break_lines, stack_lines, write_page
from graves_nb.pictures import Picture
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.pretrained import load_hand, load_model
from graves_nb.sampling import adapt_ink, sample_ink, sample_text, trace_ink, write
from graves_nb.style import hand_features
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork
from graves_nb.tasks import InkTask, Stage
from graves_nb.training import TrainConfig, Trainer, saved_model
from graves_nb.unipen import Unipen

torch.set_num_threads(1)


# ---------------------------------------------------------------- documents to spoil
@cache
def models() -> dict[str, Model]:
    "A small model of each kind."
    torch.manual_seed(0)
    scaler = OffsetScaler((0.1, 0.2), (0.3, 0.4))
    mixture, two = dict(hidden_size=4, n_mixtures=2), Vocabulary("char", ("a", "b"))
    return dict(
        synthesis=InkModel(SynthesisNetwork(SynthesisConfig(3, n_window=2, **mixture)), Alphabet(" ab"), scaler),
        prediction=InkModel(PredictionNetwork(PredictionConfig(**mixture)), None, scaler, {"points_per_char": 18.0}),
        text=TextModel(PredictionNetwork(PredictionConfig(2, 4, n_layers=1, head="softmax")), two, {"recipe": "x"}),
        wiki=TextModel(PredictionNetwork(PredictionConfig(256, 4, n_layers=1, head="softmax")), ALL_BYTES),
    )


@cache
def model_parts(kind: str) -> tuple[bytes, dict, dict]:
    "A model file whole, its metadata, its tensors."
    with tempfile.TemporaryDirectory() as folder:
        path = models()[kind].save(Path(folder) / "m.safetensors")
        with safe_open(path, "pt") as file:
            meta, tensors = file.metadata()["graves_nb"], {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        return path.read_bytes(), json.loads(meta), tensors


def line(text: str = "a day", writer: str = "w") -> Ink:
    "Made-up writing."
    return Ink.from_strokes([stroke * (1, -1) for stroke in loops(text)], text, writer)


@cache
def ink_documents() -> tuple[bytes, ...]:
    ours = [inkml.inkml_of(ink.strokes, ink.text, ink.writer) for ink in (line(), line("b"))]
    return tuple(document.encode() for document in (*ours, OFFICE, FORMULA, CONTEXTS, TABLET))


@cache
def archived() -> bytes:
    "A file that `compress` wrote."
    return compression.compress(b"some text, and more of the same text" * 4, models()["wiki"])


@cache
def image(make: Callable) -> dict[str, bytes]:
    "A folder that is made once, as the contents of its files by name."
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        make(root)
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def put(root: Path, contents: dict[str, bytes]) -> Path:
    "The folder on disk."
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def spoilt(contents: dict[str, bytes], chance: Random) -> dict[str, bytes]:
    "A folder with one or two of its files spoilt, or gone."
    contents = dict(contents)
    for name in chance.sample(sorted(contents), min(len(contents), chance.choice((1, 1, 2)))):
        contents[name] = spoil(contents[name], chance, *contents.values())
        if chance.random() < 0.03:
            del contents[name]
    return contents


def check_ink(*inks: Ink) -> None:
    "Ink that was read is ink."
    for one in inks:
        assert one.strokes and isinstance(one.text, str) and isinstance(one.writer, str)
        assert all(s.ndim == 2 and s.shape[1] == 2 and len(s) and np.isfinite(s).all() for s in one.strokes)


def in_file(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


# ---------------------------------------------------------------- models
def use_model(path: Path) -> None:
    "Load a model, and let it take a step."
    model = Model.load(path)
    assert all(torch.isfinite(w).all() for w in model.network.parameters())
    x = torch.zeros(1, dtype=torch.long) if model.kind == "text" else torch.zeros(1, 3)
    if model.kind != "synthesis":
        y = model.network.step(x, model.network.initial_state(x)).y
        assert y.shape[0] == 1
    else:
        model.encode(model.alphabet.symbols)
    assert isinstance(model.info, dict)
    json.dumps(model.parts()), model.info.get("points_per_char", 18.0) * 1.0


@family(900)
def model_files(chance: Random, folder: Path) -> Callable:
    kinds = ("synthesis", "prediction", "text")
    whole = [model_parts(kind)[0] for kind in kinds]
    return partial(use_model, in_file(folder, "m.safetensors", spoil(chance.choice(whole), chance, *whole)))


@family(1100)
def model_metadata(chance: Random, folder: Path) -> Callable:
    kind = chance.choice(("synthesis", "prediction", "text"))
    _, meta, tensors = model_parts(kind)
    meta, tensors = swap(meta, chance), dict(tensors)
    if isinstance(meta, dict) and isinstance(meta.get("config"), dict) and chance.random() < 0.4:
        config_class = SynthesisConfig if kind == "synthesis" else PredictionConfig
        name = chance.choice([f.name for f in fields(config_class)])
        meta["config"][name] = chance.choice((*VALUES, 8000, 100, 10**30, 2**40))
    if chance.random() < 0.2:
        name = chance.choice(sorted(tensors))
        tensors[name] = chance.choice(
            (
                torch.zeros(0),
                torch.full((3,), float("nan")),
                tensors[name].mT.contiguous() if tensors[name].ndim > 1 else tensors[name][:1],
                torch.full_like(tensors[name], float("inf")),
                tensors[name].int(),
            )
        )
    save_file(tensors, folder / "m.safetensors", {"graves_nb": json.dumps(meta)})
    return partial(use_model, folder / "m.safetensors")


# ---------------------------------------------------------------- archives of `graves compress`
@family(500)
def compressed_files(chance: Random, folder: Path) -> Callable:
    content = spoil(archived(), chance)
    return partial(compression.decompress, content, models()["wiki"])


@family(700)
def compressed_headers(chance: Random, folder: Path) -> Callable:
    header, coded = compression.read_header(archived())
    text = json.dumps(swap(header, chance)).encode()
    if chance.random() < 0.2:
        text = spoil(text, chance)
    if chance.random() < 0.3:
        coded = spoil(coded, chance)
    checksum = hashlib.sha256(text + coded).digest()[:16]
    prefix = struct.pack(compression.PREFIX, len(text), len(coded), checksum)
    return partial(compression.decompress, compression.MAGIC + prefix + text + coded, models()["wiki"])


# ---------------------------------------------------------------- ink
@family(1200)
def inkml_files(chance: Random, folder: Path) -> Callable:
    documents = ink_documents()
    path = in_file(folder, "a.inkml", spoil(chance.choice(documents), chance, *documents))
    return lambda: check_ink(Ink.load(path))


@family(300)
def own_ink_folders(chance: Random, folder: Path) -> Callable:
    written = ["a day in May", "it will not do", "never again"]
    ours = {f"{i}/{i}.inkml": inkml.inkml_of(line(t).strokes, t, "w").encode() for i, t in enumerate(written)}
    put(folder, spoilt(ours, chance))

    def read():
        own = open_collection(folder, [OwnInk], alphabet=ASCII)
        own.summary()
        check_ink(*own.split("train"), *own.split("valid"))

    return read


def unipen_pages(root: Path) -> None:
    "Two writers: lines, and a line of words."
    words = [(word, loops(word)) for word in ("some", "words")]
    Archive(root).page("ann", [[(t, loops(t))] for t in TEXTS] + [words], columns="X Y T").page(
        "ben", [[(t, loops(t, 60))] for t in TEXTS[:2]]
    )


@family(700)
def unipen_folders(chance: Random, folder: Path) -> Callable:
    root = put(folder / "unipen", spoilt(image(unipen_pages), chance))

    def read():
        data = Unipen(root, folder / "cache")
        data.summary()
        check_ink(*data.lines(), *data.words())

    return read


def iamondb_pages(root: Path) -> None:
    Folder(root)


@family(500)
def iamondb_folders(chance: Random, folder: Path) -> Callable:
    contents = image(iamondb_pages)
    parts = ("lineStrokes", "ascii", "original", "task1")
    part = chance.choice(parts)
    few = {name: content for name, content in contents.items() if any(form in name for form in ("a01-000", "a02-000"))}
    few |= {name: content for name, content in contents.items() if name.startswith("task1")}
    chosen = spoilt({name: content for name, content in few.items() if name.startswith(part)}, chance)
    root = put(folder / "iam", {n: c for n, c in few.items() if not n.startswith(part)} | chosen)

    def read():
        data = IAMOnDB(root, cache=folder / "cache")
        data.summary()
        check_ink(*data.lines(), *data.split("train"))
        data.alphabet(full=True)

    return read


def member(chance: Random, name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    "A member of an archive that may want out of it, or claim what it is not."
    info = tarfile.TarInfo(name)
    info.size = len(content)
    match chance.randrange(8):
        case 0:
            outside = ("../out.xml", "/tmp/graves-fuzz-out.xml", "a/../../out", "lineStrokes/../../../out", "x" * 300)
            info.name = chance.choice(outside)
        case 1:
            info.type = chance.choice((tarfile.SYMTYPE, tarfile.LNKTYPE))
            info.linkname = chance.choice(("/etc/passwd", "../..", "x"))
        case 2:
            info.type = chance.choice((tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, b"?"))
        case 3:
            info.size = chance.choice((0, len(content) * 3, 8**10))
        case 4:
            info.mode, info.mtime = chance.choice((0, 0o7777)), chance.choice((0, 2**33 - 1, -1))
    return info, content


@family(300)
def iamondb_archives(chance: Random, folder: Path) -> Callable:
    contents = {n: c for n, c in image(iamondb_pages).items() if n.startswith("lineStrokes") and "a01" in n}
    packed = io.BytesIO()
    with contextlib.suppress(ValueError, OSError), tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in contents.items():
            info, content = member(chance, name, content)
            tar.addfile(info, io.BytesIO(content + bytes(max(0, min(info.size, 1 << 16) - len(content)))))
    data = packed.getvalue() if chance.random() < 0.3 else gzip.compress(packed.getvalue(), 1)
    data = spoil(data, chance) if chance.random() < 0.5 else data
    (folder / "iam").mkdir()
    in_file(folder / "iam", "lineStrokes-all.tar.gz", data)
    before = {p.name for p in folder.iterdir()} | {"cache"}

    def read():
        try:
            check_ink(*IAMOnDB(folder / "iam", cache=folder / "cache").lines())
        finally:
            assert {p.name for p in folder.iterdir()} <= before and not Path("/tmp/graves-fuzz-out.xml").exists()
            assert all(p.resolve().is_relative_to(folder.resolve()) for p in folder.rglob("*"))

    return read


# ---------------------------------------------------------------- text
@cache
def text_documents() -> tuple[bytes, ...]:
    text = "A line, and “another”.\r\nThe third: naïve Ångström ½ H₂O …\n\nand the last " + "word " * 40
    return tuple(text.encode(encoding) for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le")) + (
        b"abc\n",
    )


@family(900)
def text_files(chance: Random, folder: Path) -> Callable:
    documents = text_documents()
    content = spoil(chance.choice(documents), chance, *documents)
    path = in_file(folder, "a.txt", content)
    symbols = chance.choice((ASCII.symbols, "ab ", ASCII.symbols + "é"))

    def read():
        try:
            whole = texts.read_text(path)
        except ValueError:
            whole = None
        if whole is not None:
            assert "\n".join(row for _, row in texts.read_lines(path)).rstrip("\n") == whole.rstrip("\n")
            texts.fold(whole, symbols), texts.fold(whole, symbols, others=True)
            assert set(texts.writable(whole, symbols).text) <= {*symbols, "\n"}
        else:
            list(texts.read_lines(io.BytesIO(content)))

    return read


SENTENCES = b" no it was n't black monday \n but while the <unk> N fell \n" * 3


@family(500)
def corpora(chance: Random, folder: Path) -> Callable:
    match chance.randrange(4):
        case 0:
            put(folder, spoilt({f"ptb.{name}.txt": SENTENCES for name in ("train", "valid", "test")}, chance))
            level = chance.choice(("char", "word"))
            return lambda: use_corpus(PennTreebank(folder, level))
        case 1:
            content = spoil(zipped(chance), chance)
            path = in_file(folder, "enwik8.zip", content)
            return lambda: use_corpus(HutterPrize(path))
        case 2:
            path = in_file(folder, "enwik8", spoil(SENTENCES, chance))
            return lambda: use_corpus(HutterPrize(path))
        case _:
            path, unit = in_file(folder, "text", spoil(SENTENCES, chance)), chance.choice(("byte", "char", "word"))
            return lambda: use_corpus(TextFile(path, unit))


def zipped(chance: Random) -> bytes:
    "An archive of Wikipedia, small, sometimes of a file that unpacks to very much."
    packed = io.BytesIO()
    with zipfile.ZipFile(
        packed, "w", chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA))
    ) as archive:
        archive.writestr("enwik8", SENTENCES)
    return packed.getvalue()


def use_corpus(text: corpus.Corpus) -> None:
    "Look at all of it."
    text.summary(), text.report()
    for name in text.splits:
        part = text.split(name)
        shown = part[:50]
        text.vocabulary.decode(shown)
        if len(part) >= 20:
            corpus.Streams(part, 2, 10)[0]


# ---------------------------------------------------------------- caches
@cache
def cached() -> tuple[bytes, dict]:
    "What `write_cache` wrote, and its arrays."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.npz"
        files.write_cache(path, {"line": [line(), line("b")], "word": [line("c")]}, {"lines": ["a", "b"]})
        with np.load(path) as saved:
            return path.read_bytes(), dict(saved)


def read_cached(path: Path) -> None:
    inks, report = files.read_cache(path, "line", Ink)
    check_ink(*inks)
    assert isinstance(report, dict)


@family(600, *files.NO_CACHE)
def cache_files(chance: Random, folder: Path) -> Callable:
    content, arrays = cached()
    if chance.random() < 0.4:
        return partial(read_cached, in_file(folder, "c.npz", spoil(content, chance)))
    arrays = dict(arrays)
    for name in chance.sample(sorted(arrays), chance.choice((1, 1, 2))):
        value = arrays[name]
        arrays[name] = chance.choice(
            (
                value[:0],
                value[::-1],
                value.astype(float),
                -value.astype(np.int64),
                value[None],
                value * 0,
                np.append(value.ravel(), 10**6),
                np.float32([[np.nan, 1]]),
                np.array("x"),
                np.array(2**62),
                value.astype(np.int64) + 2**40,
                np.frombuffer(json.dumps(swap([["a", "b"], ["w", "w"]], chance)).encode(), np.uint8),
                np.zeros((0, 2), np.int64),
            )
        )
    if chance.random() < 0.1:
        del arrays[chance.choice(sorted(arrays))]
    np.savez(folder / "c.npz", **arrays)
    return partial(read_cached, folder / "c.npz")


@cache
def unipen_lines() -> list[bytes]:
    "What the untouched archive holds."
    with tempfile.TemporaryDirectory() as folder:
        put(Path(folder) / "unipen", image(unipen_pages))
        return [ink.points.tobytes() for ink in Unipen(Path(folder) / "unipen", Path(folder) / "cache").lines()]


@family(200)
def damaged_caches(chance: Random, folder: Path) -> Callable:
    root = put(folder / "unipen", image(unipen_pages))
    data = Unipen(root, folder / "cache")
    data.lines()
    data.cache.write_bytes(spoil(data.cache.read_bytes(), chance))

    def read():
        again = Unipen(root, folder / "cache")
        again.summary()
        assert [ink.points.tobytes() for ink in again.lines()] == unipen_lines()

    return read


# ---------------------------------------------------------------- settings
WORDS = (
    "",
    "x",
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1",
    "1.5",
    "1e309",
    "1e30",
    "9" * 30,
    "None",
    "True",
    "[1]",
    "\x00",
    "é",
    "fp32",
    "sgd",
)


@family(500, ValueError, KeyError)
def recipe_settings(chance: Random, folder: Path) -> Callable:
    recipe = recipes.RECIPES[chance.choice(sorted(recipes.RECIPES))]
    known = sorted(settings.settings(recipe))
    changes = {chance.choice((*known, "x", "")): chance.choice(WORDS) for _ in range(chance.choice((1, 1, 2)))}

    def read():
        changed = settings.configure(recipe, changes)
        hash(changed)

    return read


# ---------------------------------------------------------------- arguments
AMOUNTS = ("length", "count", "n_points", "max_points_per_char", "together", "retry")  # of work: larger is no fault


def modest(name: str, value):
    "The value, but no more work than is done in a moment."
    if name in AMOUNTS and isinstance(value, int | float) and 20 < value < 1e12:
        return 20
    return value[:100] if name == "text" and isinstance(value, str) else value


def call(chance: Random, *functions: tuple[Callable, dict]) -> Callable:
    "A call of one of these functions, with one or two of its usual arguments replaced."
    function, usual = chance.choice(functions)
    given = dict(usual)
    for name in chance.sample(sorted(usual), min(len(usual), chance.choice((1, 1, 2)))):
        given[name] = modest(name, chance.choice(ODD))

    def read():
        answer = function(**given)
        if isinstance(answer, Ink):
            check_ink(answer)

    return read


STROKES = [[[0, 0], [1, 2], [3, 1]], [[4, 4]]]
OFFSETS = np.float32([[1, 1, 0], [2, -1, 1], [0, 1, 1]])
ARGUMENTS = ValueError, TypeError, OSError


@family(400, *ARGUMENTS)
def ink_arguments(chance: Random, folder: Path) -> Callable:
    return call(
        chance,
        (Ink.from_strokes, dict(strokes=STROKES, text="a", writer="w")),
        (Ink.from_offsets, dict(offsets=OFFSETS, text="a")),
        (partial(ink.resample, line("a")), dict(rate=0.5)),
        (partial(ink.smooth, line("a")), dict(sigma=1.0)),
        (OffsetScaler, dict(mean=(0, 0), std=(1, 1))),
        (OffsetScaler.from_dict, dict(values=dict(mean=[0, 0], std=[1, 1]))),
        (OffsetScaler.fit, dict(offsets=[OFFSETS])),
        (OffsetScaler().normalise, dict(offsets=OFFSETS)),
        (ink.pad_batch, dict(offsets=[OFFSETS], multiple=1)),
        (ink.bucket_batches, dict(lengths=[1, 2, 3], batch_size=2, max_points=10)),
        (inkml.parse_inkml, dict(document=OFFICE)),
        (Ink.load, dict(path=folder / "none.inkml")),
    )


@family(400, *ARGUMENTS)
def picture_arguments(chance: Random, folder: Path) -> Callable:
    look = dict(height=30, pen=1.0, margin=2.0, sheet=None, colour="#102030", background="white", unit="px", dpi=90)
    some = {name: look[name] for name in chance.sample(sorted(look), 4)}
    wide = Ink.from_strokes(
        chance.choice((STROKES, [[[0, 0]]], [[[0, 0], [1e30, 1]]], [[[-3e38, 0], [3e38, 1e-9]]])), "a\nb"
    )
    suffix = chance.choice((".svg", ".png", ".pdf", ".inkml"))
    return call(
        chance,
        (Picture, look),
        (wide.to_svg, some),
        (wide.to_image, some),
        (partial(wide.save, folder / f"a{suffix}"), some),
        (wide.save, dict(path=folder / f"a{suffix}")),
        (partial(Ink.from_strokes, STROKES), dict(text="a")),
    )


def open_iamondb(folder: Path, **options) -> IAMOnDB:
    return IAMOnDB(put(folder / "iam", image(iamondb_pages)), cache=folder / "cache", **options)


def open_unipen(folder: Path, **options) -> Unipen:
    return Unipen(put(folder / "unipen", image(unipen_pages)), folder / "cache", **options)


@family(400, *ARGUMENTS)
def data_arguments(chance: Random, folder: Path) -> Callable:
    words = [line(text) for text in ("some", "words", "of", "one")]
    symbols = corpus.Symbols(np.arange(40, dtype=np.uint8))
    pair = Vocabulary("char", ("a", "b"))
    return call(
        chance,
        (Alphabet, dict(symbols="abc", fold=False)),
        (ASCII.encode, dict(text="abc")),
        (ASCII.unknown, dict(text="abc")),
        (Vocabulary, dict(unit="char", symbols=("a", "b"))),
        (pair.encode, dict(text="ab")),
        (pair.lookup, dict(symbols=["a"])),
        (partial(corpus.Streams, symbols), dict(batch_size=2, length=5, reset_every=3)),
        (partial(corpus.Sentences, symbols), dict(end=3, batch_size=2)),
        (partial(compose.compose_lines, words), dict(count=2, seed=0, min_chars=4, max_chars=20, min_words=2)),
        (Spacing, dict(gap=1.3, between=0.3, within=0.2, rise=0.1, slope=0.01)),
        (partial(compose.join_words, words[:2]), dict(gaps=[1.0], rises=[0, 0])),
        (partial(hands.rescale, words[0], hands.Hand(100.0, 24.0)), dict(points_per_char=18.0)),
        (hands.Hand, dict(unit=1.0, points=20.0)),
        (texts.read_text, dict(source=folder / "none")),
        (texts.fold, dict(text="é", symbols="abc", others=False)),
        (texts.writable, dict(text="é", symbols="abe")),
        (open_collection, dict(path=folder)),
        (partial(open_iamondb, folder), dict(max_gap=2.5, max_step=500.0)),
        (partial(open_unipen, folder), dict(points_per_char=18.0)),
        (PennTreebank, dict(root=folder, level="char")),
        (TextFile, dict(path=in_file(folder, "text", SENTENCES), unit="char")),
        (SynthesisConfig, dict(n_chars=3, hidden_size=4, n_layers=2, n_mixtures=2)),
        (PredictionConfig, dict(input_size=3, hidden_size=4, n_layers=2, n_mixtures=2, head="mixture")),
    )


@family(500, *ARGUMENTS)
def sampling_arguments(chance: Random, folder: Path) -> Callable:
    own, pace = models(), dict(max_points_per_char=5, stop="paper", retry=0, together=2)
    text = dict(length=5, prime="a", temperature=1.0, seed=0, count=None, top_k=None, top_p=None)
    return call(
        chance,
        (partial(write, own["synthesis"]), dict(text="ab", bias=0.5, seed=0, prime=None, hand=None) | pace),
        (
            partial(write_page, own["synthesis"]),
            dict(text="ab a b", width=3, bias=0.5, seed=0, prime=None, spacing=None),
        ),
        (partial(sample_ink, own["prediction"]), dict(n_points=9, bias=0.0, seed=0, prime=None, count=None)),
        (partial(sample_text, own["text"]), text),
        (break_lines, dict(text="a b c", width=3)),
        (partial(stack_lines, [line("a"), None, line("b")]), dict(spacing=2.0)),
        (partial(evaluate, own["prediction"], [line("a"), line("b")]), dict(batch_size=2, length=5)),
        (partial(load_hand), dict(hand=1)),
        (partial(load_model), dict(name="none")),
        (partial(varied, own["prediction"]), dict(amount=0.1)),
    )


def varied(model: InkModel, amount: float) -> None:
    example = make_examples(model, [line("a")])[0]
    assert vary(example, model.scaler, amount, torch.Generator().manual_seed(0)).offsets.isfinite().all()


def extreme_ink(chance: Random) -> Ink:
    "Ink of any size, some of it far away, some of it in one place."
    scale = 10.0 ** chance.choice((-30, -9, -3, 0, 0, 0, 3, 9, 18, 37))
    strokes = []
    for _ in range(chance.choice((1, 1, 2, 5))):
        points = [[chance.gauss(0, 1) * scale, chance.gauss(0, 1) * scale] for _ in range(chance.choice((1, 2, 3, 30)))]
        if chance.random() < 0.3:
            points[0] = [chance.choice((0, 1e7, -1e15, -3e38, 1e-30)), chance.choice((0, 1e7, 1e15, 3e38))]
        if chance.random() < 0.2:
            points = points[:1] * len(points)
        strokes.append(points)
    return Ink.from_strokes(strokes, chance.choice(("", "a", "ab a", " ", "." * 50, "b" * 300)), "w")


@family(500, ValueError)
def extreme_inks(chance: Random, folder: Path) -> Callable:
    own, odd = models(), extreme_ink(chance)
    uses = (
        lambda: check_ink(adapt_ink(own["synthesis"], odd)),
        lambda: check_ink(adapt_ink(own["prediction"], odd)),
        lambda: check_ink(write(own["synthesis"], "ab", prime=odd, max_points_per_char=5)),
        lambda: check_ink(sample_ink(own["prediction"], 5, prime=odd)),
        lambda: evaluate(own["prediction"], [odd]),
        lambda: trace_ink(own["prediction"], odd),
        lambda: hand_features(odd),
        lambda: odd.to_svg(),
        lambda: odd.save(folder / "a.png", height=30),
        lambda: check_ink(stack_lines([odd, line("a")])),
        lambda: check_ink(ink.smooth(ink.resample(odd, 2.0))),
        lambda: check_ink(Ink.load(odd.save(folder / "a.inkml"))),
    )
    return chance.choice(uses)


# ---------------------------------------------------------------- checkpoints
def trainer_in(folder: Path) -> Trainer:
    "A run that has not begun."
    torch.manual_seed(0)
    network = PredictionNetwork(PredictionConfig(hidden_size=4, n_layers=1, n_mixtures=1))
    model = InkModel(network, None, OffsetScaler((0.0, 0.0), (50.0, 50.0)))
    config = TrainConfig(points=400, batch_size=2, precision="fp32", validate_points=0, average=0.9)
    return Trainer(
        model, InkTask([Stage([line("a"), line("b"), line("c")])], [line("d")]), folder, config, lambda entry: None
    )


@cache
def run_files() -> dict[str, bytes]:
    "What a run leaves."

    def make(root):
        trainer_in(root).fit()

    return image(make)


def crafted(state: dict, chance: Random) -> dict:
    "A checkpoint with one of its plain parts, or a tensor, replaced."
    part = chance.choice(sorted(state))
    if part in ("progress", "pending", "config"):
        return state | {part: swap(state[part], chance)}
    if part == "model":
        text = json.dumps(swap(json.loads(state["model"]), chance))
        return state | {part: chance.choice((text, text[:9], None, "[" * 5000))}
    if part == "network" and chance.random() < 0.7:
        name = chance.choice(sorted(state["network"]))
        wrong = (torch.zeros(2), state["network"][name] * float("nan"), None, "x", state["network"][name].int())
        return state | {part: state["network"] | {name: chance.choice(wrong)}}
    if part in ("best", "average") and state[part] and chance.random() < 0.7:
        held = "weights" if part == "best" else "means"
        weights = dict(state[part][held])
        weights[chance.choice((*weights, "x"))] = chance.choice((torch.zeros(2), torch.tensor(float("nan")), None))
        return state | {part: state[part] | {held: weights}}
    return state | {part: chance.choice(VALUES)}


@family(200)
def checkpoints(chance: Random, folder: Path) -> Callable:
    contents = dict(run_files())
    state = torch.load(io.BytesIO(contents["checkpoint.pt"]), weights_only=True)
    match chance.randrange(4):
        case 0:
            contents["checkpoint.pt"] = spoil(contents["checkpoint.pt"], chance)
        case 1:
            contents["log.jsonl"] = spoil(contents["log.jsonl"], chance)
            contents["lock"] = json.dumps(swap(dict(pid=2**22 + 5, host=platform.node(), began="x"), chance)).encode()
        case 2:
            contents["checkpoint.pt"] = pickle.dumps(Opened(folder / "ran"))
        case _:
            saved = io.BytesIO()
            torch.save(crafted(state, chance), saved)
            contents["checkpoint.pt"] = saved.getvalue()
    put(folder / "run", contents)

    def read():
        trainer = trainer_in(folder / "run")
        try:
            saved_model(folder / "run")
            trainer.resume()
            trainer.fit()
        except RuntimeError as error:
            assert "is being trained by" in str(error)
        assert not (folder / "ran").exists()
        assert all(w.isfinite().all() for w in trainer.network.parameters())

    return read


class Opened:
    "Makes a file where it is unpickled: nobody may."

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)
