"""What one run tells the watcher: that it begins, each create before it is asked for, and how it ended."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

from envspin.engine.base import ignore_send
from envspin.errors import EngineUnreachableError, EnvspinError, UnansweredError
from envspin.run.watcher.process import find_watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from envspin.engine.base import EngineInfo
    from envspin.run.naming import Identity
    from envspin.run.watcher.process import Watcher

SWITCH = "ENVSPIN_WATCHER"


class Journal(Protocol):
    """A run's word to whoever removes it if its owner cannot."""

    def creating(self, name: str) -> AbstractContextManager[Callable[[], None]]:
        """Within this context an object is created; nothing is asked of the engine before a watcher watches.

        What it gives is to be called right before the request leaves.
        """
        ...

    def close(self) -> None:
        """Say that nothing of the run is left, or that it shall stay."""
        ...

    def abandon(self) -> str:
        """Leave the removal of the run to the watcher, from now on; return what to tell of that."""
        ...


class WatchedJournal:
    """A journal that the watcher of this process reads."""

    def __init__(self, watcher: Watcher, identity: Identity, address: str) -> None:
        self._watcher = watcher
        self._run = identity.run_id
        watcher.tell("open", identity.run_id, identity.env, address)

    @contextmanager
    def creating(self, name: str) -> Iterator[Callable[[], None]]:
        """Tell of a create before and after; one without an answer stays open, for it may still happen."""
        marks = self._watcher.marks
        place = marks.take()
        self._watcher.tell("creating", self._run, name, "" if place is None else str(place), f"{time.time():.6f}")
        self._watcher.require_started()  # the last word may have been the first that a new process was told
        try:
            yield partial(marks.set, place)
        except (UnansweredError, EngineUnreachableError):
            raise
        except EnvspinError:
            self._settle(name, place)
            raise
        self._settle(name, place)

    def _settle(self, name: str, place: int | None) -> None:
        self._watcher.tell("settled", self._run, name)
        self._watcher.marks.give_back(place)

    def close(self) -> None:
        """Say that the run is in order."""
        self._watcher.forget("closed", self._run)

    def abandon(self) -> str:
        """Leave the removal to the watcher."""
        if not self._watcher.forget("abandoned", self._run):
            return ""
        return "a process in the background goes on with the removal as soon as the engine lets it"


class NoJournal:
    """The journal of what ends with its process anyway, or of a run that somebody else made."""

    @contextmanager
    def creating(self, name: str) -> Iterator[Callable[[], None]]:  # noqa: ARG002 - nobody is told
        """Create without a word."""
        yield ignore_send

    def close(self) -> None:
        """Nobody is told."""

    def abandon(self) -> str:
        """Nobody is told."""
        return ""


def open_journal(info: EngineInfo, identity: Identity) -> Journal:
    """Open the journal of a new run; the watcher starts beside what comes next.

    Raises EngineError where no watcher can be started.
    """
    if not info.is_persistent or os.environ.get(SWITCH, "").lower() in {"off", "0", "no", "false"}:
        return NoJournal()
    return WatchedJournal(find_watcher(), identity, info.address)
