"""Hands events to a listener, one at a time, and knows when the run began."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from envspin.events import Listener, RunFailed

if TYPE_CHECKING:
    from envspin.errors import EnvspinError
    from envspin.events import Event


class Notifier:
    """A listener behind a lock: workers and the runner report from several threads."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._lock = threading.Lock()  # held while the listener handles one event
        self._began = time.monotonic()
        self._failure: EnvspinError | None = None

    def elapsed(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self._began

    def tell(self, event: Event) -> None:
        """Hand an event over; a listener that fails is told nothing more.

        What cannot be shown (a closed terminal, a broken pipe) must stop neither a run nor its clean-up.
        """
        with self._lock:
            try:
                self._listener.handle(event)
            except Exception:
                logging.getLogger("envspin").warning("the listener failed and is told nothing more", exc_info=True)
                self._listener = Listener()

    def tell_failure(self, env: str, error: EnvspinError) -> None:
        """Say why a run failed, once: whoever meets the error first tells of it, before what has to be awaited."""
        if self._failure is None:
            self._failure = error
            self.tell(RunFailed(env, error, self.elapsed()))
