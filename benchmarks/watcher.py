"""What the watcher costs, and how soon it has removed the environment of a killed owner.

A watcher that this process starts itself, without an engine, shows its start and what it uses while idle. Environments
of two services show what it adds to the time to ready, by turns with and without it, and what follows a SIGKILL. What
is left of an environment is read from the engine's socket and from a state directory of the benchmark's own.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from benchmarks.drivers import RunError, list_left, remove_labelled, require
from benchmarks.envspin_driver import find_command
from benchmarks.images import build_images
from benchmarks.measure import KIBI, PATIENCE, ask, run, stop, undisturbed
from benchmarks.oracle import SocketConnection, find_socket
from benchmarks.recipe import read_recipe
from benchmarks.workloads import Workload, write_synthetic
from envspin.run.ownership import describe_process
from envspin.run.watcher.process import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Figures = dict[str, Any]
"""``idle`` use, seconds of ``starts``, ``ready`` times with the watcher ``on`` and ``off``, ``kills``, ``failures``."""

PAIR = {"first": (), "second": ("first",)}
SETTLE_SECONDS = 0.3
POLL_SECONDS = 0.02
KINDS = {"containers": "containers/json?all=true&", "networks": "networks?", "volumes": "volumes?"}


def measure_watcher(folder: Path, *, quick: bool, tell: Callable[[str], object]) -> Figures:
    """Measure everything; without an engine in reach, only what needs none. Nothing is left, whatever happens."""
    figures: Figures = {"starts": [], "ready": {"on": [], "off": []}, "kills": [], "failures": []}
    for _ in range(5 if quick else 30):
        with watching() as (_, seconds):
            figures["starts"].append(seconds)
    figures["idle"] = measure_idle(10 if quick else 30)
    tell("watcher: started, and left idle")
    engine = find_socket()
    if engine is None:
        tell("watcher: no engine on a socket of this machine, so no environments")
        return figures
    file = write_synthetic(folder, "pair", PAIR)
    rounds = 2 if quick else 15
    build_images([Workload("pair", file, read_recipe(file), rounds)])
    bench = Environments(file, folder / "state", engine, figures)
    try:
        for number in range(-1, rounds):  # the first shows nothing but a cold cache
            for switch in ("on", "off") if number % 2 else ("off", "on"):
                bench.bring_up(switch, into=figures["ready"][switch] if number >= 0 else [])
        tell("watcher: brought environments up with and without it")
        for _ in range(rounds):
            bench.kill_owner(into=figures["kills"])
        tell("watcher: killed owners")
    finally:
        with undisturbed():
            left = list_left(bench.label)
        tell(f"left behind: {', '.join(left)}" if left else "nothing was left behind")
    return figures


@contextmanager
def watching() -> Iterator[tuple[int, float]]:
    """Let a watcher watch this process; yield its process id, and the seconds from its start to its acknowledgement."""
    watcher = Watcher()
    began = time.monotonic()
    watcher.tell("closed", "none")  # any word starts it; this one leaves it nothing to remove, however we end
    watcher.require_started()
    seconds = time.monotonic() - began
    pid = find_watcher_of(os.getpid())
    yield pid, seconds
    del watcher  # and with it the socket, whose end the process sees
    while is_alive(pid):
        time.sleep(POLL_SECONDS)


def measure_idle(seconds: float) -> dict[str, float]:
    """Return memory and, of that many seconds, clock ticks of the CPU and how often the process woke up."""
    with watching() as (pid, _):
        time.sleep(SETTLE_SECONDS)
        before = read_ticks(pid), read_number(pid, "status", "voluntary_ctxt_switches:")
        time.sleep(seconds)
        after = read_ticks(pid), read_number(pid, "status", "voluntary_ctxt_switches:")
        use = {"seconds": seconds, "ticks": after[0] - before[0], "wakeups": after[1] - before[1]}
        return {**use, **read_memory(pid)}


class Environments:
    """Environments of two services, one after the other under one name; one that fails is removed."""

    def __init__(self, file: Path, state: Path, engine: str, figures: Figures) -> None:
        self.label = f"bench{os.getpid()}-watcher"
        self._command = [*find_command(), "up", str(file), "--name", self.label, "--timeout", "60s"]
        self._state = state
        self._environment = {"ENVSPIN_STATE_DIR": str(state), "ENVSPIN_WATCHER": "on"}
        self._engine = engine
        self._figures = figures

    def bring_up(self, switch: str, *, into: list[dict[str, float]]) -> None:
        """Bring one up and down with the watcher on or off; keep its time to ready and the command's whole time."""
        with self._cleaning():
            environment = {**self._environment, "ENVSPIN_WATCHER": switch}
            up = require(run([*self._command, "-d", "--json", "--progress", "quiet"], environment=environment))
            require(run([*find_command(), "down", self.label], environment=environment))
            into.append({"ready_seconds": json.loads(up.output)["ready_seconds"], "seconds": up.seconds})

    def kill_owner(self, *, into: list[dict[str, float]]) -> None:
        """Kill the owner of one that is ready; keep the seconds until nothing is left, and the watcher's memory."""
        with self._cleaning(), self._owning() as owner:
            watcher = find_watcher_of(owner.pid)
            memory = read_memory(watcher)
            owner.kill()
            into.append({**memory, **self._await_removal(watcher)})

    @contextmanager
    def _owning(self) -> Iterator[subprocess.Popen[bytes]]:
        environment = {**os.environ, **self._environment}
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "start_new_session": True}
        command = [*self._command, "--progress", "json"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, **quiet) as owner:
            try:
                lines = [] if owner.stderr is None else owner.stderr
                if not any(json.loads(line).get("event") == "run-ready" for line in lines if line.startswith(b"{")):
                    raise RunError("the owner ended before all was ready")
                yield owner
            finally:
                stop(owner)

    def _await_removal(self, watcher: int) -> dict[str, float]:
        """Look until the watcher, too, is gone; raise RunError where it leaves something, or never ends."""
        began, gone, peak = time.monotonic(), None, 0.0
        while is_alive(watcher):
            peak = max(peak, read_number(watcher, "status", "VmHWM:") / KIBI)
            if gone is None and not self._list_left():
                gone = time.monotonic() - began
            if time.monotonic() - began > PATIENCE:
                raise RunError(f"the watcher still runs {PATIENCE:g} s after its owner's end")
            time.sleep(POLL_SECONDS)
        if left := self._list_left():
            raise RunError(f"the watcher left {', '.join(left)}")
        ended = time.monotonic() - began
        return {"gone_seconds": ended if gone is None else gone, "ended_seconds": ended, "removal_peak_mb": peak}

    def _list_left(self) -> list[str]:
        """Return a kind of object of which there is one, or the files that tell of the environment."""
        filters = quote(json.dumps({"label": [f"envspin.env={self.label}"]}))
        for kind, path in KINDS.items():
            connection = SocketConnection(self._engine)
            try:
                connection.request("GET", f"/{path}filters={filters}")
                found = json.loads(connection.getresponse().read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise RunError(f"the engine cannot be asked: {error}") from error
            finally:
                connection.close()
            if found["Volumes"] if kind == "volumes" else found:
                return [kind]
        return [str(path) for path in self._state.rglob(f"*{self.label}*")]

    @contextmanager
    def _cleaning(self) -> Iterator[None]:
        """Remove the environment of a round that fails, and count that."""
        try:
            yield
        except RunError as error:
            self._clean()
            self._figures["failures"].append(str(error))
        except BaseException:
            self._clean()
            raise
        time.sleep(SETTLE_SECONDS)

    def _clean(self) -> None:
        with undisturbed():
            ask(*find_command(), "down", self.label, environment=self._environment)
            remove_labelled(f"envspin.env={self.label}")


def find_watcher_of(pid: int) -> int:
    """Return the process id of the watcher whose owner has this one; raise RunError where there is none."""
    label = str(describe_process(pid)).encode()
    for path in Path("/proc").glob("[0-9]*"):
        if label in read_command(int(path.name)):
            return int(path.name)
    raise RunError(f"process {pid} has no watcher")


def read_command(pid: int) -> bytes:
    """Return the command line of a process; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_alive(pid: int) -> bool:
    """Tell whether a process has not ended; one that nobody has waited for has."""
    return bool(read_command(pid))


def read_memory(pid: int) -> dict[str, float]:
    """Return the resident set of a process and its proportional share of it, in MB."""
    resident, share = read_number(pid, "status", "VmRSS:"), read_number(pid, "smaps_rollup", "Pss:")
    return {"resident_mb": resident / KIBI, "proportional_mb": share / KIBI}


def read_number(pid: int, file: str, name: str) -> int:
    """Return a number that /proc tells of a process; 0 of one that has just ended."""
    try:
        text = Path(f"/proc/{pid}/{file}").read_text()
    except OSError:
        return 0
    return int((text.partition(f"\n{name}")[2].split() or ["0"])[0])


def read_ticks(pid: int) -> int:
    """Return the clock ticks that a process has used (proc(5): utime and stime, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
