from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from .watching import find_threads


@pytest.fixture(autouse=True)
def state_directory(tmp_path, monkeypatch) -> Iterator[None]:
    """Keep records, timings and locks of these tests to themselves."""
    monkeypatch.setenv("ENVSPIN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr("envspin.run.machine_lock.SHARED_FOLDER", tmp_path)
    return


@pytest.fixture
def list_threads() -> Callable[[], set[threading.Thread]]:
    """Return a function that lists the threads of watches that this test has brought up."""
    others = find_threads()
    return lambda: find_threads() - others
