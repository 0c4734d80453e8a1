"""Fixtures of the probe tests; what they hand out is in ``support.py``."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from envspin.model import Probe
from envspin.run.probes import make_prober

from .support import PATIENCE, Behaviour, Check, FakeClock, FakeTarget, MakeTarget, Serve, Server


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server and returns it; all are closed in the end."""
    servers: list[Server] = []

    def start(behave: Behaviour) -> Server:
        servers.append(Server(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def free_port() -> Iterator[int]:
    """Give a port that is bound but not listening: connections are refused, and nobody else can take it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture
def make_target() -> MakeTarget:
    return FakeTarget


@pytest.fixture
def check() -> Check:
    """Return a function that makes a prober and checks once."""

    def run(spec: Probe, target: FakeTarget, remaining: float = PATIENCE) -> None:
        make_prober(spec, target).check(remaining)

    return run


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
