"""The file with the compiled steps: kept while it is whole and one's own, else built anew; and threads after a fork."""

import ctypes
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys

import pytest
import torch

from graves_nb import native

COMPILER = shutil.which(os.environ.get("CC", "cc"))
pytestmark = pytest.mark.skipif(native.library() is None, reason="no C compiler: there is no file")
posix = pytest.mark.skipif(os.name != "posix", reason="files have owners and modes on POSIX systems")
FLAGS = ("-O0", "-march=native", "-fPIC")  # compiled sooner
SCRIPT = f"""
import torch
from graves_nb import native
native.FLAGS = {FLAGS}
assert native.library() and len(native.pack(torch.zeros(3, 3)))
"""


@pytest.fixture
def cache(monkeypatch, tmp_path):
    "An empty folder for libraries, of a process that has none yet."
    monkeypatch.delenv("GRAVES_NATIVE", raising=False)
    monkeypatch.setenv("GRAVES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(native, "FLAGS", FLAGS)
    native.library.cache_clear()
    yield tmp_path / "cache"
    native.library.cache_clear()


def fake(folder, source="int cell_forward(void) { return 1; }"):
    "A library of another source, under the name that ours would have."
    (folder / "fake.c").write_text(source)
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", folder / "fake.so", folder / "fake.c"], check=True)
    name = f"step-{native._key(COMPILER)}-{native._digest((folder / 'fake.so').read_bytes())}.so"
    return (folder / "fake.so").rename(folder / name)


def test_a_file_cut_short_is_built_anew_and_ends_no_process(cache):
    path = native._compile(COMPILER)
    whole = path.read_bytes()
    for length in (0, len(whole) // 2):
        path.write_bytes(whole[:length])
        subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=100)
        assert path.read_bytes() == whole
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert native._compile(COMPILER).read_bytes() == whole


def test_a_library_without_our_functions_costs_one_warning(cache, caplog):
    cache.mkdir(mode=0o700)
    fake(cache).chmod(0o755)
    with caplog.at_level(logging.WARNING):
        assert native.library() is None and native.library() is None
    assert len(caplog.records) == 1 and "cell_backward" in caplog.text


@posix
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_where_others_may_write_nothing_is_loaded_or_kept(cache, caplog, mode):
    cache.mkdir()
    planted = fake(cache)
    os.chmod(cache, mode)
    before = sorted(cache.iterdir())
    with caplog.at_level(logging.WARNING):
        assert native.library() is not None and native.library() is not None
    assert ctypes.c_long(native.call("packed_size", 0, 1, 1)).value > 0
    assert len(caplog.records) == 1 and str(cache) in caplog.text
    assert sorted(cache.iterdir()) == before and planted in before


@posix
@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_file_that_others_may_write_is_built_anew(cache, mode):
    cache.mkdir(mode=0o700)
    fake(cache).chmod(mode)
    assert native.library() is not None


@posix
def test_a_folder_or_file_of_another_user_is_not_ours(cache, monkeypatch):
    path = native._compile(COMPILER)
    assert native._is_private(path) and native._is_private(cache)
    if os.getuid() == 0:
        os.chown(path, 54321, -1)
        assert not native._is_private(path)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 54321)
        assert not native._is_private(path)


@posix
def test_what_is_built_is_nobody_elses_whatever_the_mask(cache):
    before = os.umask(0)
    try:
        path = native._compile(COMPILER)
    finally:
        os.umask(before)
    assert native._is_private(cache) and native._is_private(path)


def test_what_killed_builds_left_is_removed_once_it_is_old(cache):
    old, new = cache / "building-old", cache / "building-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "step.so").write_text("half a library")
    cache.chmod(0o700)
    os.utime(old, (1e9, 1e9))
    native._compile(COMPILER)
    assert not old.exists() and new.exists()


def test_two_processes_that_build_at_once_both_have_it(cache):
    both = [subprocess.Popen([sys.executable, "-c", SCRIPT]) for _ in range(2)]
    assert [process.wait(timeout=200) for process in both] == [0, 0]
    assert len(list(cache.iterdir())) == 1


def add_one(numbers):
    def work(first, end):
        numbers[first:end] += 1

    native.share_rows(len(numbers), work)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_process_has_threads_of_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        numbers = torch.zeros(5).share_memory_()
        add_one(numbers)
        child = multiprocessing.get_context("fork").Process(target=add_one, args=(numbers,))
        child.start()
        child.join(30)
        if child.exitcode is None:
            child.kill()
        assert child.exitcode == 0 and numbers.tolist() == [2] * 5
        add_one(numbers)
        assert numbers.tolist() == [3] * 5
    finally:
        torch.set_num_threads(before)
