"""A Docker engine that envspin starts itself where none runs, and ends again: never one that somebody else started.

What was started is kept in a record (process id, start time and boot) below the state directory, so that a process
which merely got the same id is left alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.cli import context as cli_context
from envspin.errors import EngineError, EngineUnreachableError, UsageError
from envspin.run.ownership import Liveness, describe_process, judge
from envspin.run.record import state_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envspin.engine.base import EngineInfo

DEFAULT_SOCKET = Path("/var/run/docker.sock")
START_SECONDS = 60.0
STOP_SECONDS = 45.0
PAUSE = 0.1
LOG_TAIL = 15


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """An engine that envspin started."""

    owner: str
    """The process, as ``envspin.run.ownership`` writes it."""
    pid: int
    address: str
    log: str


@dataclass(frozen=True, slots=True)
class Started:
    """What ``start`` came to."""

    info: EngineInfo
    record: EngineRecord | None
    """None where an engine answered that envspin did not start."""
    is_new: bool


class PrivateEngine:
    """The engine at one address: asked, started and stopped."""

    def __init__(self, address: str) -> None:
        self.address = address
        socket = Path(address.removeprefix("unix://"))
        self.is_default = not address or socket in {DEFAULT_SOCKET, Path("/run/docker.sock")}
        self.socket = socket if address.startswith("unix://") else None
        name = "default" if self.is_default else hashlib.sha256(address.encode()).hexdigest()[:12]
        self.folder = state_directory() / "engine" / name
        self.log = self.folder / "dockerd.log"

    def ask(self) -> EngineInfo | None:
        """Return who answers; None where nobody does. Raises EngineError where an engine answers with an error."""
        try:
            with cli_context.open_engine() as engine:
                return engine.info()
        except EngineUnreachableError as error:
            if self.socket is not None and _is_forbidden(self.socket):
                raise error from None
            return None

    def find_record(self) -> EngineRecord | None:
        """Return the record of an engine that envspin started here and that still lives."""
        record = self._read_record()
        alive = record is not None and judge(record.owner, engine_is_local=True) is Liveness.ALIVE
        return record if alive else None

    def _read_record(self) -> EngineRecord | None:
        try:
            return EngineRecord(**json.loads(self._record_path().read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def start(self) -> Started:
        """Start an engine unless one answers, and wait until it does.

        Raises UsageError where none can be started here, EngineError with the end of its log where it does not come
        up within a minute.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _hold(self.folder / "lock"):  # two starts at once would fight for the socket
            info = self.ask()
            record = self.find_record()
            if info is not None:
                return Started(info, record, is_new=False)
            if record is None:
                record = self._launch()
            return Started(self._wait_until_ready(record), record, is_new=True)

    def stop(self) -> EngineRecord | None:
        """End the engine that envspin started here and wait for its end; None where there is none.

        Raises EngineError where it does not end in time.
        """
        record = self.find_record()
        if record is not None:
            self._end(record)
        self._record_path().unlink(missing_ok=True)
        return record

    def _end(self, record: EngineRecord) -> None:
        os.kill(record.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self.find_record() is not None:
            if time.monotonic() > deadline:
                message = f"the engine (process {record.pid}) has not stopped after {STOP_SECONDS:g} s"
                raise EngineError(message, hint=_suggest_log(record))
            time.sleep(PAUSE)

    def _record_path(self) -> Path:
        return self.folder / "engine.json"

    def _launch(self) -> EngineRecord:
        if self.socket is None:
            raise UsageError(
                f"an engine can be started at a unix socket, not at {self.address}",
                hint="unset DOCKER_HOST, or set it to unix:///path/to/docker.sock",
            )
        command = self._choose_command(self.socket)
        environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # A session of its own: Ctrl-C in this terminal, and its end, are none of the engine's business. It is to
            # outlive this process, so nobody waits for it, as subprocess would insist on.
            streams: list[tuple[object, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
            streams += [(os.POSIX_SPAWN_DUP2, log, stream) for stream in (1, 2)]
            pid = os.posix_spawn(command[0], command, environment, file_actions=streams, setsid=True)
        finally:
            os.close(log)
        owner = describe_process(pid)
        record = EngineRecord(str(owner), pid, self.address, str(self.log))
        self._record_path().write_text(json.dumps(asdict(record)), encoding="utf-8")
        return record

    def _choose_command(self, socket: Path) -> list[str]:
        if os.geteuid() != 0:
            return self._choose_rootless()  # it has a network of its own
        for pid in find_other_engines():
            # Two in one network flush each other's firewall chains and share, or delete, the bridge docker0.
            raise UsageError(
                f"another dockerd runs here (process {pid}), and two would destroy each other's networks",
                hint="use that one: set DOCKER_HOST to its socket, or see `docker context ls`",
            )
        dockerd = shutil.which("dockerd")
        if dockerd is None:
            raise UsageError("there is no dockerd on this machine", hint="`envspin doctor` says how to install it")
        arguments = [dockerd]
        if not self.is_default:
            socket.parent.mkdir(parents=True, exist_ok=True)
            arguments += ["-H", f"unix://{socket}", "--data-root", f"{self.folder}/data"]
            arguments += ["--exec-root", f"{self.folder}/run", "--pidfile", f"{self.folder}/dockerd.pid"]
        tini = shutil.which("tini")
        # tini -s reaps what the engine's children leave behind where process 1 does not, as in many containers.
        return [tini, "-s", "--", *arguments] if tini else arguments

    def _choose_rootless(self) -> list[str]:
        script = shutil.which("dockerd-rootless.sh")
        if script is None:
            raise UsageError(
                "an engine can only be started by root, or by docker's rootless script, which is not installed",
                hint="run `sudo envspin engine start`, or install the package docker-ce-rootless-extras",
            )
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        if self.socket is not None and runtime and self.socket == Path(runtime) / "docker.sock":
            return [script]
        hint = f"export DOCKER_HOST=unix://{runtime or '/run/user/' + str(os.getuid())}/docker.sock"
        raise UsageError("a rootless engine listens at its user's own socket", hint=hint)

    def _wait_until_ready(self, record: EngineRecord) -> EngineInfo:
        deadline = time.monotonic() + START_SECONDS
        while True:
            info = self.ask()
            if info is not None:
                return info
            if self.find_record() is None:
                self._record_path().unlink(missing_ok=True)
                message = "the engine has ended while it started"
                raise EngineError(message, context=self._explain(), hint=_suggest_log(record))
            if time.monotonic() > deadline:
                message = f"the engine does not answer after {START_SECONDS:g} s"
                raise EngineError(message, context=self._explain(), hint=_suggest_log(record))
            time.sleep(PAUSE)

    def _explain(self) -> list[str]:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return ["the end of its log:", *(f"  | {line}" for line in lines[-LOG_TAIL:])]


@contextmanager
def _hold(path: Path) -> Iterator[None]:
    """Hold a file's lock; a second holder waits, and a holder that dies gives it back."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def find_other_engines() -> Iterator[int]:
    """Yield the process ids of every dockerd that shares this process's network, whoever started it."""
    here = _read_network(Path("/proc/self"))
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "comm").read_text(encoding="utf-8").strip()
        except OSError:
            continue  # it has ended
        if name == "dockerd" and _read_network(process) == here:
            yield int(process.name)


def _read_network(process: Path) -> str | None:
    try:
        return str((process / "ns" / "net").readlink())
    except OSError:
        return None


def _is_forbidden(socket: Path) -> bool:
    return socket.exists() and not os.access(socket, os.R_OK | os.W_OK)


def _suggest_log(record: EngineRecord) -> str:
    return f"the whole log is {record.log}"
