"""Compose's variable substitution in one text; what a variable is worth is asked of a function.

``$NAME`` and ``${NAME}`` (empty when unset), ``${NAME:-default}`` and ``${NAME-default}``, ``${NAME:+other}`` and
``${NAME+other}``, ``${NAME:?message}`` and ``${NAME?message}``; with a colon an empty value counts as unset. The part
after the operator is itself substituted, and only if it is used. ``$$`` is a dollar sign; so is one that neither a name
nor a brace follows, as in ``$1``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Lookup = Callable[[str], str | None]
    """Returns a variable's value, or None if it is not set."""

MAX_NESTING = 16
MAX_RESULT = 1024 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-+?]")
_BRACE = re.compile(r"[{}]")


class InterpolationError(Exception):
    """A text cannot be substituted; ``offset`` is the character at which the fault is."""

    def __init__(self, code: str, message: str, offset: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.offset = offset
        self.hint = hint


def interpolate(text: str, lookup: Lookup, on_unset: Callable[[str], None] = lambda _name: None) -> str:
    """Return ``text`` with its variables replaced; a variable without a value is told to ``on_unset``.

    Raises ``InterpolationError`` for bad syntax, for a required variable that is missing, and for results over 1 MiB.
    """
    if len(text) > MAX_RESULT:
        raise InterpolationError("interpolation-size", "a text with variables is longer than 1 MiB", 0)
    return _Substitution(lookup, on_unset).expand(text, 0, 0)


def count_work(text: str) -> int:
    """Return how many characters of ``text`` substitution stops at: braces matter only where one follows a dollar."""
    return sum(map(text.count, "${}" if "${" in text else "$"))


class _Substitution:
    def __init__(self, lookup: Lookup, on_unset: Callable[[str], None]) -> None:
        self.lookup = lookup
        self.on_unset = on_unset

    def expand(self, text: str, base: int, depth: int) -> str:
        """Replace the variables of ``text``, which begins at character ``base`` of the whole."""
        if depth > MAX_NESTING:
            message = f"variables are nested deeper than {MAX_NESTING} levels"
            raise InterpolationError("interpolation-syntax", message, base)
        if "$" not in text:
            return text
        parts: list[str] = []
        length = position = 0
        while (dollar := text.find("$", position)) >= 0:
            value, end = self.expand_one(text, dollar, base, depth)
            parts += (text[position:dollar], value)
            length += dollar - position + len(value)
            if length > MAX_RESULT:
                raise InterpolationError("interpolation-size", "the text grows beyond 1 MiB", base + dollar)
            position = end
        parts.append(text[position:])
        return "".join(parts)

    def expand_one(self, text: str, dollar: int, base: int, depth: int) -> tuple[str, int]:
        """Replace what begins at ``dollar``; return its value and the position behind it."""
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            return "$", dollar + 2
        if following == "{":
            return self.expand_braced(text, dollar, base, depth)
        name = _NAME.match(text, dollar + 1)
        if not name:
            return "$", dollar + 1
        return self.value_or_empty(name.group()), name.end()

    def expand_braced(self, text: str, dollar: int, base: int, depth: int) -> tuple[str, int]:
        """Replace a ``${...}``."""
        end = _find_closing_brace(text, dollar + 1)
        if end < 0:
            raise InterpolationError("interpolation-syntax", "`${` is not closed by `}`", base + dollar)
        name = _NAME.match(text, dollar + 2, end)
        if not name:
            message = "`${` must be followed by the name of a variable"
            raise InterpolationError("interpolation-syntax", message, base + dollar)
        if name.end() == end:
            return self.value_or_empty(name.group()), end + 1
        operator = _OPERATOR.match(text, name.end(), end)
        if not operator:
            message = f"`{text[name.end()]}` cannot follow the name `{name.group()}`"
            hint = "the operators are :- - :? ? :+ +"
            raise InterpolationError("interpolation-syntax", message, base + name.end(), hint)
        word = text[operator.end() : end]
        value = self.apply(name.group(), operator.group(), word, base + operator.end(), depth)
        return value, end + 1

    def apply(self, name: str, operator: str, word: str, base: int, depth: int) -> str:
        """Return what ``${name operator word}`` is worth; ``word`` begins at character ``base`` of the whole."""
        value = self.lookup(name)
        present = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return self.expand(word, base, depth + 1) if present else ""
        if present:
            return value or ""
        if operator.endswith("-"):
            return self.expand(word, base, depth + 1)
        state = "empty" if value is not None else "not set"
        message = f"the variable `{name}` is required but {state}" + (f": {word}" if word else "")
        offset = base - len(operator) - len(name) - len("${")
        hint = f"set {name} in the environment or in the `.env` file"
        raise InterpolationError("interpolation-required", message, offset, hint)

    def value_or_empty(self, name: str) -> str:
        """Return the variable's value; nothing, after telling so, where it has none."""
        value = self.lookup(name)
        if value is None:
            self.on_unset(name)
            return ""
        return value


def _find_closing_brace(text: str, opening: int) -> int:
    """Return where the brace at ``opening`` is closed, counting braces between; -1 if it is not."""
    closing = text.find("}", opening)
    if text.find("{", opening + 1, closing) < 0:
        return closing
    depth = 0
    for brace in _BRACE.finditer(text, opening):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return brace.start()
    return -1
