"""Real loopback ports for the in-memory engine, so that a client's socket finds what a script says listens."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from envspin.engine.fake.script import Listener

PortState = Literal["closed", "open", "frozen"]


class PublishedPort:
    """A port on 127.0.0.1, taken until ``close``; without a listener, connections to it are refused."""

    def __init__(self, listener: Listener | None, get_state: Callable[[], PortState]) -> None:
        self.listener = listener
        self.get_state = get_state
        self.connections: set[socket.socket] = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self.socket.bind(("127.0.0.1", 0))
            if listener is not None:
                self.socket.listen(128)
                self.socket.settimeout(0)
        except BaseException:
            self.socket.close()
            raise
        self.number: int = self.socket.getsockname()[1]

    def __del__(self) -> None:
        """Give the port back where an engine is dropped with its containers still there."""
        self.socket.close()

    def close_sockets(self) -> list[socket.socket]:
        """Return every socket of the port, forgetting the connections."""
        sockets = [self.socket, *self.connections]
        self.connections.clear()
        return sockets


class PortServer:
    """Serves all published ports of one engine from one thread, which lives while any port listens.

    ``_lock`` guards the selector and the ports' connections; it is held while a reply is computed, never while a
    caller of the engine waits.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._selector: selectors.BaseSelector | None = None
        self._wake: socket.socket | None = None
        self._listening = 0

    def publish(self, listener: Listener | None, get_state: Callable[[], PortState]) -> PublishedPort:
        """Take a free port on loopback, and serve it when it has a listener."""
        port = PublishedPort(listener, get_state)
        if listener is not None:
            with self._lock:
                self._listening += 1
                self._open_selector().register(port.socket, selectors.EVENT_READ, port)
                self._nudge()
        return port

    def withdraw(self, port: PublishedPort) -> None:
        """Give a port back and cut its connections."""
        with self._lock:
            for item in port.close_sockets():
                self._drop(item)
            if port.listener is not None:
                self._listening -= 1
                self._nudge()

    def _open_selector(self) -> selectors.BaseSelector:
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
            self._wake, waker = socket.socketpair()
            waker.settimeout(0)
            self._selector.register(waker, selectors.EVENT_READ, None)
            arguments = (self._selector, waker)
            threading.Thread(target=self._serve, args=arguments, name="envspin-fake-ports", daemon=True).start()
        return self._selector

    def _nudge(self) -> None:
        if self._wake is not None:
            self._wake.send(b".")

    def _drop(self, item: socket.socket) -> None:
        if self._selector is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(item)
        item.close()

    def _serve(self, selector: selectors.BaseSelector, waker: socket.socket) -> None:
        while True:
            ready = selector.select()
            with self._lock:
                for key, _ in ready:
                    if key.fileobj is waker:
                        _drain(waker)
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj.fileno() >= 0:
                        self._handle(key.fileobj, key.data)
                if self._listening == 0:
                    self._shut_selector(selector, waker)
                    return

    def _shut_selector(self, selector: selectors.BaseSelector, waker: socket.socket) -> None:
        if self._wake is not None:
            self._wake.close()
        waker.close()
        selector.close()
        self._selector = self._wake = None

    def _handle(self, item: socket.socket, port: PublishedPort) -> None:
        state = port.get_state()
        try:
            if item is port.socket:
                self._accept(port, state)
            else:
                self._reply(item, port, state)
        except BlockingIOError:
            return
        except OSError:
            # The client went away: its connection is all there is to clean up.
            if item is not port.socket:
                port.connections.discard(item)
                self._drop(item)

    def _accept(self, port: PublishedPort, state: PortState) -> None:
        connection, _ = port.socket.accept()
        if state == "closed" or port.listener is None:
            connection.close()
            return
        connection.settimeout(0)
        port.connections.add(connection)
        self._open_selector().register(connection, selectors.EVENT_READ, port)
        if state == "open" and port.listener.banner:
            connection.sendall(port.listener.banner)

    def _reply(self, connection: socket.socket, port: PublishedPort, state: PortState) -> None:
        received = connection.recv(65536)
        if not received:
            port.connections.discard(connection)
            self._drop(connection)
        elif state == "open" and port.listener is not None and port.listener.reply is not None:
            connection.sendall(port.listener.reply(received))


def _drain(waker: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while waker.recv(4096):
            pass
