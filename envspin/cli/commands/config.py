"""``envspin config``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from envspin.cli.failures import render_problem
from envspin.cli.options import json_option, topology_options
from envspin.cli.output import print_json
from envspin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envspin.cli.context import TopologyRequest
    from envspin.model import Topology


@click.command("config")
@topology_options(selects=False)
@click.option("-q", "--quiet", is_flag=True, help="Only validate: print nothing but problems.")
@json_option
def command(request: TopologyRequest, *, quiet: bool, as_json: bool) -> None:
    """Print the merged, interpolated topology as plain Compose YAML.

    Images given with --set are put in. Warnings go to stderr. Exits with 2 where the topology is wrong, after
    printing every problem with its place.
    """
    from envspin.topology import dump_yaml, to_compose  # noqa: PLC0415 - not needed for a help

    topology = pin(request.load(), request.pins)
    for warning in topology.warnings:
        click.echo(render_problem(warning), err=True)
    if quiet:
        return
    if as_json:
        print_json(to_compose(topology))
    else:
        click.echo(dump_yaml(to_compose(topology)), nl=False)


def pin(topology: Topology, pins: Mapping[str, str]) -> Topology:
    """Return the topology with these images in place; raise UsageError for services that it does not have."""
    from envspin.plan.selection import suggest_name  # noqa: PLC0415 - not needed for a help

    services = dict(topology.services)
    for name, image in pins.items():
        if name not in services:
            hint = suggest_name(name, services)
            raise UsageError(f"set: topology {topology.name} has no service {name!r}", hint=hint)
        services[name] = replace(services[name], image=image, build=None)
    return replace(topology, services=services)
