"""What the table of Compose's keys is made of: a value with its outcome, and a mapping of keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Example:
    """A value of a key, and what is to happen with it."""

    value: Any
    outcome: Literal["honoured", "replaced", "refused", "idle"]
    """``idle``: accepted without a word, because the key has no effect in Compose on one machine either."""
    code: str = ""
    instead: Any = None
    """For a key that must be there: another value, to compare with; otherwise the file without the key is."""


@dataclass(frozen=True)
class Place:
    """A mapping of the specification: the keys that may stand in it, with what must stand beside them."""

    path: str
    keys: dict[str, Example]
    beside: dict[str, Any] = field(default_factory=dict)
    around: dict[str, Any] = field(default_factory=dict)
    """What the rest of the file needs, by path."""
    is_extensible: bool = True
    """Whether the specification allows ``x-*`` here."""


def honoured(value: Any, *, instead: Any = None) -> Example:
    return Example(value, "honoured", instead=instead)


def idle(value: Any) -> Example:
    return Example(value, "idle")


def replaced(value: Any, code: str = "replaced-key") -> Example:
    return Example(value, "replaced", code)


def refused(value: Any, code: str = "unsupported-key") -> Example:
    return Example(value, "refused", code)
