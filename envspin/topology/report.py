"""Where the problems of a topology are gathered, so that all of them are reported at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from envspin.errors import TopologyError
from envspin.problems import Problem
from envspin.topology.codes import CODES
from envspin.topology.excerpts import Excerpt, Excerpts
from envspin.topology.masking import MASK, mask_secrets
from envspin.topology.nodes import Scalar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envspin.problems import Mark
    from envspin.topology.limits import Limit
    from envspin.topology.nodes import Document, Place

MAX_PROBLEMS = 500
BROKEN = "yaml-syntax"
"""The code of problems whose lines do not tell what they belong to."""


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
        self._excerpts: dict[Document, Excerpts] = {}

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

    def hides(self, at: Place) -> bool:
        """Tell whether messages may not say what stands at this place: it may be a secret."""
        return self._take_excerpt(at).masked

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
        self._problems[key] = self._make_problem(severity, code, message, at, hint)
        self._kept[severity] += 1
        if self.full and not self._patient:
            self.raise_if_failed()

    def _make_problem(
        self, severity: Literal["error", "warning"], code: str, message: str, at: Place | None, hint: str | None
    ) -> Problem:
        shown = Excerpt() if at is None else self._take_excerpt(at, broken=code == BROKEN)
        if isinstance(at, Scalar) and shown.masked:
            message = message.replace(f"`{at.shown}`", f"`{MASK}`")
        mark = at.mark if at is not None else None
        hint = None if hint is None else _mask(hint)
        return Problem(code, _mask(message), mark, shown.line, hint, severity, shown.caret)

    def _take_excerpt(self, at: Place, *, broken: bool = False) -> Excerpt:
        if at.document not in self._excerpts:
            self._excerpts[at.document] = Excerpts(at.document)
        return self._excerpts[at.document].take(at, broken=broken)


def _mask(message: str) -> str:
    """Hide secrets; what is quoted is searched by itself, so that the sentence around it stays."""
    return "`".join(map(mask_secrets, message.split("`")))


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
