"""What a readiness probe is, what it may use, and how it says "not yet".

A probe's specification is plain data in ``envspin.model``; a :class:`Prober` is that specification bound to one
container. A check either returns (ready), or raises :class:`NotReady` with a short reason (ask again), or raises
:class:`Hopeless` (asking again is pointless; the idea is testcontainers-go's ``PermanentError``). Errors of
``envspin.errors`` may pass through from the engine; nothing else leaves a check.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envspin.engine.base import ContainerInfo, ExecResult, LogStream
    from envspin.model import Healthcheck

FOREVER = math.inf
"""The ``remaining`` of a check that no deadline bounds."""


class NotReady(Exception):  # noqa: N818 - reads as what happened
    """The service is not ready yet; the message is a short reason that a timeout shows.

    Reasons are fragments in lower case without a full stop, and never hold a password.
    """


class Refused(NotReady):
    """The service is up and says no (a wrong password, an unknown database): that may pass, but seldom soon.

    The next check comes later than usual, because each one costs the service work and often a line of its log, which
    would bury what a diagnosis needs to see.
    """


class InProgress(NotReady):
    """The check itself is not over (a command still runs): ask again at once, the check does its own waiting."""


class Hopeless(Exception):  # noqa: N818 - reads as what happened
    """The service will never become ready, however long one waits; the message says why."""

    awaited: str = ""
    """The description of the prober that gave up; set while waiting."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a probe may be repeated; pauses are in seconds."""

    shortest: float
    longest: float
    rests_as_long_as_it_took: bool = False
    """Whether the pause is at least as long as the check before it, so that checking costs half the time at most."""


CHEAP = Pace(shortest=0.004, longest=0.05)
"""For checks that cost a socket or less."""

GENTLE = Pace(shortest=0.02, longest=0.25, rests_as_long_as_it_took=True)
"""For checks that cost the engine work: an exec is 50 to 100 ms of it."""


UNHURRIED = Pace(shortest=0.1, longest=0.5)
"""For the check after one that was refused."""


RARE = Pace(shortest=0.5, longest=1.0)
"""For a look that only backs up the engine's events, which tell of an end much sooner."""


class Target(Protocol):
    """The container under test, as far as a probe needs it. Methods may be called from any thread."""

    @property
    def is_direct(self) -> bool:
        """Whether ``address`` is the container's own, so that an accepted connection proves a listener.

        Otherwise the address belongs to the engine's port proxy, which accepts before the service listens.
        """
        ...

    def address(self, port: int) -> tuple[str, int]:
        """Return host and port where this process reaches a container port."""
        ...

    def execute(self, command: Sequence[str], timeout: float) -> ExecResult:
        """Run a command inside the container; raise EnvspinTimeout when it outlives ``timeout`` seconds."""
        ...

    def healthcheck(self) -> Healthcheck | None:
        """Return the effective healthcheck: the service's own merged with its image's; None where there is none."""
        ...

    def state(self) -> ContainerInfo:
        """Return the container as last inspected, not older than a few milliseconds."""
        ...

    def log_lines(self) -> LogStream:
        """Follow the output from the container's start; a prober opens it once."""
        ...


class Prober(Protocol):
    """One probe bound to one container. Used by one thread, which closes it in the end."""

    @property
    def pace(self) -> Pace:
        """How often ``check`` may be repeated."""
        ...

    def describe(self) -> str:
        """Say what is awaited, to be read after "waiting for": ``redis to answer PING on port 6379``."""
        ...

    def check(self, remaining: float = FOREVER) -> None:
        """Return when ready, else raise NotReady or Hopeless.

        A check that talks over a socket bounds itself to a few seconds and to ``remaining``, the seconds that the
        caller still has.
        """
        ...

    def close(self) -> None:
        """Give back what the checks have opened; nothing is checked afterwards."""
        ...
