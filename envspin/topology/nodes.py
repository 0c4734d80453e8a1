"""A YAML file as a tree of nodes that know where they were written.

Scalars keep their original text: what a text means (number, truth value, port) is decided by whoever reads it, so a
port ``22:22`` or a country ``NO`` can never turn into something else on the way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from envspin.problems import Mark
from envspin.topology.masking import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping as Mapping_
    from pathlib import Path

RESET_TAG = "!reset"
OVERRIDE_TAG = "!override"
MAX_LINES = 200_000
MAX_SEARCHED = 4096
"""Characters of a text that are searched for secrets: far more than messages show."""
HIDDEN = MAX_LINES * MAX_LINES
"""More characters than any line has."""
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))


_LINE_BREAKS = "\n\r\x85\u2028\u2029"
_LINE_BREAK = re.compile(f"\r\n|[{_LINE_BREAKS}]")
"""What the YAML parser counts as the end of a line."""


@dataclass(slots=True, eq=False)
class Document:
    """One source file: its text, how messages call it, and the folder its relative paths start from."""

    name: str
    text: str
    directory: Path
    variables: Mapping_[str, str] = field(default_factory=dict)
    """What variables are worth in this file: the environment and the ``.env`` files that apply to it."""
    confidential: bool = False
    """Whether messages may not show lines of it (files of variables)."""
    tails: dict[int, int] = field(default_factory=dict)
    """Lines that begin with the end of a text of several lines, and how many characters of them belong to it."""
    secrets: tuple[int, int] | None = None
    """The first and the last line of the top-level `secrets`."""
    _lines: list[str] = field(default_factory=list)

    def count_lines(self) -> int:
        """Return how many lines there are, without holding them all."""
        return sum(map(self.text.count, _LINE_BREAKS)) + 1

    def line(self, number: int) -> str | None:
        """Return line ``number`` (from 1) without its end, or None if there is none."""
        if not self._lines:
            self._lines = _LINE_BREAK.split(self.text, MAX_LINES)
            if not self._lines[-1]:
                self._lines.pop()
        return self._lines[number - 1] if 0 < number <= len(self._lines) else None


@dataclass(slots=True, eq=False)
class Place:
    """A position in a document; line and column count from 1."""

    document: Document
    line: int
    column: int

    @property
    def mark(self) -> Mark:
        """The position as plain data."""
        return Mark(self.document.name, self.line, self.column)


@dataclass(slots=True, eq=False)
class Scalar(Place):
    """A text; ``plain`` says that it was written without quotes and may therefore be null."""

    text: str
    plain: bool = True
    tag: str | None = None
    raw: str | None = None
    """What was written before variables were put in; None where there were none."""

    @property
    def is_null(self) -> bool:
        """Whether this is YAML's null: nothing, ``~`` or ``null``, unquoted and not from a variable."""
        return self.plain and self.raw is None and self.text in _NULLS

    @property
    def masked(self) -> str:
        """The beginning of the text as written, on one line and without secrets."""
        text = self.text if self.raw is None else self.raw
        return mask_secrets(" ".join(text[:MAX_SEARCHED].splitlines()))

    @property
    def shown(self) -> str:
        """The text as messages may show it: as written, so that no variable's value leaks, masked, not too long."""
        text = self.masked
        return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - fits on a line

    def place_at(self, offset: int) -> Place:
        """Return the place of character ``offset`` where the source holds the text unchanged, else the start."""
        text = self.text if self.raw is None else self.raw
        line = self.document.line(self.line) or ""
        for quote in (0, 1):
            if line.startswith(text, self.column - 1 + quote):
                return Place(self.document, self.line, self.column + quote + offset)
        return self


@dataclass(slots=True, eq=False)
class Sequence(Place):
    """A list of nodes."""

    items: list[Node]
    tag: str | None = None


class Entry(NamedTuple):
    """A key of a mapping with its value."""

    key: Scalar
    value: Node


@dataclass(slots=True, eq=False)
class Mapping(Place):
    """Keys with values, in the order written."""

    entries: dict[str, Entry]
    tag: str | None = None

    def get(self, key: str) -> Node | None:
        """Return the value of ``key``, or None if it is absent."""
        entry = self.entries.get(key)
        return entry.value if entry else None

    def replaced(self, entries: dict[str, Entry]) -> Mapping:
        """Return a mapping of the same place with other entries (nodes are shared, never changed)."""
        return Mapping(self.document, self.line, self.column, entries)


Node = Scalar | Sequence | Mapping


def is_null(node: Node | None) -> bool:
    """Tell whether ``node`` is absent or YAML's null."""
    return node is None or (isinstance(node, Scalar) and node.is_null)


def describe_kind(node: Node) -> str:
    """Return what a message calls the shape of ``node``."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    return "nothing" if node.is_null else "text"


def shown(node: Node) -> str:
    """Return ``node`` as messages may show it."""
    return node.shown if isinstance(node, Scalar) else "..."
