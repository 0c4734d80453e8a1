"""The logs of several services as one stream of lines, in the order in which they come."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

from envspin.errors import EngineError, ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from envspin.engine.base import Engine, LogStream

RETURN_SECONDS = 30.0
"""How long an engine that went away may take to return before its logs count as ended."""

LOOK_SECONDS = 0.25


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
        self._engine = engine
        self._follows = follow
        self._on_end = on_end
        self._is_closed = False
        self._failure: EngineError | None = None
        self._lock = threading.Lock()  # guards _streams, and _is_closed while one is replaced
        self._lines: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
        self._streams: list[LogStream] = [
            engine.logs(container_id, follow=follow, tail=tail) for container_id in containers.values()
        ]
        self._threads = [
            threading.Thread(target=self._read, args=(*item, stream), name=f"envspin-log-{item[0]}", daemon=True)
            for item, stream in zip(containers.items(), self._streams, strict=True)
        ]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield service and line; end when every log has ended or after ``close``.

        Raises EngineError, after all that can be had, where a log that is not followed breaks off.
        """
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
        if self._failure is not None and not self._is_closed:
            raise self._failure

    def close(self) -> None:
        """End all streams, and with them the iteration."""
        with self._lock:
            self._is_closed = True
            streams = list(self._streams)
        for stream in streams:
            stream.close()

    def _read(self, service: str, container_id: str, stream: LogStream) -> None:
        try:
            while True:
                for line in stream:
                    self._lines.put((service, line))
                ended = time.time()
                if not self._follows or self._is_closed or not self._lives_on(container_id):
                    return
                stream = self._replace(stream, self._engine.logs(container_id, follow=True, since=ended))
        except EngineError as error:  # where it is followed, whoever looks at the container hears of it
            if not self._follows:
                self._failure = error
        finally:
            self._lines.put((service, None))

    def _lives_on(self, container_id: str) -> bool:
        """Tell whether a container runs although its log has ended: an engine can restart and leave it running."""
        until = time.monotonic() + RETURN_SECONDS
        while not self._is_closed:
            try:
                return self._engine.inspect(container_id).is_running
            except ObjectNotFoundError:
                return False
            except EngineError:
                if time.monotonic() > until:
                    return False
                time.sleep(LOOK_SECONDS)
        return False

    def _replace(self, old: LogStream, new: LogStream) -> LogStream:
        old.close()
        with self._lock:
            self._streams = [new if each is old else each for each in self._streams]
            if self._is_closed:
                new.close()
        return new
