"""Ready when the container has exited with code 0: the service is a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envspin.run.probes.base import FOREVER, RARE, Hopeless, NotReady
from envspin.run.probes.descriptions import describe
from envspin.run.probes.ending import ENDED, describe_end

if TYPE_CHECKING:
    from envspin.model import CompletedProbe
    from envspin.run.probes.base import Pace, Target


class CompletedProber:
    """Looks at the container's state; any other end than code 0 is final, for nothing is restarted.

    It looks rarely: the waiting is called off by the engine's event of the end. An inspect under way at that moment
    would hold the news back, for the engine answers it only after its own clean-up (measured: 100 ms and more).
    """

    pace: Pace = RARE

    def __init__(self, probe: CompletedProbe, target: Target) -> None:
        self._probe = probe
        self._target = target

    def describe(self) -> str:
        """Say what is awaited."""
        return describe(self._probe)

    def check(self, remaining: float = FOREVER) -> None:  # noqa: ARG002 - never waits
        """Return if the job has succeeded; raise Hopeless if it has failed."""
        info = self._target.state()
        if info.status not in ENDED:
            raise NotReady("the job has not started" if info.status == "created" else "the job is still running")
        if info.status == "dead" or info.exit_code != 0:
            raise Hopeless(describe_end(info))

    def close(self) -> None:
        """Do nothing: a look leaves nothing open."""
