"""Who may start, who is done, who is skipped and why: the whole scheduling state of a run, without a clock.

A failed operation marks everything that needs it as skipped and blames the first cause, as Terraform's graph walker
does. The frontier knows only operations; the runner does them.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from envspin.plan.traversal import weigh_remaining

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envspin.plan.planning import Operation


@dataclass(frozen=True, slots=True)
class Skipped:
    """An operation that will never begin, because ``root`` failed somewhere before it."""

    operation: Operation
    root: Operation


class Frontier:
    """The state of every operation of a plan; used by one thread.

    ``weights`` estimates each operation's seconds by id: of those that may begin, the one with the longest remaining
    path goes first. ``limits`` caps how many of a kind run at once; kinds without a limit are free. Of a limited kind,
    an operation also waits while a more urgent one is under way, if by the estimates it has time for that: two starts
    at once slow each other down, and the one on the critical path should have the machine to itself.
    """

    def __init__(
        self,
        operations: Iterable[Operation],
        *,
        weights: Mapping[str, float] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self._operations = {operation.id: operation for operation in operations}
        self._limits = dict(limits or {})
        self._weights = dict(weights or {})
        awaited = {each.id: (*each.needs, *each.wants) for each in self._operations.values()}
        self._urgency = weigh_remaining(awaited, weights or {})
        self._missing = {id_: set(ids) for id_, ids in awaited.items()}
        self._dependents: dict[str, list[str]] = {id_: [] for id_ in self._operations}
        for id_, ids in awaited.items():
            for need in ids:
                self._dependents[need].append(id_)
        self._open: dict[str, list[tuple[float, str]]] = {}
        self._running: dict[str, set[str]] = {}
        self._ended: set[str] = set()
        for id_, missing in self._missing.items():
            if not missing:
                self._offer(id_)

    @property
    def is_finished(self) -> bool:
        """Whether nothing runs and nothing can begin any more."""
        return len(self._ended) == len(self._operations)

    def take(self) -> list[Operation]:
        """Return what may begin now, most urgent first of each kind, and count it as running."""
        taken = []
        for kind, queue in self._open.items():
            running = self._running.setdefault(kind, set())
            while queue and len(running) < self._limits.get(kind, len(self._operations)):
                if kind in self._limits and self._has_time(queue[0][1], running):
                    break
                _, id_ = heappop(queue)
                running.add(id_)
                taken.append(self._operations[id_])
        return taken

    def _has_time(self, id_: str, running: Iterable[str]) -> bool:
        """Tell whether an operation can wait for the end of one of these without becoming the critical one itself."""
        slack = {other: self._urgency[other] - self._urgency[id_] for other in running}
        return any(seconds > self._weights.get(other, 0.0) for other, seconds in slack.items())

    def complete(self, id_: str) -> None:
        """Note that an operation succeeded; what waited for it may become free."""
        self._end(id_)
        self._release(id_)

    def fail(self, id_: str) -> list[Skipped]:
        """Note that an operation failed; return everything that is skipped for it, nearest first."""
        self._end(id_)
        root = self._operations[id_]
        skipped: list[Skipped] = []
        pending = [id_]
        while pending:
            failed = pending.pop(0)
            for dependent in self._dependents[failed]:
                operation = self._operations[dependent]
                if failed in operation.needs and dependent not in self._ended:
                    self._ended.add(dependent)
                    skipped.append(Skipped(operation, root))
                    pending.append(dependent)
            self._release(failed)  # those that only wanted it go on without it
        return skipped

    def _end(self, id_: str) -> None:
        self._running[self._operations[id_].kind].remove(id_)
        self._ended.add(id_)

    def _release(self, id_: str) -> None:
        for dependent in self._dependents[id_]:
            missing = self._missing[dependent]
            missing.discard(id_)
            if not missing and dependent not in self._ended:
                self._offer(dependent)

    def _offer(self, id_: str) -> None:
        heappush(self._open.setdefault(self._operations[id_].kind, []), (-self._urgency[id_], id_))
