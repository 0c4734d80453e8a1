"""`model.Topology` -> plain Compose data, as `envspin config` prints it.

Everything is merged, interpolated and in its long form; loading the text again gives the same topology, and Compose
reads it the same way. What Compose cannot say stays under ``x-envspin``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from envspin.topology.render_extension import render_probe, render_reset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envspin.model import (
        Build,
        Dependency,
        FileGrant,
        FileSource,
        Healthcheck,
        Mount,
        Network,
        NetworkAttachment,
        Port,
        Service,
        Topology,
        Volume,
    )

_Plain: TypeAlias = Any
"""Texts, numbers, truth values, None, and lists and dicts of them."""

_TEXT_FIELDS = ("image", "platform", "user", "working_dir", "hostname", "domainname", "stop_signal", "network_mode")
_OTHER_TEXT_FIELDS = ("pid", "ipc")
_LIST_FIELDS = ("profiles", "cap_add", "cap_drop", "security_opt", "dns", "dns_search", "dns_opt", "group_add")
_TRUE_FIELDS = ("read_only", "tty", "stdin_open", "privileged")
_MAP_FIELDS = ("environment", "labels", "sysctls")
_DEFAULT_MODE = 0o444
_FIRST_KEYS = ("image", "build", "platform", "scale", "profiles", "command", "entrypoint", "user", "working_dir")
_NEXT_KEYS = ("environment", "ports", "expose", "depends_on", "healthcheck", "volumes", "configs", "secrets")
_RANKS = {key: rank for rank, key in enumerate((*_FIRST_KEYS, *_NEXT_KEYS, "networks"))}
"""The order in which people read a service: what runs, how, with what; everything else follows."""


def to_compose(topology: Topology) -> dict[str, Any]:
    """Return ``topology`` as Compose data of plain dicts, lists, texts and numbers."""
    escaped: dict[str, Any] = _escape(render_topology(topology))
    return escaped


def render_topology(topology: Topology) -> dict[str, Any]:
    """Return ``topology`` as :func:`to_compose` does, but with dollar signs as they are meant: not to be read again."""
    data: dict[str, Any] = {"name": topology.name}
    data["services"] = {name: render_service(service) for name, service in topology.services.items()}
    if topology.networks:
        data["networks"] = {name: _render_network(network) for name, network in topology.networks.items()}
    if topology.volumes:
        data["volumes"] = {name: _render_volume(volume) for name, volume in topology.volumes.items()}
    for kind in ("config", "secret"):
        sources = [source for source in topology.sources.values() if source.kind == kind]
        if sources:
            data[f"{kind}s"] = {source.name: _render_source(source) for source in sources}
    extension = _render_topology_extension(topology)
    if extension:
        data["x-envspin"] = extension
    return data


def _escape(data: _Plain) -> _Plain:
    """Double the dollar signs of all values, which a reader takes for variables otherwise."""
    if isinstance(data, str):
        return data.replace("$", "$$")
    if isinstance(data, dict):
        return {key: _escape(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_escape(value) for value in data]
    return data


def format_duration(seconds: float) -> str:
    """Return seconds in Compose's notation."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def _filled(**fields: _Plain) -> dict[str, Any]:
    """Return the fields that say something."""
    return {key: value for key, value in fields.items() if not _is_empty(value)}


def _is_empty(value: _Plain) -> bool:
    return value is None or value is False or (isinstance(value, (str, list, dict)) and not value)


def render_service(service: Service, parent: Service | None = None) -> dict[str, Any]:
    """Return one service; a stub says of its ``parent`` only what differs in what stubs inherit."""
    data = _filled(**{key: getattr(service, key) for key in (*_TEXT_FIELDS, *_OTHER_TEXT_FIELDS, *_TRUE_FIELDS)})
    data |= _filled(**{key: list(getattr(service, key)) for key in _LIST_FIELDS})
    data |= _filled(**{key: dict(getattr(service, key)) for key in _MAP_FIELDS})
    if service.build:
        data["build"] = _render_build(service.build)
    for key, words in (("command", service.command), ("entrypoint", service.entrypoint)):
        if words is not None:
            data[key] = list(words)
    if service.healthcheck:
        data["healthcheck"] = _render_healthcheck(service.healthcheck)
    if service.depends_on:
        data["depends_on"] = _render_dependencies(service.depends_on)
    if service.init is not None:
        data["init"] = service.init
    if service.stop_grace_period is not None:
        data["stop_grace_period"] = format_duration(service.stop_grace_period)
    if service.shm_size is not None:
        data["shm_size"] = str(service.shm_size)
    data |= _render_connections(service, parent) | _render_files(service) | _render_limits(service)
    extension = _render_service_extension(service)
    if extension:
        data["x-envspin"] = extension
    return {key: data[key] for key in sorted(data, key=lambda key: _RANKS.get(key, len(_RANKS)))}


def _render_build(build: Build) -> dict[str, Any]:
    inline = build.dockerfile_inline
    return _filled(
        context=str(build.context),
        dockerfile=None if inline is not None else build.dockerfile,
        dockerfile_inline=inline,
        args=dict(build.args),
        target=build.target,
        labels=dict(build.labels),
        network=build.network,
        extra_hosts=[_render_host(host) for host in build.extra_hosts],
        platforms=list(build.platforms),
        no_cache=build.no_cache,
        pull=build.pull,
        shm_size=None if build.shm_size is None else str(build.shm_size),
    )


def _render_host(host: str) -> str:
    """Return ``name=address``: an address of IPv6 holds colons itself."""
    name, _, address = host.partition(":")
    return f"{name}={address}"


def _render_healthcheck(check: Healthcheck) -> dict[str, Any]:
    data = _filled(test=list(check.test or ()), disable=check.disable)
    if check.disable:
        data.pop("test", None)
    for key in ("interval", "timeout", "start_period", "start_interval"):
        seconds = getattr(check, key)
        if seconds is not None:
            data[key] = format_duration(seconds)
    if check.retries is not None:
        data["retries"] = check.retries
    return data


def _render_dependencies(dependencies: tuple[Dependency, ...]) -> list[str] | dict[str, Any]:
    """Return the short form where every dependency is written in it, else the long form."""
    if all(each.required and not each.explicit for each in dependencies):
        return [each.service for each in dependencies]
    data: dict[str, Any] = {}
    for each in dependencies:
        data[each.service] = {"condition": str(each.condition), "required": each.required}
        if not each.explicit:
            data[each.service]["x-envspin"] = {"ready": True}
    return data


def _render_connections(service: Service, parent: Service | None) -> dict[str, Any]:
    data = _filled(extra_hosts=[_render_host(host) for host in service.extra_hosts])
    if service.ports or (parent and parent.ports):
        data["ports"] = [{"target": port.container, "protocol": port.protocol} for port in service.ports]
    if service.expose or (parent and parent.expose):
        data["expose"] = [_render_exposed(port) for port in service.expose]
    if service.networks:
        data["networks"] = {each.network: _render_attachment(each) for each in service.networks}
    return data


def _render_exposed(port: Port) -> str:
    return str(port.container) if port.protocol == "tcp" else str(port)


def _render_attachment(attachment: NetworkAttachment) -> dict[str, Any] | None:
    return {"aliases": list(attachment.aliases)} if attachment.aliases else None


def _render_files(service: Service) -> dict[str, Any]:
    data = _filled(volumes=[_render_mount(mount) for mount in service.mounts])
    for kind in ("config", "secret"):
        grants = [_render_grant(grant) for grant in service.grants if grant.kind == kind]
        if grants:
            data[f"{kind}s"] = grants
    return data


def _render_mount(mount: Mount) -> dict[str, Any]:
    kind = "volume" if mount.kind == "anonymous" else mount.kind
    data = _filled(type=kind, source=mount.source, target=mount.target, read_only=mount.read_only)
    if mount.kind == "bind":
        data["bind"] = {"create_host_path": mount.create_host_path}
    elif mount.kind == "tmpfs":
        data |= _filled(tmpfs=_filled(size=mount.tmpfs_size, mode=mount.tmpfs_mode))
    elif mount.nocopy:
        data["volume"] = {"nocopy": True}
    return data


def _render_grant(grant: FileGrant) -> dict[str, Any]:
    data: dict[str, Any] = {"source": grant.source, "target": grant.target}
    if grant.uid or grant.gid:
        data |= {"uid": str(grant.uid), "gid": str(grant.gid)}
    if grant.mode != _DEFAULT_MODE:
        data["mode"] = grant.mode
    return data


def _render_limits(service: Service) -> dict[str, Any]:
    resources = service.resources
    data = _filled(
        mem_limit=None if resources.memory is None else str(resources.memory),
        mem_reservation=None if resources.memory_reservation is None else str(resources.memory_reservation),
        cpus=resources.cpus,
        pids_limit=resources.pids,
    )
    if service.replicas != 1:
        data["scale"] = service.replicas
    if service.ulimits:
        data["ulimits"] = {each.name: {"soft": each.soft, "hard": each.hard} for each in service.ulimits}
    return data


def _render_service_extension(service: Service) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if service.ready:
        data["ready"] = [render_probe(probe) for probe in service.ready]
    if service.timeout is not None:
        data["timeout"] = format_duration(service.timeout)
    if service.reset:
        data["reset"] = render_reset(service.reset)
    data |= _filled(job=service.job, snapshot=service.snapshot)
    if service.stub:
        data["stub"] = render_service(service.stub, service)
    return data


def _render_network(network: Network) -> dict[str, Any]:
    return _filled(
        internal=network.internal,
        labels=dict(network.labels),
        driver_opts=dict(network.driver_opts),
        external=network.external,
        name=network.external_name,
    )


def _render_volume(volume: Volume) -> dict[str, Any]:
    return _filled(
        labels=dict(volume.labels),
        driver=volume.driver,
        driver_opts=dict(volume.driver_opts),
        external=volume.external,
        name=volume.external_name,
    )


def _render_source(source: FileSource) -> dict[str, Any]:
    if source.generate is not None:
        return {"x-envspin": {"generate": source.generate}}
    if source.file is not None:
        return {"file": str(source.file)}
    if source.environment is not None:
        return {"environment": source.environment}
    return {"content": source.content or ""}


def _render_topology_extension(topology: Topology) -> dict[str, Any]:
    data = _filled(exports=dict(topology.exports), hermetic=topology.hermetic)
    if topology.timeout is not None:
        data["timeout"] = format_duration(topology.timeout)
    if topology.matrix:
        data["matrix"] = _plain(topology.matrix)
    return data


def _plain(value: Mapping[str, object]) -> dict[str, Any]:
    """Return nested mappings and lists as plain ones."""
    plain: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            plain[key] = _plain(item)
        elif isinstance(item, (list, tuple)):
            plain[key] = [_plain(each) if isinstance(each, dict) else each for each in item]
        else:
            plain[key] = item
    return plain
