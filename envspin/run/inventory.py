"""Which environments exist, read from the engine's labels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.errors import UsageError
from envspin.plan.selection import suggest_name
from envspin.run import naming
from envspin.run.clock import read_clock
from envspin.run.janitor import find_leased, find_reason, group_by_environment, make_judge, measure_lease
from envspin.run.ownership import Liveness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envspin.engine.base import Engine, Resource
    from envspin.run.clock import Clock


@dataclass(frozen=True, slots=True)
class EnvironmentSummary:
    """One environment as listed."""

    env: str
    topology: str
    state: str
    """``running``; ``partial``: some containers have stopped; ``starting``: a living owner still makes it; ``failed``:
    kept for a look after a start that failed; ``leftover``: nobody's any more."""
    owner_alive: bool | None
    """None where its owner cannot be judged from here, or it was left running on purpose."""
    expires: float | None
    """Unix time of the end of its lease, by today's clock; None while an owner holds it."""
    services: tuple[str, ...]

    def describe(self) -> dict[str, object]:
        """Return the entry that ``envspin ls --json`` prints."""
        return {
            "env": self.env,
            "topology": self.topology,
            "state": self.state,
            "owner_alive": self.owner_alive,
            "expires": self.expires,
            "services": list(self.services),
        }


def list_environments(engine: Engine) -> list[EnvironmentSummary]:
    """Return every environment that the engine holds, by name."""
    groups = group_by_environment(engine.list_resources({naming.ENV: None}))
    clock, judge_owner = read_clock(), make_judge(engine.info())
    return [_summarise(name, groups[name], clock, judge_owner) for name in sorted(groups)]


def _summarise(
    name: str, resources: list[Resource], clock: Clock, judge_owner: Callable[[str], Liveness]
) -> EnvironmentSummary:
    containers = [each for each in resources if each.kind == "container"]
    is_doomed = find_reason(resources, clock, judge_owner) is not None
    left = measure_lease(resources, clock)
    owners = {judge_owner(each.labels.get(naming.OWNER, "")) for each in resources}
    is_judged = not find_leased({name: resources}) and owners != {Liveness.UNKNOWN}
    return EnvironmentSummary(
        env=name,
        topology=resources[0].labels.get(naming.TOPOLOGY, ""),
        state="leftover" if is_doomed else _judge_state(resources, containers),
        owner_alive=Liveness.ALIVE in owners if is_judged else None,
        expires=None if left is None else round(clock.now + left),
        services=tuple(sorted(each.labels.get(naming.SERVICE, each.name) for each in containers)),
    )


def _judge_state(resources: list[Resource], containers: list[Resource]) -> str:
    states = {each.status for each in containers}
    leases = list(filter(naming.is_lease, resources))
    is_unfinished = not states or "created" in states
    if any(each.labels[naming.LEASE] == naming.FAILED for each in leases) or (leases and is_unfinished):
        return "failed"
    if is_unfinished:
        return "starting"
    return "running" if states <= {"running", "exited"} and "running" in states else "partial"


def find_environments(engine: Engine, selectors: Sequence[str], *, everything: bool) -> list[EnvironmentSummary]:
    """Return the environments meant by names, unique prefixes or topology folders; raise UsageError for unknown ones.

    Without selectors: all if ``everything``, else the only one.
    """
    known = list_environments(engine)
    if everything:
        return known
    if not selectors:
        return [_choose_only(known)]
    chosen = {each.env: each for selector in selectors for each in _match(known, selector)}
    return list(chosen.values())


def find_environment(engine: Engine, selector: str | None) -> EnvironmentSummary:
    """Return the one environment meant by a name, unique prefix or topology folder; the only one for None.

    Raises UsageError where it is none or several.
    """
    if selector is None:
        return _choose_only(list_environments(engine))
    matches = _match(list_environments(engine), selector)
    if len(matches) > 1:
        names = ", ".join(each.env for each in matches)
        raise UsageError(f"{selector!r} means several environments: {names}", hint="name one of them")
    return matches[0]


def _choose_only(known: list[EnvironmentSummary]) -> EnvironmentSummary:
    if not known:
        raise UsageError("no environment is running", hint="`envspin up -d FILE` leaves one running")
    if len(known) > 1:
        names = ", ".join(each.env for each in known)
        raise UsageError(f"several environments are running: {names}", hint="name one of them")
    return known[0]


def _match(known: list[EnvironmentSummary], selector: str) -> list[EnvironmentSummary]:
    if not selector:  # it begins every name: an unset variable in a script must not mean some environment
        raise UsageError("the name of an environment is empty", hint="`envspin ls` lists them")
    exact = [each for each in known if each.env == selector]
    if exact:
        return exact
    path = Path(selector)
    if os.sep in selector or os.path.isdir(path):  # noqa: PTH112 - unlike pathlib, it raises nothing for long names
        topology = read_topology_name(path)
        return _require([each for each in known if each.topology == topology], known, selector)
    prefixed = [each for each in known if each.env.startswith(selector)]
    if len(prefixed) > 1:
        names = ", ".join(each.env for each in prefixed)
        raise UsageError(f"{selector!r} begins the names of several environments: {names}", hint="write more of it")
    return _require(prefixed, known, selector)


def read_topology_name(path: Path) -> str:
    """Return the name of the topology in a folder or file; raise TopologyError where there is no Compose file."""
    from envspin.topology import read_name  # noqa: PLC0415 - loading a topology is not needed for a name

    return read_name(path, environ=os.environ)


def _require(
    found: list[EnvironmentSummary], known: list[EnvironmentSummary], selector: str
) -> list[EnvironmentSummary]:
    if not found:
        hint = suggest_name(selector, [each.env for each in known])
        raise UsageError(f"there is no environment {selector!r}", hint=hint)
    return found
