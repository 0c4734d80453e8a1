"""When to ask: at once, then after pauses that stay a small fraction of what has been waited so far.

A pause of about one per cent of the waited time delays the discovery of readiness by one per cent at most, and still
asks a service that needs long only a few dozen times a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from envspin.run.probes.base import CHEAP, UNHURRIED, Hopeless, InProgress, NotReady, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envspin.run.probes.base import Pace, Prober

PAUSE_FRACTION = 0.01
"""The pause as a share of the time waited so far."""

SHORTEST_LIMIT = 0.05
"""Seconds that even the first check after a passed deadline gets, so that a ready service is found ready."""


class CancelSignal(Protocol):
    """The part of ``threading.Event`` that waiting needs."""

    def is_set(self) -> bool:
        """Tell whether waiting shall end."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until set or until ``timeout`` seconds have passed; tell whether it is set."""
        ...


@dataclass(frozen=True, slots=True)
class Unmet:
    """A probe that has not passed: what was awaited and how it last failed."""

    description: str
    reason: str

    def __str__(self) -> str:
        return f"{self.description}: {self.reason}" if self.reason else self.description


class StillUnready(Exception):  # noqa: N818 - reads as what happened
    """Waiting ended before every probe passed; ``unmet`` holds those that did not."""

    def __init__(self, unmet: Sequence[Unmet], waited: float) -> None:
        super().__init__("; ".join(str(one) for one in unmet))
        self.unmet = tuple(unmet)
        self.waited = waited


class DeadlinePassed(StillUnready):
    """The deadline passed first."""


class WaitCancelled(StillUnready):
    """The cancel signal was set first: the container exited, or the user asked to stop."""


@dataclass(slots=True)
class _Asked:
    """A prober and where it stands."""

    prober: Prober
    due: float
    began: float | None = None
    """When the check that is still in progress began."""
    reason: str = ""
    passed_at: float | None = None

    def unmet(self) -> Unmet:
        return Unmet(self.prober.describe(), self.reason)


def wait_until_ready(
    probers: Sequence[Prober],
    *,
    deadline: float,
    clock: Callable[[], float],
    cancelled: CancelSignal,
    on_reason: Callable[[str, str], object] | None = None,
) -> None:
    """Return when every prober has passed; close all of them in any case.

    ``deadline`` is a time of ``clock`` (seconds). Each prober is checked at least once, even after the deadline. One
    that has passed is not asked again, with one exception: probers of a cheap pace that passed in an earlier round
    than the last one are asked once more at the very end, because a service may restart itself between (a database
    after its first-time setup). If that fails, they count as not passed.

    ``on_reason`` is told description and reason whenever a reason changes. Raises DeadlinePassed, WaitCancelled,
    Hopeless, or what the engine raised.
    """
    wait = _Wait(probers, deadline, clock, on_reason)
    try:
        wait.run(cancelled)
    finally:
        for prober in probers:
            prober.close()


def choose_pause(pace: Pace, *, waited: float, took: float) -> float:
    """Return the pause after a check that took ``took`` seconds, ``waited`` seconds after waiting began."""
    wish = waited * PAUSE_FRACTION
    if pace.rests_as_long_as_it_took:
        wish = max(wish, took)
    return min(max(wish, pace.shortest), pace.longest)


class _Wait:
    """One call of ``wait_until_ready``: rounds over the probers that are due."""

    def __init__(
        self,
        probers: Sequence[Prober],
        deadline: float,
        clock: Callable[[], float],
        on_reason: Callable[[str, str], object] | None,
    ) -> None:
        self._clock = clock
        self._start = clock()
        self._deadline = deadline
        self._on_reason = on_reason
        self._asked = [_Asked(prober, due=self._start) for prober in probers]

    def run(self, cancelled: CancelSignal) -> None:
        while pending := self._pending():
            now = self._clock()
            for asked in pending:
                if asked.due <= now:
                    self._ask(asked)
                if cancelled.is_set():
                    raise WaitCancelled([one.unmet() for one in self._pending()], self._waited())
            self._reopen_early_passes(round_start=now)
            self._pause(cancelled)

    def _pending(self) -> list[_Asked]:
        return [asked for asked in self._asked if asked.passed_at is None]

    def _waited(self) -> float:
        return self._clock() - self._start

    def _ask(self, asked: _Asked) -> None:
        began = asked.began if asked.began is not None else self._clock()
        asked.began = None
        try:
            asked.prober.check(max(self._deadline - self._clock(), SHORTEST_LIMIT))
        except InProgress as error:
            asked.began = began
            asked.due = self._clock()
            self._note(asked, str(error))
        except NotReady as error:
            now = self._clock()
            pace = UNHURRIED if isinstance(error, Refused) else asked.prober.pace
            asked.due = now + choose_pause(pace, waited=now - self._start, took=now - began)
            self._note(asked, str(error))
        except Hopeless as error:
            error.awaited = asked.prober.describe()
            raise
        else:
            asked.passed_at = self._clock()

    def _note(self, asked: _Asked, reason: str) -> None:
        if reason != asked.reason:
            asked.reason = reason
            if self._on_reason is not None:
                self._on_reason(asked.prober.describe(), reason)

    def _reopen_early_passes(self, *, round_start: float) -> None:
        """Confirm the cheap probers that passed before this round, once nothing else is pending."""
        if self._pending():
            return
        early = [one for one in self._asked if one.passed_at is not None and one.passed_at < round_start]
        for asked in early:
            if asked.prober.pace == CHEAP:
                asked.passed_at = None
                asked.due = self._clock()
                self._ask(asked)

    def _pause(self, cancelled: CancelSignal) -> None:
        """Sleep until the next check is due, or raise because waiting is over."""
        pending = self._pending()
        if not pending:
            return
        now = self._clock()
        if now >= self._deadline:
            raise DeadlinePassed([one.unmet() for one in pending], self._waited())
        pause = min(self._deadline, *(one.due for one in pending)) - now
        if cancelled.wait(max(pause, 0.0)):
            raise WaitCancelled([one.unmet() for one in pending], self._waited())
