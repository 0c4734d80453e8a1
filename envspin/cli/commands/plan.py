"""``envspin plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from envspin.cli.failures import render_problem
from envspin.cli.options import json_option, topology_options
from envspin.cli.output import print_json, render_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envspin.cli.context import TopologyRequest
    from envspin.plan.planning import Plan


@click.command("plan")
@topology_options()
@json_option
def command(request: TopologyRequest, *, as_json: bool) -> None:
    """Show what `up` would do, in order; touches nothing.

    The estimate comes from earlier runs on this machine; what never ran is guessed. No engine is needed.
    """
    from envspin.plan.traversal import find_dependencies, find_longest_path  # noqa: PLC0415
    from envspin.run.timings import estimate_weights  # noqa: PLC0415

    plan = request.plan()
    weights = estimate_weights(plan)
    critical_path = find_longest_path(find_dependencies(plan.services), sum_by_service(weights, plan.services))
    for warning in plan.topology.warnings:
        click.echo(render_problem(warning), err=True)
    if as_json:
        from envspin.plan.graph import DependencyGraph  # noqa: PLC0415 - networkx is slow to import

        print_json(describe_plan(plan, DependencyGraph.of(plan.services).layers(), critical_path, weights))
    else:
        click.echo(str(plan))
        click.echo(render_estimate(critical_path, weights))


def sum_by_service(weights: Mapping[str, float], services: Mapping[str, object]) -> dict[str, float]:
    """Return the seconds from a service's turn until it is ready: its start and its proof."""
    return {name: weights[f"start:{name}"] + weights[f"ready:{name}"] for name in services}


def render_estimate(critical_path: Sequence[str], weights: Mapping[str, float]) -> str:
    """Return the longest chain of dependencies with the seconds that each service on it is expected to take."""
    seconds = {name: weights[f"start:{name}"] + weights[f"ready:{name}"] for name in critical_path}
    chain = " -> ".join(f"{name} ({render_duration(value)})" for name, value in seconds.items())
    return f"critical path: {chain}, about {render_duration(sum(seconds.values()))}"


def describe_plan(
    plan: Plan, layers: Sequence[Sequence[str]], critical_path: Sequence[str], weights: Mapping[str, float]
) -> dict[str, object]:
    """Return the document of ``plan --json``."""
    operations = [
        {
            "id": each.id,
            "kind": each.kind,
            "subject": each.subject,
            "needs": list(each.needs),
            "wants": list(each.wants),
            "cause": each.cause,
            "seconds": round(weights[each.id], 4),
        }
        for each in plan.operations
    ]
    return {
        "topology": plan.topology.name,
        "order": [list(layer) for layer in layers],
        "operations": operations,
        "critical_path": list(critical_path),
        "pins": dict(plan.pins),
        "left_out": dict(plan.left_out),
    }
