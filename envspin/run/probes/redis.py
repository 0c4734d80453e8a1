"""Ready when Redis (or Valkey, KeyDB, Dragonfly) answers PING."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envspin.run.probes.base import NotReady, Refused
from envspin.run.probes.descriptions import decode, describe
from envspin.run.probes.wire import Conversation

if TYPE_CHECKING:
    from envspin.model import RedisProbe
    from envspin.run.probes.base import Target
    from envspin.run.probes.wire import Connection

ANSWERS_ALL_THE_SAME = (b"-NOAUTH", b"-NOPERM")
"""Errors of a server that is up, but does not let this client do things."""

PASSING = (b"-LOADING", b"-MASTERDOWN", b"-BUSY")
"""Errors of a server that will soon answer."""

NO_PASSWORD_SET = (b"-ERR Client sent AUTH, but no password is set", b"-ERR AUTH <password> called without")
"""What servers say to a password that they do not want; older ones say it the first way, 6.0 and later the second."""


class RedisProber(Conversation):
    """Says AUTH where a password is known, then PING.

    A wrong password is not taken as final: some images set it only after the start.
    """

    protocol = "Redis' protocol"

    def __init__(self, probe: RedisProbe, target: Target) -> None:
        super().__init__(target, probe.port)
        self._probe = probe

    def describe(self) -> str:
        """Say what is awaited."""
        return describe(self._probe)

    def converse(self, connection: Connection) -> None:
        """Return when PONG has come."""
        if self._probe.password is not None:
            answer = _ask(connection, b"AUTH", self._probe.password.encode())
            if answer.startswith(b"-") and not answer.startswith(NO_PASSWORD_SET):
                raise _complaint(answer)
        answer = _ask(connection, b"PING")
        if answer == b"+PONG" or answer.startswith(ANSWERS_ALL_THE_SAME):
            return
        if answer.startswith(b"-"):
            raise _complaint(answer)
        raise ValueError("neither PONG nor an error")


def _complaint(answer: bytes) -> NotReady:
    """Return a server's error as a reason."""
    kind = NotReady if answer.startswith(PASSING) else Refused
    return kind(decode(answer[1:]))


def _ask(connection: Connection, *words: bytes) -> bytes:
    """Send a command as an array of bulk strings and return its one-line answer."""
    parts = [b"*%d\r\n" % len(words), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)]
    connection.send(b"".join(parts))
    return connection.receive_line()
