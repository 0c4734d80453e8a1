"""G3: ends that leave a process the time to clean up: signals, failures, impatient users, crashed test workers."""

from __future__ import annotations

import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from .exposure import watching_exposure
from .g1_crash import TYPICAL_SECONDS
from .lab import Lab
from .owners import (
    PYTEST_OPTIONS,
    Case,
    OwnerKind,
    Phase,
    finish_case,
    split,
    start_command,
    start_owner,
    summarise_times,
)
from .suites import suite
from .tally import Tally, Trial

CLEAN_SECONDS = 5.0
INTERRUPTED = 130
NOT_READY = 3
AT_ONCE = 4
SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGHUP": signal.SIGHUP}
PHASES: tuple[Phase, ...] = ("create", "start", "wait", "test")
COMMANDS: tuple[OwnerKind, ...] = ("run", "up")

CRASHING_TESTS = """\
import os, signal
from pathlib import Path
import pytest
from envspin.run.ownership import describe_this_process
pytestmark = pytest.mark.envspin({topology!r})
@pytest.mark.parametrize("number", range(4))
def test_it(envspin_env, number):
    with Path("owners").open("a") as file:
        file.write(f"{{describe_this_process()}}\\n")
    if number == {crashing}:
        {crash}
"""
CRASHES = ("os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)", "os.abort()")

Times = dict[str, list[float]]


def try_signal(lab: Lab, trial: Trial, kind: str, times: Times) -> None:
    """Send a signal at any moment between the first word and the end."""
    chance = trial.random
    case = Case(lab, "g3", trial.index)
    phase = chance.choice(PHASES)
    pause = chance.random() * TYPICAL_SECONDS[phase]
    owner = start_owner(case, chance.choice(COMMANDS))
    try:
        owner.await_phase(phase)
        time.sleep(pause)
        if not trial.check(owner.process.poll() is None, f"it ended by itself: {owner.process.returncode}"):
            return
        began = time.monotonic()
        owner.process.send_signal(SIGNALS.get(kind, signal.SIGINT))
        if kind == "double Ctrl-C":
            time.sleep(chance.random() * 0.4)
            owner.process.send_signal(signal.SIGINT)
        code = owner.wait()
        left, seen = case.await_clean([owner.label], until=began + CLEAN_SECONDS)
        story = f"{kind} {pause:.2f} s into {phase} of {owner.kind}"
        trial.check(not left, f"{story}: after {CLEAN_SECONDS:g} s: {'; '.join(left)}")
        trial.check(code == INTERRUPTED, f"{story}: exit code {code}")
        trial.check("Traceback" not in owner.said(), f"{story}: a traceback")
        times[kind].append(seen - began)
    finally:
        finish_case(trial, case, [owner])


def try_failure(lab: Lab, trial: Trial, kind: str, times: Times) -> None:
    """Start what cannot become ready."""
    case = Case(lab, "g3", trial.index, "broken")
    owner = start_owner(case, trial.random.choice(COMMANDS))
    try:
        code = owner.wait()
        _check_end(trial, case, [owner.label], kind, times)
        trial.check(code == NOT_READY, f"{kind}: exit code {code}")
        trial.check("it is no use" in owner.said(), f"{kind}: the service's last lines are not told")
    finally:
        finish_case(trial, case, [owner])


def try_crashed_worker(lab: Lab, trial: Trial, kind: str, times: Times) -> None:
    """Run tests in two workers, one of which dies in the middle of a test."""
    chance = trial.random
    case = Case(lab, "g3", trial.index, "single")
    crash, crashing = chance.choice(CRASHES), chance.randrange(4)
    text = CRASHING_TESTS.format(topology=str(case.topology), crash=crash, crashing=crashing)
    (case.folder / "test_it.py").write_text(text)
    distribution = chance.choice(("load", "worksteal"))
    command = ["-P", "-m", "pytest", *PYTEST_OPTIONS, "-n", "2", "--dist", distribution, "test_it.py"]
    owner = start_command(case, "pytest", command)
    try:
        code = owner.wait()
        owners = case.folder / "owners"
        if not trial.check(owners.exists(), f"{kind}: no test began; exit code {code}"):
            return
        labels = owners.read_text().split()
        _check_end(trial, case, labels, f"{kind}, {crash}", times)
        trial.check(code == 1, f"{kind}: exit code {code}")
        trial.check("crashed" in owner.said(), f"{kind}: no worker crashed")
    finally:
        finish_case(trial, case, [owner])


def _check_end(trial: Trial, case: Case, labels: Sequence[str], kind: str, times: Times) -> None:
    """Look that nothing is left soon after the end of the process."""
    ended = time.monotonic()
    left, seen = case.await_clean(labels, until=ended + CLEAN_SECONDS)
    trial.check(not left, f"{kind}: {CLEAN_SECONDS:g} s after the end: {'; '.join(left)}")
    times[kind.partition(",")[0]].append(seen - ended)


KINDS: dict[str, Callable[[Lab, Trial, str, Times], None]] = {
    **dict.fromkeys((*SIGNALS, "double Ctrl-C"), try_signal),
    "set-up failure": try_failure,
    "crashed xdist worker": try_crashed_worker,
}


@suite("G3", "signals, failures and crashed test workers: clean in 5 s, exit code 130 for signals", full=300, part=18)
def run_graceful_ends(lab: Lab, *, count: int, seed: int) -> Tally:
    """End so many environments, in each of the six ways in turn."""
    tally, times, kinds = Tally("G3", "graceful ends", seed), defaultdict(list), list(KINDS)
    tried: Counter[str] = Counter()

    def work(trial: Trial) -> None:
        kind = kinds[trial.index % len(kinds)]
        tried[kind] += 1
        KINDS[kind](lab, trial, kind, times)

    with watching_exposure(lab, tally):
        for part in split(lab.indices(count), AT_ONCE):
            tally.run(part, work, workers=AT_ONCE)
    for kind, number in tried.items():
        tally.notes[kind] = f"{number}, clean: {summarise_times(times[kind])}"
    return tally
