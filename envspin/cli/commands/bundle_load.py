"""``envspin bundle load``."""

from __future__ import annotations

from pathlib import Path

import click

from envspin.cli import context as cli_context
from envspin.cli.commands.bundle import show
from envspin.cli.options import json_option


@click.command("load")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def command(file: Path, *, as_json: bool) -> None:
    """Bring the images of a bundle into the engine, and see that they are the ones that were saved."""
    from envspin.run.bundles import load_bundle  # noqa: PLC0415 - not needed for a help

    with cli_context.open_engine() as engine:
        bundle = load_bundle(engine, file)
    show(bundle, "loaded", file, as_json=as_json)
