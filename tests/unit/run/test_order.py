"""No service starts before what it depends on is ready, whatever the graph."""

from __future__ import annotations

import os
import random

import pytest

from envspin import Environment
from envspin.engine.fake import Exit, FakeEngine, FakeImage, Line, Script
from envspin.events import Listener, ServiceChanged
from envspin.model import LogProbe
from envspin.run import naming

from ..builders import completed, make_service, make_topology, started

GRAPHS = int(os.environ.get("ENVSPIN_TEST_GRAPHS", "60"))
SEED = int(os.environ.get("ENVSPIN_TEST_SEED", "20261123"))


class OrderCheck(Listener):
    """Notes for each start what was ready and started by then."""

    def __init__(self) -> None:
        self.reached: dict[str, set[str]] = {"ready": set(), "starting": set()}
        self.at_start: dict[str, dict[str, set[str]]] = {}

    def handle(self, event) -> None:
        if isinstance(event, ServiceChanged) and event.state in self.reached:
            if event.state == "starting":
                self.at_start[event.service] = {state: set(names) for state, names in self.reached.items()}
            self.reached[event.state].add(event.service)


def make_random_topology(chance: random.Random):
    size = chance.randint(1, 10)
    jobs = {f"s{number}" for number in range(size) if chance.random() < 0.2}
    services = []
    for number in range(size):
        name = f"s{number}"
        needs = []
        for other in chance.sample(range(number), chance.randint(0, min(number, 3))):
            kind = completed if f"s{other}" in jobs else chance.choice((str, str, started))
            needs.append(kind(f"s{other}"))
        services.append(
            make_service(name, *needs, job=name in jobs, ready=() if name in jobs else (LogProbe("ready"),))
        )
    chance.shuffle(services)
    return make_topology(*services), jobs


@pytest.mark.parametrize("number", range(GRAPHS))
def test_dependencies_come_first_in_a_random_graph(number):
    chance = random.Random(f"{SEED}/{number}")
    topology, jobs = make_random_topology(chance)
    scripts = {
        name: Script(exits=Exit(0, after=chance.random() * 0.01))
        if name in jobs
        else Script(lines=(Line("ready", at=chance.random() * 0.01),))
        for name in topology.services
    }
    check = OrderCheck()
    engine = FakeEngine(default_image=FakeImage(), scripts=scripts)
    with Environment.up(topology, engine=engine, listener=check):
        for name, service in topology.services.items():
            before = check.at_start[name]
            for need in service.depends_on:
                state = "ready" if need.waits_for_ready else "starting"
                assert need.service in before[state], (
                    f"seed {SEED}/{number}: {name} started before {need.service} was {state}"
                )
    assert engine.list_resources({naming.ENV: None}) == []
