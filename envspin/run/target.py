"""A started container as the readiness probes see it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from envspin.plan.readiness import merge_healthchecks
from envspin.run.access import find_direct_address, find_endpoint
from envspin.run.probes import make_prober

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from envspin.engine.base import ContainerInfo, Engine, ExecResult, LogStream
    from envspin.model import Healthcheck, Probe, Service
    from envspin.run.probes import Prober

STATE_SECONDS = 0.02
"""How old an inspected state may be before a probe gets a new one."""


class ContainerTarget:
    """Satisfies ``probes.base.Target`` for one container of an engine."""

    def __init__(
        self,
        engine: Engine,
        container: ContainerInfo,
        *,
        host: str,
        healthcheck: Healthcheck | None,
        log_since: float | None = None,
    ) -> None:
        self._engine = engine
        self._container = container
        self._looked_at = time.monotonic()
        self._host = host
        self._healthcheck = healthcheck
        self._log_since = log_since
        self._direct = find_direct_address(container)

    @property
    def is_direct(self) -> bool:
        """Whether ports are reached at the container's own address."""
        return self._direct is not None

    def address(self, port: int) -> tuple[str, int]:
        """Return host and port where this process reaches a TCP port of the container."""
        if self._direct is not None:
            return self._direct, port
        endpoint = find_endpoint(self._container, f"{port}/tcp", self._host)
        return endpoint.host, endpoint.port

    def execute(self, command: Sequence[str], timeout: float) -> ExecResult:
        """Run a command inside the container."""
        return self._engine.execute(self._container.id, command, timeout=timeout)

    def healthcheck(self) -> Healthcheck | None:
        """Return the effective healthcheck."""
        return self._healthcheck

    def state(self) -> ContainerInfo:
        """Return the container as it was a moment ago."""
        if time.monotonic() - self._looked_at > STATE_SECONDS:
            self._container = self._engine.inspect(self._container.id)
            self._looked_at = time.monotonic()
        return self._container

    def log_lines(self) -> LogStream:
        """Follow the container's output from its beginning, or from the Unix time that was given."""
        return self._engine.logs(self._container.id, follow=True, since=self._log_since)


def bind_probers(
    probes: Iterable[Probe],
    engine: Engine,
    service: Service,
    image_check: Healthcheck | None,
    container: ContainerInfo,
    *,
    host: str,
    log_since: float | None = None,
) -> list[Prober]:
    """Return the probes of a service bound to its container; the healthcheck is the service's over its image's."""
    check = merge_healthchecks(service.healthcheck, image_check)
    target = ContainerTarget(engine, container, host=host, healthcheck=check, log_since=log_since)
    return [make_prober(probe, target) for probe in probes]
