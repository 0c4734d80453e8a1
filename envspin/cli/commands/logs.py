"""``envspin logs``."""

from __future__ import annotations

import heapq
import json
from typing import TYPE_CHECKING

import click

from envspin.cli import context as cli_context
from envspin.cli.completing import complete_words
from envspin.cli.failures import INTERRUPTED
from envspin.cli.logs import make_printer
from envspin.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envspin.engine.base import Engine
    from envspin.run.environment import Environment


@click.command("logs")
@click.argument("words", nargs=-1, metavar="[ENV] [SERVICE]...", shell_complete=complete_words)
@click.option("-f", "--follow", is_flag=True, help="Stay and print what comes, until Ctrl-C.")
@click.option("-n", "--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines of each service.")
@json_option
def command(words: tuple[str, ...], *, follow: bool, tail: int | None, as_json: bool) -> None:
    """Show the output of services.

    The first word is the environment if it names one (its name, the beginning of it, or a topology's folder);
    otherwise all words are services of the only environment. A service with several replicas means all of them.
    Lines of several services stand in the order in which they were written, each behind its service's name; those of
    one service are printed as they are. With --json each line is a document of its own.
    """
    from envspin.cli.selecting import take_environment  # noqa: PLC0415 - not needed for a help

    with cli_context.open_engine() as engine:
        environment, services = take_environment(engine, words)
        named = [handle.name for name in services for handle in environment.replicas(name)]
        chosen = list(dict.fromkeys(named)) or list(environment.services)
        lines = environment.follow_logs(chosen, tail=tail) if follow else _merge(engine, environment, chosen, tail)
        show = print_record if as_json else make_printer(chosen)
        try:
            for service, line in lines:
                show(service, line)
        except KeyboardInterrupt:  # the usual end of following
            click.get_current_context().exit(INTERRUPTED)


def print_record(service: str, line: str) -> None:
    """Print one line of a log as a JSON document on one line."""
    click.echo(json.dumps({"service": service, "line": line}, ensure_ascii=False))


def _merge(
    engine: Engine, environment: Environment, services: list[str], tail: int | None
) -> Iterator[tuple[str, str]]:
    """Yield the lines of several services by the time of their writing."""
    streams = [_read(engine, name, environment[name].container_id, tail) for name in services]
    for _, service, line in heapq.merge(*streams, key=lambda entry: entry[0]):
        yield service, line


def _read(engine: Engine, service: str, container_id: str, tail: int | None) -> Iterator[tuple[str, str, str]]:
    # The engine's timestamps are all in UTC and equally long, so that their texts sort as the times do.
    for line in engine.logs(container_id, tail=tail, timestamps=True):
        stamp, _, text = line.partition(" ")
        yield stamp, service, text
