"""Models on disk."""

import json
import stat
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from graves_nb.alphabet import Alphabet
from graves_nb.ink import OffsetScaler
from graves_nb.model import InkModel, ModelFileError
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = SynthesisConfig(n_chars=4, hidden_size=6, n_mixtures=2, n_window=2)
    return InkModel(SynthesisNetwork(config), Alphabet(" abc"), OffsetScaler((0.1, 0.2), (0.3, 0.4)), {"a": 1})


@pytest.mark.parametrize("dtype, error", [(torch.float32, 0), (torch.float16, 5e-4), (torch.bfloat16, 4e-3)])
def test_round_trip(model, tmp_path, dtype, error):
    again = InkModel.load(model.save(tmp_path / "new" / "m.safetensors", dtype))
    assert (again.alphabet, again.scaler, again.info) == (model.alphabet, model.scaler, model.info)
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
