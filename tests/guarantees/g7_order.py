"""G7: nothing starts before what it needs is ready, and nothing ends before what needs it has ended."""

from __future__ import annotations

import functools
import json
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import docker

from envspin import Environment
from envspin.engine.base import Resource
from envspin.engine.fake import Exit, FakeEngine, FakeImage, Line, Script
from envspin.model import LogProbe
from envspin.run import naming
from tests.unit.builders import completed, make_service, make_topology, started

from .exposure import watching_exposure
from .lab import Lab
from .owners import Case, finish_case, start_owner
from .suites import suite
from .tally import Tally, Trial

ENGINE_SHARE = 100
"""One graph in so many is brought up on the engine as well."""
PART = 250
ENGINE_PART = 4
AT_ONCE = 2
READY = "now it is ready"
SIGKILL = "9"
"""As the engine's events say it."""

Need = Literal["ready", "started", "completed"]


@dataclass
class Graph:
    """Services, what each needs of which, and which of them are jobs."""

    needs: dict[str, dict[str, Need]] = field(default_factory=dict)
    jobs: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each takes until it is ready."""

    @classmethod
    def choose(cls, chance: random.Random, *, most: int, slowest: float) -> Graph:
        """Choose up to ``most`` services that need up to three earlier ones each."""
        graph = cls()
        for number in range(chance.randint(2, most)):
            name = f"s{number}"
            chosen = chance.sample(sorted(graph.needs), chance.randint(0, min(number, 3)))
            graph.needs[name] = {
                other: "completed" if other in graph.jobs else chance.choice(("ready", "ready", "started"))
                for other in chosen
            }
            graph.seconds[name] = chance.random() * slowest
            if chance.random() < 0.2:
                graph.jobs.add(name)
        return graph


class OrderedEngine(FakeEngine):
    """An in-memory engine that looks, whenever a container is started or removed, at those of its neighbours."""

    def __init__(self, graph: Graph, **options: Any) -> None:
        super().__init__(**options)
        self._graph = graph
        self._lock = threading.Lock()  # guards the rest
        self._ids: dict[str, str] = {}
        self._removed: set[str] = set()
        self.broken: list[str] = []

    def create_container(self, spec: Any, **options: Any) -> str:
        """Remember whose it is."""
        container = super().create_container(spec, **options)
        with self._lock:
            self._ids[spec.labels[naming.SERVICE]] = container
        return container

    def start(self, container_id: str) -> None:
        """Look whether all that it needs has come far enough."""
        service = self._name(container_id)
        for other, need in self._graph.needs[service].items():
            if not self._has_come(other, need):
                self.broken.append(f"{service} started before {other} was {need}")
        super().start(container_id)

    def remove(self, resource: Resource) -> None:
        """Look whether all that needs it has gone."""
        service = self._name(resource.id) if resource.kind == "container" else ""
        if service:
            self._check_removal(service)
        super().remove(resource)
        with self._lock:
            self._removed.add(service)

    def stop(self, container_id: str, *, grace_seconds: float | None = None) -> None:
        """Look whether all that needs it has gone."""
        self._check_removal(self._name(container_id))
        super().stop(container_id, grace_seconds=grace_seconds)

    def _check_removal(self, service: str) -> None:
        with self._lock:
            left = [name for name, needs in self._graph.needs.items() if service in needs and name not in self._removed]
        self.broken.extend(f"{service} was ended before {name}, which needs it" for name in left)

    def _name(self, container_id: str) -> str:
        with self._lock:
            return next(name for name, known in self._ids.items() if known == container_id)

    def _has_come(self, service: str, need: Need) -> bool:
        with self._lock:
            container = self._ids.get(service)
        if container is None:
            return False
        found = self.inspect(container)
        if need == "completed":
            return found.status == "exited" and found.exit_code == 0
        if need == "started":
            return found.status != "created"
        return READY in list(self.logs(container))


def try_in_memory(trial: Trial) -> None:
    """Bring a random graph up on the in-memory engine and remove it."""
    graph = Graph.choose(trial.random, most=10, slowest=0.005)
    kinds = {"ready": str, "started": started, "completed": completed}
    services = [
        make_service(
            name,
            *(kinds[need](other) for other, need in needs.items()),
            job=name in graph.jobs,
            ready=() if name in graph.jobs else (LogProbe(READY),),
        )
        for name, needs in graph.needs.items()
    ]
    trial.random.shuffle(services)
    scripts = {name: _play(name in graph.jobs, seconds) for name, seconds in graph.seconds.items()}
    engine = OrderedEngine(graph, default_image=FakeImage(), scripts=scripts)
    try:
        with Environment.up(make_topology(*services), engine=engine):
            pass
        trial.check(not engine.broken, f"in memory: {'; '.join(engine.broken[:5])} in {graph.needs}")
        trial.check(not engine.list_resources({naming.ENV: None}), "in memory: something is left")
    finally:
        engine.close()


def _play(is_job: bool, seconds: float) -> Script:  # noqa: FBT001 - which of two scripts
    return Script(exits=Exit(0, after=seconds)) if is_job else Script(lines=(Line(READY, at=seconds),))


def try_on_engine(lab: Lab, trial: Trial) -> None:
    """Bring a random graph up on the engine, remove it, and read from its events and logs what happened when."""
    graph = Graph.choose(trial.random, most=6, slowest=0.4)
    case = Case(lab, "g7", trial.index)
    (case.topology / "compose.yaml").write_text(json.dumps({"services": _compose(graph)}))
    began = time.time()
    owner = start_owner(case, "run", held=1.5)
    try:
        ready = _read_ready_times(case, graph) if owner.await_phase("test") else {}
        code = owner.wait()
        if trial.check(code == 0, f"it ended with {code}"):
            broken = find_disorder(graph, _read_events(case, began), ready)
            trial.check(not broken, f"on the engine: {'; '.join(broken)} in {graph.needs}")
    finally:
        finish_case(trial, case, [owner])


def _compose(graph: Graph) -> dict[str, Any]:
    conditions = {
        "started": "service_started",
        "completed": "service_completed_successfully",
        "ready": "service_healthy",
    }
    return {
        name: {
            "image": "debian:bookworm-slim",
            "init": True,
            "command": ["sh", "-c", f"sleep {graph.seconds[name]:.2f}; {_end(name in graph.jobs)}"],
            "depends_on": {other: {"condition": conditions[need]} for other, need in needs.items()},
            "x-envspin": {"job": True} if name in graph.jobs else {"ready": {"log": READY}},
        }
        for name, needs in graph.needs.items()
    }


def _end(is_job: bool) -> str:  # noqa: FBT001 - which of two ends
    return "exit 0" if is_job else f"echo {READY}; exec sleep 900"


def _read_ready_times(case: Case, graph: Graph) -> dict[str, float]:
    """Return when the engine got the line of each service that makes it ready."""
    times = {}
    for resource in case.list_objects():
        service = resource.labels.get(naming.SERVICE, "")
        if resource.kind == "container" and service not in graph.jobs:
            line = next(iter(case.lab.engine.logs(resource.id, timestamps=True)))
            times[service] = _read_time(line.split()[0])
    return times


def _read_time(text: str) -> float:
    """Read a time as the engine writes it, with more digits than ``datetime`` reads."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(seconds).replace(tzinfo=UTC).timestamp() + float(f"0.{fraction or 0}")


Events = Mapping[str, Mapping[str, float]]
"""Service -> action -> when the engine saw it first. ``gone`` is its death, or the signal that no process survives."""


def _read_events(case: Case, since: float) -> Events:
    client = docker.APIClient(version="auto")
    found: dict[str, dict[str, float]] = {}
    try:
        filters = {"type": "container", "label": f"{naming.TOPOLOGY}={case.name}"}
        for event in client.events(since=since - 1, until=time.time(), filters=filters, decode=True):
            facts, at = event["Actor"]["Attributes"], event["timeNano"] / 1e9
            of_service = found.setdefault(facts[naming.SERVICE], {})
            of_service.setdefault(event["Action"], at)
            if event["Action"] == "die" or facts.get("signal") == SIGKILL:
                of_service.setdefault("gone", at)
    finally:
        client.close()
    return found


def find_disorder(graph: Graph, events: Events, ready: Mapping[str, float]) -> list[str]:
    """Say what began or ended out of order."""
    broken = []
    for service, needs in graph.needs.items():
        for other, need in needs.items():
            reached = {"started": events[other]["start"], "completed": events[other].get("die")}.get(
                need, ready.get(other)
            )
            if reached is None or reached > events[service]["start"]:
                broken.append(f"{service} started before {other} was {need}")
            if not _has_ended_after(events[other], events[service]):
                broken.append(f"{other} was ended before {service}, which needs it")
    return broken


def _has_ended_after(needed: Mapping[str, float], dependent: Mapping[str, float]) -> bool:
    """Tell whether nobody asked for the end of one before the other had ended; what ended by itself may do so."""
    return "kill" not in needed or dependent.get("gone", needed["kill"] + 1) <= needed["kill"]


@suite("G7", "the order of dependencies holds at every start, and in reverse at every end", full=10_000, part=PART)
def run_order(lab: Lab, *, count: int, seed: int) -> Tally:
    """Try so many graphs in memory, and one in a hundred of them (in a part, the first few) on the engine."""
    tally = Tally("G7", "order", seed)
    tally.run(lab.indices(count), try_in_memory, workers=AT_ONCE)
    on_engine = count // ENGINE_SHARE if count > PART else min(count, ENGINE_PART)
    with watching_exposure(lab, tally):
        indices = lab.indices(on_engine)
        tally.run(indices, functools.partial(try_on_engine, lab), workers=AT_ONCE)
    tally.notes["graphs"] = f"{count:,} in memory, {on_engine} on the engine"
    return tally
