"""What several tests share: small data that they make themselves, and a browser."""

import numpy as np
import pytest
from browser import chromium


def trace_of(text, size):
    "A pen's path that looks like writing: a loop for each letter, nothing for a space; y grows upwards."
    t = np.linspace(0, 2 * np.pi, 24)
    strokes = []
    for place, c in enumerate(text):
        if c != " ":
            height = 0.5 + 0.4 * (ord(c) % 3)
            x = place + 0.4 + t / 9 - 0.35 * np.cos(t)
            strokes.append(np.column_stack([x, height * np.sin(t)]) * size)
    return strokes


def write_unipen(root, writers=30, lines=("one two", "three", "a few words"), words=("one", "words")):
    "A folder in the layout of UNIPEN: ink in include/, labelled pieces of it in data/."
    for writer in range(writers):
        ink, pieces, place = [".VERSION 1.0", ".COORD X Y", f".WRITER_ID made{writer}"], {"8": [], "7": []}, 0
        for level, texts in (("8", lines), ("7", words)):
            for text in texts:
                strokes = trace_of(text, 40 + writer)
                for stroke in strokes:
                    ink += [".PEN_DOWN", *(f"{x:.0f} {y:.0f}" for x, y in stroke), ".PEN_UP"]
                pieces[level].append((place, place + len(strokes) - 1, text))
                place += len(strokes)  # the empty blocks between strokes do not count
        path = root / "include" / "mad" / "data" / f"made{writer}.dat"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(ink) + "\n")
        for level, kind in (("8", "TEXT"), ("7", "WORD")):
            index = root / "data" / level / "mad" / f"made{writer}.dat"
            index.parent.mkdir(parents=True, exist_ok=True)
            rows = [f'.SEGMENT {kind} {first}-{last} ? "{text}"' for first, last, text in pieces[level]]
            index.write_text("\n".join([".VERSION 1.0", f".INCLUDE mad/data/made{writer}.dat", *rows]) + "\n")
    return root


@pytest.fixture(scope="session")
def unipen_folder(tmp_path_factory):
    return write_unipen(tmp_path_factory.mktemp("unipen"))


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found
