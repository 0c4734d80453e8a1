from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def state_directory(tmp_path, monkeypatch) -> Iterator[None]:
    """Keep records, timings and locks of these tests to themselves."""
    monkeypatch.setenv("ENVSPIN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr("envspin.run.machine_lock.SHARED_FOLDER", tmp_path)
    return
