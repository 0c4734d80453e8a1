"""One subscription to the engine's events for an environment's whole life: whose container stopped, and how.

Events are hints, the engine's state is the truth: the subscription begins before the first start, and after a broken
connection every running container is looked at again. A connection that cannot be had again is how an engine that went
away is noticed; one that is frozen is noticed because it gives no sign of life.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envspin.errors import EngineError, ObjectNotFoundError
from envspin.run import naming
from envspin.run.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable

    from envspin.engine.base import ContainerEvent, Engine, EventStream

RECONNECT_SECONDS = 0.25
LOST_SECONDS = 1.0
"""How long the engine may be away before that is told; one that starts again at once is not worth a word."""


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


def _ignore_stop(_service: str, _vigil: Vigil) -> None:
    """Take no note: nobody waits for a service yet."""


class Watch:
    """Follows the events of an environment's containers in a thread of its own."""

    def __init__(self, engine: Engine, run_id: str, on_engine: Callable[[str | None], None]) -> None:
        """Subscribe to what happens to a run's containers.

        ``on_engine`` is told why the engine is thought to be lost, and None when it is back. Raises EngineError.
        """
        self._engine = engine
        self._labels = {naming.RUN: run_id}
        self.on_stop: Callable[[str, Vigil], None] = _ignore_stop
        """Is told of a service whose container stopped."""
        self._on_engine = on_engine
        self._troubles: set[str] = set()
        """Who misses the engine: the subscription, the pulse."""
        self._is_connected = True
        self._reason = ""
        self._lock = threading.Lock()  # guards _vigils, _stream, _troubles and _is_connected; held while telling
        self._vigils: dict[str, Vigil] = {}
        self._closed = threading.Event()
        self._stream: EventStream = engine.watch(self._labels)
        self._thread = threading.Thread(target=self._follow, name="envspin-watch", daemon=True)
        self._thread.start()
        self._pulse = Pulse(engine, self._feel)

    @property
    def is_engine_lost(self) -> bool:
        """Whether the engine has not answered for ``LOST_SECONDS``, or gave no sign of life."""
        return bool(self._troubles)

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
        self._pulse.close()
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        while not self._closed.is_set():
            for event in self._stream:
                self._note(event)
            if not self._closed.is_set():
                self._reconnect()

    def _reconnect(self) -> None:
        """Subscribe again; a call that hangs (a socket whose engine is being started) raises the alarm, too."""
        self._is_connected = False
        self._reason = "it ended the stream of its events and gives no new one"
        alarm = threading.Timer(LOST_SECONDS, self._tell_lost)
        alarm.daemon = True
        alarm.start()
        while not self._closed.wait(RECONNECT_SECONDS):
            try:
                self._resubscribe()
                break
            except EngineError as error:
                self._reason = error.message
        alarm.cancel()
        with self._lock:
            self._is_connected = True
            self._judge("subscription", None)

    def _tell_lost(self) -> None:
        with self._lock:
            if not self._is_connected:
                self._judge("subscription", self._reason)

    def _feel(self, reason: str | None) -> None:
        with self._lock:
            self._judge("pulse", reason)

    def _judge(self, witness: str, reason: str | None) -> None:
        """Take down, with the lock held, that a witness misses the engine or (None) met it; tell what changes."""
        if self._closed.is_set():
            return
        was_lost = self.is_engine_lost
        if reason is None:
            self._troubles.discard(witness)
        else:
            self._troubles.add(witness)
        if self.is_engine_lost != was_lost:
            self._on_engine(reason)

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
            self.on_stop(service, vigil)
