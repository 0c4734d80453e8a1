"""What only the whole file can tell: undefined names, cycles, dependencies that no profile starts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from envspin.model import replica_names
from envspin.topology.nodes import Mapping as MappingNode
from envspin.topology.nodes import Sequence as SequenceNode
from envspin.topology.nodes import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from envspin.topology.draft import Draft
    from envspin.topology.nodes import Node
    from envspin.topology.reader import Reader

DEFAULT_NETWORK = "default"
ALL_PROFILES = "*"
MAX_CYCLES = 10
_NOT_IN_VARIABLE = re.compile(r"[^A-Za-z0-9]")
MAX_MEMBERS = 20
"""Services of one circle that are shown."""


def check_references(
    reader: Reader,
    drafts: Mapping[str, Draft],
    networks: Iterable[str],
    volumes: Iterable[str],
    sources: Iterable[str],
) -> None:
    """Report names of networks, volumes, configs, secrets and services that nothing defines."""
    known: dict[str, dict[str, None]] = {
        "network": dict.fromkeys((DEFAULT_NETWORK, *networks)),
        "volume": dict.fromkeys(volumes),
        "config": {},
        "secret": {},
    }
    for source in sources:
        kind, _, name = source.partition(":")
        known[kind][name] = None
    for draft in _with_stubs(drafts.values()):
        for kind, name, at in draft.references:
            if name not in known[kind]:
                reader.undefined(kind, name, at, known[kind])
        for name, (_, at) in draft.depends_on.items():
            if name == draft.name:
                reader.error("self-dependency", f"the service `{name}` depends on itself", at)
            elif name not in drafts:
                reader.undefined("service", name, at, drafts)


def _with_stubs(drafts: Iterable[Draft]) -> Iterator[Draft]:
    for draft in drafts:
        yield draft
        if draft.stub:
            yield draft.stub


def check_replicas(reader: Reader, drafts: Mapping[str, Draft], services: Node | None) -> None:
    """Report services that cannot be told from another one's replica: `web-2`, and `web_2`, whose variables clash."""
    places = services.entries if isinstance(services, MappingNode) else {}
    by_variable = {_NOT_IN_VARIABLE.sub("_", name).upper(): name for name in drafts}
    for name, draft in drafts.items():
        most = max(each.fields.get("replicas", 1) for each in (draft, draft.stub) if each)
        for replica in replica_names(name, most):
            other = by_variable.get(_NOT_IN_VARIABLE.sub("_", replica).upper())
            if other is not None:
                likeness = "is" if other == replica else f"gives the same variables as `{replica}`,"
                message = f"`{other}` {likeness} the name of a replica of `{name}`"
                reader.error("conflicting-keys", message, places[other].key, "rename the service")


def check_cycles(reader: Reader, drafts: Mapping[str, Draft]) -> None:
    """Report circles of services that wait for each other: the first ten."""
    state: dict[str, int] = {}
    cycles = 0
    for root in drafts:
        if root in state:
            continue
        trail = [root]
        state[root] = 1
        pending = [iter(drafts[root].depends_on)]
        while pending:
            name = next(pending[-1], None)
            if name is None:
                state[trail.pop()] = 2
                pending.pop()
            elif name == trail[-1] or name not in drafts:
                continue
            elif name not in state:
                state[name] = 1
                trail.append(name)
                pending.append(iter(drafts[name].depends_on))
            elif state[name] == 1 and cycles < MAX_CYCLES:
                cycles += 1
                _report_cycle(reader, drafts, trail[trail.index(name) :])


def _shorten(members: Sequence[str]) -> Sequence[str]:
    if len(members) <= MAX_MEMBERS:
        return members
    half = MAX_MEMBERS // 2
    return [*members[:half], f"({len(members) - 2 * half} more)", *members[-half:]]


def _report_cycle(reader: Reader, drafts: Mapping[str, Draft], members: Sequence[str]) -> None:
    shown = " -> ".join((*_shorten(members), members[0]))
    _, at = drafts[members[-1]].depends_on[members[0]]
    message = f"the services depend on each other in a circle: {shown}"
    reader.error("dependency-cycle", message, at, "remove one of these dependencies")


def check_active(reader: Reader, drafts: Mapping[str, Draft], profiles: Sequence[str]) -> frozenset[str]:
    """Return the services that ``profiles`` leave and that have replicas; to need an inactive one is an error."""
    chosen = set(profiles)
    known = {profile for draft in drafts.values() for profile in draft.fields.get("profiles", ())}
    for profile in dict.fromkeys(profiles):
        if profile not in known and profile != ALL_PROFILES:
            message = f"no service has the profile `{profile}`"
            reader.report.warn("undefined-profile", message, None, reader.guess(profile, known))
    active = frozenset(name for name, draft in drafts.items() if _is_active(draft, chosen))
    for name in drafts:
        if name not in active:
            continue
        for target, (dependency, at) in drafts[name].depends_on.items():
            if target in active or target not in drafts or not dependency.required:
                continue
            why, cure = _explain_inactive(drafts[target])
            message = f"`{name}` depends on `{target}`, which {why}"
            reader.error("inactive-dependency", message, at, f"{cure}, or say `required: false`")
    return active


def _explain_inactive(draft: Draft) -> tuple[str, str]:
    """Return why a service takes no part, and what would change that."""
    if draft.fields.get("replicas") == 0:
        return "has no replicas", "give it at least one"
    node = draft.node.get("profiles")
    written = node.items if isinstance(node, SequenceNode) else [node]
    wanted = " or ".join(dict.fromkeys(f"--profile {shown(each)}" for each in written if each is not None))
    return "is in no active profile", f"pass {wanted}"


def _is_active(draft: Draft, chosen: set[str]) -> bool:
    if draft.fields.get("replicas") == 0:
        return False
    profiles = draft.fields.get("profiles", ())
    return not profiles or ALL_PROFILES in chosen or not chosen.isdisjoint(profiles)
