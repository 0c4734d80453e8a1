"""``envspin up``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from envspin.cli import context as cli_context
from envspin.cli.failures import INTERRUPTED
from envspin.cli.logs import make_printer
from envspin.cli.options import json_option, progress_option, topology_options
from envspin.cli.output import print_json
from envspin.cli.progress import show_progress
from envspin.cli.starting import StartOptions, bring_up, check_start, start_options

if TYPE_CHECKING:
    from envspin.cli.context import TopologyRequest
    from envspin.run.environment import Environment


@click.command("up")
@topology_options()
@click.option("-d", "--detach", is_flag=True, help="Return when all is ready and leave it running.")
@start_options
@progress_option
@json_option
def command(request: TopologyRequest, *, start: StartOptions, detach: bool, progress: str, as_json: bool) -> None:
    """Start a topology and stream its logs; Ctrl-C removes it all.

    FILE is a folder with a Compose file, or the file; the current folder if omitted. Services start in the order of
    their dependencies, each as soon as those have proved ready. When all are, endpoints, exports and the times that
    each service took are printed, then what services write from then on (`envspin logs` has what they wrote before).

    With -d the name of the environment is printed when all is ready, and it stays until `envspin down`, or until
    its time (--ttl, 8 hours) is up. With --json that is one document with every endpoint.
    """
    from envspin.run.signals import terminable  # noqa: PLC0415 - not needed for a help

    if as_json and not detach:
        raise click.UsageError("--json goes with -d: logs and a document do not mix")
    plan = check_start(request, start)
    with (
        terminable(),
        cli_context.open_engine() as engine,
        show_progress(progress, plan) as shown,
        bring_up(plan, start, engine, shown) as environment,
    ):
        if detach:
            environment.detach(start.ttl)
            _announce(environment, as_json=as_json, quiet=progress == "quiet")
        else:
            try:
                stream(environment)
            except KeyboardInterrupt:  # the usual end: what is printed last is what was removed
                click.get_current_context().exit(INTERRUPTED)


def _announce(environment: Environment, *, as_json: bool, quiet: bool) -> None:
    """Print the name or document on stdout, and on stderr what to do with it."""
    if as_json:
        print_json(environment.describe())
        return
    click.echo(environment.name)
    if not quiet:
        name = environment.name
        for what, line in {
            "variables": f'eval "$(envspin env {name} --format shell)"',
            "look": f"envspin ps {name}",
            "remove": f"envspin down {name}",
        }.items():
            click.echo(f"  {what + ':':<11}{line}", err=True)


def _announce_end(environment: Environment, name: str) -> None:
    """Say that a service has ended, unless it is a job that did what it should."""
    handle = environment[name]
    if handle.state == "exited":
        click.echo(click.style(f"{name} has ended with exit code {handle.exit_code}", fg="red"), err=True)


def stream(environment: Environment) -> None:
    """Print the summary, then every service's log lines until all have stopped or Ctrl-C."""
    from envspin.cli.summary import render_summary  # noqa: PLC0415 - not needed with -d

    click.echo(f"\n{render_summary(environment)}")
    click.echo(click.style("\nCtrl-C removes it all.\n", dim=True), err=True)
    show = make_printer(list(environment.services))
    for service, line in environment.follow_logs(tail=0, on_end=lambda name: _announce_end(environment, name)):
        show(service, line)
    click.echo(_say_end(environment), err=True)


def _say_end(environment: Environment) -> str:
    if all(handle.state == "gone" for handle in environment.services.values()):
        return f"{environment.name} was removed from outside"
    return "all services have stopped"
