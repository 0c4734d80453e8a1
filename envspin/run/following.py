"""The logs of several services as one stream of lines, in the order in which they come."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from envspin.engine.base import Engine, LogStream


class LogFollower:
    """Reads each container's log in a thread of its own; any thread may close it."""

    def __init__(
        self,
        engine: Engine,
        containers: Mapping[str, str],
        *,
        tail: int | None,
        follow: bool,
        on_end: Callable[[str], None] | None = None,
    ) -> None:
        self._on_end = on_end
        self._is_closed = False
        self._lines: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
        self._streams: list[LogStream] = [
            engine.logs(container_id, follow=follow, tail=tail) for container_id in containers.values()
        ]
        self._threads = [
            threading.Thread(target=self._read, args=(service, stream), name=f"envspin-log-{service}", daemon=True)
            for service, stream in zip(containers, self._streams, strict=True)
        ]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield service and line; end when every log has ended or after ``close``."""
        for thread in self._threads:
            thread.start()
        for _ in self._threads:
            while True:
                service, line = self._lines.get()
                if line is None:
                    break
                yield service, line
            if self._on_end is not None and not self._is_closed:
                self._on_end(service)

    def close(self) -> None:
        """End all streams, and with them the iteration."""
        self._is_closed = True
        for stream in self._streams:
            stream.close()

    def _read(self, service: str, stream: LogStream) -> None:
        try:
            for line in stream:
                self._lines.put((service, line))
        finally:
            self._lines.put((service, None))
