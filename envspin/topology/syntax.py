"""What is wrong with a file that is no YAML, said at the place where the fault begins.

The parser tells where it could not go on. For a bracket or a quote that is not closed that is some lines further down,
or the end of the file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from envspin.topology.nodes import HIDDEN, Place

if TYPE_CHECKING:
    from envspin.topology.nodes import Document, Scalar
    from envspin.topology.report import Report

_COLLECTIONS = {"while parsing a flow sequence": "list", "while parsing a flow mapping": "mapping"}
_TEXTS = ("while scanning a quoted scalar", "while parsing a quoted scalar", "while scanning a block scalar")
_VARIABLE = re.compile(r"""[^\s,\[\]{}"']*\$\{[^{}]*\}[^\s,\[\]{}"']*""")
_EXPECTATIONS = tuple(f"did not find expected {what}" for what in ("key", "',' or", "'-'", "<document start>"))


def report_syntax(
    error: Any,  # noqa: ANN401 - the kinds of errors differ in their attributes
    quoted: tuple[Scalar, int] | None,
    document: Document,
    report: Report,
) -> None:
    """Report an ``error`` of the YAML parser.

    ``quoted`` is the last text in quotes that spans several lines, with the line in which it ends.
    """
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = Place(document, mark.line + 1, mark.column + 1) if mark else Place(document, 1, 1)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "this is not YAML"
    context = getattr(error, "context", None)
    opening = getattr(error, "context_mark", None)
    start = Place(document, opening.line + 1, opening.column + 1) if opening else place
    if quoted is not None and quoted[1] == place.line and problem.startswith(_EXPECTATIONS):
        message = f"the quoted text that begins here ends only at line {quoted[1]}"
        _report(report, message, quoted[0], "is its closing quote missing?")
    elif context == "while scanning a quoted scalar" and "unexpected" in problem:
        _report(report, "the quoted text that begins here is not closed", start)
    elif context in _COLLECTIONS and _is_outside(place, start):
        bracket = "]" if context.endswith("sequence") else "}"
        message = f"the {_COLLECTIONS[context]} that begins here is not closed"
        is_line = document.line(place.line) is not None
        end = f"line {place.line}" if is_line else "the end of the file"
        _report(report, message, start, f"`{bracket}` is expected before {end}")
    else:
        message = f"{problem}, {context}" if context else str(problem)
        if context in _TEXTS and place.line > start.line:
            document.tails[place.line] = HIDDEN
        _report(report, message, place, _find_hint(message, place, report))


def _report(report: Report, message: str, at: Place, hint: str | None = None) -> None:
    here = Place(at.document, at.line, at.column)
    report.error("yaml-syntax", f"not valid YAML: {message}", here, hint)


def _is_outside(place: Place, opening: Place) -> bool:
    """Tell whether ``place``, on a later line, is not indented as the inside of brackets is."""
    first, line = (place.document.line(each.line) or "" for each in (opening, place))
    return place.line > opening.line and (not line.strip() or _indentation(line) <= _indentation(first))


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _find_hint(message: str, place: Place, report: Report) -> str | None:
    line = place.document.line(place.line) or ""
    if "\t" in line[: _indentation(line)]:
        return "YAML allows no tabs in the indentation: use spaces"
    if "mapping values" in message:
        return "is the indentation right, and is text that holds `: ` in quotes?"
    if line[max(place.column - 2, 0) : place.column] == "${":
        found = next((each for each in _VARIABLE.finditer(line) if each.start() < place.column <= each.end()), None)
        if found is None or report.hides(place):
            return "within brackets a text with `${` must be in quotes"
        return f'quote it: "{found.group()}"'
    return None
