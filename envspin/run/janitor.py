"""What has to go, and its removal: exactly by id, from labels read a moment before, never by a prune.

``find_reason`` decides over listed resources, a clock and a judge of owners alone, so that a sweep at start, ``gc``,
``ls`` and ``doctor`` judge alike. An environment that was left running on purpose holds a *lease*: a small labelled
volume that says until when (labels of containers cannot be changed, a lease can be replaced).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from concurrent.futures import wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar
from zlib import crc32

from envspin.engine.base import Resource, VolumeSpec
from envspin.errors import EngineError, EngineUnreachableError, UnansweredError
from envspin.run import naming
from envspin.run.clock import read_clock, read_number
from envspin.run.daemons import DaemonExecutor
from envspin.run.departures import Departures, find_common_labels
from envspin.run.machine_lock import machine_lock
from envspin.run.ownership import Liveness, judge
from envspin.run.record import forget_record
from envspin.run.watcher.journal import NoJournal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Executor, Future
    from contextlib import AbstractContextManager

    from envspin.engine.base import Engine, EngineInfo
    from envspin.run.clock import Clock
    from envspin.run.naming import Identity
    from envspin.run.watcher.journal import Journal

REMOVALS_AT_ONCE = 8
SWEEPS_AT_ONCE = 4
RUN_LOCKS = 16
RUN_LOCK_SECONDS = 2.0
REMOVAL_ATTEMPTS = 5
ATTEMPT_SECONDS = 0.2
"""How often something is removed that is listed again afterwards, and the time between."""

UNHEARD = (UnansweredError, EngineUnreachableError)

Group = TypeVar("Group")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why nobody wants something any more."""

    kind: Literal["owner dead", "lease over", "time over"]
    """``time over`` is said of what has an owner that cannot be judged from here."""
    seconds: float | None = None
    """How long ago its lease or time ended."""


@dataclass(frozen=True, slots=True)
class Doomed:
    """A run that nobody wants any more, and everything that belongs to it."""

    env: str
    run_id: str
    resources: tuple[Resource, ...]
    reason: Reason


def group_by_environment(resources: Iterable[Resource]) -> dict[str, list[Resource]]:
    """Sort resources by the environment that they are part of; those that only look like one's are left out."""
    groups: dict[str, list[Resource]] = {}
    for resource in filter(naming.is_ours, resources):
        groups.setdefault(resource.labels[naming.ENV], []).append(resource)
    return groups


def find_reason(resources: Iterable[Resource], clock: Clock, judge_owner: Callable[[str], Liveness]) -> Reason | None:
    """Return why a group of resources is doomed; None where somebody may want it.

    Doomed is what has a dead owner and no lease that still runs, what has an owner that cannot be judged and is past
    its expiry, and what had a lease that is over. An expiry that cannot be read dooms nothing.
    """
    found = list(resources)
    leases = list(filter(naming.is_lease, found))
    if leases:
        return _find_end("lease over", leases, clock)
    owners = {judge_owner(owner) for owner in {each.labels.get(naming.OWNER, "") for each in found}}
    if Liveness.ALIVE in owners:
        return None
    return Reason("owner dead") if owners == {Liveness.DEAD} else _find_end("time over", found, clock)


def _find_end(kind: Literal["lease over", "time over"], resources: list[Resource], clock: Clock) -> Reason | None:
    lefts = [naming.measure_left(each.labels, clock) for each in resources]
    known = [left for left in lefts if left is not None]
    if not known or len(known) < len(lefts) or max(known) >= 0:
        return None
    return Reason(kind, -max(known))


def measure_lease(resources: Iterable[Resource], clock: Clock) -> float | None:
    """Return the seconds until the last lease ends, negative after it; None where there is none, or none that tells."""
    leases = filter(naming.is_lease, resources)
    lefts = [naming.measure_left(each.labels, clock) for each in leases]
    return max((left for left in lefts if left is not None), default=None)


def find_leased(groups: Mapping[Group, list[Resource]]) -> set[Group]:
    """Return the groups that hold a lease, whether it still runs or is over: they were left running on purpose."""
    return {name for name, found in groups.items() if any(map(naming.is_lease, found))}


def remove_environment(
    engine: Engine, name: str, *, run_id: str | None = None, resources: list[Resource] | None = None
) -> Counter[str]:
    """Remove everything of one environment and count it by kind; containers first, side by side.

    With ``run_id`` only what that run made: another environment may have taken the name since. Lists again until
    nothing is found, because an object that was being created when its owner ended may appear late. Raises
    EngineError for the first object that cannot be removed, after trying all, and for one that the engine still lists
    after it has said that it was removed.
    """
    removed: Counter[str] = Counter()
    attempts: Counter[str] = Counter()
    pending = list_environment(engine, name, run_id) if resources is None else resources
    while pending:
        stubborn = [f"{each.kind} {each.name}" for each in pending if attempts[each.id] >= REMOVAL_ATTEMPTS]
        if stubborn:
            raise EngineError(f"the engine still lists what it was told to remove: {', '.join(stubborn)}")
        attempts.update(each.id for each in pending)
        removed += remove_resources(engine, pending)
        pending = list_environment(engine, name, run_id)
        if any(attempts[each.id] for each in pending):
            time.sleep(ATTEMPT_SECONDS)
    forget_record(name, run_id)
    return removed


def list_environment(engine: Engine, name: str, run_id: str | None = None) -> list[Resource]:
    """List everything that is part of this environment, and of this run where one is given."""
    labels: dict[str, str | None] = {naming.ENV: name} if run_id is None else {naming.ENV: name, naming.RUN: run_id}
    return list(filter(naming.is_ours, engine.list_resources(labels)))


def remove_resources(engine: Engine, resources: list[Resource]) -> Counter[str]:
    """Remove these and count them by kind.

    Containers go before what they use, and are killed before what they depend on. Raises EngineError for the first
    that cannot be removed, after trying all.
    """
    # Leases go at once: if this process is killed half-way, the next sweep may then go on with what is left.
    first = list(filter(naming.is_lease, resources))
    levels = _sort_by_depth(each for each in resources if each.kind == "container")
    rest = [each for each in resources if each.kind != "container" and each not in first]
    removed: list[Resource] = []
    failures: list[EngineError] = []

    def remove(resource: Resource) -> None:
        if any(isinstance(each, UNHEARD) for each in failures):
            return  # an engine that does not answer is not asked once for each object
        try:
            engine.remove(resource)
        except EngineError as error:
            failures.append(error)
        else:
            removed.append(resource)

    with DaemonExecutor(REMOVALS_AT_ONCE, name="envspin-remove") as pool:
        _await([pool.submit(remove, each) for each in first])
        _remove_levels(engine, pool, remove, levels)
        _await([pool.submit(remove, each) for each in rest])
    if failures:
        raise failures[0]
    return Counter(each.kind for each in removed)


def _remove_levels(
    engine: Engine, pool: Executor, remove: Callable[[Resource], None], levels: list[list[Resource]]
) -> None:
    if len(levels) <= 1:
        _await([pool.submit(remove, each) for level in levels for each in level])
        return
    with Departures(engine, find_common_labels([each for level in levels for each in level])) as departures:
        _await([future for level in levels for future in departures.begin(pool, remove, level)])


def _await(futures: Iterable[Future[None]]) -> None:
    """Wait for all, and raise what nobody expected."""
    for future in wait(futures).done:
        future.result()


def _sort_by_depth(containers: Iterable[Resource]) -> list[list[Resource]]:
    """Return containers by their depth in the graph of services, the top first."""
    levels: dict[float, list[Resource]] = {}
    for container in containers:
        levels.setdefault(read_number(container.labels.get(naming.DEPTH, "")) or 0.0, []).append(container)
    return [levels[depth] for depth in sorted(levels, reverse=True)]


def sweep(engine: Engine) -> dict[str, Counter[str]]:
    """Remove every environment that nobody wants any more, some side by side; return what was removed by environment.

    What cannot be removed is left to the next sweep, and keeps nothing else from going. No process is kept from ending
    by what this does beside its other work.
    """
    info = engine.info()
    removed: dict[str, Counter[str]] = {}
    pool = DaemonExecutor(SWEEPS_AT_ONCE, name="envspin-sweep")
    try:
        futures = {pool.submit(remove_doomed, engine, info, each): each.env for each in list_doomed(engine, info)}
        wait(futures)
    finally:
        pool.shutdown(wait=False)
    for future, env in futures.items():
        error = future.exception()
        if error is None:
            removed[env] = removed.get(env, Counter()) + future.result()
        elif not isinstance(error, EngineError) and threading.main_thread().is_alive():
            raise error  # a process that is ending starts no threads any more: that is no fault
    return removed


def list_doomed(engine: Engine, info: EngineInfo) -> list[Doomed]:
    """Return what nobody wants any more, run by run: a name that was taken again is not mistaken for its dead holder.

    Sorted by the environment's name.
    """
    clock, judge_owner = read_clock(), make_judge(info)
    runs = group_by_run(engine.list_resources({naming.ENV: None}))
    reasons = {key: find_reason(runs[key], clock, judge_owner) for key in sorted(runs)}
    return [Doomed(*key, tuple(runs[key]), reason) for key, reason in reasons.items() if reason is not None]


def remove_doomed(engine: Engine, info: EngineInfo, doomed: Doomed) -> Counter[str]:
    """Remove it, unless somebody has given it a lease since it was looked at; count what was removed by kind.

    Whoever does not let go of the run's lock is not waited for for long: at worst both remove the same. Raises
    EngineError for the first object that cannot be removed, after trying all.
    """
    with lock_run(doomed.run_id):
        resources = list_environment(engine, doomed.env, doomed.run_id)
        if not resources or find_reason(resources, read_clock(), make_judge(info)) is None:
            return Counter()
        return remove_environment(engine, doomed.env, run_id=doomed.run_id, resources=resources)


def lock_run(run_id: str) -> AbstractContextManager[bool]:
    """Hold the lock under which a run of this machine is judged and then removed, or kept; gives False without it.

    Runs share a few locks, so that no file is left behind for each.
    """
    return machine_lock(f"run-{crc32(run_id.encode()) % RUN_LOCKS}", seconds=RUN_LOCK_SECONDS)


def make_judge(info: EngineInfo) -> Callable[[str], Liveness]:
    """Return what tells whether the owner of an object of this engine lives."""
    return lambda owner: judge(owner, engine_is_local=info.is_local)


def group_by_run(resources: Iterable[Resource]) -> dict[tuple[str, str], list[Resource]]:
    """Sort resources by environment and run; those that only look like one's are left out."""
    groups: dict[tuple[str, str], list[Resource]] = {}
    for name, found in group_by_environment(resources).items():
        for resource in found:
            groups.setdefault((name, resource.labels[naming.RUN]), []).append(resource)
    return groups


def grant_lease(
    engine: Engine, identity: Identity, *, expires: float, failed: bool = False, journal: Journal | None = None
) -> Resource:
    """Let an environment outlive its owner until ``expires``, a Unix time; return the lease, a volume.

    ``failed`` says that it is kept for a look after a start that failed; ``journal`` is that of the owner's own run.
    """
    clock = read_clock()
    labels = identity.ending(clock, expires - clock.now).labels(lease=naming.FAILED if failed else "1")
    spec = VolumeSpec(identity.object_name("lease", secrets.token_hex(4)), labels)
    with (journal or NoJournal()).creating(spec.name) as on_send:
        name = engine.create_volume(spec, on_send=on_send)
    return Resource("volume", name, name, labels)
