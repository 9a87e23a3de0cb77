"""Recipes: the paper's rows, what a folder of data becomes, what they begin with."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from graves_nb.model import InkModel
from graves_nb.prediction import PredictionConfig
from graves_nb.recipes import PAPER_ROWS, RECIPES, configure, describe, find_recipe, prepare
from graves_nb.rows import TEXT_RECIPES
from graves_nb.settings import make_stages
from graves_nb.training import count_weights

SMALL = dict(hidden_size="8", n_mixtures="2", points="800", batch_size="4", log_updates="1", precision="fp32")


def small(name, **changes):
    window = {} if isinstance(find_recipe(name).network, PredictionConfig) else {"n_window": "2"}
    return configure(find_recipe(name), SMALL | window | changes)


def quiet(entry):
    pass


def test_the_papers_settings_are_the_papers():
    for recipe in PAPER_ROWS:
        train, network = recipe.train, recipe.network
        assert (train.optimizer, train.learning_rate, train.batch_size) == ("rmsprop", 1e-4, 1)  # sec. 4.2
        assert (train.mean_over, train.clip_norm, train.warmup_updates, train.decay_fraction) == (
            "sequence", math.inf, 0, 0.0,
        )  # fmt: skip
        assert (network.lstm_clip, network.output_clip, network.n_mixtures) == (10.0, 100.0, 20)
        assert train.noise == ("adaptive" if "adaptive" in recipe.name else "none") and train.noise_std == 0.075
    reported = {r.reported.row: (r.reported.nats, r.reported.sse) for r in PAPER_ROWS}
    assert reported == {
        "table 3, 1 layer": (-1025.7, 0.40),
        "table 3, 3 layers": (-1041.0, 0.41),
        "table 3, 3 layers, adaptive": (-1057.7, 0.41),
        "table 4, none": (-1096.9, 0.23),
        "table 4, adaptive": (-1128.2, 0.23),
    }


def test_every_row_has_a_faster_variant_of_the_same_network():
    for recipe in PAPER_ROWS:
        fast = RECIPES[f"{recipe.name}-fast"]
        assert (fast.network, fast.reported, fast.train.noise) == (recipe.network, recipe.reported, recipe.train.noise)


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in TEXT_RECIPES])
def test_every_recipe_trains(tmp_path, unipen_folder, name):
    few = dict(composed="20", spelled="0") if RECIPES[name].data.composed else {}
    trainer = prepare(small(name, init_from="", patience="0", **few), unipen_folder, tmp_path / "run", quiet)
    before = [p.detach().clone() for p in trainer.model.network.parameters()]
    assert trainer.fit().points >= 800
    assert not all(map(torch.equal, before, trainer.model.network.parameters()))
    model = InkModel.load(tmp_path / "run" / "model.safetensors")
    assert model.info["recipe"] == name and count_weights(model.network) == count_weights(trainer.model.network)


def test_beginning_with_older_weights_takes_their_scale_too(tmp_path, unipen_folder):
    first = prepare(small("synthesis-fast"), unipen_folder, tmp_path / "first", quiet)
    first.model.scaler = replace(first.model.scaler, std=(0.5, 0.25))
    first.fit()
    recipe = small("prediction-3x400-fast", init_from=str(tmp_path / "first"))
    second = prepare(recipe, unipen_folder, tmp_path / "second", quiet)
    assert second.model.scaler == first.model.scaler
    own, source = second.model.network.state_dict(), first.model.network.state_dict()
    assert torch.equal(own["layers.1.weight_hh"], source["layers.1.weight_hh"])
    second.fit()
    resumed = prepare(replace(recipe, init_from="nowhere"), unipen_folder, tmp_path / "second", quiet, resume=True)
    assert resumed.model.scaler == first.model.scaler
    assert all(map(torch.equal, second.model.network.parameters(), resumed.model.network.parameters()))


def test_beginning_with_what_does_not_fit_is_told(tmp_path, unipen_folder):
    prepare(small("synthesis-fast"), unipen_folder, tmp_path / "a", quiet).fit()
    with pytest.raises(ValueError, match="cannot start from"):
        prepare(small("synthesis-fast", hidden_size="9", init_from=str(tmp_path / "a")), unipen_folder, tmp_path / "b")
    with pytest.raises(FileNotFoundError, match="no model"):
        prepare(small("synthesis-fast", init_from="nothing"), unipen_folder, tmp_path / "b")


def test_a_part_of_the_lines_and_composed_ones(unipen_folder):
    corpus = find_recipe("unipen-synthesis").data.open(unipen_folder)
    assert corpus.words("train") and corpus.split("train") and corpus.split("valid")
    (few,) = make_stages(small("synthesis", max_lines="5"), corpus)
    (again,) = make_stages(small("synthesis", max_lines="5"), corpus)
    assert len(few.inks) == 5 and [ink.text for ink in few.inks] == [ink.text for ink in again.inks]
    words, lines = make_stages(small("unipen-synthesis", composed="7", spelled="0"), corpus)
    assert len(lines.inks) == len(corpus.split("train")) + 7
    assert words.until == find_recipe("unipen-synthesis").data.word_fraction
    with pytest.raises(
        ValueError, match="needs words of people who join their letters, and the data has none: --set joined=0"
    ):
        make_stages(small("unipen-synthesis", composed="7", joined="3", spelled="0"), corpus)
    in_one = [replace(word, strokes=[np.concatenate(word.strokes)]) for word in corpus.words("train")]
    corpus.words = lambda split="": in_one
    _, more = make_stages(small("unipen-synthesis", composed="7", joined="3", spelled="0"), corpus)
    assert len(more.inks) == len(corpus.split("train")) + 7 + 3
    with pytest.raises(ValueError, match="needs single characters, and the data has none: .*--set spelled=0"):
        make_stages(small("unipen-synthesis"), corpus)
    corpus.words = lambda split="": []
    with pytest.raises(ValueError, match="needs single words"):
        make_stages(small("unipen-synthesis"), corpus)


def test_alphabets_of_another_size_are_refused(tmp_path, unipen_folder):
    with pytest.raises(ValueError, match="n_chars must be 57, the size of the alphabet, got 60"):
        prepare(small("synthesis", n_chars="60"), unipen_folder, tmp_path)


def test_every_recipe_tells_the_papers_figure():
    for recipe in PAPER_ROWS:
        assert f"{recipe.reported.nats:.1f} nats" in describe(recipe) and recipe.reported.row in describe(recipe)


def test_the_seed_of_a_recipe_alone_decides_its_first_weights(tmp_path, unipen_folder):
    "Whatever torch's own generator has given before; and that goes on as if there had been none."
    recipe = small("prediction-3x400-fast")
    trainers, after = [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        trainers.append(prepare(recipe, unipen_folder, tmp_path / str(seed), quiet))
        after.append(torch.rand(1))
    torch.manual_seed(1)
    assert torch.equal(after[0], torch.rand(1))
    for a, b in zip(*(trainer.model.network.parameters() for trainer in trainers), strict=True):
        assert torch.equal(a, b)
