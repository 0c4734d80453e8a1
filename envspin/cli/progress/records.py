"""Progress as JSON: one object for each event, one on a line. For tools that read along."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING

import click

from envspin.cli.failures import describe_error, describe_problem
from envspin.errors import EnvspinError
from envspin.events import Listener, RunReady
from envspin.problems import Problem

if TYPE_CHECKING:
    from envspin.events import Event

NAMES = {
    "RunStarted": "run-started",
    "WarningRaised": "warning",
    "ImageProgress": "image",
    "ServiceChanged": "service",
    "ResourceAwaited": "resource-awaited",
    "EngineLost": "engine-lost",
    "EngineReturned": "engine-returned",
    "RunReady": "run-ready",
    "RunFailed": "run-failed",
    "TeardownStarted": "teardown-started",
    "TeardownFinished": "teardown-finished",
}


class JsonProgress(Listener):
    """Writes each event to stderr as ``{"event": NAME, ...}``."""

    def handle(self, event: Event) -> None:
        """Write the line of an event."""
        click.echo(json.dumps(describe_event(event)), err=True)

    def close(self) -> None:
        """Every line is complete already."""


def describe_event(event: Event) -> dict[str, object]:
    """Return an event as data; the values of exports stay out, for they hold passwords and stderr is often kept."""
    document: dict[str, object] = {"event": NAMES[type(event).__name__]}
    for field in fields(event):
        document[field.name] = _simplify(getattr(event, field.name))
    if isinstance(event, RunReady):
        document["exports"] = sorted(event.exports)
    return document


def _simplify(value: object) -> object:
    if isinstance(value, Problem):
        return describe_problem(value)
    if isinstance(value, EnvspinError):
        return {key: each for key, each in describe_error(value).items() if key != "event"}
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return dict(value)
    return value
