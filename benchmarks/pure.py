"""One measurement of the pure part in this process: ``python -m benchmarks.pure ACTION FILE`` prints it as JSON."""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import read_peak_mb
from envspin.errors import TopologyError
from envspin.model import Condition, Dependency, Network, NetworkAttachment, Service, Topology
from envspin.plan.planning import make_plan
from envspin.plan.traversal import find_dependencies, find_longest_path
from envspin.topology import load_topology

GRAPH_SERVICES = 10_000
SEED = 20261123
MAX_NEEDS = 3


def load(file: Path) -> dict[str, Any]:
    """Load, validate and plan a file."""
    began = time.perf_counter()
    topology = load_topology([file], environ={})
    loaded = time.perf_counter()
    plan = make_plan(topology)
    return {
        "services": len(plan.services),
        "load": loaded - began,
        "plan": time.perf_counter() - loaded,
        "peak_mb": read_peak_mb(),
    }


def graph(_file: Path) -> dict[str, Any]:
    """Order a topology that is in memory: its graph, its layers, its critical path; then plan its operations, too."""
    from envspin.plan.graph import DependencyGraph  # noqa: PLC0415 - networkx is no part of a refusal's memory

    topology = make_random(GRAPH_SERVICES)
    weights = {name: 0.1 + len(name) for name in topology.services}
    gc.collect()
    moments = [time.perf_counter()]
    dependencies = DependencyGraph.of(topology.services)
    moments.append(time.perf_counter())
    layers = dependencies.layers()
    moments.append(time.perf_counter())
    path = find_longest_path(find_dependencies(topology.services), weights)
    moments.append(time.perf_counter())
    operations = make_plan(topology).operations
    moments.append(time.perf_counter())
    if sum(map(len, layers)) != GRAPH_SERVICES or len(path) > len(layers) or len(operations) < 3 * GRAPH_SERVICES:
        raise SystemExit("the order is wrong")
    names = ("graph", "order", "critical_path", "operations")
    spans = {name: moments[at + 1] - moments[at] for at, name in enumerate(names)}
    return {**spans, "peak_mb": read_peak_mb()}


def make_random(count: int) -> Topology:
    """Return a topology of services that depend on earlier ones at random."""
    rng = random.Random(SEED)
    joined = (NetworkAttachment("default"),)
    services = {}
    for number in range(count):
        needs = [
            Dependency(f"service{need}", Condition.HEALTHY, explicit=True)
            for need in rng.sample(range(number), min(number, rng.randint(0, MAX_NEEDS)))
        ]
        name = f"service{number}"
        services[name] = Service(name, image=f"image{number % 500}", depends_on=tuple(needs), networks=joined)
    active, networks = frozenset(services), {"default": Network("default")}
    return Topology(name="random", directory=Path("/"), services=services, active=active, networks=networks)


def refuse(file: Path) -> dict[str, Any]:
    """Load a file that must be refused, and render everything that is wrong with it."""
    began = time.perf_counter()
    try:
        load_topology([file], environ={})
    except TopologyError as error:
        text = str(error)
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "peak_mb": read_peak_mb(), "problems": len(error.problems), "characters": len(text)}
    raise SystemExit(f"{file} was accepted")


ACTIONS = {"load": load, "graph": graph, "refuse": refuse}

if __name__ == "__main__":
    print(json.dumps(ACTIONS[sys.argv[1]](Path(sys.argv[2]))))
