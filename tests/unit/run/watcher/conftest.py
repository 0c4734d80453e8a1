"""Fixtures of the watcher's tests; what they hand out is in ``owners.py``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from envspin.run.watcher import journal
from envspin.run.watcher.removal import Log

from .listening import ListeningWatcher
from .owners import Desk, OwnerProcess, Start
from .sweeping import LastingEngine, Time


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Where removals write their calls down."""
    made = Desk(tmp_path)
    yield made
    made.let_go()


@pytest.fixture
def start_owner(desk: Desk) -> Iterator[Start]:
    """Return a function that starts an owner; nothing of it outlives the test."""
    with ExitStack() as stack:

        def start(body: str, **options: Any) -> OwnerProcess:
            owner = OwnerProcess(desk, body, **options)
            stack.callback(owner.clear)
            return owner

        yield start


@pytest.fixture
def watcher(monkeypatch) -> ListeningWatcher:
    monkeypatch.delenv("ENVSPIN_WATCHER", raising=False)
    listening = ListeningWatcher()
    monkeypatch.setattr(journal, "find_watcher", lambda: listening)
    return listening


@pytest.fixture
def engine() -> LastingEngine:
    return LastingEngine()


@pytest.fixture
def log(tmp_path) -> Log:
    return Log(tmp_path / "watchers" / "1.log")


@pytest.fixture
def time() -> Time:
    return Time()
