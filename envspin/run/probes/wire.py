"""A TCP conversation with a service under test: bounded in time and size, and failing only with NotReady.

A per-call socket timeout does not bound a peer that drips one byte at a time, so a :class:`Connection` has one time
limit for all that is done over it.
"""

from __future__ import annotations

import socket
import struct
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from envspin.run.probes.base import CHEAP, FOREVER, NotReady

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from envspin.run.probes.base import Pace, Target

FIRST_LIMIT = 1.0
"""Seconds that a conversation may take at first."""

LONGEST_LIMIT = 4.0
"""Seconds that it may take in the end: a service that is merely slow to answer is still found ready."""

SHORTEST_LIMIT = 0.02
CHUNK = 65536
LONGEST_LINE = 8192


class NoAnswer(NotReady):
    """The time limit passed before the service had answered."""


class ConnectionLost(NotReady):
    """The peer closed or reset the connection before it had answered."""


class Connection:
    """A connected socket with one time limit for everything done over it."""

    def __init__(self, sock: socket.socket, *, port: int, limit: float, expires: float) -> None:
        self.socket = sock
        self.port = port
        self._limit = limit
        self._expires = expires

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send all of ``data``."""
        self._arm()
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise self._translate(error) from error

    def receive(self, count: int = CHUNK) -> bytes:
        """Return at least one byte and at most ``count``, or nothing when the peer has closed."""
        self._arm()
        try:
            return self.socket.recv(count)
        except OSError as error:
            raise self._translate(error) from error

    def receive_exactly(self, count: int) -> bytes:
        """Return ``count`` bytes; raise ConnectionLost when the peer closes before."""
        data = bytearray()
        while len(data) < count:
            data += self._receive_some(min(CHUNK, count - len(data)), so_far=len(data))
        return bytes(data)

    def receive_line(self) -> bytes:
        """Return one line without its line end; what follows it is lost, so use it for line-by-line dialogues."""
        data = bytearray()
        while b"\n" not in data:
            if len(data) > LONGEST_LINE:
                raise NotReady(f"port {self.port} sent a line of more than {LONGEST_LINE} bytes")
            data += self._receive_some(LONGEST_LINE, so_far=len(data))
        return bytes(data).partition(b"\n")[0].rstrip(b"\r")

    def upgrade(self, wrap: Callable[[socket.socket], socket.socket]) -> None:
        """Put another layer, such as TLS, around the socket; ``wrap`` makes its handshake."""
        self._arm()
        try:
            self.socket = wrap(self.socket)
        except OSError as error:
            raise self._translate(error) from error

    def stays_open(self, seconds: float) -> bool:
        """Tell whether the peer keeps the connection for ``seconds``, or says something before."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) != b""
        except TimeoutError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def _receive_some(self, count: int, *, so_far: int) -> bytes:
        data = self.receive(count)
        if not data:
            what = "in the middle of an answer" if so_far else "without an answer"
            raise ConnectionLost(f"port {self.port} closed the connection {what}")
        return data

    def _arm(self) -> None:
        remaining = self._expires - time.monotonic()
        if remaining <= 0:
            raise self._no_answer()
        self.socket.settimeout(remaining)

    def _no_answer(self) -> NoAnswer:
        return NoAnswer(f"port {self.port} accepts, but has not answered within {self._limit:.2g} s")

    def _translate(self, error: OSError) -> NotReady:
        if isinstance(error, TimeoutError):
            return self._no_answer()
        if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
            return ConnectionLost(f"port {self.port} reset the connection without an answer")
        return NotReady(f"port {self.port}: {describe_os_error(error)}")


def dial(target: Target, port: int, limit: float) -> Connection:
    """Connect to a container port; connection and conversation together have ``limit`` seconds."""
    limit = max(limit, SHORTEST_LIMIT)
    expires = time.monotonic() + limit
    address = target.address(port)
    try:
        sock = socket.create_connection(address, timeout=limit)
    except TimeoutError as error:
        raise NoAnswer(f"port {port} does not accept a connection within {limit:.2g} s") from error
    except ConnectionRefusedError as error:
        raise NotReady(f"port {port} refuses connections") from error
    except (OSError, OverflowError, UnicodeError) as error:
        raise NotReady(f"port {port} is not reachable: {describe_os_error(error)}") from error
    return _reject_own_echo(sock, port=port, limit=limit, expires=expires)


def describe_os_error(error: Exception) -> str:
    """Return the system's text in lower case, without numbers."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text or type(error).__name__).lower()


def _reject_own_echo(sock: socket.socket, *, port: int, limit: float, expires: float) -> Connection:
    """Refuse a socket that is connected to itself.

    Connecting over and over to a loopback port that nobody listens on sooner or later picks that very port as the
    source, and TCP's simultaneous open then joins the socket with itself: an accepted connection without a server.
    """
    try:
        is_own_echo = sock.getsockname() == sock.getpeername()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        sock.close()
        raise ConnectionLost(f"port {port} reset the connection at once") from error
    if is_own_echo:
        sock.close()
        raise NotReady(f"port {port} refuses connections")
    return Connection(sock, port=port, limit=limit, expires=expires)


class Conversation(ABC):
    """A prober that opens a connection for each check and talks a protocol over it.

    The time limit starts at a second, so that a service that accepts and hangs is tried again soon. When it proves too
    short it doubles, up to a few seconds: a service may simply need that long for its first answers.
    """

    pace: Pace = CHEAP
    protocol = ""
    """The protocol's name, for the reason why an answer cannot be read."""

    def __init__(self, target: Target, port: int) -> None:
        self._target = target
        self._port = port
        self._limit = FIRST_LIMIT

    @abstractmethod
    def describe(self) -> str:
        """Say what is awaited."""

    @abstractmethod
    def converse(self, connection: Connection) -> None:
        """Talk; return when ready, raise NotReady otherwise.

        An answer that cannot be parsed may raise ValueError, LookupError or struct.error: it is no answer in the
        awaited protocol, which the caller turns into NotReady.
        """

    def check(self, remaining: float = FOREVER) -> None:
        """Connect, converse and hang up."""
        try:
            with dial(self._target, self._port, min(self._limit, remaining)) as connection:
                self.converse(connection)
        except NoAnswer:
            if self._limit <= remaining:
                self._limit = min(2 * self._limit, LONGEST_LIMIT)
            raise
        except (ValueError, LookupError, struct.error) as error:
            raise NotReady(f"port {self._port} did not answer in {self.protocol}") from error

    def close(self) -> None:  # noqa: B027 - most conversations have nothing to close
        """Do nothing: no connection outlives its check."""
