"""A proxy before the engine's socket that passes everything through, and goes wrong once, where it is told to.

In a suite's own process it is a context manager; ``python -m tests.guarantees.proxy --listen PATH --fault JSON`` runs
one of its own. Each connection carries one request (answers close it), so a fault hits exactly the call it is meant
for. Whoever needs a call carried out although its caller is dead uses ``delay``, ``drop`` or one of the kills: in
those the request is sent to the engine whatever becomes of the client.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from .faults import MESSAGES, Call, Fault
from .wire import (
    CHUNK,
    PeerGone,
    Request,
    cut,
    decode_body,
    make_answer,
    parse_head,
    read_head,
    read_request,
    read_status,
)

_MOST_CONNECTIONS = 128
_CONNECT_SECONDS = 5.0


class FaultProxy:
    """Listens on ``address`` and passes on to ``upstream``; a context manager that leaves no thread and no file."""

    def __init__(
        self,
        upstream: Path = Path("/var/run/docker.sock"),
        faults: Iterable[Fault] = (),
        *,
        socket_path: Path | None = None,
        only_client: int | None = None,
    ) -> None:
        self.calls: list[Call] = []
        """Every call in the order of arrival, those of a moment ago included."""
        self.faults = list(faults)
        self.only_client = only_client
        """Where set, faults count and hit the calls of this process alone."""
        self.hits = 0
        """How many calls were hit by a fault."""
        self._upstream = str(upstream)
        self._folder = None if socket_path else tempfile.TemporaryDirectory(prefix="envspin-proxy-")
        self.path = socket_path or Path(self._folder.name if self._folder else "") / "engine.sock"
        self._lock = threading.Lock()  # guards all that follows, and calls, faults' counts and hits
        self._seen: Counter[Fault] = Counter()
        self._kinds: Counter[str] = Counter()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._slots = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._closing = threading.Event()

    @property
    def address(self) -> str:
        """What ``DOCKER_HOST`` is set to."""
        return f"unix://{self.path}"

    def __enter__(self) -> Self:
        self._listen()
        self._accepting = threading.Thread(target=self._accept, name="proxy-accept", daemon=True)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Sever every connection and end every thread; requests that were to be sent later are not sent."""
        self._closing.set()
        self._sever()
        if self._accepting is not None:
            self._accepting.join()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()
        self._sever()  # `away` may just have come back
        if self._folder is not None:
            self._folder.cleanup()
        else:
            self.path.unlink(missing_ok=True)

    def arm(self, fault: Fault) -> None:
        """Have one more fault, whose calls count from now on."""
        with self._lock:
            self.faults.append(fault)

    def list_calls(self) -> list[Call]:
        """Return a copy of the record."""
        with self._lock:
            return list(self.calls)

    def is_idle(self) -> bool:
        """Tell whether no call is under way."""
        with self._lock:
            return not self._threads

    def _listen(self) -> None:
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self.path))
        listener.listen(_MOST_CONNECTIONS)
        with self._lock:
            self._listener = listener

    def _accept(self) -> None:
        while not self._closing.is_set():
            listener = self._listener
            try:
                if listener is None:
                    raise OSError  # noqa: TRY301 - away: see below
                client, _ = listener.accept()
            except OSError:
                # Closed by `away`, which opens another one, or by `close`.
                self._closing.wait(0.01)
                continue
            self._slots.acquire()
            thread = threading.Thread(target=self._serve, args=(client,), name="proxy-call", daemon=True)
            with self._lock:
                self._threads.add(thread)
                self._open.add(client)
            thread.start()

    def _sever(self) -> None:
        with self._lock:
            listener, self._listener = self._listener, None
            connections = list(self._open)
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listener.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads; it closes

    def _serve(self, client: socket.socket) -> None:
        try:
            with suppress(OSError, PeerGone):
                self._require_open()
                request = read_request(client)
                if request is not None:
                    self._handle(client, request, _read_peer(client))
        finally:
            with self._lock:
                self._open.discard(client)
                self._threads.discard(threading.current_thread())
            client.close()
            self._slots.release()

    def _handle(self, client: socket.socket, request: Request, peer: int) -> None:
        call, fault = self._record(request, peer)
        try:
            if fault is None:
                self._pass_through(client, request, call)
            else:
                self._go_wrong(client, request, call, fault)
        finally:
            call.ended = time.monotonic()

    def _record(self, request: Request, peer: int) -> tuple[Call, Fault | None]:
        with self._lock:
            kind = f"{request.method} {request.template}"
            self._kinds[kind] += 1
            number, occurrence = len(self.calls) + 1, self._kinds[kind]
            call = Call.of(request, number=number, occurrence=occurrence, client=peer)
            self.calls.append(call)
            hit = None
            if self.only_client in {None, peer}:
                for fault in self.faults:
                    if fault.matches(request):
                        self._seen[fault] += 1
                        if fault.occurrence <= self._seen[fault] < fault.occurrence + fault.times:
                            hit = hit or fault
            if hit is not None:
                self.hits += 1
                call.fault = hit.kind
            return call, hit

    def _go_wrong(self, client: socket.socket, request: Request, call: Call, fault: Fault) -> None:
        if fault.kind in MESSAGES:
            client.sendall(make_answer(*MESSAGES[fault.kind]))
        elif fault.kind == "hang":
            while client.recv(CHUNK):  # until the client has had enough
                pass
        elif fault.kind == "away":
            self._go_away(client, fault.seconds)
        elif fault.kind != "refuse":
            answer = self._carry_out_faultily(request, call, fault)
            client.sendall(answer)

    def _carry_out_faultily(self, request: Request, call: Call, fault: Fault) -> bytes:
        """Send a request to the engine, with a kill or a wait beside it; return what the client gets to read."""
        if fault.kind == "kill-before":
            _kill(fault.owner or call.client)
        if fault.kind == "delay" and self._closing.wait(fault.seconds):
            return b""
        head, body = self._carry_out(request, call)
        if fault.kind == "kill-after":
            _kill(fault.owner or call.client)
        if fault.kind == "cut":
            return cut(head, body)
        return head + body if fault.kind == "delay" else b""

    def _go_away(self, client: socket.socket, seconds: float) -> None:
        """Be as an engine that restarts: every connection breaks, none is taken, until it is back."""
        with self._lock:
            self._open.discard(client)
        client.close()
        self._sever()
        if not self._closing.wait(seconds):
            self._listen()

    def _pass_through(self, client: socket.socket, request: Request, call: Call) -> None:
        upstream = self._ask(request)
        try:
            head, rest = read_head(upstream) if not request.upgrades else self._read_head_beside(client, upstream)
            if not head:
                return
            call.status = read_status(head)
            body = rest
            if request.path.endswith("/create") and "application/json" in parse_head(head)[1].get("content-type", ""):
                body = _read_rest(upstream, rest)
                call.note_made(request, decode_body(head, body))
            client.sendall(head + body)
            _relay(client, upstream, hijacked=call.status == 101 or request.upgrades)
        finally:
            self._hang_up(upstream)

    def _read_head_beside(self, client: socket.socket, upstream: socket.socket) -> tuple[bytes, bytes]:
        """Read the answer's head while the client may already be sending on the connection it will have."""
        while True:
            ready, _, _ = select.select([client, upstream], [], [])
            if upstream in ready:
                return read_head(upstream)
            data = client.recv(CHUNK)
            if not data:
                return b"", b""
            upstream.sendall(data)

    def _carry_out(self, request: Request, call: Call) -> tuple[bytes, bytes]:
        """Send the request whatever becomes of its client; return the whole answer (of an endless one, the head)."""
        upstream = self._ask(request)
        try:
            head, rest = read_head(upstream)
            if not head:
                return b"", b""
            call.status = read_status(head)
            body = rest if request.is_endless else _read_rest(upstream, rest)
            call.note_made(request, decode_body(head, body))
            return head, body
        finally:
            self._hang_up(upstream)

    def _ask(self, request: Request) -> socket.socket:
        upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with self._lock:
            self._open.add(upstream)
        try:
            upstream.settimeout(_CONNECT_SECONDS)
            upstream.connect(self._upstream)
            upstream.settimeout(None)
            self._require_open()
            upstream.sendall(request.encode())
        except BaseException:
            self._hang_up(upstream)
            raise
        return upstream

    def _require_open(self) -> None:
        """Raise PeerGone where ``close`` has begun: it severed only those connections that stood then."""
        if self._closing.is_set():
            raise PeerGone

    def _hang_up(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)
        connection.close()


def _relay(client: socket.socket, upstream: socket.socket, *, hijacked: bool) -> None:
    """Copy both ways until the engine closes, or the client does where the connection is no dialogue."""
    watched = [client, upstream]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if upstream in ready:
            data = upstream.recv(CHUNK)
            if not data:
                return
            client.sendall(data)
        elif client in ready:
            data = client.recv(CHUNK)
            if data:
                upstream.sendall(data)
            elif hijacked:
                upstream.shutdown(socket.SHUT_WR)
                watched = [upstream]
            else:
                return


def _read_rest(upstream: socket.socket, data: bytes) -> bytes:
    parts = [data]
    while more := upstream.recv(CHUNK):
        parts.append(more)
    return b"".join(parts)


def _read_peer(client: socket.socket) -> int:
    size = struct.calcsize("3i")
    return int(struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0])


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Run a proxy until SIGTERM or SIGINT; its calls go to ``--record`` as lines of JSON at the end."""
    parser = argparse.ArgumentParser(prog="python -m tests.guarantees.proxy", description=main.__doc__)
    parser.add_argument("--listen", type=Path, required=True, help="where its socket is made")
    parser.add_argument("--upstream", type=Path, default=Path("/var/run/docker.sock"), help="the engine's socket")
    parser.add_argument("--fault", action="append", default=[], help="the fields of a Fault as JSON; may repeat")
    parser.add_argument("--record", type=Path, help="a file for the calls")
    options = parser.parse_args()
    ended = threading.Event()
    finish: Callable[[int, object], None] = lambda _number, _frame: ended.set()  # noqa: E731 - two signals, one answer
    signal.signal(signal.SIGTERM, finish)
    signal.signal(signal.SIGINT, finish)
    faults = [Fault(**json.loads(text)) for text in options.fault]
    with FaultProxy(options.upstream, faults, socket_path=options.listen) as proxy:
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        ended.wait()
        calls = proxy.list_calls()
    if options.record is not None:
        options.record.write_text("".join(json.dumps(asdict(call)) + "\n" for call in calls), encoding="utf-8")


if __name__ == "__main__":
    main()
