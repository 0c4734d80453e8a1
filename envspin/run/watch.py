"""One subscription to the engine's events for a whole environment: whose container stopped, and how.

Events are hints, the engine's state is the truth: the subscription begins before the first start, and after a broken
connection every running container is looked at again.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envspin.errors import EngineError, ObjectNotFoundError
from envspin.run import naming

if TYPE_CHECKING:
    from collections.abc import Callable

    from envspin.engine.base import ContainerEvent, Engine, EventStream

RECONNECT_SECONDS = 0.25


@dataclass(slots=True)
class Vigil:
    """What is known of one service's container; ``stirred`` is set when it stops or when waiting is called off."""

    container_id: str
    stirred: threading.Event = field(default_factory=threading.Event)
    exit_code: int | None = None
    oom_killed: bool = False
    is_gone: bool = False

    @property
    def has_stopped(self) -> bool:
        """Whether the container's main process has ended."""
        return self.exit_code is not None or self.is_gone


class Watch:
    """Follows the events of an environment's containers in a thread of its own."""

    def __init__(self, engine: Engine, env: str, on_stop: Callable[[str, Vigil], None]) -> None:
        self._engine = engine
        self._labels = {naming.ENV: env}
        self._on_stop = on_stop
        self._lock = threading.Lock()  # guards _vigils and _stream
        self._vigils: dict[str, Vigil] = {}
        self._closed = threading.Event()
        self._stream: EventStream = engine.watch(self._labels)
        self._thread = threading.Thread(target=self._follow, name="envspin-watch", daemon=True)
        self._thread.start()

    def begin(self, service: str, container_id: str) -> Vigil:
        """Start to watch a service's container; call before it starts."""
        vigil = Vigil(container_id)
        with self._lock:
            self._vigils[service] = vigil
        return vigil

    def find(self, service: str) -> Vigil | None:
        """Return what is known of a service's container; None before its creation."""
        with self._lock:
            return self._vigils.get(service)

    def call_off(self) -> None:
        """Wake everybody who waits for a container."""
        with self._lock:
            for vigil in self._vigils.values():
                vigil.stirred.set()

    def close(self) -> None:
        """End the subscription."""
        with self._lock:
            self._closed.set()
            self._stream.close()
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        while not self._closed.is_set():
            for event in self._stream:
                self._note(event)
            while not self._closed.wait(RECONNECT_SECONDS):
                with suppress(EngineError):
                    self._resubscribe()
                    break

    def _resubscribe(self) -> None:
        stream = self._engine.watch(self._labels)
        with self._lock:
            if self._closed.is_set():
                stream.close()
                return
            self._stream.close()
            self._stream = stream
            watched = dict(self._vigils)
        for service, vigil in watched.items():
            self._look_again(service, vigil)

    def _look_again(self, service: str, vigil: Vigil) -> None:
        try:
            container = self._engine.inspect(vigil.container_id)
        except ObjectNotFoundError:
            self._stop(service, vigil, None)
            return
        if container.status in {"exited", "dead"}:
            vigil.oom_killed = container.oom_killed
            self._stop(service, vigil, container.exit_code)

    def _note(self, event: ContainerEvent) -> None:
        service = event.labels.get(naming.SERVICE, "")
        vigil = self.find(service)
        if vigil is None or vigil.container_id != event.container_id:
            return
        if event.action == "oom":
            vigil.oom_killed = True
        elif event.action == "start":
            vigil.exit_code, vigil.is_gone = None, False
        elif event.action in {"die", "destroy"}:
            self._stop(service, vigil, event.exit_code if event.action == "die" else vigil.exit_code)

    def _stop(self, service: str, vigil: Vigil, exit_code: int | None) -> None:
        was_known = vigil.has_stopped
        vigil.exit_code = exit_code
        vigil.is_gone = exit_code is None
        vigil.stirred.set()
        if not was_known:
            self._on_stop(service, vigil)
