"""The in-memory engine's listeners: real sockets on loopback that follow a script."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from envspin.engine.base import AttachmentSpec, ContainerSpec, NetworkSpec
from envspin.engine.fake import FakeEngine, FakeImage, Listener, Script
from envspin.model import Port


@pytest.fixture
def listening() -> Iterator[tuple[FakeEngine, str, int]]:
    """Run a container that listens ten seconds after its start, on a clock that stands still."""
    engine = FakeEngine(
        {"x": FakeImage(Script(listens={80: Listener(after=10, banner=b"hello ", reply=bytes.upper)}))}, speed=0
    )
    engine.create_network(NetworkSpec("n", {}))
    container = engine.create_container(
        ContainerSpec("c", "x", {}, attachments=(AttachmentSpec("n"),), published=(Port(80), Port(81)))
    )
    engine.start(container)
    yield engine, container, engine.inspect(container).published["80/tcp"]
    engine.close()


def converse(port: int, said: bytes) -> bytes:
    """Send something to a port of loopback and return all that comes back until it falls silent or closes."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(said)
        while len(heard) < len(b"hello ") + len(said) and (chunk := connection.recv(100)):
            heard += chunk
    return heard


def is_cut(port: int) -> bool:
    """Tell whether a connection is closed by the other side without a word."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            return connection.recv(1) == b""
        except ConnectionResetError:
            return True


def test_listener_cuts_connections_until_it_listens(listening: tuple[FakeEngine, str, int]) -> None:
    engine, _, port = listening
    assert is_cut(port)
    engine.advance(9.9)
    assert is_cut(port)
    engine.advance(0.1)
    assert converse(port, b"ping") == b"hello PING"
    assert converse(port, b"again") == b"hello AGAIN"


def test_port_without_listener_refuses(listening: tuple[FakeEngine, str, int]) -> None:
    engine, container, _ = listening
    with pytest.raises(ConnectionRefusedError):
        converse(engine.inspect(container).published["81/tcp"], b"ping")


def test_end_of_the_container_cuts_its_connections(listening: tuple[FakeEngine, str, int]) -> None:
    engine, container, port = listening
    engine.advance(10)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        assert connection.recv(6) == b"hello "
        engine.kill(container)
        assert connection.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        converse(port, b"ping")


def test_many_clients_are_served_side_by_side(listening: tuple[FakeEngine, str, int]) -> None:
    engine, _, port = listening
    engine.advance(10)
    heard: list[bytes] = []
    threads = [threading.Thread(target=lambda: heard.append(converse(port, b"ping"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert heard == [b"hello PING"] * 20


def test_closed_engine_gives_its_ports_back(listening: tuple[FakeEngine, str, int]) -> None:
    engine, _, port = listening
    engine.close()
    with pytest.raises(ConnectionRefusedError):
        converse(port, b"ping")


def test_paused_container_keeps_quiet(listening: tuple[FakeEngine, str, int]) -> None:
    engine, container, port = listening
    engine.advance(10)
    engine.pause(container)
    with socket.create_connection(("127.0.0.1", port), timeout=0.2) as connection, pytest.raises(TimeoutError):
        connection.recv(1)
    engine.unpause(container)
    assert converse(port, b"ping") == b"hello PING"
