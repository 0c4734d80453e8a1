"""The in-memory engine itself: each verb of the seam, over the world's objects."""

from __future__ import annotations

import signal as signals
import time
from collections import deque
from dataclasses import replace
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from envspin.engine.base import ContainerInfo, EngineInfo, ExecResult, RegistrySettings, Resource, ignore_send
from envspin.engine.fake import creation
from envspin.engine.fake.calls import Call, Fault, verb
from envspin.engine.fake.commands import answer_command, describe_call
from envspin.engine.fake.files import unpack
from envspin.engine.fake.images import ImageStore, describe
from envspin.engine.fake.streams import FakeEventStream, FakeLogStream
from envspin.engine.fake.world import FakeVolume, World
from envspin.errors import ConflictError, EngineError, EngineUnreachableError, EnvspinTimeout, ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from envspin.engine.base import BuildRequest, ContainerSpec, ImageInfo, NetworkSpec, VolumeSpec
    from envspin.engine.fake.script import Behaviour, FakeImage
    from envspin.engine.fake.world import FakeContainer

DEFAULT_GRACE = 10.0
"""Seconds between stop signal and kill where neither caller nor container says."""

_ENDING_SIGNALS = frozenset({"SIGTERM", "SIGINT", "SIGQUIT"})


class FakeEngine:
    """An :class:`envspin.engine.base.Engine` in memory, safe for use from many threads.

    ``images`` maps references to images, or lists references of images that only run; ``scripts`` gives services (by
    the label ``envspin.service``) a behaviour of their own; ``default_image`` stands in for any other reference. With
    ``speed`` above 1 scripts run that much faster than real time; with 0 time stands still but for :meth:`advance`.
    ``now`` is the Unix time that its clock begins with, ``registries`` what it says that it is told about registries.
    """

    def __init__(
        self,
        images: Mapping[str, FakeImage] | Sequence[str] = (),
        *,
        scripts: Mapping[str, Behaviour] | None = None,
        default_image: FakeImage | None = None,
        speed: float = 1.0,
        now: float | None = None,
        is_local: bool = True,
        registries: RegistrySettings | None = None,
    ) -> None:
        self._world = World(speed=speed, now=now)
        self._images = ImageStore(self._world, images, default_image)
        self._scripts = dict(scripts or {})
        self._is_local = is_local
        self._registries = registries or RegistrySettings()
        self._faults: dict[str, deque[Fault]] = {}
        self.calls: list[Call] = []
        """Every call so far, in order."""
        self.specs: dict[str, ContainerSpec] = {}
        """What every container, removed ones too, was made from, by id."""
        self._created: dict[str, float] = {}
        with self._world.changed:
            creation.add_network(self._world, "bridge", {}, IPv4Network("172.17.0.0/16"))

    def advance(self, seconds: float) -> None:
        """Move the engine's clock on by ``seconds``; everything due until then has happened on return."""
        self._world.advance(seconds)

    def inject(self, verb: str, error: Exception, *, times: int = 1, executed: bool = False) -> None:
        """Make the next ``times`` calls of a verb raise ``error``, before or (a lost reply) after they took effect."""
        with self._world.changed:
            self._faults.setdefault(verb, deque()).extend([Fault(error, executed)] * times)

    def list_anonymous_volumes(self, container_id: str) -> list[str]:
        """Return the names of the volumes that a container has only because its image declares them."""
        with self._world.changed:
            return [volume.name for volume in self._get(container_id).anonymous]

    def note_call(self, verb: str, subject: object) -> Fault | None:
        """Record a call and return the fault that it is to suffer; raise EngineUnreachableError once closed."""
        name = subject if isinstance(subject, str) else getattr(subject, "name", getattr(subject, "tag", ""))
        with self._world.changed:
            if self._world.closed and verb != "close":
                raise EngineUnreachableError("the engine was closed")
            self.calls.append(Call(verb, str(name)))
            self._world.settle()
            pending = self._faults.get(verb)
            return pending.popleft() if pending else None

    @verb
    def info(self) -> EngineInfo:
        """Say that it is in memory."""
        return EngineInfo(
            "20.10.0",
            "1.41",
            "in-memory",
            "x86_64",
            "fake://",
            self._is_local,
            "linux/amd64",
            is_persistent=False,
        )

    def ping(self, seconds: float) -> None:  # noqa: ARG002 - it is always there at once
        """Answer; not among the calls, since this one comes by the clock."""
        with self._world.changed:
            if self._world.closed:
                raise EngineUnreachableError("the engine was closed")

    @verb
    def registry_settings(self) -> RegistrySettings:
        """Say what it was given."""
        return self._registries

    @verb
    def find_image(self, reference: str) -> ImageInfo | None:
        """Look an image up in the store."""
        found = self._images.find(reference)
        return describe(found) if found else None

    @verb
    def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        on_progress: Callable[[str, float | None], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> ImageInfo:
        """Bring an image into the store that was given with ``stored=False``."""
        return self._images.pull(reference, platform, on_progress, is_cancelled)

    @verb
    def build(
        self,
        request: BuildRequest,
        *,
        on_progress: Callable[[str, float | None], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> ImageInfo:
        """Put the image that was given for this tag, else an empty one, into the store."""
        return self._images.build(request, on_progress, is_cancelled)

    @verb
    def save_images(self, references: Sequence[str], sink: Callable[[bytes], object]) -> None:
        """Write an archive of what images of the store declare."""
        self._images.save(references, sink)

    @verb
    def load_images(self, source: BinaryIO) -> tuple[str, ...]:
        """Put the images of such an archive into the store."""
        return self._images.load(source)

    @verb
    def tag_image(self, image_id: str, reference: str) -> None:
        """Give an image of the store one more name."""
        self._images.tag(image_id, reference)

    @verb
    def create_network(self, spec: NetworkSpec, *, on_send: Callable[[], None] = ignore_send) -> str:
        """Create a network."""
        on_send()
        with self._world.changed:
            self._created[spec.name] = time.time()
            return creation.create_network(self._world, spec)

    @verb
    def create_volume(self, spec: VolumeSpec, *, on_send: Callable[[], None] = ignore_send) -> str:
        """Create a volume; one of that name and with the same labels is kept with its files."""
        on_send()
        with self._world.changed:
            volume = self._world.volumes.setdefault(spec.name, FakeVolume(spec.name, dict(spec.labels)))
            if volume.labels != dict(spec.labels):
                raise ConflictError(f"volume {spec.name} exists already, with other labels")
            self._created[spec.name] = time.time()
            return spec.name

    @verb
    def create_container(self, spec: ContainerSpec, *, on_send: Callable[[], None] = ignore_send) -> str:
        """Create a container from an image of the store."""
        on_send()
        behaviour = self._scripts.get(spec.labels.get(creation.SERVICE_LABEL, ""))
        with self._world.changed:
            container = creation.create_container(self._world, spec, self._images, behaviour)
            self.specs[container.id] = spec
            self._created[spec.name] = time.time()
            return container.id

    @verb
    def copy_into(self, container_id: str, archive: bytes, *, path: str = "/") -> None:
        """Put the regular files of a tar archive into a container; every folder counts as existing."""
        with self._world.changed:
            unpack(self._get(container_id), archive, path)

    def _get(self, container_id: str) -> FakeContainer:
        try:
            return self._world.containers[container_id]
        except KeyError:
            raise ObjectNotFoundError(f"no such container: {container_id}") from None

    def _get_in(self, container_id: str, *statuses: str) -> FakeContainer:
        container = self._get(container_id)
        if container.status not in statuses:
            raise ConflictError(f"container {container.spec.name} is {container.status}")
        return container

    @verb
    def start(self, container_id: str) -> None:
        """Start a container on its script."""
        with self._world.changed:
            container = self._get(container_id)
            if container.is_running:
                return
            script = container.choose_script(container.starts + 1)
            self._world.sleep(script.start_seconds)
            if self._get(container_id).is_running:
                return
            container.starts += 1
            container.script = script
            if script.start_error is not None:
                container.error = script.start_error
                raise EngineError(f"cannot start container {container.spec.name}: {script.start_error}")
            creation.connect(container)
            self._world.begin(container)

    @verb
    def stop(self, container_id: str, *, grace_seconds: float | None = None) -> None:
        """Send the stop signal, then kill after the grace period."""
        with self._world.changed:
            container = self._get(container_id)
            if container.status == "paused":
                self._world.thaw(container)
            if not container.is_running:
                return
            start = container.starts
            self._signal(container, container.spec.stop_signal or "SIGTERM")
            own = container.spec.stop_grace_period
            grace = next((each for each in (grace_seconds, own) if each is not None), DEFAULT_GRACE)
            until = self._world.now() + grace
            while container.is_running and container.starts == start and self._world.now() < until:
                self._world.wait_change(until)
            if container.is_running and container.starts == start:
                self._world.finish(container, 137)

    @verb
    def kill(self, container_id: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the main process."""
        with self._world.changed:
            self._signal(self._get_in(container_id, "running", "paused"), signal)

    def _signal(self, container: FakeContainer, signal: str) -> None:
        name = signal if signal.startswith("SIG") else f"SIG{signal}"
        if name not in signals.Signals.__members__:
            raise EngineError(f"container {container.spec.name}: invalid signal {signal}")
        number = signals.Signals[name].value
        self._world.emit(container, "kill")
        if name in container.script.signal_lines:
            self._world.print_line(container, container.script.signal_lines[name], self._world.now())
        ends = name in _ENDING_SIGNALS or name == container.spec.stop_signal
        code = container.script.signals.get(name, 128 + number if ends else None)
        if name == "SIGKILL":
            code = 137
        if code is not None:
            self._world.finish(container, code)

    @verb
    def pause(self, container_id: str) -> None:
        """Stop a container's clock."""
        with self._world.changed:
            self._world.freeze(self._get_in(container_id, "running"))

    @verb
    def unpause(self, container_id: str) -> None:
        """Let a container's clock go on."""
        with self._world.changed:
            self._world.thaw(self._get_in(container_id, "paused"))

    @verb
    def inspect(self, container_id: str) -> ContainerInfo:
        """Look at one container."""
        with self._world.changed:
            return creation.describe_container(self._get(container_id))

    @verb
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
        """Answer a command as the script says, or as one of the few commands that every container knows."""
        with self._world.changed:
            container = self._get_in(container_id, "running")
            call = describe_call(container, command, environment or {}, self._world.now() - container.started_at)
            call = replace(call, user=user or call.user, working_dir=working_dir or call.working_dir)
            script, start, begun = container.script, container.starts, self._world.now()
        # The answer may be a callable of the user's, so it runs with the condition released.
        reply = answer_command(script, call)
        limit = reply.seconds if timeout is None else min(reply.seconds, timeout)
        with self._world.changed:
            while self._world.now() < begun + limit:
                if not container.is_running or container.starts != start:
                    return ExecResult(137, "")
                self._world.wait_change(begun + limit)
        if timeout is not None and reply.seconds > timeout:
            raise EnvspinTimeout(f"`{' '.join(command)}` did not finish within {timeout:g} s")
        return ExecResult(reply.exit_code, reply.output)

    @verb
    def logs(
        self,
        container_id: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: float | None = None,
        timestamps: bool = False,
    ) -> FakeLogStream:
        """Read a container's lines."""
        with self._world.changed:
            return FakeLogStream(
                self._world,
                self._get(container_id),
                follow=follow,
                tail=tail,
                since=since,
                timestamps=timestamps,
            )

    @verb
    def watch(self, labels: Mapping[str, str]) -> FakeEventStream:
        """Subscribe to events of containers that carry all ``labels``."""
        with self._world.changed:
            return FakeEventStream(self._world, labels)

    @verb
    def list_resources(self, labels: Mapping[str, str | None]) -> list[Resource]:
        """List containers, networks and volumes that carry all labels."""
        with self._world.changed:
            everything = [
                *(
                    Resource("container", item.id, item.spec.name, dict(item.spec.labels), item.status)
                    for item in self._world.containers.values()
                ),
                *(Resource("network", item.id, item.name, dict(item.labels)) for item in self._world.networks.values()),
                *(Resource("volume", item.name, item.name, dict(item.labels)) for item in self._world.volumes.values()),
            ]
        return [item for item in everything if _carries(item.labels, labels)]

    @verb
    def recall_created(self, since: float) -> set[str]:
        """Return every name that was created since."""
        with self._world.changed:
            return {name for name, at in self._created.items() if at >= since}

    @verb
    def remove(self, resource: Resource) -> None:
        """Remove one object if it is what was listed; a volume that a container uses raises ConflictError."""
        with self._world.changed:
            container = self._world.containers.get(resource.id)
            network = self._world.networks.get(resource.id)
            if resource.kind == "container" and container and _carries(container.spec.labels, resource.labels):
                self._world.destroy(container)
            elif resource.kind == "network" and network and _carries(network.labels, resource.labels):
                self._world.remove_network(network.id)
            elif resource.kind == "volume":
                self._world.remove_volume(resource.id, dict(resource.labels))

    @verb
    def list_subnets(self) -> list[str]:
        """List the subnets of all networks."""
        with self._world.changed:
            return [str(network.subnet) for network in self._world.networks.values()]

    @verb
    def close(self) -> None:
        """End every stream and give every port back."""
        with self._world.changed:
            self._world.shut()


def _carries(labels: Mapping[str, str], wanted: Mapping[str, str] | Mapping[str, str | None]) -> bool:
    return all(key in labels and value in {None, labels[key]} for key, value in wanted.items())
