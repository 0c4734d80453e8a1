"""A registry of a few lines on a real socket: it keeps what tests push, counts requests, and misbehaves as told."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def hash_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    missing: int = 0
    """Bytes that Content-Length promises and that do not come."""
    silence: threading.Event | None = None
    """Set when the answer may come."""
    is_dropped: bool = False
    """The connection ends without a word."""


def fail(status: int, code: str = "", **headers: str) -> Reply:
    """Refuse as the distribution specification words it."""
    body = json.dumps({"errors": [{"code": code, "message": "words of the server"}]}).encode() if code else b"<html>"
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


Handler = Callable[[Seen], Reply | None]


@dataclass(frozen=True)
class Pushed:
    digest: str
    body: bytes
    config: str = ""
    size: int = 0
    media_type: str = OCI_MANIFEST

    def describe(self, platform: str | None, **more: object) -> dict[str, Any]:
        entry: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": len(self.body), **more}
        if platform is not None:
            entry["platform"] = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
        return entry


class Registry:
    """``handlers`` may answer before the store does, in their order; None leaves it to the next."""

    def __init__(self, context: Any = None) -> None:
        self.seen: list[Seen] = []
        self.handlers: list[Handler] = []
        self.gives_digest = True
        self.hangs_up: str | None = None
        """How connections that begin with TLS end: None lets them be, or ``end`` or ``reset``."""
        self.hang_ups = 0
        self._store: dict[str, tuple[str, bytes]] = {}
        registry = self

        class Handling(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                registry.handle(self)

            do_GET = do_HEAD = do_POST = answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request: Any, client_address: Any) -> None:
                with suppress(OSError):  # a client that hangs up, or does not trust us
                    if registry.hang_up(request):
                        return
                    if context is not None:
                        request = context.wrap_socket(request, server_side=True)
                    with request:
                        super().finish_request(request, client_address)

            def shutdown_request(self, request: Any) -> None:
                self.close_request(request)

        self._server = Server(("127.0.0.1", 0), Handling)
        self.port: int = self._server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if context else 'http'}://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def hang_up(self, connection: socket.socket) -> bool:
        """End a connection that begins with TLS, if told so: what is left unread makes it a reset."""
        if self.hangs_up is None or connection.recv(1, socket.MSG_PEEK) != b"\x16":
            return False
        self.hang_ups += 1
        if self.hangs_up == "end":
            connection.recv(1 << 16)
        return True

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        seen = Seen(request.command, request.path, dict(request.headers.items()), body)
        self.seen.append(seen)
        reply = next((reply for each in self.handlers if (reply := each(seen)) is not None), None) or self._look_up(
            seen
        )
        if reply.silence is not None:
            reply.silence.wait()
        if reply.is_dropped:
            request.close_connection = True
            return
        request.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body) + reply.missing), **reply.headers}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(reply.body)
        if reply.missing:
            request.close_connection = True

    def _look_up(self, seen: Seen) -> Reply:
        if seen.path not in self._store:
            return fail(404, "MANIFEST_UNKNOWN")
        content_type, body = self._store[seen.path]
        digest = {"Docker-Content-Digest": hash_of(body)} if self.gives_digest else {}
        return Reply(200, {"Content-Type": content_type, **digest}, body)

    def put(self, path: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        self._store[path] = (content_type, body)

    def push(self, repository: str, tag: str | None, document: object, media_type: str) -> Pushed:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = hash_of(body)
        for name in filter(None, (tag, digest)):
            self.put(f"/v2/{repository}/manifests/{name}", body, media_type)
        return Pushed(digest, body, media_type=media_type)

    def push_image(
        self,
        repository: str,
        tag: str | None = None,
        platform: str = "linux/amd64",
        layers: Iterable[int] = (1000, 234),
        media_type: str = OCI_MANIFEST,
    ) -> Pushed:
        names = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
        config = json.dumps({**names, "rootfs": {}}).encode()
        self.put(f"/v2/{repository}/blobs/{hash_of(config)}", config)
        document = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {"mediaType": OCI_CONFIG, "digest": hash_of(config), "size": len(config)},
            "layers": [
                {"mediaType": "application/octet-stream", "digest": hash_of(bytes(size)), "size": size}
                for size in layers
            ],
        }
        pushed = self.push(repository, tag, document, media_type)
        return Pushed(pushed.digest, pushed.body, hash_of(config), len(config) + sum(layers), media_type)

    def push_index(
        self, repository: str, tag: str, entries: list[dict[str, Any]], media_type: str = OCI_INDEX
    ) -> Pushed:
        document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
        return self.push(repository, tag, document, media_type)

    def script(self, part: str, *replies: Reply, method: str | None = None) -> None:
        """Answer requests whose path contains ``part`` with these, one after the other, then as if unscripted."""
        left = list(replies)

        def answer(seen: Seen) -> Reply | None:
            return left.pop(0) if left and part in seen.path and method in {None, seen.method} else None

        self.handlers.append(answer)

    def always(self, part: str, reply: Reply, method: str | None = None) -> None:
        self.handlers.append(lambda seen: reply if part in seen.path and method in {None, seen.method} else None)

    @property
    def methods(self) -> list[str]:
        return [seen.method for seen in self.seen]

    def count(self, part: str) -> int:
        return sum(part in seen.path for seen in self.seen)
