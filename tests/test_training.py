"""Training: resumed = uninterrupted, two processes = one, killed at any moment, failures that lose nothing."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from graves_nb import training
from graves_nb.alphabet import Alphabet, TextBatch
from graves_nb.batches import InkBatch, batch_nats, chunked_backward, make_examples
from graves_nb.ink import Ink, OffsetScaler
from graves_nb.mixture import mixture_loss
from graves_nb.model import InkModel
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork
from graves_nb.tasks import InkTask, Stage, total_nats, varied
from graves_nb.training import Clock, Progress, TrainConfig, Trainer, schedule

torch.set_num_threads(1)
QUICK = TrainConfig(points=4000, batch_size=6, warmup_updates=3, log_updates=1, precision="fp32")


def make_inks(count, seed=0):
    rng, inks = np.random.default_rng(seed), []
    shapes = np.random.default_rng(0).normal(0.1, 0.3, (3, 7, 2)).cumsum(1)  # one for each letter
    for _ in range(count):
        text = "".join(rng.choice(list("abc "), rng.integers(2, 6))).strip() or "a"
        strokes = [shapes["abc".find(c)] + rng.normal(0, 0.02, (7, 2)) + i for i, c in enumerate(text)]
        strokes = [s[: rng.integers(4, 8)] for s in strokes]
        inks.append(Ink.from_strokes(strokes, text=text))
    return inks


def make_trainer(out, config=QUICK, seed=0, entries=None):
    torch.manual_seed(seed)
    network = SynthesisNetwork(SynthesisConfig(n_chars=4, hidden_size=8, n_mixtures=2, n_window=2))
    model = InkModel(network, Alphabet(" abc"), OffsetScaler((0.1, 0.1), (0.3, 0.3)))
    stages = [Stage(make_inks(20, 1), 0.4), Stage(make_inks(24, 2))]
    report = (lambda entry: None) if entries is None else entries.append
    return Trainer(model, InkTask(stages, make_inks(7, 3)), out, config, report)


def weights(trainer):
    return [p.detach() for p in trainer.trained.parameters()]


KINDS = [
    dict(),
    dict(optimizer="rmsprop", learning_rate=1e-3, mean_over="sequence", clip_norm=float("inf")),
    dict(optimizer="adam", learning_rate=1e-3, noise="fixed"),
    dict(noise="adaptive", learning_rate=0.01),
    dict(noise="adaptive", optimizer="sgd", momentum=0.99, learning_rate=1e-4, mean_over="sequence"),
    dict(chunk=5),
    dict(average=0.8),
    dict(dropout=0.3, input_noise=0.1),
    dict(dropout=0.3, dropout_of="candidates"),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(str(v) for v in kind.values()) or "defaults")
@pytest.mark.parametrize("stop", [1, 12])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, stop, kind):
    config = replace(QUICK, **kind)
    whole = make_trainer(tmp_path / "whole", config)
    end = whole.fit()
    first = make_trainer(tmp_path / "parts", config)
    update, calls = first.update, []

    def update_then_interrupt(batch, points, lines):
        calls.append(points)
        if len(calls) == stop:
            os.kill(os.getpid(), signal.SIGINT)
        return update(batch, points, lines)

    first.update = update_then_interrupt
    with pytest.raises(KeyboardInterrupt):
        first.fit()
    second = make_trainer(tmp_path / "parts", config, seed=5)
    second.resume()
    assert second.progress.updates == stop
    resumed = second.fit()
    assert (resumed.updates, resumed.points, resumed.stage) == (end.updates, end.points, end.stage)
    assert all(map(torch.equal, weights(whole), weights(second)))
    logs = [[json.loads(line) for line in open(tmp_path / d / "log.jsonl")] for d in ("whole", "parts")]
    losses = [[(e["updates"], e["nats"]) for e in log if "nats" in e] for log in logs]
    assert losses[0] == losses[1]


def test_every_batch_is_seen_once_a_pass_and_stages_follow_each_other(tmp_path):
    trainer = make_trainer(tmp_path)
    seen = []
    for batch, points, lines in trainer.task.batches(trainer.progress):
        assert (points, lines) == (int(batch.mask.sum()), batch.mask.shape[1])
        seen.append((trainer.progress.stage, trainer.progress.epoch, lines))
        trainer.progress.position, trainer.progress.points = (
            trainer.progress.position + 1,
            trainer.progress.points + points,
        )
    assert [stage for stage, _, _ in seen] == sorted(stage for stage, _, _ in seen)
    assert {stage for stage, _, _ in seen} == {0, 1}
    passes = {}
    for stage, epoch, lines in seen:
        passes[stage, epoch] = passes.get((stage, epoch), 0) + lines
    finished = [key for key in passes if (key[0], key[1] + 1) in passes]
    assert finished and all(passes[key] == (20, 24)[key[0]] for key in finished)
    assert trainer.progress.points >= QUICK.points


def test_lines_are_varied_anew_in_every_pass_and_alike_in_every_process(tmp_path):
    trainer = make_trainer(tmp_path, replace(QUICK, vary=0.2))
    examples = trainer.task.examples[0][0]
    seen = [[varied(examples[i], i, seed, trainer.task).offsets for i in range(3)] for seed in (7, 7, 8)]
    for first, again, later, example in zip(*seen, examples, strict=False):
        assert torch.equal(first, again) and not torch.equal(first, later)
        assert torch.equal(first[:, 2], example.offsets[:, 2]) and 0 < (first - example.offsets).abs().max() < 3
    whole = next(trainer.task.batches(trainer.progress))[0]
    share = next(trainer.task.bind(trainer.model, trainer.config, 1, 2).batches(trainer.progress))[0]
    steps = len(share.target)
    assert torch.equal(share.target, whole.target[:steps, 1::2])


@pytest.mark.parametrize("chunk", [0, 5])
def test_the_signed_estimate_is_that_of_single_sequences_on_average(tmp_path, chunk):
    trainer = make_trainer(
        tmp_path, replace(QUICK, noise="adaptive", noise_estimate="signed", batch_size=3, chunk=chunk)
    )
    batch = next(trainer.task.batches(Progress()))[0]
    nats, exact = training.send_one_by_one(trainer, batch)
    wanted = [w.grad.clone() for w in trainer.model.network.parameters()]
    lines, found = batch.mask.shape[1], {}
    while len(found) < 2**lines:
        trainer.progress.updates += 1
        signs = tuple((torch.rand(lines, generator=training.draw_of(trainer, 2)) < 0.5).tolist())
        if signs in found:
            continue
        trainer.optimizer.zero_grad(set_to_none=True)
        same, found[signs] = training.send_signed(trainer, batch)
        assert same == pytest.approx(nats, rel=1e-5)
    for w, gradient in zip(trainer.model.network.parameters(), wanted, strict=True):
        torch.testing.assert_close(w.grad, gradient, rtol=1e-4, atol=1e-4)
    for i, squares in enumerate(exact):
        mean = sum(squares_of[i] for squares_of in found.values()) / len(found)
        torch.testing.assert_close(mean, squares, rtol=1e-3, atol=1e-3)


def test_noise_on_the_inputs_leaves_what_is_predicted_alone_and_is_alike_in_every_process(tmp_path):
    plain = next(make_trainer(tmp_path).task.batches(Progress()))[0]
    trainer = make_trainer(tmp_path, replace(QUICK, input_noise=0.5))
    whole, again = (next(trainer.task.batches(Progress()))[0] for _ in range(2))
    assert torch.equal(whole.x, again.x) and torch.equal(whole.target, plain.target)
    moved = whole.x - plain.x
    assert not moved[0].any() and not moved[..., 2].any() and moved[1:, :, :2].std() == pytest.approx(0.5, rel=0.2)
    share = next(trainer.task.bind(trainer.model, trainer.config, 1, 2).batches(Progress()))[0]
    steps = len(share.x)
    assert torch.equal(share.x, whole.x[:steps, 1::2])


def test_dropout_is_drawn_anew_for_every_update_and_is_gone_when_validating(tmp_path):
    trainer, kept = make_trainer(tmp_path, replace(QUICK, points=500, dropout=0.5)), []
    backward = trainer.task.backward

    def noted(network, batch, send):
        kept.append((network.layers[0].weight_hh != 0).any(0))
        return backward(network, batch, send)

    trainer.task.backward = noted
    trainer.fit()
    assert len({tuple(units.tolist()) for units in kept}) > 1 and not all(units.all() for units in kept)
    assert (trainer.model.network.layers[0].weight_hh != 0).any(0).all()
    with pytest.raises(ValueError, match="not with adaptive noise"):
        replace(QUICK, dropout=0.5, noise="adaptive")


def test_candidates_are_dropped_in_training_alone_and_not_where_steps_are_computed_twice(tmp_path):
    trainer, rates = make_trainer(tmp_path, replace(QUICK, points=500, dropout=0.5, dropout_of="candidates")), []
    backward, validate = trainer.task.backward, trainer.task.totals
    rate_of = lambda network: [getattr(layer.dropped, "rate", None) for layer in network.layers]  # noqa: E731
    trainer.task.backward = lambda network, *rest: rates.append(rate_of(network)) or backward(network, *rest)
    trainer.task.totals = lambda network, *rest: rates.append(rate_of(network)) or validate(network, *rest)
    trainer.fit()
    layers = len(trainer.model.network.layers)
    assert rates.count([0.5] * layers) == trainer.progress.updates and [None] * layers in rates
    with pytest.raises(ValueError, match="chunk must be 0, got 5"):
        replace(QUICK, dropout=0.5, dropout_of="candidates", chunk=5)
    with pytest.raises(ValueError, match="dropout_of must be one of units, candidates"):
        replace(QUICK, dropout_of="cells")


@pytest.mark.parametrize("optimizer", ["muon", "adam", "rmsprop", "sgd"])
def test_standard_deviations_have_a_learning_rate_of_their_own(tmp_path, optimizer):
    config = replace(QUICK, noise="adaptive", noise_estimate="pathwise", optimizer=optimizer, learning_rate=1e-3)
    config = replace(config, adam_learning_rate=1e-3, points=500, std_learning_rate=0.03, decay_fraction=0.0)
    trainer = make_trainer(tmp_path, config)
    assert [group["peak"] for group in trainer.optimizer.param_groups][-1] == 0.03
    before = [p.detach().clone() for p in trainer.noise.log_std]
    end = trainer.fit()
    moved = max(float((a.detach() - b).abs().max()) for a, b in zip(trainer.noise.log_std, before, strict=True))
    assert 0.03 < moved < 0.03 * end.updates * 1.2


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_deviations_do_not_collapse_with_the_paper_s_momentum(tmp_path, optimizer):
    config = replace(QUICK, noise="adaptive", noise_estimate="squared", optimizer=optimizer, momentum=0.99)
    config = replace(
        config, learning_rate=1e-4, points=2000, mean_over="sequence", decay_fraction=0.0, warmup_updates=0
    )
    trainer = make_trainer(tmp_path, config)
    trainer.fit()
    moved = [p.detach() - math.log(config.noise_std) for p in trainer.noise.log_std]
    assert max(float(m.abs().max()) for m in moved) <= 1.2 * 0.01 * trainer.progress.updates


def test_learning_lowers_the_loss(tmp_path):
    entries = []
    config = TrainConfig(points=20_000, batch_size=8, warmup_updates=3, log_updates=5, precision="fp32")
    make_trainer(tmp_path, config, entries=entries).fit()
    losses = [entry["nats"] for entry in entries if "nats" in entry]
    assert losses[-1] < losses[0] - 1


def test_schedule():
    config = TrainConfig(points=100, warmup_updates=10, decay_fraction=0.5)
    assert schedule(config, 0, 0) == pytest.approx(0.1)
    assert schedule(config, 50, 49) == 1.0
    assert schedule(config, 50, 75) == pytest.approx(0.5)
    assert schedule(config, 50, 100) == schedule(config, 50, 120) == 0.0


def test_a_gradient_that_is_no_number_stops_and_keeps_the_checkpoint(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.fit(minutes=0)
    kept = (tmp_path / "checkpoint.pt").read_bytes()
    before = [w.clone() for w in weights(trainer)]
    nan = float("nan")
    trainer.task.examples = [([e._replace(offsets=e.offsets * nan) for e in s], u) for s, u in trainer.task.examples]
    with pytest.raises(FloatingPointError, match="update 1, epoch 0, batch 1"):
        trainer.fit()
    assert (tmp_path / "checkpoint.pt").read_bytes() == kept
    assert all(map(torch.equal, before, weights(trainer)))


def test_resume_says_what_is_wrong(tmp_path):
    trainer = make_trainer(tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        trainer.resume()
    trainer.fit(minutes=0)
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no checkpoint"):
        (tmp_path / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(ValueError, match="cannot resume from"):
            trainer.resume()
    (tmp_path / "checkpoint.pt").write_bytes(whole)
    network = SynthesisNetwork(SynthesisConfig(n_chars=4, hidden_size=9, n_mixtures=2, n_window=2))
    other = InkModel(network, Alphabet(" abc"), OffsetScaler((0.1, 0.1), (0.3, 0.3)))
    with pytest.raises(ValueError, match="another network"):
        Trainer(other, InkTask([Stage(make_inks(3))], make_inks(2)), tmp_path, QUICK).resume()


def test_resume_takes_learning_rates_from_the_configuration(tmp_path):
    make_trainer(tmp_path).fit(minutes=0)
    config = TrainConfig(points=4000, learning_rate=0.5, adam_learning_rate=0.25, precision="fp32")
    trainer = make_trainer(tmp_path, config)
    trainer.resume()
    assert [group["peak"] for group in trainer.optimizer.param_groups] == [0.5, 0.25]


def test_empty_stages_and_impossible_settings_are_refused(tmp_path):
    trainer = make_trainer(tmp_path)
    with pytest.raises(ValueError, match="needs ink"):
        Trainer(trainer.model, InkTask([Stage([])], make_inks(2)), tmp_path)
    for wrong in (dict(points=0), dict(batch_size=-1), dict(precision="fp8"), dict(decay_fraction=2.0)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            TrainConfig(**wrong)
    assert Progress().updates == 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(str(v) for v in kind.values()) or "defaults")
def test_every_kind_of_training_learns(tmp_path, kind):
    entries = []
    config = replace(QUICK, points=12_000, log_updates=10, **kind)
    make_trainer(tmp_path, config, entries=entries).fit()
    losses = [entry["nats"] for entry in entries if "nats" in entry]
    assert losses[-1] < losses[0] - 0.2
    assert (entries[-1]["complexity"] is not None) == (kind.get("noise") == "adaptive")


def test_an_update_of_one_line_is_the_papers(tmp_path):
    config = replace(QUICK, batch_size=1, warmup_updates=0, optimizer="rmsprop", learning_rate=1e-4,
                     mean_over="sequence", clip_norm=math.inf, decay_fraction=0.0)  # fmt: skip
    trainer = make_trainer(tmp_path, config)
    batch, points, lines = next(trainer.task.batches(trainer.progress))
    before = [w.clone() for w in weights(trainer)]
    y = trainer.model.network(batch.x, batch.text)[0]
    loss = (mixture_loss(y, batch.target) * batch.mask).sum()
    gradients = torch.autograd.grad(loss, list(trainer.model.network.parameters()))
    assert trainer.update(batch, points, lines) == pytest.approx(loss.item() / points, rel=1e-5)
    for old, new, g in zip(before, weights(trainer), gradients, strict=True):
        n, m = 0.05 * g**2, 0.05 * g
        torch.testing.assert_close(new - old, -1e-4 * g / (n - m**2 + 1e-4).sqrt(), rtol=1e-3, atol=1e-7)


def test_the_best_model_is_kept_and_training_stops_when_none_is_better(tmp_path):
    config = replace(QUICK, points=10**9, log_updates=1, validate_points=1, patience=3)
    trainer, losses = (
        make_trainer(tmp_path, config),
        iter([3.0, 2.0, 2.5, 2.1, 2.0]),
    )  # the last one is judged once
    trainer.validate = lambda: (next(losses), 0.0)
    kept = []

    def note(entry):
        if "valid_nats_per_point" in entry:
            kept.append((tmp_path / "best.safetensors").read_bytes())

    trainer.report = note
    end = trainer.fit()
    assert end.updates == 5 and end.best == 2.0 and end.ended and next(losses, None) is None
    assert kept[0] != kept[1] == kept[2] == kept[3] == kept[4]


def test_prediction_networks_train_too(tmp_path):
    torch.manual_seed(0)
    network = PredictionNetwork(PredictionConfig(hidden_size=8, n_layers=2, n_mixtures=2))
    model, entries = InkModel(network, None, OffsetScaler((0.1, 0.1), (0.3, 0.3))), []
    config = replace(QUICK, points=12_000, log_updates=10)
    Trainer(model, InkTask([Stage(make_inks(20, 1))], make_inks(5, 2)), tmp_path, config, entries.append).fit()
    losses = [entry["nats"] for entry in entries if "nats" in entry]
    assert losses[-1] < losses[0] - 0.5
    assert InkModel.load(tmp_path / "best.safetensors").kind == "prediction"


RUN = """
import sys, torch
sys.path.insert(0, sys.argv[1])
torch.set_num_threads(1)
from test_training import make_trainer, TrainConfig
points, batch, checkpoint, noise = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), sys.argv[6]
average = float(sys.argv[7])
config = TrainConfig(points=points, batch_size=batch, warmup_updates=3, log_updates=1, precision="fp32",
                     checkpoint_minutes=checkpoint, noise=noise, average=average)
trainer = make_trainer(sys.argv[2], config)
trainer.fit()
"""


def start(out, points, batch, checkpoint_minutes, noise="none", launcher=(), average=0.0):
    arguments = [str(Path(__file__).parent), str(out), str(points), str(batch), str(checkpoint_minutes), noise]
    arguments.append(str(average))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
    script = out.parent / f"{out.name}.py"
    script.write_text(RUN)
    command = [sys.executable, *launcher, str(script), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("noise", "average"), [("none", 0.0), ("adaptive", 0.0), ("none", 0.9)])
def test_two_processes_learn_what_one_does(tmp_path, noise, average):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = ("-m", "accelerate.commands.accelerate_cli", "launch", "--num_processes", "2", "--cpu")
    launcher += ("--main_process_port", port)
    two = start(tmp_path / "two", 400, 6, 3, noise, launcher, average)  # few updates: rounding grows with each
    _, errors = two.communicate(timeout=240)
    assert two.returncode == 0, errors
    config = TrainConfig(points=400, batch_size=6, warmup_updates=3, log_updates=1, precision="fp32", noise=noise)
    make_trainer(tmp_path / "one", replace(config, average=average)).fit()
    ours = InkModel.load(tmp_path / "one" / "model.safetensors").network
    theirs = InkModel.load(tmp_path / "two" / "model.safetensors").network
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    last = [json.loads((tmp_path / d / "log.jsonl").read_text().splitlines()[-1]) for d in ("one", "two")]
    assert last[0]["valid_nats_per_point"] == pytest.approx(last[1]["valid_nats_per_point"], abs=1e-3)


def test_a_killed_run_leaves_a_whole_checkpoint(tmp_path):
    out = tmp_path / "run"
    process = start(out, 10**9, 4, 0)
    deadline = time.monotonic() + 200
    while not (out / "log.jsonl").exists() or len((out / "log.jsonl").read_text().splitlines()) < 30:
        assert process.poll() is None and time.monotonic() < deadline, "the run never began"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    trainer = make_trainer(out)
    trainer.resume()
    assert trainer.progress.updates > 0
    InkModel.load(out / "model.safetensors")
    logged = [json.loads(line)["updates"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert max(logged) <= trainer.progress.updates


def test_what_is_judged_and_saved_is_the_mean_of_the_weights(tmp_path):
    averaged = make_trainer(tmp_path / "averaged", replace(QUICK, points=400, average=0.5))
    plain = make_trainer(tmp_path / "plain", replace(QUICK, points=400))
    update, seen = averaged.update, []

    def noted(*batch):
        loss = update(*batch)
        seen.append([w.clone() for w in weights(averaged)])
        return loss

    averaged.update = noted
    averaged.fit()
    plain.fit()
    assert all(map(torch.equal, weights(averaged), weights(plain)))  # the optimiser's weights are its own
    mean = seen[0]
    for count, newest in enumerate(seen[1:], 2):
        share = max(0.5, 10 / (count + 9))
        mean = [(1 - share) * m + share * w for m, w in zip(mean, newest, strict=True)]
    assert len(seen) > 3 and not torch.allclose(mean[0], weights(averaged)[0], atol=1e-5)
    for name in ("model.safetensors", "best.safetensors"):  # there is one validation, at the end
        saved = InkModel.load(tmp_path / "averaged" / name).network
        for ours, theirs in zip(mean, saved.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-6)
    last = json.loads((tmp_path / "averaged" / "log.jsonl").read_text().splitlines()[-1])
    nats, points, _ = total_nats(saved, make_examples(averaged.model, make_inks(7, 3))).tolist()
    assert last["valid_nats_per_point"] == pytest.approx(nats / points, rel=1e-5)


def test_a_mean_begins_where_a_run_without_one_is_resumed_and_ends_where_it_is_set_to_none(tmp_path):
    make_trainer(tmp_path, replace(QUICK, points=300)).fit()
    with_mean = make_trainer(tmp_path, replace(QUICK, points=600, average=0.9))
    with_mean.resume()
    before = with_mean.progress.updates
    with_mean.fit()
    assert with_mean.average.count == with_mean.progress.updates - before > 0
    without = make_trainer(tmp_path, replace(QUICK, points=900))
    without.resume()
    without.fit()
    saved = InkModel.load(tmp_path / "model.safetensors").network
    assert all(map(torch.equal, weights(without), saved.parameters()))


def test_a_run_of_some_minutes_ends_with_its_rate_at_zero(tmp_path, monkeypatch):
    monkeypatch.setattr(Clock, "minutes", lambda self: 1.0 + self.trainer.progress.updates - self.first)
    begin = Clock.__init__

    def counting(self, trainer):
        begin(self, trainer)
        self.trainer, self.first = trainer, trainer.progress.updates

    monkeypatch.setattr(Clock, "__init__", counting)
    config = replace(QUICK, points=10**9, minutes=20, warmup_updates=0, decay_fraction=0.5)
    first, rates = make_trainer(tmp_path, config), []
    update = first.update

    def noted(*batch):
        loss = update(*batch)
        rates.append(first.optimizer.param_groups[0]["lr"] / first.optimizer.param_groups[0]["peak"])
        if len(rates) == 5:
            first.stop()
        return loss

    first.update = noted
    first.fit()
    first.fit()  # what is left of the minutes
    assert first.progress.ended and len(rates) == 20 and rates[:11] == [1.0] * 11
    assert rates[15] == pytest.approx(0.5) and rates[19] == pytest.approx(0.5 * (1 - math.cos(0.1 * math.pi)))
    again = make_trainer(tmp_path, config)
    again.resume()
    assert again.fit().updates == first.progress.updates


def test_shares_of_the_validation_add_up(tmp_path):
    trainer = make_trainer(tmp_path)
    examples = make_examples(trainer.model, make_inks(7, 3))
    parts = total_nats(trainer.model.network, examples[::2]) + total_nats(trainer.model.network, examples[1::2])
    torch.testing.assert_close(parts, total_nats(trainer.model.network, examples), rtol=1e-5, atol=1e-3)
    nats, points, lines = parts.tolist()
    assert trainer.validate() == pytest.approx((nats / points, nats / lines), rel=1e-5)


@pytest.mark.parametrize("kind", ["synthesis", "prediction"])
@pytest.mark.parametrize("steps", [1, 4, 7, 100])
def test_gradient_in_chunks_is_the_gradient(kind, steps):
    torch.manual_seed(0)
    if kind == "synthesis":
        network = SynthesisNetwork(SynthesisConfig(n_chars=6, hidden_size=5, n_mixtures=2, n_window=2)).double()
        text = TextBatch.from_indices([torch.tensor([1, 2, 3]), torch.tensor([4])])
        text = TextBatch(text.index, text.mask.double())
    else:
        network, text = PredictionNetwork(PredictionConfig(hidden_size=5, n_mixtures=2)).double(), None
    x, target = torch.randn(2, 13, 2, 3, dtype=torch.double)
    target[..., 2] = (target[..., 2] > 0).double()
    mask = torch.ones(13, 2, dtype=torch.bool)
    mask[9:, 1] = False
    batch = InkBatch(x, target, mask, text)
    whole = batch_nats(network, batch).sum()
    whole.backward()
    expected = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    torch.testing.assert_close(chunked_backward(network, batch, steps), whole.detach())
    for p, grad in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, grad, rtol=1e-9, atol=1e-9)
