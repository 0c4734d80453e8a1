"""A lock between all processes of this machine, whoever's they are.

The file is in the folder that all users write to, so nothing about it is trusted: it is opened for reading only, which
is all that flock(2) needs, never through a symbolic link, and never written. Whoever holds it cannot make others wait
for longer than they want to: it keeps processes from stepping on each other's toes, and nothing else relies on it.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED_FOLDER = Path("/tmp")  # noqa: S108 - TMPDIR differs between users and jobs, this does not
MODE = 0o644
"""Others must be able to read it, whatever the umask of who made it."""

PACE = 0.01


@contextmanager
def machine_lock(name: str, *, seconds: float) -> Iterator[bool]:
    """Hold the lock of this name, waiting for it up to ``seconds``; gives False where it is not had.

    It is not had where somebody else keeps it, or where the file cannot be used.
    """
    descriptor = _open(_find_path(name))
    try:
        yield descriptor is not None and _acquire(descriptor, seconds)
    finally:
        if descriptor is not None:
            with suppress(OSError):  # closing would not do while a process that was forked meanwhile has it open
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _find_path(name: str) -> Path:
    folder = SHARED_FOLDER if os.access(SHARED_FOLDER, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    return folder / f"envspin-{name}.lock"


def _open(path: Path) -> int | None:
    """Open the file, made if need be; None where that is not possible, or where it is no plain file."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    for _ in range(2):  # another process may make it in between
        try:
            return _require_plain(os.open(path, flags))
        except FileNotFoundError:
            pass
        except OSError:
            return None
        with suppress(OSError):
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, MODE)
            os.fchmod(descriptor, MODE)
            return descriptor
    return None


def _require_plain(descriptor: int) -> int | None:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def _acquire(descriptor: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(PACE)
        except OSError:  # a file system without locks
            return False
        else:
            return True
