"""What an engine is asked to make, as plain data: images, networks, volumes and containers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from envspin.model import Port, Resources, Ulimit


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """A Dockerfile build; the context is read from the host."""

    tag: str
    context: Path
    dockerfile: str = "Dockerfile"
    dockerfile_inline: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str | None = None
    extra_hosts: tuple[str, ...] = ()
    platform: str | None = None
    no_cache: bool = False
    pull: bool = False
    """Whether to look for newer base images first; not done where ``bases`` says which to use."""
    shm_size: int | None = None
    bases: Mapping[str, str] = field(default_factory=dict)
    """Base image as the Dockerfile names it, with the arguments put in -> reference or id to use instead."""
    own_lock: Path | None = None
    """The lock that holds this build's hash: it may lie in the context, but cannot be part of what is hashed."""


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A bridge network to create."""

    name: str
    labels: Mapping[str, str]
    subnet: str | None = None
    """In CIDR notation; None leaves the choice to the engine."""
    internal: bool = False
    driver_opts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """A volume to create."""

    name: str
    labels: Mapping[str, str]
    driver: str | None = None
    driver_opts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MountSpec:
    """A mount with its source already resolved: an engine volume name, a host path, or nothing for tmpfs."""

    kind: Literal["volume", "bind", "tmpfs"]
    target: str
    source: str | None = None
    read_only: bool = False
    nocopy: bool = False
    tmpfs_size: int | None = None
    tmpfs_mode: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the volume, should it be gone: an engine makes a missing one anew, whoever asks so late."""


@dataclass(frozen=True, slots=True)
class AttachmentSpec:
    """Membership of an engine network, by name, with the names under which the container resolves there."""

    network: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """Everything that one container needs; names of networks and volumes are the engine's."""

    name: str
    image: str
    labels: Mapping[str, str]
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    attachments: tuple[AttachmentSpec, ...] = ()
    network_mode: str | None = None
    mounts: tuple[MountSpec, ...] = ()
    published: tuple[Port, ...] = ()
    """Container ports to publish on 127.0.0.1 at ports of the engine's choice."""
    healthcheck_disabled: bool = True
    """Checks are run by us, so the engine's own clock is switched off."""
    platform: str | None = None
    user: str | None = None
    working_dir: str | None = None
    init: bool | None = None
    stop_signal: str | None = None
    stop_grace_period: float | None = None
    extra_hosts: tuple[str, ...] = ()
    hostname: str | None = None
    domainname: str | None = None
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only: bool = False
    security_opt: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    resources: Resources | None = None
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    tty: bool = False
    stdin_open: bool = False
    privileged: bool = False
    pid: str | None = None
    ipc: str | None = None
