"""An engine's side of the wire, on a unix socket: it answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import json
import re
import socketserver
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from itertools import groupby
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Reply:
    """An answer; ``cut`` leaves its last bytes out, ``is_dropped`` leaves out all of it, ``hangs`` never gives it."""

    status: int = 200
    body: Any = None
    cut: int = 0
    is_dropped: bool = False
    hangs: bool = False
    closes: bool = False
    """Whether the body ends with the connection instead of after its length."""
    is_chunked: bool = False
    """Whether the body comes as one chunk and an end, as what an engine sends bit by bit."""

    def encode(self) -> bytes:
        content = self._encode_body()
        return b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content) if self.is_chunked else content

    def list_headers(self, content: bytes) -> dict[str, str]:
        """Say how the end of the body is known."""
        if self.is_chunked:
            return {"Transfer-Encoding": "chunked"}
        return {} if self.closes else {"Content-Length": str(len(content))}

    def _encode_body(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


DROPPED = Reply(is_dropped=True)
HANG = Reply(hangs=True)
FAILED = Reply(500, {"message": "the engine stumbled"})
CUT = Reply(200, {"Id": "0" * 64, "ApiVersion": "1.41"}, cut=20)
CUT_DOCUMENT = Reply(200, b'{"Id": "0000')
NOTHING = Reply(204)


def refuse(status: int, message: str) -> Reply:
    return Reply(status, {"message": message})


class Wire:
    """Serves until closed. Each request takes the next reply that was set for it, the last one for ever."""

    def __init__(self, path: Path) -> None:
        self.address = f"unix://{path}"
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self._replies: dict[str, deque[Reply]] = {}
        self._released = threading.Event()
        self.on(
            "GET /version", Reply(200, {"ApiVersion": "1.41", "Version": "20.10.24", "Os": "linux", "Arch": "amd64"})
        )
        self._server = _Server(str(path), _make_handler(self._answer, self._released))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def on(self, request: str, *replies: Reply) -> None:
        """Set what a request, like ``GET /containers/json``, is answered with, in turn."""
        self._replies[request] = deque(replies)

    @property
    def story(self) -> list[str]:
        """What was asked since the connection was made; what was asked several times in a row stands there once."""
        return [request for request, _ in groupby(self.requests)]

    def count(self, request: str) -> int:
        return self.requests.count(request)

    def _answer(self, request: str, body: bytes) -> Reply:
        self.requests.append(request)
        self.bodies.append(body)
        replies = self._replies.get(request)
        if replies is None:
            return Reply(501, {"message": f"nobody said what to answer to {request}"})
        return replies.popleft() if len(replies) > 1 else replies[0]

    def close(self) -> None:
        """Refuse connections from now on."""
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False


def _make_handler(answer: Callable[[str, bytes], Reply], released: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:
                self.close_connection = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = re.sub(r"^/v[\d.]+", "", self.path.partition("?")[0])
            reply = answer(f"{self.command} {path}", body)
            if reply.hangs:
                released.wait()
            if reply.hangs or reply.is_dropped:
                self.close_connection = True
                return
            content = reply.encode()
            self.send_response(reply.status)
            if reply.closes or reply.cut:
                self.send_header("Connection", "close")
                self.close_connection = True
            for header in reply.list_headers(content).items():
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(content[: len(content) - reply.cut])

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - http.server's names

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *args: object) -> None:
            pass

    return Handler
