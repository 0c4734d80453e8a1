"""The seam to a container engine: a few verbs, and the plain data that goes through them.

Two adapters satisfy :class:`Engine`: the docker SDK (``docker/``) and an in-memory one (``fake/``). Both pass one
contract suite. Every method may be called from any thread. Failures are the classes of ``envspin.errors``; nothing of
an SDK's own escapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from envspin.model import Healthcheck, Port, Resources, Ulimit

Kind = Literal["container", "network", "volume"]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What answers at the other end."""

    version: str
    api_version: str
    operating_system: str
    architecture: str
    address: str
    """As in ``DOCKER_HOST``."""
    is_local: bool
    """Whether the engine is reached over a socket of this machine."""
    platform: str = ""
    """What its containers run on, in the registries' words: ``linux/amd64``."""


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """What the engine is told about registries."""

    mirrors: tuple[str, ...] = ()
    """Addresses that it asks before Docker Hub, the first first."""
    insecure: tuple[str, ...] = ()
    """Registries that it also speaks to without TLS or a known certificate: hosts, or networks in CIDR notation."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image that the engine holds."""

    id: str
    name: str = ""
    """One of its tags; empty where it has none."""
    digest: str | None = None
    """``sha256:...`` of the registry manifest it came from; None for a local build."""
    digests: tuple[str, ...] = ()
    """All such digests that the engine knows it by, from whatever repositories."""
    content: str | None = None
    """``sha256:...`` of what it was built from; None where it was not built for this run."""
    ports: tuple[Port, ...] = ()
    volumes: tuple[str, ...] = ()
    """Paths that the image declares with ``VOLUME``."""
    healthcheck: Healthcheck | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""
    size: int = 0
    """Bytes that it takes in the engine's store."""


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


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """A container as the engine sees it now."""

    id: str
    name: str
    image: str
    image_id: str
    labels: Mapping[str, str]
    status: str
    """``created``, ``running``, ``paused``, ``restarting``, ``exited`` or ``dead``."""
    exit_code: int | None = None
    """None while it has never exited or is running."""
    oom_killed: bool = False
    error: str = ""
    """What the engine says of a failed start."""
    published: Mapping[str, int] = field(default_factory=dict)
    """``"5432/tcp"`` -> host port on loopback."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Engine network name -> IPv4 address of the container."""

    @property
    def is_running(self) -> bool:
        """Whether its main process lives."""
        return self.status in {"running", "paused"}


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command inside a container did."""

    exit_code: int
    output: str
    """Standard output and error, interleaved as they came."""


@dataclass(frozen=True, slots=True)
class Resource:
    """An object of the engine as listed: enough to judge whether it is ours and to remove exactly it."""

    kind: Kind
    id: str
    name: str
    labels: Mapping[str, str]
    status: str = ""


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """Something that happened to a container."""

    action: Literal["start", "die", "oom", "destroy", "pause", "unpause"]
    container_id: str
    labels: Mapping[str, str]
    exit_code: int | None = None


class EventStream(Protocol):
    """A subscription; iterating blocks, ``close`` from another thread ends the iteration."""

    def __iter__(self) -> Iterator[ContainerEvent]:
        """Yield events as they come; end after ``close`` or when the engine hangs up."""
        ...

    def close(self) -> None:
        """End the subscription."""
        ...


class LogStream(Protocol):
    """Log lines of a container, decoded, without line ends; ``close`` from another thread ends the iteration."""

    def __iter__(self) -> Iterator[str]:
        """Yield lines; a following stream ends when the container stops or after ``close``."""
        ...

    def close(self) -> None:
        """End the stream."""
        ...


class Engine(Protocol):
    """The verbs that envspin needs of a container engine."""

    def info(self) -> EngineInfo:
        """Ask who answers; raise EngineUnreachableError where nobody does."""
        ...

    def registry_settings(self) -> RegistrySettings:
        """Ask what the engine is told about registries."""
        ...

    def find_image(self, reference: str) -> ImageInfo | None:
        """Look an image up in the engine's own store; None where it is not there."""
        ...

    def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        on_progress: Callable[[str, float | None], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> ImageInfo:
        """Fetch an image from its registry.

        ``on_progress`` gets a short status and the fraction done (None while unknown). Raises ImageError when the
        registry or image does not answer or exist, Interrupted soon after ``is_cancelled`` turns true.
        """
        ...

    def build(
        self,
        request: BuildRequest,
        *,
        on_progress: Callable[[str, float | None], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> ImageInfo:
        """Build an image; raise ImageError with the failing step and its last output."""
        ...

    def save_images(self, references: Sequence[str], sink: Callable[[bytes], object]) -> None:
        """Write one archive of all these images, as ``docker save`` does, piece by piece into ``sink``.

        An image named by tag keeps that tag in the archive, one named by id or digest is there by its id alone. Raises
        ImageError, before anything is written, for one that is not in the store; what ``sink`` raises goes through.
        """
        ...

    def load_images(self, source: BinaryIO) -> tuple[str, ...]:
        """Load the images of such an archive; return their tags, or ids where they have none there.

        Digests of registries are not in archives, so the images are not found by them. Raises ImageError for an archive
        that is damaged or holds no images.
        """
        ...

    def tag_image(self, image_id: str, reference: str) -> None:
        """Give an image of the store one more name, taking it from the image that had it; raise ImageError."""
        ...

    def create_network(self, spec: NetworkSpec) -> str:
        """Create a network and return its id; raise ConflictError when name or subnet is taken."""
        ...

    def create_volume(self, spec: VolumeSpec) -> str:
        """Create a volume and return its name."""
        ...

    def create_container(self, spec: ContainerSpec) -> str:
        """Create a container on all its networks and return its id; it does not start.

        Raises ImageError when the image is not in the store, ConflictError when the name is taken.
        """
        ...

    def copy_into(self, container_id: str, archive: bytes, *, path: str = "/") -> None:
        """Unpack a tar archive at an existing directory of a container, started or not."""
        ...

    def start(self, container_id: str) -> None:
        """Start a created or stopped container; starting a running one does nothing."""
        ...

    def stop(self, container_id: str, *, grace_seconds: float | None = None) -> None:
        """Send the stop signal, then kill after the grace period (the container's own if None)."""
        ...

    def kill(self, container_id: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the main process; a container that does not run raises ConflictError."""
        ...

    def pause(self, container_id: str) -> None:
        """Freeze all its processes."""
        ...

    def unpause(self, container_id: str) -> None:
        """Let frozen processes go on."""
        ...

    def inspect(self, container_id: str) -> ContainerInfo:
        """Look at one container; raise ObjectNotFoundError when it is gone."""
        ...

    def execute(
        self,
        container_id: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        working_dir: str | None = None,
        timeout: float | None = None,
    ) -> ExecResult:
        """Run a command inside a running container and wait for its end.

        A command that cannot be found or run has exit code 126 or 127, as in a shell; one that outlives ``timeout``
        seconds raises EnvspinTimeout (it is left to die with its container).
        """
        ...

    def logs(
        self,
        container_id: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: float | None = None,
        timestamps: bool = False,
    ) -> LogStream:
        """Read a container's output; ``since`` is a Unix time, ``tail`` a number of lines (None for all)."""
        ...

    def watch(self, labels: Mapping[str, str]) -> EventStream:
        """Subscribe to events of containers that carry all ``labels``; active when this returns."""
        ...

    def list_resources(self, labels: Mapping[str, str | None]) -> list[Resource]:
        """List containers (stopped ones too), networks and volumes that carry all labels (None: any value)."""
        ...

    def remove(self, resource: Resource) -> None:
        """Remove exactly one object by id, running or in use as it may be; gone already is fine."""
        ...

    def list_subnets(self) -> list[str]:
        """List the subnets of all networks of the engine, in CIDR notation."""
        ...

    def close(self) -> None:
        """Give back connections; calls after this fail."""
        ...
