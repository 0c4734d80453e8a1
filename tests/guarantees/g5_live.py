"""G5: whoever lives is left alone: stopped owners, clocks that jump, reused process ids, machines that are busy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from envspin.engine.base import VolumeSpec
from envspin.run import naming
from envspin.run.clock import read_clock
from envspin.run.janitor import find_reason, group_by_run
from envspin.run.ownership import Liveness, judge
from envspin.run.ownership import Owner as Process

from .exposure import watching_exposure
from .lab import CLEAN_SECONDS, Lab
from .owners import Case, Owner, OwnerKind, Phase, finish_case, run_envspin, split, start_owner
from .suites import suite
from .tally import Tally, Trial

AT_ONCE = 4
KINDS = ("stopped", "clock", "reused pid", "busy")
PHASES: tuple[Phase, ...] = ("create", "start", "wait", "test")
KEEPERS: tuple[OwnerKind, ...] = ("run", "script", "pytest")
"""Owners that end by themselves, and well."""
DAY = 86400.0
FULL = 60
LONG_STOPS = 3
"""How many of a full run's stopped owners are stopped for as long as is promised."""
LONGEST_HOLD = 900.0
"""Seconds after which an owner would end its environment although it was not released."""
STOP_SECONDS = {"long": 300.0, "full": 15.0, "part": 3.0}

ANOTHER_CLOCK = """\
import time
_real = time.time
time.time = lambda: _real() + {jump}
"""
"""A ``sitecustomize``: to the process that imports it, and to nobody else, the wall clock has jumped."""


class Sweepers:
    """Other starts of envspin, which remove what they believe to be dead."""

    def __init__(self, lab: Lab, index: int) -> None:
        self.case = Case(lab, "g5", f"{index}-other", "single")

    def sweep(self, trial: Trial, *, by: str, jump: float = 0.0) -> None:
        """Let one sweep, by ``envspin gc`` or by a whole ``envspin run``, with its clock so many seconds off."""
        extra = {}
        if jump:
            (self.case.folder / "sitecustomize.py").write_text(ANOTHER_CLOCK.format(jump=jump))
            extra["PYTHONPATH"] = str(self.case.folder)
        topology = str(self.case.topology)
        words = ["gc"] if by == "gc" else ["run", topology, "--name", self.case.name, "--", "true"]
        done = run_envspin(self.case, *words, **extra)
        trial.check(done.returncode == 0, f"envspin {by} ended with {done.returncode}: {done.stderr[-400:]}")


def try_stopped(lab: Lab, trial: Trial, sweepers: Sweepers, size: str) -> None:
    """Stop an owner anywhere, sweep meanwhile, and let it go on."""
    chance = trial.random
    phase = chance.choice(PHASES)
    with _owner(lab, trial) as owner:
        passed_by = owner.await_phase(phase) or owner.process.poll() is None  # it may have gone on between two looks
        trial.check(passed_by, f"it did not reach {phase}")
        time.sleep(chance.random() * 0.3)
        if not trial.check(owner.process.poll() is None, "it had ended already"):
            return
        whole = chance.random() < 0.5
        _signal(owner, signal.SIGSTOP, whole=whole)
        stopped = time.monotonic()
        _let_settle(owner)
        before = _list_ids(owner.case)
        while True:
            sweepers.sweep(trial, by=chance.choice(("gc", "run")))
            passed = time.monotonic() - stopped
            if passed > STOP_SECONDS[size]:
                break
            time.sleep(min(20.0, STOP_SECONDS[size] - passed))
        lost = before - _list_ids(owner.case)
        _signal(owner, signal.SIGCONT, whole=whole)
        trial.check(not lost, f"stopped for {passed:.0f} s in {phase}, it lost {sorted(lost)}")
        _check_good_end(trial, owner, f"stopped for {passed:.0f} s in {phase}")


def try_clock(lab: Lab, trial: Trial, sweepers: Sweepers, _size: str) -> None:
    """Sweep with a clock that is days off, while an owner lives, or a lease runs."""
    chance = trial.random
    jump, leased = chance.choice((DAY, -DAY, 30 * DAY)), chance.random() < 0.5
    with _owner(lab, trial) if not leased else _leased(lab, trial) as owner:
        trial.check(leased or owner.await_phase("test"), "it did not come up")
        before = _list_ids(owner.case)
        clock = read_clock()
        jumped = replace(clock, now=clock.now + jump)
        reasons = {
            key: find_reason(found, jumped, lambda label: judge(label, engine_is_local=True))
            for key, found in group_by_run(owner.case.list_objects()).items()
        }
        doomed = [key for key, reason in reasons.items() if reason is not None]
        who = "running lease" if leased else "living owner"
        trial.check(not doomed, f"{jump:+.0f} s off, a {who}'s was found doomed: {sorted(doomed)}")
        sweepers.sweep(trial, by=chance.choice(("gc", "run")), jump=jump)
        lost = before - _list_ids(owner.case)
        trial.check(
            before and not lost, f"a sweep {jump:+.0f} s off removed {sorted(lost)} of a {who}, of {len(before)}"
        )
        if leased:
            removed = run_envspin(owner.case, "down", owner.case.name)
            trial.check(removed.returncode == 0, f"envspin down ended with {removed.returncode}: {removed.stderr}")
        _check_good_end(trial, owner, f"a clock {jump:+.0f} s off")


def try_reused(lab: Lab, trial: Trial, sweepers: Sweepers, _size: str) -> None:
    """Put an object of a dead owner beside a living one with the same process id, and sweep."""
    chance = trial.random
    with _owner(lab, trial) as owner:
        trial.check(owner.await_phase("test"), "it did not come up")
        before = _list_ids(owner.case)
        living = Process.parse(owner.label)
        assert living is not None
        start = str(int(living.start) + chance.choice((-1, 1)) * chance.randint(1, 10**6))
        dead = str(Process(living.host, living.boot, living.pid_space, living.pid, start))
        trial.check(judge(owner.label, engine_is_local=True) is Liveness.ALIVE, "the living one is judged dead")
        trial.check(judge(dead, engine_is_local=True) is Liveness.DEAD, f"{dead} is judged alive")
        crafted = _craft(lab, owner.case, dead)
        sweepers.sweep(trial, by=chance.choice(("gc", "run")))
        now = _list_ids(owner.case)
        trial.check(crafted not in now, "what a dead owner left stays, for its process id lives")
        trial.check(not before - now, f"a reused process id cost {sorted(before - now)}")
        _check_good_end(trial, owner, "a reused process id")


def _craft(lab: Lab, case: Case, owner: str) -> str:
    labels = {
        naming.ENV: f"{case.name}-earlier",
        naming.TOPOLOGY: case.name,
        naming.RUN: "f" * 32,
        naming.OWNER: owner,
        naming.EXPIRES: str(round(time.time() + DAY)),
    }
    return lab.engine.create_volume(VolumeSpec(f"envspin-{case.name}-earlier-data", labels))


def try_busy(lab: Lab, trial: Trial, sweepers: Sweepers, _size: str) -> None:
    """Keep every core busy while an owner starts, and sweep."""
    chance = trial.random
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            burning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(burning.wait)
            stack.callback(burning.kill)
        with _owner(lab, trial) as owner:
            trial.check(owner.await_phase(chance.choice(PHASES)) or owner.phase() == "test", "it did not come up")
            before = _list_ids(owner.case)
            sweepers.sweep(trial, by="gc")
            lost = before - _list_ids(owner.case)
            trial.check(not lost, f"on a busy machine it lost {sorted(lost)}")
            _check_good_end(trial, owner, "a busy machine")


@contextmanager
def _owner(lab: Lab, trial: Trial) -> Iterator[Owner]:
    case = Case(lab, "g5", trial.index)
    owner = start_owner(case, trial.random.choice(KEEPERS), held=LONGEST_HOLD)
    try:
        yield owner
    finally:
        _signal(owner, signal.SIGCONT, whole=True)
        finish_case(trial, case, [owner])


@contextmanager
def _leased(lab: Lab, trial: Trial) -> Iterator[Owner]:
    """Give an environment that was left running, whose maker has ended."""
    case = Case(lab, "g5", trial.index)
    owner = start_owner(case, "up", options=("--detach", "--ttl", "1h"))
    try:
        owner.wait()
        yield owner
    finally:
        finish_case(trial, case, [owner])


def _signal(owner: Owner, number: signal.Signals, *, whole: bool) -> None:
    if owner.process.poll() is None:
        (os.killpg if whole else os.kill)(owner.process.pid, number)


def _let_settle(owner: Owner) -> None:
    """Wait until the engine has done what the owner had asked for before it was stopped."""
    known = _list_ids(owner.case)
    while True:
        time.sleep(0.7)
        now = _list_ids(owner.case)
        if now == known:
            return
        known = now


def _list_ids(case: Case) -> set[str]:
    return {each.id for each in case.list_objects()}


def _check_good_end(trial: Trial, owner: Owner, story: str) -> None:
    owner.release()
    code = owner.wait()
    ended = time.monotonic()
    trial.check(code == 0, f"{story}: its owner ended with {code}")
    trial.check("engine-lost" not in owner.said(), f"{story}: the engine was told as lost")
    left, _ = owner.case.await_clean([owner.label], until=ended + CLEAN_SECONDS)
    trial.check(not left, f"{story}: after its end there is {'; '.join(left)}")


TRIES: dict[str, Callable[[Lab, Trial, Sweepers, str], None]] = {
    "stopped": try_stopped,
    "clock": try_clock,
    "reused pid": try_reused,
    "busy": try_busy,
}


@suite(
    "G5", "living owners keep everything: stopped, with clocks a day off, reused pids, busy cores", full=FULL, part=8
)
def run_live(lab: Lab, *, count: int, seed: int) -> Tally:
    """Try to have so many living owners mistaken for dead ones, in each way in turn."""
    tally, tried = Tally("G5", "never live", seed), Counter[str]()

    def work(trial: Trial) -> None:
        kind = KINDS[trial.index % len(KINDS)]
        tried[kind] += 1
        size = "part" if count < FULL else "long" if trial.index < LONG_STOPS * len(KINDS) else "full"
        sweepers = Sweepers(lab, trial.index)
        try:
            TRIES[kind](lab, trial, sweepers, size)
        finally:
            sweepers.case.discard()

    with watching_exposure(lab, tally):
        for part in split(lab.indices(count), AT_ONCE):
            tally.run(part, work, workers=AT_ONCE)
    tally.notes["tried"] = ", ".join(f"{kind} {number}" for kind, number in tried.items())
    tally.notes["longest stop"] = f"{STOP_SECONDS['part' if count < FULL else 'long']:g} s"
    return tally
