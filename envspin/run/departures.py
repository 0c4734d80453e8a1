"""Removing containers from the top of their graph downwards, without waiting for each level to be tidied up.

An engine answers a removal when the container's file systems and addresses are gone, 150 ms after its process. What a
container depends on may go as soon as its process was killed, so that is listened for: the next level begins then, and
the engine tidies several levels up at once.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from envspin.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor, Future

    from envspin.engine.base import Engine, EventStream, Resource

ENDING = {"kill", "die", "destroy"}


class Departures:
    """Hears which containers have been killed, by the engine's events; a context manager around removals."""

    def __init__(self, engine: Engine, labels: Mapping[str, str]) -> None:
        self._engine = engine
        self._labels = labels
        self._changed = threading.Condition()  # guards _departed; notified when a removal returns, too
        self._departed: set[str] = set()
        self._stream: EventStream | None = None

    def __enter__(self) -> Self:
        with suppress(EngineError):  # without events, each level waits for the removals of the one before
            self._stream = self._engine.watch(self._labels)
            threading.Thread(target=self._listen, args=(self._stream,), name="envspin-departures", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def _listen(self, stream: EventStream) -> None:
        for event in stream:
            if event.action in ENDING:
                with self._changed:
                    self._departed.add(event.container_id)
                    self._changed.notify_all()

    def begin(
        self, pool: Executor, remove: Callable[[Resource], None], level: Iterable[Resource]
    ) -> list[Future[None]]:
        """Begin to remove the containers of a level; return when each is removed, has failed, or was killed."""
        futures = {each.id: pool.submit(remove, each) for each in level}
        for future in futures.values():
            future.add_done_callback(self._notify)
        with self._changed:
            self._changed.wait_for(lambda: all(id_ in self._departed or each.done() for id_, each in futures.items()))
        return list(futures.values())

    def _notify(self, _future: Future[None]) -> None:
        with self._changed:
            self._changed.notify_all()


def find_common_labels(resources: Sequence[Resource]) -> dict[str, str]:
    """Return the labels that all of these carry."""
    first, *others = (set(each.labels.items()) for each in resources)
    return dict(first.intersection(*others))
