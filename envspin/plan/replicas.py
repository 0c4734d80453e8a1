"""Services with several replicas -> one service for each container.

The first keeps the service's name, the others are called ``web-2``, ``web-3`` and so on; all of them answer to ``web``
on their networks, and each to ``web-1``, ``web-2`` ... alone. Whoever depends on the service waits for all of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from envspin.model import replica_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envspin.model import Dependency, Service


def expand_replicas(services: Mapping[str, Service]) -> dict[str, Service]:
    """Return the services with each replica as one of its own, beside the first."""
    names = {name: [name, *replica_names(name, service.replicas)[1:]] for name, service in services.items()}
    if all(len(each) == 1 for each in names.values()):
        return dict(services)
    found = {}
    for name, service in services.items():
        waiting = replace(service, depends_on=tuple(_depend_on_all(service, names)))
        for number, own_name in enumerate(names[name], 1):
            found[own_name] = _make_replica(waiting, own_name, number)
    return found


def _depend_on_all(service: Service, names: Mapping[str, list[str]]) -> Iterator[Dependency]:
    for dependency in service.depends_on:
        for name in names.get(dependency.service, [dependency.service]):
            yield replace(dependency, service=name)


def _make_replica(service: Service, name: str, number: int) -> Service:
    if service.replicas <= 1:
        return service
    own, shared = f"{service.name}-{number}", service.name
    networks = tuple(
        replace(each, aliases=tuple(dict.fromkeys((shared, own, *each.aliases)))) for each in service.networks
    )
    original = None if number == 1 else service.name
    return replace(service, name=name, replicas=1, replica_of=original, networks=networks)
