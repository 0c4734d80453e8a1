"""Logs of several services as one stream, also past an engine that restarts and leaves its containers running."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from envspin.engine.base import ContainerInfo
from envspin.errors import EngineUnreachableError, ObjectNotFoundError
from envspin.run import following
from envspin.run.following import LogFollower

RUNNING = ContainerInfo("c1", "envspin-e-db", "db:1", "sha256:1", {}, "running")
AWAY = EngineUnreachableError("no engine answers")


class Stream:
    """Lines, then the end; or, where it is lasting, nothing until it is closed."""

    def __init__(self, *lines: str, lasting: bool = False) -> None:
        self._lines = lines
        self._end = threading.Event()
        if not lasting:
            self._end.set()

    def __iter__(self):
        yield from self._lines
        assert self._end.wait(20)

    def close(self) -> None:
        self._end.set()


class Engine:
    """Answers with streams and states in turn."""

    def __init__(self, streams, states) -> None:
        self._streams, self._states = list(streams), list(states)
        self.since: list[float | None] = []

    def logs(self, container_id, *, follow, tail=None, since=None):
        self.since.append(since)
        return self._streams.pop(0)

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
