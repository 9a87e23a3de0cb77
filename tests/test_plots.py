"""What the figures show, computed by hand and by slow ways; that they are small, fast, and legible on any page."""

import base64
import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import plotly.colors
import plotly.graph_objects as go
import plotly.io
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from graves_nb.alphabet import Alphabet, TextBatch
from graves_nb.colours import (
    BLUE,
    CLEAR,
    COLOURS,
    FAINT,
    GREEN,
    HEAT,
    NEUTRAL,
    ORANGE,
    colour_scale,
    contrast,
    palette,
    use_colours,
)
from graves_nb.density import (
    PlacedGaussians,
    add_window,
    density_figure,
    density_map,
    draw_gaussians,
    level_of,
    place_gaussians,
    png_of,
    shades_of,
    window_sizes,
)
from graves_nb.gates import gates_figure, layer_gates, liveliest, record_gates
from graves_nb.ink import Ink, OffsetScaler
from graves_nb.model import InkModel
from graves_nb.plots import (
    LINE_HEIGHT,
    MOST_ROWS,
    alignment_figure,
    ink_figure,
    loss_figure,
    mixture_weights,
    mixture_weights_figure,
    pen_track,
    point_labels,
    stacked,
    step_losses,
    stroke_starts,
    text_weights,
    traces,
    window_characters,
)
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.sampling import Trace, null_first, trace_ink
from graves_nb.steps import linked_figure, mixture_figure, move_mixture, move_window, window_figure
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork

SCALER = OffsetScaler((0.1, -0.2), (2.0, 0.5))


def wave(points=60, text="", strokes=3):
    "Strokes of a line that goes up and down."
    t = np.linspace(0, 12, points)
    return Ink.from_strokes(np.array_split(np.column_stack([t, np.sin(3 * t)]), strokes), text=text)


def small_model(kind="prediction", seed=0):
    "An untrained network of two layers of 6."
    torch.manual_seed(seed)
    if kind == "prediction":
        network = PredictionNetwork(PredictionConfig(hidden_size=6, n_layers=2, n_mixtures=3))
        return InkModel(network, None, SCALER)
    alphabet = Alphabet(" abc")
    network = SynthesisNetwork(
        SynthesisConfig(n_chars=len(alphabet), hidden_size=6, n_layers=2, n_mixtures=3, n_window=2)
    )
    return InkModel(network, alphabet, SCALER)


def outputs_of(weights, means, stds, correlations, end=0.5):
    "Network outputs of one step with these parameters."
    logs = np.log([*weights]), np.log([*stds]).T, np.arctanh([*correlations])
    end_hat = np.log(1 / end - 1)
    return torch.tensor(np.concatenate([[end_hat], logs[0], np.array(means).T.ravel(), logs[1].ravel(), logs[2]]))


def tidy(figure):
    "What every figure promises."
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    assert figure.layout.font.color == NEUTRAL and figure.layout.font.size >= 12
    assert 60 <= figure.layout.height <= 2500
    json.loads(figure.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    return figure


# legibility


def luminance(rgb):
    "Of a colour from 0 to 1, as web pages count it."
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("page", [0x00, 0x11, 0xFF])
@pytest.mark.parametrize("colour", sorted({NEUTRAL, BLUE, ORANGE, GREEN, *COLOURS}))
def test_colours_stand_out_from_light_and_dark_pages(colour, page):
    one = luminance(np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255)
    dark, light = sorted([one, luminance(np.full(3, page / 255))])
    assert (light + 0.05) / (dark + 0.05) > 3.5


def test_letters_are_read_on_white_and_on_black_and_on_no_page_badly():
    assert min(contrast(NEUTRAL, page) for page in ("#ffffff", "#000000")) >= 4.5
    assert contrast(NEUTRAL, "#111111") > 4.1  # 4.35 is the most that a grey has both there and on white
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.fixture
def coloured():
    "A notebook's figures, as after `use_colours`."
    before = plotly.io.templates.default
    use_colours()
    yield go.Figure().layout.template
    plotly.io.templates.default = before


def colours_of(part, path=""):
    "Every colour of a part of a template, with where it is."
    for name, value in part.items() if isinstance(part, dict) else enumerate(part):
        if isinstance(value, str) and re.match(r"#|rgba?\(", value):
            yield f"{path}.{name}", value
        elif isinstance(value, dict | list | tuple):
            yield from colours_of(value, f"{path}.{name}")


@pytest.mark.parametrize("page", [0x11, 0xFF])
def test_figures_of_notebooks_stand_out_from_light_and_dark_pages(coloured, page):
    found = dict(colours_of(coloured.to_plotly_json()))
    assert len(found) > 30 and set(COLOURS) <= set(coloured.layout.colorway)
    for place, colour in found.items():
        if colour.startswith("#"):
            assert contrast(colour, f"#{page:02x}{page:02x}{page:02x}") > 3.5, place
        else:  # nothing, a grid that is hardly seen, or a map
            *rgb, alpha = (float(part) for part in re.findall(r"[\d.]+", colour))
            assert alpha in (0, 0.25) or "colorscale" in place, place
    assert contrast(coloured.layout.font.color, "#ffffff") > 4.5


def test_figures_of_notebooks_have_no_white_box(coloured):
    layout, (heat,) = coloured.layout, coloured.data.heatmap
    assert layout.paper_bgcolor == layout.plot_bgcolor == CLEAR
    assert [tuple(stop) for stop in heat.colorscale] == colour_scale(FAINT) and heat.colorscale[0][1].endswith(", 0)")
    (table,) = coloured.data.table
    assert table.cells.fill.color == CLEAR and layout.updatemenudefaults.bgcolor == CLEAR


def test_colours_are_a_wish_not_a_side_effect_of_importing():
    code = """import plotly.io, graves_nb.colours, graves_nb.plots, graves_nb.widgets
assert plotly.io.templates.default == "plotly" and "graves_nb" not in plotly.io.templates"""
    subprocess.run([sys.executable, "-c", code], check=True)


NOTEBOOKS = sorted((Path(__file__).parent.parent / "nbs").rglob("[!.]*.ipynb"))


def code_of(path):
    "The code cells of a notebook."
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_that_draws_takes_the_colours_before(path):
    own = [source for source in code_of(path) if not re.match(r"#\| *exporti?\b", source)]
    first = next((i for i, source in enumerate(own) if re.search(r"\b(go\.Figure|make_subplots)\(", source)), None)
    if first is None or path.stem == "03_colours":  # which shows figures without them
        return
    assert any(re.search(r"^use_colours\(\)$", source, re.MULTILINE) for source in own[:first])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_colours_that_are_lost_on_some_page(path):
    code = "\n".join(code_of(path))
    named = [scale.lower() for scale in plotly.colors.named_colorscales()]
    assert not [scale for scale in re.findall(r"colorscale=\"(\w+)\"", code) if scale.lower() in named]
    assert not re.search(r"color=\"(black|white)\"", code)
    for colour in re.findall(r"color=\"(#\w{6})\"", code):
        assert min(contrast(colour, page) for page in ("#ffffff", "#111111")) > 3, colour


def test_palette_by_hand():
    colours = palette(HEAT)
    assert colours.shape == (256, 4) and colours[0, 3] == 0
    assert colours[102].tolist() == [0x3F, 0x83, 0xD6, round(0.9 * 255)]
    assert colours[255].tolist() == [0xD9, 0x62, 0x2B, 255]
    assert (np.diff(colours[:, 3].astype(int)) >= 0).all()


def test_png_has_the_colours_of_its_shades():
    shades = np.linspace(0, 1, 12).reshape(3, 4)
    head, _, data = png_of(shades).partition(",")
    assert head == "data:image/png;base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
    np.testing.assert_array_equal(pixels, palette(HEAT)[(shades * 255).round().astype(int)])


# ink


def test_pen_track_has_gaps_between_strokes():
    ink = Ink.from_strokes([[(0, 0), (1, 2)], [(3, 4)], [(5, 6), (7, 8)]])
    track = pen_track(ink)
    assert np.flatnonzero(np.isnan(track[:, 0])).tolist() == [2, 4]
    np.testing.assert_array_equal(track[~np.isnan(track[:, 0])], ink.points[:, :2])


def test_stacked_lines_keep_their_shape_and_do_not_touch():
    inks = [wave(), Ink.from_strokes([[(-5, 100), (-1, 103)]]), Ink.from_strokes([[(9, 9)]])]
    placed = stacked(inks)
    for before, after in zip(inks, placed, strict=True):
        assert after.bounds[0] == 0
        np.testing.assert_allclose(before.offsets(), after.offsets(), atol=1e-5)
    for above, below in zip(placed[:-1], placed[1:], strict=True):
        assert below.bounds[1] - above.bounds[3] == pytest.approx(0.35 * 3, rel=1e-5)


def test_ink_figure_shows_every_point_once_with_its_label():
    figure = tidy(ink_figure(wave(20), None))
    (trace,) = figure.data
    assert [t for t in trace.text if t] == point_labels(wave(20))
    assert len(trace.x) == 20 + 2 and sum(t == "" for t in trace.text) == 2
    assert figure.layout.yaxis.autorange == "reversed" and figure.layout.yaxis.scaleanchor == "x"


def test_ink_figure_of_several_lines():
    figure = tidy(ink_figure([wave(), wave(), wave()], labels=["a", "b", "c"], quiet=[0, 2]))
    assert [t.line.color for t in figure.data] == [NEUTRAL, BLUE, NEUTRAL]
    assert [a.text for a in figure.layout.annotations] == ["a", "b", "c"]
    tops = [a.y for a in figure.layout.annotations]
    assert tops == sorted(tops) and tops == pytest.approx([np.nanmin(t.y) for t in figure.data])


@pytest.mark.parametrize(
    ("keywords", "message"),
    [({"labels": ["one"]}, "2 lines and 1 labels"), ({"trace": Trace(torch.zeros(59, 7), None, None)}, "not to 2")],
)
def test_ink_figure_refuses(keywords, message):
    with pytest.raises(ValueError, match=message):
        ink_figure([wave(), wave()], **keywords)


# the window


def test_text_weights_of_a_primed_line_are_the_last_columns():
    phi = torch.tensor([[0.1, 0.9, 0.2, 0.3], [0.0, 0.2, 0.1, 0.7], [0.0, 0.1, 0.8, 0.3]])
    trace = Trace(torch.zeros(3, 7), None, phi)
    assert text_weights(trace, "bc").tolist() == phi[:, 2:].tolist()
    assert window_characters(trace, "bc") == ["", "c", "b"]
    ink = Ink.from_strokes([[(0, 0), (1, 0)], [(2, 0), (3, 0)]], text="bc")
    expected = ["point 0", "point 1, pen up", "point 2, “c”", "point 3, pen up, “b”"]
    assert point_labels(ink, trace) == expected


def test_alignment_figure_has_a_row_for_each_character():
    trace = Trace(torch.zeros(5, 7), None, torch.rand(5, 3, generator=torch.Generator().manual_seed(0)))
    figure = tidy(alignment_figure(trace, "a b"))
    np.testing.assert_array_equal(figure.data[0].z, trace.phi.numpy().T)
    assert list(figure.data[0].x) == [1, 2, 3, 4, 5] and figure.layout.yaxis.ticktext == ("a", "␣", "b")


def test_text_weights_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="of 3 characters, the text has 4: 'abcd'"):
        text_weights(Trace(torch.zeros(5, 7), None, torch.zeros(5, 3)), "abcd")
    with pytest.raises(ValueError, match="knows no text"):
        alignment_figure(Trace(torch.zeros(5, 7), None, None), "abc")


# density


def test_a_gaussian_lies_where_pen_scale_and_mean_put_it():
    ink = Ink.from_strokes([[(10, 20), (11, 21)], [(30, 40)]])
    row = outputs_of([0.75, 0.25], [(1, 2), (-3, 4)], [(0.5, 2), (1, 3)], [0.0, 0.6])
    placed = place_gaussians(small_model(), ink, Trace(torch.stack([row, row]), None, None))
    np.testing.assert_allclose(placed.weights, [0.75, 0.25, 0.75, 0.25])
    shifts = np.array([(0.1 + 2 * 1, -0.2 + 0.5 * 2), (0.1 - 2 * 3, -0.2 + 0.5 * 4)])
    np.testing.assert_allclose(placed.means, np.concatenate([(10, 20) + shifts, (11, 21) + shifts]))
    np.testing.assert_allclose(placed.covariances[:2], [(1, 0, 1), (4, 0.6 * 2 * 1.5, 2.25)])


def test_components_without_weight_are_left_out_and_a_bias_sharpens():
    ink = Ink.from_strokes([[(0, 0), (1, 0)]])
    row = outputs_of([0.9995, 0.0005], [(0, 0), (5, 5)], [(1, 1), (1, 1)], [0.0, 0.0])
    trace = Trace(row[None], None, None)
    assert place_gaussians(small_model(), ink, trace).weights == pytest.approx([0.9995])
    biased = place_gaussians(small_model(), ink, trace, bias=1.0)
    np.testing.assert_allclose(biased.covariances, np.exp(-2) * np.array([[4, 0, 0.25]]))


def test_one_wide_gaussian_by_hand():
    ink = Ink.from_strokes([[(0, 0), (2, 0.5)]])
    model = InkModel(small_model().network, None, OffsetScaler((0.0, 0.0), (1.0, 1.0)))
    found = density_map(model, ink, Trace(outputs_of([1.0], [(1, 0.25)], [(0.5, 0.4)], [0.6])[None], None, None))
    row, column = np.unravel_index(found.values.argmax(), found.values.shape)
    assert found.left + (column + 0.5) * found.cell == pytest.approx(1, abs=found.cell)
    assert found.top + (row + 0.5) * found.cell == pytest.approx(0.25, abs=found.cell)
    assert found.values.max() == pytest.approx(1 / (2 * np.pi * 0.5 * 0.4 * 0.8), rel=2e-3)
    assert found.values.sum() * found.cell**2 == pytest.approx(1, abs=5e-3)


def plain_map(gaussians, shape):
    "Every Gaussian on every cell."
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    total = np.zeros(shape)
    for weight, (mx, my), (xx, xy, yy) in zip(*gaussians, strict=True):
        matrix = np.array([[xx, xy], [xy, yy]])
        gap = np.stack([x - mx, y - my], axis=-1)
        z = np.einsum("rci,ij,rcj->rc", gap, np.linalg.inv(matrix), gap)
        total += weight * np.exp(-z / 2) / (2 * np.pi * np.linalg.det(matrix) ** 0.5)
    return total


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 400))
def test_drawing_in_windows_is_drawing_everywhere(seed, n, at_once):
    generator = np.random.default_rng(seed)
    std, rho = np.exp(generator.uniform(-0.5, 2, (n, 2))), generator.uniform(-0.95, 0.95, n)
    covariances = np.stack([std[:, 0] ** 2, rho * std[:, 0] * std[:, 1], std[:, 1] ** 2], axis=1)
    gaussians = PlacedGaussians(generator.uniform(0, 1, n), generator.uniform(-5, 45, (n, 2)), covariances)
    plain = plain_map(gaussians, (30, 40))
    peak = (gaussians.weights / (2 * np.pi * std.prod(1) * np.sqrt(1 - rho**2))).sum()
    np.testing.assert_allclose(draw_gaussians(gaussians, (30, 40), at_once), plain, atol=0.003 * peak)


@given(st.floats(0.4, 1e4), st.floats(0.4, 1e4))
def test_windows_reach_far_enough_and_not_much_farther(x, y):
    (half,) = window_sizes(np.array([[x**2, 0.0, y**2]]))
    for cells, std in zip(half, (x, y), strict=True):
        assert 3.5 * std * (1 - 1e-9) <= cells <= 3.5 * std * 2**0.5 + 1


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9), st.integers(1, 9))
def test_a_window_lands_where_it_should_or_nowhere(row, column, h, w):
    total, values = np.zeros((4, 5)), np.arange(1, h * w + 1, dtype=float).reshape(h, w)
    add_window(total, values, row, column)
    for r in range(4):
        for c in range(5):
            inside = 0 <= r - row < h and 0 <= c - column < w
            assert total[r, c] == (values[r - row, c - column] if inside else 0)


def test_gaussians_wider_than_the_paper_take_neither_time_nor_memory():
    ink = wave(30)
    row = outputs_of([0.5, 0.5], [(0, 0), (1e6, 0)], [(1e4, 1e4), (1e5, 1e-5)], [0.0, 0.0])
    found = density_map(small_model(), ink, Trace(row.repeat(29, 1), None, None), cells=5000)
    assert np.isfinite(found.values).all() and found.values.size < 6000
    assert shades_of(found.values).max() == 1


def test_map_of_a_whole_line_adds_up_to_its_steps():
    ink, model = wave(200), small_model()
    trace = trace_ink(model, ink)
    sharp = Trace(
        torch.cat([trace.outputs[:, :10], trace.outputs[:, 10:16] - 3, trace.outputs[:, 16:]], dim=1), None, None
    )
    found = density_map(model, ink, sharp)
    assert found.values.sum() * found.cell**2 == pytest.approx(199, rel=0.02)


def test_density_map_refuses_another_lines_trace():
    with pytest.raises(ValueError, match="60 points, so it takes 59 steps, not 60"):
        density_map(small_model(), wave(60), Trace(torch.zeros(60, 19), None, None))


def test_levels_by_hand():
    values = np.array([[4.0, 0.0], [1.0, 5.0]])  # sums from below: 0, 1, 5, 10
    assert [level_of(values, share) for share in (0.05, 0.1, 0.3, 0.5, 0.51, 1)] == [1, 1, 4, 4, 5, 5]


def test_shades_go_from_nothing_to_full():
    values = np.geomspace(1e-12, 1, 200).reshape(10, 20)
    for log in (False, True):
        shades = shades_of(values, log)
        assert shades.min() >= 0 and shades.max() == 1 and (np.diff(shades.ravel()) >= 0).all()
    assert (shades_of(np.zeros((3, 3))) == 0).all() and (shades_of(np.zeros((3, 3)), log=True) == 0).all()


def test_density_figure_lies_under_its_ink():
    ink, model = wave(), small_model()
    picture, line = tidy(density_figure(model, ink, trace_ink(model, ink), log=True)).data
    found = density_map(model, ink, trace_ink(model, ink))
    assert isinstance(picture, go.Image) and (picture.dx, picture.dy) == (found.cell, found.cell)
    assert picture.x0 - picture.dx / 2 == pytest.approx(found.left) and np.nanmin(line.x) > found.left
    assert len(density_figure(model, ink, trace_ink(model, ink), line=False).data) == 1


# over the steps


def test_mixture_weights_by_hand():
    rows = [outputs_of(w, [(0, 0)] * 2, [(1, 1)] * 2, [0, 0]) for w in ([0.75, 0.25], [0.1, 0.9])]
    trace = Trace(torch.stack(rows).float(), None, None)
    model = small_model()
    np.testing.assert_allclose(mixture_weights(model, trace), [[0.75, 0.1], [0.25, 0.9]], rtol=1e-5)
    np.testing.assert_allclose(mixture_weights(model, trace, 1.0), [[0.9, 0.01 / 0.82], [0.1, 0.81 / 0.82]], rtol=1e-5)
    figure = tidy(mixture_weights_figure(model, trace))
    assert list(figure.data[0].y) == [1, 2] and figure.data[0].zmax == 1


def test_losses_by_hand():
    model, ink = InkModel(small_model().network, None, OffsetScaler()), Ink.from_strokes([[(0, 0), (1, 2)], [(1, 5)]])
    certain, unsure = ([1.0], [(1, 2)], [(0.5, 0.5)], [0.0], 0.9), ([1.0], [(0, 0)], [(1, 2)], [0.0], 0.2)
    trace = Trace(torch.stack([outputs_of(*certain), outputs_of(*unsure)]).float(), None, None)
    by_hand = [np.log(2 * np.pi * 0.25) - np.log(0.9), np.log(2 * np.pi * 2) + 3**2 / 2**2 / 2 - np.log(0.2)]
    np.testing.assert_allclose(step_losses(model, ink, trace), by_hand, rtol=1e-5)
    assert stroke_starts(ink).tolist() == [2]
    line, marks = tidy(loss_figure(model, ink, trace)).data
    assert list(line.x) == [1, 2] and list(marks.x) == [2] and marks.y[0] == line.y[1]


def test_losses_with_a_bias_by_hand():
    model, ink = InkModel(small_model().network, None, OffsetScaler()), Ink.from_strokes([[(0, 0), (1, 2)]])
    trace = Trace(outputs_of([0.8, 0.2], [(1, 2), (1, 2)], [(0.5, 0.5), (1, 1)], [0.0, 0.0])[None], None, None)
    sharp, by_hand = np.exp(-1.0), [0.8**2, 0.2**2]  # (61), (62)
    share = [weight / sum(by_hand) for weight in by_hand]
    density = sum(w / (2 * np.pi * (std * sharp) ** 2) for w, std in zip(share, (0.5, 1), strict=True))
    np.testing.assert_allclose(step_losses(model, ink, trace, 1.0), -np.log(density * 0.5), rtol=1e-5)
    np.testing.assert_allclose(loss_figure(model, ink, trace, 1.0).data[0].y, step_losses(model, ink, trace, 1.0))


# inside a layer


@torch.no_grad()
def test_gates_by_the_equations():
    layer, x = small_model().network.layers[0].double(), torch.randn(9, 3, dtype=torch.double)
    layer.peephole.copy_(torch.randn(3, 6))
    found = layer_gates(layer, x)
    h = c = np.zeros(6)
    w_x, w_h, b, peep = (p.numpy() for p in (layer.weight_ih, layer.weight_hh, layer.bias, layer.peephole))

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    for t in range(9):
        i, f, g, o = np.split(w_x @ x[t].numpy() + w_h @ h + b, 4)
        i, f = sigmoid(i + peep[0] * c), sigmoid(f + peep[1] * c)
        c = f * c + i * np.tanh(g)
        o = sigmoid(o + peep[2] * c)
        h = o * np.tanh(c)
        for name, value in zip(found._fields, (i, f, o, c, h), strict=True):
            np.testing.assert_allclose(getattr(found, name)[t].numpy(), value, rtol=1e-9, err_msg=name)


@torch.no_grad()
@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("kind", ["prediction", "synthesis"])
def test_gates_are_those_of_the_networks_own_steps(kind, layer):
    model, ink = small_model(kind), wave(20, text="ab c")
    text = [] if kind == "prediction" else [TextBatch.from_indices([model.encode(ink.text)])]
    inputs = null_first(torch.as_tensor(model.scaler.normalise(ink.offsets())))
    state, cells, hidden = model.network.initial_state(inputs[0]), [], []
    for x in inputs:
        state = model.network.step(x, state, *text)[1]
        cells.append(state.layers[layer - 1].c[0])
        hidden.append(state.layers[layer - 1].h[0])
    found = record_gates(model, ink, layer)
    torch.testing.assert_close(found.cell, torch.stack(cells))
    torch.testing.assert_close(found.hidden, torch.stack(hidden))


def test_gates_figure_shows_the_cells_that_vary():
    gates = record_gates(small_model(), wave(30), 2)
    figure = tidy(gates_figure(gates, cells=4))
    chosen = liveliest(gates.cell, 4)
    assert [list(t.y) for t in figure.data] == [[str(i) for i in chosen.tolist()]] * 4
    np.testing.assert_array_equal(figure.data[1].z, (100 * gates.forget[:, chosen].T).round().numpy())
    assert (figure.data[3].zmin, figure.data[3].zmax) == (-100, 100)


@pytest.mark.parametrize("layer", [0, 3])
def test_gates_of_a_layer_that_there_is_not(layer):
    with pytest.raises(ValueError, match=f"layers 1 to 2, not {layer}"):
        record_gates(small_model(), wave(), layer)


# together


@pytest.mark.parametrize(("kind", "rows"), [("prediction", 3), ("synthesis", 4)])
def test_linked_figure(kind, rows):
    model, ink = small_model(kind), wave(60, text="abc")
    figure = tidy(linked_figure(model, ink, trace_ink(model, ink)))
    axes = [figure.layout[f"xaxis{i if i > 1 else ''}"] for i in range(1, rows + 1)]
    assert [axis.matches for axis in axes] == [None, *["x2"] * (rows - 1)]
    assert figure.layout.yaxis.autorange == "reversed" and figure.layout.yaxis.scaleanchor == "x"
    assert not hasattr(figure.layout, f"xaxis{rows + 1}") or figure.layout[f"xaxis{rows + 1}"] is None


@pytest.mark.parametrize("kind", ["prediction", "synthesis"])
def test_all_views_of_a_line_have_its_bias_and_say_so(kind):
    model, ink = small_model(kind), wave(60, text="abc")
    trace = trace_ink(model, ink)
    plain, figure = linked_figure(model, ink, trace), tidy(linked_figure(model, ink, trace, bias=2))
    assert "bias 2" in figure.layout.title.text and not plain.layout.title.text
    (nats, *_), (weights, *_), (density, *_) = (traces(figure, name) for name in ("nats", "weights", "density"))
    np.testing.assert_allclose(nats.y, step_losses(model, ink, trace, 2))
    np.testing.assert_allclose(weights.z, mixture_weights(model, trace, 2))
    assert density.source == traces(density_figure(model, ink, trace, bias=2), "density")[0].source
    assert all("with bias 2" in t.hovertemplate for t in (nats, weights))


@pytest.mark.parametrize(("wide", "text"), [(1, "hi"), (300, "a b c " * 90)])
def test_no_text_makes_a_figure_endless(wide, text):
    t = np.linspace(0, 1, 40)
    ink = Ink.from_strokes([np.column_stack([wide * t, np.sin(9 * t)])], text=text)
    trace = Trace(torch.zeros(39, 19), None, torch.rand(39, len(text)))
    figure = tidy(linked_figure(small_model("synthesis"), ink, trace))
    assert figure.layout.height <= LINE_HEIGHT + 130 + 190 + 13 * MOST_ROWS + 200
    assert tidy(alignment_figure(trace, text)).layout.height < 900 and tidy(ink_figure(ink)).layout.height < 450


def explored(n=30):
    "An untrained synthesis model, a line and its trace."
    model, ink = small_model("synthesis"), wave(n, text="ab c")
    return model, ink, trace_ink(model, ink)


def test_what_moves_stays_on_axes_that_do_not():
    model, ink, trace = explored()
    mixture, window = mixture_figure(model, ink, trace), window_figure(ink, trace)
    still = [a.range for a in (mixture.layout.xaxis, mixture.layout.yaxis, window.layout.yaxis, window.layout.yaxis2)]
    assert all(r is not None for r in still)
    for step in range(1, len(ink)):
        move_mixture(mixture, model, ink, trace, step, 0.5)
        move_window(window, ink, trace, step)
        axes = (mixture.layout.xaxis, mixture.layout.yaxis, window.layout.yaxis, window.layout.yaxis2)
        assert [axis.range for axis in axes] == still
        for curve in (*traces(window, "Gaussian"), *traces(window, "weights")):
            assert np.max(curve.y) < window.layout.yaxis2.range[1]
        (x, *_), (y, *_) = traces(mixture, "pen")[0].x, traces(mixture, "pen")[0].y
        assert still[0][0] < x < still[0][1] and still[1][0] > y > still[1][1]


def test_traces_are_found_by_name_wherever_they_are():
    model, ink, trace = explored()
    figure = mixture_figure(model, ink, trace, 3)
    figure.data = figure.data[::-1]
    move_mixture(figure, model, ink, trace, 9, 1.0)
    fresh = mixture_figure(model, ink, trace, 9, 1.0)
    for name in ("written", "pen", "the point that came", "weights"):
        for moved, made in zip(traces(figure, name), traces(fresh, name), strict=True):
            np.testing.assert_array_equal(moved.y, made.y)
    others = window_figure(ink, trace), linked_figure(model, ink, trace), gates_figure(record_gates(model, ink))
    for made in (fresh, *others):
        assert all(t.name for t in made.data) and not made.layout.showlegend
    with pytest.raises(ValueError, match="no trace named 'ink'"):
        traces(fresh, "ink")


def best_of(n, call):
    "Processor seconds of the fastest of some calls, and what it gave."
    seconds = []
    for _ in range(n):
        begun = time.process_time()
        result = call()
        seconds.append(time.process_time() - begun)
    return min(seconds), result


def test_figures_of_a_thousand_points_are_fast_and_small():
    torch.manual_seed(0)
    network = PredictionNetwork(PredictionConfig(hidden_size=8, n_layers=1))
    model, ink = InkModel(network, None, OffsetScaler((0.1, 0.0), (0.3, 0.3))), wave(1001, text="x" * 60, strokes=60)
    outputs = trace_ink(model, ink).outputs
    outputs[:, 61:101] -= 2  # deviations of a tenth, as of a trained network
    trace = Trace(outputs, None, torch.rand(1000, 60))
    seconds, figure = best_of(3, lambda: density_figure(model, ink, trace))
    assert seconds < 1 and len(figure.to_json()) < 1_500_000
    seconds, figure = best_of(3, lambda: linked_figure(model, ink, trace))
    assert seconds < 1 and len(figure.to_json()) < 1_500_000


def test_only_who_wants_figures_loads_plotly():
    code = "import sys, graves_nb.sampling, graves_nb.pretrained, graves_nb.cli; assert 'plotly' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
