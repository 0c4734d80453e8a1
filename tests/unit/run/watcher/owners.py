"""Real owner processes with real watchers, whose removal is a program that only writes down how it was called."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from envspin.run.ownership import describe_process
from envspin.run.watcher.waiting import Book

PATIENCE = 20.0
"""Seconds until what a test waits for counts as not coming."""

ENGINE = "unix:///no/engine.sock"

T = TypeVar("T")

PREAMBLE = """
import json, os, signal, sys
from pathlib import Path
from envspin.run.watcher import journal, process

process.ROOT = Path({package!r})
watcher = process.find_watcher()


def open_run(run, *pending):
    watcher.tell("open", run, "env-" + run, {engine!r})
    for name in pending:
        watcher.tell("creating", run, name, "", "1.5")
    watcher.require_started()


def say(fact=None):
    print(json.dumps(fact), flush=True)


def hear():
    sys.stdin.readline()

"""

REMOVAL = """
import json, os, sys, time
from pathlib import Path

main = list  # what is called once this is imported
folder = Path(__file__).parents[4]
pid, start = sys.argv[2].split("/")[-2:]
try:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
except OSError:
    fields = ["X"]
status = dict(line.split(":\\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\\t" in line)
call = {
    "argv": sys.argv[1:],
    "pid": os.getpid(),
    "parent": os.getppid(),
    "session": os.getsid(0),
    "folder": os.getcwd(),
    "ignored": int(status["SigIgn"], 16),
    "owner_lives": fields[0] not in "XZ" and fields[19] == start,
    "environment": dict(os.environ),
}
draft = folder / "drafts" / f"{os.getpid()}.json"
draft.parent.mkdir(exist_ok=True)
draft.write_text(json.dumps(call))
draft.rename(folder / "calls" / draft.name)
deadline = time.monotonic() + 60
while (folder / "linger").exists() and time.monotonic() < deadline:
    time.sleep(0.02)
"""

HOLD = """
open_run("r1", "a", "b")
watcher.tell("settled", "r1", "b")
say()
signal.pause()
"""

RESTART = """
open_run("r1", "a")
say()
hear()
watcher.tell("creating", "r1", "b", "", "1.5")
watcher.require_started()
say(os.getpid())
signal.pause()
"""


class Call:
    """One start of the removal."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.log, self.label, *words = document["argv"]
        self.pid: int = document["pid"]
        self.parent: int = document["parent"]
        self.session: int = document["session"]
        self.folder: str = document["folder"]
        self.owner_lives: bool = document["owner_lives"]
        self.environment: dict[str, str] = document["environment"]
        self.ignored = {number for number in signal.Signals if document["ignored"] >> (number - 1) & 1}
        book = Book()
        for word in words:
            assert word.split("\t")[0] in {"open", "creating"}, "a removal has to do with open runs alone"
            book.note(word)
        self.runs = {run: set(book.pending.get(run, ())) for run in book.runs}
        """Each run to remove, with its creates under way."""
        self.addresses = {address for _, address in book.runs.values()}


class Desk:
    """A folder with the removal that writes its calls down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "package"
        self._calls = folder / "calls"
        self._calls.mkdir()
        part = self.package
        for name in ("envspin", "run", "watcher"):
            part /= name
            part.mkdir(parents=True)
            (part / "__init__.py").touch()
        (part / "removal.py").write_text(REMOVAL)

    def linger(self) -> None:
        """Let removals live until ``let_go``."""
        (self.folder / "linger").touch()

    def let_go(self) -> None:
        (self.folder / "linger").unlink(missing_ok=True)

    def read_calls(self) -> list[Call]:
        files = sorted(self._calls.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        return [Call(json.loads(path.read_text())) for path in files]

    def await_calls(self, count: int = 1) -> list[Call]:
        """Wait until so many removals have been called."""
        return wait_for(lambda: calls if len(calls := self.read_calls()) >= count else None, f"{count} removals")


class OwnerProcess:
    """A Python that owns a watcher; ``body`` is what it does."""

    def __init__(self, desk: Desk, body: str, **options: Any) -> None:
        script = desk.folder / f"owner{time.monotonic_ns()}.py"
        script.write_text(PREAMBLE.format(package=str(desk.package), engine=ENGINE) + body)
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        arguments = options.pop("arguments", ())
        self.process = subprocess.Popen([sys.executable, *arguments, str(script)], **options)
        self.pid = self.process.pid
        self.label = str(describe_process(self.pid))
        self._rest = b""

    def hear(self) -> Any:
        """Return the next thing that it says."""
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self._rest:
            assert select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0], (
                "says nothing"
            )
            chunk = os.read(self.process.stdout.fileno(), 65536)
            assert chunk, self.process.communicate()[1].decode()
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def go_on(self) -> None:
        """Let its next ``hear()`` return."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal; it is left a zombie until somebody waits for it."""
        os.kill(self.pid, number)

    def end(self) -> tuple[int, str]:
        """Let it go on, wait for its end and return its exit code and what it wrote to stderr."""
        _, errors = self.process.communicate(b"\n", timeout=PATIENCE)
        return self.process.returncode, errors.decode()

    def find_watcher(self) -> int:
        """Return its one watcher's process id, once the short-lived process that has brought it up is gone."""
        return wait_for(lambda: pids[0] if len(pids := find_labelled(self.label)) == 1 else None, "one watcher")

    def await_end_of_watchers(self) -> None:
        wait_for(lambda: not find_labelled(self.label), "the watcher to leave")

    def clear(self) -> None:
        """Kill whatever is left of it and of its watchers."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

        def kill_labelled() -> bool:
            pids = find_labelled(self.label)
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not pids

        wait_for(kill_labelled, "the watchers' end")
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def find_labelled(label: str) -> list[int]:
    """Return the processes whose command line has this word: an owner's watchers and removals."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if label.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def read_environment(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(word.split("=", 1) for word in words if word)


def end_process(pid: int) -> None:
    """Kill a process that is nobody's child and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(pid), f"the end of process {pid}")


def is_alive(pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in {"Z", "X"}


def wait_for(look: Callable[[], T | None], what: str) -> T:
    """Look until there is something, at most ``PATIENCE`` seconds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


Start = Callable[..., OwnerProcess]


def begin(start_owner: Start, body: str, **options) -> tuple[OwnerProcess, int]:
    """Start an owner and wait for its first word; return its watcher, too."""
    owner = start_owner(body, **options)
    owner.hear()
    return owner, owner.find_watcher()


def begin_with_removal(start_owner: Start, desk: Desk, body: str, **options) -> tuple[OwnerProcess, int]:
    """Start an owner that has something removed at once; return its watcher, too."""
    owner = start_owner(body, **options)
    owner.hear()
    removal = desk.await_calls()[0].pid
    return owner, wait_for(lambda: next(iter(set(find_labelled(owner.label)) - {removal}), None), "the watcher")


def read_parent(pid: int) -> int:
    """Return a process's parent; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return 0
