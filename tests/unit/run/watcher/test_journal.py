"""What a run tells the watcher, and that nothing is made before a watcher watches."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from envspin import Environment
from envspin.engine.fake import FakeEngine, FakeImage
from envspin.errors import (
    ConflictError,
    EngineError,
    EngineUnreachableError,
    ExhaustedError,
    ImageError,
    NotReadyError,
    UnansweredError,
)
from envspin.model import LogProbe, Mount, Volume
from envspin.run import naming
from envspin.run.naming import Identity
from envspin.run.watcher import journal
from envspin.run.watcher.journal import NoJournal, WatchedJournal, open_journal
from envspin.run.watcher.process import Watcher

from ...builders import make_service, make_topology
from .listening import ENGINE, MAKING, PROMPT, LastingEngine

READY = LogProbe("ready")


@pytest.fixture
def written(watcher) -> WatchedJournal:
    opened = open_journal(LastingEngine().info(), replace(Identity.new("shop", name="mine"), run_id="r1"))
    assert watcher.words == [("open", "r1", "mine", ENGINE)]
    watcher.words.clear()
    return opened


def test_a_create_is_told_before_and_after(watcher, written):
    with written.creating("db"):
        assert ("creating", "r1", "db") in [words[:3] for words in watcher.words]
        assert ("required",) in watcher.words
        assert ("settled", "r1", "db") not in watcher.words
    assert watcher.words[-1] == ("settled", "r1", "db")


@pytest.mark.parametrize(
    "error", [UnansweredError("no answer"), EngineUnreachableError("nobody there"), KeyboardInterrupt(), SystemExit(1)]
)
def test_a_create_without_an_answer_stays_open(watcher, written, error):
    with pytest.raises(type(error)), written.creating("db"):
        raise error
    assert watcher.book.pending["r1"].keys() == {"db"}


@pytest.mark.parametrize(
    "error",
    [ConflictError("taken"), ImageError("none"), ExhaustedError("none left"), EngineError("no"), NotReadyError("n")],
)
def test_a_refused_create_is_settled(watcher, written, error):
    with pytest.raises(type(error)), written.creating("db"):
        raise error
    assert watcher.words[-1] == ("settled", "r1", "db")
    assert watcher.book.pending == {"r1": {}}


def test_without_a_watcher_nothing_is_asked_of_the_engine(watcher, written):
    watcher.fails = True
    with pytest.raises(EngineError, match="cannot be started"), written.creating("db"):
        pytest.fail("the engine was asked")


def test_a_run_in_order_is_closed(watcher, written):
    written.close()
    assert watcher.words == [("closed", "r1")]
    assert watcher.book.runs == {}


def test_an_abandoned_run_is_told_as_that_and_promises_its_removal(watcher, written):
    assert "background" in written.abandon()
    assert watcher.words == [("abandoned", "r1")]


def test_nothing_is_promised_of_a_run_that_was_let_go_before(watcher, written):
    written.close()
    assert written.abandon() == ""


@pytest.mark.parametrize("word", ["off", "OFF", "0", "no", "false"])
def test_the_watcher_can_be_switched_off(monkeypatch, watcher, word):
    monkeypatch.setenv("ENVSPIN_WATCHER", word)
    assert isinstance(open_journal(LastingEngine().info(), Identity.new("shop")), NoJournal)
    assert watcher.words == []


@pytest.mark.parametrize("word", ["", "on", "1", "yes"])
def test_other_words_leave_it_on(monkeypatch, watcher, word):
    monkeypatch.setenv("ENVSPIN_WATCHER", word)
    assert isinstance(open_journal(LastingEngine().info(), Identity.new("shop")), WatchedJournal)


def test_environments_in_memory_have_no_watcher(watcher):
    assert isinstance(open_journal(FakeEngine().info(), Identity.new("shop")), NoJournal)
    with Environment.up(
        make_topology(make_service("db", ready=(READY,))), engine=FakeEngine(default_image=FakeImage(PROMPT))
    ):
        pass
    assert watcher.words == []


def test_no_journal_lets_everything_happen():
    silent = NoJournal()
    with silent.creating("db"):
        pass
    with pytest.raises(ConflictError), silent.creating("db"):
        raise ConflictError("taken")
    silent.close()
    assert silent.abandon() == ""


def test_every_object_of_an_environment_is_announced_and_the_run_closed(watcher):
    engine = LastingEngine(watcher)
    service = make_service("db", ready=(READY,), mounts=(Mount("volume", "/data", "data"), Mount("anonymous", "/more")))
    with Environment.up(make_topology(service, volumes={"data": Volume("data")}), engine=engine) as environment:
        assert watcher.book.runs == {environment.run_id: (environment.name, ENGINE)}
        assert not any(watcher.book.pending.values())
        made = sum(call.verb in MAKING for call in engine.calls)
    assert made == 4
    assert engine.unannounced == []
    assert watcher.words[-1] == ("closed", environment.run_id)
    assert watcher.book.runs == {}


def test_a_lease_is_announced_and_lets_the_run_go(watcher):
    engine = LastingEngine(watcher)
    with Environment.up(make_topology(make_service("db", ready=(READY,))), engine=engine) as environment:
        watcher.words.clear()
        environment.detach()
        told = [words[0] for words in watcher.words]
        assert told[0] == "creating"
        assert told[-2:] == ["settled", "closed"]
    assert len(engine.list_resources({naming.ENV: None})) == 3


def test_a_lease_without_an_answer_keeps_the_run_open(watcher):
    engine = LastingEngine(watcher)
    environment = Environment.up(make_topology(make_service("db", ready=(READY,))), engine=engine)
    engine.inject("create_volume", UnansweredError("no answer"), times=9)
    with pytest.raises(EngineError):
        environment.detach()
    assert list(watcher.book.runs) == [environment.run_id]
    assert watcher.book.pending[environment.run_id]
    environment.close()


def test_without_a_watcher_an_environment_makes_nothing(monkeypatch, watcher):
    engine = LastingEngine()

    def fail():
        raise EngineError("the watcher cannot be started")

    monkeypatch.setattr(journal, "find_watcher", fail)
    with pytest.raises(EngineError, match="cannot be started"):
        Environment.up(make_topology(make_service("db")), engine=engine)
    assert not MAKING & {call.verb for call in engine.calls}


def test_a_watcher_that_never_says_that_it_watches_lets_nothing_be_made(watcher):
    engine = LastingEngine(watcher)
    watcher.fails = True
    with pytest.raises(EngineError, match="cannot be started"):
        Environment.up(make_topology(make_service("db")), engine=engine)
    assert not MAKING & {call.verb for call in engine.calls}


def test_a_real_watcher_that_cannot_be_started_lets_nothing_be_made(monkeypatch):
    monkeypatch.delenv("ENVSPIN_WATCHER", raising=False)
    monkeypatch.setattr(journal, "find_watcher", Watcher)
    monkeypatch.setattr("sys.executable", os.devnull)
    engine = LastingEngine()
    with pytest.raises(EngineError, match="ENVSPIN_WATCHER=off"):
        Environment.up(make_topology(make_service("db")), engine=engine)
    assert not MAKING & {call.verb for call in engine.calls}
