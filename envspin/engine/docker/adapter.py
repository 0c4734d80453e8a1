"""The container engine behind the docker SDK."""

from __future__ import annotations

import platform as host_platform
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from docker.types import IPAMConfig, IPAMPool
from docker.utils import parse_repository_tag
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from envspin.engine.base import ContainerInfo, EngineInfo, ExecResult, ImageInfo, Resource
from envspin.engine.docker import archives, images, reading
from envspin.engine.docker.client import CALL_SECONDS, ClientPool, find_address, raise_for_status, translated
from envspin.engine.docker.config import describe_container
from envspin.engine.docker.streams import DockerEventStream, DockerLogStream, read_exit_code, run_exec
from envspin.errors import (
    ConflictError,
    EngineError,
    EngineUnreachableError,
    EnvspinTimeout,
    ImageError,
    ObjectNotFoundError,
)
from envspin.reference import normalize_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from typing import BinaryIO

    import docker

    from envspin.engine.base import (
        BuildRequest,
        ContainerSpec,
        EventStream,
        LogStream,
        NetworkSpec,
        RegistrySettings,
        VolumeSpec,
    )

REMOVAL_SECONDS = 10.0
"""How long a removal is repeated while the engine says that the object is still in use."""


def _ignore_progress(_status: str, _fraction: float | None) -> None:
    """Take no note of progress."""


def _never() -> bool:
    return False


@contextmanager
def _about_images() -> Iterator[None]:
    """Turn what the engine does not do with an image into ImageError."""
    try:
        yield
    except (ImageError, EngineUnreachableError):
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

    def info(self) -> EngineInfo:
        """Ask who answers."""
        with self._pool.lend("asking the engine's version") as client:
            version = client.version()
        return EngineInfo(
            version=str(version.get("Version", "")),
            api_version=self._pool.api_version,
            operating_system=str(version.get("Os", "")),
            architecture=str(version.get("Arch", "")),
            address=self._pool.address,
            is_local=self._pool.address.startswith(("unix://", "http+unix://")) and host_platform.system() == "Linux",
            platform=normalize_platform(f"{version.get('Os') or 'linux'}/{version.get('Arch', '')}"),
        )

    def registry_settings(self) -> RegistrySettings:
        """Ask what the engine is told about registries."""
        with self._pool.lend("asking for the engine's settings") as client:
            return reading.read_registry_settings(client.info())

    def find_image(self, reference: str) -> ImageInfo | None:
        """Look an image up in the engine's store."""
        try:
            with self._pool.lend(f"looking for image {reference}") as client:
                document = client.inspect_image(reference)  # type: ignore[no-untyped-call]
                return reading.read_image(document, reference)
        except (ImageError, ObjectNotFoundError):
            return None

    def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        on_progress: Callable[[str, float | None], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> ImageInfo:
        """Fetch an image from its registry."""
        try:
            with translated(f"pulling {reference}"):
                images.pull(
                    self._pool.open_private(),
                    reference,
                    platform=platform,
                    on_progress=on_progress or _ignore_progress,
                    is_cancelled=is_cancelled or _never,
                )
        except (ImageError, EngineUnreachableError):
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
                self._pool.open_private(),
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
        with _about_images(), self._pool.lend(f"saving {', '.join(references)}") as client:
            yield from archives.read_saved(client, references)

    def load_images(self, source: BinaryIO) -> tuple[str, ...]:
        """Load the images of an archive."""
        with _about_images(), translated("loading images"), closing(self._pool.open_private()) as client:
            return archives.load(client, source)

    def tag_image(self, image_id: str, reference: str) -> None:
        """Give an image one more name."""
        repository, tag = parse_repository_tag(reference)
        with _about_images(), self._pool.lend(f"naming an image {reference}") as client:
            client.tag(image_id, repository, tag or "latest")

    def _require_image(self, reference: str) -> ImageInfo:
        image = self.find_image(reference)
        if image is None:
            raise ImageError(f"the engine reported success but does not hold {reference}")
        return image

    def create_network(self, spec: NetworkSpec) -> str:
        """Create a bridge network."""
        ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=spec.subnet)]) if spec.subnet else None
        with self._pool.lend(f"creating network {spec.name}") as client:
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

    def create_volume(self, spec: VolumeSpec) -> str:
        """Create a volume."""
        with self._pool.lend(f"creating volume {spec.name}") as client:
            client.create_volume(
                spec.name, driver=spec.driver, driver_opts=dict(spec.driver_opts) or None, labels=dict(spec.labels)
            )
        return spec.name

    def create_container(self, spec: ContainerSpec) -> str:
        """Create a container on all its networks."""
        with self._pool.lend(f"creating container {spec.name}") as client:
            created = client.create_container_from_config(  # type: ignore[no-untyped-call]
                describe_container(spec), spec.name, spec.platform
            )
            for attachment in spec.attachments[1:]:
                client.connect_container_to_network(created["Id"], attachment.network, aliases=list(attachment.aliases))
        return str(created["Id"])

    def copy_into(self, container_id: str, archive: bytes, *, path: str = "/") -> None:
        """Unpack a tar archive at a directory of the container."""
        with self._pool.lend("copying files into a container") as client:
            client.put_archive(container_id, path, archive)

    def start(self, container_id: str) -> None:
        """Start a container."""
        with self._pool.lend("starting a container") as client:
            client.start(container_id)

    def stop(self, container_id: str, *, grace_seconds: float | None = None) -> None:
        """Stop a container, killing it after the grace period."""
        params = {} if grace_seconds is None else {"t": str(round(grace_seconds))}
        with self._pool.lend("stopping a container") as client:
            url = f"{client.base_url}/v{client.api_version}/containers/{container_id}/stop"
            # The SDK's own call needs a timeout in seconds and so cannot leave it to the container's StopTimeout.
            raise_for_status(client.post(url, params=params, timeout=(grace_seconds or 600) + CALL_SECONDS))

    def kill(self, container_id: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the main process."""
        with self._pool.lend("signalling a container") as client:
            client.kill(container_id, signal)

    def pause(self, container_id: str) -> None:
        """Freeze all processes of a container."""
        with self._pool.lend("pausing a container") as client:
            client.pause(container_id)

    def unpause(self, container_id: str) -> None:
        """Let frozen processes go on."""
        with self._pool.lend("unpausing a container") as client:
            client.unpause(container_id)

    def inspect(self, container_id: str) -> ContainerInfo:
        """Look at one container."""
        with self._pool.lend("inspecting a container") as client:
            return reading.read_container(client.inspect_container(container_id))

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
        with self._pool.lend(f"running {command[0]} in a container") as client:
            created = client.exec_create(
                container_id, list(command), environment=dict(environment or {}), user=user or "", workdir=working_dir
            )
            output, timed_out = run_exec(client, created["Id"], timeout)
            if timed_out:
                raise EnvspinTimeout(
                    f"`{' '.join(command)}` did not finish within {timeout:g} s", context=output.splitlines()
                )
            return ExecResult(exit_code=read_exit_code(client, created["Id"]), output=output)

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
        with self._pool.lend("reading a container's log") as client:
            return DockerLogStream(
                client.logs(
                    container_id,
                    stream=True,
                    follow=follow,
                    tail="all" if tail is None else tail,
                    since=since,
                    timestamps=timestamps,
                )
            )

    def watch(self, labels: Mapping[str, str]) -> EventStream:
        """Subscribe to events of containers with these labels."""
        # The engine answers before it has subscribed us, so ask for all events from this moment on; earlier ones
        # would tell of ends and starts that the caller knows already.
        since = f"{time.time():.9f}"
        filters: dict[str, Any] = {"type": "container", "label": [f"{key}={value}" for key, value in labels.items()]}
        with self._pool.lend("subscribing to the engine's events") as client:
            return DockerEventStream(client.events(since=since, filters=filters, decode=True))  # type: ignore[call-overload]

    def list_resources(self, labels: Mapping[str, str | None]) -> list[Resource]:
        """List containers, networks and volumes that carry all labels."""
        filters = {"label": [key if value is None else f"{key}={value}" for key, value in labels.items()]}
        with self._pool.lend("listing the engine's objects") as client:
            found = [reading.read_listed_container(each) for each in client.containers(all=True, filters=filters)]
            found += [reading.read_listed_network(each) for each in client.networks(filters=filters)]
            volumes = client.volumes(filters=filters).get("Volumes") or []
            found += [reading.read_listed_volume(each) for each in volumes]
        return found

    def remove(self, resource: Resource) -> None:
        """Remove exactly this object."""
        with suppress(ObjectNotFoundError):
            self._remove_repeatedly(resource)

    @retry(
        retry=retry_if_exception_type(ConflictError),
        stop=stop_after_delay(REMOVAL_SECONDS),
        wait=wait_exponential(multiplier=0.02, max=0.5),
        reraise=True,
    )
    def _remove_repeatedly(self, resource: Resource) -> None:
        with self._pool.lend(f"removing {resource.kind} {resource.name}") as client:
            if resource.kind == "container":
                client.remove_container(resource.id, v=True, force=True)
            elif resource.kind == "network":
                self._remove_network(client, resource)
            elif client.inspect_volume(resource.id).get("Labels") == dict(resource.labels):
                # A volume has no id of its own: one of this name with other labels is somebody else's.
                client.remove_volume(resource.id, force=True)

    def _remove_network(self, client: docker.APIClient, resource: Resource) -> None:
        try:
            with translated("removing a network"):
                client.remove_network(resource.id)
        except ObjectNotFoundError:
            raise
        except EngineError as error:
            if "active endpoints" not in error.message:
                raise
            # An endpoint can outlive its container for a moment, or for good after an engine crash.
            for container_id in client.inspect_network(resource.id).get("Containers") or {}:
                with suppress(EngineError), translated("disconnecting a container"):
                    client.disconnect_container_from_network(container_id, resource.id, force=True)
            raise ConflictError(error.message) from error

    def list_subnets(self) -> list[str]:
        """List the subnets of all networks."""
        with self._pool.lend("listing networks") as client:
            networks = client.networks()
        configs = [config for network in networks for config in (network.get("IPAM") or {}).get("Config") or ()]
        return [config["Subnet"] for config in configs if config.get("Subnet")]

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()
