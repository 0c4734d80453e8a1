"""Generators that know nothing of structure: bytes, soups of words, and damage done to the bytes of valid files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cases import MAIN, Case, of_text, read_corpus
from .vocabulary import SERVICE_KEYS, TOP_KEYS, VALUES

if TYPE_CHECKING:
    from .cases import Chance

_CORPUS = [text.encode() for text in read_corpus().values()]
_PUNCTUATION = [": ", ":", "- ", "-", "\n", "\n  ", "\n    ", "\n      ", " ", "{", "}", "[", "]", ", ", '"', "'", "#"]
_PUNCTUATION += [
    "|\n",
    ">-\n",
    "? ",
    "!",
    "!!str ",
    "!reset ",
    "!override ",
    "&a ",
    "*a",
    "<<: *a",
    "%",
    "@",
    "`",
    "\t",
]
_PUNCTUATION += [
    "---\n",
    "...\n",
    "%YAML 1.2\n---\n",
    "${",
    "}",
    "$",
    "$$",
    ":-",
    "\\",
    "\r\n",
    "\u2028",
    "\x85",
    "\ufeff",
]
_PIECES = [piece.encode() for piece in (*_PUNCTUATION, "null", "0", "-1", "9" * 30, "x-envspin", "\x00", "services")]
_PIECES += [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xae", b"\x1b[31m"]


def random_bytes(rng: Chance) -> Case:
    """Return bytes without any sense, half of them in the printable range."""
    length = rng.randrange(200)
    low, high = rng.choice([(0, 256), (32, 127), (0, 64), (9, 14)])
    return Case({MAIN: bytes(rng.randrange(low, high) for _ in range(length))})


def random_words(rng: Chance) -> Case:
    """Return a soup of YAML's signs and Compose's words, mostly in lines."""
    parts = ["services:\n  a:\n    image: i\n"] if rng.random() < 0.5 else []
    for _ in range(rng.randrange(1, 30)):
        chance = rng.random()
        if chance < 0.4:
            indent = "  " * rng.randrange(4)
            parts.append(f"{indent}{rng.choice(SERVICE_KEYS + TOP_KEYS)}: {rng.choice(VALUES)}\n")
        elif chance < 0.55:
            parts.append("  " * rng.randrange(4) + f"- {rng.choice(VALUES)}\n")
        elif chance < 0.8:
            parts.append(rng.choice(_PUNCTUATION))
        else:
            parts.append(rng.choice(VALUES))
    return of_text("".join(parts), rng)


def damaged_bytes(rng: Chance) -> Case:
    """Return a valid file after one to six injuries, mostly one."""
    content = rng.choice(_CORPUS)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        content = _injure(rng, content)
    return Case({MAIN: content}, shared=True, allow_unsafe=rng.random() < 0.7)


def _injure(rng: Chance, content: bytes) -> bytes:
    at = rng.randint(0, len(content))
    end = min(len(content), at + rng.choice([1, 1, 2, 12, 80]))
    return rng.choice(_INJURIES)(rng, content, at, end)


def _flip(rng: Chance, content: bytes, at: int, _end: int) -> bytes:
    return content[:at] + bytes(each ^ 1 << rng.randrange(8) for each in content[at : at + 1]) + content[at + 1 :]


def _delete(_rng: Chance, content: bytes, at: int, end: int) -> bytes:
    return content[:at] + content[end:]


def _double(rng: Chance, content: bytes, at: int, end: int) -> bytes:
    return content[:end] + content[at:end] * rng.choice([1, 1, 2, 50]) + content[end:]


def _splice(rng: Chance, content: bytes, at: int, _end: int) -> bytes:
    other = rng.choice(_CORPUS)
    return content[:at] + other[rng.randint(0, len(other)) :]


def _truncate(_rng: Chance, content: bytes, at: int, _end: int) -> bytes:
    return content[:at]


def _shuffle(rng: Chance, content: bytes, _at: int, _end: int) -> bytes:
    lines = content.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines)


def _transplant(rng: Chance, content: bytes, at: int, _end: int) -> bytes:
    """Put some lines of another file between two lines."""
    lines = rng.choice(_CORPUS).splitlines(keepends=True)
    start, cut = rng.randrange(len(lines)), content.rfind(b"\n", 0, at) + 1
    return content[:cut] + b"".join(lines[start : start + 3]) + content[cut:]


def _indent(rng: Chance, content: bytes, at: int, _end: int) -> bytes:
    cut = content.rfind(b"\n", 0, at) + 1
    return content[:cut] + b"".join(b" " * rng.randrange(5) + line for line in content[cut:].splitlines(keepends=True))


def _insert(rng: Chance, content: bytes, at: int, _end: int) -> bytes:
    return content[:at] + rng.choice(_PIECES) + content[at:]


_INJURIES = [
    _flip,
    _flip,
    _delete,
    _delete,
    _double,
    _splice,
    _truncate,
    _shuffle,
    _transplant,
    _indent,
    _insert,
    _insert,
]
