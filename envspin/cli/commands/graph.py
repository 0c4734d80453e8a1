"""``envspin graph``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from envspin.cli.options import topology_options
from envspin.cli.output import write_text
from envspin.errors import UsageError

if TYPE_CHECKING:
    from envspin.cli.context import TopologyRequest

FORMATS = ("mermaid", "dot", "json", "svg")


@click.command("graph")
@topology_options()
@click.option("--format", "style", type=click.Choice(FORMATS), help="mermaid, unless --output ends in another's name.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
def command(request: TopologyRequest, *, style: str | None, as_json: bool, output: Path | None) -> None:
    """Draw the dependency graph.

    Arrows lead from a service to those that wait for it: until it is ready, has completed (a job), or has merely
    started (dashed). The SVG needs nothing else to be shown. No engine is needed.

    \b
    Example:
      envspin graph topologies/shop -o shop.svg
    """  # noqa: D301 - click's mark, not a raw backslash
    from envspin.cli.graphs import render_graph  # noqa: PLC0415 - networkx is slow to import

    text = render_graph(request.plan(), _choose_format(style, output, as_json=as_json))
    write_text(text, output)


def _choose_format(style: str | None, output: Path | None, *, as_json: bool) -> str:
    if as_json:
        return "json"
    if style is None and output is not None:
        ending = output.suffix.removeprefix(".")
        style = {"gv": "dot", "mmd": "mermaid", "md": "mermaid", "": "mermaid"}.get(ending, ending)
        if style not in FORMATS:
            raise UsageError(f"{output}: there is no format .{ending}", hint=f"say --format {'|'.join(FORMATS)}")
    return style or "mermaid"
