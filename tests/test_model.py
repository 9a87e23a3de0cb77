"""Models on disk."""

import json
import stat
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from graves_nb.alphabet import Alphabet, TextBatch
from graves_nb.ink import OffsetScaler
from graves_nb.model import FORMAT_VERSION, InkModel, ModelFileError, transfer
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = SynthesisConfig(n_chars=4, hidden_size=6, n_mixtures=2, n_window=2)
    return InkModel(SynthesisNetwork(config), Alphabet(" abc"), OffsetScaler((0.1, 0.2), (0.3, 0.4)), {"a": 1})


@pytest.fixture
def scribbler():
    torch.manual_seed(1)
    config = PredictionConfig(hidden_size=6, n_mixtures=2, lstm_clip=None)
    return InkModel(PredictionNetwork(config), None, OffsetScaler((0.1, 0.2), (0.3, 0.4)), {"b": [2]})


def filled(network):
    "The network with weights none of which is zero."
    for i, p in enumerate(network.parameters()):
        torch.nn.init.normal_(p, std=0.5, generator=torch.Generator().manual_seed(i))
    return network


@pytest.mark.parametrize("dtype, error", [(torch.float32, 0), (torch.float16, 5e-4), (torch.bfloat16, 4e-3)])
@pytest.mark.parametrize("kind", ["model", "scribbler"])
def test_round_trip(kind, tmp_path, dtype, error, request):
    model = request.getfixturevalue(kind)
    again = InkModel.load(model.save(tmp_path / "new" / "m.safetensors", dtype))
    assert (again.alphabet, again.scaler, again.info) == (model.alphabet, model.scaler, model.info)
    assert again.kind == model.kind == {"model": "synthesis", "scribbler": "prediction"}[kind]
    assert again.network.config == model.network.config and not again.network.training
    for ours, theirs in zip(again.network.parameters(), model.network.parameters(), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=error, atol=error)


def test_a_failed_save_leaves_the_old_file(model, tmp_path):
    path = model.save(tmp_path / "m.safetensors")
    before = path.read_bytes()
    model.info["cannot be JSON"] = object()
    with pytest.raises(TypeError):
        model.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_others_may_read_the_file(model, tmp_path):
    assert model.save(tmp_path / "m.safetensors").stat().st_mode & stat.S_IRGRP


def test_damaged_and_foreign_files(model, tmp_path):
    whole = model.save(tmp_path / "m.safetensors").read_bytes()
    bad = tmp_path / "bad.safetensors"
    for content in (b"", whole[:50], whole[:-1], b"\xff" * 300):
        bad.write_bytes(content)
        with pytest.raises(ModelFileError, match="bad.safetensors"):
            InkModel.load(bad)
    save_file({"x": torch.zeros(1)}, bad)
    with pytest.raises(ModelFileError, match="not a model of graves_nb"):
        InkModel.load(bad)
    save_file({"x": torch.zeros(1)}, bad, {"graves_nb": json.dumps({"version": 2})})
    with pytest.raises(ModelFileError, match="version 2, this graves_nb reads 1"):
        InkModel.load(bad)
    for kind in ("painting", None):
        save_file({"x": torch.zeros(1)}, bad, {"graves_nb": json.dumps({"version": FORMAT_VERSION, "kind": kind})})
        with pytest.raises(ModelFileError, match=f"of kind {kind!r}, this graves_nb reads synthesis, prediction"):
            InkModel.load(bad)
    with pytest.raises(FileNotFoundError, match="none"):
        InkModel.load(tmp_path / "none.safetensors")


def test_weights_of_another_network_are_refused(model, tmp_path):
    config = replace(model.network.config, hidden_size=7)
    path = tmp_path / "m.safetensors"
    wrong = InkModel(SynthesisNetwork(config), model.alphabet, model.scaler)
    wrong.network.config = model.network.config
    wrong.save(path)
    with pytest.raises(ModelFileError, match="size mismatch"):
        InkModel.load(path)


def test_alphabet_and_network_must_agree(model):
    with pytest.raises(ValueError, match="3 characters, the network 4"):
        InkModel(model.network, Alphabet("abc"), model.scaler)


def test_a_file_as_the_first_release_wrote_it(model, tmp_path):
    tensors = {name: w.half() for name, w in model.network.state_dict().items()}
    config = dict(hidden_size=6, lstm_clip=10.0, n_chars=4, n_layers=3, n_mixtures=2, n_window=2, output_clip=100.0)
    about = {
        "version": 1, "kind": "synthesis", "config": config | {"points_per_char": 20.0}, "info": {"a": 1},
        "alphabet": {"symbols": " abc", "fold": False}, "scaler": {"mean": [0.1, 0.2], "std": [0.3, 0.4]},
    }  # fmt: skip
    save_file(tensors, tmp_path / "m.safetensors", {"graves_nb": json.dumps(about)})
    again = InkModel.load(tmp_path / "m.safetensors")
    assert (again.kind, again.alphabet, again.scaler) == ("synthesis", model.alphabet, model.scaler)
    assert again.network.config == model.network.config


def test_a_network_and_what_comes_with_it_must_agree(model, scribbler):
    for network, alphabet, message in [
        (model.network, None, "no characters, the network 4"),
        (scribbler.network, Alphabet("abc"), "knows no text"),
        (PredictionNetwork(PredictionConfig(4, 6)), None, "the network has 4 and 'mixture'"),
        (PredictionNetwork(PredictionConfig(3, 6, head="softmax")), None, "the network has 3 and 'softmax'"),
    ]:
        with pytest.raises(ValueError, match=message):
            InkModel(network, alphabet, model.scaler)
    with pytest.raises(TypeError, match="synthesis or prediction, got Linear"):
        InkModel(torch.nn.Linear(3, 3), None, model.scaler)


def test_both_kinds_predict_in_one_way(model, scribbler):
    x = torch.randn(5, 2, 3)
    text = TextBatch.from_indices([model.encode("ab"), model.encode("c")])
    assert model.encode("ab").tolist() == [1, 2] and scribbler.encode("any text") is None
    torch.testing.assert_close(model.network(x, text, None).y, model.network(x, text)[0])
    torch.testing.assert_close(scribbler.network(x, None).y, scribbler.network(x)[0])


def test_transfer_within_a_kind_copies_every_weight(model, scribbler):
    for source in (model, scribbler):
        filled(source.network)
        other = transfer(source, type(source.network)(source.network.config))
        assert other is not source.network
        pairs = zip(other.state_dict().values(), source.network.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in pairs)


def test_a_prediction_network_starts_as_a_synthesis_network_that_sees_no_text(model):
    network = filled(model.network)
    start = transfer(model, PredictionNetwork(PredictionConfig(hidden_size=6, n_mixtures=2)))
    x, text = torch.randn(7, 2, 3), TextBatch(torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 3))  # all padding
    torch.testing.assert_close(start(x).y, network(x, text).y)


@pytest.mark.parametrize(
    "config, message",
    [
        (PredictionConfig(hidden_size=5, n_mixtures=2), r"layers.0.weight_ih is \(24, 3\) .* \(20, 3\) in the network"),
        (PredictionConfig(hidden_size=6, n_mixtures=1), r"output.weight is \(13, 18\) in the source, \(7, 18\)"),
        (PredictionConfig(hidden_size=6, n_mixtures=2, n_layers=2), "the network has no layers.2.weight_ih"),
        (PredictionConfig(hidden_size=6, n_mixtures=2, n_layers=4), "the source has no layers.3.peephole"),
        (SynthesisConfig(5, 6, n_mixtures=2, n_window=2), r"layers.1.weight_ih is \(24, 13\) .*, \(24, 14\)"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_changed(model, config, message):
    network = (PredictionNetwork if isinstance(config, PredictionConfig) else SynthesisNetwork)(config)
    before = {name: w.clone() for name, w in network.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        transfer(model, network)
    assert all(torch.equal(w, before[name]) for name, w in network.state_dict().items())


def test_a_synthesis_network_does_not_start_from_ink_without_text(scribbler):
    network = SynthesisNetwork(SynthesisConfig(4, 6, n_mixtures=2, n_window=2))
    with pytest.raises(ValueError, match="this prediction model: the source has no window.weight"):
        transfer(scribbler, network)


class Halved(PredictionNetwork):
    "A network of somebody's own."

    def forward(self, x, text=None, state=None):
        given = super().forward(x, text, state)
        return given._replace(y=given.y / 2)


def test_a_network_of_ones_own_is_not_saved_as_another(scribbler, tmp_path):
    own = replace(scribbler, network=Halved(scribbler.network.config))
    with pytest.raises(TypeError, match="this is a Halved"):
        own.save(tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("info", [{"points_per_char": 0}, {"joined": 2.0}])
def test_what_could_not_be_loaded_is_not_saved(model, tmp_path, info):
    with pytest.raises(ValueError, match=next(iter(info))):
        replace(model, info=info).save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="int8"):
        model.save(tmp_path / "m.safetensors", torch.int8)
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_are_numbers(model, tmp_path):
    model.info.update(nats=np.float32(-2.5), lines=np.int64(7), each=np.arange(3))
    assert InkModel.load(model.save(tmp_path / "m.safetensors")).info == {
        "a": 1,
        "nats": -2.5,
        "lines": 7,
        "each": [0, 1, 2],
    }
