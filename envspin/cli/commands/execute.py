"""``envspin exec``."""

from __future__ import annotations

import click

from envspin.cli import context as cli_context
from envspin.cli.completing import complete_words
from envspin.cli.options import TailCommand, duration_option, json_option
from envspin.cli.output import print_json

MOST_WORDS = 2


@click.command("exec", cls=TailCommand)
@click.argument("words", nargs=-1, required=True, metavar="[ENV] SERVICE", shell_complete=complete_words)
@click.option("-u", "--user", metavar="USER", help="Run as this user of the container.")
@duration_option("--timeout", "Give up waiting after this time.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    words: tuple[str, ...],
    *,
    user: str | None,
    timeout: float | None,
    as_json: bool,
    tail: tuple[str, ...],
) -> None:
    """Run a command inside a service's container.

    Of two words before the dashes, the first is the environment; a single word is a service of the only environment.
    The command's output is printed when it ends, and its exit code is passed through. It gets no input: for a shell
    to type in, `docker exec -it` takes the container that `envspin ps` names.

    \b
    Example:
      envspin exec db -- psql -U postgres -c 'select 1'
    """  # noqa: D301 - click's mark, not a raw backslash
    from envspin.cli.selecting import take_service  # noqa: PLC0415 - not needed for a help

    if len(words) > MOST_WORDS:
        raise click.UsageError("name an environment and a service before the dashes, no more")
    with cli_context.open_engine() as engine:
        environment, service = take_service(engine, words)
        result = environment[service].exec(tail, user=user, timeout=timeout)
    if as_json:
        print_json({"exit_code": result.exit_code, "output": result.output})
    else:
        click.echo(result.output, nl=False)
    context.exit(result.exit_code)
