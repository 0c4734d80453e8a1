"""An environment: brought up from a topology, used, and gone afterwards."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from envspin.errors import EnvspinError, UsageError
from envspin.events import Listener
from envspin.plan.selection import Selection, suggest_name
from envspin.plan.traversal import find_dependencies, find_longest_path
from envspin.run import naming
from envspin.run.access import find_host
from envspin.run.clearing import UpOptions, tear_down
from envspin.run.exports import make_variables
from envspin.run.following import LogFollower
from envspin.run.janitor import list_environment
from envspin.run.locks import make_locked_plan
from envspin.run.naming import Identity
from envspin.run.notifier import Notifier
from envspin.run.opening import connect, load
from envspin.run.record import Record, read_record
from envspin.run.service import ServiceHandle
from envspin.run.signals import shielded
from envspin.run.starting import Start

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from envspin.engine.base import Engine
    from envspin.model import Topology
    from envspin.plan.planning import Plan
    from envspin.run.images import PullPolicy
    from envspin.run.watch import Watch


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
        start: Start | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.name = identity.env
        self.topology = identity.topology
        self.run_id = identity.run_id
        self.services = services
        self.ready_seconds = record.ready_seconds
        self._record = record
        self._engine = engine
        self._start = start
        """How it was brought up; None where another process did that."""
        self._watch = watch
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
        no_wait: bool = False,
        allow_unsafe: bool = False,
        engine: Engine | None = None,
        listener: Listener | None = None,
    ) -> Self:
        """Bring a topology up and return when every service is ready.

        ``topology`` is a folder, a Compose file, several files to merge, or a loaded Topology. ``only`` starts these
        services and what they need, ``stub`` puts declared stubs in place, ``set`` maps services to other images.
        ``timeout`` (seconds) bounds the whole, ``ttl`` how long the environment lives where nobody owns it. Images run
        as ``envspin.lock`` beside the topology says, where there is one; with ``locked`` it must hold all of them.
        Where the engine has no subnet or port left, others' are waited for, unless ``no_wait``.

        Raises TopologyError, UsageError, LockError, NotReadyError, EnvspinTimeout, ImageError or EngineError;
        whatever it raises, everything that was created is removed first (unless ``keep_on_failure``).
        """
        loaded = load(topology, profiles=profiles, env_files=env_files, allow_unsafe=allow_unsafe)
        plan = make_locked_plan(loaded, Selection(tuple(only), tuple(stub), dict(set or {})), locked=locked)
        options = UpOptions(name, timeout, ttl, pull, keep_on_failure, no_wait)
        with _closing_on_failure(engine) as used:
            environment = cls.bring_up(used, plan, options, listener or Listener())
        environment._owns_engine = engine is None  # noqa: SLF001 - made just now
        return environment

    @classmethod
    def bring_up(cls, engine: Engine, plan: Plan, options: UpOptions, listener: Listener) -> Self:
        """Do what ``up`` does with a plan that is made already; raises what that raises, but for the planning."""
        start, watch = Start.prepare(engine, plan, options, listener), None
        try:
            watch = start.open_watch()
            handles, record = start.run(watch)
        except EnvspinError as error:
            with shielded():
                _close(watch)
                start.end_failed(error)
            raise
        except BaseException:
            with shielded():
                _close(watch)
                start.tear_down()
            raise
        return cls(engine, start.identity, handles, record, start=start, watch=watch)

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
        identity = Identity.read(containers[0].labels)
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
        return self._record.exports if self._start is None else self._start.expand_exports(self.services)

    @property
    def masked_exports(self) -> Mapping[str, str]:
        """The exports with ``***`` for each secret, for what people and CI logs see."""
        if self._start is None:
            return self._record.masked_exports
        return self._start.expand_exports(self.services, is_masked=True)

    @property
    def critical_path(self) -> list[str]:
        """The chain of services that took longest to start and become ready, first to start first.

        Empty for an environment that was not brought up by this process.
        """
        if self._start is None:
            return []
        weights = {name: handle.seconds["start"] + handle.seconds["ready"] for name, handle in self.services.items()}
        return find_longest_path(find_dependencies(self._start.plan.services), weights)

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

    @property
    def is_engine_lost(self) -> bool:
        """Whether the engine does not answer any more; an environment that another process made does not notice."""
        return self._watch is not None and self._watch.is_engine_lost

    def detach(self, ttl: float | None = None) -> None:
        """Leave the environment running for ``ttl`` seconds (8 hours by default); close() still removes it."""
        if self._start is not None:
            self._start.leave_running(ttl)
        _close(self._watch)
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
        """Remove everything of the environment and return what was removed, by kind; a second call does nothing.

        Raises EngineError where the engine is away or does not remove something; where this process made the
        environment, the watcher goes on with that.
        """
        if self._removed is None:
            try:
                with shielded():
                    self.stop_following()
                    _close(self._watch)
                    self._removed = self._remove()
            finally:
                if self._owns_engine:
                    self._engine.close()
        return self._removed

    def _remove(self) -> Counter[str]:
        if self._start is not None:
            return self._start.tear_down()
        return tear_down(self._engine, self.name, Notifier(Listener()), run_id=self.run_id)


def _close(watch: Watch | None) -> None:
    if watch is not None:
        watch.close()


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
