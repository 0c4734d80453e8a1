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

    from click.shell_completion import CompletionItem

    from envspin.cli.context import TopologyRequest
    from envspin.model import Topology

DIFF = "diff"


class ConfigCommand(click.Command):
    """A command that is another one when its first word is ``diff``; a folder of that name is ``./diff``."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        """Read the words of the call as those of the command that is meant."""
        if args[:1] != [DIFF]:
            return super().make_context(info_name, args, parent, **extra)
        from envspin.cli.commands.config_diff import command as diff  # noqa: PLC0415 - not needed for the other

        return diff.make_context(f"{info_name} {DIFF}", args[1:], parent, **extra)


def complete_file(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer ``diff`` beside the files."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - not needed for a call

    words = [CompletionItem(DIFF, help="Compare two topologies.")] if DIFF.startswith(incomplete) else []
    return [*words, CompletionItem(incomplete, type="file")]


@click.command("config", cls=ConfigCommand)
@topology_options(selects=False, complete_file=complete_file)
@click.option("-q", "--quiet", is_flag=True, help="Only validate: print nothing but problems.")
@json_option
def command(request: TopologyRequest, *, quiet: bool, as_json: bool) -> None:
    """Print the merged topology as Compose; `config diff` compares two.

    Variables and images given with --set are put in. Warnings go to stderr. Exits with 2 where the topology is wrong,
    after printing every problem with its place.

    `envspin config diff FILE_A FILE_B` shows how two topologies differ; it has a --help of its own. A folder that is
    called diff is written ./diff.
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
    from envspin.plan.selection import check_images, suggest_name  # noqa: PLC0415 - not needed for a help

    check_images(pins)
    services = dict(topology.services)
    for name, image in pins.items():
        if name not in services:
            hint = suggest_name(name, services)
            raise UsageError(f"set: topology {topology.name} has no service {name!r}", hint=hint)
        services[name] = replace(services[name], image=image, build=None)
    return replace(topology, services=services)
