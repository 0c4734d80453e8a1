"""Ready when PostgreSQL answers ``SELECT 1`` over TCP (frontend/backend protocol 3.0).

Over TCP on purpose: images run a temporary server during their first-time setup, which listens on a Unix socket only.
A refused login is never taken as final: roles and databases may be made by a script that runs after the start, so the
server's own words are the reason until the deadline.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from typing import TYPE_CHECKING

from envspin.run.probes.base import NotReady, Refused
from envspin.run.probes.descriptions import decode, describe
from envspin.run.probes.scram import MECHANISM, Scram
from envspin.run.probes.wire import Conversation

if TYPE_CHECKING:
    from envspin.model import PostgresProbe
    from envspin.run.probes.base import Target
    from envspin.run.probes.wire import Connection

PROTOCOL_VERSION = 196608
LARGEST_MESSAGE = 1 << 20
LENGTH_ITSELF = 4
"""A message's length counts its own four bytes."""

PASSING = ("57", "53")
"""Classes of SQLSTATE that soon pass: an operator intervenes (57P03: starting up), resources are short."""

AUTH_OK = 0
AUTH_CLEARTEXT = 3
AUTH_MD5 = 5
AUTH_SASL = 10
AUTH_SASL_CONTINUE = 11
AUTH_SASL_FINAL = 12


class PostgresProber(Conversation):
    """Logs in, asks one question and says goodbye.

    The server looks whether it accepts connections before it asks for a password, so where no password is known (or
    the way of logging in is one that we do not speak) its challenge alone proves that it is up.
    """

    protocol = "PostgreSQL's protocol"

    def __init__(self, probe: PostgresProbe, target: Target) -> None:
        super().__init__(target, probe.port)
        self._probe = probe

    def describe(self) -> str:
        """Say what is awaited."""
        return describe(self._probe)

    def converse(self, connection: Connection) -> None:
        """Log in and ask; return when a row has come, or when we cannot answer the challenge."""
        connection.send(_startup_message(self._probe))
        if self._log_in(connection):
            _read_until(connection, b"Z")
            connection.send(_message(b"Q", b"SELECT 1\0"))
            _read_until(connection, b"D")
            _read_until(connection, b"Z")
            connection.send(_message(b"X", b""))

    def _log_in(self, connection: Connection) -> bool:
        """Tell whether we are in; False when the challenge is one that we cannot answer."""
        scram = Scram("", self._probe.password or "", secrets.token_hex(12))
        while True:
            body = _read_until(connection, b"R")
            (code,) = struct.unpack_from("!i", body)
            if code == AUTH_OK:
                return True
            if code == AUTH_SASL_FINAL:
                scram.verify(body[4:])
                continue
            answer = self._answer(code, body[4:], scram)
            if answer is None:
                return False
            connection.send(_message(b"p", answer))

    def _answer(self, code: int, data: bytes, scram: Scram) -> bytes | None:
        """Return the answer to a challenge; None where there is no password or no way."""
        password = self._probe.password
        if password is None:
            return None
        if code == AUTH_CLEARTEXT:
            return password.encode() + b"\0"
        if code == AUTH_MD5:
            return _hash_md5(self._probe.user, password, salt=data[:4])
        if code == AUTH_SASL and MECHANISM.encode() in data.split(b"\0"):
            first = scram.first_message()
            return MECHANISM.encode() + b"\0" + struct.pack("!i", len(first)) + first
        if code == AUTH_SASL_CONTINUE:
            return scram.answer(data)
        return None


def _startup_message(probe: PostgresProbe) -> bytes:
    parameters = {"user": probe.user, "database": probe.database or probe.user, "application_name": "envspin"}
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items())
    body = struct.pack("!i", PROTOCOL_VERSION) + pairs + b"\0"
    return struct.pack("!i", len(body) + LENGTH_ITSELF) + body


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + LENGTH_ITSELF) + body


def _read_until(connection: Connection, kind: bytes) -> bytes:
    """Return the body of the next message of a kind; an error that the server reports instead is the reason."""
    while True:
        found, length = struct.unpack("!ci", connection.receive_exactly(5))
        if not LENGTH_ITSELF <= length <= LARGEST_MESSAGE:
            raise ValueError("no PostgreSQL message is that long")
        body = connection.receive_exactly(length - LENGTH_ITSELF)
        if found == b"E":
            raise _complaint(body)
        if found == kind:
            return body


def _complaint(body: bytes) -> NotReady:
    """Return an ErrorResponse as a reason, ``message (SQLSTATE)``."""
    fields = {field[:1]: field[1:] for field in body.split(b"\0") if field}
    message, state = decode(fields.get(b"M", b"")), fields.get(b"C", b"").decode("ascii", "replace")
    kind = NotReady if state.startswith(PASSING) else Refused
    return kind(f"{message} ({state})" if state else message)


def _hash_md5(user: str, password: str, *, salt: bytes) -> bytes:
    """Return the answer to an MD5 challenge, whose algorithm the server prescribes."""
    inner = hashlib.md5(password.encode() + user.encode(), usedforsecurity=False).hexdigest()
    return b"md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest().encode() + b"\0"
