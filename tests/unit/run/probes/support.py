"""Servers that behave as told on real sockets, containers that are what a test says, and a clock that jumps."""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence

from envspin.engine.base import ContainerInfo, ExecResult
from envspin.model import Healthcheck

PATIENCE = 20.0
"""Seconds after which a test gives up waiting for another thread."""


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    def read(self, count: int) -> bytes:
        """Return ``count`` bytes; EOFError when the client hangs up before."""
        data = b""
        while len(data) < count:
            chunk = self.socket.recv(count - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def read_until(self, end: bytes) -> bytes:
        data = b""
        while not data.endswith(end):
            data += self.read(1)
        return data

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def end(self, data: bytes = b"") -> None:
        """Send, close our direction, and read on: closing with unread input would reset the connection."""
        self.send(data)
        self.socket.shutdown(socket.SHUT_WR)
        self.drain()

    def drain(self) -> None:
        """Wait until the client hangs up."""
        while self.socket.recv(65536):
            pass

    def reset(self) -> None:
        """Close with a reset instead of an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Server:
    """Accepts on 127.0.0.1 and hands each connection to ``behave``, in a thread of its own."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._peers: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._peers.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            self.behave(Peer(sock))
        except (OSError, EOFError):
            pass
        finally:
            sock.close()

    def finish(self) -> None:
        """Accept no more, and wait until every connection has been served."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def close(self) -> None:
        """Cut what is still connected, and finish."""
        for sock in self._peers:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self.finish()


class FakeTarget:
    """A container whose every property is a field."""

    def __init__(self, port: int | None = None, *, is_direct: bool = True, status: str = "running") -> None:
        self.port = port
        self.is_direct = is_direct
        self.status = status
        self.exit_code: int | None = None
        self.oom_killed = False
        self.effective_healthcheck: Healthcheck | None = None
        self.executed: list[tuple[tuple[str, ...], float]] = []
        self.execution: Execution = lambda _command, _timeout: ExecResult(0, "")
        self.streams: list[FakeLog] = []

    def address(self, port: int) -> tuple[str, int]:
        return "127.0.0.1", self.port or port

    def execute(self, command: Sequence[str], timeout: float) -> ExecResult:
        self.executed.append((tuple(command), timeout))
        return self.execution(command, timeout)

    def healthcheck(self) -> Healthcheck | None:
        return self.effective_healthcheck

    def state(self) -> ContainerInfo:
        return ContainerInfo(
            id="c1", name="box", image="box:1", image_id="sha256:1", labels={},
            status=self.status, exit_code=self.exit_code, oom_killed=self.oom_killed,
        )  # fmt: skip

    def log_lines(self) -> FakeLog:
        stream = FakeLog()
        self.streams.append(stream)
        return stream


class FakeLog:
    """A followed log: ``write`` adds lines and waits until they have been read, ``end`` ends it."""

    def __init__(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.is_closed = False

    def __iter__(self) -> Iterator[str]:
        while True:
            line = self._lines.get()
            if line is None:
                self._lines.task_done()
                return
            yield line
            # The reader asks for the next line, so it is done with this one.
            self._lines.task_done()

    def write(self, *lines: str) -> None:
        for line in lines:
            self._lines.put(line)
        self._lines.join()

    def end(self) -> None:
        self._lines.put(None)

    def close(self) -> None:
        self.is_closed = True
        self.end()


class FakeClock:
    """A clock that moves when somebody sleeps; it is also the cancel signal that one sleeps on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.cancel_at: float | None = None

    def __call__(self) -> float:
        return self.now

    def is_set(self) -> bool:
        return self.cancel_at is not None and self.now >= self.cancel_at

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses.append(timeout)
        end = self.now + timeout
        self.now = end if self.cancel_at is None else min(end, max(self.now, self.cancel_at))
        return self.is_set()


Behaviour = Callable[[Peer], object]
Execution = Callable[[Sequence[str], float], ExecResult]
Serve = Callable[[Behaviour], Server]
MakeTarget = type[FakeTarget]
Check = Callable[..., None]
