"""Removing exactly one object, and only while it is still what it was listed as."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from envspin.engine.base import held_by_strangers
from envspin.engine.docker import reading
from envspin.engine.docker.calls import repeat
from envspin.engine.docker.creating import carries
from envspin.errors import ConflictError, EngineError, ObjectNotFoundError

if TYPE_CHECKING:
    from envspin.engine.base import Resource
    from envspin.engine.docker.client import ClientPool

REMOVAL_SECONDS = 10.0
"""How long a removal is repeated while the engine says that the object is in use, or that it is being removed."""


def remove(pool: ClientPool, resource: Resource) -> None:
    """Remove an object by id; leave it alone where its labels have changed; gone already is fine.

    After a lost answer everything begins anew, with a look at the labels: a volume's name may be somebody else's by
    then.
    """
    with suppress(ObjectNotFoundError):
        repeat(lambda _: _remove_repeatedly(pool, resource), pool.limits.of("remove"), once_lost=True)


@retry(
    retry=retry_if_exception_type(ConflictError),
    stop=stop_after_delay(REMOVAL_SECONDS),
    wait=wait_exponential(multiplier=0.02, max=0.5),
    reraise=True,
)
def _remove_repeatedly(pool: ClientPool, resource: Resource) -> None:
    doing = f"removing {resource.kind} {resource.name}"
    match resource.kind:
        case "container":
            document = pool.call("inspect", doing, lambda client: client.inspect_container(resource.id))
            if document["Id"] == resource.id and carries(_read_labels(document["Config"]), resource.labels):
                pool.call("remove", doing, lambda client: client.remove_container(resource.id, v=True, force=True))
        case "network":
            document = pool.call("inspect", doing, lambda client: client.inspect_network(resource.id))
            if document["Id"] == resource.id and carries(_read_labels(document), resource.labels):
                _remove_network(pool, resource.id, doing)
        case "volume":
            # A volume has no id of its own: one of this name with other labels, more or fewer, is somebody else's.
            document = pool.call("inspect", doing, lambda client: client.inspect_volume(resource.id))
            if _read_labels(document) == dict(resource.labels):
                _remove_volume(pool, resource, doing)


def _read_labels(document: dict[str, Any]) -> dict[str, str]:
    return document.get("Labels") or {}


def _remove_network(pool: ClientPool, network_id: str, doing: str) -> None:
    try:
        pool.call("remove", doing, lambda client: client.remove_network(network_id))
    except EngineError as error:
        if "active endpoints" not in error.message:
            raise
        _disconnect_all(pool, network_id, doing)
        raise ConflictError(error.message) from error


def _remove_volume(pool: ClientPool, resource: Resource, doing: str) -> None:
    try:
        pool.call("remove", doing, lambda client: client.remove_volume(resource.id, force=True))
    except ConflictError as error:
        users = _list_strangers(pool, resource)
        if users:
            raise held_by_strangers(resource, users) from error
        raise


def _list_strangers(pool: ClientPool, volume: Resource) -> list[str]:
    """Return the names of containers that use a volume and share none of its labels."""
    filters = {"volume": volume.id}
    listed = pool.call(
        "list", f"looking who uses volume {volume.name}", lambda client: client.containers(all=True, filters=filters)
    )
    users = map(reading.read_listed_container, listed)
    return sorted(each.name for each in users if not each.labels.items() & volume.labels.items())


def _disconnect_all(pool: ClientPool, network_id: str, doing: str) -> None:
    # An endpoint can outlive its container for a moment, or for good after an engine crash.
    document = pool.call("inspect", doing, lambda client: client.inspect_network(network_id))
    for container_id in document.get("Containers") or {}:
        with suppress(EngineError):
            _disconnect(pool, container_id, network_id)


def _disconnect(pool: ClientPool, container_id: str, network_id: str) -> None:
    pool.call(
        "disconnect",
        "disconnecting a container",
        lambda client: client.disconnect_container_from_network(container_id, network_id, force=True),
    )
