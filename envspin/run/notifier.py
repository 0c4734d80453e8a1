"""Hands events to a listener, one at a time, and knows when the run began."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envspin.events import Event, Listener


class Notifier:
    """A listener behind a lock: workers and the runner report from several threads."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._lock = threading.Lock()  # held while the listener handles one event
        self._began = time.monotonic()

    def elapsed(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self._began

    def tell(self, event: Event) -> None:
        """Hand an event over."""
        with self._lock:
            self._listener.handle(event)
