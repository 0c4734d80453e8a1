"""A running service in the hands of a test: where it is, what it says, and how to disturb it."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Protocol

from envspin.errors import EngineError, NotReadyError, ObjectNotFoundError, UsageError
from envspin.plan.readiness import choose_probes
from envspin.run import naming
from envspin.run.access import find_endpoint
from envspin.run.probes import Hopeless, StillUnready, WaitCancelled, wait_until_ready
from envspin.run.record import ServiceRecord
from envspin.run.steps import find_ready_timeout
from envspin.run.target import bind_probers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envspin.engine.base import ContainerInfo, Engine, ExecResult, ImageInfo
    from envspin.model import Endpoint, Service

DEFAULT_EXEC_SECONDS = 60.0

LOOK_SECONDS = 0.2
"""How often a container is looked at while it is waited for outside of a run, where no events are heard."""


class WaitStrategy(Protocol):
    """What a wait strategy of testcontainers can do."""

    def wait_until_ready(self, container: ServiceHandle) -> None:
        """Return when the container is ready."""
        ...


class ServiceHandle:
    """One service of a running environment.

    It satisfies testcontainers' ``WaitStrategyTarget`` (``get_container_host_ip``, ``get_exposed_port``, ``get_logs``,
    ``status`` ...), so that its wait strategies and habits work on it.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        container_id: str,
        *,
        host: str,
        service: Service | None = None,
        image: ImageInfo | None = None,
        record: ServiceRecord | None = None,
    ) -> None:
        self.name = name
        self.container_id = container_id
        self._engine = engine
        self._host = host
        self._service = service
        self._image = image
        self._record = record
        self._container = engine.inspect(container_id)
        self._restarted_at: float | None = None  # Unix time: what was logged before does not prove readiness now

    def __repr__(self) -> str:
        return f"<ServiceHandle {self.name} {self.state}>"

    @property
    def image(self) -> str:
        """The image as its topology names it; for a build without a name, the tag it was built under."""
        return self._container.labels.get(naming.IMAGE) or self._container.image

    @property
    def replica_of(self) -> str | None:
        """The service that this one is a further replica of; None for the first and for a service with one."""
        return self._container.labels.get(naming.REPLICA_OF)

    @property
    def digest(self) -> str | None:
        """The registry digest of the image, ``sha256:...`` (a locked one's as locked); None for one built here."""
        labelled = self._container.labels.get(naming.DIGEST)
        if labelled is not None:
            return labelled
        if self._image is None:
            self._image = self._engine.find_image(self._container.image_id)
        return self._image.digest if self._image is not None else None

    @property
    def image_id(self) -> str:
        """What the engine calls its image: ``sha256:...``."""
        return self._container.image_id

    @property
    def content(self) -> str | None:
        """The hash of what its image was built from, as a lock has it; None for one that was pulled."""
        return self._container.labels.get(naming.CONTENT)

    @property
    def pin(self) -> str:
        """What held its image: ``set`` (chosen for this run), ``locked``, ``built`` or ``unlocked``."""
        return self._container.labels.get(naming.PIN, "unlocked")

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """Where the service's ports are reached, keyed ``"5432/tcp"``, its first port first."""
        known = self._record.ports if self._record is not None else []
        found = {}
        for port in dict.fromkeys((*known, *self._container.published)):
            try:
                found[port] = find_endpoint(self._container, port, self._host)
            except EngineError:
                continue  # an internal network away from this machine: port_for() says so when asked
        return found

    @property
    def host(self) -> str:
        """The host under which the first port is reached."""
        return self._first_endpoint().host

    @property
    def port(self) -> int:
        """The port at ``host`` that leads to the service's first port; raises UsageError where it has none."""
        return self._first_endpoint().port

    def port_for(self, container_port: int, protocol: str = "tcp") -> int:
        """Return the port at ``host`` that leads to a container port.

        Raises UsageError naming the ports that the service has.
        """
        key = f"{container_port}/{protocol}"
        endpoint = self.endpoints.get(key)
        if endpoint is None:
            known = ", ".join(self.endpoints) or "none"
            raise UsageError(
                f"service {self.name!r} has no reachable port {key}; it has: {known}",
                hint=f"list it under services.{self.name}.ports",
            )
        return endpoint.port

    def _first_endpoint(self) -> Endpoint:
        for endpoint in self.endpoints.values():
            return endpoint
        raise UsageError(f"service {self.name!r} has no port", hint=f"list one under services.{self.name}.ports")

    @property
    def state(self) -> str:
        """``ready``, ``completed`` (a job that exited with 0), or what the engine says: ``exited``, ``paused`` ..."""
        try:
            self._container = self._engine.inspect(self.container_id)
        except ObjectNotFoundError:
            return "gone"
        if self._container.status == "exited" and self._container.exit_code == 0 and self._is_job():
            return "completed"
        return "ready" if self._container.status == "running" and self._was_ready() else self._container.status

    @property
    def exit_code(self) -> int | None:
        """The main process's exit code as last looked at by ``state``; None while it runs."""
        return self._container.exit_code

    def _is_job(self) -> bool:
        return self._service.job if self._service is not None else self._record is not None and self._record.job

    def _was_ready(self) -> bool:
        return self._record is not None and self._record.ready_at is not None

    def describe(self) -> dict[str, object]:
        """Return the service's entry in ``up --json`` and ``ps --json``."""
        record = self._record or ServiceRecord()
        times = {"create": record.create, "start": record.start, "ready": record.ready}
        return {
            "state": self.state,
            "replica_of": self.replica_of,
            "image": self.image,
            "digest": self.digest,
            "pin": self.pin,
            "container": self.container_id,
            "endpoints": {key: {"host": each.host, "port": each.port} for key, each in self.endpoints.items()},
            "seconds": {kind: round(value, 4) for kind, value in times.items()},
            "started_at": _round(record.started_at),
            "ready_at": _round(record.ready_at),
        }

    @property
    def seconds(self) -> Mapping[str, float]:
        """How long ``create``, ``start`` and ``ready`` took."""
        record = self._record or ServiceRecord()
        return {"create": record.create, "start": record.start, "ready": record.ready}

    @property
    def ready_at(self) -> float | None:
        """Seconds after the run began at which the service was ready."""
        return self._record.ready_at if self._record is not None else None

    @property
    def started_at(self) -> float | None:
        """Seconds after the run began at which the service had started."""
        return self._record.started_at if self._record is not None else None

    def exec(
        self,
        command: str | Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        timeout: float | None = DEFAULT_EXEC_SECONDS,
    ) -> ExecResult:
        """Run a command in the container and return its exit code and output.

        A string is split as a shell would, without a shell. Raises EnvspinTimeout after ``timeout`` seconds.
        """
        words = shlex.split(command) if isinstance(command, str) else list(command)
        return self._engine.execute(self.container_id, words, environment=environment, user=user, timeout=timeout)

    def logs(self, *, tail: int | None = None, since: float | None = None) -> str:
        """Return what the service wrote; the last ``tail`` lines, or what came since a Unix time."""
        return "\n".join(self._engine.logs(self.container_id, tail=tail, since=since))

    def stop(self, *, grace_seconds: float | None = None) -> None:
        """Stop the service as its topology says, killing it after the grace period."""
        self._engine.stop(self.container_id, grace_seconds=grace_seconds)

    def start(self) -> None:
        """Start the stopped service again; published ports may change."""
        self._restarted_at = time.time()
        self._engine.start(self.container_id)
        self._container = self._engine.inspect(self.container_id)

    def restart(self, *, grace_seconds: float | None = None) -> None:
        """Stop and start the service."""
        self.stop(grace_seconds=grace_seconds)
        self.start()

    def kill(self, signal: str = "SIGKILL") -> None:
        """Send a signal to the service's main process."""
        self._engine.kill(self.container_id, signal)

    def pause(self) -> None:
        """Freeze the service: it keeps its connections and answers nothing."""
        self._engine.pause(self.container_id)

    def unpause(self) -> None:
        """Let the frozen service go on."""
        self._engine.unpause(self.container_id)

    def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until the service proves ready again; raise NotReadyError after ``timeout`` seconds."""
        service = self._service
        if service is None:
            raise UsageError(
                f"how {self.name!r} proves ready is not known here",
                hint="it is known where the environment was brought up",
            )
        self._container = self._engine.inspect(self.container_id)
        if not self._container.is_running and not service.job:
            raise NotReadyError(f"service {self.name!r} does not run", service=self.name, hint="start() it first")
        image = self._image or self._engine.find_image(self._container.image_id)
        image_check = image.healthcheck if image is not None else None
        limit = find_ready_timeout(service, image_check) if timeout is None else timeout
        probes = choose_probes(service, image_check, image.ports if image is not None else ())
        probers = bind_probers(
            probes,
            self._engine,
            service,
            image_check,
            self._container,
            host=self._host,
            log_since=self._restarted_at,
        )
        try:
            wait_until_ready(
                probers,
                deadline=time.monotonic() + limit,
                clock=time.monotonic,
                cancelled=_EndOfContainer(self),
            )
        except WaitCancelled as error:
            raise self._explain(f"exited with code {self.reload().exit_code}", error) from error
        except StillUnready as error:
            raise self._explain(f"was not ready after {limit:g} s", error) from error
        except Hopeless as error:
            raise self._explain(f"will not become ready: {error}", error) from error

    def _explain(self, what: str, error: Exception) -> NotReadyError:
        context = [f"awaited: {error}", "last output:", *(f"  | {line}" for line in self.logs(tail=20).splitlines())]
        return NotReadyError(f"service {self.name!r} {what}", service=self.name, context=context)

    def get_container_host_ip(self) -> str:
        """Return ``host``, under testcontainers' name."""
        return self.host

    def get_exposed_port(self, port: int) -> int:
        """Return ``port_for(port)``, under testcontainers' name."""
        return self.port_for(port)

    def get_logs(self) -> tuple[bytes, bytes]:
        """Return standard output and error under testcontainers' name; ours are interleaved in the first."""
        return self.logs().encode(), b""

    def wait_for(self, strategy: WaitStrategy) -> None:
        """Wait with a wait strategy of testcontainers; raises what the strategy raises, TimeoutError as a rule."""
        strategy.wait_until_ready(self)

    def get_wrapped_container(self) -> ServiceHandle:
        """Return the handle itself (part of testcontainers' wait target)."""
        return self

    def reload(self) -> ContainerInfo:
        """Look at the container again (part of testcontainers' wait target)."""
        self._container = self._engine.inspect(self.container_id)
        return self._container

    @property
    def status(self) -> str:
        """The engine's word for the container's state (part of testcontainers' wait target)."""
        return self.reload().status


class _EndOfContainer:
    """A cancel signal for waiting on one container: set once it does not run any more."""

    def __init__(self, handle: ServiceHandle) -> None:
        self._handle = handle
        self._looked_at = 0.0
        self._has_ended = False

    def is_set(self) -> bool:
        if not self._has_ended and time.monotonic() - self._looked_at > LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._has_ended = not self._handle.reload().is_running
        return self._has_ended

    def wait(self, timeout: float | None = None) -> bool:
        time.sleep(min(timeout or LOOK_SECONDS, LOOK_SECONDS))
        return self.is_set()


def _round(moment: float | None) -> float | None:
    return None if moment is None else round(moment, 4)
