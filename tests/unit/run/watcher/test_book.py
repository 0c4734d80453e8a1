"""The words between an owner and its watcher, as a pure fold."""

from __future__ import annotations

import pytest

from envspin.run.watcher import waiting
from envspin.run.watcher.marks import Marks
from envspin.run.watcher.waiting import Book

ENGINE = "unix:///engine.sock"


def write(*lines: str) -> Book:
    """Note lines whose fields are separated by blanks."""
    book = Book()
    for line in lines:
        book.note(line.replace(" ", "\t"))
    return book


def test_an_open_run_is_known_with_its_environment_and_engine():
    book = write(f"open r1 shop-1 {ENGINE}", "open r2 shop-2 tcp://far:2376")
    assert book.runs == {"r1": ("shop-1", ENGINE), "r2": ("shop-2", "tcp://far:2376")}
    assert not any(book.pending.values())


def test_a_create_is_pending_until_it_is_settled():
    book = write(f"open r1 shop-1 {ENGINE}", "creating r1 a  1.5", "creating r1 b  1.5", "settled r1 a")
    assert book.pending["r1"].keys() == {"b"}


def test_an_answer_settles_its_own_run_alone():
    book = write(
        f"open r1 shop-1 {ENGINE}",
        f"open r2 shop-2 {ENGINE}",
        "creating r1 a  1.5",
        "creating r2 a  1.5",
        "settled r1 a",
    )
    assert {run: names for run, names in book.pending.items() if names} == {"r2": {"a": ("", "1.5")}}


def test_an_answer_that_nobody_awaits_changes_nothing():
    book = write(f"open r1 shop-1 {ENGINE}", "settled r1 a", "settled r2 a")
    assert list(book.runs) == ["r1"]
    assert not any(book.pending.values())


def test_a_closed_run_is_forgotten_and_nothing_is_asked_for():
    book = write(f"open r1 shop-1 {ENGINE}", f"open r2 shop-2 {ENGINE}", "creating r1 a  1.5", "settled r1 a")
    assert book.note("closed\tr1") is None
    assert list(book.runs) == ["r2"]
    assert "r1" not in book.pending


def test_a_run_that_closes_with_a_create_under_way_is_to_be_removed_now():
    book = write(f"open r1 shop-1 {ENGINE}", "creating r1 a  1.5")
    assert book.note("closed\tr1") == "r1"
    assert book.list_words("r1") == [f"open\tr1\tshop-1\t{ENGINE}", "creating\tr1\ta\t\t1.5"]


@pytest.mark.parametrize("lines", [(), ("creating r1 a  1.5",)])
def test_an_abandoned_run_is_to_be_removed_now(lines):
    book = write(f"open r1 shop-1 {ENGINE}", *lines)
    assert book.note("abandoned\tr1") == "r1"
    assert book.runs.keys() == {"r1"}


@pytest.mark.parametrize(
    "line", [f"open\tr1\tshop-1\t{ENGINE}", "creating\tr1\ta\t\t1.5", "settled\tr1\ta", "closed\tr1", "closed\tr3"]
)
def test_other_words_ask_for_no_removal(line):
    assert Book().note(line) is None


def test_a_run_that_is_given_up_leaves_the_others():
    book = write(f"open r1 shop-1 {ENGINE}", f"open r2 shop-2 {ENGINE}", "creating r1 a  1.5", "creating r2 b  1.5")
    book.forget("r1")
    book.forget("r1")
    assert list(book.runs) == ["r2"]
    assert book.pending == {"r2": {"b": ("", "1.5")}}


def test_the_words_of_a_run_tell_another_book_the_same():
    book = write(
        f"open r1 shop-1 {ENGINE}", "creating r1 a  1.5", "creating r1 b 7 1.5", "settled r1 b", "creating r1 c 7 1.5"
    )
    copy = Book()
    for word in book.list_words("r1"):
        copy.note(word)
    assert (copy.runs, copy.pending) == (book.runs, book.pending)
    assert copy.pending == {"r1": {"a": ("", "1.5"), "c": ("7", "1.5")}}


def test_names_and_environments_may_hold_blanks():
    book = Book()
    book.note("open\tr1\tmy shop\tnpipe:////./pipe/docker engine")
    book.note("creating\tr1\ta name\t\t1.5")
    assert book.runs == {"r1": ("my shop", "npipe:////./pipe/docker engine")}
    assert book.pending == {"r1": {"a name": ("", "1.5")}}


def test_creates_that_never_left_are_given_up_and_those_of_which_nobody_knows_are_not(monkeypatch):
    marks = Marks()
    left, unsent = marks.take(), marks.take()
    marks.set(left)
    monkeypatch.setattr(waiting, "MARKS", marks.fileno())
    book = write(
        f"open r1 shop-1 {ENGINE}",
        f"creating r1 left {left} 1.5",
        f"creating r1 unsent {unsent} 1.5",
        "creating r1 unknown  1.5",
        "creating r1 odd -3 1.5",
        "creating r1 odder x 1.5",
    )
    book.forget_unsent()
    assert book.pending["r1"].keys() == {"left", "unknown", "odd", "odder"}
    marks.let_go()
