"""The line of a file that a message shows: without secrets, cut to a width that fits, with the caret's column.

A line may hold a piece of a secret without a telling name of its own: below a telling key, below the top-level
``secrets``, at the end of a text of several lines. So the keys that a line stands under count as well. They are taken
from the indentation, because a file that does not parse has no tree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envspin.topology.masking import MASK, mask_secrets, sounds_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envspin.topology.nodes import Document, Place

MAX_SHOWN_LINE = 240
WINDOW = 120
"""Characters that are shown of a line that is longer."""
MAX_SEARCHED = 64 * 1024
"""Characters of long lines of one file that are searched for secrets; further long lines are not shown."""
MAX_ABOVE = 128
"""Lines that a line may stand under, and lines without a key above it, to be shown at all."""
_CUT = "..."

_NAME = re.compile(r"""(?<![\w.-])([\w.-]{1,240})["']?[ \t]*(?:=|:(?=\s|$))""")
_KEY_LINE = re.compile(r"""\s*(?:-\s+)*["']?[^\s"'\#:={}\[\],|>&*!-][^"':=]{0,100}["']?\s*(?:=|:(?=\s|$))""")
_DASHES = re.compile(r" *((?:-[ \t]+)*)")
_OPTION = re.compile(r"""\s*(?:-\s+)+["']?(-[^\s"'=]{1,100})["']?,?\s*$""")
_SECTIONS = frozenset(("services", "networks", "volumes", "configs", "secrets"))
_DEPENDENCIES = "depends_on"
_CONTENT = re.compile(r"""((?<![\w.-])["']?content["']?\s*:\s+)(?![|>]?[-+]?\s*$)\S.*""")
"""The inline content of a secret; of a config, too: a line does not tell which of the two it belongs to."""
_ASSIGNED = re.compile(r"""(?<![\w.-])([\w.-]{1,240})["']?\s*(?:=|:(?=\s))\s*""")
_REFERENCE = re.compile(r"""["']?\$(?:\{\w+(?::?\?[^}]{0,200})?\}|[A-Z_][A-Z0-9_]*)["']?(?=\s*(?:[\]},#]|$))""")
_SECRETS = re.compile(r"""(?:^\s*|[{,]\s*)["']?secrets["']?\s*:(?=\s*(?:\{|$))""")
_KEY = r"""(?: "[\w.-]{1,100}" | '[\w.-]{1,100}' | [\w.-]{1,100} ) \s* :"""
_HARMLESS = re.compile(
    rf"""(?x) (?: (?: [\s{{}}\[\],] | -\s )* (?:
            ["']? (?: file | environment | external | name | generate ) ["']? \s* : \s+
                (?: "[^"]*" | '[^']*' | [^\s,{{}}\[\]"'|>&*!] [^\s,{{}}]* ) (?= \s* (?: [,}}] | $ ) )
            | {_KEY} \s* (?= [{{\[] | $ ) ) )*
        [\s{{}}\[\],]* (?: {_KEY} \s+ )? """
)
"""The part of a line below the top-level `secrets` that is shown: keys, and values that only say where a secret is."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A line as it may be shown."""

    line: str | None = None
    caret: int | None = None
    """Columns on the screen before the mark; None where the place is masked."""
    masked: bool = True
    """Whether the place lies in a part that is not shown because it may hold a secret."""


@dataclass(slots=True)
class Excerpts:
    """Shows lines of one file; what was found out about its lines is kept."""

    document: Document
    _parents: list[int] = field(default_factory=list)
    _masked: dict[int, str | None] = field(default_factory=dict)
    _searched: int = 0

    def take(self, at: Place, *, broken: bool = False) -> Excerpt:
        """Return the line of ``at``; one that is ``broken`` (no YAML) is shown only if it continues no secret."""
        line = self.document.line(at.line)
        if line is None:
            return Excerpt(masked=False)
        if self.document.confidential or self.document.tails.get(at.line, 0) > len(line):
            return Excerpt()
        if broken and self._may_continue_secret(at.line):
            return Excerpt()
        if at.line not in self._masked:
            self._masked[at.line] = self._mask(at.line, line)
        masked = self._masked[at.line]
        if masked is None:
            return Excerpt()
        visible = _count_visible(line, masked)
        offset = at.column - 1
        return _cut(masked, offset if offset <= visible else None, is_masked=offset >= visible and masked != line)

    def names_above(self, number: int) -> list[str]:
        """Return the names that line ``number`` stands under by its indentation, outermost first."""
        names: list[list[str]] = []
        while (number := self._parent(number)) and len(names) < MAX_ABOVE:
            names.append(_names(self.document.line(number) or ""))
        return [name for line in reversed(names) for name in line]

    def _mask(self, number: int, line: str) -> str | None:
        """Return a line without what may be secret, or None if it is too long to tell."""
        if len(line) > MAX_SHOWN_LINE:
            self._searched += len(line)
            if self._searched > MAX_SEARCHED:
                return None
        tail = min(self.document.tails.get(number, 0), len(line))
        if tail:
            line = _CUT.rjust(tail) + line[tail:]
        start = len(line) - len(line.lstrip())
        if _tells(self.names_above(number)) or self._follows_option(number):
            return line[:start] + MASK
        first, last = self.document.secrets or (0, 0)
        if first < number <= last:
            names = self.names_above(number)
            return _keep_harmless(line, 0) if "content" not in names[2:] else line[:start] + MASK
        own = _SECRETS.search(line)
        return _mask_line(_keep_harmless(line, own.end()) if own else line)

    def _follows_option(self, number: int) -> bool:
        option = _OPTION.match(self.document.line(number - 1) or "")
        return option is not None and sounds_secret(option.group(1))

    def _may_continue_secret(self, number: int) -> bool:
        """Tell whether a line may be the rest of a secret that was to be a text of several lines."""
        first, last = self.document.secrets or (0, 0)
        if _tells(self.names_above(number)) or first < number <= last:
            return True
        for above in range(number - 1, max(number - MAX_ABOVE, 0), -1):
            line = (self.document.line(above) or "")[:MAX_SHOWN_LINE]
            if _KEY_LINE.match(line):
                return _tells(self.names_above(above)) or sounds_secret(line) or _mask_line(line) != line
        return number > MAX_ABOVE

    def _parent(self, number: int) -> int:
        """Return the line that line ``number`` stands under, or 0."""
        if not self._parents:
            self._parents = list(_find_parents(self.document))
        return self._parents[number] if number < len(self._parents) else 0


def _find_parents(document: Document) -> Iterator[int]:
    """Yield for each line, from 0, the nearest one above that is indented less; 0 where there is none."""
    yield 0
    above: list[tuple[int, bool, int]] = []
    number = 0
    while (line := document.line(number := number + 1)) is not None:
        found = _DASHES.match(line)
        start, inner = (found.start(1), found.end(1)) if found else (0, 0)
        is_item = inner > start
        if inner == len(line) or line[inner] == "#":
            yield above[-1][2] if above else 0
            continue
        while above and (above[-1][0] > start or (above[-1][0] == start and (above[-1][1] or not is_item))):
            above.pop()
        yield above[-1][2] if above else 0
        above.append((inner, is_item, number))


def _names(line: str) -> list[str]:
    return [found.group(1) for found in _NAME.finditer(line[:MAX_SHOWN_LINE])]


def _tells(names: list[str]) -> bool:
    """Tell whether one of the names sounds like a secret; those of services and the like are chosen by the file."""
    chosen = {1} if names and names[0] in _SECTIONS else set()
    chosen |= {number + 1 for number, name in enumerate(names) if name == _DEPENDENCIES}
    return any(sounds_secret(name) for number, name in enumerate(names) if number not in chosen)


def _keep_harmless(line: str, start: int) -> str:
    harmless = _HARMLESS.match(line, start)
    end = harmless.end() if harmless else start
    return line if end == len(line) else line[:end] + MASK


def _mask_line(line: str) -> str:
    """Hide what follows a telling name, also where it looks like a variable but may be a password with a dollar."""
    for assigned in _ASSIGNED.finditer(line):
        end = assigned.end()
        if end < len(line) and sounds_secret(assigned.group(1)) and not _REFERENCE.match(line, end):
            line = line[:end] + MASK
            break
    return _CONTENT.sub(rf"\1{MASK}", mask_secrets(line))


def _count_visible(line: str, masked: str) -> int:
    """Return how many characters at the beginning of ``line`` are shown as they are."""
    if line == masked:
        return len(line)
    pairs = zip(line, masked, strict=False)
    same = next((number for number, (one, other) in enumerate(pairs) if one != other), min(len(line), len(masked)))
    mask = masked.find(MASK, max(0, same - len(MASK) + 1))
    return min(same, mask) if mask >= 0 else same


def _cut(line: str, offset: int | None, *, is_masked: bool) -> Excerpt:
    """Return the part of a line around ``offset``, and the columns on the screen before it."""
    if len(line) > MAX_SHOWN_LINE:
        middle = len(line) if offset is None else offset
        start = max(0, min(middle - WINDOW // 2, len(line) - WINDOW))
        before = _CUT if start else ""
        after = _CUT if start + WINDOW < len(line) else ""
        line = before + line[start : start + WINDOW] + after
        offset = None if offset is None else offset - start + len(before)
    return Excerpt(line, None if offset is None else measure(line[:offset].ljust(offset)), is_masked)


def measure(text: str) -> int:
    """Return how many columns ``text`` takes on the screen: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width  # noqa: PLC0415 - most lines need it not

    invisible = ("Mn", "Me", "Cf")
    return sum(0 if category(each) in invisible else 1 + (east_asian_width(each) in "WF") for each in text)
