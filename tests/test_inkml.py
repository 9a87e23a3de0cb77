"""InkML of other programs, in the forms that they use; notations that say the same; what is refused."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graves_nb.ink import Ink
from graves_nb.inkml import decode_channel, inkml_of, parse_inkml, parse_trace

coordinates = st.floats(-1e4, 1e4, width=32)
strokes = st.lists(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12), min_size=1, max_size=6)
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"], include_characters="\n\t\r"), max_size=20
)
grid = st.lists(st.tuples(st.integers(-3000, 3000), st.integers(-3000, 3000)), min_size=1, max_size=30)
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


def points_of(document):
    return [stroke.tolist() for stroke in parse_inkml(document).strokes]


# ---------------------------------------------------------------- our own
@given(strokes, texts, texts)
@settings(deadline=None, max_examples=60)
def test_any_ink_comes_back_as_it_was(raw, text, writer):
    ink = Ink.from_strokes(raw, text, writer)
    back = parse_inkml(inkml_of(ink.strokes, text, writer))
    assert (back.text, back.writer) == (text, writer)
    for ours, theirs in zip(ink.strokes, back.strokes, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_ten_megabytes_take_seconds_and_twice_as_many_twice_as_long():
    def seconds(count):
        document = inkml_of([np.random.default_rng(0).normal(0, 1e3, (150, 2)).astype(np.float32)] * count)
        start = time.process_time()
        assert len(parse_inkml(document).strokes) == count
        return time.process_time() - start

    assert seconds(1200) < 6 * seconds(400) + 0.5


def test_groups_may_be_nested_deeply_and_views_may_turn_in_circles():
    deep = "<traceGroup>" * 3000 + "<trace>1 2</trace>" + "</traceGroup>" * 3000
    assert points_of(f"<ink>{deep}</ink>") == [[[1, 2]]]
    circle = '<definitions><traceView id="a" traceDataRef="#b"/><traceView id="b" traceDataRef="#a"/></definitions>'
    assert points_of(f'<ink>{circle}<traceView traceDataRef="#a"/><trace>1 2</trace></ink>') == [[[1, 2]]]


# ---------------------------------------------------------------- notations
def encoded(values, orders):
    "Whole numbers as InkML: explicit, or differences of the order asked for where it may stand."
    out, last, speed, known = [], 0, None, -1
    for value, order in zip(values, orders, strict=True):
        order = min(order, known + 1)
        change = value - last
        out.append(("!", "'", '"')[order] + str((value, change, change - (speed or 0))[order]))
        if order:
            speed = change
        known, last = max(known, order), value
    return out


@given(grid, st.data())
@settings(deadline=None)
def test_differences_of_any_order_say_the_same_as_explicit_values(points, data):
    orders = st.lists(st.integers(0, 2), min_size=len(points), max_size=len(points))
    columns = [encoded(column, data.draw(orders)) for column in zip(*points, strict=True)]
    blank = data.draw(st.sampled_from(["", " ", "\n "]))
    trace = ",".join(blank.join(row) for row in zip(*columns, strict=True))
    explicit = ",".join(f"{x} {y}" for x, y in points)
    assert parse_trace(trace).tolist() == parse_trace(explicit).tolist() == [list(map(float, p)) for p in points]


def test_a_mark_holds_for_the_values_after_it():
    assert decode_channel(["5", "'2", "3", "!7", "8", "'1"]) == [5, 7, 10, 7, 8, 9]
    assert decode_channel(["5", "'2", '"1', "1", "*", "!0"]) == [5, 7, 10, 14, 19, 0]


def test_the_example_of_the_recommendation():
    points = parse_trace("""1125 18432,'23'43,"7"-8,3-5,7 -3,6 2,6 8,3 6 T,2 4*T,3 6,3-6 F F""")
    assert points.tolist() == [
        [1125, 18432], [1148, 18475], [1178, 18510], [1211, 18540], [1251, 18567], [1297, 18596],
        [1349, 18633], [1404, 18676], [1461, 18723], [1521, 18776], [1584, 18823],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("trace", "points"),
    [
        ("10-20,-3-4", [[10, -20], [-3, -4]]),
        ("#A-#1F,#ff 0", [[10, -31], [255, 0]]),
        ("1.5.5,1e2-.5E1", [[1.5, 0.5], [100, -5]]),
        ("1 2,* 5,3 *", [[1, 2], [1, 5], [3, 5]]),
        ("1 2,? 5,3 4", [[1, 2], [3, 4]]),
        ("1 2:T F,3 4:F", [[1, 2], [3, 4]]),
        (" 1 2 ,\n\t3 4 , ", [[1, 2], [3, 4]]),
    ],
)
def test_numbers_in_all_their_forms(trace, points):
    assert parse_trace(trace).tolist() == points


@pytest.mark.parametrize(
    ("trace", "complaint"),
    [
        ("1 2, 3", "point 2 has 1 values where X and Y need 2"),
        ("1 2, a b", "'ab' is no part of a number"),
        ("'1 '1", "goes on from a value, and there is none yet"),
        ("1 2,\"1 '1", "goes on from a value"),
        ("* 1", "goes on from a value"),
        ("1 1e60", "too large"),
        ("T 1", "could not convert"),
        ("1 2 '", "no part"),
    ],
)
def test_errors_name_the_trace(tmp_path, trace, complaint):
    path = tmp_path / "bad.inkml"
    trace = trace.replace('"', "&quot;")
    path.write_text(f'<ink><trace>0 0</trace><trace xml:id="s7">{trace}</trace></ink>')
    with pytest.raises(ValueError, match=rf"bad\.inkml is not a readable InkML file: trace 2 \(s7\): .*{complaint}"):
        Ink.load(path)


# ---------------------------------------------------------------- other programs
OFFICE = f"""{HEAD}
<inkml:ink xmlns:inkml="http://www.w3.org/2003/InkML">
  <inkml:definitions>
    <inkml:context xml:id="ctx0">
      <inkml:inkSource xml:id="inkSrc0">
        <inkml:traceFormat>
          <inkml:channel name="X" type="integer" max="1920" units="cm"/>
          <inkml:channel name="Y" type="integer" max="1080" units="cm"/>
          <inkml:channel name="F" type="integer" max="1024" units="dev"/>
          <inkml:channel name="T" type="integer" units="dev"/>
        </inkml:traceFormat>
        <inkml:channelProperties>
          <inkml:channelProperty channel="X" name="resolution" value="37.8" units="1/cm"/>
          <inkml:channelProperty channel="Y" name="resolution" value="37.8" units="1/cm"/>
          <inkml:channelProperty channel="F" name="resolution" value="0" units="1/dev"/>
        </inkml:channelProperties>
      </inkml:inkSource>
      <inkml:timestamp xml:id="ts0" timeString="2015-11-16T19:22:04.2"/>
    </inkml:context>
    <inkml:brush xml:id="br0"><inkml:brushProperty name="width" value="0.05" units="cm"/></inkml:brush>
  </inkml:definitions>
  <inkml:trace contextRef="#ctx0" brushRef="#br0">100 200 300 0,'5'-4'10'8,"1"2"-20"0,0 0 0 0</inkml:trace>
  <inkml:trace contextRef="#ctx0" brushRef="#br0">140 210 512 0</inkml:trace>
</inkml:ink>"""

FORMULA = """<ink xmlns="http://www.w3.org/2003/InkML">
  <traceFormat><channel name="X" type="decimal"/><channel name="Y" type="decimal"/></traceFormat>
  <annotation type="UI">2011_IVC_DEPT_F001_E005</annotation>
  <annotation type="writer">depart001</annotation>
  <annotation type="truth">$a=-b$</annotation>
  <annotationXML type="truth" encoding="Content-MathML"><math xmlns="http://www.w3.org/1998/Math/MathML">
    <mrow><mi xml:id="a_1">a</mi><mo xml:id="=_1">=</mo></mrow></math></annotationXML>
  <trace id="0">985 3317, 1019 3340</trace>
  <trace id="1">1151 3405, 1100 3300</trace>
  <trace id="2"></trace>
  <traceGroup xml:id="3"><annotation type="truth">Segmentation</annotation>
    <traceGroup xml:id="4"><annotation type="truth">=</annotation><annotation type="writer">nobody</annotation>
      <traceView traceDataRef="0"/><traceView traceDataRef="1"/><annotationXML href="=_1"/></traceGroup>
    <traceGroup xml:id="5"><annotation type="truth">-</annotation><traceView traceDataRef="1"/></traceGroup>
  </traceGroup></ink>"""

CONTEXTS = """<ink xmlns="http://www.w3.org/2003/InkML">
  <definitions>
    <traceFormat xml:id="turned"><channel name="Y" type="decimal"/><channel name="X" type="decimal"/></traceFormat>
    <traceFormat xml:id="buttons"><channel name="T"/><channel name="X"/><channel name="Y"/>
      <intermittentChannels><channel name="B1" type="boolean"/></intermittentChannels></traceFormat>
    <context xml:id="base" traceFormatRef="#turned"/>
    <context xml:id="heir" contextRef="#base" brushRef="#red"/>
    <context xml:id="other" traceFormatRef="#buttons"/>
    <trace xml:id="stamp">7 8, 9 10</trace>
    <traceGroup xml:id="unused"><trace>0 0, 100 100</trace></traceGroup>
  </definitions>
  <trace>1 2</trace>
  <trace contextRef="#heir">1 2</trace>
  <traceGroup contextRef="#other"><trace>99 1 2 T</trace><trace contextRef="#base">1 2</trace></traceGroup>
  <traceView traceDataRef="#stamp"/>
  <context traceFormatRef="#turned"/>
  <trace>1 2</trace>
</ink>"""

TABLET = """<ink xmlns="http://www.w3.org/2003/InkML">
  <context><inkSource><traceFormat>
    <channel name="X" orientation="+ve" units="cm"/><channel name="Y" orientation="-ve" units="mm"/><channel name="F"/>
  </traceFormat></inkSource></context>
  <trace xml:id="a" type="penDown" continuation="begin">0 0 50, 1 10 50</trace>
  <trace type="penUp">5 5 0, 6 6 0</trace>
  <trace xml:id="b" type="penDown" continuation="middle" priorRef="#a">2 20 50</trace>
  <trace xml:id="x">8 80 1</trace>
  <trace xml:id="c" continuation="end" priorRef="#b">3 30 50</trace>
</ink>"""


def test_differences_with_pressure_and_time_as_an_office_program_writes_them():
    assert points_of(OFFICE) == [[[100, 200], [105, 196], [111, 194], [117, 192]], [[140, 210]]]


def test_a_formula_has_the_truth_of_the_whole_and_every_stroke_once():
    formula = parse_inkml(FORMULA)
    assert (formula.text, formula.writer) == ("$a=-b$", "depart001")
    assert [len(s) for s in formula.strokes] == [2, 2]
    assert parse_inkml(FORMULA.replace('<annotation type="truth">$a=-b$</annotation>', "")).text == ""


def test_every_trace_is_read_in_its_context():
    assert points_of(CONTEXTS) == [[[1, 2]], [[2, 1]], [[1, 2]], [[2, 1]], [[7, 8], [9, 10]], [[2, 1]]]


def test_a_tablet_with_y_upwards_pieces_of_strokes_and_a_pen_in_the_air():
    assert points_of(TABLET) == [[[0, 0], [1, -1], [2, -2], [3, -3]], [[8, -8]]]


@pytest.mark.parametrize(
    ("inside", "complaint"),
    [
        ("<trace/><trace>  </trace>", "there is no ink in it"),
        ('<trace type="penUp">1 2</trace>', "there is no ink in it"),
        ("<definitions><trace>1 2</trace></definitions>", "there is no ink in it"),
        ('<trace continuation="end" priorRef="#q">1 2</trace>', "trace 1: it continues q, which is no trace before it"),
        ('<trace>1 2</trace><trace continuation="end">1 2</trace>', "trace 2: it continues nothing that was begun"),
        ('<context id="a" contextRef="#b"/><context id="b" contextRef="#a"/><trace>1 2</trace>', "in a circle"),
        (
            '<definitions><trace id="a">1 2, 3 4</trace></definitions><traceView traceDataRef="#a" from="2"/>',
            "a part of",
        ),
        ('<traceFormat><channel name="X"/></traceFormat><trace>1</trace>', "no X and Y among the channels"),
    ],
)
def test_what_is_no_ink_is_said(inside, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_inkml(f"<ink>{inside}</ink>")


def device(number, x, y):
    "A context with a device of so many steps a centimetre."
    said = "".join(
        f'<channelProperty channel="{name}" name="resolution" value="{steps}" units="1/cm"/>'
        for name, steps in (("X", x), ("Y", y))
    )
    return (
        f'<context xml:id="c{number}"><inkSource><traceFormat><channel name="X"/><channel name="Y"/></traceFormat>'
        f"<channelProperties>{said}</channelProperties></inkSource></context>"
    )


@pytest.mark.parametrize("order", [(0,), (0, 1), (1, 0)])
def test_a_device_has_its_own_resolution_whatever_else_is_defined(order):
    devices = [device(0, 300, 400), device(1, 30, 30)]
    defined = "".join(devices[number] for number in order)
    trace = '<trace contextRef="#c0">0 0, 300 400</trace>'
    (stroke,) = parse_inkml(f"<ink><definitions>{defined}</definitions>{trace}</ink>").strokes
    assert np.allclose(stroke, [[0, 0], [300, 300]])


def test_strokes_of_two_devices_have_one_unit():
    traces = '<trace contextRef="#c0">0 0, 300 400</trace><trace contextRef="#c1">0 0, 30 30</trace>'
    defined = device(0, 300, 400) + device(1, 30, 30)
    one, two = parse_inkml(f"<ink><definitions>{defined}</definitions>{traces}</ink>").strokes
    assert np.allclose(one, [[0, 0], [300, 300]]) and np.allclose(one, two)
