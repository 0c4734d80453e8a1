"""Ready when an HTTP request is answered with an accepted status and, if asked, a matching body."""

from __future__ import annotations

import io
import ssl
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from envspin.run.probes.base import NotReady
from envspin.run.probes.descriptions import describe, shorten
from envspin.run.probes.pattern import Pattern
from envspin.run.probes.wire import Conversation

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer

    from envspin.model import HttpProbe
    from envspin.run.probes.base import Target
    from envspin.run.probes.wire import Connection

LARGEST_BODY = 1 << 20
"""Bytes of a body in which a pattern is looked for."""

ACCEPTED = range(200, 400)
"""Status codes that count when none are named: success and redirects."""


class HttpProber(Conversation):
    """Sends one request a check; redirects are not followed, they count as an answer."""

    protocol = "HTTP"

    def __init__(self, probe: HttpProbe, target: Target) -> None:
        super().__init__(target, probe.port)
        self._probe = probe
        self._body = Pattern(probe.body) if probe.body is not None else None

    def describe(self) -> str:
        """Say what is awaited."""
        return describe(self._probe)

    def converse(self, connection: Connection) -> None:
        """Send the request and judge the answer."""
        if self._probe.tls:
            connection.upgrade(_start_tls)
        connection.send(self._request())
        with _read_head(connection, self._probe.method) as response:
            self._judge_status(response)
            if self._body is not None:
                _judge_body(response, self._body)

    def _request(self) -> bytes:
        host, port = self._target.address(self._port)
        headers = {
            "Host": f"{host}:{port}",
            "User-Agent": "envspin",
            "Accept": "*/*",
            "Connection": "close",
        }
        written = {name.lower() for name in self._probe.headers}
        kept = {name: value for name, value in headers.items() if name.lower() not in written}
        path = quote(self._probe.path, safe="/?&=%#:;,+@!$'()*~[]")
        lines = [f"{self._probe.method} {path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in {**kept, **self._probe.headers}.items()]
        return "\r\n".join([*lines, "", ""]).encode()

    def _judge_status(self, response: HTTPResponse) -> None:
        if response.status not in (self._probe.status or ACCEPTED):
            raise NotReady(shorten(f"HTTP {response.status} {response.reason}"))


class _ConnectionReader(io.RawIOBase):
    """A connection as a raw byte stream, so that its time limit bounds the whole answer."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._connection.receive(len(view))
        view[: len(data)] = data
        return len(data)


class _ResponseSource:
    """The one method that HTTPResponse uses of a socket."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_ConnectionReader(self._connection))


def _start_tls(sock: socket.socket) -> socket.socket:
    """Encrypt without verifying: a service under test has a certificate of its own making."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(sock, server_hostname="localhost")


def _read_head(connection: Connection, method: str) -> HTTPResponse:
    response = HTTPResponse(cast("socket.socket", _ResponseSource(connection)), method=method)
    try:
        response.begin()
    except HTTPException as error:
        response.close()
        if "without response" in str(error):
            raise NotReady(f"port {connection.port} closed the connection without an answer") from error
        raise NotReady(f"port {connection.port} did not answer in HTTP") from error
    return response


def _judge_body(response: HTTPResponse, pattern: Pattern) -> None:
    try:
        body = response.read(LARGEST_BODY)
    except HTTPException as error:
        raise NotReady(f"the body of the HTTP {response.status} answer is incomplete") from error
    if not pattern.is_in(body.decode("utf-8", "replace")):
        raise NotReady(f"HTTP {response.status}, but the body does not match /{pattern}/")
