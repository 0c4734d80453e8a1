"""A docker adapter whose engine is a script on a unix socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from envspin.engine.docker import DockerEngine, creating, states

from .wire import Wire


@pytest.fixture
def wire(tmp_path) -> Iterator[Wire]:
    served = Wire(tmp_path / "engine.sock")
    yield served
    served.close()


@pytest.fixture
def connect(wire, monkeypatch) -> Iterator[Callable[..., DockerEngine]]:
    """Return a function that connects; ``limit`` lowers the time limits. Nothing is awaited for long afterwards."""
    monkeypatch.setattr(states, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(creating._create_again.retry, "stop", lambda state: state.seconds_since_start > 0.2)
    opened = []

    def open_engine(*, limit: float | None = None) -> DockerEngine:
        if limit is not None:
            monkeypatch.setenv("ENVSPIN_ENGINE_TIMEOUT", str(limit))
        opened.append(DockerEngine.connect(wire.address))
        wire.requests.clear()
        wire.bodies.clear()
        return opened[-1]

    yield open_engine
    for engine in opened:
        engine.close()


@pytest.fixture
def engine(connect) -> DockerEngine:
    return connect()
