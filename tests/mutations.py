"""Ways to spoil a document, each chosen by chance: bytes, values of JSON, and what functions are called with."""

import copy
import json
from random import Random

import numpy as np
import torch

TOKENS = tuple(
    token.encode() if isinstance(token, str) else token
    for token in (
        "NaN",
        "-Infinity",
        "1e309",
        "-1e309",
        "1e38",
        "9" * 400,
        "-1",
        "0",
        "99999999999999999999",
        "1e-320",
        "\x00",
        "\x1b[31m",
        "\u202e",
        "\ufeff",
        "\u0300" * 50,
        "\U0010ffff",
        "\r",
        "\n" * 20,
        "\t",
        " " * 300,
        '"',
        "'",
        "<",
        ">",
        "&",
        "&x;",
        "&#0;",
        "]]>",
        "<!--",
        "[" * 2000,
        "{" * 2000,
        "(" * 500,
        "\\",
        "%s%n",
        "../../x",
        "/etc/passwd",
        '<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;">]>',
        '<!ENTITY x SYSTEM "file:///etc/passwd">',
        "<a>" * 300,
        '<?xml version="1.0" encoding="none"?>',
        '<?xml version="1.0" encoding="UTF-16"?>',
        "null",
        "true",
        "[]",
        "{}",
        b"\xff\xfe",
        b"\xfe\xff",
        b"\x00\x00\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xff" * 8,
        b"\x00" * 64,
        b"\xff\xff\xff\x7f",
        b"PK\x03\x04",
        b"\x1f\x8b\x08",
        b"%PDF",
        b"\x89PNG",
        b"graves1\n",
    )
)

DIGITS = frozenset(b"0123456789.-+eE")

VALUES = (
    None,
    True,
    False,
    "",
    "x",
    "NaN",
    "\x00",
    [],
    [1],
    [[]],
    {},
    {"a": 1},
    {"a": {"b": [None]}},
    0,
    -1,
    1,
    2,
    1.5,
    -0.0,
    10**30,
    -(10**30),
    2**31,
    2**63,
    2**64,
    8000,
    10**7,
    1e308,
    5e-324,
    float("nan"),
    float("inf"),
    -float("inf"),
    "é" * 50,
)


def flip(data: bytes, chance: Random) -> bytes:
    "Some bits the other way."
    spoilt = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        if spoilt:
            spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def piece_of(data: bytes, chance: Random) -> tuple[int, int]:
    "Two places, the second not before the first."
    first, last = sorted(chance.randint(0, len(data)) for _ in range(2))
    return first, last


def truncate(data: bytes, chance: Random) -> bytes:
    return data[: chance.randint(0, len(data))]


def remove(data: bytes, chance: Random) -> bytes:
    first, last = piece_of(data, chance)
    return data[:first] + data[last:]


def duplicate(data: bytes, chance: Random) -> bytes:
    first, last = piece_of(data, chance)
    return data[:last] + data[first:last] * chance.choice((1, 1, 2, 5)) + data[last:]


def move(data: bytes, chance: Random) -> bytes:
    "A piece at another place."
    first, last = piece_of(data, chance)
    rest = data[:first] + data[last:]
    at = chance.randint(0, len(rest))
    return rest[:at] + data[first:last] + rest[at:]


def insert(data: bytes, chance: Random) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.choice(TOKENS) + data[at:]


def overwrite(data: bytes, chance: Random) -> bytes:
    at, token = chance.randint(0, len(data)), chance.choice(TOKENS)
    return data[:at] + token + data[at + len(token) :]


def replace_number(data: bytes, chance: Random) -> bytes:
    "Another number, or none, where one stands."
    start = chance.randint(0, len(data))
    at = next((i for i in range(start, min(len(data), start + 500)) if data[i] in b"0123456789"), None)
    if at is None:
        return insert(data, chance)
    end = next((i for i in range(at, len(data)) if data[i] not in DIGITS), len(data))
    return data[:at] + chance.choice(TOKENS[:10]) + data[end:]


MUTATIONS = (flip, truncate, remove, duplicate, move, insert, overwrite, replace_number)


def spoil(data: bytes, chance: Random, *others: bytes) -> bytes:
    "Bytes after one to three mutations, sometimes with the end of another document."
    if others and chance.random() < 0.1:
        other = chance.choice(others)
        data = data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        data = chance.choice(MUTATIONS)(data, chance)
    return data[: 1 << 20]


def places_in(document, path: tuple = ()) -> list[tuple]:
    "The paths of all values in a document of dicts and lists."
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path, *(place for key, value in inner for place in places_in(value, (*path, key)))]


def swap(document, chance: Random):
    "A document with one or two values replaced, taken out, or added."
    document = json.loads(json.dumps(document))
    for _ in range(chance.choice((1, 1, 1, 2))):
        path = chance.choice(places_in(document))
        if not path:
            if chance.random() < 0.2:
                return copy.deepcopy(chance.choice(VALUES))
            continue
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        match chance.randrange(6):
            case 0:
                del holder[path[-1]]
            case 1 if isinstance(holder, dict):
                holder[chance.choice(("x", "n_layers", "hidden_size", "points_per_char"))] = copy.deepcopy(
                    chance.choice(VALUES)
                )
            case 2 if isinstance(holder, list):
                holder *= chance.choice((0, 2, 3))
            case _:
                holder[path[-1]] = copy.deepcopy(chance.choice(VALUES))
    return document


class Nothing:
    "An object that is of no use to anybody."


def odd_values() -> tuple:
    "What a function may be called with by mistake."
    bad = float("nan")
    arrays = (
        np.array([bad]),
        np.zeros((0, 2)),
        np.zeros((3, 0)),
        np.full((3, 2), bad),
        np.full((3, 2), 1e38),
        np.zeros((2, 2, 2)),
        np.array("x"),
        np.array([None]),
        np.zeros(2, complex),
        np.float32(bad),
        np.int64(3),
        np.arange(6).reshape(3, 2),
    )
    tensors = (torch.tensor(bad), torch.zeros(0), torch.tensor([[1.0, 2.0]]), torch.tensor(3))
    others = (b"x", (), (1,), (bad, bad), (1, -1), [[1, 2], [3]], [[[0, 0], [1e30, 1]]], ["a", None], {1, 2}, range(3))
    return (*VALUES, *arrays, *tensors, *others, Nothing(), "a\x00b", "😀" * 3, "a" * 10_000, 1e9, 1e-9, -5, 100, 3.0)


ODD = odd_values()
