"""``envspin keep``."""

from __future__ import annotations

import click

from envspin.cli import context as cli_context
from envspin.cli.options import duration_option, environment_argument, json_option
from envspin.cli.output import print_json, render_duration


@click.command("keep")
@environment_argument
@duration_option("--ttl", "How long it may stay, from now on.  [default: 8h]")
@json_option
def command(env: str | None, *, ttl: float | None, as_json: bool) -> None:
    """Let an environment that was left running stay longer, or shorter.

    What `envspin up -d` or `--keep-on-failure` left running is removed when its time is up; `envspin ls` shows what
    is left of it. An environment that a living process holds ends with that process.
    """
    from envspin.run.inventory import find_environment  # noqa: PLC0415 - not needed for a help
    from envspin.run.leases import keep_environment  # noqa: PLC0415
    from envspin.run.naming import DEFAULT_TTL  # noqa: PLC0415

    seconds = DEFAULT_TTL if ttl is None else ttl
    with cli_context.open_engine() as engine:
        name = find_environment(engine, env).env
        expires = keep_environment(engine, name, seconds=seconds)
    if as_json:
        print_json({"env": name, "expires": round(expires)})
    else:
        click.echo(f"{name} stays for {render_duration(seconds)}")
