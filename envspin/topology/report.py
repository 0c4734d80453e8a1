"""Where the problems of a topology are gathered, so that all of them are reported at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from envspin.errors import TopologyError
from envspin.model import Problem
from envspin.topology.codes import CODES
from envspin.topology.masking import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envspin.model import Mark
    from envspin.topology.limits import Limit
    from envspin.topology.nodes import Place

MAX_PROBLEMS = 500
MAX_SHOWN_LINE = 240
_CONTENT = re.compile(r"""((?<![\w.-])["']?content["']?\s*:\s+)(?![|>]?[-+]?\s*$)\S.*""")
"""The inline content of a secret; of a config, too: a line does not tell which of the two it belongs to."""


class Report:
    """Collects errors and warnings; equal ones (an anchor that is used twice) only once.

    After ``MAX_PROBLEMS`` errors it raises ``TopologyError``, unless it is ``patient``: then it only counts on.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self._problems: dict[tuple[str, Mark | None, str], Problem] = {}
        self._kept = {"error": 0, "warning": 0}
        self._patient = patient
        self._errors = 0
        self._charged: dict[Limit, int] = {}
        self._settled: set[tuple[int, int, int]] = set()

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return self._errors > 0

    @property
    def full(self) -> bool:
        """Whether further errors are only counted."""
        return self._kept["error"] >= MAX_PROBLEMS

    def has_said(self, code: str) -> bool:
        """Whether a problem of this kind was met, or may have been among those that were only counted."""
        full = max(self._kept.values()) >= MAX_PROBLEMS
        return full or any(problem.code == code for problem in self._problems.values())

    def charge(self, limit: Limit, amount: int, at: Place | None) -> None:
        """Count ``amount`` towards ``limit``; beyond it the topology is given up: raises ``TopologyError``."""
        charged = self._charged[limit] = self._charged.get(limit, 0) + amount
        if charged > limit.most:
            self.error(limit.code, limit.message, at)
            self.raise_if_failed()

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
            hint = f"only the first {MAX_PROBLEMS} problems are listed" if self.full else None
            raise TopologyError(_in_order(p for p in self._problems.values() if p.severity == "error"), hint=hint)

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
        if key in self._problems or self._kept[severity] >= MAX_PROBLEMS:
            return
        self._problems[key] = Problem(code, message, mark, _source_line(at), hint, severity)
        self._kept[severity] += 1
        if self.full and not self._patient:
            self.raise_if_failed()


def _source_line(at: Place | None) -> str | None:
    if at is None or at.document.confidential:
        return None
    line = at.document.line(at.line)
    if line is None or len(line) > MAX_SHOWN_LINE:
        return None
    return _CONTENT.sub(r"\1***", mask_secrets(line))


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
