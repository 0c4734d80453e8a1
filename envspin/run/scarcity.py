"""What an engine runs out of (subnets, ports) is waited for: others give theirs back when their environments end."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from envspin.errors import EngineError, ExhaustedError
from envspin.run import naming
from envspin.run.janitor import group_by_environment
from envspin.run.subnets import LOCK_SECONDS, create_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from envspin.engine.base import Engine, Kind
    from envspin.run.subnets import WantedNetwork

DEFAULT_PATIENCE = 300.0
"""Seconds to wait where the environment has no timeout of its own, which would end the whole start."""

PACE = 0.5
"""Seconds between two attempts."""

HURRIED_LOCK_SECONDS = 1.0
HOLDERS_SHOWN = 5

Value = TypeVar("Value")


def choose_patience(timeout: float | None, *, no_wait: bool) -> float:
    """Return the seconds to wait for what has run out: 0 where it must not wait, no end where a timeout sets one."""
    if no_wait:
        return 0.0
    return DEFAULT_PATIENCE if timeout is None else math.inf


class Waits:
    """What the threads of a run wait for now, and what helps; each thread notes its own, any may look."""

    def __init__(self) -> None:
        self._waits: dict[int, tuple[str, str]] = {}

    def begin(self, what: str, advice: str) -> None:
        """Note what this thread waits for."""
        self._waits[threading.get_ident()] = (what, advice)

    def end(self) -> None:
        """Note that this thread waits no more."""
        self._waits.pop(threading.get_ident(), None)

    def look(self) -> list[tuple[str, str]]:
        """Return each thing that is waited for, with what helps, once."""
        return list(dict.fromkeys(self._waits.copy().values()))


@dataclass(frozen=True, slots=True)
class Queue:
    """How a run waits: for how long, what ends it early, and who is told."""

    engine: Engine
    seconds: float
    cancelled: threading.Event
    on_wait: Callable[[str], None]
    waits: Waits = field(default_factory=Waits)

    def obtain(self, attempt: Callable[[], Value], kind: Kind) -> Value:
        """Attempt until it works; ``kind`` is that of the objects which hold what runs out.

        Tells once that it waits. Raises ExhaustedError when the time is over, with those who hold it all, or the run
        is cancelled; whatever else ``attempt`` raises goes through.
        """
        try:
            return self._obtain(attempt, kind)
        finally:
            self.waits.end()

    def _obtain(self, attempt: Callable[[], Value], kind: Kind) -> Value:
        began, is_told = time.monotonic(), False
        while True:
            try:
                return attempt()
            except ExhaustedError as error:
                if self.cancelled.is_set():  # the run has another diagnosis
                    raise
                waited = time.monotonic() - began
                if waited >= self.seconds:
                    raise self._explain(error, kind, waited) from error
                if not is_told:
                    what = f"{error.message}; {_say_holders(count_held(self.engine, kind), kind)}"
                    self.waits.begin(what, _advise(error))
                    self.on_wait(what)
                    is_told = True
            self.cancelled.wait(min(PACE, self.seconds - waited))

    def _explain(self, error: ExhaustedError, kind: Kind, waited: float) -> ExhaustedError:
        patience = f"waited for one for {waited:.1f} s" if self.seconds else "not waited for, as --no-wait says"
        holders = _say_holders(count_held(self.engine, kind), kind)
        return ExhaustedError(error.message, context=(*error.context, patience, holders), hint=_advise(error))


def _advise(error: ExhaustedError) -> str:
    advice = "`envspin ls` lists environments, `envspin down ENV` removes one"
    return f"{advice}; or {error.hint}" if error.hint else advice


class NetworkMaker:
    """Makes the networks of one environment, and knows which it has still to make."""

    def __init__(self, *, engine_is_local: bool = True) -> None:
        self._engine_is_local = engine_is_local
        self._lock = threading.Lock()  # guards what is made; held while a thread waits for room, for all need that
        self._made: set[str] = set()

    def make(
        self,
        name: str,
        wanted: Mapping[str, WantedNetwork],
        queue: Queue,
        creating: Callable[[str], AbstractContextManager[Callable[[], None]]],
    ) -> None:
        """Make a network, when there is room for all that are missing; ``wanted`` are all of the environment."""
        with self._lock:
            others = [each for key, each in wanted.items() if key != name and key not in self._made]
            lock_seconds = LOCK_SECONDS if queue.seconds else HURRIED_LOCK_SECONDS

            def attempt() -> str:
                return create_network(
                    queue.engine,
                    wanted[name],
                    others=others,
                    lock_seconds=lock_seconds,
                    creating=creating,
                    engine_is_local=self._engine_is_local,
                )

            queue.obtain(attempt, "network")
            self._made.add(name)


def count_held(engine: Engine, kind: Kind) -> dict[str, int]:
    """Count the objects of a kind that each environment has, most first; nothing where the engine does not say."""
    try:
        groups = group_by_environment(engine.list_resources({naming.ENV: None}))
    except EngineError:
        return {}
    counts = {name: sum(each.kind == kind for each in found) for name, found in groups.items()}
    return {name: count for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count}


def _say_holders(counts: Mapping[str, int], kind: Kind) -> str:
    if not counts:
        return f"no environment of envspin has a {kind}"
    shown = [f"{name} ({count})" for name, count in list(counts.items())[:HOLDERS_SHOWN]]
    surplus = len(counts) - HOLDERS_SHOWN
    others = f" and {surplus} more" if surplus > 0 else ""
    total = sum(counts.values())
    environments = f"{len(counts)} environment{'s' if len(counts) > 1 else ''}"
    return f"{total} {kind}{'s' if total > 1 else ''} of {environments}: {', '.join(shown)}{others}"
