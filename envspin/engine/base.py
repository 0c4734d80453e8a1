"""The seam to a container engine: a few verbs, and the plain data that comes back (``specs`` has what goes in).

Two adapters satisfy :class:`Engine`: the docker SDK (``docker/``) and an in-memory one (``fake/``). Both pass one
contract suite. Every method may be called from any thread. Failures are the classes of ``envspin.errors``; nothing of
an SDK's own escapes.

Every call has a time limit; only what follows something (events, a followed log, a command's output) may be silent for
as long as it likes. Where nothing was sent because nobody answers, a call raises EngineUnreachableError. Where an
answer is lost, a call is made again, or what became of it is looked at, by the engine's adapter, as each verb says; if
that does not help either, it raises UnansweredError, and then it may have happened, or may still happen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from envspin.engine.specs import AttachmentSpec, BuildRequest, ContainerSpec, MountSpec, NetworkSpec, VolumeSpec
from envspin.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from envspin.model import Healthcheck, Port

__all__ = [
    "AttachmentSpec",
    "BuildRequest",
    "ContainerEvent",
    "ContainerInfo",
    "ContainerSpec",
    "Engine",
    "EngineInfo",
    "EventStream",
    "ExecResult",
    "ImageInfo",
    "Kind",
    "LogStream",
    "MountSpec",
    "NetworkSpec",
    "RegistrySettings",
    "Resource",
    "VolumeSpec",
]

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
    is_persistent: bool = True
    """Whether what it holds outlives this process."""


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

    action: Literal["start", "kill", "die", "oom", "destroy", "pause", "unpause"]
    """``kill`` comes when a signal was sent, also by a stop or a removal; its effect is told by ``die``."""
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


def held_by_strangers(volume: Resource, users: Sequence[str]) -> EngineError:
    """Return the error for a volume that containers use which are not of its environment: no waiting helps."""
    return EngineError(
        f"volume {volume.name} is used by {', '.join(users)}, which does not belong to its environment",
        hint=f"`docker rm -f {' '.join(users)}` if nobody needs it, then `envspin gc`",
    )


def ignore_send() -> None:
    """Take no note of a request that leaves."""


class Engine(Protocol):
    """The verbs that envspin needs of a container engine.

    Where a verb says nothing of lost answers, it only reads, and is repeated. Those that create call ``on_send`` right
    before a request leaves, each time. After a lost answer they look for what they were to create, and ask again where
    it is not there; they raise UnansweredError as long as the first request may still be carried out.
    """

    def info(self) -> EngineInfo:
        """Ask who answers; raise EngineUnreachableError where nobody does."""
        ...

    def ping(self, seconds: float) -> None:
        """Hear whether the engine lives; raise UnansweredError where it says nothing for so many seconds.

        Raises EngineUnreachableError where nobody takes the call. Not repeated: the caller asks again.
        """
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
        registry or image does not answer or exist, Interrupted soon after ``is_cancelled`` turns true. After a lost
        answer it is repeated.
        """
        ...

    def build(
        self,
        request: BuildRequest,
        *,
        on_progress: Callable[[str, float | None], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> ImageInfo:
        """Build an image; raise ImageError with the failing step and its last output.

        After a lost answer it is not repeated: the caller may.
        """
        ...

    def save_images(self, references: Sequence[str], sink: Callable[[bytes], object]) -> None:
        """Write one archive of all these images, as ``docker save`` does, piece by piece into ``sink``.

        An image named by tag keeps that tag in the archive, one named by id or digest is there by its id alone. Raises
        ImageError, before anything is written, for one that is not in the store; what ``sink`` raises goes through.
        Not repeated, since what was written is written.
        """
        ...

    def load_images(self, source: BinaryIO) -> tuple[str, ...]:
        """Load the images of such an archive; return their tags, or ids where they have none there.

        Digests of registries are not in archives, so the images are not found by them. Raises ImageError for an archive
        that is damaged or holds no images. Not repeated, since what was read is read.
        """
        ...

    def tag_image(self, image_id: str, reference: str) -> None:
        """Give an image of the store one more name, taking it from the image that had it; raise ImageError.

        After a lost answer it is repeated.
        """
        ...

    def create_network(self, spec: NetworkSpec, *, on_send: Callable[[], None] = ignore_send) -> str:
        """Create a network and return its id.

        Raises ConflictError when name or subnet is taken, ExhaustedError when the engine has no subnet left to choose.
        After a lost answer, the oldest network with this name and all these labels is the one; others are removed.
        """
        ...

    def create_volume(self, spec: VolumeSpec, *, on_send: Callable[[], None] = ignore_send) -> str:
        """Create a volume and return its name; one that exists already with the same labels is as good.

        Raises ConflictError when one of this name has other labels: it is somebody else's. After a lost answer, one of
        this name with just these labels is the one.
        """
        ...

    def create_container(self, spec: ContainerSpec, *, on_send: Callable[[], None] = ignore_send) -> str:
        """Create a container on all its networks and return its id; it does not start.

        Raises ImageError when the image is not in the store, ConflictError when the name is taken. After a lost answer,
        a container with this name and all these labels is the one.
        """
        ...

    def copy_into(self, container_id: str, archive: bytes, *, path: str = "/") -> None:
        """Unpack a tar archive at an existing directory of a container, started or not.

        After a lost answer it is repeated.
        """
        ...

    def start(self, container_id: str) -> None:
        """Start a created or stopped container; starting a running one does nothing.

        Raises ExhaustedError when the engine has no port left to publish. After a lost answer the container's state
        says whether it was started; one that was, is never started again, even if it has ended since.
        """
        ...

    def stop(self, container_id: str, *, grace_seconds: float | None = None) -> None:
        """Send the stop signal, then kill after the grace period (the container's own if None).

        After a lost answer it is repeated if the container still runs.
        """
        ...

    def kill(self, container_id: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the main process; a container that does not run raises ConflictError.

        After a lost answer it is not repeated: a signal may mean something else the second time.
        """
        ...

    def pause(self, container_id: str) -> None:
        """Freeze all its processes; after a lost answer it is repeated if they are not frozen."""
        ...

    def unpause(self, container_id: str) -> None:
        """Let frozen processes go on; after a lost answer it is repeated if they are still frozen."""
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
        seconds raises EnvspinTimeout (it is left to die with its container). After a lost answer it is not repeated: a
        command may do something else the second time.
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
        """Read a container's output; ``since`` is a Unix time, ``tail`` a number of lines (None for all).

        Only the beginning is repeated. A log that is not followed and breaks off raises UnansweredError while it is
        read; one that is followed just ends.
        """
        ...

    def watch(self, labels: Mapping[str, str]) -> EventStream:
        """Subscribe to events of containers that carry all ``labels``; active when this returns."""
        ...

    def list_resources(self, labels: Mapping[str, str | None]) -> list[Resource]:
        """List containers (stopped ones too), networks and volumes that carry all labels (None: any value)."""
        ...

    def recall_created(self, since: float) -> set[str]:
        """Return the names of what was created since a Unix time and may have gone again, as far as it is remembered.

        Docker remembers its last 256 events. Empty for an engine elsewhere, whose clock may differ from ours.
        """
        ...

    def remove(self, resource: Resource) -> None:
        """Remove exactly one object by id, running or in use as it may be; gone already is fine.

        Its labels are read again just before, and it is left alone where not all that it was listed with are there (a
        volume, which has no id: where they are not the same). After a lost answer this is repeated from the beginning.
        Raises ConflictError where it stays in use, EngineError at once where that is by somebody else's container.
        """
        ...

    def list_subnets(self) -> list[str]:
        """List the subnets of all networks of the engine, in CIDR notation."""
        ...

    def close(self) -> None:
        """Give back connections; calls after this fail."""
        ...
