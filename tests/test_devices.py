"""All that is done with a model, with the model on another device: it comes out as on the processor."""

import contextlib
import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from elsewhere import WAITED, second_device

from graves_nb.alphabet import ASCII
from graves_nb.batches import batch_nats, collate, make_examples, piece_nats
from graves_nb.compression import compress, decompress
from graves_nb.corpus import ALL_BYTES, Streams, Symbols
from graves_nb.drawing import draw_points
from graves_nb.dynamic import Dynamic, gradient_squares
from graves_nb.evaluation import evaluate
from graves_nb.gates import record_gates
from graves_nb.ink import Ink, OffsetScaler
from graves_nb.lstm import look_up
from graves_nb.model import InkModel, TextModel
from graves_nb.optim import GateMuon
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.sampling import sample_ink, sample_text, stream_text, trace_ink, write, write_samples
from graves_nb.synthesis import SynthesisConfig, SynthesisNetwork

torch.set_num_threads(1)
DEVICES = ["second", *["cuda"] * torch.cuda.is_available()]
SCALER = OffsetScaler((0.1, 0.0), (0.5, 0.4))


def writer():
    torch.manual_seed(0)
    return InkModel(SynthesisNetwork(SynthesisConfig(len(ASCII), 12, 2, 3, 3, points_per_char=3.0)), ASCII, SCALER)


def scribbler():
    torch.manual_seed(1)
    return InkModel(PredictionNetwork(PredictionConfig(hidden_size=12, n_layers=2, n_mixtures=3)), None, SCALER)


def reader():
    torch.manual_seed(2)
    network = PredictionNetwork(PredictionConfig(256, 16, 1, "softmax", output_clip=None))
    return TextModel(network, ALL_BYTES)


@contextlib.contextmanager
def moved(model, device):
    "A copy of a model on another device."
    with second_device() if device == "second" else contextlib.nullcontext(device) as place:
        other = replace(model, network=copy.deepcopy(model.network).to(place))
        assert all(w.device.type != "cpu" for w in other.network.parameters())
        yield other


def agree(one, other):
    np.testing.assert_allclose(np.asarray(one, float), np.asarray(other, float), rtol=1e-3, atol=1e-3)


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


def test_a_line_is_the_same(device):
    model, own = writer(), Ink.from_strokes([np.random.default_rng(0).normal(size=(30, 2)).cumsum(0)], text="abc")
    asked = dict(bias=1.0, seed=3, max_points_per_char=8)
    with moved(model, device) as other:
        with pytest.warns(UserWarning):  # an untrained network comes to no end
            agree(write(other, "ab", **asked).points, write(model, "ab", **asked).points)
            primed = [write(m, ["ab", "abba"], prime=own, **asked)[1].points for m in (model, other)]
        agree(*primed)


def test_a_trace_is_on_the_processor_and_can_be_looked_at(device):
    model = writer()
    with moved(model, device) as other, pytest.warns(UserWarning):
        ours, theirs = (write_samples(m, ["abc"], seed=1, trace=True, max_points_per_char=8)[0] for m in (model, other))
        for one, two in zip(
            (ours.trace, trace_ink(model, ours.ink)), (theirs.trace, trace_ink(other, ours.ink)), strict=True
        ):
            assert two.outputs.device.type == two.phi.device.type == "cpu"
            agree(one.outputs, two.outputs)
            agree(one.phi, two.phi)
        agree(record_gates(model, ours.ink, 2).cell.detach(), record_gates(other, ours.ink, 2).cell.detach())


def test_wordless_ink_is_the_same(device):
    model = scribbler()
    with moved(model, device) as other:
        agree(sample_ink(other, 20, bias=1.0, count=2)[1].points, sample_ink(model, 20, bias=1.0, count=2)[1].points)
        ink = sample_ink(model, 20)
        agree(trace_ink(other, ink).outputs, trace_ink(model, ink).outputs)
        agree(sample_ink(other, 20, prime=ink).points, sample_ink(model, 20, prime=ink).points)


def test_a_text_is_the_same(device):
    model = reader()
    with moved(model, device) as other:
        assert sample_text(other, 20, "abc", count=2, top_k=40) == sample_text(model, 20, "abc", count=2, top_k=40)
        assert [next(stream_text(m, "abc", 3, top_p=0.9)) for m in (model, other)][0]


def symbols(count):
    return Symbols(np.random.default_rng(0).integers(0, 256, count), np.arange(256))


def test_figures_are_the_same(device):
    rng = np.random.default_rng(1)
    inks = [Ink.from_strokes([rng.normal(size=(n, 2)).cumsum(0)], text="a bc") for n in (9, 12, 20)]
    for model, data in ((writer(), inks), (scribbler(), inks), (reader(), symbols(300))):
        with moved(model, device) as other:
            for name, value in evaluate(model, data).to_dict().items():
                assert evaluate(other, data).to_dict()[name] == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("method", ["sgd", "rms"])
def test_learning_while_reading_is_the_same(device, method):
    model, data, dynamic, found = reader(), symbols(300), Dynamic(method, 1e-3), []
    with moved(model, device) as other:
        for m in (model, other):
            squares = gradient_squares(m, Streams(data, 2, 50, 0), 2) if method == "rms" else None
            found.append(evaluate(m, data, dynamic=dynamic, squares=squares).nats)
    assert found[0] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.parametrize("dynamic", [None, Dynamic("sgd", 1e-3)])
def test_what_is_compressed_comes_back(device, dynamic):
    model, content = reader(), b"abc" * 1000
    with moved(model, device) as other:
        with torch.no_grad():
            for m in (model, other):
                m.network.output.bias[97:100] += 6.0  # so that there is something to gain
        packed = compress(content, other, dynamic, streams=20)
        assert len(packed) < len(content) and decompress(packed, other) == content


def test_a_model_is_saved_and_loaded(device, tmp_path):
    model = writer()
    with moved(model, device) as other:
        other.save(tmp_path / "model.safetensors", torch.float32)
    again = InkModel.load(tmp_path / "model.safetensors")
    for ours, theirs in zip(model.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert json.dumps(again.info) == json.dumps(model.info)


def test_the_second_device_refuses_what_a_card_refuses():
    with second_device() as place:
        there = torch.ones(3).to(place)
        assert there.device.type == place.type and (there + 1).sum().item() == 6
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(3)
        with pytest.raises(RuntimeError, match="same device"):
            torch.cat([there, torch.zeros(1)])
        with pytest.raises((RuntimeError, TypeError)):
            there.numpy()


@pytest.mark.parametrize("make", [writer, scribbler, reader])
def test_nobody_waits_for_an_update(make):
    "The processor goes on to the next update while a card still has to do this one."
    model = make()
    inks = [Ink.from_strokes([np.random.default_rng(n).normal(size=(n, 2)).cumsum(0)], text="abc") for n in (5, 9)]
    batch = next(iter(Streams(symbols(100), 2, 20, 0))) if make is reader else collate(make_examples(model, inks))
    with moved(model, "second") as other:
        optimizer, batch = GateMuon(other.network), batch.to("meta")
        WAITED.clear()
        loss = piece_nats(other.network, batch, None)[0] if make is reader else batch_nats(other.network, batch)
        loss.sum().backward()
        torch.nn.utils.clip_grad_norm_(other.network.parameters(), 1.0)
        optimizer.step()
        assert not WAITED
        loss.sum().item()
        assert WAITED


def test_nobody_waits_for_a_step_of_a_line():
    model, rng = writer(), torch.Generator().manual_seed(0)
    text = collate(make_examples(model, [Ink.from_strokes([np.arange(6.0).reshape(3, 2)], text="abc")])).text
    with moved(model, "second") as other:
        first = torch.zeros(1, 3).to("meta")
        text = type(text)(*(t.to("meta") for t in text))
        draws = model.network.head.draws(8, rng)[None].to("meta")
        state = other.network.initial_state(first[None])
        WAITED.clear()
        drawn = draw_points(other.network, state, first, draws, 0.5, text)
        assert drawn.points.shape == (1, 8, 3) and not WAITED


def test_symbols_are_looked_up_as_on_the_processor():
    index, weight = torch.tensor([[2, -1], [2, 0]]), torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    found = []
    with second_device() as place:
        for device in ("cpu", place):
            there = weight.detach().to(device).requires_grad_()
            columns = look_up(index.to(device), there)
            (derivative,) = torch.autograd.grad(columns.square().sum(), there)
            found.append((columns.detach().cpu(), derivative.cpu()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
