"""``envspin ls``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from envspin.cli import context as cli_context
from envspin.cli.options import json_option
from envspin.cli.output import print_json, render_duration, render_table

if TYPE_CHECKING:
    from envspin.run.inventory import EnvironmentSummary

NAMES_SHOWN = 5


@click.command("ls")
@json_option
def command(*, as_json: bool) -> None:
    """List environments.

    HELD BY says what keeps it: a living process, or a lease (`up -d`) until it expires; `nobody` is removed at the
    next start of envspin.
    """
    from envspin.run.inventory import list_environments  # noqa: PLC0415 - not needed for a help

    with cli_context.open_engine() as engine:
        found = list_environments(engine)
    if as_json:
        print_json([each.describe() for each in found])
    elif found:
        rows = [_make_row(each, now=time.time()) for each in found]
        click.echo(render_table(("ENV", "TOPOLOGY", "STATE", "HELD BY", "EXPIRES IN", "SERVICES"), rows))
    else:
        click.echo("no environment exists; `envspin up -d FILE` leaves one running", err=True)


def _make_row(summary: EnvironmentSummary, *, now: float) -> tuple[str, ...]:
    expires = "-"
    if summary.expires is not None:
        expires = render_duration(summary.expires - now) if summary.expires > now else "now"
    return (summary.env, summary.topology, summary.state, _say_holder(summary), expires, _list(summary.services))


def _say_holder(summary: EnvironmentSummary) -> str:
    if summary.state == "leftover":
        return "nobody"
    if summary.owner_alive is None:
        return "lease" if summary.expires is not None else "unknown"
    return "process" if summary.owner_alive else "nobody"


def _list(services: tuple[str, ...]) -> str:
    surplus = len(services) - NAMES_SHOWN
    return ", ".join(services[:NAMES_SHOWN]) + (f" and {surplus} more" if surplus > 0 else "")
