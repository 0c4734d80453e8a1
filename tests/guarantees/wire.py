"""As much of HTTP/1.1 as a proxy needs that takes one request on each connection."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

CHUNK = 65536
END_OF_HEAD = b"\r\n\r\n"
MOST_HEAD = 1 << 20
_VERSION = re.compile(r"^/v\d+\.\d+(?=/)")
_TEMPLATES = (
    (re.compile(r"^/(containers|networks|volumes)/(?!create$|json$|prune$)[^/]+"), r"/\1/{id}"),
    (re.compile(r"^/exec/[^/]+"), "/exec/{id}"),
    (re.compile(r"^/images/(?!create$|json$|load$|get$|prune$|search$).+?(?=/(json|history|push|tag|get)$|$)"),
     "/images/{name}"),
)  # fmt: skip


class PeerGone(Exception):  # noqa: N818 - reads as what happened
    """The other side closed before its message was whole."""


@dataclass
class Request:
    """One call as it came in."""

    method: str
    target: str
    """Path and query, as sent."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """The path without the API's version."""
        return _VERSION.sub("", urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        """The query's variables; the last of each."""
        return {key: values[-1] for key, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def template(self) -> str:
        """The path with ids and names replaced: ``/containers/{id}/start``."""
        path = self.path
        for pattern, replacement in _TEMPLATES:
            path = pattern.sub(replacement, path)
        return path

    @property
    def is_endless(self) -> bool:
        """Whether its answer goes on until somebody hangs up."""
        follows = self.query.get("follow", "0").lower() in {"1", "true"}
        return self.path == "/events" or self.path.endswith("/attach") or (self.path.endswith("/logs") and follows)

    @property
    def upgrades(self) -> bool:
        """Whether it asks for the connection itself, to talk both ways."""
        return "upgrade" in self.headers.get("connection", "").lower()

    def document(self) -> dict[str, Any]:
        """Return its body as JSON; empty where it is none."""
        return read_json(self.body)

    def encode(self) -> bytes:
        """Return it as sent on: with its whole body, and the wish that the connection be closed after the answer."""
        headers = {key: value for key, value in self.headers.items() if key not in {"transfer-encoding", "expect"}}
        if not self.upgrades:
            headers["connection"] = "close"
        if self.body or self.method in {"POST", "PUT"}:
            headers["content-length"] = str(len(self.body))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
        return "\r\n".join(lines).encode("latin-1") + END_OF_HEAD + self.body


def read_json(data: bytes) -> dict[str, Any]:
    """Return a JSON object; empty where the bytes hold none."""
    try:
        document = json.loads(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def read_request(connection: socket.socket) -> Request | None:
    """Read one whole request; None where the client closes without a word."""
    head, rest = read_head(connection)
    if not head:
        return None
    first, headers = parse_head(head)
    method, target, _ = first.split(" ", 2)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _read_chunked(connection, rest)
    else:
        body = _read_exactly(connection, rest, int(headers.get("content-length", 0)))
    return Request(method, target, headers, body)


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Read up to the empty line; return the head with it, and what came after. Nothing at all gives two empties."""
    data = b""
    while END_OF_HEAD not in data:
        more = connection.recv(CHUNK)
        if not more:
            if data:
                raise PeerGone
            return b"", b""
        data += more
        if len(data) > MOST_HEAD:
            raise PeerGone
    head, _, rest = data.partition(END_OF_HEAD)
    return head + END_OF_HEAD, rest


def parse_head(head: bytes) -> tuple[str, dict[str, str]]:
    """Return the first line and the headers, by lower-case name."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


def read_status(head: bytes) -> int:
    """Return an answer's status code."""
    return int(head.split(b" ", 2)[1])


def decode_body(head: bytes, body: bytes) -> bytes:
    """Return a whole answer's body without the marks of its chunks."""
    if parse_head(head)[1].get("transfer-encoding", "").lower() != "chunked":
        return body
    content = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        content, body = content + body[:length], body[length + 2 :]
        if not length:
            break
    return content


def make_answer(status: int, message: str) -> bytes:
    """Return an error as the engine words one."""
    body = json.dumps({"message": message}).encode()
    head = f"HTTP/1.1 {status} Fault\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def cut(head: bytes, body: bytes) -> bytes:
    """Return the first half of an answer whose head promises the whole; half the head where there is no body."""
    if not body:
        return head[: len(head) // 2]
    return head + body[: len(body) // 2]


def _read_exactly(connection: socket.socket, data: bytes, length: int) -> bytes:
    parts, missing = [data], length - len(data)
    while missing > 0:
        more = connection.recv(min(CHUNK, missing))
        if not more:
            raise PeerGone
        parts.append(more)
        missing -= len(more)
    return b"".join(parts)


def _read_chunked(connection: socket.socket, data: bytes) -> bytes:
    content = b""
    while True:
        while b"\r\n" not in data:
            data += _read_some(connection)
        size, _, data = data.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        while len(data) < length + 2:
            data += _read_some(connection)
        content, data = content + data[:length], data[length + 2 :]
        if not length:
            return content


def _read_some(connection: socket.socket) -> bytes:
    more = connection.recv(CHUNK)
    if not more:
        raise PeerGone
    return more
