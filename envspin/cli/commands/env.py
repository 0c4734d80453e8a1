"""``envspin env``."""

from __future__ import annotations

import click

from envspin.cli import context as cli_context
from envspin.cli.options import environment_argument
from envspin.cli.variables import FORMATS, render_variables


@click.command("env")
@environment_argument
@click.option("--format", "style", type=click.Choice(FORMATS), default="dotenv", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def command(env: str | None, *, style: str, as_json: bool) -> None:
    """Print the variables that lead to an environment.

    These are its exports, ENVSPIN_<SERVICE>_HOST, _PORT and _PORT_<CONTAINERPORT> of each service, and ENVSPIN_ENV.

    \b
    In a shell:
      eval "$(envspin env --format shell)"
    """  # noqa: D301 - click's mark, not a raw backslash
    from envspin.cli.selecting import open_environment  # noqa: PLC0415 - not needed for a help

    with cli_context.open_engine() as engine:
        variables = open_environment(engine, env).variables()
    click.echo(render_variables(variables, "json" if as_json else style))
