"""The program that the watcher becomes: from words to an exit code and a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from envspin.errors import EngineError
from envspin.run.watcher import removal
from envspin.run.watcher.removal import Log
from envspin.run.watcher.waiting import Book

from .sweeping import ADDRESS, AWAY, OWNER, LastingEngine, make_book, make_identity, read_log, remove


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
