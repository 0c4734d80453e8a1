"""G1 and G1b: owners that are killed at any instant, with or without their watcher."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count as count_up

from .exposure import watching_exposure
from .host import list_processes
from .lab import CLEAN_SECONDS, Lab
from .owners import (
    OWNER_KINDS,
    Case,
    Owner,
    OwnerKind,
    Phase,
    finish_case,
    run_envspin,
    start_owner,
    summarise_times,
)
from .pulling import PullRig
from .suites import suite
from .tally import Tally, Trial

AT_ONCE = 5
"""Owners that start together, and are all gone before the next ones start: a start would sweep after the others."""
PULL_EVERY = 25
PHASES: tuple[Phase, ...] = ("create", "start", "wait", "test", "teardown")
TYPICAL_SECONDS: dict[Phase, float] = {
    "begin": 0.6,
    "create": 0.4,
    "start": 0.7,
    "wait": 0.7,
    "test": 0.6,
    "teardown": 0.6,
}
"""About what each takes with this many at once; instants are chosen evenly within."""
WAYS = ("kill", "kill", "kill", "group", "hang-up")
ENDS = (0, 130)
"""How owners end that are not killed: well, or (an ``up``) by Ctrl-C."""
LATE_WATCHER_SECONDS = 100.0
"""How long a watcher may stay for a create whose answer its owner never saw."""


MOST_WAITING = 1
WAITING_SHARE = 0.002
"""How many watchers may stay for a create that their owner had sent, but the engine has not carried out."""


@dataclass
class Met:
    """What many tries met, for the notes."""

    kills: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    with_objects: int = 0
    waiting: list[tuple[str, int, float]] = field(default_factory=list)
    """Label, index and time of death of owners whose watcher was still there for an unanswered create."""
    stays: list[float] = field(default_factory=list)
    """Seconds from the death of such an owner to the end of its watcher."""
    unanswered: Counter[str] = field(default_factory=Counter)
    """What those creates were to make."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, notes: dict[str, str]) -> None:
        """Put it into words."""
        notes["kills of a living owner"] = f"{self.kills}, {self.with_objects} of them with objects on the engine"
        notes["time until nothing was left"] = summarise_times(self.seconds)
        for name, counter in {"phases hit": self.phases, "owners": self.kinds, "ways": self.ways}.items():
            notes[name] = ", ".join(f"{key} {number}" for key, number in counter.most_common())


@dataclass(frozen=True)
class Instant:
    """When to strike: so many seconds after a phase has begun."""

    phase: Phase
    seconds: float

    @classmethod
    def choose(cls, trial: Trial) -> Instant:
        """Choose anywhere in a life: in every other try evenly in time, else evenly among the phases."""
        chance = trial.random
        phases: list[Phase] = ["begin", *PHASES]
        if trial.index % 2:
            phase = chance.choices(phases, [TYPICAL_SECONDS[each] for each in phases])[0]
        else:
            phase = chance.choice(PHASES)
        return cls(phase, chance.random() * TYPICAL_SECONDS[phase])

    def await_it(self, owner: Owner) -> None:
        """Return at that instant, or when the owner has ended before."""
        if self.phase != "begin":
            if owner.kind == "up" and self.phase == "teardown" and owner.await_phase("test"):
                owner.process.send_signal(signal.SIGINT)  # it would stay up for ever
            owner.await_phase(self.phase)
        until = time.monotonic() + self.seconds
        while owner.process.poll() is None and time.monotonic() < until:
            time.sleep(min(0.02, max(0.0, until - time.monotonic())))


def strike(owner: Owner, way: str) -> None:
    """Kill it, its process group, or take its terminal away."""
    if way == "kill":
        owner.process.kill()
    elif way == "group":
        os.killpg(owner.process.pid, signal.SIGKILL)
    else:
        owner.hang_up()


def try_crash(lab: Lab, trial: Trial, met: Met, rig: PullRig) -> None:
    """Kill one owner and look until nothing of it is left."""
    chance = trial.random
    kind, way, instant = chance.choice(OWNER_KINDS), chance.choice(WAYS), Instant.choose(trial)
    if trial.index % PULL_EVERY == PULL_EVERY - 1:
        with rig.lend() as image:
            _crash(trial, Case(lab, "g1", trial.index, "pulled"), met, "run", "kill",
                   Instant("pull", chance.random()), IMAGE=image)  # fmt: skip
    else:
        _crash(trial, Case(lab, "g1", trial.index), met, kind, way, instant)


def _crash(trial: Trial, case: Case, met: Met, kind: OwnerKind, way: str, instant: Instant, **environ: str) -> None:
    owner = start_owner(case, kind, with_terminal=way == "hang-up", **environ)
    try:
        instant.await_it(owner)
        alive = owner.process.poll() is None
        with suppress(ProcessLookupError):
            strike(owner, way)
        struck = time.monotonic()
        phase = owner.phase()
        code = owner.wait()
        there = len(case.list_objects())
        left, seen = case.await_clean([owner.label], until=struck + CLEAN_SECONDS)
        story = f"{kind}, {way} {instant.seconds:.2f} s into {instant.phase}, which was {phase}"
        trial.check(alive or code in ENDS, f"{story}: it had ended before with {code}")
        with met.lock:
            met.kills += alive
            met.with_objects += alive and there > 0
            if alive:
                met.phases[phase] += 1
                met.kinds[kind] += 1
                met.ways[way] += 1
            if left and all(line.startswith("process ") and "creating\t" in line for line in left):
                met.waiting.append((owner.label, trial.index, struck))
                met.unanswered.update(find_creates(left))
                return
            if alive and not left:
                met.seconds.append(seen - struck)
        trial.check(not left, f"{story}: after {CLEAN_SECONDS:g} s: {'; '.join(left)}")
    finally:
        finish_case(trial, case, [owner] if not _is_awaited(met, owner) else [])


def find_creates(lines: Sequence[str]) -> list[str]:
    """Return the last parts of the names of what is still awaited, as the command lines of watchers tell them."""
    return [name.rpartition("-")[2] for line in lines for name in re.findall(r"creating\t\S+\t(\S+)", line)]


def _is_awaited(met: Met, owner: Owner) -> bool:
    with met.lock:
        return any(label == owner.label for label, _, _ in met.waiting)


@suite("G1", "an owner that is killed at any instant leaves nothing after 10 s", full=1000, part=48)
def run_crashes(lab: Lab, *, count: int, seed: int) -> Tally:
    """Kill so many living owners; those that had ended before do not count."""
    tally, met = Tally("G1", "crash", seed), Met()
    with PullRig(lab) as rig, watching_exposure(lab, tally):
        for batch in _batches(lab, met, count):
            tally.run(batch, lambda trial: try_crash(lab, trial, met, rig), workers=AT_ONCE)
            _await_waiting(tally, met)
    if lab.only_index is None:
        tally.check(met.kills >= count, f"only {met.kills} of {count} owners lived until they were killed")
        most = max(MOST_WAITING, count * WAITING_SHARE)
        tally.check(len(met.stays) <= most, f"{len(met.stays)} watchers stayed for a create that never came")
    if met.stays:
        creates = ", ".join(f"{name} {number}" for name, number in met.unanswered.most_common())
        stayed = f"{len(met.stays)} ({creates}); the last one left {max(met.stays):.0f} s after the kill"
        tally.notes["watchers that stayed for an unanswered create"] = stayed
    met.write(tally.notes)
    return tally


def _batches(lab: Lab, met: Met, count: int) -> Iterator[tuple[int, ...]]:
    if lab.only_index is not None:
        yield (lab.only_index,)
        return
    for first in count_up(0, AT_ONCE):
        if met.kills >= count or first > 2 * count:
            return
        yield tuple(range(first, first + min(AT_ONCE, count - met.kills)))


def _await_waiting(tally: Tally, met: Met) -> None:
    """See that the watchers leave that stayed for a create whose answer their owner never saw."""
    for label, index, struck in met.waiting:
        while list_processes(label) and time.monotonic() < struck + LATE_WATCHER_SECONDS:
            time.sleep(0.5)
        met.stays.append(time.monotonic() - struck)
        if list_processes(label):
            tally.fail(f"the watcher is still there {LATE_WATCHER_SECONDS:g} s after its owner's death", index)
    met.waiting.clear()


@contextmanager
def stopped_watchers(label: str) -> Iterator[list[int]]:
    """Hold the watchers of an owner, so that they see nothing of what happens meanwhile; then kill them."""
    held = [pid for pid, _ in list_processes(label)]
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    yield held
    while found := [pid for pid, _ in list_processes(label)]:
        for pid in found:
            os.kill(pid, signal.SIGKILL)


def try_tree_kill(lab: Lab, trial: Trial, met: Met) -> None:
    """Kill an owner together with its watcher; the next start of envspin has to clean up after them."""
    chance = trial.random
    phase: Phase = chance.choice(PHASES[:-1])
    instant = Instant(phase, chance.random() * TYPICAL_SECONDS[phase])
    state = (
        lab.folder / "g1b-state"
    )  # one for all, as people have one: the next start must find the killed one's record
    case = Case(lab, "g1b", trial.index, state=state)
    following = Case(lab, "g1b", f"{trial.index}-next", "single", state=state)
    owner = start_owner(case, chance.choice(OWNER_KINDS))
    try:
        instant.await_it(owner)
        with stopped_watchers(owner.label) as watchers:
            alive = owner.process.poll() is None
            owner.end()
        trial.check(alive or owner.process.returncode in ENDS, f"it had ended with {owner.process.returncode}")
        before = case.describe_left([owner.label])
        began = time.monotonic()
        done = run_envspin(following, "run", str(following.topology), "--name", following.name, "--", "true")
        left, seen = case.await_clean([owner.label], until=began + CLEAN_SECONDS)
        with met.lock:
            met.kills += alive
            met.with_objects += alive and bool(before)
            if alive:
                met.phases[instant.phase] += 1
                met.kinds[owner.kind] += 1
                met.ways["with its watcher" if watchers else "alone"] += 1
                met.seconds.append(seen - began)
        trial.check(done.returncode == 0, f"the next start ended with {done.returncode}: {done.stderr[-400:]}")
        trial.check(not left, f"{CLEAN_SECONDS:g} s after the next start, killed in {phase}: {'; '.join(left)}")
    finally:
        finish_case(trial, case, [owner])
        following.discard()


@suite("G1b", "owner and watcher killed together: the next start of envspin removes all within 10 s", full=100, part=12)
def run_tree_kills(lab: Lab, *, count: int, seed: int) -> Tally:
    """Kill so many owners with their watchers, some at a time."""
    tally, met = Tally("G1b", "tree kill", seed), Met()
    with watching_exposure(lab, tally):
        for batch in _batches(lab, met, count):
            tally.run(batch, lambda trial: try_tree_kill(lab, trial, met), workers=AT_ONCE)
    met.write(tally.notes)
    if lab.only_index is None:
        tally.check(met.kills >= count, f"only {met.kills} of {count} owners lived until they were killed")
        tally.check(met.with_objects > count // 2, "hardly anything was left by the killed")
    return tally
