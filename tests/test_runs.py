"""A run is saved as one: killed anywhere it goes on as if nothing had happened; evaluation leaves out nothing."""

import errno
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_training import QUICK, make_inks, make_trainer, weights
from torch import nn

import graves_nb.settings as settings
import graves_nb.training as training
from graves_nb.alphabet import Alphabet
from graves_nb.collections import Collection
from graves_nb.contracts import Layer
from graves_nb.corpus import Symbols, Vocabulary
from graves_nb.evaluation import evaluate
from graves_nb.ink import Ink, OffsetScaler
from graves_nb.model import InkModel, TextModel
from graves_nb.optim import GateMuon, orthogonalise, split_weights
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.pretrained import load_model
from graves_nb.recipes import configure, find_recipe, prepare
from graves_nb.tasks import TASK_PARTS, InkTask, Task, TextTask
from graves_nb.training import Progress, TrainConfig, Trainer, read_checkpoint, saved_model

torch.set_num_threads(1)
OFTEN = replace(QUICK, points=3000, validate_points=700, log_updates=2)


class Killed(BaseException):
    "The process is gone."


def log_of(folder):
    "The log, but for what depends on the machine."
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("minutes", "points_per_second")} for line in lines]


def files_of(folder):
    return sorted(path.name for path in folder.iterdir())


def same_run(one, two, trainers):
    assert all(map(torch.equal, *map(weights, trainers)))
    assert log_of(one) == log_of(two) and files_of(one) == files_of(two)
    assert [trainers[0].progress.best, trainers[0].progress.stale] == [
        trainers[1].progress.best,
        trainers[1].progress.stale,
    ]
    for name in ("best.safetensors", "model.safetensors"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


PLACES = ["write_whole", "save_best", "write_line", "save_run", "judge", "log_training", "advance"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("place", PLACES)
def test_killed_at_any_place_a_run_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch, place, after):
    adaptive = replace(OFTEN, noise="adaptive", noise_estimate="squared")
    averaged = replace(OFTEN, average=0.9)
    config = {"judge": adaptive, "save_run": averaged, "advance": averaged}.get(place, OFTEN)
    whole = make_trainer(tmp_path / "whole", config)
    whole.fit()
    for moment in (2, 4):
        run, calls, function = tmp_path / f"killed{moment}", [], getattr(training, place)

        def deadly(*words, function=function, calls=calls, moment=moment, **more):
            calls.append(place)
            if len(calls) == moment and not after:
                raise Killed
            result = function(*words, **more)
            if len(calls) == moment:
                raise Killed
            return result

        monkeypatch.setattr(training, place, deadly)
        with pytest.raises(Killed):
            make_trainer(run, config).fit()
        monkeypatch.setattr(training, place, function)
        (run / ".checkpoint.pt.0123abcd.tmp").write_bytes(b"half")  # what a killed write leaves
        (run / "model.safetensors").unlink(missing_ok=True)
        again = make_trainer(run, config, seed=3)
        again.resume()
        again.fit()
        same_run(tmp_path / "whole", run, (whole, again))


def test_a_run_that_has_ended_does_not_end_twice(tmp_path):
    whole = make_trainer(tmp_path, OFTEN)
    whole.fit()
    before = log_of(tmp_path)
    again = make_trainer(tmp_path, OFTEN)
    again.resume()
    again.fit()
    assert log_of(tmp_path) == before and again.progress == whole.progress


def test_what_a_run_does_not_depend_on_the_clock(tmp_path):
    slow = make_trainer(tmp_path / "slow", replace(OFTEN, checkpoint_minutes=0.0))
    slow.fit(minutes=0)
    slow.fit(minutes=0)
    slow.fit()
    whole = make_trainer(tmp_path / "whole", OFTEN)
    whole.fit()
    same_run(tmp_path / "whole", tmp_path / "slow", (whole, slow))


def test_a_checkpoint_is_there_before_the_first_update(tmp_path):
    trainer = make_trainer(tmp_path)

    def update(*batch):
        raise Killed

    trainer.update = update
    with pytest.raises(Killed):
        trainer.fit()
    again = make_trainer(tmp_path, seed=4)
    again.resume()
    assert again.progress == Progress() and all(map(torch.equal, weights(trainer), weights(again)))


def test_two_trainings_do_not_share_a_folder(tmp_path):
    first, second = make_trainer(tmp_path), make_trainer(tmp_path)
    first.update = lambda *batch: second.fit()
    with pytest.raises(RuntimeError, match=f"being trained by process {os.getpid()} on") as caught:
        first.fit()
    assert str(tmp_path / "lock") in str(caught.value) and not (tmp_path / "lock").exists()
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    owner = dict(pid=sleeper.pid, host=platform.node(), began=training.began(sleeper.pid))
    (tmp_path / "lock").write_text(json.dumps(owner))
    for run in (second.fit, second.resume):
        with pytest.raises(RuntimeError, match=f"by process {sleeper.pid}"):
            run()
    sleeper.kill()
    sleeper.wait()
    second.resume()
    for lock in (owner | dict(pid=os.getpid()), owner | dict(pid=1, began="7"), "no json"):
        (tmp_path / "lock").write_text(lock if isinstance(lock, str) else json.dumps(lock))
        second.resume()
    (tmp_path / "lock").write_text(json.dumps(owner | dict(host="elsewhere")))
    with pytest.raises(RuntimeError, match="on elsewhere"):
        second.fit()


def test_a_full_disk_ends_training_with_one_line_and_keeps_the_checkpoint(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path, OFTEN)
    trainer.fit(minutes=0)
    kept, save = (tmp_path / "checkpoint.pt").read_bytes(), torch.save

    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            self.file.write(bytes(data)[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def flush(self):
            pass

    monkeypatch.setattr(torch, "save", lambda state, file: save(state, Full(file)))
    with pytest.raises(OSError, match=r"cannot write .*checkpoint\.pt") as caught:
        trainer.fit()
    assert "\n" not in str(caught.value)
    assert (tmp_path / "checkpoint.pt").read_bytes() == kept and not list(tmp_path.glob(".*.tmp"))


def test_a_damaged_log_is_repaired_and_named(tmp_path):
    trainer = make_trainer(tmp_path, OFTEN)
    trainer.fit()
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    (tmp_path / "log.jsonl").write_text("\n".join([lines[0], '{"upda', *lines[2:]]) + "\n")
    with pytest.warns(UserWarning, match="log.jsonl: dropped lines that cannot be read: 2"):
        make_trainer(tmp_path, OFTEN).resume()
    assert (tmp_path / "log.jsonl").read_text().splitlines() == [lines[0], *lines[2:]]


def test_weights_that_are_no_numbers_are_never_saved(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.fit(minutes=0)
    kept, update = (tmp_path / "checkpoint.pt").read_bytes(), trainer.update

    def too_far(*batch):
        loss = update(*batch)
        with torch.no_grad():
            next(trainer.model.network.parameters())[0, 0] = math.inf
        return loss

    trainer.update = too_far
    with pytest.raises(FloatingPointError, match="no finite numbers at update 2.*the last checkpoint is kept"):
        trainer.fit()
    assert (tmp_path / "checkpoint.pt").read_bytes() == kept


@pytest.mark.parametrize("name", ["learning_rate", "adam_learning_rate", "noise_std"])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e308, 0.0])
def test_rates_that_are_no_rates_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be above 0"):
        TrainConfig(**{name: value})


def old_checkpoint(folder):
    "Make a checkpoint like those from before it held the model's record, the best weights and the log's length."
    state = read_checkpoint(folder)
    for name in ("model", "best", "pending"):
        state.pop(name)
    state["progress"] = {k: v for k, v in state["progress"].items() if k not in ("description", "ended")}
    state["config"]["validate_minutes"] = 10.0
    torch.save(state, folder / "checkpoint.pt")


def test_older_checkpoints_go_on(tmp_path):
    whole = make_trainer(tmp_path / "run", OFTEN)
    whole.fit(minutes=0)
    old_checkpoint(tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "bare")
    (tmp_path / "bare" / "model.safetensors").unlink()
    for name in ("run", "bare"):
        again = make_trainer(tmp_path / name, OFTEN, seed=2)
        again.resume()
        assert again.progress.updates == 1 and again.fit().points >= 3000
    assert saved_model(tmp_path / "run").kind == "synthesis"


def test_the_model_of_a_run_is_in_its_checkpoint(tmp_path, unipen_folder):
    recipe = configure(
        find_recipe("synthesis-fast"), dict(hidden_size="8", n_mixtures="2", n_window="2", points="900", batch_size="4")
    )
    first = prepare(recipe, unipen_folder, tmp_path, lambda entry: None)
    first.fit(minutes=0)
    for name in ("model.safetensors", "best.safetensors", "log.jsonl"):
        (tmp_path / name).unlink()
    again = prepare(recipe, unipen_folder, tmp_path, lambda entry: None, resume=True)
    assert again.model.scaler == first.model.scaler and again.model.alphabet == first.model.alphabet
    assert all(map(torch.equal, weights(first), weights(again))) and (tmp_path / "model.safetensors").exists()
    with pytest.raises(ValueError, match="hidden_size is 8 there and 9 here"):
        prepare(configure(recipe, dict(hidden_size="9")), unipen_folder, tmp_path, resume=True)


# -- tasks and noise


def test_a_task_that_lacks_a_part_is_told_which(tmp_path):
    class Half:
        unit, figures = "things", ("loss",)

    with pytest.raises(TypeError, match="Half is no task: it lacks bind, size"):
        Trainer(make_trainer(tmp_path).model, Half(), tmp_path)
    assert all(hasattr(InkTask, part) and hasattr(TextTask, part) for part in TASK_PARTS)


class Walk(Task):
    "A task that somebody wrote: batches are tensors of offsets, and have no parts of their own."

    unit, figures = "points", ("valid_nats_per_point",)

    def size(self, progress):
        return 400

    def batches(self, progress):
        while True:
            yield torch.ones(10, 4, 3), 40, 4
            progress.epoch += 1

    def loss(self, network, batch):
        return network.head.loss(network(batch.cumsum(0) / 10).y, batch).sum()

    def totals(self, network):
        with torch.no_grad():
            return torch.tensor([float(self.loss(network, torch.ones(10, 4, 3))), 40.0], dtype=torch.float64)

    def scores(self, total):
        return (float(total[0] / total[1]),)


@pytest.mark.parametrize("estimate", ["per-sequence", "signed", "squared", "pathwise"])
def test_a_task_of_one_s_own_has_adaptive_noise_where_its_batches_allow_it(tmp_path, estimate):
    model = make_trainer(tmp_path / "made").model
    model = InkModel(PredictionNetwork(PredictionConfig(hidden_size=4, n_layers=1, n_mixtures=2)), None, model.scaler)
    config = replace(QUICK, points=800, noise="adaptive", noise_estimate=estimate)
    trainer = Trainer(model, Walk(), tmp_path / "run", config, lambda entry: None)
    if estimate in ("squared", "pathwise"):
        assert math.isfinite(trainer.fit().best)
    else:
        with pytest.raises(ValueError, match=f'estimate {estimate} .*Tensor has no.*to "squared" or "pathwise"'):
            trainer.fit()


def reader(kinds=5, seed=0):
    torch.manual_seed(seed)
    network = PredictionNetwork(PredictionConfig(kinds, 6, 1, "softmax", lstm_clip=1.0, output_clip=None))
    return TextModel(network, Vocabulary("char", tuple("abcdefgh"[:kinds])))


def text_trainer(out, config):
    text = Symbols(np.random.default_rng(0).integers(5, size=400).astype(np.uint8))
    return Trainer(reader(), TextTask(text, text, length=10), out, config, lambda entry: None)


@pytest.mark.parametrize("kind", ["ink", "text"])
def test_squares_are_those_of_single_sequences(tmp_path, kind):
    config = replace(QUICK, noise="adaptive", batch_size=6)
    trainer = (make_trainer if kind == "ink" else text_trainer)(tmp_path, config)
    batch, points, _ = next(trainer.task.batches(trainer.progress))
    network, squares, sums = trainer.model.network, 0.0, 0.0
    with trainer.noise.drawn(torch.Generator().manual_seed(0)):
        found = training.send_one_by_one(trainer, batch)
        ours = torch.cat([w.grad.flatten() for w in network.parameters()])
        for line in trainer.task.lines(batch):
            gradient = torch.autograd.grad(trainer.task.loss(network, line), list(network.parameters()))
            gradient = torch.cat([g.flatten() for g in gradient])
            squares, sums = squares + gradient.square(), sums + gradient
        whole = torch.autograd.grad(trainer.task.loss(network, batch), list(network.parameters()))
    torch.testing.assert_close(torch.cat([s.flatten() for s in found[1]]), squares, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ours, sums, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ours, torch.cat([g.flatten() for g in whole]), rtol=1e-3, atol=1e-2)
    ratio = (sums.square().sum() / squares.sum()).item()  # of what the square of the batch's gradient would have been
    assert ratio > 1.5 if kind == "ink" else ratio < 0.7


@pytest.mark.parametrize("estimate", ["per-sequence", "signed", "squared", "pathwise"])
def test_the_estimate_is_chosen_by_the_configuration(tmp_path, estimate):
    config = replace(QUICK, noise="adaptive", noise_estimate=estimate, points=300)
    for make in (make_trainer, text_trainer):
        end = make(tmp_path / make.__name__, config).fit()
        assert math.isfinite(end.complexity) and end.best == end.description


def test_adaptive_noise_stops_by_the_description_length(tmp_path):
    trainer = make_trainer(
        tmp_path,
        replace(QUICK, points=10**6, noise="adaptive", noise_estimate="pathwise", validate_points=500, patience=2),
    )
    rising = iter(np.arange(3, 40, 0.5))
    trainer.update = lambda *batch: next(rising)
    trainer.validate = lambda: (-float(trainer.progress.updates), 0.0)  # held-out data would never stop it
    trainer.progress.complexity = 5.0
    end = trainer.fit()
    assert end.points < 5000 and end.stale >= 2


def test_layers_say_which_of_their_matrices_have_gates():
    class Three(Layer):
        n_gates = 3

        def __init__(self):
            super().__init__()
            self.weight_ih, self.weight_hh = nn.Parameter(torch.zeros(6, 4)), nn.Parameter(torch.zeros(6, 2))
            self.bias = nn.Parameter(torch.zeros(6))

    layer = nn.ModuleDict(dict(three=Three(), other=nn.Linear(2, 2)))
    gates, rest = split_weights(layer)
    assert [tuple(p.shape) for p in gates] == [(6, 4), (6, 2)] and len(rest) == 3
    optimizer = GateMuon(layer, lr=0.1, momentum=0.0)
    for p in layer.parameters():
        p.grad = torch.randn_like(p)
    gradient = layer["three"].weight_hh.grad.clone()
    optimizer.step()
    expected = -0.1 * torch.cat([orthogonalise(block) for block in gradient.chunk(3)])
    torch.testing.assert_close(layer["three"].weight_hh.detach(), expected, rtol=1e-4, atol=1e-5)


def test_the_log_of_a_text_counts_symbols(tmp_path):
    entries = []
    trainer = text_trainer(tmp_path, replace(QUICK, points=600, log_updates=2))
    trainer.report = entries.append
    trainer.fit()
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    left = [entry.pop("minutes_left", None) for entry in entries]  # for who watches: a log has no use for it
    assert entries == logged and left[0] >= 0
    assert all("symbols" in entry and "point" not in " ".join(entry) for entry in entries)
    assert "symbols_per_second" in entries[0] and entries[-1]["symbols"] == trainer.progress.points


# -- evaluation


def test_all_lines_are_evaluated_long_ones_in_chunks(tmp_path):
    torch.manual_seed(0)
    model = InkModel(
        PredictionNetwork(PredictionConfig(hidden_size=6, n_layers=2, n_mixtures=2)),
        None,
        OffsetScaler((0.1, 0), (1, 1)),
    )
    random = np.random.default_rng(0)
    inks = [Ink.from_strokes([random.normal(size=(n, 2)).cumsum(0)]) for n in (3000, 40, 2)]
    whole, cut = evaluate(model, inks, length=10_000), evaluate(model, inks, length=17)
    assert (whole.lines, whole.points) == (cut.lines, cut.points) == (3, 2999 + 39 + 1)
    assert cut.nats == pytest.approx(whole.nats, rel=1e-4) and cut.sse == pytest.approx(whole.sse, rel=1e-4)
    more = evaluate(model, [*inks, Ink.from_strokes([np.zeros((1, 2))])])
    assert more.left_out == {"fewer than 2 points": 1} and more.nats == pytest.approx(whole.nats, rel=1e-4)


def test_limits_of_a_recipe_do_not_limit_evaluation(unipen_folder):
    recipe = configure(
        find_recipe("unipen-synthesis"), dict(max_points="150", word_fraction="0", composed="0", spelled="0")
    )
    collection = recipe.data.open(unipen_folder)
    task = recipe.data.task(recipe, collection)
    assert max(map(len, task.stages[0].inks)) <= 151 < max(map(len, task.valid))
    assert len(recipe.data.sequences(collection, "valid")) == len(task.valid) == len(collection.split("valid"))


def test_bits_of_words_are_told_by_word_and_by_character():
    vocabulary = Vocabulary("word", ("to", "be", "<eos>", "or"))
    torch.manual_seed(0)
    network = PredictionNetwork(PredictionConfig(4, 6, 1, "softmax", lstm_clip=1.0, output_clip=None))
    text = "to be or be\nto to\n"
    score = evaluate(TextModel(network, vocabulary), Symbols(vocabulary.encode(text)))
    assert score.symbols == 8 and score.bits_per_symbol == pytest.approx(score.nats / math.log(2))
    assert score.bpc == pytest.approx(8 * score.bits_per_symbol / len(text))
    assert score.perplexity == pytest.approx(2**score.bits_per_symbol)


def test_sentences_are_read_one_by_one():
    model = reader()
    text = Symbols(np.array([0, 1, 4, 2, 2, 3, 4, 1, 4], np.uint8))
    parts = [Symbols(text.raw[a:b]) for a, b in ((0, 3), (3, 7), (7, 9))]
    scores = [evaluate(model, part, batch_size=1) for part in parts]
    together = evaluate(model, text, end=4)
    assert together.nats * 9 == pytest.approx(sum(s.nats * s.symbols for s in scores), rel=1e-5)


def test_an_alphabet_of_ones_own(tmp_path, unipen_folder):
    letters = Alphabet(" abcdefghijklmnopqrstuvwxy", fold=True)
    recipe = replace(find_recipe("synthesis-fast"), alphabet=letters)
    assert recipe.network.n_chars == 27
    few = dict(hidden_size="8", n_mixtures="2", n_window="2", points="300", batch_size="4")
    trainer = prepare(configure(recipe, few), unipen_folder, tmp_path, lambda entry: None)
    trainer.fit()
    assert InkModel.load(tmp_path / "model.safetensors").alphabet == letters


# -- what people do to runs


def test_a_run_that_is_stopped_after_any_update_ends_as_if_it_had_not_been(tmp_path):
    config = replace(QUICK, points=1500)  # the first stage ends within
    whole = make_trainer(tmp_path / "whole", config)
    whole.fit()
    assert whole.progress.stage == 1
    for last in range(1, whole.progress.updates):
        folder = tmp_path / str(last)
        stopped = make_trainer(folder, config)
        stopped.report = lambda entry, run=stopped, last=last: run.stop() if entry["updates"] == last else None
        stopped.fit()
        resumed = make_trainer(folder, config)
        resumed.resume()
        assert resumed.progress.updates == last
        resumed.fit()
        assert all(map(torch.equal, weights(resumed), weights(whole))), last


def test_a_folder_with_a_run_is_not_written_over(tmp_path):
    make_trainer(tmp_path, OFTEN).fit()
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    said = r"holds a run already: the trainer.s resume\(\) goes on with it, another folder"
    with pytest.raises(FileExistsError, match=said):
        make_trainer(tmp_path, OFTEN, seed=1).fit()
    assert kept == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_model_seen_at_a_glance_is_not_the_best_of_what_comes_later(tmp_path):
    rare = replace(QUICK, validate_points=4000)
    run = make_trainer(tmp_path, rare)
    run.report = lambda entry: run.stop() if entry["updates"] == 2 else None
    run.fit()
    assert (tmp_path / "best.safetensors").exists()
    resumed = make_trainer(tmp_path, rare)
    resumed.resume()

    def killed(entry):
        if entry["updates"] == 6:
            raise Killed

    resumed.report = killed
    with pytest.raises(Killed):
        resumed.fit()
    assert not (tmp_path / "best.safetensors").exists() and (tmp_path / "model.safetensors").exists()


def test_weights_that_do_not_learn_are_named(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.network.layers[0].requires_grad_(False)
    with pytest.raises(ValueError, match=r"layers\.0\..* do not learn: requires_grad_\(True\)"):
        Trainer(trainer.model, InkTask(trainer.task.stages, trainer.task.valid), tmp_path / "other", QUICK)


@pytest.mark.parametrize(
    "change",
    ["output_clip=0", "output_clip=-5", "output_clip=nan", "lstm_clip=0", "points_per_char=inf", "head=softmax"]
    + ["max_lines=-3", "word_fraction=1.5", "word_fraction=nan", "max_points=0", "max_chars=-1"],
)
def test_settings_that_train_nothing_are_named(change):
    name, _, value = change.partition("=")
    with pytest.raises(ValueError, match=name):
        configure(find_recipe("own-hand"), {name: value})


def test_ink_without_texts_makes_a_model_that_can_be_read(tmp_path, monkeypatch):
    class Untold(Collection):
        name, splits, looked_for = "untold", ("train", "valid"), "ink without texts"

        def __init__(self, root):
            self.root = root

        @staticmethod
        def found_at(path):
            return True

        def split(self, name):
            return [replace(ink, text="") for ink in make_inks(30, seed=len(name))]

        def report(self):
            return dict(lines=60)

    monkeypatch.setattr(settings, "classes_of", lambda kind: [Untold])
    small = dict(hidden_size="8", n_layers="1", n_mixtures="2", points="600", batch_size="4", precision="fp32")
    recipe = configure(find_recipe("prediction-3x400-fast"), small)
    prepare(recipe, tmp_path, tmp_path / "run", lambda entry: None).fit()
    assert "points_per_char" not in saved_model(tmp_path / "run").info
    assert load_model(tmp_path / "run").kind == "prediction"
    prepare(
        replace(recipe, train=replace(recipe.train, points=900)), tmp_path, tmp_path / "run", lambda entry: None, True
    ).fit()


def test_a_model_of_words_reads_words_that_it_does_not_know(tmp_path):
    (tmp_path / "known.txt").write_text("the cat <unk> sat\nthe cat sat\n" * 40)
    (tmp_path / "other.txt").write_text("the dog sat\na cat <unk>\n" * 40)
    small = dict(hidden_size="8", n_layers="1", length="10", points="600", batch_size="2", precision="fp32")
    recipe = configure(find_recipe("text-word"), small)
    run = prepare(recipe, tmp_path / "known.txt", tmp_path / "run", lambda entry: None)
    other = recipe.data.open(tmp_path / "other.txt", run.model.vocabulary)
    assert "<unk>" in other.vocabulary.decode(other.split("train")[:20])
    (tmp_path / "few.txt").write_text("the cat sat\n" * 40)
    few = recipe.data.open(tmp_path / "few.txt").vocabulary
    with pytest.raises(
        ValueError, match="which are not the 4 words that the model knows, and '<unk>', 'a', 'dog' not among"
    ):
        recipe.data.open(tmp_path / "other.txt", few)


@pytest.mark.parametrize("change", [dict(optimizer="adam"), dict(noise="fixed")])
def test_what_a_run_is_cannot_be_changed_on_the_way(tmp_path, change):
    make_trainer(tmp_path, OFTEN).fit(minutes=0)
    kept = (tmp_path / "checkpoint.pt").read_bytes()
    ((name, value),) = change.items()
    with pytest.raises(
        ValueError, match=rf"cannot resume .*: {name} is .* there and {value} here; set what was set at"
    ):
        make_trainer(tmp_path, replace(OFTEN, **change)).resume()
    assert (tmp_path / "checkpoint.pt").read_bytes() == kept


def test_what_is_changed_on_the_way_is_so_from_there_on(tmp_path):
    make_trainer(tmp_path, OFTEN).fit(minutes=0)
    resumed = make_trainer(tmp_path, replace(OFTEN, weight_decay=5.0))
    resumed.resume()
    assert resumed.optimizer.param_groups[0]["weight_decay"] == 5.0
