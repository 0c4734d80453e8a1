"""The watch on an environment's containers, over an engine that a test lets hang up, hang and come back."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

import pytest

from envspin import Environment
from envspin.engine.base import ContainerEvent, ContainerInfo
from envspin.engine.fake import FakeEngine, FakeImage, Script
from envspin.engine.fake import Line as LogLine
from envspin.errors import EngineError, EngineUnreachableError, ObjectNotFoundError, UnansweredError
from envspin.model import LogProbe
from envspin.run import naming, pulse, watch
from envspin.run.watch import Watch

from ..builders import make_service, make_topology
from .watching import PATIENCE, wait_for

LABELS = {naming.RUN: "r1"}
AWAY = EngineUnreachableError("no engine answers")


class Stream:
    """A subscription that ends when the engine hangs up or is told to close."""

    def __init__(self, engine: Line) -> None:
        self._engine = engine
        self._events: queue.SimpleQueue[ContainerEvent | None] = queue.SimpleQueue()
        self.is_closed = False

    def __iter__(self) -> Iterator[ContainerEvent]:
        return iter(self._events.get, None)

    def put(self, action: str, service: str = "db", *, container_id: str = "c1", exit_code: int | None = None) -> None:
        labels = {**LABELS, naming.SERVICE: service}
        self._events.put(ContainerEvent(action, container_id, labels, exit_code))

    def hang_up(self) -> None:
        self._events.put(None)

    def close(self) -> None:
        self.is_closed = True
        self._events.put(None)
        self._engine.closing.set()


class Line:
    """An engine of which only subscriptions and looks at containers are asked."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.asked: list[dict[str, str]] = []
        self.trouble: EngineError | None = None
        self.hanging = False
        self.closing = threading.Event()
        """Set when a stream is closed: what hangs until then ends."""
        self.pulse: EngineError | None = None
        self.pings = 0
        self.is_frozen = False
        self.silence: EngineError = UnansweredError("no answer")
        """What becomes of a ping while it is frozen."""
        self.containers: dict[str, ContainerInfo | EngineError] = {}
        self.release = threading.Event()

    def watch(self, labels) -> Stream:
        self.asked.append(dict(labels))
        if self.hanging:
            assert self.release.wait(PATIENCE)
        if self.trouble is not None:
            raise self.trouble
        self.streams.append(Stream(self))
        return self.streams[-1]

    def ping(self, seconds: float) -> None:
        self.pings += 1
        if self.is_frozen:
            time.sleep(seconds)  # what a socket's time limit does
            raise self.silence
        if self.pulse is not None:
            raise self.pulse

    def inspect(self, container_id: str) -> ContainerInfo:
        found = self.containers[container_id]
        if isinstance(found, EngineError):
            raise found
        return found


class Told:
    """What was said of the engine, in order."""

    def __init__(self) -> None:
        self.words: list[str | None] = []
        self.changed = threading.Condition()

    def __call__(self, reason: str | None) -> None:
        with self.changed:
            self.words.append(reason)
            self.changed.notify_all()

    def await_words(self, count: int) -> list[str | None]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.words) >= count, PATIENCE), f"heard only {self.words}"
            return list(self.words)


def make_info(status: str, exit_code: int | None = None, *, oom_killed: bool = False) -> ContainerInfo:
    return ContainerInfo("c1", "db", "db:1", "sha256:1", LABELS, status, exit_code=exit_code, oom_killed=oom_killed)


@pytest.fixture
def line(monkeypatch, list_threads) -> Iterator[Line]:
    """An engine; constants are short, and no thread of a watch may be left in the end."""
    monkeypatch.setattr(watch, "RECONNECT_SECONDS", 0.01)
    monkeypatch.setattr(watch, "LOST_SECONDS", 0.1)
    monkeypatch.setattr(pulse, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(pulse, "ANSWER_SECONDS", 0.05)
    made = Line()
    yield made
    made.release.set()
    wait_for(lambda: not list_threads(), f"the end of {list_threads()}")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def opened(line, told) -> Iterator[Watch]:
    made = Watch(line, "r1", told)
    yield made
    made.close()


def test_it_subscribes_to_its_run_before_anything_starts(line, opened):
    assert line.asked == [LABELS]


def test_where_no_subscription_is_had_nothing_begins(line, told, list_threads):
    line.trouble = AWAY
    with pytest.raises(EngineUnreachableError):
        Watch(line, "r1", told)
    assert list_threads() == set()


def test_a_stop_is_noticed_and_told_once(line, opened):
    stops = []
    opened.on_stop = lambda service, vigil: stops.append((service, vigil.exit_code, vigil.oom_killed))
    vigil = opened.begin("db", "c1")
    line.streams[0].put("oom")
    line.streams[0].put("die", exit_code=137)
    line.streams[0].put("destroy")
    assert vigil.stirred.wait(PATIENCE)
    other = opened.begin("last", "c2")
    line.streams[0].put("die", "last", container_id="c2", exit_code=0)
    assert other.stirred.wait(PATIENCE)
    wait_for(lambda: len(stops) == 2, "the second stop")
    assert stops == [("db", 137, True), ("last", 0, False)]


def test_events_of_other_containers_are_none_of_its_business(line, opened):
    vigil = opened.begin("db", "c1")
    last = opened.begin("last", "c2")
    line.streams[0].put("die", "db", container_id="former", exit_code=1)
    line.streams[0].put("die", "unknown", exit_code=1)
    line.streams[0].put("die", "last", container_id="c2", exit_code=0)
    assert last.stirred.wait(PATIENCE)
    assert not vigil.has_stopped


def test_a_connection_that_is_back_at_once_is_not_worth_a_word(line, told, opened, monkeypatch):
    monkeypatch.setattr(watch, "LOST_SECONDS", 60.0)
    for number in range(1, 6):
        line.streams[-1].hang_up()
        wait_for(lambda number=number: len(line.streams) == number + 1, "the next subscription")
    vigil = opened.begin("db", "c1")
    line.streams[-1].put("die", exit_code=0)
    assert vigil.stirred.wait(PATIENCE)
    assert told.words == []
    assert not opened.is_engine_lost
    assert [each.is_closed for each in line.streams] == [True] * 5 + [False]


def test_an_engine_that_stays_away_is_told_with_the_reason_and_then_its_return(line, told, opened):
    line.trouble = AWAY
    line.streams[0].hang_up()
    assert told.await_words(1) == ["no engine answers"]
    assert opened.is_engine_lost
    line.trouble = None
    assert told.await_words(2) == ["no engine answers", None]
    wait_for(lambda: not opened.is_engine_lost, "the engine to be back")


def test_each_absence_is_told_once(line, told, opened):
    for number in range(1, 3):
        line.trouble = AWAY
        line.streams[-1].hang_up()
        told.await_words(2 * number - 1)
        looks = len(line.asked)
        wait_for(lambda looks=looks: len(line.asked) > looks + 3, "more attempts")
        line.trouble = None
        told.await_words(2 * number)
    assert told.words == ["no engine answers", None] * 2


def test_an_alarm_that_comes_a_moment_too_late_says_nothing(line, told, opened):
    line.streams[0].hang_up()
    wait_for(lambda: opened._is_connected and len(line.streams) == 2, "the next subscription")
    opened._tell_lost()
    assert not opened.is_engine_lost
    line.trouble = AWAY
    line.streams[1].hang_up()
    told.await_words(1)
    opened.close()
    opened._tell_lost()
    assert told.words == ["no engine answers"]


def test_a_subscription_that_hangs_raises_the_alarm_too(line, told, opened):
    line.hanging = True
    line.streams[0].hang_up()
    (reason,) = told.await_words(1)
    assert "events" in reason
    assert opened.is_engine_lost
    line.hanging = False
    line.release.set()
    assert told.await_words(2)[1] is None


@pytest.mark.parametrize("silence", [UnansweredError("no answer"), AWAY, EngineError("gateway time-out")], ids=str)
def test_an_engine_that_is_frozen_is_told_though_its_subscription_stands(line, told, opened, silence):
    line.silence = silence
    line.is_frozen = True
    assert told.await_words(1) == ["it has not answered for 0.05 s"]
    assert opened.is_engine_lost
    line.is_frozen = False
    assert told.await_words(2)[1] is None
    assert len(line.streams) == 1


@pytest.mark.parametrize("trouble", [AWAY, UnansweredError("it hung up"), EngineError("500")], ids=str)
def test_an_engine_that_is_not_silent_is_the_subscriptions_business(line, told, opened, trouble, monkeypatch):
    monkeypatch.setattr(pulse, "ANSWER_SECONDS", 60.0)
    line.pulse = trouble
    before = line.pings
    wait_for(lambda: line.pings > before + 3, "more questions")
    assert told.words == []


def test_an_engine_is_back_when_nobody_misses_it_any_more(line, told, opened):
    line.is_frozen = True
    told.await_words(1)
    line.trouble = AWAY
    line.streams[0].hang_up()
    wait_for(lambda: len(opened._troubles) == 2, "both to miss it")
    line.is_frozen = False
    wait_for(lambda: len(opened._troubles) == 1, "a sign of life")
    assert opened.is_engine_lost
    line.trouble = None
    assert told.await_words(2) == ["it has not answered for 0.05 s", None]


@pytest.mark.parametrize(
    ("found", "exit_code", "oom"),
    [
        (make_info("exited", 3), 3, False),
        (make_info("dead", 137, oom_killed=True), 137, True),
        (ObjectNotFoundError("no such container"), None, False),
    ],
    ids=["exited", "out of memory", "removed"],
)
def test_stops_that_happened_meanwhile_are_noticed(line, opened, found, exit_code, oom):
    stops = []
    opened.on_stop = lambda service, vigil: stops.append((service, vigil.exit_code, vigil.oom_killed))
    vigil, alive = opened.begin("db", "c1"), opened.begin("alive", "c2")
    line.containers = {"c1": found, "c2": make_info("running")}
    line.streams[0].hang_up()
    assert vigil.stirred.wait(PATIENCE)
    wait_for(lambda: stops, "the stop to be told")
    assert stops == [("db", exit_code, oom)]
    assert vigil.has_stopped
    assert not alive.has_stopped


def test_what_cannot_be_looked_at_again_is_looked_at_later(line, told, opened):
    vigil = opened.begin("db", "c1")
    line.containers = {"c1": AWAY}
    line.streams[0].hang_up()
    assert told.await_words(1) == ["no engine answers"]
    line.containers = {"c1": make_info("exited", 4)}
    assert vigil.stirred.wait(PATIENCE)
    assert vigil.exit_code == 4
    told.await_words(2)
    assert sum(not each.is_closed for each in line.streams) == 1


def test_a_container_that_was_started_again_runs(line, opened):
    vigil = opened.begin("db", "c1")
    line.streams[0].put("die", exit_code=1)
    assert vigil.stirred.wait(PATIENCE)
    line.streams[0].put("start")
    wait_for(lambda: not vigil.has_stopped, "the start to be noticed")


def test_calling_off_wakes_everybody_who_waits(line, opened):
    vigils = [opened.begin(name, name) for name in ("db", "api")]
    opened.call_off()
    assert all(vigil.stirred.is_set() for vigil in vigils)
    assert not any(vigil.has_stopped for vigil in vigils)


def test_a_closed_watch_leaves_no_thread_and_no_subscription(line, told, opened, list_threads):
    opened.close()
    assert list_threads() == set()
    assert all(each.is_closed for each in line.streams)
    opened.close()


def test_it_can_be_closed_while_the_engine_is_away_and_says_nothing_more(line, told, opened, list_threads):
    line.trouble = AWAY
    line.streams[0].hang_up()
    told.await_words(1)
    opened.close()
    assert list_threads() == set()
    assert told.words == ["no engine answers"]


def test_it_can_be_closed_before_the_absence_is_worth_a_word(line, told, opened, monkeypatch, list_threads):
    monkeypatch.setattr(watch, "LOST_SECONDS", 30.0)
    line.trouble = AWAY
    line.streams[0].hang_up()
    wait_for(lambda: len(line.asked) > 2, "attempts")
    opened.close()
    wait_for(lambda: not list_threads(), "the alarm's end")
    assert told.words == []


def test_it_can_be_closed_while_a_subscription_hangs_and_gives_back_what_comes_of_it(line, told, opened, list_threads):
    line.release = line.closing  # the call ends only when the watch is being closed
    line.hanging = True
    line.streams[0].hang_up()
    told.await_words(1)
    opened.close()
    assert list_threads() == set()
    assert all(each.is_closed for each in line.streams)
    assert len(line.streams) == 2
    assert len(told.words) == 1


def test_what_was_known_of_the_engine_is_still_known_after_the_close(line, told, opened):
    line.trouble = AWAY
    line.streams[0].hang_up()
    told.await_words(1)
    opened.close()
    assert opened.is_engine_lost


def test_the_watch_of_an_environment_lives_as_long_as_that(list_threads):
    engine = FakeEngine(default_image=FakeImage(Script(lines=(LogLine("ready"),))))
    with Environment.up(make_topology(make_service("db", ready=(LogProbe("ready"),))), engine=engine) as environment:
        vigil = environment._watch.find("db")
        assert not vigil.has_stopped
        engine.kill(environment["db"].container_id)
        wait_for(lambda: vigil.exit_code == 137, "the stop")
        assert not environment.is_engine_lost
    assert list_threads() == set()
