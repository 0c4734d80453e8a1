"""Owners of environments as processes: started in every way that people start them, watched, stopped, looked after.

A :class:`Case` is one environment with a folder, a state directory and a name of its own, so that whatever is left of
it can be told from what others leave. An :class:`Owner` is the process that brings it up.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from envspin.engine.base import Resource
from envspin.errors import EngineError
from envspin.run import naming
from envspin.run.ownership import describe_process

from .host import list_processes
from .lab import Lab
from .tally import Trial

TOPOLOGIES = Path(__file__).parent / "topologies"
HELD_SECONDS = 0.6
"""How long an owner uses its environment before it ends by itself."""
POLL_SECONDS = 0.01
START_SECONDS = 60.0
"""How long an owner may take to get somewhere: far beyond what the slowest machine needs."""

LASTING = ("timings.json", "timings.json.new", ".lock")
"""How the names of files end that outlive every environment."""

OwnerKind = Literal["run", "up", "script", "pytest"]
OWNER_KINDS: tuple[OwnerKind, ...] = ("run", "up", "script", "pytest")
Phase = Literal["begin", "pull", "create", "start", "wait", "test", "teardown", "over"]

HOLD = """\
import pathlib, time
until = time.monotonic() + {held}
while time.monotonic() < until and not pathlib.Path("release").exists():
    time.sleep(0.02)
"""
"""What an owner does with its environment: nothing, until its time is over or it is released."""
SCRIPT = """\
import sys
from envspin import Environment
from envspin.cli.progress.records import JsonProgress
with Environment.up(sys.argv[1], name=sys.argv[2], listener=JsonProgress()):
    exec(sys.argv[3])
"""
CONFTEST = """\
import envspin.testing
from envspin.cli.progress.records import JsonProgress
envspin.testing.Notices = lambda config: JsonProgress()
"""
"""The fixture's own listener tells next to nothing; the tests must know how far it has come."""
TEST = """\
import pytest
@pytest.mark.envspin({topology!r})
def test_it(envspin_env):
    exec({hold!r})
"""
PYTEST_OPTIONS = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "--confcutdir", ".")
"""Options of a pytest that reads nothing but what lies beside its tests."""
TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


class Case:
    """One try's environment: its topology, its folder, and all that may be left of it."""

    def __init__(
        self, lab: Lab, suite: str, index: int | str, topology: str = "pair", *, state: Path | None = None
    ) -> None:
        self.lab = lab
        self.name = lab.name(index, suite)
        """Of the topology, which is in the label of every object; and of the environment, where it can be said."""
        self.folder = lab.folder / "cases" / self.name
        self.topology = self.folder / self.name
        self.state = state or self.folder / "state"
        """Its own unless another is given, which it shares."""
        self.temporary = self.folder / "tmp"
        shutil.copytree(TOPOLOGIES / topology, self.topology)
        self.state.mkdir(exist_ok=True)
        self.temporary.mkdir()

    def environ(self, **extra: str) -> dict[str, str]:
        """Return the variables of a process that works on this case."""
        folders = {"ENVSPIN_STATE_DIR": str(self.state), "TMPDIR": str(self.temporary)}
        return self.lab.environ(**{**folders, **extra})

    def list_objects(self) -> list[Resource]:
        """List the engine's objects of this topology, whatever they call their environment.

        By label or by name: an engine makes a missing volume anew for whoever mounts it.
        """
        strangers = self.lab.bystanders.ids
        found = [each for each in self.lab.engine.list_resources({}) if each.id not in strangers]
        return [each for each in found if self._is_ours(each)]

    def _is_ours(self, resource: Resource) -> bool:
        labelled = resource.labels.get(naming.TOPOLOGY)
        return labelled == self.name or (labelled is None and resource.name.startswith(f"envspin-{self.name}-"))

    def list_files(self) -> list[str]:
        """List what is in the state directory and for temporary use, but for what outlives every environment."""
        found = [path for folder in (self.state, self.temporary) for path in folder.rglob("*") if path.is_file()]
        if not self.state.is_relative_to(self.folder):
            found = [path for path in found if self.name in path.name or path.is_relative_to(self.folder)]
        return sorted(str(path.relative_to(self.lab.folder)) for path in found if not path.name.endswith(LASTING))

    def describe_left(self, labels: Sequence[str]) -> list[str]:
        """Say what is left: objects, files, and processes that name one of these owners."""
        left = [f"{each.kind} {each.name} ({each.status or 'there'})" for each in self.list_objects()]
        left += [f"file {path}" for path in self.list_files()]
        left += [f"process {pid}: {line}" for label in labels for pid, line in list_processes(label)]
        return left

    def await_clean(self, labels: Sequence[str], *, until: float) -> tuple[list[str], float]:
        """Look until nothing is left or ``until`` (monotonic) is over; return what is left, and when that was seen."""
        while True:
            looked = time.monotonic()
            left = self.describe_left(labels)
            if not left or looked > until:
                return left, looked
            time.sleep(POLL_SECONDS * 5)

    def discard(self, labels: Sequence[str] = ()) -> None:
        """Remove whatever is left, so that a failed try is in nobody's way."""
        for pid, _ in (found for label in labels for found in list_processes(label)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for resource in sorted(self.list_objects(), key=lambda each: each.kind):
            with suppress(EngineError):
                self.lab.engine.remove(resource)
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Owner:
    """A process that owns an environment, and what it has told."""

    case: Case
    kind: OwnerKind
    process: subprocess.Popen[bytes]
    label: str
    """How the labels and its watcher's command line name it."""
    trace: Path
    began: float
    """A time of ``time.monotonic``."""
    terminal: int | None = None
    """The other end of its terminal, where it has one."""
    _events: list[dict[str, Any]] = field(default_factory=list)
    _read: int = 0

    def events(self) -> list[dict[str, Any]]:
        """Return what it has told so far."""
        with self.trace.open("rb") as file:
            file.seek(self._read)
            chunk = file.read()
        whole = chunk[: chunk.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            at = line.find(b'{"event"')  # pytest may have written something before it
            if at >= 0:
                self._events.append(json.loads(line[at:]))
        return self._events

    def said(self) -> str:
        """Return all that it has written."""
        return self.trace.read_text(errors="replace")

    def phase(self) -> Phase:
        """Tell how far it has come, from the last thing that it told."""
        for event in reversed(self.events()):
            if event["event"] in _PHASES:
                return _PHASES[event["event"]]
            if event["event"] == "image":
                return "pull"
            if event["event"] == "service":
                return _STATES[event["state"]]
        return "begin"

    def await_phase(self, wanted: Phase) -> bool:
        """Return True once that phase was reached; False where the process ends or goes past it."""
        return self.await_that(lambda: _ORDER.index(self.phase()) >= _ORDER.index(wanted)) and self.phase() == wanted

    def await_event(self, name: str) -> bool:
        """Return True once it has told an event of this name; False where it ends without."""
        return self.await_that(lambda: any(event["event"] == name for event in self.events()))

    def await_that(self, condition: Callable[[], bool]) -> bool:
        """Look until the condition holds; False where the process has ended, or takes too long."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if condition():
                return True
            if self.process.poll() is not None:
                return condition()
            time.sleep(POLL_SECONDS)
        return False

    def wait(self) -> int:
        """Wait for its end; return its exit code, or minus the signal that ended it."""
        code = self.process.wait(START_SECONDS)
        self._close_terminal()
        return code

    def release(self) -> None:
        """Let it end, if it still holds its environment."""
        (self.case.folder / "release").touch()

    def hang_up(self) -> None:
        """Close its terminal, as a window that is closed does."""
        self._close_terminal()

    def end(self) -> None:
        """See that nothing of it runs any more."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._close_terminal()

    def _close_terminal(self) -> None:
        if self.terminal is not None:
            os.close(self.terminal)
            self.terminal = None


_ORDER: tuple[Phase, ...] = ("begin", "pull", "create", "start", "wait", "test", "teardown", "over")
_PHASES: dict[str, Phase] = {
    "run-started": "create",
    "run-ready": "test",
    "run-failed": "teardown",
    "teardown-started": "teardown",
    "teardown-finished": "over",
}
_STATES: dict[str, Phase] = {
    "waiting": "create",
    "created": "create",
    "starting": "start",
    "started": "wait",
    "ready": "wait",
    "failed": "wait",
    "skipped": "wait",
}


def start_owner(
    case: Case,
    kind: OwnerKind,
    *,
    with_terminal: bool = False,
    held: float = HELD_SECONDS,
    options: Sequence[str] = (),
    **environ: str,
) -> Owner:
    """Start an owner in a session of its own; what it tells goes to a file. ``options`` are those of the command."""
    command = _make_command(case, kind, held, options)
    if not with_terminal:
        return start_command(case, kind, command, **environ)
    ours, theirs = pty.openpty()
    try:
        launched = ["-c", TAKE_TERMINAL, sys.executable, *command]
        owner = start_command(case, kind, launched, stdin=theirs, **environ)
    finally:
        os.close(theirs)
    owner.terminal = ours
    return owner


def start_command(
    case: Case, kind: OwnerKind, command: Sequence[str], *, stdin: int = subprocess.DEVNULL, **environ: str
) -> Owner:
    """Start a Python command line as an owner."""
    trace = case.folder / "trace"
    with trace.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            env=case.environ(**environ),
            cwd=case.folder,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Owner(case, kind, process, str(describe_process(process.pid)), trace, time.monotonic())


def _make_command(case: Case, kind: OwnerKind, held: float, options: Sequence[str]) -> list[str]:
    hold = HOLD.format(held=held)
    common = [str(case.topology), "--name", case.name, "--progress", "json", *options]
    if kind == "run":
        return ["-P", "-m", "envspin", "run", *common, "--", sys.executable, "-S", "-c", hold]
    if kind == "up":
        return ["-P", "-m", "envspin", "up", *common]
    if kind == "script":
        return ["-P", "-c", SCRIPT, str(case.topology), case.name, hold]
    (case.folder / "conftest.py").write_text(CONFTEST)
    (case.folder / "test_it.py").write_text(TEST.format(topology=str(case.topology), hold=hold))
    return ["-P", "-m", "pytest", "-s", *PYTEST_OPTIONS, "test_it.py"]


def finish_case(trial: Trial, case: Case, owners: Sequence[Owner]) -> None:
    """End every process, and remove the rest of the case."""
    for owner in owners:
        owner.end()
        if trial.failures:
            trial.failures[-1] += f"\n    {owner.kind} said: {owner.said()[-600:]!r}"
    case.discard([owner.label for owner in owners])


def run_envspin(
    case: Case, *arguments: str, timeout: float = START_SECONDS, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run an ``envspin`` command with the state directory of this case."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "envspin", *arguments],
        env=case.environ(**environ),
        cwd=case.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def split(indices: Iterable[int], size: int) -> Iterator[tuple[int, ...]]:
    """Give out the numbers so many at a time."""
    rest = iter(indices)
    while part := tuple(islice(rest, size)):
        yield part


def summarise_times(times: Sequence[float]) -> str:
    """Say the median, the 95th percentile and the longest of some seconds."""
    if not times:
        return "none"
    ordered = sorted(times)
    middle, high = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)]
    return f"median {middle:.1f} s, 95 % within {high:.1f} s, longest {ordered[-1]:.1f} s"
