"""Differences between two topologies as text of 80 columns and as data."""

from __future__ import annotations

import json
import textwrap
from itertools import groupby, takewhile
from typing import TYPE_CHECKING

import click

from envspin.topology.comparison import make_masker
from envspin.topology.masking import MASK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from envspin.cli.context import TopologyRequest
    from envspin.model import Topology
    from envspin.topology.comparison import Difference, Side

    Missing = tuple[str | None, str]
    """The service (None for the whole topology) and the name of a variable that nothing declares."""

WIDTH = 80
_KIND_WIDTH = 8
_LONGEST_NAME = 26
_INDENT = " " * (_KIND_WIDTH + 4)
_BOTH_AND_ARROW = 3
_SIZES = ("mem_limit", "mem_reservation", "shm_size")
_COLOURS: dict[Side, str] = {"left": "red", "right": "green"}


def describe_side(request: TopologyRequest, topology: Topology, missing: Collection[Missing]) -> dict[str, object]:
    """Return one side as data: what was read for it, and which variables it uses without a value."""
    return {
        "topology": make_masker(topology).mask_name(topology.name),
        "files": [str(path) for path in request.paths],
        "env_files": [str(path) for path in request.env_files],
        "profiles": list(request.profiles),
        "undeclared": [{"service": service, "name": name} for service, name in missing],
    }


def describe_difference(difference: Difference) -> dict[str, object]:
    """Return a difference as data."""
    return {
        "service": difference.service,
        "kind": difference.kind,
        "name": difference.name,
        "status": difference.status,
        "left": difference.left,
        "right": difference.right,
        "undeclared_in": difference.undeclared_in,
    }


def render_sides(left: TopologyRequest, right: TopologyRequest) -> str:
    """Return two lines that say what the words left and right stand for."""
    return "\n".join(
        f"{click.style(f'{side:<5}', fg=_COLOURS[side])}  {_name_side(request)}" for side, request in _pair(left, right)
    )


def _pair(left: TopologyRequest, right: TopologyRequest) -> Iterator[tuple[Side, TopologyRequest]]:
    yield "left", left
    yield "right", right


def _name_side(request: TopologyRequest) -> str:
    text = " + ".join(str(path) for path in request.paths)
    if request.env_files:
        text += ", variables of " + " + ".join(str(path) for path in request.env_files)
    if request.profiles:
        text += ", with profile " + ", ".join(request.profiles)
    return text


def render_differences(differences: Sequence[Difference], missing_in_both: Sequence[Missing] = ()) -> str:
    """Return a table by service, the variables that neither side declares, and the number of differences."""
    blocks = []
    for service, group in groupby(differences, key=lambda each: each.service):
        rows = list(group)
        width = max((len(name) for each in rows if len(name := _show(each.name)) <= _LONGEST_NAME), default=0)
        title = click.style(service if service is not None else "the whole topology", bold=True)
        blocks.append("\n".join([title, *(line for each in rows for line in _render_row(each, width))]))
    if missing_in_both:
        names = ", ".join(f"{_show(name)} ({service or 'the whole topology'})" for service, name in missing_in_both)
        blocks.append(textwrap.fill(f"undeclared on both sides, which is no difference: {names}", WIDTH))
    count = len(differences)
    blocks.append(f"{count} difference{'' if count == 1 else 's'}" if count else "no difference")
    return "\n\n".join(blocks)


def _render_row(difference: Difference, width: int) -> Iterator[str]:
    """Yield the lines of a difference: one if it fits, else its values below its name."""
    name = _show(difference.name)
    head = f"  {difference.kind:<{_KIND_WIDTH}}  {name:<{width}}"
    parts = _say(difference, WIDTH)
    if len(head) + 2 + len("".join(text for text, _ in parts)) <= WIDTH and len(name) <= width:
        yield f"{head}  {_paint(parts)}"
        return
    yield head.rstrip()
    parts = _say(difference, WIDTH - len(_INDENT))
    if len(parts) < _BOTH_AND_ARROW:
        yield _INDENT + _paint(parts)
        return
    left, arrow, right = parts
    yield _INDENT + _paint([left])
    yield _INDENT + _paint([(arrow[0].lstrip(), None), right])


def _paint(parts: Sequence[tuple[str, str | None]]) -> str:
    return "".join(click.style(text, fg=colour) if colour else text for text, colour in parts)


def _say(difference: Difference, room: int) -> list[tuple[str, str | None]]:
    """Return texts with their colours; values that take more than ``room`` are cut to where they begin to differ."""
    left, right = (_show_value(difference, value) for value in (difference.left, difference.right))
    if difference.status == "differs" and left == right != MASK:
        words = f" ({MASK} differs)"
        return [(_shorten(left, room - len(words)), None), (words, "yellow")]
    if difference.status == "differs":
        arrow = " -> "
        room -= len(arrow)
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))
        return [
            (_shorten(left, room, common), _COLOURS["left"]),
            (arrow, None),
            (_shorten(right, room, common), _COLOURS["right"]),
        ]
    other: Side
    if difference.undeclared_in is not None:
        other = "right" if difference.undeclared_in == "left" else "left"
        text, value = f"undeclared {difference.undeclared_in}", right if other == "right" else left
        if (difference.right if other == "right" else difference.left) is None:
            return [(text, "yellow")]
        return [(text, "yellow"), (_after(f", {other}: ", value, room - len(text)), None)]
    side: Side = "left" if difference.status == "only-left" else "right"
    text, value = f"only {side}", left if side == "left" else right
    return [(text, _COLOURS[side]), *([(_after(": ", value, room - len(text)), None)] if value else [])]


def _after(words: str, value: str, room: int) -> str:
    return words + _shorten(value, room - len(words))


def _shorten(text: str, room: int, common: int = 0) -> str:
    """Return as much of ``text`` as there is room for, from a little before its character ``common``."""
    if len(text) <= room:
        return text
    begin = max(0, min(common - room // 3, len(text) - room))
    cut = text[begin : begin + room]
    if begin:
        cut = "..." + cut[3:]
    return cut if begin + room >= len(text) else cut[:-3] + "..."


def _show_value(difference: Difference, value: object) -> str:
    if difference.kind == "service":
        return str(value) if difference.status == "differs" else ""
    if difference.kind == "resource" and difference.name in _SIZES and isinstance(value, str) and value.isdigit():
        return _show_size(int(value))
    if isinstance(value, dict):
        return ", ".join(f"{_show(key)} {_show(item)}" for key, item in value.items())
    return _show(value)


def _show(value: object) -> str:
    """Return a value on one line, without anything that a terminal would obey."""
    if isinstance(value, str) and value and value.isprintable() and value.strip() == value:
        return value
    return "nothing" if value is None else json.dumps(value)


def _show_size(size: int) -> str:
    """Return bytes in Compose's notation."""
    for unit, factor in (("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)
