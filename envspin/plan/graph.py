"""The dependency graph of services: order, closure, cycles, critical path; the one place that imports networkx.

An edge runs from a service to what it depends on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx as nx

from envspin.errors import UsageError
from envspin.plan.traversal import find_dependencies
from envspin.topology.garbage import without_collection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envspin.model import Service


class DependencyGraph:
    """Services and what each depends on."""

    def __init__(self, dependencies: Mapping[str, Iterable[str]]) -> None:
        self._graph: nx.DiGraph[str] = nx.DiGraph()
        with without_collection():
            self._graph.add_nodes_from(dependencies)
            self._graph.add_edges_from((name, other) for name, others in dependencies.items() for other in others)

    @classmethod
    def of(cls, services: Mapping[str, Service]) -> DependencyGraph:
        """Build the graph of these services; dependencies on absent ones (``required: false``) are left out."""
        return cls(find_dependencies(services))

    def find_cycles(self) -> list[list[str]]:
        """Return each knot of services that wait for each other, as one cycle through it in order."""
        knots = (sorted(knot) for knot in nx.strongly_connected_components(self._graph))
        looped = [knot for knot in knots if len(knot) > 1 or self._graph.has_edge(knot[0], knot[0])]
        return [[edge[0] for edge in nx.find_cycle(self._graph.subgraph(knot), knot[0])] for knot in looped]

    def layers(self) -> list[list[str]]:
        """Return the services in layers: each depends only on earlier layers; names sorted within one.

        Raises UsageError where services wait for each other.
        """
        try:
            return [sorted(layer) for layer in nx.topological_generations(self._graph.reverse(copy=False))]
        except nx.NetworkXUnfeasible:
            cycle = self.find_cycles()[0]
            raise UsageError("services wait for each other: " + " -> ".join([*cycle, cycle[0]])) from None
