"""Ready when ``grpc.health.v1.Health/Check`` says SERVING, over HTTP/2 without TLS (the gRPC health protocol).

Spoken with ``h2`` alone: the one message that is sent has one string, the one that comes back has one number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from envspin.run.probes.base import Hopeless, NotReady
from envspin.run.probes.descriptions import describe, shorten
from envspin.run.probes.wire import ConnectionLost, Conversation

if TYPE_CHECKING:
    from envspin.model import GrpcProbe
    from envspin.run.probes.base import Target
    from envspin.run.probes.wire import Connection

PATH = "/grpc.health.v1.Health/Check"
STREAM = 1
LARGEST_REPLY = 4096

OK = "0"
NOT_FOUND = "5"
UNIMPLEMENTED = "12"

HEALTH = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
SERVING = 1
STATUS_FIELD = 0x08
"""Protobuf's key of field 1 as a varint."""

MORE_FOLLOWS = 0x80
"""The bit of a varint's byte that says that another byte follows."""


@dataclass(slots=True)
class _Reply:
    """What has come back so far."""

    headers: dict[str, str] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    is_complete: bool = False


class GrpcProber(Conversation):
    """Makes one unary call a check."""

    protocol = "gRPC (HTTP/2 without TLS)"

    def __init__(self, probe: GrpcProbe, target: Target) -> None:
        super().__init__(target, probe.port)
        self._probe = probe

    def describe(self) -> str:
        """Say what is awaited."""
        return describe(self._probe)

    def converse(self, connection: Connection) -> None:
        """Return if the reply says SERVING."""
        try:
            reply = self._call(connection)
        except h2.exceptions.H2Error as error:
            raise NotReady(f"port {connection.port} did not answer in {self.protocol}") from error
        self._judge(reply)

    def _call(self, connection: Connection) -> _Reply:
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        state.initiate_connection()
        host, port = self._target.address(self._port)
        state.send_headers(STREAM, _request_headers(f"{host}:{port}"))
        state.send_data(STREAM, _request(self._probe.service), end_stream=True)
        reply = _Reply()
        while not reply.is_complete:
            connection.send(state.data_to_send())
            received = connection.receive()
            if not received:
                raise ConnectionLost(f"port {connection.port} closed the connection without an answer")
            for event in state.receive_data(received):
                _take(event, reply, state)
        return reply

    def _judge(self, reply: _Reply) -> None:
        headers = reply.headers
        if headers.get(":status") != "200":
            raise NotReady(f"HTTP {headers.get(':status')} where gRPC was awaited")
        status = headers.get("grpc-status")
        if status == UNIMPLEMENTED:
            raise Hopeless(
                "the server has no grpc.health.v1.Health service; register one, or use another probe such as tcp"
            )
        if status == NOT_FOUND:
            raise NotReady(f"the health service does not know {self._probe.service or 'the server as a whole'}")
        if status != OK:
            message = shorten(unquote(headers.get("grpc-message", "")))
            raise NotReady(f"gRPC status {status or 'missing'} {message}".rstrip())
        health = _read_health(bytes(reply.data))
        if health != SERVING:
            raise NotReady(f"the health is {HEALTH.get(health, str(health))}")


def _request_headers(authority: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "envspin"),
    ]


def _request(service: str) -> bytes:
    """Return a HealthCheckRequest in gRPC's framing: not compressed, length, message."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _take(event: h2.events.Event, reply: _Reply, state: h2.connection.H2Connection) -> None:
    """Add what an event tells to the reply; trailers override headers."""
    if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
        reply.headers.update((str(name), str(value)) for name, value in event.headers or ())
    elif isinstance(event, h2.events.DataReceived):
        reply.data += event.data or b""
        if len(reply.data) > LARGEST_REPLY:
            raise ValueError("no health reply is that long")
        state.acknowledge_received_data(event.flow_controlled_length or 0, STREAM)
    elif isinstance(event, h2.events.StreamEnded):
        reply.is_complete = True
    elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated) and not reply.is_complete:
        raise NotReady(f"the server ended the call with HTTP/2 error {event.error_code}")


def _read_health(data: bytes) -> int:
    """Return the status of a framed HealthCheckResponse; protobuf leaves out a zero."""
    length = int.from_bytes(data[1:5], "big")
    message = data[5 : 5 + length]
    if data[0] != 0 or len(message) != length:
        raise ValueError("not one whole message without compression")
    if not message:
        return 0
    if message[0] != STATUS_FIELD:
        raise ValueError("not a HealthCheckResponse")
    return message[1]


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= MORE_FOLLOWS:
        encoded.append(number % MORE_FOLLOWS | MORE_FOLLOWS)
        number >>= 7
    return bytes([*encoded, number])
