"""A ContainerSpec as the document that the engine's API wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envspin.engine.base import AttachmentSpec, ContainerSpec, MountSpec
    from envspin.model import Resources

NANO = 1_000_000_000


def describe_container(spec: ContainerSpec) -> dict[str, Any]:
    """Build the body of ``POST /containers/create``; unset values are left out, so the image's own apply."""
    document: dict[str, Any] = {
        "Image": spec.image,
        "Cmd": _list(spec.command),
        "Entrypoint": _list(spec.entrypoint),
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        "Labels": dict(spec.labels),
        "ExposedPorts": {str(port): {} for port in spec.published},
        "Healthcheck": {"Test": ["NONE"]} if spec.healthcheck_disabled else None,
        "User": spec.user,
        "WorkingDir": spec.working_dir,
        "StopSignal": spec.stop_signal,
        "StopTimeout": None if spec.stop_grace_period is None else round(spec.stop_grace_period),
        "Hostname": spec.hostname,
        "Domainname": spec.domainname,
        "Tty": spec.tty,
        "OpenStdin": spec.stdin_open,
        "HostConfig": _without_none(_describe_host(spec)),
        "NetworkingConfig": _describe_networking(spec),
    }
    return _without_none(document)


def _describe_endpoint(attachment: AttachmentSpec) -> dict[str, Any]:
    """Build an endpoint's settings: the names under which the container resolves on that network."""
    return {"Aliases": list(attachment.aliases)}


def _describe_networking(spec: ContainerSpec) -> dict[str, Any] | None:
    # Engines below API 1.44 take one endpoint here; the adapter connects the others after the create.
    if not spec.attachments:
        return None
    first = spec.attachments[0]
    return {"EndpointsConfig": {first.network: _describe_endpoint(first)}}


def _describe_host(spec: ContainerSpec) -> dict[str, Any]:
    network_mode = spec.network_mode or (spec.attachments[0].network if spec.attachments else "none")
    return {
        "NetworkMode": network_mode,
        "PortBindings": {str(port): [{"HostIp": "127.0.0.1", "HostPort": ""}] for port in spec.published},
        "Mounts": [_describe_mount(mount) for mount in spec.mounts],
        "Init": spec.init,
        "ExtraHosts": _list(spec.extra_hosts),
        "ShmSize": spec.shm_size,
        "Ulimits": [{"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard} for limit in spec.ulimits],
        "CapAdd": _list(spec.cap_add),
        "CapDrop": _list(spec.cap_drop),
        "ReadonlyRootfs": spec.read_only,
        "SecurityOpt": _list(spec.security_opt),
        "Sysctls": dict(spec.sysctls) or None,
        "Dns": _list(spec.dns),
        "DnsSearch": _list(spec.dns_search),
        "DnsOptions": _list(spec.dns_opt),
        "GroupAdd": _list(spec.group_add),
        "Privileged": spec.privileged,
        "PidMode": spec.pid,
        "IpcMode": spec.ipc,
        **_describe_resources(spec.resources),
    }


def _describe_resources(resources: Resources | None) -> dict[str, Any]:
    if resources is None:
        return {}
    return {
        "Memory": resources.memory,
        "MemoryReservation": resources.memory_reservation,
        "NanoCpus": None if resources.cpus is None else round(resources.cpus * NANO),
        "PidsLimit": resources.pids,
    }


def _describe_mount(mount: MountSpec) -> dict[str, Any]:
    document: dict[str, Any] = {"Type": mount.kind, "Target": mount.target, "ReadOnly": mount.read_only}
    if mount.source is not None:
        document["Source"] = mount.source
    if mount.kind == "volume":
        document["VolumeOptions"] = {"NoCopy": mount.nocopy, "Labels": dict(mount.labels)}
    if mount.kind == "tmpfs":
        document["TmpfsOptions"] = _without_none({"SizeBytes": mount.tmpfs_size, "Mode": mount.tmpfs_mode})
    return document


def _list(values: tuple[str, ...] | None) -> list[str] | None:
    return list(values) if values is not None else None


def _without_none(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None}
