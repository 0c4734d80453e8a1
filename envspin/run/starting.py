"""One start: from a plan to services that are ready, with a journal for the watcher and a watch on the events."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from envspin.events import (
    EngineLost,
    EngineReturned,
    ImageProgress,
    ResourceAwaited,
    RunReady,
    RunStarted,
    WarningRaised,
)
from envspin.plan.readiness import known_ports
from envspin.run import timings
from envspin.run.access import find_host
from envspin.run.clearing import end_failed, leave_running, require_free, sweep_quietly, tear_down
from envspin.run.exports import expand_exports
from envspin.run.files import read_sources
from envspin.run.images import ImageRules
from envspin.run.locks import check_platform, find_lock, warn_of_unlocked
from envspin.run.naming import DEFAULT_TTL, Identity
from envspin.run.notifier import Notifier
from envspin.run.ownership import read_host
from envspin.run.preflight import check_inputs
from envspin.run.record import Record, ServiceRecord, write_record
from envspin.run.runner import Runner
from envspin.run.scarcity import NetworkMaker
from envspin.run.service import ServiceHandle
from envspin.run.steps import Steps
from envspin.run.watch import Watch
from envspin.run.watcher.journal import open_journal
from envspin.topology.templates import SecretField, parse_template

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from envspin.engine.base import Engine, EngineInfo
    from envspin.errors import EnvspinError
    from envspin.events import Listener
    from envspin.model import FileSource
    from envspin.plan.planning import Plan
    from envspin.run.clearing import UpOptions
    from envspin.run.runner import ServiceRun
    from envspin.run.watcher.journal import Journal

MASK = b"***"

SWEEP_SECONDS = 5.0
"""How long a start that is ready waits for its sweep of what others left; the rest goes on beside it."""


@dataclass(frozen=True, slots=True)
class Start:
    """What is known of an environment before its first object exists, and what is done for all of it."""

    engine: Engine
    info: EngineInfo
    plan: Plan
    identity: Identity
    contents: Mapping[str, bytes]
    """Configs and secrets, read."""
    options: UpOptions
    notifier: Notifier
    journal: Journal

    @classmethod
    def prepare(cls, engine: Engine, plan: Plan, options: UpOptions, listener: Listener) -> Self:
        """Find what is wrong before anything is made, and have a watcher started.

        Raises TopologyError, UsageError, LockError or EngineError.
        """
        notifier = Notifier(listener)
        info = engine.info()
        check_platform(plan, info.platform)
        identity = Identity.new(plan.topology.name, name=options.name, ttl=options.ttl)
        sources, environ = _select_sources(plan), {**os.environ, **plan.topology.variables}
        check_inputs(plan.services, sources.values(), environ)
        contents = read_sources(sources, environ)
        if options.name is not None:
            require_free(engine, options.name)
        journal = open_journal(info, identity)
        notifier.tell(RunStarted(identity.env, identity.topology, tuple(plan.services)))
        for problem in (*plan.topology.warnings, *warn_of_unlocked(plan)):
            notifier.tell(WarningRaised(problem))
        return cls(engine, info, plan, identity, contents, options, notifier, journal)

    def open_watch(self) -> Watch:
        """Subscribe to the engine's events of this run; raise EngineError."""
        return Watch(self.engine, self.identity.run_id, self._tell_of_engine)

    def _tell_of_engine(self, reason: str | None) -> None:
        env, now = self.identity.env, self.notifier.elapsed()
        self.notifier.tell(EngineReturned(env, now) if reason is None else EngineLost(env, reason, now))

    def run(self, watch: Watch) -> tuple[dict[str, ServiceHandle], Record]:
        """Bring everything up beside a sweep of what others left; return handles and record.

        Raises what :meth:`Runner.run` raises.
        """
        sweeper = threading.Thread(target=sweep_quietly, args=(self.engine,), name="envspin-sweep", daemon=True)
        sweeper.start()
        host = find_host(self.info)
        timeout = self.options.timeout if self.options.timeout is not None else self.plan.topology.timeout
        runner = Runner(self._make_steps(host, timeout), self.notifier, timings.estimate_weights(self.plan), watch)
        runs = runner.run(timeout=timeout)
        ready_seconds = self.notifier.elapsed()
        handles = {name: self._make_handle(run, host) for name, run in runs.items() if run.container_id}
        record = self._make_record(runs, handles, ready_seconds)
        with suppress(OSError):  # without it only `env` and `ps` of other processes know less
            write_record(record)
        self.notifier.tell(RunReady(self.identity.env, ready_seconds, record.exports))
        timings.remember(self.plan, {name: run.seconds for name, run in runs.items() if run.ready_at is not None})
        sweeper.join(SWEEP_SECONDS)
        return handles, record

    def _make_steps(self, host: str, timeout: float | None) -> Steps:
        cancelled, notifier = threading.Event(), self.notifier
        rules = ImageRules(
            topology=self.plan.topology.name,
            lock=find_lock(self.plan.topology),
            policy=self.options.pull,
            platform=self.info.platform,
            on_progress=lambda image, action, status, fraction: notifier.tell(
                ImageProgress(image, action, status, fraction, notifier.elapsed())
            ),
            is_cancelled=cancelled.is_set,
        )
        return Steps(
            self.engine,
            self.plan,
            self.identity,
            self.contents,
            host,
            rules,
            cancelled,
            journal=self.journal,
            no_wait=self.options.no_wait,
            on_wait=lambda what: notifier.tell(ResourceAwaited(what, notifier.elapsed())),
            timeout=timeout,
            networks=NetworkMaker(engine_is_local=self.info.is_local),
        )

    def _make_handle(self, run: ServiceRun, host: str) -> ServiceHandle:
        return ServiceHandle(
            self.engine,
            run.name,
            str(run.container_id),
            host=host,
            service=self.plan.services[run.name],
            image=run.image,
            record=self._make_service_record(run),
        )

    def _make_service_record(self, run: ServiceRun) -> ServiceRecord:
        service = self.plan.services[run.name]
        ports = [str(port) for port in known_ports(service, run.image.ports if run.image is not None else ())]
        return ServiceRecord(
            **run.seconds, started_at=run.started_at, ready_at=run.ready_at, job=service.job, ports=ports
        )

    def _make_record(
        self, runs: Mapping[str, ServiceRun], handles: Mapping[str, ServiceHandle], ready_seconds: float
    ) -> Record:
        return Record(
            env=self.identity.env,
            run_id=self.identity.run_id,
            ready_seconds=ready_seconds,
            exports=self.expand_exports(handles),
            masked_exports=self.expand_exports(handles, is_masked=True),
            services={name: self._make_service_record(run) for name, run in runs.items()},
            engine=self.info.address,
            host=read_host(),
        )

    def expand_exports(self, handles: Mapping[str, ServiceHandle], *, is_masked: bool = False) -> dict[str, str]:
        """Return the topology's exports with the endpoints of now, and ``***`` for secrets where they are masked."""
        contents = dict.fromkeys(self.contents, MASK) if is_masked else self.contents
        return expand_exports(self.plan.topology.exports, handles, contents)

    def end_failed(self, error: EnvspinError) -> None:
        """Tell of a failure and remove what was made, or leave it for a look."""
        self.notifier.tell_failure(self.identity.env, error)
        end_failed(self.engine, self.identity, self.options, self.notifier, error, self.journal)

    def tear_down(self) -> Counter[str]:
        """Remove everything that this run made; raise EngineError where the watcher has to go on with it."""
        env, run_id = self.identity.env, self.identity.run_id
        return tear_down(self.engine, env, self.notifier, run_id=run_id, journal=self.journal)

    def leave_running(self, ttl: float | None) -> None:
        """Let the environment outlive its owner for ``ttl`` seconds; raise EngineError."""
        expires = time.time() + (DEFAULT_TTL if ttl is None else ttl)
        leave_running(self.engine, self.identity, expires, self.journal)


def _select_sources(plan: Plan) -> dict[str, FileSource]:
    """Return the configs and secrets that the plan's services or exports use; others may be unset."""
    granted = {f"{grant.kind}:{grant.source}" for service in plan.services.values() for grant in service.grants}
    fields = [part for template in plan.topology.exports.values() for part in parse_template(template)]
    exported = {f"secret:{part.name}" for part in fields if isinstance(part, SecretField)}
    return {key: source for key, source in plan.topology.sources.items() if key in granted | exported}
