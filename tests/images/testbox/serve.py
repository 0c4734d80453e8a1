"""A service whose every move is an argument: when it listens, what it prints, how and when it ends.

--listen PORT          listen on PORT (may repeat); every request is answered with HTTP and the body "ok"
--listen-after SECONDS open the ports that much later
--status CODE          the HTTP status to answer with (200)
--line TEXT            print TEXT at once (may repeat)
--line-at SECONDS:TEXT print TEXT that much later (may repeat)
--exit CODE            exit with CODE; without it, run until SIGTERM
--exit-after SECONDS   exit that much later
--ignore-sigterm       stay when SIGTERM comes; SIGHUP and SIGUSR1 are printed and survived in any case
--eat-memory           allocate until the kernel says no
"""

# ruff: noqa: T201 - what it prints is its log

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time


def parse(arguments: list[str]) -> dict[str, list[str]]:
    """Return each option with its values; an option without a value has an empty list."""
    options: dict[str, list[str]] = {}
    name = ""
    for argument in arguments:
        if argument.startswith("--"):
            name = argument
            options.setdefault(name, [])
        else:
            options[name].append(argument)
    return options


def report_signal(number: int, _frame: object) -> None:
    """Print the signal and go on."""
    print("signal", signal.Signals(number).name)


def leave(_number: int, _frame: object) -> None:
    """Say goodbye and exit with 0."""
    print("bye")
    sys.stdout.flush()
    os._exit(0)


def set_signals(*, ignore_sigterm: bool) -> None:
    """Set the handlers: the first process of a container has no default ones."""
    signal.signal(signal.SIGTERM, report_signal if ignore_sigterm else leave)
    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGHUP, report_signal)
    signal.signal(signal.SIGUSR1, report_signal)


def open_ports(ports: list[str], selector: selectors.BaseSelector) -> None:
    """Listen on every port, on all addresses of the container."""
    for port in ports:
        server = socket.create_server(("", int(port)), backlog=128)
        selector.register(server, selectors.EVENT_READ)
        print("listening on", port)


def answer(server: socket.socket, status: str) -> None:
    """Take one request and reply with ``status``."""
    connection, _ = server.accept()
    with connection:
        connection.settimeout(5)
        try:
            if connection.recv(65536):
                head = f"HTTP/1.0 {status} Testbox\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
                connection.sendall(head.encode() + b"ok")
        except OSError as error:
            print("connection lost:", error)


def eat_memory() -> None:
    """Allocate and touch memory for ever."""
    hoard = []
    while True:
        hoard.append(bytearray(b"x" * (8 << 20)))


def plan(options: dict[str, list[str]]) -> list[tuple[float, str, str]]:
    """Return what is to happen, as (seconds, kind, value), in order."""
    steps = [(0.0, "line", text) for text in options.get("--line", [])]
    for item in options.get("--line-at", []):
        seconds, text = item.split(":", 1)
        steps.append((float(seconds), "line", text))
    if "--listen" in options:
        steps.append((float(options.get("--listen-after", ["0"])[0]), "listen", ""))
    if "--eat-memory" in options:
        steps.append((0.0, "eat", ""))
    if "--exit" in options:
        steps.append((float(options.get("--exit-after", ["0"])[0]), "exit", options["--exit"][0]))
    return sorted(steps, key=lambda step: step[0])


def main() -> None:
    """Do what the arguments say."""
    options = parse(sys.argv[1:])
    set_signals(ignore_sigterm="--ignore-sigterm" in options)
    selector = selectors.DefaultSelector()
    begun = time.monotonic()
    steps = plan(options)
    while True:
        while steps and steps[0][0] <= time.monotonic() - begun:
            _, kind, value = steps.pop(0)
            if kind == "line":
                print(value)
            elif kind == "listen":
                open_ports(options["--listen"], selector)
            elif kind == "eat":
                eat_memory()
            else:
                sys.exit(int(value))
        pause = max(0.0, steps[0][0] - (time.monotonic() - begun)) if steps else None
        for key, _ in selector.select(pause):
            if isinstance(key.fileobj, socket.socket):
                answer(key.fileobj, options.get("--status", ["200"])[0])


main()
