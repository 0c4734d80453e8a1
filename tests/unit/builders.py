"""Topologies in few words, for tests of what works on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envspin.model import Condition, Dependency, Network, NetworkAttachment, Service, Topology

DEFAULT_NETWORK = (NetworkAttachment("default"),)


def make_service(name: str, *needs: str | Dependency, **fields: Any) -> Service:
    """Make a service with an image of its own name; a needed name is the short form of ``depends_on``."""
    dependencies = tuple(Dependency(need) if isinstance(need, str) else need for need in needs)
    fields.setdefault("image", None if fields.get("build") else f"{name}:1")
    return Service(name, depends_on=dependencies, networks=fields.pop("networks", DEFAULT_NETWORK), **fields)


def make_topology(*services: Service, inactive: tuple[str, ...] = (), **fields: Any) -> Topology:
    """Make a topology of these services on one network."""
    by_name = {service.name: service for service in services}
    fields.setdefault("networks", {"default": Network("default")})
    active = frozenset(by_name.keys() - set(inactive))
    return Topology("test", Path(), services=by_name, active=active, **fields)


def chain(needs: Mapping[str, tuple[str, ...]], **fields: Any) -> Topology:
    """Make a topology from names and what each needs."""
    return make_topology(*(make_service(name, *others, **fields) for name, others in needs.items()))


def completed(service: str) -> Dependency:
    """Depend on the end of a job."""
    return Dependency(service, Condition.COMPLETED, explicit=True)


def started(service: str) -> Dependency:
    """Depend on the mere start, as written with ``condition: service_started``."""
    return Dependency(service, Condition.STARTED, explicit=True)


def optional(service: str) -> Dependency:
    """Depend on readiness, but go on without (``required: false``)."""
    return Dependency(service, Condition.HEALTHY, explicit=True, required=False)
