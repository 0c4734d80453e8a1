"""How long each call may go without an answer, and what may be done when its answer is lost.

A call whose answer is lost may have happened, may happen later, or may never have arrived. Which calls can simply be
made once more is a property of the call, so it stands here, in one table.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeVar

from tenacity import Retrying, retry_if_exception, wait_exponential

from envspin.engine.docker.failures import was_refused, was_server_error
from envspin.errors import UnansweredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tenacity import RetryCallState

TIMEOUT_VARIABLE = "ENVSPIN_ENGINE_TIMEOUT"
"""Seconds that lower the limit of every call."""

REPEATS = 2
"""How often a call that may be repeated is repeated, at most; all together take no longer than twice its limit."""

REFUSED_SECONDS = 0.5
"""How long a refused connection is tried again: an engine that restarts is worth that, one that is away is not."""

SETTLE_SECONDS = 3.0
"""How long a call whose answer was lost may still take effect before it is made once more."""

T = TypeVar("T")


class Repeat(Enum):
    """What may be done after a lost answer."""

    AGAIN = "the same call again: it makes no difference how often it is made"
    LOOK = "a look first: only what did not happen is asked for again"
    NEVER = "nothing: the caller hears of it"


Verb = Literal[
    "ask", "find image", "inspect", "list",
    "create container", "create network", "create volume", "connect", "disconnect",
    "copy", "tag", "start", "stop", "pause", "unpause", "kill", "remove",
    "create exec", "start exec", "open stream",
    "pull", "build", "save", "load",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """A kind of call."""

    seconds: float
    """How long the engine may say nothing."""
    repeat: Repeat


CALLS: Mapping[Verb, Call] = {
    "ask": Call(15, Repeat.AGAIN),
    "find image": Call(15, Repeat.AGAIN),
    "inspect": Call(15, Repeat.AGAIN),
    "list": Call(15, Repeat.AGAIN),
    "create container": Call(60, Repeat.LOOK),
    "create network": Call(60, Repeat.LOOK),
    "create volume": Call(60, Repeat.LOOK),
    "connect": Call(60, Repeat.AGAIN),  # "exists already" counts as done
    "disconnect": Call(60, Repeat.AGAIN),
    "copy": Call(60, Repeat.AGAIN),
    "tag": Call(60, Repeat.AGAIN),
    "start": Call(60, Repeat.LOOK),  # a job must not run twice
    "stop": Call(60, Repeat.LOOK),  # and the grace period
    "pause": Call(60, Repeat.LOOK),
    "unpause": Call(60, Repeat.LOOK),
    "kill": Call(60, Repeat.NEVER),
    "remove": Call(60, Repeat.LOOK),  # at the labels, each time
    "create exec": Call(60, Repeat.AGAIN),  # one that is never started does nothing
    "start exec": Call(60, Repeat.NEVER),  # until it begins; then the caller's own limit counts
    "open stream": Call(15, Repeat.AGAIN),  # until it begins; what is followed may be silent for ever
    "pull": Call(900, Repeat.AGAIN),  # between two words about a layer
    "build": Call(900, Repeat.NEVER),  # between two words of a step
    "save": Call(900, Repeat.NEVER),  # what was written is written
    "load": Call(900, Repeat.NEVER),  # what was read is read
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the table, lowered to a ceiling."""

    ceiling: float = math.inf

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Limits:
        """Read ``ENVSPIN_ENGINE_TIMEOUT``; raise UsageError where it is no positive number of seconds."""
        text = environ.get(TIMEOUT_VARIABLE, "").strip()
        if not text:
            return cls()
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise UsageError(
                f"{TIMEOUT_VARIABLE} is {text!r}, which is no positive number of seconds",
                hint=f"write a number like {TIMEOUT_VARIABLE}=5, or unset it",
            )
        return cls(seconds)

    def of(self, verb: Verb) -> float:
        """Return how many seconds the engine may say nothing to a call."""
        return min(CALLS[verb].seconds, self.ceiling)


def repeat(attempt: Callable[[float], T], seconds: float, *, once_lost: bool) -> T:
    """Call ``attempt`` with the seconds that it may take until an answer comes, within twice ``seconds`` in all.

    A refused connection is tried again in any case, for a moment, since nothing was sent; ``once_lost`` says whether
    to do so after a lost answer or an engine's own failure, too. The last error is raised as it is.
    """
    began = time.monotonic()

    def make_attempt() -> T:
        left = began + 2 * seconds - time.monotonic()
        return attempt(max(0.1, min(seconds, left)))

    def may_repeat(error: BaseException) -> bool:
        return was_refused(error) or (once_lost and (isinstance(error, UnansweredError) or was_server_error(error)))

    def is_over(state: RetryCallState) -> bool:
        elapsed = time.monotonic() - began
        error = state.outcome.exception() if state.outcome else None
        if error is not None and was_refused(error):
            return elapsed >= REFUSED_SECONDS
        return state.attempt_number > REPEATS or elapsed >= 2 * seconds

    pace = wait_exponential(multiplier=0.05, max=0.2)
    return Retrying(retry=retry_if_exception(may_repeat), stop=is_over, wait=pace, reraise=True)(make_attempt)
