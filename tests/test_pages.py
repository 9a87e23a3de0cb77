"""How figures become parts of pages, without a browser."""

import pages
import plotly.graph_objects as go


def figure(**options):
    heat = go.Heatmap(z=[[0, 1], [2, 3]], **options)
    return go.Figure([heat, go.Scatter(y=[1, 2])]).to_plotly_json() | {}


def as_json(**options):
    return {"data": [dict(trace) for trace in figure(**options)["data"]], "layout": {}}


def test_a_finger_scrolls_the_page():
    html = pages.figure_html(as_json(), "")
    assert "pointer: coarse" in html and "dragmode: false" in html and f'"{pages.FIGURE_ID}"' in html
    assert "{plot_id}" not in html
