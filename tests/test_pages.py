"""How figures become parts of pages, without a browser."""

import pages
import plotly.graph_objects as go


def figure(**options):
    heat = go.Heatmap(z=[[0, 1], [2, 3]], **options)
    return go.Figure([heat, go.Scatter(y=[1, 2])]).to_plotly_json() | {}


def as_json(**options):
    return {"data": [dict(trace) for trace in figure(**options)["data"]], "layout": {}}


def test_white_becomes_nothing_on_a_page():
    heat, line = as_json(colorscale="Blues")["data"]
    scale = pages.without_white(heat | dict(colorscale=[list(stop) for stop in heat["colorscale"]]))["colorscale"]
    assert scale[0][1].endswith(", 0)") and scale[1][1].startswith("rgb(")
    assert pages.without_white(line) is line


def test_other_colours_stay():
    for scale in ([[0, "rgb(68, 1, 84)"], [1, "rgb(253, 231, 37)"]], [[0, "#ffffff"], [1, "#000000"]], None):
        heat = dict(type="heatmap", z=[[1]], colorscale=scale)
        assert pages.without_white(heat) is heat


def test_a_finger_scrolls_the_page():
    html = pages.figure_html(as_json(), "")
    assert "pointer: coarse" in html and "dragmode: false" in html and f'"{pages.FIGURE_ID}"' in html
    assert "{plot_id}" not in html
