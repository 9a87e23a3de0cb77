"""The contracts at work: parts of one's own are short, complete, and told what they lack."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch

from graves_nb.collections import CONTRACT, register_collection
from graves_nb.contracts import HEAD_PARTS, HEADS, LAYER_PARTS, LAYERS, check_parts, register_head, register_layer
from graves_nb.prediction import PredictionConfig
from graves_nb.tasks import TASK_PARTS

NOTEBOOK = Path(__file__).parent.parent / "nbs" / "extending.ipynb"
CELLS = [cell.source for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
IMPORTS = next(source for source in CELLS if source.startswith("import "))
PARTS = {
    int(found[1]): source.partition("\n")[2] for source in CELLS if (found := re.match(r"# part (\d): \w+", source))
}


@pytest.fixture(autouse=True)
def nothing_stays_registered():
    before = dict(LAYERS), dict(HEADS)
    yield
    for known, old in zip((LAYERS, HEADS), before, strict=True):
        known.clear()
        known.update(old)


def test_each_part_takes_fewer_than_thirty_lines():
    tagged = [re.match(r"# part (\d)", source)[1] for source in CELLS if source.startswith("# part")]
    assert tagged == ["1", "2", "3", "4"]
    for number, source in PARTS.items():
        assert len([line for line in source.splitlines() if line.strip()]) < 30, f"part {number} is too long"


def test_no_part_touches_the_package():
    for source in PARTS.values():
        assert not re.search(r"setattr|graves_nb\.\w+\.\w+ =|LAYERS\[|HEADS\[|monkeypatch", source)


def run(folder, code):
    "A process of its own in a folder."
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)


def test_a_file_says_which_import_its_layer_takes(tmp_path):
    (tmp_path / "my_layers.py").write_text(f"{IMPORTS}\n{PARTS[1]}")
    make = """
import my_layers
from graves_nb.ink import OffsetScaler
from graves_nb.model import InkModel
from graves_nb.prediction import PredictionConfig, PredictionNetwork
network = PredictionNetwork(PredictionConfig(hidden_size=4, n_layers=2, n_mixtures=2, layer="gru"))
InkModel(network, None, OffsetScaler()).save("gru.safetensors")
"""
    assert (made := run(tmp_path, make)).returncode == 0, made.stderr
    load = """
from graves_nb.model import InkModel, ModelFileError
try:
    InkModel.load("gru.safetensors")
except ModelFileError as error:
    print(error)
import my_layers
print(type(InkModel.load("gru.safetensors").network.layers[1]).__name__)
"""
    said = run(tmp_path, load)
    assert said.returncode == 0, said.stderr
    error, name = said.stdout.splitlines()
    assert "the layer 'gru' of my_layers.GRU" in error and error.endswith("import my_layers first") and name == "GRU"


def made_with(parts):
    "A class with these parts, which do nothing."
    return type("Made", (), dict.fromkeys(parts, lambda self, *args: None))


@pytest.mark.parametrize(
    ("register", "parts", "kind"),
    [
        (register_layer("made"), LAYER_PARTS, "layer"),
        (register_head("made"), HEAD_PARTS, "head"),
        (register_collection, CONTRACT, "collection"),
        (lambda cls: check_parts(cls, "task", TASK_PARTS), TASK_PARTS, "task"),
    ],
)
def test_what_lacks_a_part_is_told_which(register, parts, kind):
    for lacking in parts:
        with pytest.raises(TypeError, match=rf"Made is no {kind}.*(lacks|has no) {lacking}"):
            register(made_with(set(parts) - {lacking}))
    assert "made" not in LAYERS and "made" not in HEADS


def test_a_head_of_no_particular_class_is_drawn_from_and_trained():
    from graves_nb.drawing import draw_points
    from graves_nb.prediction import PredictionNetwork

    class Point:
        "Always one unit to the right; whatever else happens costs its square."

        predicts, size = "offsets", 3
        of = classmethod(lambda cls, config: cls())
        split = mean = staticmethod(lambda y, bias=0.0: y[..., :2])
        loss = staticmethod(lambda y, target: (y - target).square().sum(-1))
        draws = staticmethod(lambda steps, generator: torch.zeros(steps, 0))
        sample = staticmethod(lambda y, draws, bias=0.0: torch.tensor([1.0, 0.0, 0.0]).expand(len(y), 3))

    register_head("point")(Point)
    network = PredictionNetwork(PredictionConfig(hidden_size=4, n_layers=1, head="point"))
    x = torch.zeros(2, 3)
    drawn = draw_points(network, network.initial_state(x), x, network.head.draws(5, None).expand(2, 5, 0))
    assert drawn.points[:, :, 0].eq(1).all() and drawn.outputs.shape == (2, 5, 3)


def test_a_head_whose_loss_is_not_one_number_a_step_is_told():
    from graves_nb.batches import batch_nats, collate, make_examples
    from graves_nb.ink import Ink, OffsetScaler
    from graves_nb.mixture import MixtureHead
    from graves_nb.model import InkModel
    from graves_nb.prediction import PredictionNetwork

    network = PredictionNetwork(PredictionConfig(hidden_size=4, n_layers=1, n_mixtures=2))
    model = InkModel(network, None, OffsetScaler((0.0, 0.0), (1.0, 1.0)))
    inks = [Ink.from_strokes([[(i, j % 3) for i in range(5 + j)]]) for j in range(3)]
    for wrong in (lambda y, t: MixtureHead(2).loss(y, t).sum(), lambda y, t: MixtureHead(2).loss(y, t)[..., None]):
        network.head = MixtureHead(2)
        network.head.loss = wrong
        with pytest.raises(ValueError, match="one number a step"):
            batch_nats(network, collate(make_examples(model, inks)))
    with pytest.raises(ValueError, match="reads 13 outputs, got 7"):
        MixtureHead(2).loss(torch.zeros(1, 7), torch.zeros(1, 3))


def test_dropped_candidates_within_others():
    from graves_nb.lstm import PeepholeLSTM

    layer, generator = PeepholeLSTM(2, 3), torch.Generator().manual_seed(0)
    with layer.dropping(0.5, generator):
        outer = layer.dropped
        with layer.dropping(0.2, generator):
            assert layer.dropped.rate == 0.2
        assert layer.dropped is outer and "dropped" in layer.equations
    assert layer.dropped is None and layer.equations == "peephole-lstm"
    for rate in (1.0, 1.5, -0.1):
        with pytest.raises(ValueError, match="below 1"), layer.dropping(rate, generator):
            pass
