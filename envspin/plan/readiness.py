"""How a service proves that it is ready, where its topology leaves the choice to us."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from envspin.model import CompletedProbe, Healthcheck, HealthcheckProbe, Port, Probe, RunningProbe, TcpProbe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envspin.model import Service


def choose_probes(service: Service, image_check: Healthcheck | None, image_ports: Iterable[Port]) -> tuple[Probe, ...]:
    """Choose the probes that must pass: a job's exit, what was written, a healthcheck, tcp on each port, or running."""
    if service.job:
        return (CompletedProbe(),)
    if service.ready:
        return service.ready
    if merge_healthchecks(service.healthcheck, image_check) is not None:
        return (HealthcheckProbe(),)
    ports = [port for port in known_ports(service, image_ports) if port.protocol == "tcp"]
    if ports:
        return tuple(TcpProbe(port.container) for port in ports)
    return (RunningProbe(),)


def merge_healthchecks(written: Healthcheck | None, image: Healthcheck | None) -> Healthcheck | None:
    """Return the check to run: the written one over the image's, as Compose does; None where there is none."""
    if written is None:
        return image
    if written.disable or written.test == ("NONE",):
        return None
    if written.test is not None:
        return written
    if image is None:
        return None
    return replace(
        image,
        interval=written.interval or image.interval,
        timeout=written.timeout or image.timeout,
        retries=written.retries or image.retries,
        start_period=written.start_period or image.start_period,
        start_interval=written.start_interval or image.start_interval,
    )


def known_ports(service: Service, image_ports: Iterable[Port]) -> tuple[Port, ...]:
    """Return the ports that a service is known by, its main one first.

    These are the ones under ``ports``, then ``expose``, then those that its probes knock at; the image's own
    ``EXPOSE`` counts only where the service names none (a broker's image exposes six, and tests want one).
    """
    probed = [Port(port) for port in (getattr(probe, "port", None) for probe in service.ready) if port is not None]
    named = dict.fromkeys((*service.ports, *service.expose, *probed))
    return tuple(named) or tuple(image_ports)
