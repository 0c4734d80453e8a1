from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from envspin.model import HttpProbe
from envspin.run.probes import Hopeless, NotReady

from .support import Check, FakeTarget, MakeTarget, Peer, Serve

Answer = Callable[..., FakeTarget]


@pytest.fixture
def answer(serve: Serve, make_target: MakeTarget) -> Answer:
    """Return a function that serves one answer and returns its target; ``requests`` holds what was asked."""

    def start(response: bytes, requests: list[str] | None = None) -> FakeTarget:
        def behave(peer: Peer) -> None:
            request = peer.read_until(b"\r\n\r\n")
            if requests is not None:
                requests.append(request.decode())
            peer.end(response)

        return make_target(serve(behave).port)

    return start


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "301 Moved Permanently", "399 Odd"])
def test_success_and_redirects_are_ready(status: str, answer: Answer, check: Check) -> None:
    check(HttpProbe(port=80), answer(f"HTTP/1.1 {status}\r\nLocation: http://127.0.0.1:1/\r\n\r\n".encode()))


@pytest.mark.parametrize("status", ["199 Odd", "400 Bad Request", "404 Not Found", "503 Service Unavailable"])
def test_other_statuses_are_the_reason(status: str, answer: Answer, check: Check) -> None:
    with pytest.raises(NotReady, match=f"^HTTP {status}$"):
        check(HttpProbe(port=80), answer(f"HTTP/1.1 {status}\r\n\r\n".encode()))


def test_named_statuses_replace_the_default(answer: Answer, check: Check) -> None:
    spec = HttpProbe(port=80, status=(401, 403))
    check(spec, answer(b"HTTP/1.1 403 Forbidden\r\n\r\n"))
    with pytest.raises(NotReady, match="HTTP 200"):
        check(spec, answer(b"HTTP/1.1 200 OK\r\n\r\n"))


def test_the_request_says_what_was_written(answer: Answer, check: Check) -> None:
    requests: list[str] = []
    target = answer(b"HTTP/1.0 200 OK\r\n\r\n", requests)
    spec = HttpProbe(port=80, path="/a b?c=d&e=ü", method="HEAD", headers={"host": "shop.test", "X-Token": "t"})
    check(spec, target)
    lines = requests[0].split("\r\n")
    assert lines[0] == "HEAD /a%20b?c=d&e=%C3%BC HTTP/1.1"
    assert "host: shop.test" in lines
    assert "X-Token: t" in lines
    assert "Connection: close" in lines
    assert [line for line in lines if line.lower().startswith("host:")] == ["host: shop.test"]


def test_without_a_written_host_header_the_address_is_sent(answer: Answer, check: Check) -> None:
    requests: list[str] = []
    target = answer(b"HTTP/1.0 200 OK\r\n\r\n", requests)
    check(HttpProbe(port=80), target)
    assert f"Host: 127.0.0.1:{target.port}" in requests[0].split("\r\n")


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 15\r\n\r\n{'status':'up'}",
        b"Transfer-Encoding: chunked\r\n\r\n8\r\n{'status\r\n7\r\n':'up'}\r\n0\r\n\r\n",
        b"\r\n{'status':'up'}",
    ],
)
def test_the_body_must_match(framing: bytes, answer: Answer, check: Check) -> None:
    target = answer(b"HTTP/1.1 200 OK\r\n" + framing)
    check(HttpProbe(port=80, body="'up'"), target)
    with pytest.raises(NotReady, match="HTTP 200, but the body does not match /^'down'/".replace("^", r"\^")):
        check(HttpProbe(port=80, body="^'down'"), target)


def test_a_body_in_no_known_encoding_is_searched_all_the_same(answer: Answer, check: Check) -> None:
    check(HttpProbe(port=80, body="up"), answer(b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe up \x80"))


def test_a_broken_chunk_is_not_ready(answer: Answer, check: Check) -> None:
    with pytest.raises(NotReady, match="body of the HTTP 200 answer is incomplete"):
        check(HttpProbe(port=80, body="up"), answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nup"))


def test_without_a_pattern_the_body_is_not_awaited(serve: Serve, make_target: MakeTarget, check: Check) -> None:
    """A stream of events never ends."""

    def behave(peer: Peer) -> None:
        peer.read_until(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        peer.drain()

    check(HttpProbe(port=80), make_target(serve(behave).port))


def test_a_pattern_that_is_none_is_hopeless(answer: Answer, check: Check) -> None:
    with pytest.raises(Hopeless, match="no regular expression"):
        check(HttpProbe(port=80, body="("), answer(b"HTTP/1.1 200 OK\r\n\r\n"))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Make a certificate that nobody has signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command")
    path = tmp_path / "both.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(tmp_path / "key.pem"), "-out", str(path), "-days", "1", "-subj", "/CN=elsewhere"]
    subprocess.run(command, check=True, capture_output=True)
    return path, tmp_path / "key.pem"


def test_tls_is_spoken_with_any_certificate(
    certificate: tuple[Path, Path], serve: Serve, make_target: MakeTarget, check: Check
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def behave(peer: Peer) -> None:
        with context.wrap_socket(peer.socket, server_side=True) as sock:
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup")

    check(HttpProbe(port=443, tls=True, body="up"), make_target(serve(behave).port))


def test_plain_http_where_tls_is_awaited_is_not_ready(serve: Serve, make_target: MakeTarget, check: Check) -> None:
    target = make_target(serve(lambda peer: peer.end(b"HTTP/1.1 400 Bad Request\r\n\r\n")).port)
    with pytest.raises(NotReady, match="port 443: "):
        check(HttpProbe(port=443, tls=True), target)


def test_a_tls_handshake_that_hangs_is_not_ready(serve: Serve, make_target: MakeTarget, check: Check) -> None:
    target = make_target(serve(lambda peer: peer.drain()).port)
    with pytest.raises(NotReady, match=r"within 0\.05 s"):
        check(HttpProbe(port=443, tls=True), target, remaining=0.05)
