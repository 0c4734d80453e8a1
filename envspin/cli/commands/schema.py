"""``envspin schema``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from envspin.cli.output import write_text


@click.command("schema")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
def command(output: Path | None) -> None:
    """Print the JSON Schema of topologies, for editors.

    Editors complete and check with it. It is Compose's structure as envspin takes it: keys that are replaced are
    marked as deprecated, keys that are not supported are errors, and `x-envspin` is described in full.

    \b
    Write it beside the Compose file:
      envspin schema -o envspin.schema.json
    and begin the Compose file with this line, for VS Code, Neovim and others:
      # yaml-language-server: $schema=./envspin.schema.json
    """  # noqa: D301 - click's mark, not a raw backslash
    from envspin.topology.schema import make_schema  # noqa: PLC0415 - not needed for a help

    text = json.dumps(make_schema(), indent=2, ensure_ascii=False)
    write_text(text, output)
