"""What has to go, and its removal: exactly by id, from labels read a moment before, never by a prune.

``find_doomed`` decides over listed resources alone, so that a sweep at start, ``down``, and a watcher that outlives
its owner judge alike. An environment that was left running on purpose holds a *lease*: a small labelled volume that
says until when (labels of containers cannot be changed, a lease can be replaced).
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from envspin.engine.base import Resource, VolumeSpec
from envspin.errors import EngineError
from envspin.run import naming
from envspin.run.ownership import Liveness, judge
from envspin.run.record import forget_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from envspin.engine.base import Engine
    from envspin.run.naming import Identity

REMOVALS_AT_ONCE = 8

Group = TypeVar("Group")


def group_by_environment(resources: Iterable[Resource]) -> dict[str, list[Resource]]:
    """Sort resources by the environment that their labels name."""
    groups: dict[str, list[Resource]] = {}
    for resource in resources:
        name = resource.labels.get(naming.ENV)
        if name:
            groups.setdefault(name, []).append(resource)
    return groups


def find_doomed(
    groups: Mapping[Group, list[Resource]], *, now: float, judge_owner: Callable[[str], Liveness]
) -> dict[Group, list[Resource]]:
    """Return the groups (environments or runs) that nobody wants any more, with everything that belongs to them.

    Doomed is what has a dead owner and no lease that still runs, what has an owner that cannot be judged and is past
    its expiry, and what had a lease that is over. ``now`` is a Unix time.
    """
    return {name: found for name, found in groups.items() if _is_doomed(found, now, judge_owner)}


def _is_doomed(resources: list[Resource], now: float, judge_owner: Callable[[str], Liveness]) -> bool:
    leases = [naming.read_expiry(each.labels) or 0.0 for each in resources if naming.LEASE in each.labels]
    if leases:
        return max(leases) < now
    owners = {judge_owner(each.labels.get(naming.OWNER, "")) for each in resources}
    if Liveness.ALIVE in owners:
        return False
    if owners == {Liveness.DEAD}:
        return True
    expiries = [naming.read_expiry(each.labels) for each in resources]
    return all(expiry is not None and expiry < now for expiry in expiries)


def remove_environment(
    engine: Engine, name: str, *, run_id: str | None = None, resources: list[Resource] | None = None
) -> Counter[str]:
    """Remove everything of one environment and count it by kind; containers first, side by side.

    With ``run_id`` only what that run made: another environment may have taken the name since. Lists again until
    nothing is found, because an object that was being created when its owner ended may appear late. Raises
    EngineError for the first object that cannot be removed, after trying all.
    """
    removed: Counter[str] = Counter()
    pending = list_environment(engine, name, run_id) if resources is None else resources
    while pending:
        removed += _remove_all(engine, pending)
        pending = list_environment(engine, name, run_id)
    forget_record(name, run_id)
    return removed


def list_environment(engine: Engine, name: str, run_id: str | None = None) -> list[Resource]:
    """List everything that carries this environment's label, and this run's where one is given."""
    return engine.list_resources({naming.ENV: name} if run_id is None else {naming.ENV: name, naming.RUN: run_id})


def _remove_all(engine: Engine, resources: list[Resource]) -> Counter[str]:
    failures: list[EngineError] = []

    def remove(resource: Resource) -> str | None:
        try:
            engine.remove(resource)
        except EngineError as error:
            failures.append(error)
            return None
        return resource.kind

    with ThreadPoolExecutor(REMOVALS_AT_ONCE, thread_name_prefix="envspin-remove") as pool:
        first = [each for each in resources if each.kind == "container"]
        counted = Counter(filter(None, pool.map(remove, first)))
        rest = [each for each in resources if each.kind != "container"]
        # Leases go last: as long as one is there, a half-removed environment is still known for what it is.
        rest.sort(key=lambda each: naming.LEASE in each.labels)
        counted += Counter(filter(None, pool.map(remove, rest)))
    if failures:
        raise failures[0]
    return counted


def sweep(engine: Engine) -> dict[str, Counter[str]]:
    """Remove every environment that nobody wants any more; return what was removed by environment.

    Judged and removed run by run, so that a name which somebody has taken again is not mistaken for its dead holder.
    What cannot be removed is left to the next sweep, and keeps nothing else from going.
    """
    local = engine.info().is_local
    runs = group_by_run(engine.list_resources({naming.ENV: None}))
    doomed = find_doomed(runs, now=time.time(), judge_owner=lambda owner: judge(owner, engine_is_local=local))
    removed: dict[str, Counter[str]] = {}
    for (name, run_id), resources in doomed.items():
        with suppress(EngineError):
            counted = remove_environment(engine, name, run_id=run_id, resources=resources)
            removed[name] = removed.get(name, Counter()) + counted
    return removed


def group_by_run(resources: Iterable[Resource]) -> dict[tuple[str, str], list[Resource]]:
    """Sort resources by environment and run."""
    groups: dict[tuple[str, str], list[Resource]] = {}
    for name, found in group_by_environment(resources).items():
        for resource in found:
            groups.setdefault((name, resource.labels.get(naming.RUN, "")), []).append(resource)
    return groups


def grant_lease(engine: Engine, identity: Identity, *, expires: float) -> None:
    """Let an environment outlive its owner until ``expires``, a Unix time."""
    labels = {**identity.labels(lease="1"), naming.EXPIRES: str(round(expires))}
    engine.create_volume(VolumeSpec(identity.object_name("lease", str(round(expires))), labels))
