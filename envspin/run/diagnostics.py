"""Why a service is not ready: what happened, what was awaited, its last words, who waited for it, what to try."""

from __future__ import annotations

import re
from concurrent.futures import wait
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from envspin.errors import EngineError, NotReadyError
from envspin.plan.traversal import collect_reachable, find_dependencies
from envspin.run.daemons import DaemonExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envspin.engine.base import ContainerInfo, Engine
    from envspin.plan.planning import Plan

LOG_LINES = 20
LOOK_SECONDS = 1.0
"""How long all looks of a diagnosis may take together: an engine that is slow must not hold the news back."""
LOOKS_AT_ONCE = 8
KILLED = 137
NOT_EXECUTABLE = 126
NOT_FOUND = 127


KEEP_HINT = "--keep-on-failure leaves everything in place for a look with `envspin logs` and `envspin exec`"
"""For who has not asked for that."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is known of a service that failed: the awaited probes with their last answers, and the sentence to say."""

    service: str
    what: str
    awaited: tuple[str, ...] = ()
    """Each ``description: reason``."""


_KNOWN_WORDS = (
    (r"address already in use", "two processes in the container want the same port"),
    (
        r"could not translate host name|name or service not known|temporary failure in name resolution|no such host",
        "it looks up a host that does not resolve: only services on a common network resolve, under their names",
    ),
    (r"connection refused", "it calls something that does not listen yet: name it under `depends_on`"),
    (r"permission denied|operation not permitted", "it lacks a permission: check `user`, `cap_add` and the mounts"),
    (r"no space left on device", "the engine's disk is full: see `docker system df`"),
    (r"password authentication failed|access denied|access_refused", "the credentials differ between the services"),
    (r"exec format error", "the image is for another platform: set `platform`, or use a multi-platform image"),
    (r"no such file or directory|command not found", "a file or command is missing: check `command` and the mounts"),
)


def diagnose(engine: Engine, plan: Plan, trouble: Trouble, container_id: str | None) -> NotReadyError:
    """Look at the service's container while it still exists and put the whole explanation together."""
    looks: dict[str, Callable[[], Any]] = {
        "end": partial(_inspect, engine, container_id),
        "log": partial(_read_log, engine, container_id, LOG_LINES),
    }
    found = _look(looks)
    container, log = found.get("end"), found.get("log")
    message = f"service {trouble.service!r} {_say_what(trouble, container)}"
    context = [f"awaited: {each}" for each in trouble.awaited]
    context += _describe_end(container)
    context += _describe_log(log)
    waiting = describe_waiting(plan, trouble.service)
    if waiting:
        context.append(f"waiting for it: {waiting}")
    return NotReadyError(
        message, service=trouble.service, context=context, hint=suggest(plan, trouble, container, "\n".join(log or ()))
    )


def _inspect(engine: Engine, container_id: str | None) -> ContainerInfo | None:
    try:
        return engine.inspect(container_id) if container_id else None
    except EngineError:
        return None  # gone, or the engine with it: the trouble is still worth telling


def _read_log(engine: Engine, container_id: str | None, count: int) -> list[str] | None:
    try:
        return list(engine.logs(container_id, tail=count)) if container_id else []
    except EngineError:
        return None


def _describe_log(log: list[str] | None) -> list[str]:
    if log is None:
        return ["what it wrote could not be read"]
    return ["last output:", *(f"  | {line}" for line in log)] if log else ["it wrote no output"]


def read_last_lines(engine: Engine, containers: Mapping[str, str], *, count: int) -> dict[str, list[str]]:
    """Return by name the last lines that containers wrote; none of one that has gone, or is not told of in time."""
    found = _look({name: partial(_read_log, engine, each, count) for name, each in containers.items()})
    return {name: log for name, log in found.items() if log is not None}


def _look(looks: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Look side by side; return what is seen in time."""
    pool = DaemonExecutor(min(len(looks), LOOKS_AT_ONCE), name="envspin-look")
    futures = {name: pool.submit(look) for name, look in looks.items()}
    done, _ = wait(futures.values(), timeout=LOOK_SECONDS)
    pool.shutdown(wait=False, cancel_futures=True)
    return {name: future.result() for name, future in futures.items() if future in done}


def _say_what(trouble: Trouble, container: ContainerInfo | None) -> str:
    if container is not None and container.oom_killed:
        return "was killed because it ran out of memory"
    return trouble.what


def _describe_end(container: ContainerInfo | None) -> list[str]:
    if container is None or container.is_running:
        return []
    lines = [] if container.exit_code is None else [f"exit code: {container.exit_code}{_explain_code(container)}"]
    return [*lines, f"engine: {container.error}"] if container.error else lines


def _explain_code(container: ContainerInfo) -> str:
    if container.oom_killed:
        return " (out of memory)"
    meanings = {KILLED: " (killed)", NOT_EXECUTABLE: " (not executable)", NOT_FOUND: " (command not found)"}
    return meanings.get(container.exit_code or 0, "")


def describe_waiting(plan: Plan, service: str) -> str:
    """Name the services that waited for this one, nearest first, as chains: ``api -> web, worker``."""
    needs = find_dependencies(plan.services)
    dependents: dict[str, list[str]] = {name: [] for name in needs}
    for name, others in needs.items():
        for other in others:
            dependents[other].append(name)
    nearest = dependents.get(service, [])
    chains = []
    told: set[str] = set(nearest)
    for name in nearest:
        further = sorted(collect_reachable(dependents, [name]) - told)
        told.update(further)
        chains.append(" -> ".join([name, *([", ".join(further)] if further else [])]))
    return "; ".join(chains)


def suggest(plan: Plan, trouble: Trouble, container: ContainerInfo | None, log: str) -> str:
    """Say what to try, from what is known of the failure and from words in the log."""
    service = plan.services[trouble.service]
    if container is not None and container.oom_killed:
        return f"raise services.{service.name}.mem_limit, or give the engine more memory"
    said = "\n".join((*trouble.awaited, trouble.what, container.error if container else "", log)).lower()
    if container is not None and not container.is_running:
        if container.exit_code == 0 and not service.job:
            return f"if it is a task that ends, say so: services.{service.name}.x-envspin: {{job: true}}"
        if container.exit_code in {NOT_FOUND, NOT_EXECUTABLE}:
            return f"check services.{service.name}.command and entrypoint: the image has no such program"
    for pattern, advice in _KNOWN_WORDS:
        if container is not None and not container.is_running and re.search(pattern, said):
            return advice
    if trouble.awaited and container is not None and container.is_running:
        return (
            f"if it only needs longer, raise services.{service.name}.x-envspin.timeout; if it never listens there, "
            f"check the probe's port; {KEEP_HINT}"
        )
    return KEEP_HINT
