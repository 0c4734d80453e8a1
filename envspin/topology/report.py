"""Where the problems of a topology are gathered, so that all of them are reported at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from envspin.errors import TopologyError
from envspin.model import Problem
from envspin.topology.codes import CODES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envspin.model import Mark
    from envspin.topology.nodes import Place

MAX_PROBLEMS = 500
MAX_SHOWN_LINE = 240
_SECRET_VALUE = re.compile(
    r"""(?ix) ( [\w.-]* (?: passw | passphrase | secret(?!s\b) | token | credential | api_?key | private_?key )
        (?! [\w.-]* _file \b ) [\w.-]* ["']? \s* [:=] \s* )
        (?! ["']? \$ \{? \w+ (?: :?\? [^}]* )? \}? ["']? \s* $ ) \S .* """
)
_URL_PASSWORD = re.compile(r"(://[^\s:/@]*:)[^\s/@]+@")


class Report:
    """Collects errors and warnings; equal ones (an anchor that is used twice) only once."""

    def __init__(self) -> None:
        self._problems: dict[tuple[str, Mark | None, str], Problem] = {}
        self._errors = 0
        self._settled: set[tuple[int, int, int]] = set()

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return self._errors > 0

    @property
    def full(self) -> bool:
        """Whether further problems are only counted, so that nobody need look for hints."""
        return len(self._problems) >= MAX_PROBLEMS

    def settle(self, at: Place) -> None:
        """Take no further problems of this place: what is wrong there is said, and the rest would only follow."""
        self._settled.add((id(at.document), at.line, at.column))

    def error(self, code: str, message: str, at: Place | None, hint: str | None = None) -> None:
        """Add an error."""
        self._add("error", code, message, at, hint)

    def warn(self, code: str, message: str, at: Place | None, hint: str | None = None) -> None:
        """Add a warning."""
        self._add("warning", code, message, at, hint)

    def warnings(self) -> tuple[Problem, ...]:
        """Return the warnings, in the order of files and lines."""
        return tuple(_in_order(p for p in self._problems.values() if p.severity == "warning"))

    def raise_if_failed(self) -> None:
        """Raise ``TopologyError`` with every error if there is one."""
        if self.failed:
            raise TopologyError(_in_order(p for p in self._problems.values() if p.severity == "error"))

    def _add(
        self,
        severity: Literal["error", "warning"],
        code: str,
        message: str,
        at: Place | None,
        hint: str | None,
    ) -> None:
        if code not in CODES:
            raise KeyError(code)
        mark = at.mark if at is not None else None
        key = (code, mark, message)
        if at is not None and (id(at.document), at.line, at.column) in self._settled:
            return
        self._errors += severity == "error"
        if key in self._problems or self.full:
            return
        self._problems[key] = Problem(code, message, mark, _source_line(at), hint, severity)


def _source_line(at: Place | None) -> str | None:
    if at is None or at.document.confidential:
        return None
    line = at.document.line(at.line)
    if line is None or len(line) > MAX_SHOWN_LINE:
        return None
    return mask_secrets(line)


def mask_secrets(line: str) -> str:
    """Hide what follows a name that sounds like a secret, and passwords within URLs."""
    return _URL_PASSWORD.sub(r"\1***@", _SECRET_VALUE.sub(r"\1***", line))


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sort by file (in the order of first mention), line and column."""
    found = list(problems)
    files: dict[str, int] = {}
    for problem in found:
        files.setdefault(problem.mark.file if problem.mark else "", len(files))

    def place(problem: Problem) -> tuple[int, int, int]:
        mark = problem.mark
        return (files[mark.file], mark.line, mark.column) if mark else (files[""], 0, 0)

    return sorted(found, key=place)
