"""What tests of the watch on an environment share: its threads, and patience."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE = 10.0


def wait_for(look: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)


def find_threads() -> set[threading.Thread]:
    """Return the threads of all watches, and what they have planned for later."""
    names = {"envspin-watch", "envspin-pulse"}
    return {each for each in threading.enumerate() if each.name in names or isinstance(each, threading.Timer)}
