"""The container engine behind the docker SDK."""

from __future__ import annotations

import platform as host_platform
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Self

from docker.utils import parse_repository_tag

from envspin.engine.base import ContainerInfo, EngineInfo, ExecResult, ImageInfo, Resource, ignore_send
from envspin.engine.docker import archives, creating, images, reading, removing, states, streams
from envspin.engine.docker.calls import repeat
from envspin.engine.docker.client import ClientPool, find_address
from envspin.engine.docker.failures import translated
from envspin.errors import (
    EngineError,
    EngineUnreachableError,
    EnvspinTimeout,
    ImageError,
    ObjectNotFoundError,
    UnansweredError,
)
from envspin.reference import normalize_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from envspin.engine.base import (
        BuildRequest,
        ContainerSpec,
        EventStream,
        LogStream,
        NetworkSpec,
        RegistrySettings,
        VolumeSpec,
    )


def _ignore_progress(_status: str, _fraction: float | None) -> None:
    """Take no note of progress."""


def _never() -> bool:
    return False


@contextmanager
def _about_images() -> Iterator[None]:
    """Turn what the engine does not do with an image into ImageError."""
    try:
        yield
    except (ImageError, EngineUnreachableError, UnansweredError):
        raise
    except EngineError as error:
        raise ImageError(error.message, context=error.context, hint=error.hint) from error


class DockerEngine:
    """An Engine over the Docker API (Docker 20.10 and later, Podman's service)."""

    def __init__(self, pool: ClientPool) -> None:
        self._pool = pool

    @classmethod
    def connect(cls, address: str | None = None) -> Self:
        """Connect to ``address``, or where the docker command line would; raise EngineUnreachableError."""
        if address is not None:
            return cls(ClientPool(address, None))
        return cls(ClientPool(*find_address()))

    @property
    def _is_local(self) -> bool:
        return self._pool.address.startswith(("unix://", "http+unix://")) and host_platform.system() == "Linux"

    def info(self) -> EngineInfo:
        """Ask who answers."""
        version = self._pool.call("ask", "asking the engine's version", lambda client: client.version())
        return EngineInfo(
            version=str(version.get("Version", "")),
            api_version=self._pool.api_version,
            operating_system=str(version.get("Os", "")),
            architecture=str(version.get("Arch", "")),
            address=self._pool.address,
            is_local=self._is_local,
            platform=normalize_platform(f"{version.get('Os') or 'linux'}/{version.get('Arch', '')}"),
        )

    def ping(self, seconds: float) -> None:
        """Hear whether the engine lives."""
        with self._pool.lend("waiting for a sign of life", seconds) as client:
            client.ping()

    def registry_settings(self) -> RegistrySettings:
        """Ask what the engine is told about registries."""
        settings = self._pool.call("ask", "asking for the engine's settings", lambda client: client.info())
        return reading.read_registry_settings(settings)

    def find_image(self, reference: str) -> ImageInfo | None:
        """Look an image up in the engine's store."""
        try:
            document: dict[str, Any] = self._pool.call(
                "find image",
                f"looking for image {reference}",
                lambda client: client.inspect_image(reference),  # type: ignore[no-untyped-call]
            )
        except (ImageError, ObjectNotFoundError):
            return None
        return reading.read_image(document, reference)

    def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        on_progress: Callable[[str, float | None], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> ImageInfo:
        """Fetch an image from its registry."""

        def attempt(_: float) -> None:
            with translated(f"pulling {reference}"):
                images.pull(
                    self._pool.open_private("pull"),
                    reference,
                    platform=platform,
                    on_progress=on_progress or _ignore_progress,
                    is_cancelled=is_cancelled or _never,
                )

        try:
            repeat(attempt, self._pool.limits.of("pull"), once_lost=True)
        except (ImageError, EngineUnreachableError, UnansweredError):
            raise
        except EngineError as error:
            hint = images.suggest_for_image(error.message)
            raise ImageError(f"cannot pull {reference}: {error.message}", hint=hint) from error
        return self._require_image(reference)

    def build(
        self,
        request: BuildRequest,
        *,
        on_progress: Callable[[str, float | None], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> ImageInfo:
        """Build an image."""
        with _about_images(), translated(f"building {request.context}"):
            images.build(
                self._pool.open_private("build"),
                request,
                on_progress=on_progress or _ignore_progress,
                is_cancelled=is_cancelled or _never,
            )
        return self._require_image(request.tag)

    def save_images(self, references: Sequence[str], sink: Callable[[bytes], object]) -> None:
        """Write one archive of images."""
        missing = [reference for reference in references if self.find_image(reference) is None]
        if missing or not references:
            raise ImageError(
                f"{', '.join(missing) or 'no image'} is not in the engine's store", hint="pull or build first"
            )
        with closing(self._read_saved(references)) as chunks:
            for chunk in chunks:
                sink(chunk)

    def _read_saved(self, references: Sequence[str]) -> Generator[bytes]:
        # A generator, so that only what the engine does wrong is translated, and what the sink raises is not.
        doing = f"saving {', '.join(references)}"
        with _about_images(), self._pool.lend(doing, self._pool.limits.of("save")) as client:
            yield from archives.read_saved(client, references)

    def load_images(self, source: BinaryIO) -> tuple[str, ...]:
        """Load the images of an archive."""
        with _about_images(), translated("loading images"), closing(self._pool.open_private("load")) as client:
            return archives.load(client, source)

    def tag_image(self, image_id: str, reference: str) -> None:
        """Give an image one more name."""
        repository, tag = parse_repository_tag(reference)
        with _about_images():
            self._pool.call(
                "tag",
                f"naming an image {reference}",
                lambda client: client.tag(image_id, repository, tag or "latest"),
            )

    def _require_image(self, reference: str) -> ImageInfo:
        image = self.find_image(reference)
        if image is None:
            raise ImageError(f"the engine reported success but does not hold {reference}")
        return image

    def create_network(self, spec: NetworkSpec, *, on_send: Callable[[], None] = ignore_send) -> str:
        """Create a bridge network."""
        return creating.create_network(self._pool, spec, on_send)

    def create_volume(self, spec: VolumeSpec, *, on_send: Callable[[], None] = ignore_send) -> str:
        """Create a volume."""
        return creating.create_volume(self._pool, spec, on_send)

    def create_container(self, spec: ContainerSpec, *, on_send: Callable[[], None] = ignore_send) -> str:
        """Create a container on all its networks."""
        return creating.create_container(self._pool, spec, on_send)

    def copy_into(self, container_id: str, archive: bytes, *, path: str = "/") -> None:
        """Unpack a tar archive at a directory of the container."""
        self._pool.call(
            "copy",
            "copying files into a container",
            lambda client: client.put_archive(container_id, path, archive),
        )

    def start(self, container_id: str) -> None:
        """Start a container."""
        states.start(self._pool, container_id)

    def stop(self, container_id: str, *, grace_seconds: float | None = None) -> None:
        """Stop a container, killing it after the grace period."""
        states.stop(self._pool, container_id, grace_seconds)

    def kill(self, container_id: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the main process."""
        self._pool.call("kill", "signalling a container", lambda client: client.kill(container_id, signal))

    def pause(self, container_id: str) -> None:
        """Freeze all processes of a container."""
        states.pause(self._pool, container_id)

    def unpause(self, container_id: str) -> None:
        """Let frozen processes go on."""
        states.unpause(self._pool, container_id)

    def inspect(self, container_id: str) -> ContainerInfo:
        """Look at one container."""
        document = self._pool.call(
            "inspect", "inspecting a container", lambda client: client.inspect_container(container_id)
        )
        return reading.read_container(document)

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
        """Run a command inside a container."""
        doing = f"running {command[0]} in a container"
        exec_id = self._pool.call(
            "create exec",
            doing,
            lambda client: str(
                client.exec_create(
                    container_id,
                    list(command),
                    environment=dict(environment or {}),
                    user=user or "",
                    workdir=working_dir,
                )["Id"]
            ),
        )
        output, timed_out = self._pool.call(
            "start exec", doing, lambda client: streams.start_exec(client, exec_id, timeout)
        )
        if timed_out:
            raise EnvspinTimeout(
                f"`{' '.join(command)}` did not finish within {timeout:g} s", context=output.splitlines()
            )
        code = self._pool.call("inspect", doing, lambda client: streams.read_exit_code(client, exec_id))
        return ExecResult(exit_code=code, output=output)

    def logs(
        self,
        container_id: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: float | None = None,
        timestamps: bool = False,
    ) -> LogStream:
        """Read a container's output."""
        params: dict[str, Any] = {
            "follow": int(follow),
            "timestamps": int(timestamps),
            "tail": "all" if tail is None else tail,
        }
        if since is not None:
            params["since"] = since
        return self._pool.call(
            "open stream",
            "reading a container's log",
            lambda client: streams.open_log(client, container_id, params),
        )

    def watch(self, labels: Mapping[str, str]) -> EventStream:
        """Subscribe to events of containers with these labels."""
        # The engine answers before it has subscribed us, so ask for all events from this moment on; earlier ones
        # would tell of ends and starts that the caller knows already.
        since = f"{time.time():.9f}"
        filters: dict[str, Any] = {"type": "container", "label": [f"{key}={value}" for key, value in labels.items()]}
        return self._pool.call(
            "open stream",
            "subscribing to the engine's events",
            lambda client: streams.open_events(client, since, filters),
        )

    def list_resources(self, labels: Mapping[str, str | None]) -> list[Resource]:
        """List containers, networks and volumes that carry all labels."""
        filters = {"label": [key if value is None else f"{key}={value}" for key, value in labels.items()]}
        doing = "listing the engine's objects"
        containers = self._pool.call("list", doing, lambda client: client.containers(all=True, filters=filters))
        networks: list[dict[str, Any]] = self._pool.call("list", doing, lambda client: client.networks(filters=filters))
        volumes = self._pool.call("list", doing, lambda client: client.volumes(filters=filters)).get("Volumes") or []
        return [
            *map(reading.read_listed_container, containers),
            *map(reading.read_listed_network, networks),
            *map(reading.read_listed_volume, volumes),
        ]

    def remove(self, resource: Resource) -> None:
        """Remove exactly this object."""
        removing.remove(self._pool, resource)

    def recall_created(self, since: float) -> set[str]:
        """Read the engine's memory of its last events."""
        if not self._is_local:
            return set()
        filters = {"event": ["create"], "type": ["container", "network", "volume"]}
        events = self._pool.call(
            "list",
            "asking for the engine's last events",
            lambda client: streams.read_events(client, since, filters),
        )
        return set(map(reading.read_subject, events))

    def list_subnets(self) -> list[str]:
        """List the subnets of all networks."""
        networks: list[dict[str, Any]] = self._pool.call("list", "listing networks", lambda client: client.networks())
        configs = [config for network in networks for config in (network.get("IPAM") or {}).get("Config") or ()]
        return [config["Subnet"] for config in configs if config.get("Subnet")]

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()
