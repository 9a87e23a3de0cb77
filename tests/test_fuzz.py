"""Ten thousand damaged inputs for every reader; long commands killed; the machinery that finds out."""

import os
import time

import fuzz
import fuzz_readers  # noqa: F401  registers the families
import numpy as np
import pytest
from kills import COMMANDS, kill_often


def test_every_reader_refuses_or_reads_whatever_it_is_given():
    results = fuzz.run(10_000, seed=0)
    print(fuzz.table_of(results))
    assert len(results) == len(fuzz.plan_of(10_000, tuple(fuzz.FAMILIES)))
    assert fuzz.faults_of(results) == []
    refused, accepted = ({r.family for r in results if r.outcome == outcome} for outcome in ("refused", "accepted"))
    assert refused | accepted == set(fuzz.FAMILIES) and len(accepted) > len(fuzz.FAMILIES) // 2


def wait_forever():
    while True:
        pass


def fill_memory():
    return np.ones(60_000_000)


def take_more_than_there_is():
    return np.zeros(1 << 50, np.uint8)


def overflow():
    return np.float32([1e38]) * 100


def refuse():
    raise ValueError("no")


READERS = {
    "accepted": time.time,
    "refused": refuse,
    "wrong error": lambda: {}["x"],
    "hang": wait_forever,
    "memory": fill_memory,
    "crash": os.abort,
}


@pytest.mark.parametrize("outcome", READERS)
def test_every_outcome_is_told_from_the_others(outcome, monkeypatch):
    monkeypatch.setattr(fuzz, "FAMILIES", {})
    fuzz.family(1, ValueError)(lambda chance, folder: READERS[outcome])
    results = fuzz.run(2, workers=1)
    assert [r.outcome for r in results] == [outcome] * 2
    assert len(fuzz.faults_of(results)) == 2 * (outcome in fuzz.BAD)


@pytest.mark.parametrize("read", [overflow, take_more_than_there_is])
def test_silent_overflows_and_absurd_requests_are_faults(read, monkeypatch):
    monkeypatch.setattr(fuzz, "FAMILIES", {})
    fuzz.family(1, ValueError)(lambda chance, folder: read)
    assert len(fuzz.faults_of(fuzz.run(1, workers=1))) == 1


def test_the_same_seed_makes_the_same_inputs(monkeypatch):
    monkeypatch.setattr(fuzz, "FAMILIES", {})

    @fuzz.family(1, ValueError)
    def numbers(chance, folder):
        number = chance.random()

        def read():
            raise ValueError(number)

        return read

    first, again, other = (sorted(r.detail for r in fuzz.run(5, seed, workers=2)) for seed in (1, 1, 2))
    assert first == again != other and len(set(first)) == 5


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_was_killed_ends_as_if_it_had_not_been(name):
    kill_often(name, 2)
