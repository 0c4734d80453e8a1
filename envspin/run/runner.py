"""The thread shell around the frontier: takes what may begin, hands it to workers, waits for the first that ends.

One thread (the caller's) owns all scheduling state; workers return values. The first failure cancels everything; the
pool is drained before the caller tears down, so that no create is still under way then.
"""

from __future__ import annotations

import os
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envspin.engine.base import ContainerInfo, ImageInfo
from envspin.errors import EngineUnreachableError, EnvspinError, EnvspinTimeout
from envspin.events import ServiceChanged
from envspin.plan.frontier import Frontier
from envspin.plan.readiness import choose_probes
from envspin.run.diagnostics import Trouble, describe_waiting, diagnose, read_last_lines
from envspin.run.probes import describe
from envspin.run.signals import shielded
from envspin.run.steps import Created, Proved, Started, StepFailed, describe_end

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envspin.events import ServiceState
    from envspin.plan.planning import Operation
    from envspin.run.notifier import Notifier
    from envspin.run.steps import Steps
    from envspin.run.watch import Vigil, Watch

STARTS_PER_CORE = 2
"""Containers started at once for each core: measured, two to four at once pay on two cores, eight cost."""

CREATES_AT_ONCE = 8

UNREADY_LOG_LINES = 5
"""Log lines of each service that is still awaited when the overall deadline passes."""


@dataclass(slots=True)
class ServiceRun:
    """What a run knows of one service; written by the runner's thread only."""

    name: str
    image: ImageInfo | None = None
    container_id: str | None = None
    state: ServiceState = "waiting"
    awaited: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    started_at: float | None = None
    ready_at: float | None = None


class Runner:
    """Brings the services of one plan up."""

    def __init__(self, steps: Steps, notifier: Notifier, weights: Mapping[str, float], watch: Watch) -> None:
        self._steps = steps
        self._watch = watch
        watch.on_stop = self._note_stop
        self._plan = steps.plan
        self._notifier = notifier
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        limits = {"start": max(2, STARTS_PER_CORE * cores), "create": CREATES_AT_ONCE}
        self._frontier = Frontier(self._plan.operations, weights=weights, limits=limits)
        self._image_of = {name: source.key for source in self._plan.images.values() for name in source.services}
        self._images: dict[str, ImageInfo] = {}
        self.services = {name: ServiceRun(name) for name in self._plan.services}
        # The watch's thread appends services that stopped after they had proved ready, then resolves the alarm.
        self._stopped: deque[str] = deque()
        self._alarm: Future[None] = Future()
        self._vigils: dict[str, Vigil] = {}
        self._reasons: dict[str, str] = {}
        """How each service's probe last failed; each key is written by that service's worker alone."""
        self._containers: dict[str, ContainerInfo] = {}

    def run(self, *, timeout: float | None) -> dict[str, ServiceRun]:
        """Return once every service is ready.

        Raises the diagnosis (NotReadyError, ImageError, EngineError) of the first that fails, EnvspinTimeout after
        ``timeout`` seconds. When it raises, no worker is at work any more.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pool = ThreadPoolExecutor(max(4, 2 * len(self._plan.operations)), thread_name_prefix="envspin-run")
        try:
            self._drive(pool, deadline, timeout)
        except EnvspinError as error:
            self._notifier.tell_failure(self._steps.identity.env, error)  # what is under way may take its time
            raise
        finally:
            self._steps.cancelled.set()
            self._watch.call_off()
            with shielded():  # what is being created must be there, or not, before anything is removed
                pool.shutdown(wait=True, cancel_futures=True)
        return self.services

    def _drive(self, pool: ThreadPoolExecutor, deadline: float | None, timeout: float | None) -> None:
        futures: dict[Future[object], Operation] = {}
        while not self._frontier.is_finished:
            for operation in self._frontier.take():
                futures[self._submit(pool, operation)] = operation
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                raise self._explain_timeout(timeout)
            awaited: list[Future[Any]] = [*futures, self._alarm]
            done, _ = wait(awaited, timeout=remaining, return_when=FIRST_COMPLETED)
            for future in done:
                if future is self._alarm:
                    self._alarm = Future()
                    while self._stopped:
                        self._fail_after_ready(self._stopped.popleft())
                else:
                    self._settle(futures.pop(future), future)

    def _submit(self, pool: ThreadPoolExecutor, operation: Operation) -> Future[object]:
        steps, subject = self._steps, operation.subject
        if operation.kind == "network":
            return pool.submit(steps.make_network, subject)
        if operation.kind == "volume":
            return pool.submit(steps.make_volume, subject)
        if operation.kind == "image":
            return pool.submit(steps.have_image, self._plan.images[subject])
        service, run = self._plan.services[subject], self.services[subject]
        image = self._images[self._image_of[subject]]
        run.image = image
        if operation.kind == "create":
            return pool.submit(steps.create, service, image)
        if operation.kind == "start":
            self._vigils[subject] = self._watch.begin(subject, str(run.container_id))
            self._tell(run, "starting")
            return pool.submit(steps.start, service, str(run.container_id))
        probes = choose_probes(service, image.healthcheck, image.ports)
        run.awaited = " and ".join(describe(probe) for probe in probes)
        self._tell(run, "started", run.awaited)
        vigil = self._vigils[subject]

        def note(_description: str, reason: str) -> None:
            self._reasons[subject] = reason

        return pool.submit(steps.await_ready, service, image, probes, self._containers[subject], vigil, note)

    def _settle(self, operation: Operation, future: Future[object]) -> None:
        """Take a finished operation's value, or turn its failure into the diagnosis of the run."""
        try:
            value = future.result()
        except StepFailed as error:
            self._fail(operation, error.trouble)
        except EnvspinError as error:
            if not self._do_without(operation, error):
                raise self._place(operation, error) from None
        else:
            self._merge(operation, value)
            self._frontier.complete(operation.id)

    def _merge(self, operation: Operation, value: object) -> None:
        if isinstance(value, ImageInfo):
            self._images[operation.subject] = value
            return
        run = self.services.get(operation.subject)
        if run is None:
            return
        now = self._notifier.elapsed()
        if isinstance(value, Created):
            run.container_id = value.container_id
            run.seconds["create"] = value.seconds
            self._tell(run, "created")
        elif isinstance(value, Started):
            self._containers[run.name] = value.container
            run.seconds["start"] = value.seconds
            run.started_at = now
        elif isinstance(value, Proved):
            run.seconds["ready"] = value.seconds
            run.ready_at = now
            self._tell(run, "ready")
            if self._has_ended_badly(run.name):
                self._fail_after_ready(run.name)

    def _fail(self, operation: Operation, trouble: Trouble) -> None:
        """Raise the diagnosis, unless every dependent can do without this service."""
        run = self.services[trouble.service]
        self._tell(run, "failed", trouble.what)
        if trouble.service not in self._plan.optional:
            raise diagnose(self._steps.engine, self._plan, trouble, run.container_id)
        for skipped in self._frontier.fail(operation.id):
            if skipped.operation.subject != trouble.service and skipped.operation.kind == "start":
                self._tell(self.services[skipped.operation.subject], "skipped", f"needs {trouble.service}")

    def _do_without(self, operation: Operation, error: EnvspinError) -> bool:
        """Skip services that nobody requires where an operation for nobody else failed; tell whether that is so."""
        source = self._plan.images.get(operation.subject) if operation.kind == "image" else None
        affected = source.services if source is not None else (operation.subject,)
        if isinstance(error, EngineUnreachableError) or not self._plan.optional.issuperset(affected):
            return False
        for name in affected:
            self._tell(self.services[name], "failed", error.message)
        self._frontier.fail(operation.id)
        return True

    def _place(self, operation: Operation, error: EnvspinError) -> EnvspinError:
        """Say for which services an operation of no single service (an image, a network) failed."""
        if operation.kind == "image":
            services = self._plan.images[operation.subject].services
            waiting = [text for text in (describe_waiting(self._plan, name) for name in services) if text]
            lines = [f"needed by: {', '.join(services)}", *(f"waiting for it: {text}" for text in waiting)]
            error.context = (*error.context, *lines)
        elif operation.subject in self.services:
            error.context = (*error.context, f"service: {operation.subject} ({operation.kind})")
        return error

    def _note_stop(self, service: str, _vigil: Vigil) -> None:
        """Raise the alarm where a service stopped that was ready already; called by the watch's thread.

        The vigil is marked before this call, and the runner's thread looks at it after it has noted readiness: one of
        the two sees the other, so that a stop in between is not lost.
        """
        if self.services[service].ready_at is not None and self._has_ended_badly(service):
            self._stopped.append(service)
            with suppress(InvalidStateError):
                self._alarm.set_result(None)

    def _has_ended_badly(self, service: str) -> bool:
        vigil = self._vigils[service]
        return vigil.has_stopped and not (self._plan.services[service].job and vigil.exit_code == 0)

    def _fail_after_ready(self, service: str) -> None:
        trouble = Trouble(service, f"{describe_end(self._vigils[service])} after it had been ready")
        self._tell(self.services[service], "failed", trouble.what)
        if service not in self._plan.optional:
            raise diagnose(self._steps.engine, self._plan, trouble, self.services[service].container_id)

    def _explain_timeout(self, timeout: float | None) -> EnvspinTimeout:
        unready = [run for run in self.services.values() if run.ready_at is None]
        waits = self._steps.waits.look()
        containers = {run.name: run.container_id for run in unready if run.awaited and run.container_id}
        logs = read_last_lines(self._steps.engine, containers, count=UNREADY_LOG_LINES)
        lines = [f"still waiting: {what}" for what, _ in waits]
        lines += [line for run in unready for line in self._describe_unready(run, logs.get(run.name, []))]
        patience = "raise --timeout (or the topology's x-envspin.timeout); `envspin plan` shows the critical path"
        hint = "; or ".join([*dict.fromkeys(advice for _, advice in waits), patience])
        return EnvspinTimeout(f"the environment was not ready after {timeout:g} s", context=lines, hint=hint)

    def _describe_unready(self, run: ServiceRun, log: Sequence[str]) -> list[str]:
        reason = self._reasons.get(run.name, "")
        awaited = f", awaiting {run.awaited}{f': {reason}' if reason else ''}" if run.awaited else ""
        waiting = describe_waiting(self._plan, run.name) if run.awaited else ""
        tail = [f"  waiting for it: {waiting}"] if waiting else []
        return [f"{run.name}: {run.state}{awaited}", *(f"  | {line}" for line in log), *tail]

    def _tell(self, run: ServiceRun, state: ServiceState, detail: str = "") -> None:
        run.state = state
        self._notifier.tell(ServiceChanged(run.name, state, self._notifier.elapsed(), detail))
