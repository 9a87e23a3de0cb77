"""Damaged, forged and absurd inputs for everything that reads: each is refused in one sentence, or read; nothing else.

PYTHONPATH=. python tests/fuzz.py --inputs 100000 --seed 1
PYTHONPATH=. python tests/fuzz.py --only inkml:1234 --seed 1      # one input again, with its traceback
"""

import argparse
import ctypes
import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch

os.environ["TQDM_DISABLE"] = "1"

SECONDS = 2  # of the processor, for one input
PATIENCE = 60  # seconds by the clock, after which a worker that says nothing is ended
GROWTH = 300 << 20  # bytes by which the process may grow while it reads one input
ROOM = 4 << 30  # bytes of addresses beyond those in use at the start
OUTCOMES = ("refused", "accepted", "wrong error", "hang", "memory", "crash")
BAD = OUTCOMES[2:]


class Family(NamedTuple):
    "Inputs of one kind."

    name: str
    share: int  # of all inputs, beside the other families'
    errors: tuple[type[Exception], ...]  # what may be raised
    make: Callable  # of a source of chance and a folder: a function without arguments, which reads the input


FAMILIES: dict[str, Family] = {}


def family(share: int, *errors: type[Exception]) -> Callable:
    "A decorator: the function makes the inputs of a family that has its name."

    def decorate(make):
        name = make.__name__.replace("_", " ")
        FAMILIES[name] = Family(name, share, errors or (ValueError, OSError), make)
        return make

    return decorate


class Result(NamedTuple):
    "What became of an input."

    family: str
    number: int
    outcome: str  # one of `OUTCOMES`
    detail: str = ""  # the error
    seconds: float = 0.0
    growth: int = 0  # bytes


# ---------------------------------------------------------------- one input
class TimeIsUp(BaseException):
    "An input took too long."


def stop(*_) -> None:
    raise TimeIsUp


def memory(what: str) -> int:
    "Bytes that this process has, VmRSS, or had at most, VmHWM."
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0]) << 10


def forget_peak() -> None:
    "Let VmHWM begin anew."
    Path("/proc/self/clear_refs").write_text("5")


def ran_out(error: BaseException | None) -> bool:
    "Whether an error, or what it comes from, is that there was no memory."
    while error is not None:
        if isinstance(error, MemoryError) or "allocate" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def judge(family: Family, read: Callable) -> tuple[str, BaseException | None]:
    "The outcome of reading, and the error."
    try:
        read()
    except TimeIsUp as error:
        return "hang", error
    except BaseException as error:
        clean = isinstance(error, family.errors) and not ran_out(error)
        return "refused" if clean else "memory" if ran_out(error) else "wrong error", error
    return "accepted", None


def attempt(family: Family, seed: int, number: int, folder: Path) -> tuple[Result, BaseException | None]:
    "Make an input, and read it within its limits."
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    begun = time.process_time()
    try:
        read = family.make(Random(f"{seed} {family.name} {number}"), folder)
    except Exception as error:  # a fault of the campaign: said with its number, and the rest goes on
        return Result(family.name, number, "crash", f"cannot be made: {type(error).__name__}: {error}"[:300]), error
    forget_peak()
    before = memory("VmRSS")
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    outcome, error = judge(family, read)
    signal.setitimer(signal.ITIMER_PROF, 0)
    seconds, growth = time.process_time() - begun, memory("VmHWM") - before
    outcome = "memory" if growth > GROWTH else outcome
    detail = "" if error is None else f"{type(error).__name__}: {error}"[:300]
    return Result(family.name, number, outcome, detail, seconds, growth), error


# ---------------------------------------------------------------- many
def be_strict() -> None:
    "Numbers that overflow, and nobody says so, are an error; other warnings are not what is looked for."
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", RuntimeWarning)


def give_memory_back() -> None:
    "Undo what a training in the parent asked of the allocator, or an input would have the memory of the one before."
    libc = ctypes.CDLL(None)
    libc.mallopt(-4, 65_536)  # M_MMAP_MAX
    libc.mallopt(-1, 128 << 10)  # M_TRIM_THRESHOLD
    libc.malloc_trim(0)


def work(pipe, plan: Sequence[tuple[str, int]], seed: int, folder: Path) -> None:
    "Go through a plan, saying what comes next, and what became of it."
    signal.signal(signal.SIGPROF, stop)
    be_strict()
    give_memory_back()
    room = memory("VmSize") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    torch.set_num_threads(1)  # torch's own threads do not survive a fork
    for name, number in plan:
        pipe.send((name, number))
        pipe.send(attempt(FAMILIES[name], seed, number, folder)[0])
    pipe.close()


class Lane:
    "A process that works on its part of the plan, and is begun anew where an input kills it."

    def __init__(self, plan: list[tuple[str, int]], seed: int, folder: Path):
        self.plan, self.seed, self.folder, self.current = plan, seed, folder, None
        self.start()

    def start(self) -> None:
        context = get_context("fork")
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(theirs, self.plan, self.seed, self.folder), daemon=True)
        self.process.start()
        theirs.close()
        self.heard = time.monotonic()

    def listen(self) -> Result | None:
        "What the process says."
        try:
            said = self.pipe.recv()
        except EOFError:
            return self.end()
        self.heard = time.monotonic()
        if isinstance(said, Result):
            self.plan, self.current = self.plan[1:], None
            return said
        self.current = said
        return None

    def end(self) -> Result | None:
        "The process has ended, or has to: a crash, if that was within an input."
        if self.process.is_alive() and time.monotonic() - self.heard > PATIENCE:
            self.process.kill()
        self.process.join()
        self.pipe.close()
        if not self.plan:
            return None
        name, number = self.plan[0]
        self.plan = self.plan[1:]
        crash = Result(name, number, "crash", f"the process ended with {self.process.exitcode}")
        if self.plan:
            self.start()
        return crash


def plan_of(inputs: int, names: Sequence[str]) -> list[tuple[str, int]]:
    "How many inputs of each family, by their shares."
    total = sum(FAMILIES[name].share for name in names)
    return [(name, i) for name in names for i in range(max(1, round(inputs * FAMILIES[name].share / total)))]


def run(inputs: int = 10_000, seed: int = 0, names: Sequence[str] = (), workers: int | None = None) -> list[Result]:
    "Read so many inputs; what became of each."
    plan = plan_of(inputs, names or tuple(FAMILIES))
    workers = workers or len(os.sched_getaffinity(0))
    results = []
    with tempfile.TemporaryDirectory() as folder:
        lanes = [Lane(plan[i::workers], seed, Path(folder) / str(i) / "input") for i in range(workers)]
        while active := [lane for lane in lanes if lane.plan]:
            ready = wait([lane.pipe for lane in active], timeout=1)
            for lane in active:
                silent = time.monotonic() - lane.heard > PATIENCE
                if lane.pipe in ready or silent:
                    result = lane.end() if silent else lane.listen()
                    results += [result] if result is not None else []
        for lane in lanes:
            lane.process.join()
    return results


# ---------------------------------------------------------------- what became of them
def table_of(results: Sequence[Result]) -> str:
    "Outcomes by family."
    counts = defaultdict(Counter)
    for result in results:
        counts[result.family][result.outcome] += 1
    slowest = {name: max(r.seconds for r in results if r.family == name) for name in counts}
    spent = {name: sum(r.seconds for r in results if r.family == name) for name in counts}
    largest = {name: max(r.growth for r in results if r.family == name) for name in counts}
    rows = [["family", "inputs", *OUTCOMES, "seconds", "slowest", "most MB"]]
    for name, count in counts.items():
        figures = [f"{count[outcome]:,}" for outcome in OUTCOMES]
        limits = f"{spent[name]:.1f}", f"{slowest[name]:.2f}", f"{largest[name] / 2**20:.0f}"
        rows.append([name, f"{count.total():,}", *figures, *limits])
    total = Counter(result.outcome for result in results)
    rows.append(["all", f"{total.total():,}", *(f"{total[outcome]:,}" for outcome in OUTCOMES)])
    rows[-1] += [f"{sum(spent.values()):.1f}", f"{max(slowest.values()):.2f}", f"{max(largest.values()) / 2**20:.0f}"]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join([r[0].ljust(widths[0]), *map(str.rjust, r[1:], widths[1:])]) for r in rows)


def faults_of(results: Sequence[Result]) -> list[Result]:
    "What should not have happened."
    return [result for result in results if result.outcome in BAD]


def main(arguments: Sequence[str] | None = None) -> None:
    import fuzz_readers  # noqa: F401  registers the families

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000, help="of all families together")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same inputs")
    parser.add_argument("--family", action="append", help="only these", choices=sorted(FAMILIES))
    parser.add_argument("--only", metavar="FAMILY:NUMBER", help="one input, with its traceback")
    parser.add_argument("--keep", type=Path, help="with --only, the folder to make it in", default=None)
    parser.add_argument("--workers", type=int, help="processes; as many as there are processors if not given")
    given = parser.parse_args(arguments)
    if given.only:
        name, _, number = given.only.rpartition(":")
        signal.signal(signal.SIGPROF, stop)
        be_strict()
        folder = given.keep or Path(tempfile.mkdtemp())
        result, error = attempt(FAMILIES[name], given.seed, int(number), folder)
        if error is not None:
            traceback.print_exception(error)
        print(result)
        return
    begun = time.monotonic()
    results = run(given.inputs, given.seed, given.family or (), given.workers)
    for (name, detail), count in Counter((r.family, r.detail[:90]) for r in faults_of(results)).most_common(60):
        first = next(r for r in faults_of(results) if (r.family, r.detail[:90]) == (name, detail))
        print(
            f"{name}:{first.number} {first.outcome} x{count}: {detail} ({first.seconds:.1f} s, {first.growth >> 20} MB)"
        )
    print(table_of(results))
    print(f"seed {given.seed}, {time.monotonic() - begun:.0f} s")
    raise SystemExit(bool(faults_of(results)))


if __name__ == "__main__":
    import fuzz  # so that the families register with this module, not with __main__

    fuzz.main()
