"""Connections to an engine's socket that nobody takes."""

from __future__ import annotations

import gc
import socket
import warnings

import pytest

from envspin.engine.docker import DockerEngine
from envspin.errors import EngineUnreachableError


def test_a_refused_connection_leaves_no_open_socket(tmp_path, monkeypatch):
    monkeypatch.setenv("ENVSPIN_ENGINE_TIMEOUT", "0.2")
    path = tmp_path / "engine.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()  # the file stays, and refuses
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        with pytest.raises(EngineUnreachableError):
            DockerEngine.connect(f"unix://{path}")
        gc.collect()
    assert [str(each.message) for each in told] == []
