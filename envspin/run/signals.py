"""Signals turned into orderly ends, and clean-up that a second signal does not break off."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

TERMINATING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
STOPPING = (signal.SIGINT, *TERMINATING)

HELD_SECONDS = 10.0
REPEAT_SECONDS = 0.01


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

    def repeat(number: signal.Signals) -> None:
        nonlocal raised_at
        raised_at = -HELD_SECONDS
        # From another thread: whatever the main thread raised right here would be lost in the same place.
        threading.Timer(REPEAT_SECONDS, os.kill, (os.getpid(), number)).start()

    with _handling(STOPPING, interrupt), _noticing_lost_interrupts(repeat):
        yield


@contextmanager
def _noticing_lost_interrupts(repeat: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call ``repeat`` when an interrupt hit a place that cannot raise: a finaliser or a weak reference's callback.

    CPython reports what is raised there and drops it (sys.unraisablehook), so the signal would have no effect.
    """
    before = sys.unraisablehook

    def notice(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            repeat(signal.SIGTERM if isinstance(unraisable.exc_value, Terminated) else signal.SIGINT)
        else:
            before(unraisable)

    sys.unraisablehook = notice
    try:
        yield
    finally:
        sys.unraisablehook = before


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
