"""Ready when the healthcheck of the service or its image passes; we execute it at our own pace.

The engine would run it first after a whole ``interval``, so neither ``interval`` nor ``start_interval`` count here.
``timeout`` bounds each run. ``retries`` says when a running container becomes unhealthy; while we wait for readiness a
failed run only means "not yet", and the service's own deadline, which ``start_period`` lengthens, says when to give up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envspin.run.probes.base import FOREVER, GENTLE, Hopeless
from envspin.run.probes.command import DEFAULT_TIMEOUT, SHELL, CommandRunner
from envspin.run.probes.descriptions import describe

if TYPE_CHECKING:
    from envspin.model import Healthcheck, HealthcheckProbe
    from envspin.run.probes.base import Pace, Target


class HealthcheckProber:
    """Looks the check up once and runs it until it exits with 0."""

    pace: Pace = GENTLE

    def __init__(self, probe: HealthcheckProbe, target: Target) -> None:
        self._probe = probe
        self._target = target
        self._runner = CommandRunner(target)
        self._found: tuple[tuple[str, ...], float] | None = None

    def describe(self) -> str:
        """Say what is awaited."""
        return describe(self._probe)

    def check(self, remaining: float = FOREVER) -> None:
        """Return if the healthcheck has passed; raise Hopeless where there is none."""
        if self._found is None:
            self._found = find_command(self._target.healthcheck())
        command, timeout = self._found
        self._runner.poll(command, timeout, remaining)

    def close(self) -> None:
        """Leave a running command alone: it ends by itself or with its container."""


def find_command(healthcheck: Healthcheck | None) -> tuple[tuple[str, ...], float]:
    """Return the command to execute and its time limit; raise Hopeless where none is defined.

    As for the engine, a timeout of zero means the default.
    """
    if healthcheck is None or healthcheck.disable or not healthcheck.test or healthcheck.test[0] == "NONE":
        raise Hopeless("neither the service nor its image has a healthcheck")
    kind, *words = healthcheck.test
    if kind == "CMD" and words:
        command = tuple(words)
    elif kind == "CMD-SHELL" and words:
        command = (SHELL, "-c", " ".join(words))
    else:
        raise Hopeless("the healthcheck's test begins with none of CMD, CMD-SHELL and NONE, or says no command")
    return command, healthcheck.timeout or DEFAULT_TIMEOUT
