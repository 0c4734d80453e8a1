"""``envspin down``."""

from __future__ import annotations

import click

from envspin.cli import context as cli_context
from envspin.cli.completing import complete_environments
from envspin.cli.options import json_option, progress_option
from envspin.cli.output import print_json
from envspin.cli.progress import show_progress


@click.command("down")
@click.argument("env", nargs=-1, shell_complete=complete_environments)
@click.option("--all", "everything", is_flag=True, help="Remove every environment of this engine.")
@progress_option
@json_option
def command(env: tuple[str, ...], *, everything: bool, progress: str, as_json: bool) -> None:
    """Remove environments.

    ENV is a name, the beginning of one, or a topology's folder for all its environments; it may be omitted where
    only one environment exists. Removed is exactly what carries the environment's label: containers, networks,
    volumes.
    """
    from envspin.run.clearing import tear_down  # noqa: PLC0415 - not needed for a help
    from envspin.run.inventory import find_environments  # noqa: PLC0415
    from envspin.run.notifier import Notifier  # noqa: PLC0415

    if everything and env:
        raise click.UsageError("name environments or say --all, not both")
    with cli_context.open_engine() as engine, show_progress(progress) as shown:
        found = find_environments(engine, env, everything=everything)
        removed = [
            {"env": each.env, "removed": dict(tear_down(engine, each.env, Notifier(shown)))}  # type: ignore[arg-type]
            for each in found
        ]
    if as_json:
        print_json(removed)
    elif not removed:
        click.echo("there is no environment", err=True)
