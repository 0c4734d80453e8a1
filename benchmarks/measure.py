"""One command: how long it took, what it said and when, and how much memory it needed at most."""

from __future__ import annotations

import os
import platform
import resource
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PATIENCE = 240.0
"""Seconds after which a command counts as failed."""

LAST_WISH = 30.0
"""Seconds that an interrupted command has for its own clean-up."""

KIBI = 1024


@dataclass(slots=True)
class Outcome:
    """What a command did; moments are of CLOCK_MONOTONIC, which containers on this kernel share."""

    code: int
    began: float
    ended: float
    peak_mb: float
    """Largest resident set of the command; at least this process's own, from which it was forked."""
    output: str
    errors: list[tuple[float, str]] = field(default_factory=list)
    """The lines of stderr, each with the moment it was read."""

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def explain(self) -> str:
        """Say how the command failed, with the last that it wrote."""
        said = [line for _, line in self.errors] or self.output.splitlines()
        return f"exit code {self.code}: " + " | ".join(said[-5:])[-600:]


def run(
    command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, patience: float = PATIENCE
) -> Outcome:
    """Run a command in a session of its own, so that a Ctrl-C reaches this process alone, which then stops it."""
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as output:
        errors: list[tuple[float, str]] = []
        began = time.monotonic()
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        reader = threading.Thread(target=_read_lines, args=(process, errors), daemon=True)
        reader.start()
        killer = threading.Timer(patience, process.kill)
        killer.daemon = True
        killer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            stop(process)
            raise
        finally:
            killer.cancel()
        ended = time.monotonic()
        process.returncode = os.waitstatus_to_exitcode(status)
        reader.join(timeout=1.0)  # a process left behind may hold the pipe open
        output.seek(0)
        text = output.read().decode(errors="replace")
    return Outcome(process.returncode, began, ended, usage.ru_maxrss / KIBI, text, list(errors))


def read_peak_mb() -> float:
    """Return the largest resident set of this process since its program began."""
    if platform.system() == "Linux":  # where getrusage() would count the parent from which we were forked
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / KIBI
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIBI / KIBI  # bytes on macOS


def ask(*command: str | Path, environment: Mapping[str, str] | None = None) -> str | None:
    """Return what a command prints, stripped; None where it fails or does not exist. Not for measuring."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            env={**os.environ, **(environment or {})},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a process, as a user would, and kill it where that does not end it."""
    with undisturbed(), suppress(ProcessLookupError, ChildProcessError):
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=LAST_WISH)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no further Ctrl-C break a clean-up off."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read_lines(process: subprocess.Popen[bytes], into: list[tuple[float, str]]) -> None:
    if process.stderr is not None:
        into.extend((time.monotonic(), line.decode(errors="replace").rstrip()) for line in process.stderr)
