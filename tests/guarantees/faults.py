"""What the fault proxy does wrong, and what it records of each call."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Literal, Self

from .wire import Request, read_json

FaultKind = Literal[
    "refuse", "hang", "404", "409", "500", "enospc", "cut", "drop", "kill-before", "kill-after", "delay", "away"
]
FAULT_KINDS: tuple[FaultKind, ...] = (
    "refuse", "hang", "404", "409", "500", "enospc", "cut", "drop", "kill-before", "kill-after",
)  # fmt: skip
"""The ten of G6; ``delay`` and ``away`` are for late creates and engines that restart."""
MESSAGES = {
    "404": (404, "no such thing, says the fault proxy"),
    "409": (409, "conflict, says the fault proxy"),
    "500": (500, "server error, says the fault proxy"),
    "enospc": (500, "write /var/lib/docker/tmp: no space left on device"),
}
"""Status and message of the faults that are answers."""
_MADE = {"/containers/create": "container", "/networks/create": "network", "/volumes/create": "volume"}


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and at which call."""

    kind: FaultKind
    method: str = ""
    """Empty for any."""
    pattern: str = ""
    """A regular expression that the whole path template must match (``/containers/create``); empty for any."""
    occurrence: int = 1
    """At which matching call it begins, counted from 1."""
    times: int = 1
    """How many matching calls in a row it hits."""
    seconds: float = 0.0
    """How long ``delay`` waits before the request goes on, and how long the engine is ``away``."""
    owner: int | None = None
    """Whom the kills kill; None for the process that sent the request."""

    def matches(self, request: Request) -> bool:
        """Tell whether this is one of the calls that it counts."""
        return self.method in {"", request.method} and bool(
            not self.pattern or re.fullmatch(self.pattern, request.template)
        )


@dataclass
class Call:
    """One call as recorded; ``status`` is what the engine answered (0: it was not asked, or has not answered)."""

    number: int
    method: str
    template: str
    target: str
    occurrence: int
    """The how-manyth of its method and template it is, from 1."""
    client: int
    """The pid of its sender."""
    began: float
    """A time of ``time.monotonic``."""
    ended: float = 0.0
    status: int = 0
    fault: str = ""
    made: tuple[str, str, str] | None = None
    """Kind, name and id of what the engine says it created."""
    labels: dict[str, str] = field(default_factory=dict)
    """The labels that were asked for with it."""
    name: str = ""
    """The name that a create asked for, or the id or name in the path of another call."""

    @property
    def kind(self) -> str:
        """Method and template: ``POST /containers/create``."""
        return f"{self.method} {self.template}"

    @classmethod
    def of(cls, request: Request, *, number: int, occurrence: int, client: int) -> Self:
        """Begin the record of a request that has just come."""
        call = cls(number, request.method, request.template, request.target, occurrence, client, time.monotonic())
        if request.path.endswith("/create"):
            document = request.document()
            call.name = str(request.query.get("name") or document.get("Name", ""))
            call.labels = dict(document.get("Labels") or {})
        else:
            call.name = (*request.path.split("/"), "", "")[2]
        return call

    def note_made(self, request: Request, body: bytes) -> None:
        """Record what a create made, by the engine's answer."""
        kind = _MADE.get(request.path)
        if kind is not None and 200 <= self.status < 300:
            document = read_json(body)
            self.made = (kind, self.name, str(document.get("Id") or document.get("Name", "")))
