"""Creating what must exist once, even where the engine's answer is lost.

A create without an answer may have happened, so we look for what carries our name and all our labels, and adopt it;
the labels name the run, so nobody else's object has them. What is not there may still come: names are unique, so the
create is made again, and a conflict then means that the first one has got through. Where it does not show all the same,
nobody knows what became of it, whatever the second one was told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docker.types import IPAMConfig, IPAMPool
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from envspin.engine.docker import reading
from envspin.engine.docker.calls import SETTLE_SECONDS
from envspin.engine.docker.config import describe_container
from envspin.engine.docker.failures import was_server_error
from envspin.errors import ConflictError, EngineError, EngineUnreachableError, ObjectNotFoundError, UnansweredError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import docker

    from envspin.engine.base import AttachmentSpec, ContainerSpec, NetworkSpec, VolumeSpec
    from envspin.engine.docker.client import ClientPool

_CONNECTED = ("already exists in network", "already connected")
"""What Docker and Podman say of a container that is on the network already."""


def create_container(pool: ClientPool, spec: ContainerSpec, on_send: Callable[[], None]) -> str:
    """Create a container on all its networks, or adopt the one that a lost call made; return its id."""

    def send(client: docker.APIClient) -> str:
        created = client.create_container_from_config(  # type: ignore[no-untyped-call]
            describe_container(spec), spec.name, spec.platform
        )
        return str(created["Id"])

    def create() -> str:
        return pool.call("create container", f"creating container {spec.name}", send, on_send=on_send)

    container_id = _create_or_adopt(create, lambda: _find_container(pool, spec))
    for attachment in spec.attachments[1:]:
        _connect(pool, container_id, attachment)
    return container_id


def create_network(pool: ClientPool, spec: NetworkSpec, on_send: Callable[[], None]) -> str:
    """Create a bridge network, or adopt the one that a lost call made; return its id."""
    ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=spec.subnet)]) if spec.subnet else None

    def send(client: docker.APIClient) -> str:
        created = client.create_network(
            spec.name,
            driver="bridge",
            options=dict(spec.driver_opts),
            ipam=ipam,
            internal=spec.internal,
            labels=dict(spec.labels),
            check_duplicate=True,  # engines below 25 would otherwise make a second one of the same name
        )
        return str(created["Id"])

    def create() -> str:
        return pool.call("create network", f"creating network {spec.name}", send, on_send=on_send)

    return _create_or_adopt(create, lambda: _find_network(pool, spec))


def create_volume(pool: ClientPool, spec: VolumeSpec, on_send: Callable[[], None]) -> str:
    """Create a volume; raise ConflictError where the engine has one of that name with other labels."""

    def send(client: docker.APIClient) -> Mapping[str, Any]:
        return client.create_volume(
            spec.name, driver=spec.driver, driver_opts=dict(spec.driver_opts) or None, labels=dict(spec.labels)
        )

    def create() -> str:
        volume = pool.call("create volume", f"creating volume {spec.name}", send, on_send=on_send)
        if (volume.get("Labels") or {}) != dict(spec.labels):  # the engine answers with whatever has the name
            raise ConflictError(f"volume {spec.name} exists already, with other labels: it is somebody else's")
        return spec.name

    return _create_or_adopt(create, lambda: _find_volume(pool, spec))


def _create_or_adopt(create: Callable[[], str], find_ours: Callable[[], str | None]) -> str:
    try:
        return create()
    except EngineError as error:
        if not isinstance(error, UnansweredError) and not was_server_error(error):
            raise
        failure = error
    found = find_ours()
    if found is not None:
        return found
    if not isinstance(failure, UnansweredError):
        raise failure
    try:
        return _create_again(create, find_ours)
    except (UnansweredError, EngineUnreachableError):
        raise
    except EngineError as error:  # whatever became of the second one, the first may still come
        message = f"{failure.message}; asked once more: {error.message}"
        raise UnansweredError(message, hint=error.hint or failure.hint) from error


@retry(
    retry=retry_if_exception_type(ConflictError),
    stop=stop_after_delay(SETTLE_SECONDS),
    wait=wait_exponential(multiplier=0.05, max=0.5),
    reraise=True,
)
def _create_again(create: Callable[[], str], find_ours: Callable[[], str | None]) -> str:
    # A create that is under way holds its name (or subnet) before it shows in any list.
    failure: EngineError | None = None
    made: str | None = None
    try:
        made = create()
    except EngineError as error:
        failure = error
    found = find_ours() or made  # a look even after a success: the first may have come as well
    if found is None and failure is not None:
        raise failure
    return str(found)


def _find_container(pool: ClientPool, spec: ContainerSpec) -> str | None:
    filters = {"name": f"^/?{re.escape(spec.name)}$", "label": _filter_labels(spec.labels)}
    listed = pool.call(
        "list", f"looking for container {spec.name}", lambda client: client.containers(all=True, filters=filters)
    )
    found = [each for each in map(reading.read_listed_container, listed) if each.name == spec.name]
    return next((each.id for each in found if carries(each.labels, spec.labels)), None)


def _find_network(pool: ClientPool, spec: NetworkSpec) -> str | None:
    """Return the oldest network of ours; remove others, which engines below 25 allow."""
    filters = {"name": spec.name, "label": _filter_labels(spec.labels)}
    listed: list[dict[str, Any]] = pool.call(
        "list", f"looking for network {spec.name}", lambda client: client.networks(filters=filters)
    )
    ours = [each for each in listed if each["Name"] == spec.name and carries(each.get("Labels") or {}, spec.labels)]
    ours.sort(key=lambda each: (str(each.get("Created", "")), str(each["Id"])))
    for network_id in [str(each["Id"]) for each in ours[1:]]:
        _remove_second(pool, spec.name, network_id)
    return str(ours[0]["Id"]) if ours else None


def _find_volume(pool: ClientPool, spec: VolumeSpec) -> str | None:
    listed = pool.call(
        "list", f"looking for volume {spec.name}", lambda client: client.volumes(filters={"name": spec.name})
    )
    found = [each for each in listed.get("Volumes") or [] if each["Name"] == spec.name]
    return next((spec.name for each in found if (each.get("Labels") or {}) == dict(spec.labels)), None)


def _remove_second(pool: ClientPool, name: str, network_id: str) -> None:
    try:
        pool.call("remove", f"removing a second network {name}", lambda client: client.remove_network(network_id))
    except ObjectNotFoundError:
        return


def _connect(pool: ClientPool, container_id: str, attachment: AttachmentSpec) -> None:
    def send(client: docker.APIClient) -> None:
        client.connect_container_to_network(container_id, attachment.network, aliases=list(attachment.aliases))

    try:
        pool.call("connect", f"connecting a container to network {attachment.network}", send)
    except EngineError as error:
        if not any(phrase in error.message for phrase in _CONNECTED):
            raise


def carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Tell whether all ``wanted`` labels are among ``labels``."""
    return wanted.items() <= labels.items()


def _filter_labels(labels: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in labels.items()]
