"""How long an environment that was left running stays: its lease, given anew."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from envspin.errors import UsageError
from envspin.run import naming
from envspin.run.clock import read_clock
from envspin.run.janitor import find_reason, grant_lease, group_by_run, list_environment, lock_run, make_judge
from envspin.run.naming import Identity
from envspin.run.ownership import Liveness, Owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from envspin.engine.base import Engine, Resource


def keep_environment(engine: Engine, name: str, *, seconds: float) -> float:
    """Let an environment stay for ``seconds`` from now, longer or shorter than before; return the Unix time of its end.

    Raises UsageError where there is none of this full name, where somebody holds it who will remove it, or where it is
    being removed.
    """
    runs = group_by_run(list_environment(engine, name))
    if not runs:
        raise UsageError(f"there is no environment {name!r}", hint="`envspin ls` lists them")
    judge_owner = make_judge(engine.info())
    for resources in runs.values():
        _require_unheld(name, resources, judge_owner)
    expires = time.time() + seconds
    for _, run_id in runs:
        with lock_run(run_id) as is_alone:
            resources = list_environment(engine, name, run_id)
            is_doomed = find_reason(resources, read_clock(), judge_owner) is not None
            if not resources or (is_doomed and not is_alone):
                raise _explain_removal(name)
            _renew(engine, resources, expires)
    return expires


def _require_unheld(name: str, resources: list[Resource], judge_owner: Callable[[str], Liveness]) -> None:
    is_leased = any(map(naming.is_lease, resources))
    if is_leased or find_reason(resources, read_clock(), judge_owner) is not None:
        return
    labels = {each.labels.get(naming.OWNER, "") for each in resources}
    owner = next((Owner.parse(label) for label in labels if judge_owner(label) is Liveness.ALIVE), None)
    if owner is not None:
        raise UsageError(
            f"environment {name!r} is held by process {owner.pid} and ends with it",
            hint="`envspin up -d` leaves one running that can be kept",
        )
    raise UsageError(
        f"whether somebody holds environment {name!r} cannot be seen from here",
        hint="its owner is on another machine or in another container: keep it there",
    )


def _renew(engine: Engine, resources: list[Resource], expires: float) -> None:
    """Give a new lease and then take the others away, so that there is one at any moment.

    Whoever removes it beside us without the lock (another machine, `envspin down`, a watcher) takes the new lease, too,
    or has begun already.
    """
    identity = Identity.read(resources[0].labels)
    before = list(filter(naming.is_lease, resources))
    failed = any(each.labels[naming.LEASE] == naming.FAILED for each in before)
    lease = grant_lease(engine, identity, expires=expires, failed=failed)
    needed = {lease.id, *(each.id for each in resources if not naming.is_lease(each))}
    if not needed.issubset(each.id for each in list_environment(engine, identity.env, identity.run_id)):
        engine.remove(lease)
        raise _explain_removal(identity.env)
    for each in before:
        engine.remove(each)


def _explain_removal(name: str) -> UsageError:
    return UsageError(f"environment {name!r}: its time is up, and it is being removed", hint="start it again")
