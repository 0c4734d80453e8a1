"""What knock.c does, for machines without a compiler; it takes more of a core. Run as a script of its own."""

from __future__ import annotations

import signal
import socket
import struct
import sys
import time

PAUSE_SECONDS = 0.001
CONNECT_SECONDS = 0.05
ANSWER_SECONDS = 5.0
LIFETIME_SECONDS = 180
PROTOCOL_3_0 = 196608


def make_request(kind: str, arguments: list[str]) -> bytes:
    """Return what to send."""
    if kind == "postgres":
        user, database = (each.encode() for each in arguments)
        body = b"user\0" + user + b"\0database\0" + database + b"\0\0"
        return struct.pack("!II", len(body) + 8, PROTOCOL_3_0) + body
    if kind == "redis":
        return b"PING\r\n"
    if kind == "amqp":
        return b"AMQP\0\0\t\1"
    return f"GET {arguments[0]} HTTP/1.0\r\n\r\n".encode()


def is_right(kind: str, answer: bytes) -> bool:
    """Tell whether an answer proves that the service is ready."""
    beginnings = {"postgres": b"R", "redis": b"+PONG", "amqp": b"\1"}
    if kind in beginnings:
        return answer.startswith(beginnings[kind])
    return answer[8:12] == b" 200"


def knock(kind: str, address: tuple[str, int], request: bytes) -> bool:
    """Ask once."""
    try:
        with socket.create_connection(address, timeout=CONNECT_SECONDS) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.sendall(request)
            return is_right(kind, connection.recv(512))
    except OSError:
        return False


def main(kind: str, host: str, port: str, *arguments: str) -> None:
    """Knock until the first right answer; print its moment and the count of knocks."""
    signal.alarm(LIFETIME_SECONDS)
    request = make_request(kind, list(arguments))
    knocks = 1
    while not knock(kind, (host, int(port)), request):
        knocks += 1
        time.sleep(PAUSE_SECONDS)
    print(f"{time.monotonic():.6f} {knocks}")


if __name__ == "__main__":
    main(*sys.argv[1:])
