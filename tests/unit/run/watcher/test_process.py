"""The owner's end of the watcher: what it starts with, and what it says where it cannot be started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from envspin.errors import EngineError
from envspin.run.record import state_directory
from envspin.run.watcher import process
from envspin.run.watcher.process import Watcher, choose_environment

from .owners import ENGINE, Desk, Start, is_alive, wait_for

NEVER_WATCHES = """
process.sys.executable = {executable!r}
process.ACKNOWLEDGEMENT_SECONDS = {patience}
from envspin.errors import EngineError
try:
    open_run("r1")
    say("watched")
except EngineError as error:
    say([error.message, error.hint])
hear()
"""


def make_program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_only_what_is_needed_is_kept_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "lib", "/usr/lib/python"])
    kept = choose_environment(
        {
            "HOME": "/home/me",
            "DOCKER_HOST": "tcp://far:2376",
            "DOCKER_CONTEXT": "far",
            "DOCKER_CONFIG": "auth",
            "DOCKER_CERT_PATH": "",
            "DOCKER_AUTH_CONFIG": "secret",
            "DOCKER_PASSWORD": "secret",
            "ENVSPIN_STATE_DIR": "/state",
            "PYTHONPATH": "elsewhere",
            "PYTHONSTARTUP": "x.py",
            "PGPASSWORD": "secret",
            "JENKINS_NODE_COOKIE": "mark",
        }
    )
    assert kept == {
        "HOME": "/home/me",
        "DOCKER_HOST": "tcp://far:2376",
        "DOCKER_CONTEXT": "far",
        "DOCKER_CONFIG": str(tmp_path / "auth"),
        "DOCKER_CERT_PATH": "",
        "ENVSPIN_STATE_DIR": "/state",
        "ENVSPIN_WATCHER_PATH": os.pathsep.join(
            (str(process.ROOT), str(tmp_path), str(tmp_path / "lib"), "/usr/lib/python")
        ),
        "ENVSPIN_WATCHER_LOGS": str(state_directory() / "watchers"),
    }


@pytest.mark.parametrize("executable", ["", None, "missing", "plain"])
def test_a_python_that_cannot_be_run_is_an_engine_error_with_a_way_out(monkeypatch, tmp_path, executable):
    (tmp_path / "plain").write_text("not a program")
    path = str(tmp_path / executable) if executable else executable
    monkeypatch.setattr(sys, "executable", path)
    watcher = Watcher()
    with pytest.raises(EngineError, match="cannot be started") as caught:
        watcher.tell("open", "r1", "env", ENGINE)
    assert "ENVSPIN_WATCHER=off" in caught.value.hint


def test_a_failed_start_is_tried_again_by_the_next_word(monkeypatch, tmp_path, start_owner: Start, desk: Desk):
    body = """
from envspin.errors import EngineError
python, sys.executable = sys.executable, "/no/python"
try:
    watcher.tell("open", "r1", "env-r1", "unix:///no/engine.sock")
except EngineError:
    sys.executable = python
    open_run("r2", "a")
    say()
hear()
"""
    owner = start_owner(body)
    owner.hear()
    owner.kill()
    assert desk.await_calls()[0].runs["r2"] == {"a"}


def test_a_program_that_ends_before_it_watches_is_tried_twice_and_told(start_owner: Start, tmp_path):
    tries = tmp_path / "tries"
    executable = make_program(tmp_path / "ends", f"echo once >> {tries}")
    owner = start_owner(NEVER_WATCHES.format(executable=executable, patience=20.0))
    message, hint = owner.hear()
    assert "the watcher" in message
    assert "ENVSPIN_WATCHER=off" in hint
    assert tries.read_text() == "once\nonce\n"
    assert owner.end() == (0, "")


def test_a_failed_start_is_nobodys_leave_to_go_on(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", make_program(tmp_path / "ends", "exit 1"))
    watcher = Watcher()
    watcher.tell("open", "r1", "env", ENGINE)
    for _ in range(2):  # as two threads do, each for its own create
        with pytest.raises(EngineError, match="before it watched"):
            watcher.require_started()


def test_a_program_that_says_nothing_is_ended(start_owner: Start, tmp_path):
    pids = tmp_path / "pids"
    executable = make_program(tmp_path / "hangs", f"echo $$ >> {pids}\nexec sleep 600")
    owner = start_owner(NEVER_WATCHES.format(executable=executable, patience=0.5))
    message, _ = owner.hear()
    assert "said nothing" in message
    for pid in map(int, pids.read_text().split()):
        wait_for(lambda pid=pid: not is_alive(pid), "the silent program's end")
    assert owner.end() == (0, "")


def test_what_was_in_the_way_of_a_start_may_pass(start_owner: Start, desk: Desk, tmp_path):
    flag = tmp_path / "seen"
    executable = make_program(
        tmp_path / "late", f'[ -e {flag} ] || {{ touch {flag}; exit 1; }}\nexec {sys.executable} "$@"'
    )
    owner = start_owner(NEVER_WATCHES.format(executable=executable, patience=20.0))
    assert owner.hear() == "watched"
    owner.kill()
    assert desk.await_calls()[0].runs == {"r1": set()}


def test_each_process_has_one_watcher():
    assert process.find_watcher() is process.find_watcher()


def test_a_run_that_is_not_open_any_more_is_left_to_nobody():
    assert not Watcher().forget("abandoned", "r1")
    assert not Watcher().forget("closed", "r1")


def test_where_no_watcher_can_be_started_an_abandoned_run_is_left_to_nobody(monkeypatch):
    watcher = Watcher()
    monkeypatch.setattr(sys, "executable", os.devnull)
    with pytest.raises(EngineError):
        watcher.tell("open", "r1", "env", ENGINE)
    assert not watcher.forget("abandoned", "r1")


def test_what_is_told_of_a_name_is_one_word_of_one_line(start_owner: Start, desk: Desk):
    owner = start_owner('open_run("r1", "two\\twords\\nand lines")\nsay()\nhear()\n')
    owner.hear()
    owner.kill()
    assert desk.await_calls()[0].runs == {"r1": {"two words and lines"}}
