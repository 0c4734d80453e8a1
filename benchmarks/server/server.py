"""A server that becomes ready a known time after its start, and logs the very moment.

``DELAY_MS`` is the time between its start and its listening. ``NEEDS`` (``host:port host:port``) names the servers that
it calls first, once each: where one does not accept, it exits with 1, so an environment that starts a service before
its dependencies are ready fails instead of looking fast.

The log line ``listening at N`` holds CLOCK_MONOTONIC, which containers share with the kernel's other processes: whoever
measures compares it with its own clock, and nobody has to knock.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time

PORT = 8000
ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
CALL_SECONDS = 3


def call(address: str) -> None:
    """Connect to ``host:port``, or say that it does not accept and exit."""
    host, _, port = address.partition(":")
    try:
        with socket.socket() as connection:
            connection.settimeout(CALL_SECONDS)
            connection.connect((host, int(port)))
    except OSError as error:
        sys.exit(f"{address} is not ready: {error}")


def serve(listener: socket.socket) -> None:
    """Answer each request with 200; a connection without a request stays open until its client hangs up."""
    connections = {listener.fileno(): listener}
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    while True:
        for number, _ in poller.poll():
            ready = connections[number]
            if ready is listener:
                client, _ = listener.accept()
                connections[client.fileno()] = client
                poller.register(client, select.POLLIN)
                continue
            try:
                if ready.recv(65536):
                    ready.sendall(ANSWER)
            except OSError:
                pass  # the client is gone, which is its right
            poller.unregister(number)
            connections.pop(number).close()


def main() -> None:
    """Wait, call, listen, serve until SIGTERM."""
    # Process 1 has no default signal actions.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    time.sleep(int(os.environ.get("DELAY_MS", "0")) / 1000)
    for address in os.environ.get("NEEDS", "").split():
        call(address)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", PORT))
    listener.listen(64)
    print(f"listening at {time.monotonic():.6f}")
    serve(listener)


main()
