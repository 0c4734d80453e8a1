"""What the watcher does after its owner's end, on the in-memory engine and a clock that only its own waiting moves."""

from __future__ import annotations

import time as wall
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from envspin.engine.base import ContainerSpec, NetworkSpec, VolumeSpec
from envspin.engine.fake import FakeEngine, FakeImage
from envspin.errors import ConflictError, EngineError, EngineUnreachableError, UsageError
from envspin.run import naming
from envspin.run.janitor import remove_environment
from envspin.run.naming import Identity
from envspin.run.record import Record, read_record, write_record
from envspin.run.watcher import removal
from envspin.run.watcher.removal import LATE_SECONDS, PATIENCE_SECONDS, Log, Removal
from envspin.run.watcher.waiting import Book

ADDRESS = "unix:///engine.sock"
OWNER = "host/boot/space/77/123"
AWAY = EngineUnreachableError("no engine answers")


class LastingEngine(FakeEngine):
    """An engine that connections come and go of."""

    def __init__(self) -> None:
        super().__init__(default_image=FakeImage())
        self.connections = 0

    def connect(self) -> LastingEngine:
        self.connections += 1
        return self

    def close(self) -> None:
        self.connections -= 1

    def make(self, identity: Identity, name: str) -> str:
        return self.create_volume(VolumeSpec(identity.object_name(name), identity.labels()))

    def make_all(self, identity: Identity) -> list[str]:
        """Make one object of each kind, the container using the others."""
        network = identity.object_name("default")
        self.create_network(NetworkSpec(network, identity.labels()))
        volume = self.make(identity, "data")
        container = identity.object_name("db")
        self.create_container(ContainerSpec(container, "db:1", identity.labels(service="db")))
        return [container, network, volume]

    def lease(self, identity: Identity) -> str:
        labels = identity.labels(lease="1")
        return self.create_volume(VolumeSpec(identity.object_name("lease", "1"), labels))

    def names(self) -> set[str]:
        return {each.name for each in self.list_resources({naming.ENV: None})}


class Time:
    """A clock that sleeping moves, and what happens when."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.began = self.now
        self._events: list[tuple[float, Callable[[], object]]] = []

    def at(self, seconds: float, happen: Callable[[], object]) -> None:
        self._events.append((self.began + seconds, happen))

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0, "it would be busy"
        self.now += seconds
        due = [event for event in self._events if event[0] <= self.now]
        self._events = [event for event in self._events if event[0] > self.now]
        for _, happen in sorted(due, key=lambda event: event[0]):
            happen()

    @property
    def passed(self) -> float:
        return self.now - self.began


@pytest.fixture
def engine() -> LastingEngine:
    return LastingEngine()


@pytest.fixture
def log(tmp_path) -> Log:
    return Log(tmp_path / "watchers" / "1.log")


@pytest.fixture
def time() -> Time:
    return Time()


def make_identity(env: str, *, owner: str = OWNER) -> Identity:
    return replace(Identity.new("shop", name=env), owner=owner)


def make_book(*identities: Identity, pending: tuple[str, ...] = (), began: float = 0.0) -> Book:
    """Note runs as open; ``pending`` are creates of the first, under way since ``began``."""
    book = Book()
    for identity in identities:
        book.note(f"open\t{identity.run_id}\t{identity.env}\t{ADDRESS}")
    for name in pending:
        book.note(f"creating\t{identities[0].run_id}\t{identities[0].object_name(name)}\t\t{began}")
    return book


def remove(book: Book, engine: LastingEngine, log: Log, time: Time) -> bool:
    return Removal(book, engine.connect, log).run(clock=time.clock, sleep=time.sleep)


def read_log(log: Log) -> list[str]:
    """Return the log's lines without their times."""
    if not log.path.exists():
        return []
    return [line.partition(" ")[2] for line in log.path.read_text().splitlines()]


def test_everything_of_the_open_runs_goes_and_nothing_else(engine, log, time):
    first, second, closed = make_identity("a"), make_identity("b"), make_identity("c")
    stranger = make_identity("a", owner="host/boot/space/78/123")
    engine.make_all(first)
    engine.make_all(second)
    kept = {*engine.make_all(closed), engine.make(stranger, "other")}
    engine.create_volume(VolumeSpec("bystander", {naming.OWNER: OWNER}))
    assert remove(make_book(first, second), engine, log, time)
    assert engine.names() == kept
    assert "bystander" in {each.name for each in engine.list_resources({})}
    assert read_log(log) == []


def test_the_same_name_in_another_run_of_the_owner_is_another_environment(engine, log, time):
    dead, alive = make_identity("a"), make_identity("a")
    engine.make(dead, "old")
    kept = engine.make(alive, "new")
    assert remove(make_book(dead), engine, log, time)
    assert engine.names() == {kept}


def test_a_run_that_holds_a_lease_was_left_on_purpose(engine, log, time):
    left, open_run = make_identity("a"), make_identity("b")
    kept = {*engine.make_all(left), engine.lease(left)}
    engine.make_all(open_run)
    assert remove(make_book(left, open_run), engine, log, time)
    assert engine.names() == kept


def test_a_lease_that_appears_after_the_first_look_came_too_late(engine, log, time):
    identity = make_identity("a")
    engine.make_all(identity)
    time.at(0.1, lambda: engine.lease(identity))
    assert remove(make_book(identity), engine, log, time)
    assert engine.names() == set()


def test_a_leased_runs_unanswered_create_is_not_waited_for(engine, log, time):
    identity = make_identity("a")
    engine.lease(identity)
    assert remove(make_book(identity, pending=("db",)), engine, log, time)
    assert time.passed < LATE_SECONDS / 2


def test_it_ends_after_two_sweeps_in_a_row_that_found_nothing(engine, log, time):
    assert remove(make_book(make_identity("a")), engine, log, time)
    assert sum(call.verb == "list_resources" for call in engine.calls) == 2


def test_what_appears_between_the_empty_sweeps_goes_and_the_count_starts_again(engine, log, time):
    identity = make_identity("a")
    late = iter(["one", "", "two", "", "", ""])  # sweeps: empty, found, empty, found, empty, empty

    def sleep(_seconds: float) -> None:
        name = next(late)
        if name:
            engine.make(identity, name)

    assert Removal(make_book(identity), engine.connect, log).run(clock=time.clock, sleep=sleep)
    assert engine.names() == set()
    assert list(late) == []


def test_an_unanswered_create_is_waited_for_until_it_came_and_went(engine, log, time):
    identity = make_identity("a")
    time.at(40, lambda: engine.make(identity, "db"))
    assert remove(make_book(identity, pending=("db",)), engine, log, time)
    assert engine.names() == set()
    assert 40 <= time.passed < 50


def test_an_unanswered_create_that_somebody_else_has_removed_is_not_waited_for(engine, log, time):
    identity = make_identity("a")
    engine.make(identity, "db")
    remove_environment(engine, "a")
    assert remove(make_book(identity, pending=("db",)), engine, log, time)
    assert time.passed < 10


def test_what_was_created_under_that_name_before_is_no_answer(engine, log, time):
    before, identity = make_identity("a"), make_identity("a")
    engine.make(before, "db")
    remove_environment(engine, "a")
    time.at(40, lambda: engine.make(identity, "db"))
    assert remove(make_book(identity, pending=("db",), began=wall.time() + 1000), engine, log, time)
    assert engine.names() == set()
    assert time.passed >= 40


def test_each_unanswered_create_is_waited_for(engine, log, time):
    identity, other = make_identity("a"), make_identity("b")
    book = make_book(identity, other, pending=("db", "api"))
    book.note(f"creating\t{other.run_id}\t{other.object_name('db')}\t\t0.0")
    time.at(10, lambda: engine.make(identity, "db"))
    time.at(20, lambda: engine.make(other, "db"))
    time.at(30, lambda: engine.make(identity, "api"))
    assert remove(book, engine, log, time)
    assert engine.names() == set()
    assert 30 <= time.passed < 40


def test_a_create_that_never_comes_is_given_up_in_the_end(engine, log, time):
    assert remove(make_book(make_identity("a"), pending=("db",)), engine, log, time)
    assert LATE_SECONDS <= time.passed < LATE_SECONDS + 5
    assert read_log(log) == []


def test_while_the_engine_is_away_it_waits_and_says_so_once(engine, log, time):
    identity = make_identity("a")
    engine.make_all(identity)
    engine.inject("list_resources", AWAY, times=600)
    assert remove(make_book(identity), engine, log, time)
    assert engine.names() == set()
    assert read_log(log) == ["while removing a: no engine answers"]
    assert engine.connections == 1  # each broken one was given back


def test_a_broken_connection_is_given_back_and_replaced(engine, log, time):
    identity, broken = make_identity("a"), LastingEngine()
    engine.make_all(identity)
    broken.inject("list_resources", AWAY)
    connections = iter([broken, engine])
    assert Removal(make_book(identity), lambda: next(connections).connect(), log).run(
        clock=time.clock, sleep=time.sleep
    )
    assert engine.names() == set()
    assert (broken.connections, engine.connections) == (0, 1)


def test_an_engine_that_cannot_be_connected_to_is_tried_again(engine, log, time):
    identity = make_identity("a")
    engine.make_all(identity)
    answers = iter([AWAY, AWAY, UsageError("docker context 'far' does not exist"), AWAY])

    def connect() -> LastingEngine:
        error = next(answers, None)
        if error is not None:
            raise error
        return engine.connect()

    assert Removal(make_book(identity), connect, log).run(clock=time.clock, sleep=time.sleep)
    assert engine.names() == set()
    assert [line.partition(": ")[2] for line in read_log(log)] == [
        "no engine answers",
        "docker context 'far' does not exist",
        "no engine answers",
    ]


def test_what_cannot_be_removed_at_first_goes_later_and_the_rest_at_once(engine, log, time):
    identity = make_identity("a")
    engine.make_all(identity)
    engine.inject("remove", ConflictError("it is busy"), times=1)
    seen = []
    time.at(0.5, lambda: seen.append(engine.names()))
    assert remove(make_book(identity), engine, log, time)
    assert len(seen[0]) == 1
    assert engine.names() == set()
    assert read_log(log) == ["while removing a: it is busy"]


def test_trouble_between_the_empty_sweeps_starts_the_count_again(engine, log, time):
    troubles = iter([AWAY, None, None, None])  # sweeps: empty, trouble, empty, empty

    def sleep(_seconds: float) -> None:
        trouble = next(troubles)
        if trouble is not None:
            engine.inject("list_resources", trouble)

    assert Removal(make_book(make_identity("a")), engine.connect, log).run(clock=time.clock, sleep=sleep)
    assert list(troubles) == []


def test_a_create_that_hung_with_the_engine_is_waited_for_after_its_return(engine, log, time):
    identity = make_identity("a")
    engine.inject("list_resources", AWAY, times=200)
    time.at(230, lambda: engine.make(identity, "db"))
    assert remove(make_book(identity, pending=("db",)), engine, log, time)
    assert engine.names() == set()
    assert 230 <= time.passed < 240


def test_patience_ends_and_the_log_says_so(engine, log, time):
    identity = make_identity("a")
    made = engine.make_all(identity)
    engine.inject("list_resources", AWAY, times=100_000)
    write_record(Record("a", identity.run_id, 1.0))
    assert not remove(make_book(identity), engine, log, time)
    assert PATIENCE_SECONDS < time.passed < PATIENCE_SECONDS + 60
    engine._faults.clear()
    assert engine.names() == set(made)
    assert [line.partition(":")[0] for line in read_log(log)] == [
        "while removing a",
        "given up; the next start of envspin removes what is left of a",
    ]
    assert read_record("a", identity.run_id) is not None


def test_the_records_of_removed_runs_are_forgotten_and_no_others(engine, log, time):
    removed, left, gone = make_identity("a"), make_identity("b"), make_identity("c")
    engine.lease(left)
    newer = make_identity("c")
    for identity in (removed, left, newer):
        write_record(Record(identity.env, identity.run_id, 1.0))
    assert remove(make_book(removed, left, gone), engine, log, time)
    assert read_record("a", removed.run_id) is None
    assert read_record("b", left.run_id) is not None
    assert read_record("c", newer.run_id) is not None


@pytest.fixture
def main_log(tmp_path) -> Path:
    """Where the program is told to log."""
    return tmp_path / "watchers" / "of-this-run.log"


@pytest.fixture
def run_main(engine, monkeypatch, main_log) -> Callable[..., int]:
    """Run the program with these books' words, on the in-memory engine and without waiting."""
    monkeypatch.setattr(removal, "SWEEP_SECONDS", 0.0)
    monkeypatch.setattr(removal, "AWAY_SECONDS", 0.0)

    def run(*books: Book, connect: Callable[[str], LastingEngine] = lambda _address: engine.connect()) -> int:
        monkeypatch.setattr(removal, "connect_to", connect)
        words = [word for book in books for run in book.runs for word in book.list_words(run)]
        return removal.main([str(main_log), OWNER, *words])

    return run


def test_the_program_leaves_nothing_after_a_success_not_even_its_log(run_main, engine, main_log):
    identity = make_identity("a")
    engine.make_all(identity)
    engine.inject("list_resources", AWAY, times=3)
    assert run_main(make_book(identity)) == 0
    assert engine.names() == set()
    assert not main_log.exists()


def test_the_program_keeps_the_log_of_a_failure(run_main, engine, monkeypatch, main_log):
    monkeypatch.setattr(removal, "PATIENCE_SECONDS", -1.0)
    engine.inject("list_resources", AWAY, times=3)
    assert run_main(make_book(make_identity("a"))) == 1
    assert "no engine answers" in main_log.read_text()


def test_the_program_removes_from_each_engine_what_was_made_there(run_main, engine):
    far, here, there = LastingEngine(), make_identity("a"), make_identity("b")
    for each in (engine, far):
        each.make(here, "data")
        each.make(there, "data")
    book = make_book(here)
    book.note(f"open\t{there.run_id}\t{there.env}\ttcp://far:2376")
    assert run_main(book, connect={ADDRESS: engine, "tcp://far:2376": far}.__getitem__) == 0
    assert engine.names() == {there.object_name("data")}
    assert far.names() == {here.object_name("data")}


def test_one_engines_failure_does_not_hide_behind_anothers_success(run_main, engine, monkeypatch, main_log):
    monkeypatch.setattr(removal, "PATIENCE_SECONDS", -1.0)
    far, here, there = LastingEngine(), make_identity("a"), make_identity("b")
    engine.make(here, "data")
    engine.inject("list_resources", EngineError("it refuses"), times=3)
    far.make(there, "data")
    book = make_book(here)
    book.note(f"open\t{there.run_id}\t{there.env}\ttcp://far:2376")
    assert run_main(book, connect={ADDRESS: engine, "tcp://far:2376": far}.__getitem__) == 1
    assert far.names() == set()
    assert "it refuses" in main_log.read_text()


def test_what_nobody_expected_is_in_the_log_with_its_traceback(run_main, engine, monkeypatch, main_log):
    monkeypatch.setattr(removal, "PATIENCE_SECONDS", -1.0)
    engine.inject("list_resources", ZeroDivisionError("surprise"))
    assert run_main(make_book(make_identity("a"))) == 1
    text = main_log.read_text()
    assert "Traceback" in text
    assert "ZeroDivisionError: surprise" in text


def test_what_nobody_expected_does_not_end_the_clean_up(run_main, engine, main_log):
    identity = make_identity("a")
    engine.make_all(identity)
    engine.inject("list_resources", ZeroDivisionError("surprise"))
    assert run_main(make_book(identity)) == 0
    assert engine.names() == set()
    assert not main_log.exists()


def test_an_earlier_log_of_the_same_name_is_left_alone(run_main, engine, main_log):
    main_log.parent.mkdir()
    main_log.write_text("of somebody else")
    assert run_main(make_book(make_identity("a"))) == 0
    assert main_log.read_text() == "of somebody else"


def test_what_is_listed_again_and_again_ends_in_the_log(run_main, engine, monkeypatch, main_log):
    monkeypatch.setattr(removal, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(engine, "remove", lambda _resource: None)
    identity = make_identity("a")
    engine.make(identity, "data")
    assert run_main(make_book(identity)) == 1
    assert "given up" in main_log.read_text()


def test_what_a_changed_host_name_labelled_otherwise_is_removed_too(run_main, engine):
    identity = make_identity("a")
    engine.make(replace(identity, owner="renamed/boot/1/2/3"), "data")
    assert run_main(make_book(identity)) == 0
    assert engine.names() == set()


def test_a_log_that_cannot_be_written_does_not_end_the_clean_up(engine, time, tmp_path):
    (tmp_path / "file").touch()
    identity = make_identity("a")
    engine.make_all(identity)
    engine.inject("list_resources", AWAY, times=3)
    assert remove(make_book(identity), engine, Log(tmp_path / "file" / "1.log"), time)
    assert engine.names() == set()


def test_the_log_is_its_users_alone(log):
    log.write("first")
    log.write("second")
    assert read_log(log) == ["first", "second"]
    assert Path(log.path.parent).stat().st_mode & 0o077 == 0
    log.forget()
    log.forget()
    assert not log.path.exists()
