"""Diagrams: what is drawn as connected is what a network reads."""

import numpy as np
import pytest

from graves_nb.diagrams import RADIUS, cell_figure, cell_wiring, network_figure, network_wiring, wiring_figure
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork

NETWORKS = [PredictionNetwork(PredictionConfig(hidden_size=4, n_layers=n)) for n in (1, 2, 3, 7)]
NETWORKS += [SynthesisNetwork(SynthesisConfig(n_chars=6, hidden_size=5, n_layers=n, n_window=2)) for n in (1, 2, 3, 4)]
NETWORKS.append(PredictionNetwork(PredictionConfig(11, 4, 2, "softmax")))


def before(wiring, name):
    return {wire.start for wire in wiring.wires if wire.end == name and not wire.dashed}


@pytest.mark.parametrize(
    "network", NETWORKS, ids=lambda n: f"{type(n).__name__}-{len(n.layers)}-{n.config.hidden_size}"
)
def test_a_layer_reads_what_is_drawn(network):
    wiring, n = network_wiring(network), network.config.hidden_size
    first = network.layers[0].weight_ih.shape[1]
    size = {"x": first - (getattr(network.config, "n_chars", 0)), "w": getattr(network.config, "n_chars", 0)}
    for k, layer in enumerate(network.layers, 1):
        own = f"h{k} t-1"
        assert own in before(wiring, f"h{k} t")
        sizes = [size.get(name.split()[0], n) for name in before(wiring, f"h{k} t") - {own}]
        assert layer.weight_ih.shape[1] == sum(sizes)
    assert network.output.in_features == n * len(before(wiring, "y t"))
    assert before(wiring, "x t") == set() and ("w t" in wiring.units) == hasattr(network, "window")


@pytest.mark.parametrize("figure", [*map(network_figure, NETWORKS), cell_figure()])
def test_nothing_is_drawn_over_anything_else_or_outside(figure):
    (units,) = (trace for trace in figure.data if trace.name == "units")
    places = np.column_stack([units.x, units.y])
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + 9 * np.eye(len(places))
    assert apart.min() > 2 * RADIUS and len(figure.layout.shapes) == len(places)
    for trace in (trace for trace in figure.data if trace.name != "units"):
        path = np.column_stack([trace.x, trace.y])
        inside = np.hypot(*(path[:, None] - places[None]).transpose(2, 0, 1)) < RADIUS - 1e-9
        assert not inside.any()
        for axis, values in ((figure.layout.xaxis, trace.x), (figure.layout.yaxis, trace.y)):
            assert axis.range[0] <= min(values) and max(values) <= axis.range[1]


def test_the_cell_is_that_of_the_equations():
    wiring = cell_wiring()
    assert before(wiring, "cell") == {"enter", "keep"} and before(wiring, "enter") == {"squash", "i"}
    assert before(wiring, "keep") == {"f", "cell"} and before(wiring, "leave") == {"out", "o"}
    assert {(w.start, w.end) for w in wiring.wires if w.dashed} == {("cell", gate) for gate in "ifo"}
    assert wiring_figure(wiring, title="a cell").layout.height == pytest.approx(
        wiring_figure(wiring).layout.height + 40
    )
