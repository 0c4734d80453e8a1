"""Signs of life of an engine: one that is frozen, or cut off in silence, keeps connections open and says nothing."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from envspin.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from envspin.engine.base import Engine

PAUSE_SECONDS = 0.75
"""Between two questions; with the time for an answer, silence is known within 2 s."""

ANSWER_SECONDS = 1.0


class Pulse:
    """Asks an engine again and again whether it is there, in a thread of its own."""

    def __init__(self, engine: Engine, tell: Callable[[str | None], None]) -> None:
        """Begin to ask; ``tell`` gets a reason after each question without an answer, and None after each answer.

        An engine that refuses connections is none of its business: whoever follows the events notices that at once.
        """
        self._engine = engine
        self._tell = tell
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="envspin-pulse", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask no more, and wait for the end of a question that is under way."""
        self._closed.set()
        self._thread.join(ANSWER_SECONDS)

    def _ask(self) -> None:
        while not self._closed.wait(PAUSE_SECONDS):
            began = time.monotonic()
            try:
                self._engine.ping(ANSWER_SECONDS)
            except EngineError:
                if time.monotonic() - began >= ANSWER_SECONDS:  # else it refused or hung up, as when it starts again
                    self._tell(f"it has not answered for {ANSWER_SECONDS:g} s")
            else:
                self._tell(None)
