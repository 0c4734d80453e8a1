"""A lock that all users of the machine share, in a folder that nobody may be trusted in."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from envspin.run import machine_lock as module
from envspin.run.machine_lock import machine_lock

HOLD = """
import sys
from envspin.run import machine_lock
machine_lock.SHARED_FOLDER = type(machine_lock.SHARED_FOLDER)(sys.argv[1])
with machine_lock.machine_lock("test", seconds=5) as held:
    print(held, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARED_FOLDER", tmp_path)
    return tmp_path


def is_free() -> bool:
    with machine_lock("test", seconds=0) as held:
        return held


def test_it_is_held_once_and_free_again():
    with machine_lock("test", seconds=0) as held:
        assert held
        assert not is_free()
        with machine_lock("other", seconds=0) as another:
            assert another
    assert is_free()


def test_it_is_free_again_after_a_failure():
    with pytest.raises(ValueError, match="x"), machine_lock("test", seconds=0):
        raise ValueError("x")
    assert is_free()


def test_another_process_holds_it_until_it_is_killed(folder):
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        assert not is_free()
        process.kill()
        process.wait()
        with machine_lock("test", seconds=5) as held:
            assert held


def test_a_process_that_was_forked_meanwhile_does_not_keep_it():
    reader, writer = os.pipe()
    with machine_lock("test", seconds=0):
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    try:
        assert is_free()
    finally:
        os.close(writer)
        os.waitpid(child, 0)


def test_other_users_can_lock_it_whatever_the_umask(folder):
    before = os.umask(0o077)
    try:
        assert is_free()
    finally:
        os.umask(before)
    assert (folder / "envspin-test.lock").stat().st_mode & 0o777 == 0o644


def test_a_file_that_may_only_be_read_will_do(folder):
    (folder / "envspin-test.lock").touch(mode=0o444)
    assert is_free()


def test_nothing_is_written_through_a_symbolic_link(folder):
    target = folder / "precious"
    (folder / "envspin-test.lock").symlink_to(target)
    assert not is_free()
    assert not target.exists()
    target.write_text("precious")
    assert not is_free()
    assert target.read_text() == "precious"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_what_is_no_file_is_not_waited_for(folder, make):
    make(folder / "envspin-test.lock")
    assert not is_free()


def test_where_no_file_can_be_made_there_is_no_lock(folder, monkeypatch):
    monkeypatch.setattr(module, "SHARED_FOLDER", folder / "missing")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(folder / "missing"))
    assert not is_free()
