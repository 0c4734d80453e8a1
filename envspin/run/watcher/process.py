"""The owner's end of the watcher: one process for all environments of an owner, and another one if it dies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.errors import EngineError
from envspin.run.ownership import describe_this_process
from envspin.run.record import state_directory
from envspin.run.watcher import waiting
from envspin.run.watcher.marks import Marks

if TYPE_CHECKING:
    from collections.abc import Mapping

ACKNOWLEDGEMENT_SECONDS = 20.0
"""How long a watcher may take to start; on an idle machine it takes 0.02 s."""

REAP_SECONDS = 5.0

NEEDED = ("HOME", "LOGNAME", "PATH", "PYTHONHOME", "SSH_AUTH_SOCK", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV")
NEEDED_OF_DOCKER = ("API_VERSION", "CERT_PATH", "CONFIG", "CONTEXT", "HOST", "TLS", "TLS_VERIFY")
"""Of all that begins with ``DOCKER_``: CI jobs keep passwords under such names."""
ROOT = Path(waiting.__file__).parents[3]
"""The folder that holds the package."""
NEEDED_FAMILIES = ("ENVSPIN_", "LC_", "LANG", "LD_", "SSL_CERT_", "XDG_")
FOLDERS = ("DOCKER_CERT_PATH", "DOCKER_CONFIG", "ENVSPIN_STATE_DIR")
"""What may be written from the current folder, which is another one for the watcher."""


class Watcher:
    """A watcher process and the way to it; any thread may write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all below
        self._book = waiting.Book()
        """What the process was told, for the next one if it dies."""
        self.marks = Marks()
        """Which creates have left; the process can read it."""
        self._channel: socket.socket | None = None
        self._starting: subprocess.Popen[bytes] | None = None

    def tell(self, *words: str) -> None:
        """Hand words over, in order; the process is started by the first, and again if it has died.

        Raises EngineError where no watcher can be started.
        """
        line = "\t".join(_clean(word) for word in words)
        with self._lock:
            self._book.note(line)
            if self._channel is None:
                self._start()
            elif not self._send(line):
                self._stop()
                self._start()

    def forget(self, word: str, run: str) -> bool:
        """Hand a word over that ends a run; tell whether the process goes on with its removal.

        Where it has died, another one is started for a run that is to be removed, and for no other.
        """
        line = f"{word}\t{run}"
        with self._lock:
            is_left = self._book.note(line) is not None and run in self._book.runs
            is_heard = self._channel is not None and self._send(line)
            if is_left and not is_heard:
                with suppress(EngineError):
                    self._stop()
                    self._start()
                    self._await_start()
                    is_heard = self._send(line)
            self._book.forget(run)
        return is_left and is_heard

    def require_started(self) -> None:
        """Return when the process has said that it watches; raise EngineError where it does not."""
        with self._lock:
            if self._channel is None:  # another thread has heard of a failed start; this one's create waits alike
                self._start()
            if self._starting is not None:
                self._await_start()

    def let_go(self) -> None:
        """Forget all in a forked child: the process is the parent's, and the lock may be held by a thread of it."""
        self._lock = threading.Lock()
        self._book = waiting.Book()
        self.marks.let_go()
        self.marks = Marks()
        self._starting = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _await_start(self) -> None:
        if not self._hear_acknowledgement():
            self._stop()  # whatever was in its way may have passed
            self._start()
            if not self._hear_acknowledgement():
                raise _explain_failure(self._stop() or "it ended, or said nothing, before it watched")

    def _hear_acknowledgement(self) -> bool:
        """Wait for the word of a new process, and for the end of its short-lived parent."""
        assert self._channel is not None  # noqa: S101 - tells mypy
        assert self._starting is not None  # noqa: S101 - tells mypy
        try:
            heard = self._channel.recv(1) == waiting.ACKNOWLEDGEMENT
        except OSError:
            heard = False
        if heard:
            self._reap(self._starting)
            self._starting = None
        return heard

    @staticmethod
    def _reap(process: subprocess.Popen[bytes]) -> str:
        """Wait for a process's end and return the last line that it wrote."""
        try:
            _, errors = process.communicate(timeout=REAP_SECONDS)
        except subprocess.TimeoutExpired:  # a child of its own still holds the pipe
            errors = b""
        return errors.decode(errors="replace").strip().rpartition("\n")[2]

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        program = [sys.executable or "", *waiting.ALONE, waiting.__file__]
        with theirs:
            try:
                self._starting = subprocess.Popen(
                    [*program, str(describe_this_process()), str(os.getpid())],
                    stdin=theirs.fileno(),
                    stdout=self.marks.fileno(),
                    stderr=subprocess.PIPE,
                    cwd="/",
                    env=choose_environment(os.environ),
                )
            except OSError as error:
                ours.close()
                raise _explain_failure(str(error)) from error
        ours.settimeout(ACKNOWLEDGEMENT_SECONDS)
        self._channel = ours
        words = [line for run in self._book.runs for line in self._book.list_words(run)]
        if words:
            self._send("\n".join(words))

    def _send(self, line: str) -> bool:
        """Write a line; tell whether the process is there to read it."""
        assert self._channel is not None  # noqa: S101 - tells mypy
        try:
            # Without MSG_NOSIGNAL, an owner that has SIGPIPE back at its default would be killed by a dead watcher.
            self._channel.sendall(f"{line}\n".encode(), _SEND_FLAGS)
        except OSError:
            return False
        return True

    def _stop(self) -> str:
        """Let go of a process that has died or does not read; return its last words if it did not even start."""
        said = ""
        if self._starting is not None:
            with suppress(OSError):
                self._starting.kill()
            said = self._reap(self._starting)
            self._starting = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        return said


_SEND_FLAGS = getattr(socket, "MSG_NOSIGNAL", 0)


def _clean(word: str) -> str:
    return word.replace("\t", " ").replace("\n", " ")


def _explain_failure(reason: str) -> EngineError:
    return EngineError(
        f"the watcher, which removes everything if this process is killed, cannot be started: {reason}",
        hint="see whether this user may start more processes (`ulimit -u`), or go without: ENVSPIN_WATCHER=off",
    )


def choose_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a watcher needs to find the engine and our modules, and nothing that may be a secret.

    What CI systems mark a job's processes with stays out, too: they end all that carry it when the job ends.
    """
    needed = {*NEEDED, *(f"DOCKER_{name}" for name in NEEDED_OF_DOCKER)}
    kept = {name: value for name, value in environ.items() if name in needed or name.startswith(NEEDED_FAMILIES)}
    kept.update({name: str(Path(kept[name]).absolute()) for name in FOLDERS if kept.get(name)})
    kept["ENVSPIN_WATCHER_PATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in [str(ROOT), *sys.path])
    kept["ENVSPIN_WATCHER_LOGS"] = str(state_directory().absolute() / "watchers")
    return kept


_watcher = Watcher()


def find_watcher() -> Watcher:
    """Return this process's watcher; one that was copied with a fork is its parent's, so a child gets its own."""
    return _watcher


def _begin_anew() -> None:
    global _watcher
    inherited, _watcher = _watcher, Watcher()
    inherited.let_go()


os.register_at_fork(after_in_child=_begin_anew)
