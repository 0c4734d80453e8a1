"""Signals turned into orderly ends, and clean-up that a second signal does not break off."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

TERMINATING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
STOPPING = (signal.SIGINT, *TERMINATING)

HELD_SECONDS = 10.0


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived; handled wherever a Ctrl-C is."""


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does: by an exception in the main thread.

    The first signal raises. Those that follow within ``HELD_SECONDS`` are held back, so that an impatient second one
    does not hit the ``finally`` clauses on the way to the clean-up; after that the next one raises again, for whoever
    hangs on the way.
    """
    raised_at = -HELD_SECONDS

    def interrupt(number: int, _frame: FrameType | None) -> None:
        nonlocal raised_at
        if time.monotonic() - raised_at < HELD_SECONDS:
            return
        raised_at = time.monotonic()
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    with _handling(STOPPING, interrupt):
        yield


@contextmanager
def shielded() -> Iterator[None]:
    """Hold Ctrl-C, SIGTERM and SIGHUP back while cleaning up; raise KeyboardInterrupt afterwards if one came."""
    arrived: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)

    with _handling(STOPPING, note):
        yield
    if arrived:
        raise KeyboardInterrupt


@contextmanager
def _handling(numbers: tuple[signal.Signals, ...], handler: signal._HANDLER) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    # What was ignored when we started (nohup, a shell's background job) stays ignored.
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old if old is not None else signal.SIG_DFL)
