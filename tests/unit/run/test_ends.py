"""Ends of an environment: what is left of its watch, and an interruption that comes while that is closed."""

from __future__ import annotations

import signal

import pytest

from envspin import Environment
from envspin.engine.fake import Exit, FakeEngine, FakeImage, Line, Script
from envspin.errors import EngineUnreachableError, NotReadyError
from envspin.events import EngineLost, Listener, ServiceChanged
from envspin.model import LogProbe
from envspin.run import naming, watch
from envspin.run.signals import terminable

from ..builders import make_service, make_topology
from .watching import wait_for

READY = Script(lines=(Line("ready"),))
TOPOLOGY = make_topology(make_service("db", ready=(LogProbe("ready"),)))


class Recorder(Listener):
    def __init__(self) -> None:
        self.events = []

    def handle(self, event) -> None:
        self.events.append(event)


def make_engine(db: Script = READY) -> FakeEngine:
    return FakeEngine(default_image=FakeImage(db))


def left_over(engine: FakeEngine) -> list[str]:
    return [each.name for each in engine.list_resources({naming.ENV: None})]


@pytest.fixture
def own_engine(monkeypatch) -> FakeEngine:
    """The engine that an environment connects to where it is given none."""
    engine = make_engine()
    monkeypatch.setattr("envspin.run.environment.connect", lambda: engine)
    return engine


def test_a_detached_environment_is_watched_no_more(list_threads):
    engine = make_engine()
    with Environment.up(TOPOLOGY, engine=engine) as environment:
        assert {each.name for each in list_threads()} == {"envspin-watch", "envspin-pulse"}
        environment.detach(ttl=60)
        assert list_threads() == set()
        assert not environment.is_engine_lost
    assert "envspin-" + environment.name + "-db" in left_over(engine)
    environment.close()
    assert left_over(engine) == []


def test_who_detaches_from_an_engine_of_his_own_is_not_told_that_it_is_lost(own_engine, monkeypatch, list_threads):
    monkeypatch.setattr(watch, "RECONNECT_SECONDS", 0.01)
    monkeypatch.setattr(watch, "LOST_SECONDS", 0.05)
    recorder = Recorder()
    with Environment.up(TOPOLOGY, listener=recorder) as environment:
        environment.detach()
    with pytest.raises(EngineUnreachableError):
        own_engine.info()

    def find_lost() -> list[EngineLost]:
        return [each for each in recorder.events if isinstance(each, EngineLost)]

    wait_for(lambda: find_lost() or not list_threads(), "the end of the watch")
    assert find_lost() == []


def test_an_environment_that_could_not_be_detached_is_watched_on(monkeypatch, list_threads):
    engine = make_engine()
    with Environment.up(TOPOLOGY, engine=engine) as environment:
        engine.inject("create_volume", EngineUnreachableError("no engine answers"))
        with pytest.raises(EngineUnreachableError):
            environment.detach()
        assert len(list_threads()) == 2
    assert left_over(engine) == []


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def interrupted_watch(request, monkeypatch) -> list[str]:
    """Let a signal arrive while a watch is being closed; return what became of it."""
    story: list[str] = []
    close = watch.Watch.close

    def close_slowly(self) -> None:
        story.append("begun")
        signal.raise_signal(request.param)
        close(self)
        story.append("closed")

    monkeypatch.setattr(watch.Watch, "close", close_slowly)
    return story


def test_an_interruption_while_the_watch_is_closed_does_not_skip_the_removal(interrupted_watch, list_threads):
    engine = make_engine()
    environment = Environment.up(TOPOLOGY, engine=engine)
    with pytest.raises(KeyboardInterrupt), terminable():
        environment.close()
    assert interrupted_watch == ["begun", "closed"]
    assert left_over(engine) == []
    assert list_threads() == set()
    assert dict(environment.close()) == {"container": 1, "network": 1}
    assert interrupted_watch == ["begun", "closed"], "what is closed is not closed again"


def test_an_interruption_at_the_end_of_a_with_block_leaves_nothing_and_no_connection(interrupted_watch, own_engine):
    with pytest.raises(KeyboardInterrupt), terminable(), Environment.up(TOPOLOGY):
        pass
    assert interrupted_watch == ["begun", "closed"]
    verbs = [call.verb for call in own_engine.calls]
    assert verbs.count("remove") == 2
    with pytest.raises(EngineUnreachableError):
        own_engine.info()


def test_an_interruption_on_the_way_out_of_a_failed_start_leaves_nothing(interrupted_watch, list_threads):
    engine = make_engine(Script(exits=Exit(1, after=0.01)))
    with pytest.raises(KeyboardInterrupt) as caught, terminable():
        Environment.up(TOPOLOGY, engine=engine)
    assert isinstance(caught.value.__context__, NotReadyError)
    assert interrupted_watch == ["begun", "closed"]
    assert left_over(engine) == []
    assert list_threads() == set()


def test_a_second_interruption_on_the_way_out_of_a_start_leaves_nothing(interrupted_watch, list_threads):
    class Impatient(Listener):
        def handle(self, event) -> None:
            if isinstance(event, ServiceChanged) and event.state == "started":
                raise KeyboardInterrupt

    engine = make_engine(Script())
    with pytest.raises(KeyboardInterrupt), terminable():
        Environment.up(TOPOLOGY, engine=engine, listener=Impatient())
    assert interrupted_watch == ["begun", "closed"]
    assert left_over(engine) == []
    assert list_threads() == set()
