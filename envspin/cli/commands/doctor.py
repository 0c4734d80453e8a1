"""``envspin doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from envspin.cli.options import json_option
from envspin.cli.output import print_json

if TYPE_CHECKING:
    from envspin.cli.doctor import Finding

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
CANNOT_RUN = 4


@click.command("doctor")
@json_option
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """Check this machine and say what mends it.

    Looks for the engine and the way to it, ports, networks, disk, leftovers of earlier runs, and the pytest plugin.
    Changes nothing. Exits with 4 if something is missing without which no environment can run.
    """
    from envspin.cli.doctor import examine  # noqa: PLC0415 - not needed for a help

    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            click.echo(render_finding(finding))
    if as_json:
        print_json([each.describe() for each in findings])
    context.exit(CANNOT_RUN if any(each.status == "fail" for each in findings) else 0)


def render_finding(finding: Finding) -> str:
    """Return a finding as a line, and below it what mends it."""
    label = click.style(f"{finding.status:<4}", fg=COLOURS[finding.status], bold=True)
    line = f"{label}  {finding.check:<19}  {finding.message}"
    return f"{line}\n{'':<27}{click.style('mend it:', fg='cyan')} {finding.fix}" if finding.fix else line
