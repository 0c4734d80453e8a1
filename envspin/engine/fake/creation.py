"""Making the in-memory engine's networks and containers, and describing them, by the rules of a real engine."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from envspin.engine.base import ContainerInfo
from envspin.engine.fake.world import FakeContainer, FakeNetwork, FakeVolume
from envspin.errors import ConflictError, EngineError, ExhaustedError, ImageError, ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envspin.engine.base import ContainerSpec, NetworkSpec
    from envspin.engine.fake.images import ImageStore
    from envspin.engine.fake.script import Behaviour
    from envspin.engine.fake.world import World

SERVICE_LABEL = "envspin.service"
"""The label by which a service's own behaviour is found."""


def create_network(world: World, spec: NetworkSpec) -> str:
    """Create a network.

    Raises ConflictError when its name, or an address of its subnet, is taken, ExhaustedError when it asks for no subnet
    of its own and none is left.
    """
    if any(network.name == spec.name for network in world.networks.values()):
        raise ConflictError(f"network {spec.name} exists already")
    subnet = IPv4Network(spec.subnet) if spec.subnet else world.choose_subnet()
    if subnet is None:
        raise ExhaustedError("every subnet that the engine gives out by itself is in use")
    other = world.find_overlap(subnet)
    if other is not None:
        raise ConflictError(f"subnet {subnet} of network {spec.name} overlaps with that of {other.name}")
    return add_network(world, spec.name, spec.labels, subnet, internal=spec.internal)


def add_network(
    world: World, name: str, labels: Mapping[str, str], subnet: IPv4Network, *, internal: bool = False
) -> str:
    """Put a network into the world and return its id."""
    network = FakeNetwork(world.make_id(), name, dict(labels), subnet, internal)
    world.networks[network.id] = network
    return network.id


def create_container(world: World, spec: ContainerSpec, images: ImageStore, own: Behaviour | None) -> FakeContainer:
    """Create a container with its volumes, after the delay that its script asks for."""
    found = images.find(spec.image)
    if found is None:
        raise ImageError(f"image {spec.image} is not in the engine's store", hint="pull or build it first")
    container = FakeContainer(world.make_id(), spec, found.image, found.id, own or found.image.behaviour)
    script = container.choose_script(1)
    world.sleep(script.create_seconds)
    if script.create_error is not None:
        raise EngineError(f"cannot create container {spec.name}: {script.create_error}")
    if any(other.spec.name == spec.name for other in world.containers.values()):
        raise ConflictError(f"the container name {spec.name} is already in use")
    container.networks = _find_networks(world, spec)
    _mount(world, container)
    world.containers[container.id] = container
    return container


def _find_networks(world: World, spec: ContainerSpec) -> list[FakeNetwork]:
    by_name = {network.name: network for network in world.networks.values()}
    wanted = [attachment.network for attachment in spec.attachments]
    missing = [name for name in wanted if name not in by_name]
    if missing:
        raise ObjectNotFoundError(f"network {missing[0]} not found")
    return [by_name[name] for name in wanted]


def _mount(world: World, container: FakeContainer) -> None:
    for mount in container.spec.mounts:
        if mount.kind == "tmpfs":
            container.tmpfs[mount.target] = {}
        elif mount.kind == "volume" and mount.source is not None:
            # A real engine makes a missing volume itself, too.
            made = FakeVolume(mount.source, dict(mount.labels))
            container.volumes[mount.target] = world.volumes.setdefault(mount.source, made)
    taken = {mount.target for mount in container.spec.mounts}
    unnamed = [mount.target for mount in container.spec.mounts if mount.kind == "volume" and mount.source is None]
    for target in [*unnamed, *(path for path in container.image.volumes if path not in taken)]:
        volume = FakeVolume(world.make_id(), {})
        world.volumes[volume.name] = container.volumes[target] = volume
        container.anonymous.append(volume)


def connect(container: FakeContainer) -> None:
    """Give a starting container an address on each of its networks.

    Raises ObjectNotFoundError where a network was removed, EngineError where one has no address left.
    """
    removed = next((network for network in container.networks if network.is_removed), None)
    if removed is not None:
        container.error = f"network {removed.name} not found"
        raise ObjectNotFoundError(f"cannot start container {container.spec.name}: {container.error}")
    for network in container.networks:
        if network.connect(container.id) is None:
            for joined in container.networks:
                joined.endpoints.pop(container.id, None)
            container.error = f"network {network.name} has no free address"
            raise EngineError(f"cannot start container {container.spec.name}: {container.error}")


def describe_container(container: FakeContainer) -> ContainerInfo:
    """Return what an engine tells of a container."""
    joined = [network for network in container.networks if container.id in network.endpoints]
    return ContainerInfo(
        id=container.id,
        name=container.spec.name,
        image=container.spec.image,
        image_id=container.image_id,
        labels=dict(container.spec.labels),
        status=container.status,
        exit_code=container.exit_code,
        oom_killed=container.oom_killed,
        error=container.error,
        published={name: port.number for name, port in container.ports.items()},
        addresses={network.name: str(network.endpoints[container.id]) for network in joined},
    )
