"""Many cases in several processes, each with a limit of memory and a guard against hanging."""

from __future__ import annotations

import faulthandler
import multiprocessing
import multiprocessing.connection
import os
import resource
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .check import examine
from .generators import generator_of, make_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from .cases import Case
    from .check import Outcome

CHUNK = 200
MIB = 1024 * 1024
MAX_ADDRESS_SPACE = 1536 * MIB
MAX_GROWTH = 100 * MIB
MAX_SECONDS = 1.0
HANG_SECONDS = 10.0
KILL_SECONDS = 60.0
"""After so much time by the clock a worker is given up: something that no signal interrupts holds it."""
MAX_ATTEMPTS = 150


@dataclass(slots=True)
class Finding:
    """Something that must not be: which case shows it first, and what it is."""

    kind: str
    index: int
    detail: str
    count: int = 1


@dataclass(slots=True)
class Tally:
    """What many cases came to."""

    cases: Counter[str] = field(default_factory=Counter)
    loaded: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    findings: dict[str, Finding] = field(default_factory=dict)
    slowest: tuple[float, int] = (0.0, -1)
    largest: tuple[int, int] = (0, -1)
    """The largest growth of a process by a file that is refused, in bytes."""
    largest_loaded: tuple[int, int] = (0, -1)

    def add(self, index: int, outcome: Outcome) -> None:
        """Count one case."""
        name = generator_of(index).__name__
        self.cases[name] += 1
        self.loaded[name] += outcome.loaded
        self.codes.update(outcome.codes)
        self.slowest = max(self.slowest, (outcome.seconds, index))
        if outcome.loaded:
            self.largest_loaded = max(self.largest_loaded, (outcome.growth, index))
        else:
            self.largest = max(self.largest, (outcome.growth, index))
        for kind, detail in outcome.findings.items():
            self.add_finding(Finding(kind, index, detail))

    def add_finding(self, finding: Finding) -> None:
        """Keep the first case of each kind."""
        known = self.findings.get(finding.kind)
        if known is None:
            self.findings[finding.kind] = replace(finding)
        else:
            known.count += finding.count

    def merge(self, other: Tally) -> None:
        """Add what another process found."""
        self.cases += other.cases
        self.loaded += other.loaded
        self.codes += other.codes
        self.slowest = max(self.slowest, other.slowest)
        self.largest = max(self.largest, other.largest)
        self.largest_loaded = max(self.largest_loaded, other.largest_loaded)
        for finding in other.findings.values():
            self.add_finding(finding)


def judge(case: Case, folder: Path) -> Outcome:
    """Examine a case, and count it as a finding if it takes too much time or memory, twice in a row."""
    outcome = examine(case, folder, hang_seconds=HANG_SECONDS)
    if outcome.seconds > MAX_SECONDS or (outcome.growth > MAX_GROWTH and not outcome.loaded):
        again = examine(case, folder, hang_seconds=HANG_SECONDS)
        seconds, growth = min(outcome.seconds, again.seconds), min(outcome.growth, again.growth)
        if seconds > MAX_SECONDS:
            outcome.findings["load: slow"] = f"{seconds:.2f} s of processor time"
        if growth > MAX_GROWTH and not outcome.loaded:
            outcome.findings["load: large"] = f"{growth // MIB} MiB for a file that is refused"
    return outcome


def run_many(seed: int, count: int, jobs: int, on_progress: Callable[[int, Tally], None]) -> Tally:
    """Run the cases from 0 up to ``count`` in ``jobs`` processes; ``on_progress`` hears how many are done."""
    total = Tally()
    starts = iter(range(0, count, CHUNK))
    context = multiprocessing.get_context("fork")
    workers: dict[Connection, _Worker] = {}
    for _ in range(jobs):
        worker = _Worker(context, seed)
        workers[worker.pipe] = worker
        _give(worker, starts, count)
    done = 0
    while any(worker.busy for worker in workers.values()):
        for pipe in multiprocessing.connection.wait([pipe for pipe, worker in workers.items() if worker.busy]):
            worker = workers.pop(pipe)
            done += len(worker.busy)
            worker = _collect(context, worker, seed, total)
            workers[worker.pipe] = worker
            _give(worker, starts, count)
            on_progress(done, total)
    for worker in workers.values():
        worker.stop()
    return total


def _give(worker: _Worker, starts: Iterator[int], count: int) -> None:
    start = next(starts, None)
    worker.give(range(0) if start is None else range(start, min(start + CHUNK, count)))


def _collect(context: multiprocessing.context.ForkContext, worker: _Worker, seed: int, total: Tally) -> _Worker:
    """Take a worker's tally; one that died leaves a finding, and a new one takes its place."""
    try:
        total.merge(worker.pipe.recv())
    except EOFError:
        worker.process.join()
        index = worker.last.value
        detail = f"the process ended with {worker.process.exitcode} at case {index}"
        total.add_finding(Finding("worker: died", index, detail))
        worker.stop()
        return _Worker(context, seed)
    return worker


class _Worker:
    """A process that runs the ranges that it is given."""

    def __init__(self, context: multiprocessing.context.ForkContext, seed: int) -> None:
        self.pipe, theirs = context.Pipe()
        self.last = context.Value("q", -1, lock=False)
        self.busy = range(0)
        self.folder = Path(tempfile.mkdtemp(prefix="envspin-fuzz-"))
        self.process = context.Process(target=_work, args=(seed, theirs, self.folder, self.last), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, indices: range) -> None:
        """Hand out the next cases; an empty range leaves the worker idle."""
        self.busy = indices
        if indices:
            self.pipe.send(indices)

    def stop(self) -> None:
        """End the process and remove its folder."""
        if self.process.is_alive():
            self.pipe.send(range(0))
        self.process.join()
        self.pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _work(seed: int, pipe: Connection, folder: Path, last: object) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    os.chdir(folder)
    while indices := pipe.recv():
        tally = Tally()
        for index in indices:
            last.value = index  # type: ignore[attr-defined]
            faulthandler.dump_traceback_later(KILL_SECONDS, exit=True)
            tally.add(index, judge(make_case(seed, index), folder))
        faulthandler.cancel_dump_traceback_later()
        pipe.send(tally)


def minimise(case: Case, kind: str, folder: Path) -> Case:
    """Return a case with as few lines as possible that shows the same kind of finding."""
    attempts = 0
    for name in case.files:
        size = max(1, len(case.files[name].splitlines()) // 2)
        while size and attempts < MAX_ATTEMPTS:
            lines = case.files[name].splitlines(keepends=True)
            at = 0
            while at < len(lines) and attempts < MAX_ATTEMPTS:
                attempts += 1
                fewer = lines[:at] + lines[at + size :]
                smaller = replace(case, files={**case.files, name: b"".join(fewer)})
                if kind in judge(smaller, folder).findings:
                    case, lines = smaller, fewer
                else:
                    at += size
            size //= 2
    return case
