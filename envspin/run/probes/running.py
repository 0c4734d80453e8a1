"""Ready when the container has been running for a while without a stop: nothing better is known."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from envspin.run.probes.base import FOREVER, GENTLE, Hopeless, NotReady
from envspin.run.probes.descriptions import describe
from envspin.run.probes.ending import describe_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from envspin.model import RunningProbe
    from envspin.run.probes.base import Pace, Target


class RunningProber:
    """Measures from the first look that saw the container running."""

    pace: Pace = GENTLE

    def __init__(self, probe: RunningProbe, target: Target, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._probe = probe
        self._target = target
        self._clock = clock
        self._since: float | None = None

    def describe(self) -> str:
        """Say what is awaited."""
        return describe(self._probe)

    def check(self, remaining: float = FOREVER) -> None:  # noqa: ARG002 - never waits
        """Return if the container has run long enough; raise Hopeless if it has ended."""
        info = self._target.state()
        if end := describe_end(info):
            raise Hopeless(end)
        if info.status != "running":
            self._since = None
            raise NotReady(f"the container is {info.status}")
        if self._since is None:
            self._since = self._clock()
        ran = self._clock() - self._since
        if ran < self._probe.seconds:
            raise NotReady(f"the container has run for {ran:.1f} of {self._probe.seconds:g} s")

    def close(self) -> None:
        """Do nothing: a look leaves nothing open."""
