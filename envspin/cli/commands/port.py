"""``envspin port``."""

from __future__ import annotations

import click

from envspin.cli import context as cli_context
from envspin.cli.completing import complete_words
from envspin.cli.options import json_option
from envspin.cli.output import print_json


@click.command("port")
@click.argument("words", nargs=-1, required=True, metavar="[ENV] SERVICE [PORT]", shell_complete=complete_words)
@json_option
def command(words: tuple[str, ...], *, as_json: bool) -> None:
    """Print where a service's port is reached.

    PORT is the container's port, 5432 or 53/udp; the service's first one if omitted. Of two words the second is a
    port if it is a number; otherwise the first is the environment.
    """
    from envspin.cli.selecting import take_port  # noqa: PLC0415 - not needed for a help

    with cli_context.open_engine() as engine:
        environment, service, port = take_port(engine, words)
        handle = environment[service]
        if port is None:
            host, number = handle.host, handle.port
        else:
            container_port, _, protocol = port.partition("/")
            host, number = handle.host, handle.port_for(int(container_port), protocol or "tcp")
    if as_json:
        print_json({"host": host, "port": number})
    else:
        click.echo(f"{host}:{number}")
