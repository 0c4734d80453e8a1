"""A service of the plan as the container that stands for it: safe defaults, names and labels; pure.

Safe defaults: nothing listens off loopback, ``no-new-privileges``, a limit on processes, and no engine healthcheck
(we run the check ourselves).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from envspin.engine.base import AttachmentSpec, ContainerSpec, MountSpec, VolumeSpec
from envspin.plan.readiness import known_ports
from envspin.run import naming

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from envspin.engine.base import ImageInfo
    from envspin.model import Mount, Network, Resources, Service, Topology, Volume
    from envspin.plan.planning import Plan
    from envspin.run.naming import Identity

PIDS_LIMIT = 4096
"""Processes a container may have unless its topology says otherwise: enough for a JVM, not for a fork bomb."""

NO_NEW_PRIVILEGES = "no-new-privileges"


def name_network(identity: Identity, network: Network) -> str:
    """Return the engine's name of a network of the topology."""
    return network.external_name or network.name if network.external else identity.object_name(network.name)


def name_volume(identity: Identity, volume: Volume) -> str:
    """Return the engine's name of a named volume of the topology."""
    return volume.external_name or volume.name if volume.external else identity.object_name(volume.name)


def describe_volume(identity: Identity, volume: Volume) -> VolumeSpec:
    """Describe a named volume of the topology."""
    labels = {**volume.labels, **identity.labels(volume=volume.name)}
    return VolumeSpec(name_volume(identity, volume), labels, volume.driver, volume.driver_opts)


def list_own_volumes(
    identity: Identity, service: Service, image: ImageInfo, *, named: Container[str] = ()
) -> dict[str, VolumeSpec]:
    """Return a labelled volume for each anonymous one: the service's own and its image's ``VOLUME`` paths, by path.

    An engine would make these without our labels, and whoever reaps by label would leave them behind. Files for a
    container with a read-only root need volumes too: the engine does not copy into such a root. None of them gets the
    name of one of the topology's ``named`` volumes.
    """
    paths = [mount.target for mount in service.mounts if mount.kind == "anonymous"]
    paths += image.volumes
    if service.read_only:
        paths += [str(PurePosixPath(grant.target).parent) for grant in service.grants]
    covered = {mount.target for mount in service.mounts if mount.kind != "anonymous"}
    wanted = [path for path in dict.fromkeys(paths) if path not in covered]
    labels = identity.labels(service=service.name)
    numbers = (number for number in count(1) if f"{service.name}-volume{number}" not in named)
    return {
        path: VolumeSpec(identity.object_name(service.name, f"volume{number}"), labels)
        for path, number in zip(wanted, numbers, strict=False)
    }


def make_container_spec(
    identity: Identity,
    plan: Plan,
    service: Service,
    image: ImageInfo,
    *,
    own_volumes: Mapping[str, VolumeSpec],
) -> ContainerSpec:
    """Describe the container of a service, complete but for its files.

    It is made from the image's id, so that a tag which moves meanwhile changes nothing; a label keeps the name.
    """
    topology = plan.topology
    attachments = tuple(
        AttachmentSpec(
            name_network(identity, topology.networks[each.network]),
            tuple(dict.fromkeys((service.name, *each.aliases))),
        )
        for each in service.networks
    )
    written = [_place_mount(identity, topology, mount) for mount in service.mounts if mount.kind != "anonymous"]
    own = [MountSpec("volume", path, volume.name, labels=volume.labels) for path, volume in own_volumes.items()]
    return ContainerSpec(
        name=identity.object_name(service.name),
        image=image.id,
        labels={**service.labels, **_label_container(identity, plan, service, image)},
        command=service.command,
        entrypoint=service.entrypoint,
        environment=service.environment,
        attachments=attachments,
        network_mode=service.network_mode,
        mounts=(*written, *own),
        published=known_ports(service, image.ports) if attachments else (),
        platform=service.platform,
        user=service.user,
        working_dir=service.working_dir,
        init=service.init,
        stop_signal=service.stop_signal,
        stop_grace_period=service.stop_grace_period,
        extra_hosts=service.extra_hosts,
        hostname=service.hostname,
        domainname=service.domainname,
        shm_size=service.shm_size,
        ulimits=service.ulimits,
        cap_add=service.cap_add,
        cap_drop=service.cap_drop,
        read_only=service.read_only,
        security_opt=_guard(service),
        sysctls=service.sysctls,
        resources=_limit(service),
        dns=service.dns,
        dns_search=service.dns_search,
        dns_opt=service.dns_opt,
        group_add=service.group_add,
        tty=service.tty,
        stdin_open=service.stdin_open,
        privileged=service.privileged,
        pid=service.pid,
        ipc=service.ipc,
    )


def _label_container(identity: Identity, plan: Plan, service: Service, image: ImageInfo) -> dict[str, str]:
    """Return what says whose the container is, what its image is called, and what held that image."""
    labels = identity.labels(service=service.name, image=service.image or image.name)
    labels[naming.PIN] = plan.describe_pin(service.name)
    labels[naming.DEPTH] = str(plan.depths.get(service.name, 0))
    optional = {naming.REPLICA_OF: service.replica_of, naming.DIGEST: image.digest, naming.CONTENT: image.content}
    return {**labels, **{name: value for name, value in optional.items() if value is not None}}


def _place_mount(identity: Identity, topology: Topology, mount: Mount) -> MountSpec:
    if mount.kind == "bind":
        return MountSpec("bind", mount.target, mount.source, mount.read_only)
    if mount.kind == "tmpfs":
        return MountSpec(
            "tmpfs",
            mount.target,
            read_only=mount.read_only,
            tmpfs_size=mount.tmpfs_size,
            tmpfs_mode=mount.tmpfs_mode,
        )
    volume = topology.volumes[str(mount.source)]
    return MountSpec(
        "volume",
        mount.target,
        name_volume(identity, volume),
        mount.read_only,
        mount.nocopy,
        labels={} if volume.external else describe_volume(identity, volume).labels,
    )


def _guard(service: Service) -> tuple[str, ...]:
    if any(option.startswith(NO_NEW_PRIVILEGES) for option in service.security_opt):
        return service.security_opt
    return (*service.security_opt, NO_NEW_PRIVILEGES)


def _limit(service: Service) -> Resources:
    resources = service.resources
    return resources if resources.pids is not None else replace(resources, pids=PIDS_LIMIT)
