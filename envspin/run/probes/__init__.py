"""Readiness probes: each kind of ``envspin.model.Probe`` bound to a container, one small file a kind.

A kind's module is imported when one of it is made, so that what it needs costs nothing elsewhere.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from envspin import model
from envspin.run.probes.base import Hopeless, InProgress, NotReady, Pace, Prober, Refused, Target
from envspin.run.probes.descriptions import describe
from envspin.run.probes.pacing import DeadlinePassed, StillUnready, Unmet, WaitCancelled, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DeadlinePassed",
    "Hopeless",
    "InProgress",
    "NotReady",
    "Pace",
    "Prober",
    "Refused",
    "StillUnready",
    "Target",
    "Unmet",
    "WaitCancelled",
    "describe",
    "make_prober",
    "wait_until_ready",
]

PROBERS: Mapping[type[model.Probe], tuple[str, str]] = {
    model.TcpProbe: ("tcp", "TcpProber"),
    model.HttpProbe: ("http", "HttpProber"),
    model.LogProbe: ("log", "LogProber"),
    model.ExecProbe: ("exec", "ExecProber"),
    model.HealthcheckProbe: ("healthcheck", "HealthcheckProber"),
    model.PostgresProbe: ("postgres", "PostgresProber"),
    model.MysqlProbe: ("mysql", "MysqlProber"),
    model.RedisProbe: ("redis", "RedisProber"),
    model.AmqpProbe: ("amqp", "AmqpProber"),
    model.GrpcProbe: ("grpc", "GrpcProber"),
    model.RunningProbe: ("running", "RunningProber"),
    model.CompletedProbe: ("completed", "CompletedProber"),
}
"""Module and class of each kind."""


def make_prober(spec: model.Probe, target: Target) -> Prober:
    """Bind a probe to a container; nothing is opened before the first check."""
    module, name = PROBERS[type(spec)]
    return cast("Prober", getattr(import_module(f"{__name__}.{module}"), name)(spec, target))
