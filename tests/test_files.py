"""Files that are written whole, or not at all."""

import os
import threading

import pytest

from graves_nb.files import replacing


def test_a_link_goes_on_leading_to_the_file(tmp_path):
    (tmp_path / "kept").mkdir()
    target, link = tmp_path / "kept" / "a.txt", tmp_path / "b.txt"
    target.write_text("old")
    link.symlink_to(target)
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink() and target.read_text() == "new"
    assert os.listdir(tmp_path / "kept") == ["a.txt"] and sorted(os.listdir(tmp_path)) == ["b.txt", "kept"]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(OSError, match="cannot write .*nowhere/a.txt"), replacing(tmp_path / "nowhere" / "a.txt"):
        pass


def test_a_pipe_stays_a_pipe_and_its_reader_gets_what_is_written(tmp_path):
    path, heard = tmp_path / "line.svg", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: heard.append(path.read_bytes()))
    reader.start()
    with replacing(path) as file:
        file.write(b"ink")
    reader.join(10)
    assert heard == [b"ink"] and path.is_fifo()
