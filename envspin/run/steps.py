"""Each operation of a plan done on the engine: one function a kind, values in, a value out.

Workers call these. They keep no state of the run: what they return, the runner (one thread) puts together.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from envspin.engine.base import NetworkSpec
from envspin.errors import EngineError, EngineUnreachableError, ExhaustedError, LockError, UsageError
from envspin.model import DEFAULT_READY_TIMEOUT
from envspin.plan.readiness import merge_healthchecks
from envspin.run.blueprint import describe_volume, list_own_volumes, make_container_spec, name_network
from envspin.run.diagnostics import Trouble
from envspin.run.files import pack_grants
from envspin.run.images import ImageRules, ensure_image
from envspin.run.probes import DeadlinePassed, Hopeless, WaitCancelled, describe, wait_until_ready
from envspin.run.scarcity import NetworkMaker, Queue, Waits, choose_patience
from envspin.run.subnets import WantedNetwork
from envspin.run.target import bind_probers
from envspin.run.watcher.journal import NoJournal

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from envspin.engine.base import ContainerInfo, Engine, ImageInfo, VolumeSpec
    from envspin.model import Healthcheck, Probe, Service
    from envspin.plan.planning import Plan
    from envspin.plan.sources import ImageSource
    from envspin.run.naming import Identity
    from envspin.run.watch import Vigil
    from envspin.run.watcher.journal import Journal


def _tell_nobody(_what: str) -> None:
    """Take no note."""


class StepFailed(Exception):  # noqa: N818 - reads as what happened
    """A service will not become ready; carries what to tell."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.what)
        self.trouble = trouble


class CalledOff(Exception):  # noqa: N818 - reads as what happened
    """The run was cancelled while this step waited."""


@dataclass(frozen=True, slots=True)
class Created:
    """A container exists."""

    container_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Started:
    """A container's main process was started."""

    container: ContainerInfo
    seconds: float


@dataclass(frozen=True, slots=True)
class Proved:
    """A service is ready (a job: completed)."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Steps:
    """Everything that the operations of one run share; frozen, so that any worker may read it."""

    engine: Engine
    plan: Plan
    identity: Identity
    contents: Mapping[str, bytes]
    host: str
    images: ImageRules
    cancelled: threading.Event
    journal: Journal = field(default_factory=NoJournal)
    no_wait: bool = False
    """Whether to fail at once where the engine has run out of something."""
    on_wait: Callable[[str], None] = _tell_nobody
    """Is told what has run out, once for each wait."""
    timeout: float | None = None
    """The seconds that the whole environment may take: what has run out is waited for that long."""
    networks: NetworkMaker = field(default_factory=NetworkMaker)
    waits: Waits = field(default_factory=Waits)
    """What has run out and is waited for now."""

    def make_network(self, name: str) -> None:
        """Create a network of the topology on a subnet of its own; wait for one where none is left."""
        names = [each.subject for each in self.plan.operations if each.kind == "network"]
        wanted = {each: self._describe_network(each) for each in names}
        self.networks.make(name, wanted, self._queue(), self.journal.creating)

    def _describe_network(self, name: str) -> WantedNetwork:
        network = self.plan.topology.networks[name]
        spec = NetworkSpec(
            name=name_network(self.identity, network),
            labels={**network.labels, **self.identity.labels(network=name)},
            internal=network.internal or self.plan.topology.hermetic,
            driver_opts=network.driver_opts,
        )
        members = sum(any(each.network == name for each in service.networks) for service in self.plan.services.values())
        return WantedNetwork(spec, members)

    def _queue(self) -> Queue:
        patience = choose_patience(self.timeout, no_wait=self.no_wait)
        return Queue(self.engine, patience, self.cancelled, self.on_wait, self.waits)

    def make_volume(self, name: str) -> None:
        """Create a named volume of the topology."""
        self._create_volume(describe_volume(self.identity, self.plan.topology.volumes[name]))

    def _create_volume(self, spec: VolumeSpec) -> None:
        with self.journal.creating(spec.name) as on_send:
            self.engine.create_volume(spec, on_send=on_send)

    def have_image(self, source: ImageSource) -> ImageInfo:
        """Look up, pull or build an image."""
        return ensure_image(self.engine, source, self.images)

    def create(self, service: Service, image: ImageInfo) -> Created:
        """Create a service's container with its volumes, configs and secrets; it does not start yet."""
        began = time.monotonic()
        own_volumes = list_own_volumes(self.identity, service, image, named=self.plan.topology.volumes)
        for volume in own_volumes.values():
            self._create_volume(volume)
        _make_bind_folders(service)
        spec = make_container_spec(self.identity, self.plan, service, image, own_volumes=own_volumes)
        with self.journal.creating(spec.name) as on_send:
            container_id = self.engine.create_container(spec, on_send=on_send)
        if self.plan.find_source(service.name).locked is not None:
            self._verify_image(service, image, container_id)
        self._hand_out_files(service, container_id)
        return Created(container_id, time.monotonic() - began)

    def _verify_image(self, service: Service, image: ImageInfo, container_id: str) -> None:
        """Look whether the container really has the image that was verified; the engine has the last word."""
        found = self.engine.inspect(container_id).image_id
        if found != image.id:
            raise LockError(
                f"the container of {service.name} has another image than the locked one",
                context=(f"locked: {service.image}, which this engine calls {image.id}", f"it has: {found}"),
            )

    def _hand_out_files(self, service: Service, container_id: str) -> None:
        folders = {str(PurePosixPath(grant.target).parent) if service.read_only else "/" for grant in service.grants}
        for folder in sorted(folders):
            grants = [each for each in service.grants if PurePosixPath(each.target).is_relative_to(folder)]
            self.engine.copy_into(container_id, pack_grants(grants, self.contents, below=folder), path=folder)

    def start(self, service: Service, container_id: str) -> Started:
        """Start a container and look at it once, after the events are subscribed to."""
        began = time.monotonic()
        try:
            self._queue().obtain(lambda: self.engine.start(container_id), "container")
        except (EngineUnreachableError, ExhaustedError):
            raise
        except EngineError as error:
            raise StepFailed(Trouble(service.name, f"could not be started: {error.message}")) from error
        container = self.engine.inspect(container_id)
        return Started(container, time.monotonic() - began)

    def await_ready(
        self,
        service: Service,
        image: ImageInfo,
        probes: Sequence[Probe],
        container: ContainerInfo,
        vigil: Vigil,
        on_reason: Callable[[str, str], None],
    ) -> Proved:
        """Wait until a started service has proved ready, has ended, or is out of time."""
        began = time.monotonic()
        timeout = find_ready_timeout(service, image.healthcheck)
        try:
            wait_until_ready(
                bind_probers(probes, self.engine, service, image.healthcheck, container, host=self.host),
                deadline=began + timeout,
                clock=time.monotonic,
                cancelled=vigil.stirred,
                on_reason=on_reason,
            )
        except DeadlinePassed as error:
            awaited = tuple(str(unmet) for unmet in error.unmet)
            raise StepFailed(Trouble(service.name, f"was not ready after {timeout:g} s", awaited)) from error
        except Hopeless as error:
            awaited = (f"{error.awaited}: {error}",) if error.awaited else ()
            self._look_for_end(vigil)
            if not vigil.has_stopped:
                raise StepFailed(Trouble(service.name, f"will not become ready: {error}", awaited)) from error
            self._judge_end(service, vigil, awaited)
        except WaitCancelled as error:
            self._judge_end(service, vigil, tuple(str(unmet) for unmet in error.unmet))
        except EngineUnreachableError:
            raise
        except EngineError:  # a container that has ended already has no ports and no address any more
            self._look_for_end(vigil)
            if not vigil.has_stopped:
                raise
            self._judge_end(service, vigil, tuple(map(describe, probes)))
        return Proved(time.monotonic() - began)

    def _look_for_end(self, vigil: Vigil) -> None:
        """Ask whether the container has ended: a probe may notice a moment before the engine's event comes."""
        container = self.engine.inspect(vigil.container_id)
        if not container.is_running and not vigil.has_stopped:
            vigil.exit_code, vigil.oom_killed = container.exit_code, container.oom_killed

    def _judge_end(self, service: Service, vigil: Vigil, awaited: tuple[str, ...]) -> None:
        """Return where a job has succeeded; raise in every other case."""
        if not vigil.has_stopped:
            raise CalledOff
        if service.job and vigil.exit_code == 0:
            return
        raise StepFailed(Trouble(service.name, describe_end(vigil), awaited))


def find_ready_timeout(service: Service, image_check: Healthcheck | None) -> float:
    """Return the seconds a service may take until ready.

    A healthcheck's ``start_period``, in which it may fail without blame, comes on top of the default.
    """
    if service.timeout is not None:
        return service.timeout
    check = merge_healthchecks(service.healthcheck, image_check)
    return DEFAULT_READY_TIMEOUT + (check.start_period or 0.0 if check else 0.0)


def describe_end(vigil: Vigil) -> str:
    """Say how a container ended."""
    if vigil.oom_killed:
        return "was killed because it ran out of memory"
    return "was removed" if vigil.exit_code is None else f"exited with code {vigil.exit_code}"


def _make_bind_folders(service: Service) -> None:
    """Create missing folders of binds on this machine, as Compose does with ``create_host_path``."""
    for mount in service.mounts:
        if mount.kind == "bind" and mount.create_host_path and mount.source is not None:
            path = Path(mount.source)
            try:
                if not path.exists():
                    path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(
                    f"service {service.name}: cannot make {path}, which it mounts: {error.strerror}",
                    hint="make the folder yourself, or mount another one",
                ) from error
