"""Data on stdout: JSON, tables, and numbers as people read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from envspin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from envspin.run.service import ServiceHandle

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR


def print_json(document: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def write_text(text: str, output: Path | None) -> None:
    """Write a text to a file, or to stdout where none is named; raise UsageError where the file cannot be written."""
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}", hint="choose another --output") from error


def render_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: frozenset[int] = frozenset()) -> str:
    """Return rows under headings in aligned columns; ``right`` numbers the columns that align to the right."""
    cells = [list(row) for row in rows]
    widths = [max(len(row[index]) for row in [list(headings), *cells]) for index in range(len(headings))]
    lines = [_align(list(headings), widths, right), *(_align(row, widths, right) for row in cells)]
    lines[0] = click.style(lines[0], bold=True)
    return "\n".join(lines)


def _align(row: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    parts = (
        cell.rjust(width) if index in right else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(parts).rstrip()


def render_duration(seconds: float) -> str:
    """Return a time span with the one or two units that matter: ``0.31 s``, ``2 m 05 s``, ``7 h 59 m``, ``3 d 2 h``."""
    if seconds < MINUTE:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"  # noqa: PLR2004 - three digits are enough
    whole = round(seconds)
    if whole < HOUR:
        return f"{whole // MINUTE} m {whole % MINUTE:02} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE:02} m"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def count_nouns(counts: Mapping[str, int]) -> str:
    """Return counts in words: ``7 containers, 1 network``; ``nothing`` where all are zero."""
    order = {"container": 0, "network": 1, "volume": 2}
    kinds = sorted((kind for kind, count in counts.items() if count), key=lambda kind: (order.get(kind, 9), kind))
    return ", ".join(f"{counts[kind]} {kind}{'' if counts[kind] == 1 else 's'}" for kind in kinds) or "nothing"


def shorten_image(reference: str, length: int = 48) -> str:
    """Return an image reference short enough for a table; its end tells more than its beginning."""
    name, at, digest = reference.partition("@")
    short = f"{name}@{digest.removeprefix('sha256:')[:12]}" if at else name
    return short if len(short) <= length else "..." + short[3 - length :]


def render_image(handle: ServiceHandle) -> str:
    """Return a service's image for a table, and in brackets what held it where that is remarkable."""
    note = f" ({handle.pin})" if handle.pin in {"set", "locked"} else ""
    return f"{shorten_image(handle.image)}{note}"
