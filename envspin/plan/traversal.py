"""Walks over dependency maps with the standard library alone.

``up`` orders and weighs its operations with these, because importing networkx takes longer than starting a container.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from envspin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


def sort_by_needs(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Return all names, each after what it needs; raise UsageError naming a cycle's members."""
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise UsageError("these wait for each other: " + " -> ".join(error.args[1])) from None


def weigh_remaining(needs: Mapping[str, Iterable[str]], weights: Mapping[str, float]) -> dict[str, float]:
    """Return for each name the longest sum of weights from it to the end: how urgent it is to begin it."""
    remaining = dict.fromkeys(needs, 0.0)
    for name in reversed(sort_by_needs(needs)):
        remaining[name] = remaining.get(name, 0.0) + weights.get(name, 0.0)
        for need in needs.get(name, ()):
            remaining[need] = max(remaining.get(need, 0.0), remaining[name])
    return remaining
