"""``envspin ps``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from envspin.cli import context as cli_context
from envspin.cli.options import environment_argument, json_option
from envspin.cli.output import print_json, render_image, render_table

if TYPE_CHECKING:
    from envspin.run.service import ServiceHandle

SHORT_ID = 12


@click.command("ps")
@environment_argument
@json_option
def command(env: str | None, *, as_json: bool) -> None:
    """List the services of an environment.

    READY is when the service was ready, in seconds after the run began; STATE is how it is now.
    """
    from envspin.cli.selecting import open_environment  # noqa: PLC0415 - not needed for a help

    with cli_context.open_engine() as engine:
        services = open_environment(engine, env).services
        if as_json:
            print_json([{"service": name, **handle.describe()} for name, handle in services.items()])
            return
        rows = [_make_row(handle) for handle in services.values()]
    click.echo(render_table(("SERVICE", "STATE", "READY", "ENDPOINTS", "IMAGE", "CONTAINER"), rows))


def _make_row(handle: ServiceHandle) -> tuple[str, ...]:
    endpoints = ", ".join(f"{endpoint}->{port}" for port, endpoint in handle.endpoints.items())
    ready = "-" if handle.ready_at is None else f"{handle.ready_at:.2f}"
    return (handle.name, handle.state, ready, endpoints or "-", render_image(handle), handle.container_id[:SHORT_ID])
