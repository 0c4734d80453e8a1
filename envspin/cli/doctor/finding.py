"""One result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; ``fix`` is a command or a sentence that mends it."""

    check: str
    status: Status
    message: str
    fix: str | None = None

    def describe(self) -> dict[str, object]:
        """Return the entry of ``doctor --json``."""
        return {"check": self.check, "status": self.status, "message": self.message, "fix": self.fix}
