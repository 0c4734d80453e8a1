"""Walks over dependency maps with the standard library alone.

``up`` orders and weighs its operations with these, because importing networkx takes longer than starting a container.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from envspin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from envspin.model import Service


def find_dependencies(services: Mapping[str, Service]) -> dict[str, list[str]]:
    """Return what each service depends on among these services; absent ones (``required: false``) are left out."""
    return {
        name: [dependency.service for dependency in service.depends_on if dependency.service in services]
        for name, service in services.items()
    }


def collect_reachable(needs: Mapping[str, Iterable[str]], starts: Iterable[str]) -> set[str]:
    """Return the starts and everything reachable from them over ``needs``."""
    found: set[str] = set()
    pending = list(starts)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(needs.get(name, ()))
    return found


def sort_by_needs(needs: Mapping[str, Collection[str]]) -> list[str]:
    """Return all names, each after what it needs, which must be among them; raise UsageError naming a cycle's members.

    Kahn's algorithm: whatever waits for nothing more goes next, in the order of ``needs``.
    """
    missing: dict[str, int] = {}
    dependents: dict[str, list[str]] = {name: [] for name in needs}
    for name, others in needs.items():
        missing[name] = len(others)
        for other in others:
            dependents[other].append(name)
    order = [name for name, count in missing.items() if not count]
    for name in order:  # which grows on the way
        for dependent in dependents[name]:
            missing[dependent] -= 1
            if not missing[dependent]:
                order.append(dependent)
    if len(order) < len(needs):
        raise UsageError("these wait for each other: " + " -> ".join(_find_cycle(needs)))
    return order


def measure_depths(needs: Mapping[str, Collection[str]]) -> dict[str, int]:
    """Return for each name how long the longest chain of needs below it is: 0 for what needs nothing."""
    depths: dict[str, int] = {}
    for name in sort_by_needs(needs):
        depths[name] = max((depths[need] + 1 for need in needs[name]), default=0)
    return depths


def _find_cycle(needs: Mapping[str, Collection[str]]) -> list[str]:
    """Return the members of a cycle, the first of them once more at the end."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def weigh_remaining(needs: Mapping[str, Collection[str]], weights: Mapping[str, float]) -> dict[str, float]:
    """Return for each name the longest sum of weights from it to the end: how urgent it is to begin it."""
    remaining = dict.fromkeys(needs, 0.0)
    for name in reversed(sort_by_needs(needs)):
        remaining[name] = remaining.get(name, 0.0) + weights.get(name, 0.0)
        for need in needs.get(name, ()):
            remaining[need] = max(remaining.get(need, 0.0), remaining[name])
    return remaining


def find_longest_path(needs: Mapping[str, Collection[str]], weights: Mapping[str, float]) -> list[str]:
    """Return the chain of needs with the largest sum of weights, first to begin first; UsageError for a cycle.

    networkx weighs edges, not nodes: the graph that it would want takes five times as long.
    """
    until: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for name in sort_by_needs(needs):
        slowest = max(needs[name], key=until.__getitem__, default=None)
        before[name] = slowest
        until[name] = weights.get(name, 0.0) + (0.0 if slowest is None else until[slowest])
    path: list[str] = []
    last = max(until, key=until.__getitem__, default=None)
    while last is not None:
        path.append(last)
        last = before[last]
    return path[::-1]
