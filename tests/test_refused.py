"""What is damaged, forged or absurd is refused in a sentence that says what is wrong, where it is read."""

import json
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from graves_nb.alphabet import ASCII, Alphabet
from graves_nb.batches import make_examples, vary
from graves_nb.compose import compose_lines, join_words
from graves_nb.corpus import HutterPrize, Streams, Symbols, Vocabulary
from graves_nb.evaluation import evaluate
from graves_nb.files import NO_CACHE, pack, read_cache, unpack, write_cache
from graves_nb.hands import Hand, rescale
from graves_nb.iamondb import checked_limits
from graves_nb.ink import Ink, OffsetScaler, bucket_batches, pad_batch, resample, smooth
from graves_nb.model import InkModel, Model, ModelFileError
from graves_nb.page import break_lines, stack_lines, write_page
from graves_nb.pictures import Picture
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.sampling import adapt_ink, write
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork
from graves_nb.tasks import InkTask, Stage
from graves_nb.training import TrainConfig, Trainer, read_checkpoint, record_of, saved_model
from graves_nb.unipen import parse_components

NAN = float("nan")
INK = Ink.from_strokes([[[0, 0], [1, 2], [3, 1], [4, 4]], [[5, 0], [6, 1]]], "ab")


@pytest.fixture
def scribbler():
    torch.manual_seed(0)
    network = PredictionNetwork(PredictionConfig(hidden_size=4, n_mixtures=2, n_layers=1))
    return InkModel(network, None, OffsetScaler((0.1, 0.2), (0.3, 0.4)), {"points_per_char": 18.0})


@pytest.fixture
def writer():
    torch.manual_seed(0)
    network = SynthesisNetwork(SynthesisConfig(3, hidden_size=4, n_mixtures=2, n_window=2))
    return InkModel(network, Alphabet(" ab"), OffsetScaler((0.1, 0.2), (0.3, 0.4)))


# ---------------------------------------------------------------- model files
def forge(path, model, meta=None, **changes):
    "A model file with other metadata, or with some of it changed."
    meta = record_of(model) | changes if meta is None else meta
    save_file(model.network.state_dict(), path, {"graves_nb": json.dumps(meta)})
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (dict(meta=[1]), "its metadata is a list"),
        (dict(meta="x"), "its metadata is a str"),
        (dict(info="x"), "its info is 'x'"),
        (
            dict(info={"points_per_char": "18"}),
            "points_per_char of its info is a finite number from 1 to 1000, got the text",
        ),
        (dict(info={"points_per_char": 0}), "points_per_char of its info"),
        (dict(info={"joined": 2}), "joined of its info is a finite number from 0 to 1"),
        (
            dict(scaler={"mean": [0, "x"], "std": [1, 1]}),
            "item 2 of mean of a scaler is a finite number, got the text 'x'",
        ),
        (dict(scaler={"mean": [0, 0]}), "a scaler has no std"),
        (dict(config=dict(hidden_size=8000)), "size mismatch|Missing key"),
        (dict(config=dict(n_layers=10**30)), "n_layers = '1000000"),
        (dict(config=dict(n_layers=True)), "n_layers = 'True'"),
        (dict(made_of=3), "made_of|damaged"),
        (dict(kind=["prediction"]), "damaged|kind"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
)
def test_what_a_model_file_says_of_itself_has_types_and_ranges(scribbler, tmp_path, changes, said):
    if "made_of" in changes:
        changes["config"] = dict(hidden_size=4, layer="mine")
    with pytest.raises(ModelFileError, match=said):
        Model.load(forge(tmp_path / "m.safetensors", scribbler, **changes))


@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_weights_that_are_no_numbers_are_refused(scribbler, tmp_path, value):
    with torch.no_grad():
        next(scribbler.network.parameters()).view(-1)[0] = value
    with pytest.raises(ModelFileError, match=r"layers.0.* hold weights that are no finite numbers"):
        Model.load(forge(tmp_path / "m.safetensors", scribbler))


# ---------------------------------------------------------------- alphabets, vocabularies, ink
@pytest.mark.parametrize(
    "make",
    [
        lambda: Alphabet(["a", "b"]),
        lambda: Alphabet("ab", fold=3),
        lambda: ASCII.encode(5),
        lambda: Vocabulary("byte", ("a",)),
        lambda: Vocabulary("byte", (256,)),
        lambda: Vocabulary("char", (1, 2)),
        lambda: Vocabulary(["char"], ("a",)),
        lambda: Vocabulary("char", ("a",)).encode(7),
        lambda: Ink.from_strokes(INK.strokes, text=5),
        lambda: Ink.from_strokes(INK.strokes, writer=None),
        lambda: Ink.from_strokes([[[0, 1e39]]]),
        lambda: Ink.from_strokes([[[0, 1j]]]),
        lambda: OffsetScaler().normalise(3),
        lambda: OffsetScaler.fit([3]),
        lambda: OffsetScaler.from_dict([1]),
        lambda: pad_batch([np.zeros((2, 2))]),
        lambda: pad_batch([np.zeros((2, 3))], multiple=10**9),
        lambda: bucket_batches([1, 2], batch_size=NAN),
        lambda: bucket_batches([[1, 2]]),
        lambda: OffsetScaler().normalise([[1e308, 0, 0]]),
        lambda: rescale(INK, Hand(1.0, 20.0), points_per_char=5e-324),
        lambda: compose_lines([INK], 1, seed=0, min_chars=torch.ones(2)),
        lambda: compose_lines([INK], 1, seed=0, min_words=torch.ones(2)),
        lambda: join_words([INK, INK], [1.0], [0.0, 1j]),
        lambda: resample(INK, "x"),
        lambda: resample(INK, 1e12),
        lambda: smooth(INK, NAN),
        lambda: rescale(INK, Hand(1.0, 20.0), points_per_char=0),
        lambda: Streams(Symbols(np.zeros(100, np.uint8)), batch_size=1.5),
        lambda: PredictionConfig(hidden_size=1.5),
        lambda: PredictionConfig(n_layers=torch.ones(2)),
        lambda: checked_limits(torch.ones(2), 5),
        lambda: Picture(height="x"),
        lambda: Picture(sheet=5),
        lambda: Picture(sheet=(1, 2, 3)),
        lambda: Picture(colour=("a",)),
        lambda: Picture(background=torch.ones(2)),
        lambda: Picture(unit=["px"]),
        lambda: break_lines("a b", width=NAN),
        lambda: break_lines(None),
        lambda: stack_lines([INK], spacing=NAN),
    ],
)  # fmt: skip
def test_arguments_of_the_wrong_kind_are_a_value_error(make):
    with pytest.raises(ValueError):
        make()


def test_a_coordinate_beyond_every_tablet_is_refused():
    with pytest.raises(ValueError, match="beyond every tablet"):
        parse_components(".COORD X Y\n.PEN_DOWN\n1 1e300\n.PEN_UP\n")


def test_ink_of_no_size_that_letters_have_makes_no_millions_of_points(writer):
    far = Ink.from_strokes([[*([0.01 * i, 0.01 * (i % 3)] for i in range(60)), [1e7, 0]]])
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"ink 1e\+07 wide and .* high is of no size that letters have"):
        adapt_ink(writer, far)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_numbers_that_writing_takes_are_numbers(writer, scribbler):
    with pytest.raises(ValueError, match="width is a whole number, got nan"):
        write_page(writer, "a b", width=NAN)
    with pytest.raises(ValueError, match="seed is a whole number, got 1.5"):
        write(writer, "a", seed=1.5)
    with pytest.raises(TypeError, match="a prime is ink"):
        write(writer, "a", prime="x")
    with pytest.raises(ValueError, match="spacing is a finite number"):
        write_page(writer, "a b", spacing=NAN)
    with pytest.raises(ValueError, match="batch_size is a whole number of at least 1"):
        evaluate(scribbler, [INK], batch_size=0)
    with pytest.raises(ValueError, match="amount is a finite number from 0 to 10"):
        vary(make_examples(scribbler, [INK])[0], scribbler.scaler, 1e30, torch.Generator())


# ---------------------------------------------------------------- caches
def test_packed_arrays_are_what_they_should_be_before_anything_is_cut_out():
    whole = pack([INK, INK])
    assert [ink.text for ink in unpack(whole, Ink)] == ["ab", "ab"]
    forged = dict(
        points=(whole["points"] * np.float32(NAN), whole["points"][:, :1], np.array("x")),
        strokes=(whole["strokes"].astype(float), -whole["strokes"], np.array([4, 2, 2**62, 4 - 2**62]), np.array(12)),
        inks=(whole["inks"][None], whole["inks"] * 0),
        labels=tuple(
            np.frombuffer(text, np.uint8) for text in (b"[]", b"{}", b'[["a", 1], ["", ""]]', b'[["a"], [""]]', b"x")
        ),
    )
    for name, arrays in forged.items():
        for array in arrays:
            with pytest.raises(ValueError):
                unpack(whole | {name: array}, Ink)


def test_arrays_of_a_cache_are_no_larger_than_their_file(tmp_path):
    path = tmp_path / "c.npz"
    write_cache(path, {"line": [INK]}, {})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    huge = members["line_points.npy"].replace(b"(6, 2), }" + b" " * 10, b"(99999999999, 2), }")
    for content, said in [
        (huge, "claims the shape"),
        (members["line_points.npy"].replace(b"<f4", b"|O "), ""),
        (b"", ""),
    ]:
        with zipfile.ZipFile(path, "w") as archive:
            for name, member in (members | {"line_points.npy": content}).items():
                archive.writestr(name, member)
        with pytest.raises(NO_CACHE, match=said):
            read_cache(path, "line", Ink)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    with pytest.raises(ValueError, match="is packed, which no cache is"):
        read_cache(path, "line", Ink)


# ---------------------------------------------------------------- Wikipedia
def test_an_archive_that_unpacks_to_very_much_is_refused_before_it_does(tmp_path):
    with zipfile.ZipFile(tmp_path / "enwik8.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("enwik8", bytes(1 << 25))
    tracemalloc.start()
    with pytest.raises(ValueError, match="claims 33,554,432 bytes, packed in .*, which no text does"):
        HutterPrize(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_two_hundred_megabytes_are_opened_in_little_memory(tmp_path):
    path = tmp_path / "enwik8"
    with path.open("wb") as file:
        file.truncate(200 << 20)  # takes no room on the disk
        file.write(b"some text")
    tracemalloc.start()
    text = HutterPrize(path)
    assert len(text.split("train")) + len(text.split("valid")) == 200 << 20
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()


# ---------------------------------------------------------------- checkpoints
def trainer_in(folder: Path, model: InkModel) -> Trainer:
    config = TrainConfig(points=40, batch_size=2, precision="fp32", validate_points=0)
    return Trainer(model, InkTask([Stage([INK, INK])], [INK]), folder, config, lambda entry: None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            dict(progress=dict(points="x")),
            "points of progress of a checkpoint is a whole number of at least 0, got the text",
        ),
        (dict(progress=dict(stage=-1)), "stage of progress of a checkpoint"),
        (dict(progress=[1]), "progress of a checkpoint is a table"),
        (dict(network={"x": torch.tensor([NAN])}), "network of a checkpoint has no finite numbers as x"),
        (dict(network={"x": 3}), "network of a checkpoint has no finite numbers as x"),
        (dict(optimizer=None), "optimizer of a checkpoint is a table"),
        (dict(best=3), "best of a checkpoint is a table"),
        (dict(pending=dict(lines=1.5)), "lines of pending of a checkpoint is a whole number"),
        (dict(model=3), "model of a checkpoint is a text"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_checkpoint_has_types_and_ranges(scribbler, tmp_path, changes, said):
    trainer_in(tmp_path, scribbler).fit()
    state = read_checkpoint(tmp_path)
    torch.save(state | changes, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=f"cannot resume from .*: {said}"):
        read_checkpoint(tmp_path)


def test_a_checkpoint_that_claims_to_be_of_a_huge_model_is_refused_at_once(scribbler, tmp_path):
    trainer_in(tmp_path, scribbler).fit()
    state, record = read_checkpoint(tmp_path), record_of(scribbler)
    for config in (record["config"] | dict(n_layers=10**30), record["config"] | dict(hidden_size=8000), [1]):
        torch.save(state | dict(model=json.dumps(record | dict(config=config))), tmp_path / "checkpoint.pt")
        with pytest.raises(ModelFileError, match="checkpoint.pt is damaged"):
            saved_model(tmp_path)


class Opened:
    "Makes a file where it is unpickled."

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_a_checkpoint_is_run(scribbler, tmp_path):
    torch.save(dict(network=Opened(tmp_path / "ran"), optimizer={}, progress={}), tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="cannot resume from"):
        trainer_in(tmp_path, scribbler).resume()
    assert not (tmp_path / "ran").exists()


def test_a_lock_that_is_none_is_no_obstacle(scribbler, tmp_path):
    "Locks are written whole: what cannot be read is nobody's."
    trainer_in(tmp_path, scribbler).fit()
    for content in ("[]", "{}", '{"pid": "x", "host": "y"}', '{"pid": 1e99, "host": "y"}'):
        (tmp_path / "lock").write_text(content)
        trainer_in(tmp_path, scribbler).resume()
        assert not (tmp_path / "lock").exists()
