"""When each service really was ready: found out beside envspin, by other means.

What a server or the engine writes down itself is taken from there and costs nothing: a synthetic server logs when it
listens, the engine stamps log lines and the end of jobs. At databases, brokers and HTTP servers a process of its own
knocks every millisecond; that process is this module run by ``python -m benchmarks.oracle``. It learns the addresses
from the engine's event for each container that joins a network, which comes before the container's process starts.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from benchmarks.measure import ask, stop
from benchmarks.workloads import SERVER_IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.recipe import Recipe

HERE = Path(__file__).parent
LAST_KNOCKS = 1.0
"""Seconds for knocks under way when envspin says that all is ready."""

Truth = dict[str, tuple[float, str]]
"""Service -> the moment (CLOCK_MONOTONIC) it was ready, and who says so."""


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def find_socket() -> str | None:
    """Return the path of the engine's socket that the docker command uses; None where it is elsewhere."""
    address = ask("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}") or ""
    parts = urlsplit(address)
    return parts.path if parts.scheme == "unix" and Path(parts.path).is_socket() else None


def make_knocker(folder: Path) -> list[str]:
    """Return the command that knocks: knock.c compiled into ``folder``, or knock.py where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is not None and ask(compiler, "-O2", "-o", folder / "knock", HERE / "knock.c") is not None:
        return [str(folder / "knock")]
    return [sys.executable, str(HERE / "knock.py")]


def list_targets(recipe: Recipe) -> dict[str, list[str]]:
    """Return service -> kind, port and arguments of its knocks, for those that need knocking."""
    targets = {}
    for name, service in recipe.items():
        probe = service["probe"]
        if service["image"] == SERVER_IMAGE:
            continue
        if probe["kind"] == "postgres":
            targets[name] = ["postgres", str(probe["port"]), probe["user"], probe["database"] or probe["user"]]
        elif probe["kind"] == "http":
            targets[name] = ["http", str(probe["port"]), probe["path"]]
        elif probe["kind"] in {"redis", "amqp"}:
            targets[name] = [probe["kind"], str(probe["port"])]
    return targets


@contextmanager
def knocking(env: str, recipe: Recipe, knocker: list[str], engine_socket: str) -> Iterator[Truth]:
    """Knock at the services of an environment that is about to be made; the moments are complete after the block."""
    truth: Truth = {}
    command = [
        sys.executable,
        "-m",
        "benchmarks.oracle",
        engine_socket,
        env,
        json.dumps(list_targets(recipe)),
        *knocker,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=HERE.parent, start_new_session=True) as process:
        try:
            if process.stdout is None or not process.stdout.readline():
                raise RuntimeError("the oracle did not start")
            yield truth
            time.sleep(LAST_KNOCKS)
        finally:
            stop(process)
        for line in process.stdout:
            service, moment, knocks = line.decode().split()
            # Answered at the first knock: it was ready before, and nobody knows since when.
            if int(knocks) > 1:
                truth[service] = (float(moment), "knocks")


def read_records(recipe: Recipe, containers: dict[str, str]) -> Truth:
    """Return what the servers and the engine wrote down about an environment's containers (service -> id)."""
    truth: Truth = {}
    for name, service in recipe.items():
        found: tuple[float, str] | None = None
        if service["image"] == SERVER_IMAGE:
            said = re.search(r"^listening at ([\d.]+)$", ask("docker", "logs", containers[name]) or "", re.MULTILINE)
            found = (float(said[1]), "server") if said else None
        elif service["job"]:
            ended = ask("docker", "inspect", "--format", "{{.State.FinishedAt}}", containers[name])
            found = (read_stamp(ended), "engine") if ended else None
        elif service["probe"]["kind"] == "log":
            lines = (ask("docker", "logs", "--timestamps", containers[name]) or "").splitlines()
            stamps = [line.split(" ", 1) for line in lines if " " in line]
            first = next((stamp for stamp, text in stamps if re.search(service["probe"]["pattern"], text)), None)
            found = (read_stamp(first), "engine") if first else None
        if found:
            truth[name] = found
    return truth


def read_stamp(text: str) -> float:
    """Return an engine's time stamp (RFC 3339 with nanoseconds) as a moment of CLOCK_MONOTONIC."""
    microseconds = re.sub(r"(\.\d{1,6})\d*", r"\1", text).replace("Z", "+00:00")
    return datetime.fromisoformat(microseconds).timestamp() - time.time() + time.monotonic()


class Watcher:
    """Starts a knocker for each target of an environment as soon as its container has an address."""

    def __init__(self, engine_socket: str, env: str, targets: dict[str, list[str]], knocker: list[str]) -> None:
        self._socket = engine_socket
        self._env = env
        self._targets = targets
        self._knocker = knocker
        self._processes: list[subprocess.Popen[str]] = []
        self._threads: list[threading.Thread] = []

    def watch(self) -> None:
        """Read events until interrupted."""
        filters = quote(json.dumps({"type": ["network"], "event": ["connect"]}))
        connection = SocketConnection(self._socket)
        connection.request("GET", f"/events?filters={filters}")
        response = connection.getresponse()
        print("watching", flush=True)
        while line := response.readline():
            self._look(json.loads(line)["Actor"]["ID"])

    def _look(self, network: str) -> None:
        connection = SocketConnection(self._socket)
        connection.request("GET", f"/networks/{network}")
        members: dict[str, Any] = json.loads(connection.getresponse().read()).get("Containers") or {}
        connection.close()
        for member in members.values():
            service = str(member["Name"]).removeprefix(f"envspin-{self._env}-")
            target = self._targets.pop(service, None) if service != member["Name"] else None
            if target is not None:
                self._knock(service, member["IPv4Address"].partition("/")[0], target)

    def _knock(self, service: str, address: str, target: list[str]) -> None:
        kind, *arguments = target
        process = subprocess.Popen([*self._knocker, kind, address, *arguments], stdout=subprocess.PIPE, text=True)
        thread = threading.Thread(target=_report, args=(service, process), daemon=True)
        thread.start()
        self._processes.append(process)
        self._threads.append(thread)

    def close(self) -> None:
        """End all knocking."""
        for process in self._processes:
            process.kill()
        for thread in self._threads:
            thread.join()


def _report(service: str, process: subprocess.Popen[str]) -> None:
    said = process.communicate()[0].strip()
    if said:
        print(service, said, flush=True)


def main(engine_socket: str, env: str, targets: str, *knocker: str) -> None:
    """Watch until SIGINT."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    watcher = Watcher(engine_socket, env, json.loads(targets), list(knocker))
    try:
        watcher.watch()
    except KeyboardInterrupt:
        pass
    finally:
        watcher.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
