"""How long and how often registries are asked: one deadline for a whole question, and waits that grow."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential, wait_random

from envspin.registry.failures import TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

Found = TypeVar("Found")

_BACKOFF = wait_exponential(multiplier=0.2, max=5) + wait_random(0, 0.2)


@dataclass(frozen=True, slots=True)
class Pace:
    """The clock, in seconds, and what waits; tests bring their own."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] | None = None
    """None waits in a way that closing the client ends."""


class Deadline:
    """The seconds that one question may take, whatever it is made of."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds = seconds
        self._clock = clock
        self._began = clock()

    @property
    def elapsed(self) -> float:
        """How many seconds have passed."""
        return self._clock() - self._began

    @property
    def remaining(self) -> float:
        """How many seconds are left; none are below zero."""
        return max(0.0, self.seconds - self.elapsed)

    def share(self, parts: int) -> Deadline:
        """Return a deadline of its own for one of so many equal parts of what is left."""
        return Deadline(self.remaining / parts, self._clock)


def persist(action: Callable[[], Found], *, attempts: int, deadline: Deadline, sleep: Callable[[float], None]) -> Found:
    """Repeat an action while its error may pass, there are attempts left and the next wait ends in time.

    Raises the last error, with the number of attempts and the seconds in its context.
    """

    def should_stop(state: RetryCallState) -> bool:
        limit = min(attempts, _read_error(state).attempts)
        return state.attempt_number >= limit or state.upcoming_sleep >= deadline.remaining

    retrying = Retrying(
        sleep=sleep,
        retry=retry_if_exception_type(TransientError),
        wait=_find_wait,
        stop=should_stop,
        reraise=True,
    )
    try:
        return retrying(action)
    except TransientError as error:
        made = retrying.statistics["attempt_number"]
        error.context += (f"{made} attempt{'s' if made != 1 else ''} in {deadline.elapsed:.1f} s",)
        raise


def _find_wait(state: RetryCallState) -> float:
    return max(_BACKOFF(state), _read_error(state).retry_after or 0.0)


def _read_error(state: RetryCallState) -> TransientError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, TransientError):
        raise TypeError("only errors that may pass are waited for")
    return error
