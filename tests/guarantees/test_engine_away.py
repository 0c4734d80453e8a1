"""An engine that goes away, or falls silent, while an environment of it runs."""

from __future__ import annotations

import queue

import pytest

from envspin import Environment
from envspin.engine.docker import DockerEngine
from envspin.events import EngineLost, EngineReturned, Event, Listener, TeardownFinished

from .faults import Fault
from .lab import Lab
from .owners import Case
from .proxy import FaultProxy

pytestmark = pytest.mark.engine

PATIENCE = 30.0
SIGNS = ("GET", "/_ping")
TROUBLES = [Fault("hang", *SIGNS), Fault("away", *SIGNS, seconds=3.0)]


class Told(Listener):
    """Keeps what is told, for those who wait for it."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def handle(self, event: Event) -> None:
        self._events.put(event)

    def wait(self, kind: type[Event]) -> Event:
        """Return the next event of this kind."""
        while True:
            event = self._events.get(timeout=PATIENCE)
            if isinstance(event, kind):
                return event


@pytest.mark.parametrize("trouble", TROUBLES, ids=[fault.kind for fault in TROUBLES])
def test_its_users_hear_that_it_is_gone_and_that_it_is_back(lab: Lab, trouble: Fault) -> None:
    case, told = Case(lab, "away", trouble.kind), Told()
    with FaultProxy() as proxy:
        engine = DockerEngine.connect(proxy.address)
        try:
            with Environment.up(case.topology, name=case.name, engine=engine, listener=told) as environment:
                proxy.arm(trouble)  # not before: the engine is asked for signs of life while it starts, too
                told.wait(EngineLost)
                assert environment.is_engine_lost
                told.wait(EngineReturned)
                assert not environment.is_engine_lost
                assert environment["first"].exec(["echo", "still here"]).output.strip() == "still here"
            told.wait(TeardownFinished)
        finally:
            engine.close()
        assert case.list_objects() == []
    case.discard()
