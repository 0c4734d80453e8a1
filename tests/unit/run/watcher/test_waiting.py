"""Real owners and their watchers: what makes a watcher remove, what it hands over, and what happens if it dies."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from .owners import (
    ENGINE,
    RESTART,
    Desk,
    Start,
    begin,
    begin_with_removal,
    end_process,
    find_labelled,
    is_alive,
    wait_for,
)

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

BECOME_ANOTHER = """
open_run("r1")
{ending}
# It takes its time, in which a watcher that takes the closed socket for the owner's end would give itself away.
program = "import subprocess, sys; subprocess.run([sys.executable, '-c', '']); print(1, flush=True); input()"
os.execv(sys.executable, [sys.executable, "-c", program])
"""


def test_a_killed_owners_open_runs_and_unanswered_creates_are_handed_to_the_removal(start_owner: Start, desk: Desk):
    body = """
open_run("open")
open_run("pending", "a", "b", "c")
watcher.tell("settled", "pending", "b")
open_run("closed", "a")
watcher.tell("settled", "closed", "a")
watcher.forget("closed", "closed")
say()
signal.pause()
"""
    owner, watcher = begin(start_owner, body)
    owner.kill()
    (call,) = desk.await_calls()
    assert call.label == owner.label
    assert not call.owner_lives
    assert call.runs == {"open": set(), "pending": {"a", "c"}}
    assert call.addresses == {ENGINE}
    assert call.pid == watcher
    owner.await_end_of_watchers()
    assert len(desk.read_calls()) == 1


def test_the_last_words_before_a_kill_are_heard(start_owner: Start, desk: Desk):
    body = """
open_run("r1")
for number in range(200):
    watcher.tell("creating", "r1", str(number), "", "1.5")
os.kill(os.getpid(), signal.SIGKILL)
"""
    start_owner(body)
    (call,) = desk.await_calls()
    assert call.runs == {"r1": {str(number) for number in range(200)}}


def test_an_owner_that_ends_in_order_leaves_no_watcher_and_nothing_is_removed(start_owner: Start, desk: Desk):
    body = """
open_run("r1", "a")
watcher.tell("settled", "r1", "a")
watcher.forget("closed", "r1")
say()
hear()
"""
    owner, watcher = begin(start_owner, body)
    assert owner.end() == (0, "")
    wait_for(lambda: not is_alive(watcher), "the watcher's end")
    assert desk.read_calls() == []


def test_an_owner_that_only_ends_has_its_open_runs_removed(start_owner: Start, desk: Desk):
    owner, watcher = begin(start_owner, 'open_run("r1")\nsay()\nhear()\n')
    owner.end()
    (call,) = desk.await_calls()
    assert (call.pid, call.runs) == (watcher, {"r1": set()})


def test_one_watcher_serves_all_runs_of_an_owner(start_owner: Start):
    body = """
for number in range(5):
    open_run(f"r{number}")
say()
hear()
for number in range(5):
    watcher.forget("closed", f"r{number}")
open_run("late")
say()
hear()
"""
    owner, watcher = begin(start_owner, body)
    owner.go_on()
    owner.hear()
    assert find_labelled(owner.label) == [watcher]


@pytest.mark.parametrize(
    "ending",
    ['watcher.forget("abandoned", "r1")', 'watcher.forget("closed", "r1")'],
    ids=["abandoned", "closed with a create under way"],
)
def test_what_the_owner_cannot_remove_is_removed_while_it_lives_and_once(start_owner: Start, desk: Desk, ending: str):
    body = f"""
open_run("r1", "a")
open_run("r2")
{ending}
say()
hear()
watcher.tell("creating", "r2", "b", "", "1.5")
say()
signal.pause()
"""
    owner, watcher = begin_with_removal(start_owner, desk, body)
    (call,) = desk.await_calls()
    assert (call.label, call.runs) == (owner.label, {"r1": {"a"}})
    assert call.owner_lives
    owner.go_on()
    owner.hear()
    owner.kill()
    calls = desk.await_calls(2)
    assert [each.runs for each in calls] == [{"r1": {"a"}}, {"r2": {"b"}}]
    assert calls[1].pid == watcher != calls[0].pid
    owner.await_end_of_watchers()
    assert len(desk.read_calls()) == 2


@pytest.mark.parametrize(
    "before", ["", "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"], ids=["as usual", "SIGPIPE at its default"]
)
def test_a_dead_watcher_is_followed_by_one_that_knows_the_open_runs(start_owner: Start, desk: Desk, before: str):
    owner, watcher = begin(start_owner, before + RESTART)
    end_process(watcher)
    owner.go_on()
    assert owner.hear() == owner.pid
    successor = owner.find_watcher()
    owner.kill()
    (call,) = desk.await_calls()
    assert call.pid == successor != watcher
    assert call.runs == {"r1": {"a", "b"}}


def test_a_dead_watcher_is_noticed_while_a_removal_of_its_goes_on(start_owner: Start, desk: Desk):
    desk.linger()
    body = """
open_run("r1")
open_run("r2")
watcher.forget("abandoned", "r2")
say()
hear()
watcher.tell("creating", "r1", "a", "", "1.5")
watcher.require_started()
say()
signal.pause()
"""
    owner, watcher = begin_with_removal(start_owner, desk, body)
    end_process(watcher)
    owner.go_on()
    owner.hear()
    owner.kill()
    calls = desk.await_calls(2)
    assert calls[1].runs == {"r1": {"a"}}
    assert is_alive(calls[0].pid)


def test_a_closed_run_needs_no_new_watcher(start_owner: Start, desk: Desk):
    body = 'open_run("r1")\nsay()\nhear()\nwatcher.forget("closed", "r1")\nsay()\nhear()\n'
    owner, watcher = begin(start_owner, "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n" + body)
    end_process(watcher)
    owner.go_on()
    owner.hear()
    assert find_labelled(owner.label) == []
    assert owner.end() == (0, "")


def test_an_abandoned_run_is_removed_although_the_watcher_died_and_the_owner_ends_at_once(
    start_owner: Start, desk: Desk
):
    body = """
open_run("r1", "a")
say()
hear()
watcher.forget("abandoned", "r1")
os.kill(os.getpid(), signal.SIGKILL)
"""
    owner, watcher = begin(start_owner, body)
    end_process(watcher)
    owner.go_on()
    (call,) = desk.await_calls()
    assert call.runs == {"r1": {"a"}}
    owner.await_end_of_watchers()
    assert len(desk.read_calls()) == 1


@pytest.mark.parametrize(("word", "left"), [("on_send()", {"a"}), ("", set())], ids=["left", "unsent"])
def test_a_create_goes_on_only_when_the_new_watcher_of_a_dead_one_watches(
    start_owner: Start, desk: Desk, word: str, left: set[str]
):
    body = f"""
from types import SimpleNamespace
written = journal.WatchedJournal(watcher, SimpleNamespace(run_id="r1", env="env-r1"), "unix:///no/engine.sock")
watcher.require_started()
say()
hear()
with written.creating("a") as on_send:
    {word}
    os.kill(os.getpid(), signal.SIGKILL)
"""
    owner, watcher = begin(start_owner, body)
    end_process(watcher)
    owner.go_on()
    (call,) = desk.await_calls()
    assert call.runs == {"r1": left}


def test_a_watcher_that_does_not_read_is_replaced(start_owner: Start, desk: Desk):
    body = """
open_run("r1")
say()
hear()
process.ACKNOWLEDGEMENT_SECONDS = 3.0
watcher._channel.settimeout(3.0)
for number in range(3000):
    watcher.tell("creating", "r1", str(number), "", "1.5")
watcher.require_started()
say()
signal.pause()
"""
    owner, watcher = begin(start_owner, body)
    os.kill(watcher, signal.SIGSTOP)
    owner.go_on()
    owner.hear()
    owner.kill()
    (call,) = desk.await_calls()
    assert call.pid != watcher
    assert call.runs == {"r1": {str(number) for number in range(3000)}}


def test_a_forked_child_has_a_watcher_of_its_own_and_its_end_concerns_nobody_else(start_owner: Start, desk: Desk):
    body = """
open_run("parents", "a")
child = os.fork()
if child == 0:
    watcher = process.find_watcher()
    open_run("childs", "b")
    os._exit(0)
os.waitpid(child, 0)
say(child)
hear()
watcher.tell("creating", "parents", "c", "", "1.5")
say()
signal.pause()
"""
    owner = start_owner(body)
    child = owner.hear()
    (call,) = desk.await_calls()
    assert call.label.split("/")[-2] == str(child)
    assert call.runs == {"childs": {"b"}}
    watcher = owner.find_watcher()
    owner.go_on()
    owner.hear()
    owner.kill()
    calls = desk.await_calls(2)
    assert (calls[1].pid, calls[1].label) == (watcher, owner.label)
    assert calls[1].runs == {"parents": {"a", "c"}}


def test_an_owner_that_ends_while_a_forked_child_lives_is_noticed(start_owner: Start, desk: Desk):
    body = """
open_run("r1")
if os.fork() == 0:
    say(os.getpid())
    signal.pause()
signal.pause()
"""
    owner = start_owner(body)
    child = owner.hear()
    try:
        owner.kill()
        (call,) = desk.await_calls()
        assert call.runs == {"r1": set()}
        assert is_alive(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_an_owner_that_becomes_another_program_still_owns(start_owner: Start, desk: Desk):
    owner, watcher = begin(start_owner, BECOME_ANOTHER.format(ending=""))
    owner.kill()
    (call,) = desk.await_calls()
    assert (call.pid, call.runs, call.owner_lives) == (watcher, {"r1": set()}, False)


def test_a_watcher_leaves_where_its_owner_can_tell_it_nothing_more(start_owner: Start, desk: Desk):
    owner = start_owner(BECOME_ANOTHER.format(ending='watcher.forget("closed", "r1")'))
    owner.hear()
    owner.await_end_of_watchers()
    assert is_alive(owner.pid)
    assert desk.read_calls() == []
