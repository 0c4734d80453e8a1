"""Which creates were really asked for: memory that a watcher can still read when its owner has been killed.

A word through a socket wakes its reader and lets other threads of the writer run, so between a word and the request
that it announces there are milliseconds in which an owner can be killed; the watcher would then wait for what nobody
asked for. Setting a byte takes less than a microsecond and no call to the system.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading

SET = 1


class Marks:
    """A page of bytes, one for each create under way; any thread may use it. It is made when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _descriptor and _free
        self._descriptor: int | None = None
        self._page: mmap.mmap | None = None
        self._free: list[int] = []

    def fileno(self) -> int:
        """Return the descriptor that a watcher reads it by; raise OSError where there is none to be had."""
        with self._lock:
            return self._make()

    def take(self) -> int | None:
        """Return the place of a byte that is not set; None where all are taken. Raises OSError as ``fileno`` does."""
        with self._lock:
            self._make()
            if not self._free:
                return None
            place = self._free.pop()
            self._write(place, 0)
            return place

    def set(self, place: int | None) -> None:
        """Say that the create of this place is about to leave; nothing where it got none."""
        if place is not None:
            self._write(place, SET)

    def give_back(self, place: int | None) -> None:
        """Let a place be taken again."""
        if place is not None:
            with self._lock:
                self._free.append(place)

    def let_go(self) -> None:
        """Close what a forked child has inherited."""
        if self._page is not None:
            self._page.close()
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _write(self, place: int, value: int) -> None:
        assert self._page is not None  # noqa: S101 - tells mypy
        self._page[place] = value

    def _make(self) -> int:
        if self._descriptor is None:
            descriptor = _open_page()
            self._page = mmap.mmap(descriptor, mmap.PAGESIZE)
            self._free = list(range(mmap.PAGESIZE))
            self._descriptor = descriptor
        return self._descriptor


def _open_page() -> int:
    """Open a file without a name, full of zeros."""
    try:
        descriptor = os.memfd_create("envspin-marks")
    except (AttributeError, OSError):  # another system, or a kernel that forbids it
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.write(descriptor, bytes(mmap.PAGESIZE))  # a hole in a file on a full disk would be found out by a signal
    return descriptor
