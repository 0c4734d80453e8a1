"""Progress as lines: one for each change, with the time since the run began. For CI logs and pipes."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

import click

from envspin.cli.failures import render_problem
from envspin.cli.output import count_nouns, render_duration
from envspin.cli.progress.board import is_chatter
from envspin.events import (
    ImageProgress,
    Listener,
    RunFailed,
    RunReady,
    RunStarted,
    ServiceChanged,
    TeardownFinished,
    TeardownStarted,
    WarningRaised,
    describe_notice,
)

if TYPE_CHECKING:
    from envspin.events import Event

STATUS_CHARACTERS = 100

COLOURS = {"ready": "green", "failed": "red", "skipped": "yellow"}

QUIET_STATES = {"waiting", "created"}
"""States that say nothing a reader of a log wants to know."""


class PlainProgress(Listener):
    """Writes ``[  1.24s] db ready`` lines to stderr."""

    def __init__(self) -> None:
        self._at = 0.0
        self._started: dict[str, float] = {}
        self._last_status: dict[str, str] = {}

    def handle(self, event: Event) -> None:
        """Write the line of an event, if it has one."""
        if isinstance(event, ServiceChanged):
            self._at = event.at
            self._show_service(event)
        elif isinstance(event, ImageProgress):
            self._at = event.at
            self._show_image(event)
        elif isinstance(event, WarningRaised):
            click.echo(render_problem(event.problem), err=True)
        elif notice := describe_notice(event):
            click.echo(click.style(notice, fg="yellow"), err=True)
        else:
            self._show_run(event)

    def close(self) -> None:
        """Every line is complete already."""

    def _show_service(self, event: ServiceChanged) -> None:
        if event.state in QUIET_STATES:
            return
        colour = COLOURS.get(event.state)
        line = f"{event.service} {click.style(event.state, fg=colour) if colour else event.state}"
        if event.state == "started":
            self._started[event.service] = event.at
            line += f", waiting for {event.detail}" if event.detail else ""
        elif event.state == "ready" and event.service in self._started:
            line += f" (after {render_duration(event.at - self._started[event.service])})"
        elif event.detail:
            line += f": {event.detail}"
        self._write(line)

    def _show_image(self, event: ImageProgress) -> None:
        # A pull reports many times a second: a log wants each new status once, and the end. Of a build it wants the
        # steps; what they print is told by the error where one fails.
        if event.action == "build" and not event.status.startswith("Step "):
            return
        status = "done" if event.fraction == 1.0 else event.status
        if self._last_status.get(event.image) != status and not is_chatter(status):
            self._last_status[event.image] = status
            self._write(f"{event.action} {event.image}: {shorten(status, STATUS_CHARACTERS, placeholder=' ...')}")

    def _show_run(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            count = len(event.services)
            self._write(f"{event.env}: starting {count} service{'' if count == 1 else 's'}")
        elif isinstance(event, RunReady):
            self._at = event.seconds
            self._write(f"{event.env} {click.style('ready', fg='green', bold=True)}")
        elif isinstance(event, RunFailed):  # what to do about it comes at the end; the clean-up may take its time
            self._at = event.at
            self._write(f"{event.env} {click.style('failed', fg='red', bold=True)}: {event.error.message}")
        elif isinstance(event, TeardownStarted):
            click.echo(f"removing {event.env} ...", err=True)
        elif isinstance(event, TeardownFinished):
            click.echo(describe_teardown(event), err=True)

    def _write(self, text: str) -> None:
        click.echo(f"[{self._at:6.2f}s] {text}", err=True)


def describe_teardown(event: TeardownFinished) -> str:
    """Say what was removed: ``removed 7 containers, 1 network in 0.80 s; nothing is left``."""
    took = render_duration(event.seconds)
    return f"removed {count_nouns(event.removed)} in {took}; nothing is left of {event.env}"
