"""An environment: brought up from a topology, used, and gone afterwards."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from envspin.errors import EnvspinError, UsageError
from envspin.events import (
    ImageProgress,
    Listener,
    RunFailed,
    RunReady,
    RunStarted,
    WarningRaised,
)
from envspin.plan.readiness import known_ports
from envspin.plan.selection import Selection, suggest_name
from envspin.plan.traversal import find_dependencies, find_longest_path
from envspin.run import naming, timings
from envspin.run.access import find_host
from envspin.run.clearing import UpOptions, end_failed, require_free, sweep_quietly, tear_down
from envspin.run.exports import expand_exports, make_variables
from envspin.run.files import read_sources
from envspin.run.following import LogFollower
from envspin.run.images import ImageRules
from envspin.run.janitor import grant_lease, list_environment
from envspin.run.locks import check_platform, find_lock, make_locked_plan, warn_of_unlocked
from envspin.run.naming import DEFAULT_TTL, Identity
from envspin.run.notifier import Notifier
from envspin.run.opening import connect, load
from envspin.run.preflight import check_inputs
from envspin.run.record import Record, ServiceRecord, read_record, write_record
from envspin.run.runner import Runner
from envspin.run.service import ServiceHandle
from envspin.run.steps import Steps
from envspin.topology.templates import SecretField, parse_template

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from envspin.engine.base import Engine, EngineInfo
    from envspin.model import FileSource, Topology
    from envspin.plan.planning import Plan
    from envspin.run.images import PullPolicy
    from envspin.run.runner import ServiceRun


MASK = b"***"

SWEEP_SECONDS = 5.0
"""How long a start that is ready waits for its sweep of what others left; the rest goes on beside it."""


class Environment:
    """A running environment; a context manager that tears it down at the end.

    Made by :meth:`up` (new) or :meth:`open` (one that is running already).
    """

    def __init__(
        self,
        engine: Engine,
        identity: Identity,
        services: Mapping[str, ServiceHandle],
        record: Record,
        *,
        notifier: Notifier | None = None,
        plan: Plan | None = None,
        contents: Mapping[str, bytes] | None = None,
    ) -> None:
        self.name = identity.env
        self.topology = identity.topology
        self.run_id = identity.run_id
        self.services = services
        self._record = record
        self._contents = contents or {}
        self.ready_seconds = record.ready_seconds
        self._plan = plan
        self._engine = engine
        self._identity = identity
        self._notifier = notifier or Notifier(Listener())
        self._owns_engine = False
        self._is_left_running = False
        self._removed: Counter[str] | None = None
        self._follower: LogFollower | None = None

    @classmethod
    def up(  # noqa: PLR0913 - the options of `envspin up`, each by name
        cls,
        topology: str | Path | Sequence[str | Path] | Topology = ".",
        *,
        name: str | None = None,
        only: Sequence[str] = (),
        stub: Sequence[str] = (),
        set: Mapping[str, str] | None = None,  # noqa: A002 - the word of the command line
        profiles: Sequence[str] = (),
        env_files: Sequence[str | Path] = (),
        timeout: float | None = None,
        ttl: float | None = None,
        locked: bool = False,
        pull: PullPolicy = "missing",
        keep_on_failure: bool = False,
        allow_unsafe: bool = False,
        engine: Engine | None = None,
        listener: Listener | None = None,
    ) -> Self:
        """Bring a topology up and return when every service is ready.

        ``topology`` is a folder, a Compose file, several files to merge, or a loaded Topology. ``only`` starts these
        services and what they need, ``stub`` puts declared stubs in place, ``set`` maps services to other images.
        ``timeout`` (seconds) bounds the whole, ``ttl`` how long the environment lives where nobody owns it. Images run
        as ``envspin.lock`` beside the topology says, where there is one; with ``locked`` it must hold all of them.

        Raises TopologyError, UsageError, LockError, NotReadyError, EnvspinTimeout, ImageError or EngineError;
        whatever it raises, everything that was created is removed first (unless ``keep_on_failure``).
        """
        loaded = load(topology, profiles=profiles, env_files=env_files, allow_unsafe=allow_unsafe)
        plan = make_locked_plan(loaded, Selection(tuple(only), tuple(stub), dict(set or {})), locked=locked)
        options = UpOptions(name, timeout, ttl, pull, keep_on_failure)
        with _closing_on_failure(engine) as used:
            environment = cls.bring_up(used, plan, options, listener or Listener())
        environment._owns_engine = engine is None  # noqa: SLF001 - made just now
        return environment

    @classmethod
    def bring_up(cls, engine: Engine, plan: Plan, options: UpOptions, listener: Listener) -> Self:
        """Do what ``up`` does with a plan that is made already; raises what that raises, but for the planning."""
        notifier = Notifier(listener)
        info = engine.info()
        check_platform(plan, info.platform)
        identity = Identity.new(plan.topology.name, name=options.name, ttl=options.ttl)
        sources, environ = _select_sources(plan), {**os.environ, **plan.topology.variables}
        check_inputs(plan.services, sources.values(), environ)
        contents = read_sources(sources, environ)
        if options.name is not None:
            require_free(engine, options.name)
        notifier.tell(RunStarted(identity.env, identity.topology, tuple(plan.services)))
        for problem in (*plan.topology.warnings, *warn_of_unlocked(plan)):
            notifier.tell(WarningRaised(problem))
        sweeper = threading.Thread(target=sweep_quietly, args=(engine,), name="envspin-sweep", daemon=True)
        sweeper.start()
        try:
            environment = cls._start(engine, info, plan, identity, contents, options, notifier)
            sweeper.join(SWEEP_SECONDS)  # in here, so that a Ctrl-C while it lasts still tears down
        except EnvspinError as error:
            notifier.tell(RunFailed(identity.env, error, notifier.elapsed()))
            end_failed(engine, identity, options, notifier, error)
            raise
        except BaseException:
            tear_down(engine, identity.env, notifier, run_id=identity.run_id)
            raise
        return environment

    @classmethod
    def _start(
        cls,
        engine: Engine,
        info: EngineInfo,
        plan: Plan,
        identity: Identity,
        contents: Mapping[str, bytes],
        options: UpOptions,
        notifier: Notifier,
    ) -> Self:
        host, cancelled = find_host(info), threading.Event()
        rules = ImageRules(
            topology=plan.topology.name,
            lock=find_lock(plan.topology),
            policy=options.pull,
            platform=info.platform,
            on_progress=lambda image, action, status, fraction: notifier.tell(
                ImageProgress(image, action, status, fraction, notifier.elapsed())
            ),
            is_cancelled=cancelled.is_set,
        )
        steps = Steps(engine, plan, identity, contents, host, rules, cancelled)
        timeout = options.timeout if options.timeout is not None else plan.topology.timeout
        runs = Runner(steps, notifier, timings.estimate_weights(plan)).run(timeout=timeout)
        ready_seconds = notifier.elapsed()
        handles = {name: _make_handle(engine, plan, run, host) for name, run in runs.items() if run.container_id}
        record = Record(
            env=identity.env,
            run_id=identity.run_id,
            ready_seconds=ready_seconds,
            exports=expand_exports(plan.topology.exports, handles, contents),
            masked_exports=expand_exports(plan.topology.exports, handles, dict.fromkeys(contents, MASK)),
            services={name: _make_service_record(plan, run) for name, run in runs.items()},
        )
        with suppress(OSError):  # without it only `env` and `ps` of other processes know less
            write_record(record)
        notifier.tell(RunReady(identity.env, ready_seconds, record.exports))
        timings.remember(plan, {name: run.seconds for name, run in runs.items() if run.ready_at is not None})
        return cls(engine, identity, handles, record, notifier=notifier, plan=plan, contents=contents)

    @classmethod
    def open(cls, name: str, *, engine: Engine | None = None) -> Self:
        """Return an environment that runs already, by its full name; leaving its context does not remove it.

        Raises UsageError where there is none of this name.
        """
        with _closing_on_failure(engine) as used:
            environment = cls._open(used, name)
        environment._owns_engine = engine is None  # noqa: SLF001 - made just now
        return environment

    @classmethod
    def _open(cls, engine: Engine, name: str) -> Self:
        resources = list_environment(engine, name)
        containers = [each for each in resources if each.kind == "container"]
        if not containers:
            raise UsageError(f"there is no environment {name!r}", hint="`envspin ls` lists them")
        labels = containers[0].labels
        identity = Identity(
            env=name,
            topology=labels.get(naming.TOPOLOGY, ""),
            run_id=labels.get(naming.RUN, ""),
            owner=labels.get(naming.OWNER, ""),
            expires=naming.read_expiry(labels) or 0.0,
        )
        record = read_record(name, identity.run_id) or Record(name, identity.run_id, ready_seconds=0.0)
        host = find_host(engine.info())
        handles = {}
        for each in sorted(containers, key=lambda container: container.labels.get(naming.SERVICE, "")):
            service = each.labels.get(naming.SERVICE, each.name)
            handles[service] = ServiceHandle(
                engine,
                service,
                each.id,
                host=host,
                record=record.services.get(service),
            )
        environment = cls(engine, identity, handles, record)
        environment._is_left_running = True
        return environment

    def __repr__(self) -> str:
        return f"<Environment {self.name}>"

    @property
    def engine(self) -> Engine:
        """The container engine that runs it."""
        return self._engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_left_running:
            self.close()
        elif self._owns_engine:
            self._engine.close()

    def __getitem__(self, service: str) -> ServiceHandle:
        """Return a service's handle; raise UsageError with the nearest name where there is none."""
        try:
            return self.services[service]
        except KeyError:
            message = f"environment {self.name} has no service {service!r}"
            raise UsageError(message, hint=suggest_name(service, self.services)) from None

    def replicas(self, service: str) -> list[ServiceHandle]:
        """Return all containers of a service, the first one first; raise UsageError where there is no such service."""
        others = [each for each in self.services.values() if each.replica_of == service]
        return [self[service], *sorted(others, key=lambda each: (len(each.name), each.name))]

    @property
    def exports(self) -> Mapping[str, str]:
        """The topology's exports, with the endpoints of now (a service that was restarted may have other ports)."""
        return self._record.exports if self._plan is None else self._expand(self._plan, self._contents)

    @property
    def masked_exports(self) -> Mapping[str, str]:
        """The exports with ``***`` for each secret, for what people and CI logs see."""
        masks = dict.fromkeys(self._contents, MASK)
        return self._record.masked_exports if self._plan is None else self._expand(self._plan, masks)

    def _expand(self, plan: Plan, contents: Mapping[str, bytes]) -> dict[str, str]:
        return expand_exports(plan.topology.exports, self.services, contents)

    @property
    def critical_path(self) -> list[str]:
        """The chain of services that took longest to start and become ready, first to start first.

        Empty for an environment that was not brought up by this process.
        """
        if self._plan is None:
            return []
        weights = {name: handle.seconds["start"] + handle.seconds["ready"] for name, handle in self.services.items()}
        return find_longest_path(find_dependencies(self._plan.services), weights)

    def variables(self) -> dict[str, str]:
        """Return what commands get: every export and ``ENVSPIN_<SERVICE>_HOST``, ``_PORT``, ``_PORT_<N>``."""
        return make_variables(self.name, self.services.values(), self.exports)

    def describe(self) -> dict[str, object]:
        """Return the document that ``envspin up -d --json`` prints."""
        return {
            "env": self.name,
            "topology": self.topology,
            "run_id": self.run_id,
            "ready_seconds": round(self.ready_seconds, 4),
            "services": {name: handle.describe() for name, handle in self.services.items()},
            "exports": dict(self.exports),
        }

    def detach(self, ttl: float | None = None) -> None:
        """Leave the environment running for ``ttl`` seconds (8 hours by default); close() still removes it."""
        grant_lease(self._engine, self._identity, expires=time.time() + (DEFAULT_TTL if ttl is None else ttl))
        self._is_left_running = True

    def follow_logs(
        self,
        services: Sequence[str] = (),
        *,
        tail: int | None = None,
        follow: bool = True,
        on_end: Callable[[str], None] | None = None,
    ) -> Iterator[tuple[str, str]]:
        """Yield ``(service, line)`` of these services (all by default) as they come.

        Ends when all their containers have stopped, or after :meth:`stop_following`. ``on_end`` is told the name of
        a service whose log has ended.
        """
        chosen = [self[name] for name in services] or list(self.services.values())
        containers = {handle.name: handle.container_id for handle in chosen}
        self._follower = LogFollower(self._engine, containers, tail=tail, follow=follow, on_end=on_end)
        return iter(self._follower)

    def stop_following(self) -> None:
        """End the iteration of :meth:`follow_logs`."""
        if self._follower is not None:
            self._follower.close()

    def close(self) -> Counter[str]:
        """Remove everything of the environment and return what was removed, by kind; a second call does nothing."""
        if self._removed is None:
            self.stop_following()
            self._removed = tear_down(self._engine, self.name, self._notifier, run_id=self.run_id)
            if self._owns_engine:
                self._engine.close()
        return self._removed


@contextmanager
def _closing_on_failure(engine: Engine | None) -> Iterator[Engine]:
    """Give the caller's engine, or one of our own that is closed again where something fails."""
    if engine is not None:
        yield engine
        return
    own = connect()
    try:
        yield own
    except BaseException:
        own.close()
        raise


def _select_sources(plan: Plan) -> dict[str, FileSource]:
    """Return the configs and secrets that the plan's services or exports use; others may be unset."""
    granted = {f"{grant.kind}:{grant.source}" for service in plan.services.values() for grant in service.grants}
    fields = [part for template in plan.topology.exports.values() for part in parse_template(template)]
    exported = {f"secret:{part.name}" for part in fields if isinstance(part, SecretField)}
    return {key: source for key, source in plan.topology.sources.items() if key in granted | exported}


def _make_handle(engine: Engine, plan: Plan, run: ServiceRun, host: str) -> ServiceHandle:
    return ServiceHandle(
        engine,
        run.name,
        str(run.container_id),
        host=host,
        service=plan.services[run.name],
        image=run.image,
        record=_make_service_record(plan, run),
    )


def _make_service_record(plan: Plan, run: ServiceRun) -> ServiceRecord:
    service = plan.services[run.name]
    ports = [str(port) for port in known_ports(service, run.image.ports if run.image is not None else ())]
    return ServiceRecord(**run.seconds, started_at=run.started_at, ready_at=run.ready_at, job=service.job, ports=ports)
