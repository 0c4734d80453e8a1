"""The page of bytes between an owner and its watcher."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from envspin.run.watcher.marks import Marks


@pytest.fixture(params=["memfd", "file"])
def marks(request, monkeypatch) -> Iterator[Marks]:
    """A page, in memory or in a file without a name."""
    if request.param == "file":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    made = Marks()
    yield made
    made.let_go()


def read(marks: Marks, place: int | None) -> bytes:
    assert place is not None
    return os.pread(marks.fileno(), 1, place)


def count_pages() -> int:
    """Return how many pages of marks this process has open; its other descriptors come and go beside a test."""
    targets = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            targets.append(str(each.readlink()))
    return sum("envspin-marks" in target for target in targets)


def test_a_mark_can_be_read_through_the_descriptor_once_it_is_set(marks):
    one, other = marks.take(), marks.take()
    assert one != other
    marks.set(one)
    assert (read(marks, one), read(marks, other)) == (b"\1", b"\0")


def test_a_place_that_is_taken_again_is_not_set(marks):
    places = [marks.take() for _ in range(mmap.PAGESIZE)]
    for place in places:
        marks.set(place)
    marks.give_back(places[3])
    assert marks.take() == places[3]
    assert read(marks, places[3]) == b"\0"


def test_where_all_places_are_taken_there_is_none_and_nothing_to_set(marks):
    assert len({marks.take() for _ in range(mmap.PAGESIZE)}) == mmap.PAGESIZE
    assert marks.take() is None
    marks.set(None)
    marks.give_back(None)
    assert marks.take() is None


def test_it_leaves_no_file(marks, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    marks.take()
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_needed_is_not_made():
    before = count_pages()
    marks = Marks()
    assert count_pages() == before
    marks.take()
    assert count_pages() > before
    marks.let_go()
    assert count_pages() == before


def test_letting_go_closes_all_and_leaves_the_bytes_to_others():
    marks = Marks()
    place = marks.take()
    copy = os.dup(marks.fileno())
    marks.set(place)
    marks.let_go()
    assert os.pread(copy, 1, place) == b"\1"
    os.close(copy)
