"""Event and log streams of the in-memory engine: iterators that wait on its condition."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from envspin.engine.fake.world import Subscription

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envspin.engine.base import ContainerEvent
    from envspin.engine.fake.world import FakeContainer, World


class FakeEventStream:
    """A subscription to a world's events; see :class:`envspin.engine.base.EventStream`."""

    def __init__(self, world: World, labels: Mapping[str, str]) -> None:
        self._world = world
        self._subscription = Subscription(labels)
        world.subscriptions.append(self._subscription)

    def __iter__(self) -> Iterator[ContainerEvent]:
        """Yield events as they come; end after ``close`` of the stream or the engine."""
        while (event := self._take()) is not None:
            yield event

    def _take(self) -> ContainerEvent | None:
        with self._world.changed:
            self._world.settle()
            while not (self._subscription.closed or self._world.closed):
                if self._subscription.queue:
                    return self._subscription.queue.popleft()
                self._world.wait_change()
        return None

    def close(self) -> None:
        """End the subscription."""
        with self._world.changed:
            self._subscription.closed = True
            if self._subscription in self._world.subscriptions:
                self._world.subscriptions.remove(self._subscription)
            self._world.changed.notify_all()


class FakeLogStream:
    """The lines of a container; see :class:`envspin.engine.base.LogStream`."""

    def __init__(
        self,
        world: World,
        container: FakeContainer,
        *,
        follow: bool,
        tail: int | None,
        since: float | None,
        timestamps: bool,
    ) -> None:
        self._world = world
        self._container = container
        self._follow = follow
        self._since = since
        self._timestamps = timestamps
        self._closed = False
        self._start = container.starts
        self._end = len(container.lines)
        """Where reading stops when it does not follow."""
        self._next = 0 if tail is None else max(0, self._end - tail)

    def __iter__(self) -> Iterator[str]:
        """Yield lines; end at the container's end or after ``close``."""
        while (line := self._take()) is not None:
            at, text = line
            if self._since is None or at >= self._since:
                yield f"{_format_time(at)} {text}" if self._timestamps else text

    def _take(self) -> tuple[float, str] | None:
        with self._world.changed:
            self._world.settle()
            while not (self._closed or self._world.closed):
                if self._next < (len(self._container.lines) if self._follow else self._end):
                    self._next += 1
                    return self._container.lines[self._next - 1]
                if not self._follow or not self._goes_on():
                    return None
                self._world.wait_change()
        return None

    def _goes_on(self) -> bool:
        return self._container.is_running and self._container.starts == self._start

    def close(self) -> None:
        """End the stream."""
        with self._world.changed:
            self._closed = True
            self._world.changed.notify_all()


def _format_time(at: float) -> str:
    moment = datetime.fromtimestamp(int(at), tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{int((at % 1) * 1e9):09d}Z"
