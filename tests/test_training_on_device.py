"""What a trainer does on a GPU, as far as it can be seen without one: ahead, unread, out of memory, who serves."""

import json
import os
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from test_training import QUICK, make_trainer, weights

from graves_nb import cli, training
from graves_nb.optim import orthogonalise
from graves_nb.training import TrainConfig


def ahead(trainer):
    return training.batches_ahead(trainer.task, trainer.progress, False)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    "Batches are made ahead, and numbers stay tensors until they are read."
    monkeypatch.setattr(training, "batches_of", ahead)
    monkeypatch.setattr(training, "as_read", lambda trainer, number: number.detach())


@pytest.mark.parametrize(
    "config", [QUICK, replace(QUICK, vary=0.1, log_updates=4, validate_points=700)], ids=["plain", "varied"]
)
def test_a_run_ahead_and_unread_is_the_same_run(tmp_path, monkeypatch, config):
    plain = make_trainer(tmp_path / "plain", config)
    end = plain.fit()
    monkeypatch.setattr(training, "batches_of", ahead)
    monkeypatch.setattr(training, "as_read", lambda trainer, number: number.detach())
    other = make_trainer(tmp_path / "other", config)
    assert replace(other.fit(), minutes=0) == replace(end, minutes=0)
    assert all(map(torch.equal, weights(plain), weights(other))) and not other.unread
    logs = [[json.loads(line) for line in open(tmp_path / d / "log.jsonl")] for d in ("plain", "other")]
    for one, two in zip(*logs, strict=True):
        assert one.get("nats", 0) == pytest.approx(two.get("nats", 0), rel=1e-5)
        assert one.get("valid_nats_per_point") == two.get("valid_nats_per_point")


def test_a_run_that_is_stopped_goes_on_where_it_was(tmp_path, as_on_a_gpu):
    whole, config = make_trainer(tmp_path / "whole"), QUICK
    end = whole.fit()
    first = make_trainer(tmp_path / "parts", config)
    update, calls = first.update, []

    def stop_after_five(*batch):
        calls.append(batch)
        if len(calls) == 5:
            first.stop()
        return update(*batch)

    first.update = stop_after_five
    first.fit()
    assert not [t for t in threading.enumerate() if t.name.startswith("Thread") and t.daemon and "make_ahead" in t.name]
    second = make_trainer(tmp_path / "parts", config, seed=5)
    second.resume()
    assert second.progress.updates == 5
    resumed = second.fit()
    assert (resumed.updates, resumed.points) == (end.updates, end.points)
    assert all(map(torch.equal, weights(whole), weights(second)))


def test_what_fails_while_batches_are_made_is_told(tmp_path, as_on_a_gpu, monkeypatch):
    trainer = make_trainer(tmp_path)

    def broken(progress):
        yield next(make_trainer(tmp_path).task.batches(progress))
        raise OSError("the disk is gone")

    monkeypatch.setattr(trainer.task, "batches", broken)
    with pytest.raises(OSError, match="the disk is gone"):
        trainer.fit()
    assert trainer.progress.updates == 1


def test_a_gradient_that_is_no_number_is_told_when_it_is_read(tmp_path, as_on_a_gpu):
    trainer = make_trainer(tmp_path, replace(QUICK, log_updates=3))
    update = trainer.update

    def poisoned(batch, points, lines):
        if trainer.progress.updates == 1:
            batch = batch._replace(target=batch.target * float("nan"))
        return update(batch, points, lines)

    trainer.update = poisoned
    with pytest.raises(FloatingPointError, match=r"the gradient was nan at update 1, .*the last checkpoint is kept"):
        trainer.fit()
    other = make_trainer(tmp_path, seed=3)
    other.resume()
    assert other.progress.updates == 0 and all(w.isfinite().all() for w in weights(other))


def test_a_card_without_room_says_what_would_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "memory_of", lambda device: 400_000)
    trainer = make_trainer(tmp_path)
    update = trainer.update

    def full(batch, points, lines):
        if trainer.progress.updates == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return update(batch, points, lines)

    trainer.update = full
    with pytest.raises(ValueError) as told:
        trainer.fit()
    words = str(told.value)
    assert "\n" not in words and "the last checkpoint is kept" in words
    assert "the GPU has no memory for 6 lines of" in words and "at update 2" in words
    assert "--set batch_size=" in words and "--set chunk=" in words and "--resume" in words
    make_trainer(tmp_path).resume()


def test_what_would_fit_is_less_than_what_did_not():
    assert training.what_fits(10**9, 10_000, 700, 512) == (142, 195)
    assert training.what_fits(10**12, 10_000, 700, 512) == (256, 350)
    assert training.what_fits(0, 10_000, 700, 512) == (1, 1)


def test_the_log_says_where_a_run_is_and_who_serves(tmp_path, monkeypatch):
    entries = []
    trainer = make_trainer(tmp_path, entries=entries)
    trainer.out.mkdir(exist_ok=True)
    here = SimpleNamespace(device=torch.device("meta"), is_main_process=True)
    monkeypatch.setattr(trainer, "accelerator", here)
    faults = {"c": "it does not serve float32 on meta", "triton": "Triton is not installed", "torch": ""}
    monkeypatch.setattr(training, "why_not", lambda x, *parts: faults)
    training.tell_device(trainer)
    (entry,) = entries
    assert entry["device"] == "meta" and entry["backend"] == "torch"
    assert entry["not_served_by"]["triton"] == "Triton is not installed"
    assert json.loads((trainer.out / "log.jsonl").read_text()) == entry


@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (6, 6)])
def test_many_matrices_are_made_orthogonal_at_once(shape):
    torch.manual_seed(0)
    x = torch.randn(3, *shape)
    together = orthogonalise(x)
    for one, matrix in zip(together, x, strict=True):
        torch.testing.assert_close(one, orthogonalise(matrix), rtol=1e-4, atol=1e-5)


def test_float16_may_be_asked_for(tmp_path):
    trainer = make_trainer(tmp_path, replace(QUICK, precision="fp16"))
    before = trainer.validate()[0]
    trainer.fit()
    assert trainer.validate()[0] < before
    with pytest.raises(ValueError, match="valid_precision must be one of auto, fp32"):
        TrainConfig(valid_precision="fp64")


@pytest.mark.parametrize(
    "asked, count, error, told",
    [
        (
            None,
            1,
            "CUDA error: no kernel image is available for execution on the device\nCUDA kernel",
            "'cuda:0' does not run",
        ),
        (
            "cuda",
            0,
            "The NVIDIA driver on your system is too old (found version 11040). Please update",
            "no device 'cuda'",
        ),
        ("cuda:7", 1, "CUDA error: invalid device ordinal\nCUDA kernel errors might", "no device 'cuda:7'"),
    ],
)
def test_a_card_that_cannot_be_used_is_told_in_one_line(monkeypatch, asked, count, error, told):
    def refused(*size, device=None):
        raise RuntimeError(error)

    for name in ("ACCELERATE_USE_CPU", "ACCELERATE_TORCH_DEVICE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch, "zeros", refused)
    with pytest.raises(ValueError, match=told) as said:
        cli.choose_device(asked)
    assert "\n" not in str(said.value) and error[:30] in str(said.value)


def test_without_a_card_nothing_is_chosen(monkeypatch):
    monkeypatch.delenv("ACCELERATE_TORCH_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    cli.choose_device(None)
    assert "ACCELERATE_TORCH_DEVICE" not in os.environ


@pytest.mark.parametrize("asked, narrowed", [("fp32", False), ("auto", True)])
def test_validations_have_the_precision_that_is_asked_for(tmp_path, monkeypatch, asked, narrowed):
    trainer, seen = make_trainer(tmp_path, replace(QUICK, valid_precision=asked)), []
    monkeypatch.setattr(trainer, "accelerator", SimpleNamespace(device=torch.device("meta"), num_processes=1))
    monkeypatch.setattr(training, "narrow", lambda _: torch.autocast("cpu", torch.bfloat16))
    totals = trainer.task.totals
    monkeypatch.setattr(
        trainer.task, "totals", lambda net: seen.append(torch.is_autocast_enabled("cpu")) or totals(net)
    )
    assert trainer.validate()[0] > 0 and seen == [narrowed]


def test_runs_of_one_process_have_each_its_own_precision_and_judge_in_float32(tmp_path):
    ends = []
    for i, precision in enumerate(("fp32", "bf16", "fp32", "bf16")):
        trainer = make_trainer(tmp_path / str(i), replace(QUICK, precision=precision))
        trainer.fit()
        ends.append(torch.cat([weight.flatten() for weight in weights(trainer)]))
        exact = type(trainer.model.network)(trainer.model.network.config)
        exact.load_state_dict(trainer.model.network.state_dict())
        assert trainer.validate() == trainer.task.scores(trainer.task.totals(exact))
    assert torch.equal(ends[0], ends[2]) and torch.equal(ends[1], ends[3]) and not torch.equal(ends[0], ends[1])
