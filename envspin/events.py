"""What happens during a run, as frozen data, and the listener that is told.

The core never prints: it emits these events, and the command line, the pytest plugin or a user's own
:class:`Listener` render them (an idea of resolvelib's reporters). Times are seconds since the run began.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envspin.errors import EnvspinError
    from envspin.problems import Problem

ServiceState = Literal["waiting", "created", "starting", "started", "ready", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """An environment is about to be made."""

    env: str
    topology: str
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WarningRaised:
    """Something in the topology is honoured differently than written."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class ImageProgress:
    """A pull or build moved on; ``fraction`` is None while unknown, 1.0 at the end."""

    image: str
    action: Literal["pull", "build"]
    status: str
    fraction: float | None
    at: float


@dataclass(frozen=True, slots=True)
class ServiceChanged:
    """A service reached another state; ``detail`` says what is awaited or what happened."""

    service: str
    state: ServiceState
    at: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ResourceAwaited:
    """Something has run out, and the run waits until others give it back; ``what`` says what and how much there is."""

    what: str
    at: float


@dataclass(frozen=True, slots=True)
class EngineLost:
    """The container engine does not answer any more."""

    env: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class EngineReturned:
    """The container engine answers again; what its containers went through meanwhile was looked at."""

    env: str
    at: float


@dataclass(frozen=True, slots=True)
class RunReady:
    """Every service is ready."""

    env: str
    seconds: float
    exports: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The environment will not become ready; the error carries the whole diagnosis."""

    env: str
    error: EnvspinError
    at: float


@dataclass(frozen=True, slots=True)
class TeardownStarted:
    """Removal of everything of the environment begins."""

    env: str


@dataclass(frozen=True, slots=True)
class TeardownFinished:
    """Everything is gone; ``removed`` counts objects by kind."""

    env: str
    removed: Mapping[str, int]
    seconds: float


Event = (
    RunStarted
    | WarningRaised
    | ImageProgress
    | ServiceChanged
    | ResourceAwaited
    | EngineLost
    | EngineReturned
    | RunReady
    | RunFailed
    | TeardownStarted
    | TeardownFinished
)


def describe_notice(event: Event) -> str | None:
    """Return the line of an event that people should hear of at once, however they look on; None for all others."""
    if isinstance(event, ResourceAwaited):
        return f"waiting: {event.what}"
    if isinstance(event, EngineLost):
        return f"the container engine does not answer any more, and {event.env} needs it: {event.reason}"
    if isinstance(event, EngineReturned):
        return f"the container engine answers again; `envspin ps {event.env}` shows what is left of {event.env}"
    return None


class Listener:
    """Is told of every event, from one thread at a time; the base does nothing."""

    def handle(self, event: Event) -> None:
        """Take note of an event."""
