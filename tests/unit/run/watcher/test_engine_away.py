"""Environments whose engine goes away: what is told, and that the watcher is left what they could not remove."""

from __future__ import annotations

import threading

import pytest

from envspin import Environment
from envspin.errors import ConflictError, EngineError, EngineUnreachableError, NotReadyError, UnansweredError
from envspin.events import EngineLost, EngineReturned, Listener, RunFailed, TeardownFinished, TeardownStarted
from envspin.model import LogProbe
from envspin.run import naming, watch

from ...builders import chain, make_service, make_topology
from .listening import MAKING, LastingEngine, ListeningWatcher

PATIENCE = 10.0
REASON = "no engine answers at unix:///engine.sock"
SHOP = make_topology(make_service("db", ready=(LogProbe("ready"),)))
ALWAYS = 100_000


class Recorder(Listener):
    def __init__(self) -> None:
        self.events: list[object] = []
        self._changed = threading.Condition()

    def handle(self, event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait(self, kind: type) -> object:
        """Wait until an event of this kind has come."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.of(kind), PATIENCE), f"no {kind.__name__}"
            return self.of(kind)[0]

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


class FragileEngine(LastingEngine):
    """An engine that can go away and come back."""

    def __init__(self, watcher: ListeningWatcher) -> None:
        super().__init__(watcher)
        self.is_away = False
        self._streams: list = []

    def note_call(self, verb, subject):
        if self.is_away and verb != "close":
            raise EngineUnreachableError(REASON)
        return super().note_call(verb, subject)

    def watch(self, labels):
        self._streams.append(super().watch(labels))
        return self._streams[-1]

    def go_away(self) -> None:
        self.is_away = True
        for stream in self._streams:
            stream.close()


@pytest.fixture
def engine(watcher) -> FragileEngine:
    return FragileEngine(watcher)


def test_a_close_without_an_engine_says_who_goes_on(engine, watcher):
    recorder = Recorder()
    environment = Environment.up(SHOP, engine=engine, listener=recorder)
    engine.go_away()
    with pytest.raises(EngineUnreachableError) as caught:
        environment.close()
    assert any("a process in the background goes on" in line for line in caught.value.context)
    assert watcher.words[-1] == ("abandoned", environment.run_id)
    assert len(recorder.of(TeardownStarted)) == 1
    assert recorder.of(TeardownFinished) == []


def test_the_end_of_the_context_is_a_close(engine, watcher):
    with pytest.raises(EngineUnreachableError, match="no engine answers"), Environment.up(SHOP, engine=engine):
        engine.go_away()
    assert watcher.words[-1][0] == "abandoned"


def test_a_close_that_failed_can_be_tried_again(engine, watcher):
    environment = Environment.up(SHOP, engine=engine)
    engine.inject("remove", ConflictError("it is busy"))
    with pytest.raises(ConflictError) as caught:
        environment.close()
    assert any("background" in line for line in caught.value.context)
    removed = environment.close()
    assert sum(removed.values()) == 1
    assert engine.list_resources({naming.ENV: None}) == []
    assert environment.close() is removed


def test_what_can_be_removed_is_removed_before_the_rest_is_abandoned(engine, watcher):
    topology = chain({"a": (), "b": (), "c": ()}, ready=(LogProbe("ready"),))
    environment = Environment.up(topology, engine=engine)
    engine.inject("remove", EngineError("busy"))
    with pytest.raises(EngineError, match="busy"):
        environment.close()
    assert len(engine.list_resources({naming.ENV: None})) == 1
    assert watcher.words[-1] == ("abandoned", environment.run_id)


def test_an_engine_that_does_not_answer_one_removal_is_not_asked_for_others(engine, watcher):
    topology = chain({"a": (), "b": (), "c": ()}, ready=(LogProbe("ready"),))
    environment = Environment.up(topology, engine=engine)
    engine.inject("remove", UnansweredError("no answer"), times=100)
    before = len([call for call in engine.calls if call.verb == "remove"])
    with pytest.raises(UnansweredError):
        environment.close()
    assert len([call for call in engine.calls if call.verb == "remove"]) - before <= 3  # those side by side
    assert watcher.words[-1] == ("abandoned", environment.run_id)


def test_what_nobody_expected_in_a_removal_leaves_the_rest_to_the_watcher(engine, watcher):
    environment = Environment.up(chain({"a": ()}, ready=(LogProbe("ready"),)), engine=engine)
    engine.inject("remove", ZeroDivisionError("surprise"))
    with pytest.raises(ZeroDivisionError):
        environment.close()
    assert watcher.words[-1] == ("abandoned", environment.run_id)


def test_nobody_promises_to_remove_what_was_left_running_on_purpose(engine, watcher):
    environment = Environment.up(SHOP, engine=engine)
    environment.detach()
    engine.go_away()
    with pytest.raises(EngineUnreachableError) as caught:
        environment.close()
    assert not any("background" in line for line in caught.value.context)


def test_an_environment_of_another_process_is_nobodys_to_abandon(engine, watcher):
    with Environment.up(SHOP, engine=engine) as environment:
        other = Environment.open(environment.name, engine=engine)
        engine.inject("remove", UnansweredError("no answer"))
        with pytest.raises(UnansweredError) as caught:
            other.close()
        assert caught.value.context == ()
        assert not other.is_engine_lost
        assert watcher.words[-1][0] != "abandoned"


def test_the_users_hear_that_the_engine_is_gone_and_that_it_is_back(engine, monkeypatch):
    monkeypatch.setattr(watch, "RECONNECT_SECONDS", 0.01)
    monkeypatch.setattr(watch, "LOST_SECONDS", 0.05)
    recorder = Recorder()
    with Environment.up(SHOP, engine=engine, listener=recorder) as environment:
        assert not environment.is_engine_lost
        engine.go_away()
        lost = recorder.wait(EngineLost)
        assert (lost.env, lost.reason) == (environment.name, REASON)
        assert environment.is_engine_lost
        engine.is_away = False
        back = recorder.wait(EngineReturned)
        assert back.env == environment.name
        assert back.at >= lost.at
    assert engine.list_resources({naming.ENV: None}) == []
    assert [type(each) for each in recorder.events if isinstance(each, EngineLost | EngineReturned)] == [
        EngineLost,
        EngineReturned,
    ]


def test_an_engine_that_goes_away_during_the_start_fails_it_and_the_watcher_goes_on(engine, watcher):
    recorder = Recorder()
    engine.inject("start", EngineUnreachableError(REASON))
    engine.inject("remove", EngineUnreachableError("it is away"), times=ALWAYS)
    with pytest.raises(EngineUnreachableError) as caught:
        Environment.up(SHOP, engine=engine, listener=recorder)
    assert caught.value.message == REASON
    failed, promise = caught.value.context[-2:]
    assert failed == "and its removal failed: it is away"
    assert "background" in promise
    assert recorder.of(RunFailed)[0].error is caught.value
    assert watcher.words[-1][0] == "abandoned"


def test_a_failed_start_keeps_its_own_diagnosis_where_the_removal_fails_too(engine, watcher):
    engine.inject("start", EngineError("no such runtime"))
    engine.inject("remove", ConflictError("it is busy"), times=ALWAYS)
    with pytest.raises(NotReadyError, match="no such runtime") as caught:
        Environment.up(SHOP, engine=engine)
    assert "and its removal failed: it is busy" in caught.value.context
    assert any("background" in line for line in caught.value.context)
    assert watcher.words[-1][0] == "abandoned"


def test_a_failed_start_that_was_removed_is_closed(engine, watcher):
    engine.inject("start", EngineError("no such runtime"))
    with pytest.raises(NotReadyError):
        Environment.up(SHOP, engine=engine)
    assert watcher.words[-1][0] == "closed"
    assert watcher.book.runs == {}


def test_a_create_without_an_answer_is_left_to_the_watcher_although_the_rest_is_gone(engine, watcher):
    engine.inject("create_container", UnansweredError("no answer"), times=ALWAYS)
    left = []
    forget = watcher.forget
    watcher.forget = lambda word, run: left.append((word, set(watcher.book.pending[run]))) or forget(word, run)
    with pytest.raises(UnansweredError):
        Environment.up(SHOP, name="mine", engine=engine)
    assert left == [("closed", {"envspin-mine-db"})]


def test_an_interrupted_start_is_removed_and_closed(engine, watcher):
    engine.inject("start", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        Environment.up(SHOP, engine=engine)
    assert engine.list_resources({naming.ENV: None}) == []
    assert watcher.words[-1][0] == "closed"


def test_without_a_subscription_nothing_is_made_and_the_run_is_closed(engine, watcher):
    engine.inject("watch", EngineUnreachableError(REASON))
    with pytest.raises(EngineUnreachableError):
        Environment.up(SHOP, engine=engine)
    assert not MAKING & {call.verb for call in engine.calls}
    assert watcher.book.runs == {}


def test_what_is_wrong_before_the_start_is_told_to_no_watcher(engine, watcher):
    engine.is_away = True
    with pytest.raises(EngineUnreachableError):
        Environment.up(SHOP, engine=engine)
    assert watcher.words == []
