from __future__ import annotations

import socket

import pytest

from envspin.model import TcpProbe
from envspin.run.probes import NotReady
from envspin.run.probes.wire import FIRST_LIMIT, LONGEST_LIMIT, Connection, Conversation, NoAnswer

from .support import Check, MakeTarget, Serve


def test_the_containers_own_address_proves_a_listener_by_accepting(
    serve: Serve, make_target: MakeTarget, check: Check
) -> None:
    check(TcpProbe(port=80), make_target(serve(lambda peer: None).port))


def test_behind_a_proxy_a_connection_that_ends_proves_nothing(
    serve: Serve, make_target: MakeTarget, check: Check
) -> None:
    target = make_target(serve(lambda peer: None).port, is_direct=False)
    with pytest.raises(NotReady, match="port 80 closes connections at once"):
        check(TcpProbe(port=80), target)


def test_behind_a_proxy_a_connection_that_is_reset_proves_nothing(
    serve: Serve, make_target: MakeTarget, check: Check
) -> None:
    target = make_target(serve(lambda peer: peer.reset()).port, is_direct=False)
    with pytest.raises(NotReady, match="port 80"):
        check(TcpProbe(port=80), target)


def test_behind_a_proxy_a_connection_that_stays_is_ready(serve: Serve, make_target: MakeTarget, check: Check) -> None:
    check(TcpProbe(port=80), make_target(serve(lambda peer: peer.drain()).port, is_direct=False))


def test_behind_a_proxy_a_server_that_speaks_is_ready(serve: Serve, make_target: MakeTarget, check: Check) -> None:
    check(TcpProbe(port=80), make_target(serve(lambda peer: peer.end(b"220 hello\r\n")).port, is_direct=False))


def test_a_socket_connected_to_itself_is_no_server(
    free_port: int, make_target: MakeTarget, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TCP's simultaneous open, provoked: the client's own port is the one that it connects to."""

    def connect_to_itself(address: tuple[str, int], timeout: float) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        return sock

    monkeypatch.setattr(socket, "create_connection", connect_to_itself)
    with pytest.raises(NotReady, match="refuses connections"):
        check(TcpProbe(port=80), make_target(free_port))


class Slow(Conversation):
    """A conversation in which the server never says anything; notes the limits that it was given."""

    def describe(self) -> str:
        return "an answer"

    def converse(self, connection: Connection) -> None:
        raise NoAnswer("nothing came")


def test_a_time_limit_that_proves_too_short_is_doubled_up_to_a_few_seconds(
    serve: Serve, make_target: MakeTarget
) -> None:
    prober = Slow(make_target(serve(lambda peer: peer.drain()).port), 80)
    limits: list[float] = []
    for _ in range(5):
        limits.append(prober._limit)
        with pytest.raises(NoAnswer):
            prober.check()
    assert limits == [FIRST_LIMIT, 2.0, LONGEST_LIMIT, LONGEST_LIMIT, LONGEST_LIMIT]


def test_a_time_limit_cut_by_the_deadline_proves_nothing(serve: Serve, make_target: MakeTarget) -> None:
    prober = Slow(make_target(serve(lambda peer: peer.drain()).port), 80)
    with pytest.raises(NoAnswer):
        prober.check(remaining=0.1)
    assert prober._limit == FIRST_LIMIT
