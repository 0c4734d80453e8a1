"""Whatever a port answers, a probe is ready, not ready or hopeless: no other exception leaves it, and none hangs."""

from __future__ import annotations

import random
import struct
import time

import h2.config
import h2.connection
import pytest

from envspin.model import AmqpProbe, GrpcProbe, HttpProbe, MysqlProbe, PostgresProbe, Probe, RedisProbe, TcpProbe
from envspin.run.probes import Hopeless, NotReady, make_prober

from .support import FakeTarget, MakeTarget, Peer, Serve

SEED = 20260117


def pg(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def amqp(method: int, arguments: bytes) -> bytes:
    payload = struct.pack("!HH", 10, method) + arguments
    return struct.pack("!BHI", 1, 0, len(payload)) + payload + b"\xce"


def make_grpc_answer() -> bytes:
    """Let a real HTTP/2 server answer a canned call."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    fields = [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "x")]
    client.send_headers(1, fields, end_stream=True)
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    server.receive_data(client.data_to_send())
    server.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
    server.send_data(1, b"\0\0\0\0\2\x08\x01")
    server.send_headers(1, [("grpc-status", "0")], end_stream=True)
    return server.data_to_send()


AMQP_OPENING = (
    amqp(10, b"\0\x09" + struct.pack("!I", 0) + struct.pack("!I", 5) + b"PLAIN" + struct.pack("!I", 5) + b"en_US")
    + amqp(30, struct.pack("!HIH", 2047, 131072, 60))
    + amqp(41, b"\0")
)
POSTGRES_LOGIN = pg(b"R", struct.pack("!i", 0)) + pg(b"S", b"a\0b\0") + pg(b"Z", b"I")
POSTGRES_ROW = pg(b"T", b"\0\1") + pg(b"D", b"\0\1\0\0\0\0011") + pg(b"C", b"SELECT 1\0") + pg(b"Z", b"I")
HTTP_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"

SPECS: dict[str, Probe] = {
    "postgres": PostgresProbe(port=1, password="s3cret"),
    "mysql": MysqlProbe(port=1),
    "redis": RedisProbe(port=1),
    "amqp": AmqpProbe(port=1),
    "grpc": GrpcProbe(port=1),
    "http": HttpProbe(port=1, body="body"),
}
ANSWERS = {
    "postgres": POSTGRES_LOGIN + POSTGRES_ROW,
    "mysql": b"\x0b\0\0\0\x0a10.11.6\0\1\0",
    "redis": b"+PONG\r\n",
    "amqp": AMQP_OPENING,
    "grpc": make_grpc_answer(),
    "http": HTTP_HEAD + b"body",
}
every_protocol = pytest.mark.parametrize("name", list(SPECS))


def ask(name: str, target: FakeTarget, remaining: float = 1.0) -> str | None:
    """Check once; return None when ready, else the reason."""
    try:
        make_prober(SPECS[name], target).check(remaining)
    except (NotReady, Hopeless) as error:
        reason = str(error)
    else:
        return None
    assert reason
    assert reason.isprintable()
    return reason


@every_protocol
def test_a_whole_answer_is_ready_and_every_beginning_of_it_is_not(
    name: str, serve: Serve, make_target: MakeTarget
) -> None:
    answer = ANSWERS[name]
    sent: list[bytes] = []
    target = make_target(serve(lambda peer: peer.end(sent[-1])).port)
    outcomes = []
    for length in range(len(answer) + 1):
        sent.append(answer[:length])
        outcomes.append(ask(name, target) is None)
    assert outcomes[-1]
    assert not any(outcomes[:-1])


@every_protocol
def test_damaged_answers_are_never_a_foreign_exception(name: str, serve: Serve, make_target: MakeTarget) -> None:
    """A seeded third of the bytes may change, be lost or be doubled."""
    randomness = random.Random(SEED)
    answer = ANSWERS[name]
    sent: list[bytes] = []
    target = make_target(serve(lambda peer: peer.end(sent[-1])).port)
    for _ in range(150):
        damaged = bytearray(answer)
        for _ in range(randomness.randint(1, max(1, len(answer) // 3))):
            where = randomness.randrange(len(damaged))
            choice = randomness.random()
            if choice < 0.6:
                damaged[where] = randomness.randrange(256)
            elif choice < 0.8 and len(damaged) > 1:
                del damaged[where]
            else:
                damaged.insert(where, damaged[where])
        sent.append(bytes(damaged))
        ask(name, target)


@every_protocol
def test_noise_is_not_ready(name: str, serve: Serve, make_target: MakeTarget) -> None:
    randomness = random.Random(SEED)
    sent: list[bytes] = []
    target = make_target(serve(lambda peer: peer.end(sent[-1])).port)
    noises = [randomness.randbytes(randomness.randint(1, 400)) for _ in range(60)]
    noises += [b"\0" * 4096, b"\xff" * 4096, b"HTTP/1.0 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"-\r\n"]
    for noise in noises:
        sent.append(noise)
        assert ask(name, target) is not None


@every_protocol
def test_a_connection_that_is_closed_at_once_is_not_ready(name: str, serve: Serve, make_target: MakeTarget) -> None:
    """So does an engine's port proxy before anything listens behind it."""
    target = make_target(serve(lambda peer: None).port)
    assert "connection" in str(ask(name, target))


@every_protocol
def test_a_connection_that_is_reset_is_not_ready(name: str, serve: Serve, make_target: MakeTarget) -> None:
    target = make_target(serve(lambda peer: peer.reset()).port)
    assert "connection" in str(ask(name, target))


@every_protocol
def test_a_silent_server_is_not_ready(name: str, serve: Serve, make_target: MakeTarget) -> None:
    target = make_target(serve(lambda peer: peer.drain()).port)
    assert ask(name, target, remaining=0.05) == "port 1 accepts, but has not answered within 0.05 s"


@every_protocol
def test_a_server_that_drips_cannot_hold_a_check(name: str, serve: Serve, make_target: MakeTarget) -> None:
    """One byte at a time, each well within the time limit of a single read."""

    def drip(peer: Peer) -> None:
        while True:
            peer.send(ANSWERS[name][:1])
            time.sleep(0.01)

    reason = str(ask(name, make_target(serve(drip).port), remaining=0.2))
    assert "within 0.2 s" in reason or "did not answer in" in reason


@every_protocol
def test_a_server_that_floods_cannot_fill_the_memory(name: str, serve: Serve, make_target: MakeTarget) -> None:
    def flood(peer: Peer) -> None:
        while True:
            peer.send(b"A" * 65536)

    assert ask(name, make_target(serve(flood).port))


@pytest.mark.parametrize("name", ["tcp", *SPECS])
def test_a_refused_connection_is_not_ready(name: str, free_port: int, make_target: MakeTarget) -> None:
    spec = SPECS.get(name, TcpProbe(port=1))
    with pytest.raises(NotReady, match=r"^port 1 refuses connections$"):
        make_prober(spec, make_target(free_port)).check()


@pytest.mark.parametrize("address", [("no such host.invalid", 80), ("127.0.0.1", 99999), ("\udcff", 80), ("", 0)])
def test_an_address_that_cannot_be_is_not_ready(address: tuple[str, int]) -> None:
    class Lost(FakeTarget):
        def address(self, port: int) -> tuple[str, int]:
            return address

    with pytest.raises(NotReady):
        make_prober(TcpProbe(port=80), Lost()).check(1.0)
