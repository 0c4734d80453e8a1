"""What the containers of the in-memory engine do: scripts, written as data.

A script says when a container prints, listens, answers commands, ends and how. Times are seconds on the engine's
own clock, counted from each start of the container.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envspin.engine.base import ContainerSpec
    from envspin.model import Healthcheck, Port


@dataclass(frozen=True, slots=True)
class Line:
    """A log line, printed ``at`` seconds after the start."""

    text: str
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of the main process by itself; ``oom`` makes it a kill for want of memory (use code 137)."""

    code: int = 0
    after: float = 0.0
    oom: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """A port that a client of this machine can really connect to, where the container publishes it.

    Until ``after`` a connection is accepted and closed at once, as by the port proxy of a real engine. Then ``banner``
    is sent on connect, and ``reply`` maps each chunk received to what is sent back.
    """

    after: float = 0.0
    banner: bytes = b""
    reply: Callable[[bytes], bytes] | None = None


@dataclass(frozen=True, slots=True)
class ExecReply:
    """What a command inside the container does: its output and exit code, after ``seconds``."""

    exit_code: int = 0
    output: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ExecCall:
    """A command as it was asked for, for answers that depend on it."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    """That of the container and of the call, merged."""
    user: str
    working_dir: str
    running_for: float
    """Seconds since the container started."""
    files: Callable[[str], bytes | None] = field(repr=False)
    """Reads a file of the container; None where there is none."""
    hostname: str = ""


ExecAnswer = ExecReply | Callable[[ExecCall], ExecReply]


@dataclass(frozen=True, slots=True)
class Script:
    """The behaviour of a container from one start to its end; the default prints nothing and runs until stopped."""

    lines: tuple[Line, ...] = ()
    exits: Exit | None = None
    listens: Mapping[int, Listener] = field(default_factory=dict)
    execs: Mapping[str, ExecAnswer] = field(default_factory=dict)
    """Answers by the whole command as a shell would quote it, or by its first word."""
    signals: Mapping[str, int | None] = field(default_factory=dict)
    """Exit code by signal name, None to survive it. SIGTERM, SIGINT, SIGQUIT and the stop signal end the process
    with 128 + number where nothing else is said; other signals are survived; SIGKILL always ends it with 137."""
    signal_lines: Mapping[str, str] = field(default_factory=dict)
    """What is printed when a signal comes."""
    create_seconds: float = 0.0
    create_error: str | None = None
    start_seconds: float = 0.0
    start_error: str | None = None


Behaviour = Script | Callable[["ContainerSpec", int], Script]
"""A script, or what makes one from the container's specification and the number of its start (from 1)."""


@dataclass(frozen=True, slots=True)
class FakeImage:
    """An image of the in-memory engine: its metadata, whether it is in the store, and what its containers do."""

    behaviour: Behaviour = field(default_factory=Script)
    ports: tuple[Port, ...] = ()
    volumes: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    digest: str | None = None
    platform: str = "linux/amd64"
    stored: bool = True
    """Whether it is in the engine's store; otherwise it is in the registry (pull) or can be built."""
    pull_seconds: float = 0.0
    pull_error: str | None = None
    """Also the error of a build."""


def ready_after(seconds: float, *, output: str = "", not_yet: str = "not yet") -> Callable[[ExecCall], ExecReply]:
    """Return an answer that fails with code 1 until ``seconds`` after the start and succeeds from then on."""

    def answer(call: ExecCall) -> ExecReply:
        return ExecReply(0, output) if call.running_for >= seconds else ExecReply(1, not_yet)

    return answer


def in_turn(*scripts: Script) -> Callable[[ContainerSpec, int], Script]:
    """Return a behaviour that follows another script at each start; the last one repeats."""
    if not scripts:
        msg = "in_turn needs at least one script"
        raise ValueError(msg)

    def choose(_spec: ContainerSpec, start: int) -> Script:
        return scripts[min(start, len(scripts)) - 1]

    return choose
