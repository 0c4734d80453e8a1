"""``envspin config``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from envspin.cli.failures import render_problem
from envspin.cli.forking import Fork, ForkingCommand
from envspin.cli.options import json_option, topology_options
from envspin.cli.output import print_json
from envspin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envspin.cli.context import TopologyRequest
    from envspin.model import Service, Topology
    from envspin.plan.lock import Lock

DIFF = Fork("diff", "envspin.cli.commands.config_diff", "Compare two topologies.")


@click.command("config", cls=ForkingCommand, fork=DIFF)
@topology_options(selects=False, complete_file=DIFF.complete)
@click.option("-q", "--quiet", is_flag=True, help="Only validate: print nothing but problems.")
@json_option
def command(request: TopologyRequest, *, quiet: bool, as_json: bool) -> None:
    """Print the merged topology as Compose; `config diff` compares two.

    Variables, images given with --set and the digests of envspin.lock are put in. Warnings go to stderr. Exits with 2
    where the topology is wrong, after printing every problem with its place.

    `envspin config diff FILE_A FILE_B` shows how two topologies differ; it has a --help of its own. A folder that is
    called diff is written ./diff.
    """
    from envspin.run.locks import read_lock  # noqa: PLC0415 - not needed for a help
    from envspin.topology import dump_yaml, to_compose  # noqa: PLC0415

    topology = request.load()
    topology = pin(add_digests(topology, read_lock(topology)), request.pins)
    for warning in topology.warnings:
        click.echo(render_problem(warning), err=True)
    if quiet:
        return
    if as_json:
        print_json(to_compose(topology))
    else:
        click.echo(dump_yaml(to_compose(topology)), nl=False)


def add_digests(topology: Topology, lock: Lock | None) -> Topology:
    """Return the topology with the digest of each locked image behind its tag: whoever runs that gets the same."""
    locked = lock.images if lock is not None else {}

    def add_digest(service: Service) -> Service:
        image = locked.get(service.image or "")
        stub = service.stub and add_digest(service.stub)
        return replace(service, image=image.pin() if image is not None else service.image, stub=stub)

    return replace(topology, services={name: add_digest(service) for name, service in topology.services.items()})


def pin(topology: Topology, pins: Mapping[str, str]) -> Topology:
    """Return the topology with these images in place; raise UsageError for services that it does not have."""
    from envspin.plan.selection import check_images, suggest_name  # noqa: PLC0415 - not needed for a help

    check_images(pins)
    services = dict(topology.services)
    for name, image in pins.items():
        if name not in services:
            hint = suggest_name(name, services)
            raise UsageError(f"set: topology {topology.name} has no service {name!r}", hint=hint)
        services[name] = replace(services[name], image=image, build=None)
    return replace(topology, services=services)
