"""What a drawing of the dependency graph shows, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envspin.model import (
    CompletedProbe,
    Condition,
    ExecProbe,
    HealthcheckProbe,
    HttpProbe,
    LogProbe,
    RunningProbe,
)
from envspin.plan.graph import DependencyGraph
from envspin.plan.readiness import choose_probes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envspin.model import Dependency, Probe, Service
    from envspin.plan.planning import Plan


@dataclass(frozen=True, slots=True)
class Node:
    """One service: its name, where its image comes from, and how it proves ready."""

    name: str
    image: str
    ready: str
    is_job: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """A service (``after``) that starts when another (``first``) is ``until`` ready, completed or started."""

    first: str
    after: str
    until: str
    required: bool


@dataclass(frozen=True, slots=True)
class GraphView:
    """The services of one plan in layers: each waits only for services of earlier layers."""

    title: str
    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    layers: tuple[tuple[str, ...], ...]


def make_view(plan: Plan) -> GraphView:
    """Gather what to draw of a plan."""
    services = plan.services
    edges = [
        Edge(each.service, name, _say_until(each, services), each.required)
        for name, service in services.items()
        for each in service.depends_on
        if each.service in services
    ]
    return GraphView(
        title=plan.topology.name,
        nodes={name: _make_node(service, plan) for name, service in services.items()},
        edges=tuple(edges),
        layers=tuple(tuple(layer) for layer in DependencyGraph.of(services).layers()),
    )


def _make_node(service: Service, plan: Plan) -> Node:
    image = str(service.image)
    if service.build is not None:
        context, folder = service.build.context, plan.topology.directory
        shown = context.relative_to(folder) if context.is_relative_to(folder) else context
        image = f"build ./{shown}" if not shown.is_absolute() else f"build {shown}"
    return Node(service.name, image, describe_readiness(service), service.job)


def _say_until(dependency: Dependency, services: Mapping[str, Service]) -> str:
    if not dependency.waits_for_ready:
        return "started"
    completed = dependency.condition is Condition.COMPLETED or services[dependency.service].job
    return "completed" if completed else "ready"


def describe_readiness(service: Service) -> str:
    """Say in a few words how a service proves ready; what an image's own healthcheck would change is not known here."""
    return " and ".join(_name(probe) for probe in choose_probes(service, None, ()))


def _name(probe: Probe) -> str:
    kind = type(probe).__name__.removesuffix("Probe").lower()
    known = {"completed": "job, exits with 0", "running": "stays up"}
    if isinstance(probe, CompletedProbe | RunningProbe | HealthcheckProbe):
        return known.get(kind, kind)
    if isinstance(probe, LogProbe):
        return f"log /{probe.pattern}/"
    if isinstance(probe, ExecProbe):
        return f"exec {probe.command[0]}"
    return f"{kind} :{probe.port}{probe.path if isinstance(probe, HttpProbe) else ''}"
