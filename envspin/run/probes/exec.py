"""Ready when a command exits with 0 inside the container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envspin.run.probes.base import FOREVER, GENTLE
from envspin.run.probes.command import DEFAULT_TIMEOUT, CommandRunner
from envspin.run.probes.descriptions import describe

if TYPE_CHECKING:
    from envspin.model import ExecProbe
    from envspin.run.probes.base import Pace, Target


class ExecProber:
    """Runs the command again and again; its last line of output is the reason while it fails."""

    pace: Pace = GENTLE

    def __init__(self, probe: ExecProbe, target: Target) -> None:
        self._probe = probe
        self._runner = CommandRunner(target)

    def describe(self) -> str:
        """Say what is awaited."""
        return describe(self._probe)

    def check(self, remaining: float = FOREVER) -> None:
        """Return if the command has exited with 0."""
        self._runner.poll(self._probe.command, DEFAULT_TIMEOUT, remaining)

    def close(self) -> None:
        """Leave a running command alone: it ends by itself or with its container."""
