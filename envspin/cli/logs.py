"""Log lines on stdout, each behind its service's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")


def make_printer(services: Sequence[str]) -> Callable[[str, str], None]:
    """Return a function that prints a service's line; with a single service, just the line."""
    if len(services) == 1:
        return lambda _service, line: click.echo(line)
    width = max(map(len, services), default=0)
    prefixes = {
        name: click.style(f"{name:<{width}} |", fg=COLOURS[index % len(COLOURS)]) for index, name in enumerate(services)
    }
    return lambda service, line: click.echo(f"{prefixes[service]} {line}")
