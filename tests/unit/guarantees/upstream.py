"""An engine for tests of the proxy: a few answers over a unix socket, and a record of who asked for what."""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

PATIENCE = 10.0


class Upstream(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers ``/echo``, ``/stream`` (goes on when told), ``/talk`` (upgraded), and creates what it is asked for."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)
        self.path = path
        self.asked: list[tuple[str, str, bytes]] = []
        self.changed = threading.Condition()
        self.go_on = threading.Event()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.go_on.set()
        self.shutdown()
        self.thread.join()
        self.server_close()

    def note(self, method: str, target: str, body: bytes) -> None:
        with self.changed:
            self.asked.append((method, target, body))
            self.changed.notify_all()

    def wait_for_call(self) -> tuple[str, str, bytes]:
        """Return the first call, waiting until it has come."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.asked, PATIENCE), "no call came"
            return self.asked[0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        self.answer(b"")

    def do_DELETE(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, body: bytes) -> None:
        self.server.note(self.command, self.path, body)
        if self.path.endswith("/talk"):
            self.talk()
        elif self.path.endswith("/stream"):
            self.stream()
        elif self.command == "DELETE":
            self.send_response(204)
            self.end_headers()
        else:
            status = 201 if "/create" in self.path else 200
            self.reply(status, body or json.dumps({"Id": "1" * 12, "text": "hello" * 20}).encode())

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nfirst\r\n")
        self.wfile.flush()
        self.server.go_on.wait(PATIENCE)
        self.wfile.write(b"6\r\nsecond\r\n0\r\n\r\n")

    def talk(self) -> None:
        self.send_response(101)
        self.send_header("Upgrade", "tcp")
        self.end_headers()
        self.wfile.flush()
        while line := self.rfile.readline():
            self.wfile.write(b"you said " + line)
            self.wfile.flush()
        self.wfile.write(b"bye\n")
        self.close_connection = True
