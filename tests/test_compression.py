"""Archives that chance or malice made: the right bytes, or one kind of error."""

import hashlib
import json
import math
import random
import struct
import tracemalloc
from multiprocessing import get_context

import numpy as np
import pytest
import torch

from graves_nb.compression import (
    LEAST_BITS,
    LENGTH,
    MAGIC,
    PREFIX,
    CompressedFileError,
    compress,
    decompress,
    pack_file,
    read_header,
)
from graves_nb.contracts import only_backends
from graves_nb.corpus import ALL_BYTES
from graves_nb.dynamic import Dynamic
from graves_nb.model import TextModel
from graves_nb.prediction import PredictionConfig, PredictionNetwork
from graves_nb.pretrained import load_model
from graves_nb.terminal import check_target

CONTENT = b"".join(b"<row id='%d'>%d</row>" % (i, i * i) for i in range(12))
WORDS = ("", "abc", "9" * 64, [], [1], {}, {"a": 1}, None, True)
ODD = (*WORDS, -1, 0, 1, 2.5, 7, 10**4, 10**12, 10**400, math.nan, math.inf)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = PredictionNetwork(PredictionConfig(256, 8, 1, "softmax", lstm_clip=1.0, output_clip=None))
    with torch.no_grad():
        network.output.bias[list(CONTENT)] += 3
    return TextModel(network, ALL_BYTES)


@pytest.fixture(scope="module")
def archives(model):
    return [
        compress(CONTENT, model),
        compress(CONTENT, model, Dynamic("sgd", 0.1), streams=3),
        compress(random.Random(0).randbytes(50), model),
        compress(b"", model),
    ]


def right_or_refused(archive, content, model):
    try:
        assert decompress(archive, model) == content
    except CompressedFileError:
        pass


def damaged(archive, draw):
    "Bits flipped, a piece cut out, or one put in."
    data, place = bytearray(archive), draw.randrange(len(archive))
    kind = draw.randrange(4)
    if kind == 0:
        data[place] ^= 1 << draw.randrange(8)
    elif kind == 1:
        del data[place:]
    elif kind == 2:
        del data[place : place + draw.randrange(1, 9)]
    else:
        data[place:place] = draw.randbytes(draw.randrange(1, 9))
    return bytes(data)


def crafted(archive, draw):
    "A header or coded bytes that lie, with a checksum that does not."
    header, coded = read_header(archive)
    kind = draw.randrange(4)
    if kind == 0:
        header[draw.choice(list(header))] = draw.choice(ODD)
    elif kind == 1:
        header.pop(draw.choice(list(header)))
    elif kind == 2:
        header["size"] = draw.choice((1, 2, 50, header["size"] + 1, header["size"] + 1000, 10**6, 10**7))
        header["streams"] = draw.choice((1, 3, 40, 4096))
    else:
        coded = damaged(coded or b"1234", draw)
    return pack_file(header, coded)


def test_300_damaged_archives(model, archives):
    draw = random.Random(1)
    for _ in range(300):
        i = draw.randrange(4)
        content = decompress(archives[i], model) if i > 1 else CONTENT
        right_or_refused(damaged(archives[i], draw), content, model)


def test_300_crafted_archives(model, archives):
    draw, contents = random.Random(2), [CONTENT, CONTENT, decompress(archives[2], model), b""]
    for _ in range(300):
        i = draw.randrange(4)
        right_or_refused(crafted(archives[i], draw), contents[i], model)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"nothing", b"\xff", b"7", b"null", b"[]", b"9" * 10_000])
def test_headers_that_are_none(model, text):
    checksum = hashlib.sha256(text).digest()[:16]
    with pytest.raises(CompressedFileError):
        decompress(MAGIC + struct.pack(PREFIX, len(text), 0, checksum) + text, model)


def test_nothing_is_allocated_for_what_is_only_claimed(model, archives):
    header, coded = read_header(archives[0])
    tracemalloc.start()
    try:
        for claim in (dict(size=10**11), dict(streams=10**9), dict(size=10**7, streams=64), dict(length=10**12)):
            with pytest.raises(CompressedFileError):
                decompress(pack_file(header | claim, coded), model)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_what_is_all_but_certain_costs_no_less_than_the_rule_says(model):
    network = PredictionNetwork(model.network.config)
    with torch.no_grad():
        network.output.weight.zero_()
        network.output.bias.fill_(-100.0)
        network.output.bias[97] = 100.0
    sure = TextModel(network, ALL_BYTES)
    packed = compress(b"a" * 20_000, sure, streams=100)
    header, coded = read_header(packed)
    assert decompress(packed, sure) == b"a" * 20_000
    assert header["size"] * LEAST_BITS <= 8 * len(coded) < 200


def test_a_model_that_learnt_from_a_damaged_archive_forgets_it(model, archives):
    before = [w.detach().clone() for w in model.network.parameters()]
    header, coded = read_header(compress(CONTENT * 6, model, Dynamic("sgd", 0.1), streams=2))
    with pytest.raises(CompressedFileError) as caught:
        decompress(pack_file(header, coded[:400] + bytes(400) + coded[800:]), model)
    assert caught.value and torch.is_grad_enabled()
    assert all(torch.equal(w, old) for w, old in zip(model.network.parameters(), before, strict=True))


def test_streams_of_every_length_come_back_in_order(model):
    for size in (1, 2, 5, 6, 7, 31, 64):
        for streams in (1, 2, 4, 5, 64):
            content = bytes(CONTENT[:size])
            assert decompress(compress(content, model, streams=streams), model) == content


@pytest.mark.parametrize("backends", [("c",), ("torch",), ()])
def test_a_reader_multiplies_as_the_writer_did(model, backends):
    with only_backends(*backends):
        packed = compress(CONTENT, model, Dynamic("sgd", 0.1), streams=2)
    assert decompress(packed, model) == CONTENT
    with only_backends("torch"):
        assert decompress(packed, model) == CONTENT


def test_the_backend_is_missed_before_any_work(model, archives, monkeypatch):
    header, coded = read_header(compress(CONTENT, model, whole=False))
    monkeypatch.setattr("graves_nb.compression._drive", None)
    for made_with in (dict(backend="gpu"), dict(probe="0" * 16), dict(torch="0.1"), dict(later="yes")):
        with pytest.raises(CompressedFileError, match="sums|backend 'gpu'"):
            decompress(pack_file(header | dict(made_with=header["made_with"] | made_with), coded), model)


def test_the_digest_of_weights_is_that_of_the_first_archives(model):
    from graves_nb.compression import model_digest

    assert model_digest(load_model("wiki")) == "fcae5966d540ae14"


def test_a_target_that_cannot_be(tmp_path):
    for path, error in ((tmp_path, FileExistsError), (tmp_path / "no" / "x", FileNotFoundError)):
        with pytest.raises(error, match=str(path.name)):
            check_target(path, new=True)
    assert check_target(tmp_path / "x") == tmp_path / "x"


def test_headers_are_json_with_the_length_that_was_used(archives):
    assert read_header(archives[1])[0]["length"] == LENGTH
    assert json.loads(json.dumps(read_header(archives[1])[0]))["dynamic"]["learning_rate"] == 0.1
    assert np.isfinite(LEAST_BITS)


def test_any_machine_opens_what_whole_numbers_made(model, archives, monkeypatch):
    assert read_header(archives[0])[0]["numbers"] and "made_with" not in read_header(archives[0])[0]
    wiki, text = load_model("wiki"), (b"The whole numbers are those that any machine adds up alike. " * 9)[:500]
    packed = compress(text, wiki, streams=3)
    for threads in (1, 2, 4):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert compress(text, wiki, streams=3) == packed and decompress(packed, wiki) == text
    monkeypatch.setattr("graves_nb.native.library", lambda: None)
    assert compress(text, wiki, streams=3) == packed and decompress(packed, wiki) == text
    assert len(packed) < 1.01 * len(compress(text, wiki, streams=3, whole=False)) + 8


def test_files_of_the_older_way_still_open(model):
    packed = compress(CONTENT, model, streams=2, whole=False)
    assert set(read_header(packed)[0]) == {"size", "sha256", "streams", "length", "dynamic", "model", "made_with"}
    assert decompress(packed, model) == CONTENT


def test_weights_too_large_for_whole_numbers_are_read_in_floating_point(model):
    large = TextModel(PredictionNetwork(model.network.config), ALL_BYTES)
    with torch.no_grad():
        large.network.output.weight.fill_(1e4)
    packed = compress(b"a" * 2000, large)
    assert "numbers" not in read_header(packed)[0] and decompress(packed, large) == b"a" * 2000


def compressed_in_a_child(pipe, data, model):
    pipe.send(compress(data, model))


def test_a_forked_process_compresses_too():
    model, data = load_model("wiki"), b"once more unto the breach " * 4
    whole = compress(data, model)
    torch.rand(1000, 1000).abs().sum()  # by the threads of torch's that a fork loses
    here, there = get_context("fork").Pipe(duplex=False)
    child = get_context("fork").Process(
        target=compressed_in_a_child, args=(there, data, load_model("wiki")), daemon=True
    )
    child.start()
    assert here.poll(60) and here.recv() == whole
    child.join()
