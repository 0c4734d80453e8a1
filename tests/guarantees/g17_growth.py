"""G17: after many cycles the host is as it was."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from .exposure import watching_exposure
from .host import HostState
from .lab import Lab
from .owners import Case, run_envspin
from .suites import suite
from .tally import Tally, Trial

AT_ONCE = 2
WARM_UP = 2
"""Cycles after which caches, pools and the watcher of a process are there."""
ENGINE_DESCRIPTORS = 16
"""How many more files the engine may hold open: it keeps some for a while, for connections that were just closed."""
OWN_DESCRIPTORS, THREADS = 2, 0
"""How many more files and threads a process may have after its cycles than after the first few."""
MEGABYTES = 30.0
SETTLE_SECONDS = 15.0
"""How long the engine may take to close what it had open."""
CYCLE_SECONDS = 60.0

CYCLES = """\
import json, os, sys, threading
from pathlib import Path
from envspin import Environment

def measure():
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return {"descriptors": len(os.listdir("/proc/self/fd")), "threads": threading.active_count(), "memory": memory}

for number in range(int(sys.argv[3]) + int(sys.argv[4])):
    if number == int(sys.argv[3]):
        before = measure()
    name = f"{sys.argv[2]}-{number}"
    with Environment.up(sys.argv[1], name=name) as environment:
        if number % 2:
            environment.detach()
    if number % 2:
        with Environment.open(name) as environment:
            environment.close()
print(json.dumps([before, measure()]))
"""


def try_in_one_process(lab: Lab, trial: Trial, cycles: int) -> str:
    """Bring an environment up and down so often in one process; return what that cost, in words."""
    case = Case(lab, "g17", f"{trial.index}-process", "single", state=lab.state)
    try:
        words = ["-P", "-c", CYCLES, str(case.topology), case.name, str(WARM_UP), str(cycles)]
        done = subprocess.run(
            [sys.executable, *words],
            env=case.environ(),
            cwd=case.folder,
            capture_output=True,
            text=True,
            timeout=CYCLE_SECONDS * (WARM_UP + cycles),
            check=False,
        )
        if not trial.check(done.returncode == 0, f"it ended with {done.returncode}: {done.stderr[-600:]}"):
            return ""
        check_gone(trial, case)
        before, after = json.loads(done.stdout.splitlines()[-1])
        for name, most in {"descriptors": OWN_DESCRIPTORS, "threads": THREADS, "memory": MEGABYTES}.items():
            grown = after[name] - before[name]
            trial.check(grown <= most, f"{name} of one process grew from {before[name]:g} to {after[name]:g}")
        return ", ".join(f"{name} {before[name]:.0f} then {after[name]:.0f}" for name in before)
    finally:
        case.discard()


def try_command(lab: Lab, trial: Trial) -> None:
    """Bring an environment up and down by a command."""
    case = Case(lab, "g17", trial.index, "single", state=lab.state)
    try:
        done = run_envspin(case, "run", str(case.topology), "--name", case.name, "--", "true")
        trial.check(done.returncode == 0, f"it ended with {done.returncode}: {done.stderr[-400:]}")
        check_gone(trial, case)
    finally:
        case.discard()


def check_gone(trial: Trial, case: Case) -> None:
    """Look what is left before anything is tidied up: its owner has ended in good order."""
    left = case.describe_left(())
    trial.check(not left, f"left: {'; '.join(left)}")


def compare(before: HostState, lab: Lab) -> list[str]:
    """Say what is different now, after giving the engine time to close what it had open."""
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        differences = before.difference(HostState.read(lab.state), descriptors=ENGINE_DESCRIPTORS)
        if not differences or time.monotonic() > until:
            return differences
        time.sleep(0.5)


@suite("G17", "after many cycles of up and down the host is as before", full=1000, part=20)
def run_growth(lab: Lab, *, count: int, seed: int) -> Tally:
    """Do so many cycles: one half in one process, the other by commands."""
    tally = Tally("G17", "no growth", seed)
    cycles = max(1, count // 2)
    with watching_exposure(lab, tally):
        tally.run(range(-AT_ONCE, 0), lambda trial: try_command(lab, trial), workers=AT_ONCE)
        before = HostState.read(lab.state)
        costs: list[str] = []
        tally.run([0], lambda trial: costs.append(try_in_one_process(lab, trial, cycles)))
        tally.tried += cycles - 1
        tally.run(range(1, count - cycles + 1), lambda trial: try_command(lab, trial), workers=AT_ONCE)
        for difference in compare(before, lab):
            tally.fail(f"after {count:,} cycles: {difference}")
    tally.notes["one process, before and after its cycles"] = costs[0] if costs else ""
    return tally
