"""Ready when an AMQP 0-9-1 broker (RabbitMQ) opens a connection to the virtual host."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from envspin.run.probes.base import NotReady, Refused
from envspin.run.probes.descriptions import decode, describe
from envspin.run.probes.wire import ConnectionLost, Conversation

if TYPE_CHECKING:
    from envspin.model import AmqpProbe
    from envspin.run.probes.base import Target
    from envspin.run.probes.wire import Connection

PROTOCOL_HEADER = b"AMQP\0\0\x09\x01"
METHOD_FRAME = 1
HEARTBEAT_FRAME = 8
FRAME_END = 0xCE
LARGEST_FRAME = 1 << 20
CONNECTION_CLASS = 10

START = 10
START_OK = 11
TUNE = 30
TUNE_OK = 31
OPEN = 40
OPEN_OK = 41
CLOSE = 50
CLOSE_OK = 51

REPLY_SUCCESS = 200
CAPABILITY = "authentication_failure_close"
"""Makes the broker say why it refuses a login, where it would only hang up otherwise."""


class AmqpProber(Conversation):
    """Walks through the whole opening, then closes politely.

    A refused login or an unknown virtual host is not taken as final: definitions may be imported after the start. The
    broker's own words are the reason.
    """

    protocol = "AMQP 0-9-1"

    def __init__(self, probe: AmqpProbe, target: Target) -> None:
        super().__init__(target, probe.port)
        self._probe = probe

    def describe(self) -> str:
        """Say what is awaited."""
        return describe(self._probe)

    def converse(self, connection: Connection) -> None:
        """Return when the broker has opened the connection to the virtual host."""
        connection.send(PROTOCOL_HEADER)
        _await_method(connection, START)
        connection.send(_method(START_OK, self._start_ok()))
        tuning = _await_method(connection, TUNE)
        channels, frame_size, _ = struct.unpack_from("!HIH", tuning)
        connection.send(_method(TUNE_OK, struct.pack("!HIH", channels, frame_size, 0)))
        connection.send(_method(OPEN, _short(self._probe.vhost) + _short("") + b"\0"))
        _await_method(connection, OPEN_OK)
        _close(connection)

    def _start_ok(self) -> bytes:
        capabilities = _short(CAPABILITY) + b"t\x01"
        properties = _short("capabilities") + b"F" + _long(capabilities)
        properties += _short("product") + b"S" + _long(b"envspin")
        login = f"\0{self._probe.user}\0{self._probe.password}".encode()
        return _long(properties) + _short("PLAIN") + _long(login) + _short("en_US")


def _close(connection: Connection) -> None:
    """Say goodbye and wait for the answer; a hang-up would be a warning in the broker's log.

    The broker has proved ready by now, so one that hangs up first is no failure.
    """
    try:
        connection.send(_method(CLOSE, struct.pack("!H", REPLY_SUCCESS) + _short("") + struct.pack("!HH", 0, 0)))
        _await_method(connection, CLOSE_OK)
    except ConnectionLost:
        return


def _await_method(connection: Connection, method: int) -> bytes:
    """Return the arguments of the next connection method, which must be ``method``; skip heartbeats."""
    while True:
        kind, payload = _read_frame(connection)
        if kind != HEARTBEAT_FRAME:
            break
    class_id, method_id = struct.unpack_from("!HH", payload)
    if kind != METHOD_FRAME or class_id != CONNECTION_CLASS:
        raise ValueError("not a method of the class connection")
    if method_id == CLOSE:
        raise Refused(_describe_close(payload[4:]))
    if method_id != method:
        raise ValueError("not the method that comes next")
    return payload[4:]


def _read_frame(connection: Connection) -> tuple[int, bytes]:
    header = connection.receive_exactly(7)
    if header[:4] == b"AMQP":
        raise NotReady("the broker speaks another version of AMQP than 0-9-1")
    kind, _channel, size = struct.unpack("!BHI", header)
    if size > LARGEST_FRAME:
        raise ValueError("no frame of an opening is that long")
    data = connection.receive_exactly(size + 1)
    if data[size] != FRAME_END:
        raise ValueError("the frame does not end where it should")
    return kind, data[:size]


def _describe_close(arguments: bytes) -> str:
    """Return ``text (code)`` of a Connection.Close."""
    code, length = struct.unpack_from("!HB", arguments)
    return f"{decode(arguments[3 : 3 + length])} ({code})"


def _method(method: int, arguments: bytes) -> bytes:
    payload = struct.pack("!HH", CONNECTION_CLASS, method) + arguments
    return struct.pack("!BHI", METHOD_FRAME, 0, len(payload)) + payload + bytes([FRAME_END])


def _short(text: str) -> bytes:
    data = text.encode()[:255]
    return bytes([len(data)]) + data


def _long(data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + data
