"""``envspin drift``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from envspin.cli import context as cli_context
from envspin.cli.completing import complete_baselines
from envspin.cli.options import json_option, topology_options
from envspin.cli.output import print_json, render_table, shorten_image
from envspin.reference import SHORT_DIGEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envspin.cli.context import TopologyRequest
    from envspin.plan.drift import Finding

DRIFT = 5
DIGEST = "sha256:"


@click.command("drift")
@topology_options(selects=False, sets=False)
@click.option(
    "--against",
    default="registry",
    show_default=True,
    metavar="registry|ENV|OTHER_FILE",
    shell_complete=complete_baselines,
    help="What to hold the lock against.",
)
@json_option
@click.pass_context
def command(context: click.Context, request: TopologyRequest, *, against: str, as_json: bool) -> None:
    """Say what no longer is as it was locked.

    Exits with 5 if anything is not, and names it service by service. Against `registry`: tags that lead elsewhere now,
    and images that are gone. Against ENV, an environment's name: what runs there. Against OTHER_FILE: another Compose
    file or folder, another lock, or Kubernetes manifests (a file, a folder, or `-` for standard input). Builds whose
    files have changed since they were locked are told in every case.
    """
    from envspin.run.drifting import find_drift  # noqa: PLC0415 - not needed for a help

    topology = request.load()
    with cli_context.open_engine_if_any() as engine:
        findings = find_drift(topology, against, engine)
    if as_json:
        print_json([describe(each) for each in findings])
    elif findings:
        click.echo(render(findings))
    else:
        click.echo(f"no drift: {topology.name} is as it was locked")
    context.exit(DRIFT if findings else 0)


def describe(finding: Finding) -> dict[str, str | None]:
    """Return an entry of ``drift --json``."""
    return {
        "service": finding.service,
        "kind": finding.kind,
        "locked": finding.locked,
        "found": finding.found,
    }


def render(findings: Sequence[Finding]) -> str:
    """Return a table of findings, and what each kind in it means."""
    from envspin.plan.drift import KINDS  # noqa: PLC0415 - not needed for a help

    rows = [(each.service, each.kind, _shorten(each.locked), _shorten(each.found)) for each in findings]
    table = render_table(("SERVICE", "KIND", "LOCKED", "FOUND"), rows)
    kinds = sorted({each.kind for each in findings})
    width = max(map(len, kinds))
    return "\n".join([table, "", *(f"{kind:<{width}}  {KINDS[kind]}" for kind in kinds)])


def _shorten(text: str | None) -> str:
    """Return a pin with few digits of its digest; what follows it in brackets stays."""
    if text is None:
        return "-"
    pin, space, rest = text.partition(" ")
    if pin.startswith(DIGEST):
        return pin[:SHORT_DIGEST]
    if pin == "build":
        return f"{pin} {rest[:SHORT_DIGEST]}"
    return f"{shorten_image(pin)}{space}{rest}"
