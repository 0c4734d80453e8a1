"""What is wrong or remarkable in a topology file, and where: plain data and its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a source text; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong or remarkable in a topology file, at its place."""

    code: str
    message: str
    mark: Mark | None = None
    source_line: str | None = None
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"
    caret: int | None = None
    """Columns on the screen between the source line's start and the place; None where the place is not shown."""

    def render(self) -> str:
        """Return ``FILE:LINE:COL: error[CODE]: message``, the source line with a caret, and the hint."""
        where = f"{self.mark}: " if self.mark else ""
        lines = [f"{where}{self.severity}[{self.code}]: {self.message}"]
        if self.source_line is not None:
            lines.append(f"    {self.source_line.expandtabs(1)}")
            lines += [f"    {'':{self.caret}}^"] if self.caret is not None else []
        if self.hint:
            lines.append(f"    hint: {self.hint}")
        return "\n".join(lines)
