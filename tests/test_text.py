"""Text: corpora, streams, look-up, evaluation at rest and dynamic, training, recipes, sampling, compression."""

import copy
import json
import math
import os
import socket
import subprocess
import sys
import zipfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb.batches import piece_nats
from graves_nb.compression import CompressedFileError, compress, decompress, read_header
from graves_nb.contracts import only_backends
from graves_nb.corpus import (
    ALL_BYTES,
    NULL,
    HutterPrize,
    PennTreebank,
    Sentences,
    Streams,
    Symbols,
    TextFile,
    Vocabulary,
)
from graves_nb.dynamic import Dynamic, adapting, piece_loss
from graves_nb.evaluation import RMS_RATES, evaluate, sequence_losses
from graves_nb.model import TextModel
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.pretrained import load_model
from graves_nb.recipes import RECIPES, best_rate, configure, describe, prepare, scored, training_squares
from graves_nb.rows import PAPER_TEXT, TEXT_RECIPES, faster_text
from graves_nb.sampling import sample_text, write
from graves_nb.softmax import sample_softmax, softmax_loss
from graves_nb.tasks import TextTask
from graves_nb.training import TrainConfig, Trainer, count_weights

torch.set_num_threads(1)


def network_of(symbols, hidden=6, layers=2, seed=0, clip=1.0):
    torch.manual_seed(seed)
    config = PredictionConfig(symbols, hidden, layers, "softmax", lstm_clip=clip, output_clip=None)
    network = PredictionNetwork(config)
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return network


def random_symbols(n, kinds=5, seed=0):
    return Symbols(np.random.default_rng(seed).integers(kinds, size=n).astype(np.uint8))


def letters(kinds=5):
    return Vocabulary("char", tuple("abcdefghij"[:kinds]))


# -- corpora


PENN = dict(
    train=" the <unk> sat on N mats \n\n it was N \n",
    valid=" the mats \n",
    test=" it sat \n",
)


@pytest.fixture
def penn(tmp_path):
    for name, text in PENN.items():
        (tmp_path / f"ptb.{name}.txt").write_text(text)
    return tmp_path


def test_penn_treebank_by_words_counts_ends_of_sentences(penn):
    corpus = PennTreebank(penn, "word")
    assert corpus.report() == dict(train=6 + 1 + 3 + 1, valid=3, test=3, vocabulary=9)
    assert corpus.vocabulary.decode(corpus.split("train")[:]) == "the <unk> sat on N mats\nit was N\n"
    assert corpus.vocabulary.encode("a dog sat").tolist() == corpus.vocabulary.encode("<unk> <unk> sat").tolist()


def test_penn_treebank_by_characters(penn):
    corpus = PennTreebank(penn)
    text = "the <unk> sat on N mats\nit was N\n"
    assert corpus.vocabulary.symbols == tuple(sorted(set(text)))
    assert len(corpus.split("train")) == len(text) and corpus.split("train")[:].dtype == np.int64


@pytest.mark.parametrize("damage, message", [
    (lambda f: (f / "ptb.valid.txt").unlink(), "it has no ptb.valid.txt"),
    (lambda f: (f / "ptb.test.txt").write_text("zoo\n"), "test: the text has 1 chars that the vocabulary .*'z'"),
    (lambda f: (f / "ptb.train.txt").write_bytes(b""), "ptb.train.txt is empty"),
    (lambda f: (f / "ptb.train.txt").write_bytes(b"a\xff\n"), "not UTF-8 at byte 1 .0xff."),
])  # fmt: skip
def test_a_faulty_penn_treebank_is_told(penn, damage, message):
    damage(penn)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        PennTreebank(penn)


def test_levels_and_splits_are_checked(penn):
    with pytest.raises(ValueError, match="level must be"):
        PennTreebank(penn, "byte")
    with pytest.raises(ValueError, match="has the splits train, valid, test, not 'dev'"):
        PennTreebank(penn).split("dev")


def test_wikipedia_raw_and_zipped(tmp_path):
    content = bytes(range(0, 250, 5)) * 10
    (tmp_path / "enwik8").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "enwik8.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "enwik8", "enwik8")
    for name in ("enwik8", "enwik8.zip"):
        corpus = HutterPrize(tmp_path / name)
        assert corpus.report() == dict(train=480, valid=20, vocabulary=50)
        decoded = b"".join(corpus.vocabulary.decode(corpus.split(part)[:]) for part in ("train", "valid"))
        assert decoded == content
    assert isinstance(HutterPrize(tmp_path / "enwik8").split("valid").raw, np.memmap)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a", "x")
        archive.writestr("b", "y")
    with pytest.raises(ValueError, match="should hold one file, it holds 2"):
        HutterPrize(tmp_path / "two.zip")


@pytest.mark.parametrize("content, message", [(b"", "is empty"), (b"a", "too short to be split")])
def test_files_that_are_too_small(tmp_path, content, message):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        TextFile(tmp_path / "f")
    with pytest.raises(FileNotFoundError, match="there is no"):
        TextFile(tmp_path / "g")


@given(st.text(max_size=60))
def test_what_is_encoded_comes_back(text):
    assert ALL_BYTES.decode(ALL_BYTES.encode(text)) == text.encode()
    if text:
        vocabulary = Vocabulary("char", sorted(set(text)))
        assert vocabulary.decode(vocabulary.encode(text)) == text


# -- streams


@given(st.integers(1, 120), st.integers(1, 6), st.integers(1, 9), st.integers(0, 4))
def test_every_symbol_is_predicted_once_from_the_one_before(n, batch_size, length, reset_every):
    symbols = Symbols(np.arange(n, dtype=np.uint8))
    if n < batch_size * length:
        with pytest.raises(ValueError, match="too short"):
            Streams(symbols, batch_size, length, reset_every)
        return
    pieces = list(Streams(symbols, batch_size, length, reset_every))
    assert sorted(torch.cat([p.target[p.mask] for p in pieces]).tolist()) == list(range(n))
    for i, piece in enumerate(pieces):
        expected = torch.where(piece.target == 0, NULL, piece.target - 1)
        assert torch.equal(piece.x[piece.mask], expected[piece.mask])
        assert piece.reset == (i == 0 or reset_every > 0 and i % reset_every == 0)
    rows = torch.cat([p.target.masked_fill(~p.mask, -1) for p in pieces]).t()
    for row in rows:  # each stream is a run of the text
        kept = row[row >= 0]
        assert torch.equal(kept, torch.arange(int(kept[0]), int(kept[0]) + len(kept)))


# -- the network


def test_chunks_with_carried_state_equal_one_pass():
    network, index = network_of(5).double(), torch.randint(-1, 5, (60, 3))
    whole, last, _ = network(index)
    first, state, _ = network(index[:23])
    second, end, _ = network(index[23:], state=state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(end, last, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 3])
def test_looked_up_symbols_are_one_hot_vectors(layers):
    network, index = network_of(5, layers=layers).double(), torch.randint(-1, 5, (11, 3))
    one_hot = torch.nn.functional.one_hot(index.clamp_min(0), 5).double() * (index >= 0).unsqueeze(-1)
    state, steps = network.initial_state(index), []
    for row in index:
        y, state, _ = network.step(row, state)
        steps.append(y)
    for other in (network(one_hot)[0], torch.stack(steps)):
        torch.testing.assert_close(network(index)[0], other, rtol=0, atol=1e-12)
    target = torch.randint(5, (11, 3))
    gradients = [
        torch.autograd.grad(softmax_loss(network(x)[0], target).sum(), list(network.parameters()))
        for x in (index, one_hot)
    ]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_derivatives_by_looked_up_weights_agree_with_finite_differences():
    network, index, target = (
        network_of(4, 3, clip=None).double(),
        torch.randint(-1, 4, (6, 2)),
        torch.randint(4, (6, 2)),
    )
    weights = list(network.parameters())

    def loss(*values):
        y, _, _ = torch.func.functional_call(network, dict(zip(names, values, strict=True)), (index,))
        return softmax_loss(y, target).sum()

    names = [name for name, _ in network.named_parameters()]
    torch.autograd.gradcheck(loss, weights)


def test_the_papers_networks_have_the_papers_weights():
    expected = {"penn-char": 4_252_049, "penn-word": 54_017_000, "wikipedia": 30_537_005}
    with torch.device("meta"):
        for name, count in expected.items():
            assert count_weights(PredictionNetwork(TEXT_RECIPES[name].network)) == count


# -- evaluation


def test_evaluation_counts_every_symbol_and_streams_change_little():
    model, symbols = TextModel(network_of(5), letters()), random_symbols(1000)
    y, _, _ = model.network(torch.tensor([NULL, *symbols[:-1].tolist()])[:, None])
    target = torch.from_numpy(symbols[:])[:, None]
    nats = softmax_loss(y, target).mean().item()
    wrong = (y.argmax(-1) != target).float().mean().item()
    one = evaluate(model, symbols, batch_size=1, length=7)
    assert one.symbols == 1000 and one.nats == pytest.approx(nats, rel=1e-5) and one.error_rate == pytest.approx(wrong)
    assert one.bpc == pytest.approx(nats / math.log(2)) and one.perplexity == pytest.approx(2 ** (5.6 * one.bpc))
    assert evaluate(model, symbols).nats == pytest.approx(one.nats, rel=0.02)


def test_perplexity_of_words_is_exact():
    vocabulary = Vocabulary("word", ("a", "b", "<eos>"))
    model = TextModel(network_of(3), vocabulary)
    score = evaluate(model, Symbols(vocabulary.encode("a b\nb a\n" * 9)))
    assert score.perplexity == pytest.approx(math.exp(score.nats)) == score.word_perplexity


def test_dynamic_evaluation_equals_a_plain_loop():
    model, symbols = TextModel(network_of(5), letters()), random_symbols(64)
    trained = [p.detach().clone() for p in model.network.parameters()]
    losses = [
        part.nats for part in sequence_losses(model, Streams(symbols, 1, 16, 0), Dynamic("sgd", 0.05, momentum=0.5))
    ]
    assert all(map(torch.equal, trained, model.network.parameters()))
    oracle, state, expected = model.network, None, []
    optimizer = torch.optim.SGD(oracle.parameters(), 0.05, momentum=0.5)
    x = torch.tensor([NULL, *symbols[:-1].tolist()])[:, None]
    for i in range(0, 64, 16):
        y, state, _ = oracle(x[i : i + 16], state=state)
        state = type(state)(tuple(type(s)(s.h.detach(), s.c.detach()) for s in state.layers))
        loss = softmax_loss(y, torch.from_numpy(symbols[i : i + 16])[:, None]).sum()
        expected.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses == pytest.approx(expected, rel=1e-5)


def test_the_weights_come_back_after_an_error():
    network = network_of(4)
    before = [p.detach().clone() for p in network.parameters()]
    with pytest.raises(KeyError), adapting(network, Dynamic("sgd", 0.1)) as learn:
        learn(network(torch.zeros(3, 1, dtype=torch.long))[0].sum())
        assert not all(map(torch.equal, before, network.parameters()))
        raise KeyError
    assert all(map(torch.equal, before, network.parameters()))


def test_full_decay_leaves_nothing_but_the_last_step():
    model, symbols = TextModel(network_of(5), letters()), random_symbols(400)
    weights, pieces = list(model.network.parameters()), list(Streams(symbols, 1, 20, 0))
    trained, squares = [w.detach().clone() for w in weights], [torch.ones_like(w) for w in weights]
    with adapting(model.network, Dynamic("rms", 0.05, decay=1.0), squares) as learn:
        for piece in pieces[:4]:
            gradients = torch.autograd.grad(piece_loss(piece_nats(model.network, piece, None)[0], piece), weights)
            learn(piece_loss(piece_nats(model.network, piece, None)[0], piece))
            for w, old, g in zip(weights, trained, gradients, strict=True):
                torch.testing.assert_close(w, old - 0.05 * g / 1.001)


def test_frozen_weights_stay_while_others_learn_and_no_mode_of_torch_is_in_the_way():
    model, symbols = TextModel(network_of(5), letters()), random_symbols(400)
    free = evaluate(model, symbols, dynamic=Dynamic("sgd", 0.05)).nats
    with torch.no_grad():
        assert evaluate(model, symbols, dynamic=Dynamic("sgd", 0.05)).nats == free
    model.network.layers[0].requires_grad_(False)
    assert evaluate(model, symbols, dynamic=Dynamic("sgd", 0.05)).nats != pytest.approx(free, rel=1e-6)
    model.network.requires_grad_(False)
    with pytest.raises(ValueError, match="frozen"):
        evaluate(model, symbols, dynamic=Dynamic("sgd", 0.05))


# -- training


def corpus_file(folder):
    path = folder / "text.txt"
    path.write_text("so it goes, and goes, and so on. " * 120)
    return path


SMALL = dict(
    hidden_size="8", points="3000", batch_size="4", log_updates="2", precision="fp32", length="20", patience="0"
)


@pytest.mark.parametrize("name", ["text-bytes", "text-char", "text-word"])
def test_any_file_can_be_trained_on_and_evaluated(tmp_path, name):
    changes = SMALL | dict(points="600", length="5") if name == "text-word" else SMALL
    trainer = prepare(configure(RECIPES[name], changes), corpus_file(tmp_path), tmp_path / "run", lambda entry: None)
    before = trainer.validate()[0]
    trainer.fit()
    assert trainer.validate()[0] < before
    model = TextModel.load(tmp_path / "run" / "model.safetensors")
    assert model.info["recipe"] == name and model.info["points"] >= int(changes["points"])


def test_the_log_and_an_evaluation_agree_and_a_run_is_its_best_model(tmp_path):
    recipe = configure(
        RECIPES["text-char"], SMALL | dict(points="6000", validate_points="1000", adam_learning_rate="0.05")
    )
    data, seen = corpus_file(tmp_path), []
    trainer = prepare(recipe, data, tmp_path / "run", seen.append)
    trainer.fit()
    judged = {e["symbols"]: e["valid_nats_per_symbol"] for e in seen if "valid_nats_per_symbol" in e}
    best, corpus = load_model(tmp_path / "run"), recipe.data.open(data)
    scores = evaluate(best, corpus.split("valid"))
    assert (
        scores.nats == pytest.approx(min(judged.values()), rel=1e-5) == pytest.approx(trainer.progress.best, rel=1e-5)
    )
    assert best.info["points"] == min(judged, key=judged.get) and len(judged) > 4
    last = evaluate(TextModel.load(tmp_path / "run" / "model.safetensors"), corpus.split("valid"))
    assert last.nats == pytest.approx(list(judged.values())[-1], rel=1e-5)
    line = next(e for e in seen if "nats" in e)
    assert line["bits_per_symbol"] == pytest.approx(line["nats"] / math.log(2)) and 0 < line["learning_rate"] <= 0.02
    assert line["minutes_left"] >= 0 and "valid_left_out" not in seen[-1]


def test_what_a_validation_leaves_out_is_counted(monkeypatch, tmp_path):
    monkeypatch.setattr("graves_nb.tasks.VALIDATED_SYMBOLS", 100)
    trainer, seen = prepare(configure(RECIPES["text-char"], SMALL), corpus_file(tmp_path), tmp_path / "run"), []
    trainer.report = seen.append
    trainer.fit()
    whole = len(trainer.model.vocabulary.encode(corpus_file(tmp_path).read_text()))
    assert len(trainer.task.valid) == 100 and seen[-1]["valid_left_out"] == whole - int(whole * 0.96) - 100 > 0


def test_a_vocabulary_may_have_more_symbols_than_the_text(penn, tmp_path):
    few, own = corpus_file(tmp_path), PennTreebank(penn, "char").vocabulary
    more = Vocabulary("char", (*own.symbols, "\u00e9"))
    read = PennTreebank(penn, "char", more)
    assert read.vocabulary == more and read.end == more.symbols.index("\n")
    assert more.decode(read.split("test")[:]) == own.decode(PennTreebank(penn, "char").split("test")[:])
    text = Vocabulary("char", sorted({*few.read_text(), "#"}))
    model = TextModel(network_of(len(text)), text)
    assert evaluate(model, TextFile(few, "char", text).split("valid")).symbols > 100
    model.save(tmp_path / "older.safetensors")
    begun = configure(
        RECIPES["text-char"], SMALL | dict(init_from=str(tmp_path / "older.safetensors"), hidden_size="6")
    )
    assert prepare(begun, few, tmp_path / "run").model.vocabulary == text
    some = Vocabulary("byte", tuple(sorted({*few.read_bytes(), 255})))
    assert TextFile(few, "byte", some).vocabulary == some
    for fewer in (Vocabulary("char", text.symbols[2:]), Vocabulary("word", ("so",))):
        with pytest.raises(ValueError, match="that the model knows"):
            TextFile(few, "char", fewer)


def test_the_rate_of_dynamic_evaluation_is_chosen_on_other_text(penn, monkeypatch):
    corpus, asked = PennTreebank(penn, "char"), []
    model = TextModel(network_of(len(corpus.vocabulary)), corpus.vocabulary, {"recipe": "penn-char"})
    monkeypatch.setattr(
        "graves_nb.recipes.choose_rate", lambda model, text, end, squares: asked.append((text[:], end)) or 3e-4
    )
    for split, other, part in (("test", "valid", slice(0, 9)), ("valid", "train", slice(-9, None))):
        assert best_rate(model, corpus, split, 9) == 3e-4
        assert (asked[-1][0] == corpus.split(other)[part]).all() and asked[-1][1] == corpus.end
    figures, _ = scored(model, corpus, "test", dynamic=True)
    assert figures["dynamic"]["learning_rate"] == 3e-4 and len(asked) == 3
    assert scored(model, corpus, "test")[0]["dynamic"] is None


def test_by_rms_derivatives_are_divided_by_what_is_usual_in_the_training_text(penn):
    corpus = PennTreebank(penn, "char")
    model = TextModel(network_of(len(corpus.vocabulary)), corpus.vocabulary, {"recipe": "penn-char"})
    squares = training_squares(model, corpus, 3)
    every, weights = [], list(model.network.parameters())
    for piece in islice(Sentences(corpus.split("train"), corpus.end), 3):
        loss = piece_loss(piece_nats(model.network, piece, None)[0], piece)
        every.append(torch.autograd.grad(loss, weights))
    for square, *gradients in zip(squares, *every, strict=True):
        torch.testing.assert_close(square, sum(g.square() for g in gradients) / len(every))
    figures, _ = scored(model, corpus, "test", dynamic=True, method="rms")
    chosen = Dynamic(**figures["dynamic"])
    squares, text = training_squares(model, corpus), corpus.split("test")
    again = evaluate(model, text, dynamic=chosen, squares=squares, end=corpus.end)
    assert chosen.method == "rms" and chosen.learning_rate in RMS_RATES and again.bpc == figures["bpc"]
    assert RECIPES["penn-char"].data.score(figures).startswith("dynamic by rms, ")


@pytest.mark.parametrize("name", [n for n in TEXT_RECIPES if n.startswith("penn")])
def test_every_row_of_table_1_trains(penn, tmp_path, name):
    changes = SMALL | dict(points="60", batch_size="1", length="3", n_layers="1")
    trainer = prepare(configure(RECIPES[name], changes), penn, tmp_path / "run", lambda entry: None)
    before = [p.detach().clone() for p in trainer.model.network.parameters()]
    assert trainer.fit().points >= 60 and trainer.trained is not None
    assert not all(map(torch.equal, before, trainer.model.network.parameters()))
    assert (trainer.noise is not None) == (RECIPES[name].train.noise != "none")


def test_the_papers_settings_for_text():
    for recipe in PAPER_TEXT:
        train = recipe.train
        assert (train.optimizer, train.learning_rate, train.batch_size) == ("sgd", 1e-4, 1)
        assert train.momentum == (0.9 if recipe.name == "wikipedia" else 0.99)
        assert (recipe.network.lstm_clip, recipe.network.output_clip, recipe.data.length) == (1.0, None, 100)
        assert faster_text(recipe).network == recipe.network
    assert "1.32 BPC, perplexity 167, 28.5 % errors" in describe(RECIPES["penn-char"])
    assert "dynamic: 1.33 BPC" in describe(RECIPES["wikipedia"])


def test_a_resumed_run_is_the_same_run(tmp_path):
    data, recipe = corpus_file(tmp_path), configure(RECIPES["text-bytes"], SMALL)
    whole = prepare(recipe, data, tmp_path / "whole", lambda entry: None)
    whole.fit()
    parts = prepare(recipe, data, tmp_path / "parts", lambda entry: None)
    parts.fit(minutes=0)  # a single update
    assert parts.progress.updates == 1
    again = prepare(recipe, data, tmp_path / "parts", lambda entry: None, resume=True)
    again.fit()
    assert all(map(torch.equal, whole.model.network.parameters(), again.model.network.parameters()))
    for ours, theirs in zip(whole.task.state.layers, again.task.state.layers, strict=True):
        assert torch.equal(ours.h, theirs.h)
    logs = [
        [json.loads(line) for line in (tmp_path / f / "log.jsonl").read_text().splitlines()] for f in ("whole", "parts")
    ]
    nats = [[e["nats"] for e in log if "nats" in e] for log in logs]
    assert nats[0][1:] == nats[1][1:] and len(nats[0]) > 10  # the first line of the second run has one update less


RUN = """
import sys, torch
torch.set_num_threads(1)
from graves_nb.recipes import RECIPES, configure, prepare
recipe = configure(RECIPES["text-bytes"], dict(s.split("=") for s in sys.argv[3:]))
prepare(recipe, sys.argv[1], sys.argv[2], lambda entry: None).fit()
"""


def test_two_processes_learn_what_one_does_and_one_can_go_on(tmp_path):
    data, changes = corpus_file(tmp_path), SMALL | dict(points="1600")
    script = tmp_path / "run.py"
    script.write_text(RUN)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = ("-m", "accelerate.commands.accelerate_cli", "launch", "--num_processes", "2", "--cpu")
    words = [*launcher, "--main_process_port", port, str(script), str(data), str(tmp_path / "two")]
    words += [f"{name}={value}" for name, value in changes.items()]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    recipe = configure(RECIPES["text-bytes"], changes)
    one = prepare(recipe, data, tmp_path / "one", lambda entry: None)
    one.fit()
    two = prepare(recipe, data, tmp_path / "two", lambda entry: None, resume=True)
    assert two.progress.points == one.progress.points
    for a, b in zip(one.model.network.parameters(), two.model.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    for a, b in zip(one.task.state.layers, two.task.state.layers, strict=True):  # of all streams, in their order
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


# -- sampling


def test_texts_are_drawn_from_what_the_network_expects():
    model, prime = TextModel(network_of(5), letters()), "abcab"
    text = sample_text(model, 30, prime, seed=3)
    assert text == sample_text(model, 30, prime, seed=3) != sample_text(model, 30, prime, seed=4)
    generator, read = torch.Generator().manual_seed(3), [NULL, *model.vocabulary.encode(prime).tolist()]
    for letter in text:  # without any state: everything is read again for each letter
        y, _, _ = model.network(torch.tensor(read)[:, None])
        read.append(int(sample_softmax(y[-1], generator)))
        assert letters().symbols[read[-1]] == letter
    assert sample_text(model, 30, prime, temperature=1e-3) == sample_text(model, 30, prime, temperature=1e-3, seed=9)


def test_kinds_of_models_are_not_mixed_up():
    model = TextModel(network_of(5), letters())
    with pytest.raises(ValueError, match="takes a synthesis model, but the model is a text model"):
        write(model, "abc")
    with pytest.raises(ValueError, match="nothing to draw"):
        sample_text(model, 0)


# -- compression


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=400), st.integers(1, 6), st.booleans())
def test_any_bytes_come_back(content, streams, learning):
    model = TextModel(network_of(256), ALL_BYTES)
    packed = compress(content, model, Dynamic("sgd", 0.01) if learning else None, streams)
    assert decompress(packed, model) == content


def test_a_vocabulary_in_another_order_compresses_too():
    model = TextModel(network_of(256), Vocabulary("byte", tuple(reversed(range(256)))))
    content = b"in whatever order " * 20
    assert decompress(compress(content, model), model) == content


def test_every_cut_and_every_flip_of_a_file_is_noticed():
    model, content = TextModel(network_of(256), ALL_BYTES), b"abc" * 100
    with torch.no_grad():
        model.network.output.bias.zero_()[[97, 98, 99]] = 12.0  # so sure that the file is shorter
    packed = compress(content, model)
    assert "streams" in read_header(packed)[0] and decompress(packed, model) == content
    for cut in range(0, len(packed), 7):
        with pytest.raises(CompressedFileError):
            decompress(packed[:cut], model)
    for place in range(0, len(packed), 5):
        changed = bytearray(packed)
        changed[place] ^= 4
        with pytest.raises(CompressedFileError):
            decompress(bytes(changed), model)


# -- as people bring them


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_corpus_is_decoded_by_its_mark(tmp_path, encoding, ends):
    lines = ["the cat sat", "the dog ran", "so it goes"] * 20
    (tmp_path / "plain.txt").write_bytes("\n".join(lines).encode())
    (tmp_path / "marked.txt").write_bytes(ends.join(lines).encode(encoding))
    plain, marked = (TextFile(tmp_path / f"{name}.txt", "word") for name in ("plain", "marked"))
    assert marked.vocabulary == plain.vocabulary
    assert marked.split("train")[:].tolist() == plain.split("train")[:].tolist()


def test_what_is_no_text_is_told_what_it_is(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"\x1f\x8b\x08\xff\xfe" * 9)
    with pytest.raises(ValueError, match="gzip"):
        TextFile(path, "char")


def test_a_temperature_near_nothing_takes_the_likeliest():
    model = TextModel(network_of(5), letters())
    greedy = sample_text(model, 40, "a", top_k=1)
    for temperature in (1e-6, 1e-12, 1e-30):
        assert sample_text(model, 40, "a", temperature=temperature) == greedy
        with only_backends():
            assert sample_text(model, 40, "a", temperature=temperature) == greedy
    for temperature in (0, 1e-46, 1e7, float("nan")):
        with pytest.raises(ValueError, match="temperature"):
            sample_text(model, 4, "a", temperature=temperature)


def test_another_default_type_changes_no_text():
    model = TextModel(network_of(5), letters())
    usual = sample_text(model, 30, "a", seed=5)
    torch.set_default_dtype(torch.float64)
    try:
        assert sample_text(model, 30, "a", seed=5) == usual
    finally:
        torch.set_default_dtype(torch.float32)


def test_what_a_model_of_text_is_evaluated_on_is_told():
    model = TextModel(network_of(5), letters())
    for wrong in ("abc", model.vocabulary.encode("abc"), ["abc"]):
        with pytest.raises(ValueError, match=r"Symbols\(model.vocabulary.encode"):
            evaluate(model, wrong)


def test_compressed_bytes_are_those_of_the_weights_of_now():
    torch.manual_seed(0)
    model = TextModel(network_of(256, 8, 1), ALL_BYTES)
    content = bytes(range(200)) * 3
    compress(content, model)
    model.network.output.bias.data.add_(torch.randn(256))  # torch does not count this one
    assert decompress(compress(content, model), copy.deepcopy(model)) == content


@pytest.mark.parametrize("other", [2, 8])
def test_a_run_goes_on_with_more_streams_or_fewer(tmp_path, other):
    symbols, log = random_symbols(3000), []

    def trainer(batch_size):
        model = TextModel(network_of(5), letters())
        config = TrainConfig(2000, batch_size=batch_size, log_updates=1, precision="fp32", validate_points=0)
        return Trainer(model, TextTask(symbols, random_symbols(300), length=20), tmp_path / "run", config, log.append)

    first = trainer(4)
    for _ in range(3):
        first.fit(minutes=0)
    second = trainer(other)
    second.resume()
    assert second.fit().points >= 2000


def test_settings_of_ink_are_refused_for_text(tmp_path):
    task = TextTask(random_symbols(3000), random_symbols(300), length=20)
    for setting in (dict(vary=0.3), dict(input_noise=1.0), dict(chunk=3)):
        with pytest.raises(ValueError, match=next(iter(setting))):
            Trainer(TextModel(network_of(5), letters()), task, tmp_path, TrainConfig(100, **setting))
