"""What the watcher does after its owner's end, on the in-memory engine and a clock that only its own waiting moves."""

from __future__ import annotations

import time as wall

from envspin.engine.base import VolumeSpec
from envspin.errors import ConflictError, EngineError, UsageError
from envspin.run import naming
from envspin.run.janitor import remove_environment
from envspin.run.record import Record, read_record, write_record
from envspin.run.watcher.removal import LATE_SECONDS, PATIENCE_SECONDS, Removal

from .sweeping import AWAY, OWNER, LastingEngine, make_book, make_identity, read_log, remove


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


def test_an_engine_that_cannot_say_what_it_created_is_watched_for_as_long_as_another(engine, log, time):
    identity = make_identity("a")
    engine.inject("recall_created", EngineError("events are not to be had"), times=1000)
    time.at(40, lambda: engine.make(identity, "db"))
    assert remove(make_book(identity, pending=("db",)), engine, log, time)
    assert engine.names() == set()
    assert read_log(log) == []


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
