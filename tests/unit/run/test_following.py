"""Logs of several services as one stream, also past an engine that restarts and leaves its containers running."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from envspin.engine.base import ContainerInfo
from envspin.errors import EngineError, EngineUnreachableError, ObjectNotFoundError, UnansweredError
from envspin.run import following
from envspin.run.following import LogFollower

RUNNING = ContainerInfo("c1", "envspin-e-db", "db:1", "sha256:1", {}, "running")
AWAY = EngineUnreachableError("no engine answers")
BROKEN = UnansweredError("the engine broke off what it was sending")


class Stream:
    """Lines, then the end or an error; or, where it is lasting, nothing of that until it is closed."""

    def __init__(self, *lines: str, lasting: bool = False, error: EngineError | None = None) -> None:
        self._lines = lines
        self._error = error
        self._end = threading.Event()
        if not lasting:
            self._end.set()

    def __iter__(self):
        yield from self._lines
        assert self._end.wait(20)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self._end.set()


class Engine:
    """Answers with streams and states in turn."""

    def __init__(self, streams, states) -> None:
        self._streams, self._states = list(streams), list(states)
        self.since: list[float | None] = []

    def logs(self, container_id, *, follow, tail=None, since=None):
        self.since.append(since)
        stream = self._streams.pop(0)
        if isinstance(stream, Exception):
            raise stream
        return stream

    def inspect(self, container_id):
        state = self._states.pop(0)
        if isinstance(state, Exception):
            raise state
        return state


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.0)


def follow(engine, *, follows=True):
    ended = []
    follower = LogFollower(engine, {"db": "c1"}, tail=0, follow=follows, on_end=ended.append)
    return [line for _, line in follower], ended


def test_a_log_ends_with_its_container():
    engine = Engine([Stream("a")], [replace(RUNNING, status="exited", exit_code=0)])
    assert follow(engine) == (["a"], ["db"])


def test_a_log_that_ends_while_its_container_runs_is_followed_on_from_there():
    engine = Engine([Stream("a"), Stream("b")], [RUNNING, ObjectNotFoundError("gone")])
    assert follow(engine) == (["a", "b"], ["db"])
    assert engine.since[0] is None
    assert engine.since[1] is not None


def test_an_engine_that_is_away_for_a_while_is_waited_for():
    engine = Engine([Stream("a"), Stream("b")], [AWAY, AWAY, RUNNING, ObjectNotFoundError("gone")])
    assert follow(engine) == (["a", "b"], ["db"])


def test_an_engine_that_does_not_return_ends_the_log(monkeypatch):
    monkeypatch.setattr(following, "RETURN_SECONDS", 0.0)
    engine = Engine([Stream("a")], [AWAY] * 1000)
    assert follow(engine) == (["a"], ["db"])


def test_a_log_that_is_read_once_is_not_looked_after():
    assert follow(Engine([Stream("a")], []), follows=False) == (["a"], ["db"])


def test_closing_ends_a_stream_that_replaced_another():
    engine = Engine([Stream("a"), Stream("b", lasting=True)], [RUNNING])
    follower = LogFollower(engine, {"db": "c1"}, tail=0, follow=True)
    lines = iter(follower)
    assert [next(lines)[1], next(lines)[1]] == ["a", "b"]
    follower.close()
    assert list(lines) == []


def read(engine, *services: str, follows: bool):
    """Return what a follower of these services yields up to its end, and the error that it ends with."""
    heard = []
    try:
        heard.extend(LogFollower(engine, {name: f"c-{name}" for name in services}, tail=None, follow=follows))
    except EngineError as error:
        return heard, error
    return heard, None


def test_a_log_that_is_read_once_and_breaks_off_is_told_after_its_lines():
    engine = Engine([Stream("a", "b", error=BROKEN)], [])
    assert read(engine, "db", follows=False) == ([("db", "a"), ("db", "b")], BROKEN)


def test_what_the_other_services_wrote_comes_before_it_is_told_that_one_broke_off():
    engine = Engine([Stream("a", error=BROKEN), Stream("b", "c")], [])
    heard, error = read(engine, "db", "api", follows=False)
    assert (sorted(heard), error) == ([("api", "b"), ("api", "c"), ("db", "a")], BROKEN)


@pytest.mark.parametrize(
    "streams",
    [[Stream("a", error=BROKEN)], [Stream("a"), AWAY], [Stream("a"), Stream(error=BROKEN)]],
    ids=["at once", "not had again", "again"],
)
def test_a_log_that_is_followed_and_breaks_off_just_ends(streams):
    assert read(Engine(streams, [RUNNING]), "db", follows=True) == ([("db", "a")], None)


def test_a_log_that_breaks_off_because_nobody_reads_on_is_none_to_tell_of():
    follower = LogFollower(Engine([Stream("a", lasting=True, error=BROKEN)], []), {"db": "c1"}, tail=None, follow=False)
    lines = iter(follower)
    assert next(lines) == ("db", "a")
    follower.close()
    assert list(lines) == []
