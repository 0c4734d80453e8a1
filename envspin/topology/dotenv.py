r"""Files of variables (``.env``, ``env_file``) as Compose reads them.

``NAME=value`` or ``NAME: value``, optionally after ``export``. An unquoted value ends at `` #`` and loses the blanks
around it; in single quotes nothing is special; in double quotes ``\n`` and the like are; both kinds of quotes may
span lines. Variables are substituted outside single quotes, from those passed in and those above in the same file.
A name alone takes its value from outside. In the ``raw`` format everything after ``=`` is the value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from envspin.topology import limits
from envspin.topology.interpolation import InterpolationError, count_work, interpolate
from envspin.topology.nodes import Place

if TYPE_CHECKING:
    from envspin.topology.interpolation import Lookup
    from envspin.topology.nodes import Document
    from envspin.topology.report import Report

_BLANK = re.compile(r"[ \t\r\n]*(?:#[^\n]*[ \t\r\n]*)*")
_KEY = re.compile(r"(?:export[ \t]+)?([A-Za-z0-9_.\-\[\]]+)[ \t]*")
_SEPARATOR = re.compile(r"[=:][ \t]*")
_UNQUOTED = re.compile(r"[^\n]*")
_COMMENT = re.compile(r"[ \t]#.*")
_REST = re.compile(r"[ \t\r]*(?:#[^\n]*)?(?=\n|$)")
_SINGLE = re.compile(r"'([^'\\]*(?:\\.[^'\\]*)*)'", re.DOTALL)
_DOUBLE = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:0(?!000)([0-3][0-7]{2})|(.))", re.DOTALL)
_QUOTED = re.compile(r"(?s)(?<= the name) `.*|: .*")
"""What a message quotes of a value, which may be a secret with an unlucky dollar sign."""
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPES |= {"$": "$$", '"': '"', "\\": "\\"}


class _SyntaxFaultError(Exception):
    """A line cannot be understood: ``message`` and the character at which."""

    def __init__(self, message: str, offset: int, hint: str | None = None, code: str = "env-file-syntax") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint
        self.code = code


def parse_dotenv(document: Document, lookup: Lookup, report: Report, *, raw: bool = False) -> dict[str, str]:
    """Return the variables of ``document``; faulty lines are reported, and the others are still read."""
    if raw:
        report.charge(limits.ASSIGNMENTS, document.count_lines(), Place(document, 1, 1))
        return _parse_raw(document, report)
    text = document.text.replace("\r\n", "\n")
    values: dict[str, str] = {}
    position = 0
    start = Place(document, 1, 1)
    report.charge(limits.VARIABLES, count_work(text), start)
    while True:
        report.charge(limits.ASSIGNMENTS, 1, start)
        blank = _BLANK.match(text, position)
        position = blank.end() if blank else position
        if position >= len(text):
            return values
        try:
            name, position = _read_entry(text, position, lookup, values)
            report.charge(limits.SUBSTITUTED, len(values.get(name, "")), start)
        except _SyntaxFaultError as fault:
            column = fault.offset - text.rfind("\n", 0, fault.offset)
            place = Place(document, text.count("\n", 0, fault.offset) + 1, column)
            report.error(fault.code, fault.message, place, fault.hint)
            if report.full:
                return values
            newline = text.find("\n", max(position, fault.offset))
            position = newline if newline >= 0 else len(text)


def _parse_raw(document: Document, report: Report) -> dict[str, str]:
    values = {}
    for number, line in enumerate(document.text.replace("\r\n", "\n").split("\n"), 1):
        name, separator, value = line.partition("=")
        if not separator or line.lstrip().startswith("#"):
            continue
        if name.strip():
            values[name.strip()] = value
        else:
            report.error("env-file-syntax", "no name stands before the `=`", Place(document, number, 1))
    return values


def _read_entry(text: str, position: int, lookup: Lookup, values: dict[str, str]) -> tuple[str, int]:
    """Read one variable at ``position`` into ``values``; return its name and the position behind it."""
    key = _KEY.match(text, position)
    if not key:
        raise _SyntaxFaultError("a line must be NAME=VALUE", position)
    name = key.group(1)
    separator = _SEPARATOR.match(text, key.end())
    if not separator:
        rest = _REST.match(text, key.end())
        if not rest:
            raise _SyntaxFaultError("`=` must follow the name", key.end())  # which may be a piece of a secret
        inherited = lookup(name)
        if inherited is not None:
            values[name] = inherited
        return name, rest.end()
    start = separator.end()
    quote = text[start : start + 1]
    if quote in ("'", '"'):
        value, end = _read_quoted(text, start, quote)
    else:
        found = _UNQUOTED.match(text, start)
        end = found.end() if found else start
        value = _COMMENT.sub("", text[separator.start() + 1 : end]).strip()  # a `#` behind `=` begins no comment
    values[name] = value if quote == "'" else _substitute(value, start, lookup, values)
    return name, end


def _read_quoted(text: str, start: int, quote: str) -> tuple[str, int]:
    """Return the value in quotes at ``start`` (escapes resolved, dollars kept) and the position behind its line."""
    found = (_SINGLE if quote == "'" else _DOUBLE).match(text, start)
    if not found:
        raise _SyntaxFaultError("the quote is not closed", start)
    rest = _REST.match(text, found.end())
    if not rest:
        raise _SyntaxFaultError("nothing but a comment may follow the closing quote", found.end())
    value = found.group(1)
    if quote == "'":
        return value.replace("\\'", "'"), rest.end()
    return _ESCAPE.sub(_unescape, value), rest.end()


def _unescape(match: re.Match[str]) -> str:
    r"""Return what an escape means; what means nothing, as in ``\d``, stays as it is."""
    octal, letter = match.groups()
    return chr(int(octal, 8)) if octal else _ESCAPES.get(letter, match.group())


def _substitute(value: str, start: int, lookup: Lookup, values: dict[str, str]) -> str:
    def find(name: str) -> str | None:
        outside = lookup(name)
        return outside if outside is not None else values.get(name)

    if "$" not in value:
        return value
    try:
        return interpolate(value, find)
    except InterpolationError as error:
        raise _SyntaxFaultError(_QUOTED.sub("", error.message), start, error.hint, error.code) from error
