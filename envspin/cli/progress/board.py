"""What a live display shows, as data: each service's state and since when, each image's fetching."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envspin.events import ImageProgress, RunReady, RunStarted, ServiceChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from envspin.events import Event, ServiceState


@dataclass(slots=True)
class Row:
    """One service."""

    name: str
    state: ServiceState = "waiting"
    since: float = 0.0
    detail: str = ""


@dataclass(slots=True)
class Fetch:
    """One image on its way."""

    image: str
    action: str
    status: str
    fraction: float | None


@dataclass(slots=True)
class Board:
    """The state of a run, folded from its events. Not guarded: the display holds a lock around it."""

    dependencies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    env: str = ""
    rows: dict[str, Row] = field(default_factory=dict)
    fetches: dict[str, Fetch] = field(default_factory=dict)
    ready_seconds: float | None = None
    _began: float = 0.0

    def take(self, event: Event) -> None:
        """Fold an event in."""
        if isinstance(event, RunStarted):
            self.env = event.env
            self.rows = {name: Row(name) for name in event.services}
            self._began = self.clock()
        elif isinstance(event, ServiceChanged):
            self.rows[event.service] = Row(event.service, event.state, event.at, event.detail)
            self.fetches.pop(event.service, None)  # a build goes by its service's name, and is over if that goes on
        elif isinstance(event, ImageProgress):
            self._note_fetch(event)
        elif isinstance(event, RunReady):
            self.ready_seconds = event.seconds
            self.fetches.clear()

    def _note_fetch(self, event: ImageProgress) -> None:
        if event.fraction == 1.0:
            self.fetches.pop(event.image, None)
        elif event.image not in self.fetches or not is_chatter(event.status):
            self.fetches[event.image] = Fetch(event.image, event.action, event.status, event.fraction)

    def elapsed(self) -> float:
        """Return the seconds since the run began."""
        return self.clock() - self._began

    def find_awaited(self, service: str) -> list[str]:
        """Return the services that this one still waits for."""
        return [name for name in self.dependencies.get(service, ()) if self.rows[name].state != "ready"]

    def count_ready(self) -> int:
        """Return how many services are ready."""
        return sum(row.state == "ready" for row in self.rows.values())

    def choose_rows(self, limit: int) -> tuple[list[Row], int]:
        """Return at most ``limit`` rows and how many are left out; those still on their way stay longest.

        The order of the services never changes, so that nothing jumps about.
        """
        rows = list(self.rows.values())
        surplus = max(0, len(rows) - max(limit, 1))
        importance = {"failed": 0, "started": 1, "starting": 1, "created": 2, "waiting": 3, "skipped": 4, "ready": 5}
        dropped = sorted(rows, key=lambda row: importance[row.state])[len(rows) - surplus :]
        return [row for row in rows if not any(row is each for each in dropped)], surplus


def is_chatter(status: str) -> bool:
    """Tell whether a line of a build says nothing beside the step that it belongs to."""
    return status.startswith(("--->", "Removing intermediate container", "Successfully tagged"))
