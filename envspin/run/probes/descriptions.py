"""What each probe awaits, in words: for the plan, for progress, and for a timeout's message."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, assert_never

from envspin.model import (
    AmqpProbe,
    CompletedProbe,
    ExecProbe,
    GrpcProbe,
    HealthcheckProbe,
    HttpProbe,
    LogProbe,
    MysqlProbe,
    PostgresProbe,
    RedisProbe,
    RunningProbe,
    TcpProbe,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envspin.model import Probe

LONGEST_COMMAND = 80
LONGEST_REASON = 200


def describe(probe: Probe) -> str:
    """Say what a probe awaits, to be read after "waiting for"; no password is part of it."""
    if isinstance(probe, TcpProbe | HttpProbe | GrpcProbe):
        return _describe_generic_protocol(probe)
    if isinstance(probe, PostgresProbe | MysqlProbe | RedisProbe | AmqpProbe):
        return _describe_known_server(probe)
    return _describe_from_inside(probe)


def quote_command(command: Sequence[str]) -> str:
    """Return a command as one would type it, shortened."""
    return shorten(shlex.join(command), LONGEST_COMMAND)


def shorten(text: str, length: int = LONGEST_REASON) -> str:
    """Return printable text of one line and at most ``length`` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= length else line[: length - 3] + "..."


def decode(data: bytes) -> str:
    """Return a peer's bytes as text fit for a reason; never an empty one."""
    return shorten(data.decode("utf-8", "replace")) or "an error without a text"


def last_line(output: str) -> str:
    """Return the last line of a command's output that says anything, shortened."""
    lines = [line for line in output.splitlines() if line.strip()]
    return shorten(lines[-1]) if lines else ""


def _describe_generic_protocol(probe: TcpProbe | HttpProbe | GrpcProbe) -> str:
    if isinstance(probe, TcpProbe):
        return f"port {probe.port} to accept connections"
    if isinstance(probe, GrpcProbe):
        whose = f" of {probe.service}" if probe.service else ""
        return f"the gRPC health{whose} on port {probe.port} to be SERVING"
    scheme = "https" if probe.tls else "http"
    statuses = " or ".join(str(status) for status in probe.status) or "2xx or 3xx"
    body = f" and a body matching /{probe.body}/" if probe.body is not None else ""
    return f"{scheme} {probe.method} {probe.path} on port {probe.port} to answer {statuses}{body}"


def _describe_known_server(probe: PostgresProbe | MysqlProbe | RedisProbe | AmqpProbe) -> str:
    if isinstance(probe, PostgresProbe):
        database = f" in {probe.database}" if probe.database else ""
        return f"postgres to answer SELECT 1 on port {probe.port} as {probe.user}{database}"
    if isinstance(probe, MysqlProbe):
        return f"mysql to greet on port {probe.port}"
    if isinstance(probe, RedisProbe):
        return f"redis to answer PING on port {probe.port}"
    return f"amqp to open vhost {probe.vhost} on port {probe.port} as {probe.user}"


def _describe_from_inside(
    probe: LogProbe | ExecProbe | HealthcheckProbe | RunningProbe | CompletedProbe,
) -> str:
    if isinstance(probe, LogProbe):
        times = f"{probe.times} log lines" if probe.times != 1 else "a log line"
        return f"{times} matching /{probe.pattern}/"
    if isinstance(probe, ExecProbe):
        return f"`{quote_command(probe.command)}` to exit with 0"
    if isinstance(probe, HealthcheckProbe):
        return "the healthcheck to pass"
    if isinstance(probe, RunningProbe):
        return f"the container to run for {probe.seconds:g} s"
    if isinstance(probe, CompletedProbe):
        return "the job to exit with 0"
    assert_never(probe)
