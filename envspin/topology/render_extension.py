"""Probes and resets -> the data that says them under ``x-envspin``."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from envspin.model import (
    AmqpProbe,
    ExecProbe,
    GrpcProbe,
    HealthcheckProbe,
    HttpProbe,
    LogProbe,
    MysqlProbe,
    PostgresProbe,
    RedisProbe,
    TcpProbe,
)

if TYPE_CHECKING:
    from envspin.model import Probe, ResetStrategy

_KINDS: dict[type[Any], str] = {
    TcpProbe: "tcp",
    HttpProbe: "http",
    LogProbe: "log",
    ExecProbe: "exec",
    HealthcheckProbe: "healthcheck",
    PostgresProbe: "postgres",
    RedisProbe: "redis",
    MysqlProbe: "mysql",
    AmqpProbe: "amqp",
    GrpcProbe: "grpc",
}


def render_probe(probe: Probe) -> dict[str, Any]:
    """Return a probe as a mapping with one key, its kind."""
    kind = _KINDS[type(probe)]
    if isinstance(probe, ExecProbe):
        return {kind: list(probe.command)}
    data: dict[str, Any] = {}
    for each in fields(probe):
        value = getattr(probe, each.name)
        if value in (None, (), {}, ""):
            continue
        data[each.name] = list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, dict) else value
    return {kind: data}


def render_reset(reset: ResetStrategy) -> dict[str, Any]:
    """Return a reset as a mapping with one key, its kind."""
    options = {key: list(value) if isinstance(value, tuple) else value for key, value in reset.options.items()}
    return {reset.kind: options["command"] if reset.kind == "exec" else options}
