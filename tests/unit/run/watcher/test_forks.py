"""A watcher on a machine that has no process left for it: what it cannot have removed beside itself, it keeps."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from envspin.run.watcher import waiting

from .owners import Desk, Start, find_labelled, read_parent

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

NO_FORK = """
import errno, os, sys
sys.path.insert(0, {folder!r})
import waiting

fork, leave_family = os.fork, waiting.leave_family


def use_up():
    # A file each: what a child used up is used up here, too.
    left = os.listdir({refusals!r})
    if left:
        os.unlink(os.path.join({refusals!r}, left[0]))
    return bool(left)


def fork_or_not():
    if {is_refused} and use_up():
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
    return fork()


def leave_and_have_no_more():
    global watcher
    leave_family()
    watcher = os.getpid()
    os.fork = fork_or_not


waiting.leave_family = leave_and_have_no_more
waiting.main(sys.argv[1:])
"""
REFUSED = {"the first fork": "True", "the second fork": "os.getpid() != watcher"}

BODY = """
process.waiting.__file__ = {wrapper!r}
open_run("r1", "a")
open_run("r2")
watcher.forget("abandoned", "r1")
open_run("r3", "b")
say()
hear()
{ending}
"""


@pytest.fixture(params=REFUSED)
def refuse_forks(request, tmp_path):
    """Return a function that writes a watcher's program in which a fork fails so many times."""

    def write(times: int) -> str:
        wrapper, refusals = tmp_path / "wrapper.py", tmp_path / "refusals"
        refusals.mkdir()
        for number in range(times):
            (refusals / str(number)).touch()
        folder, is_refused = str(Path(waiting.__file__).parent), REFUSED[request.param]
        wrapper.write_text(NO_FORK.format(folder=folder, refusals=str(refusals), is_refused=is_refused))
        return str(wrapper)

    return write


def test_what_cannot_be_removed_beside_the_watcher_is_removed_at_the_owners_end(
    start_owner: Start, desk: Desk, refuse_forks
):
    owner = start_owner(BODY.format(wrapper=refuse_forks(5), ending="signal.pause()"))
    owner.hear()
    watcher = owner.find_watcher()
    owner.kill()
    (call,) = desk.await_calls()
    assert (call.pid, call.owner_lives) == (watcher, False)
    assert call.runs == {"r1": {"a"}, "r2": set(), "r3": {"b"}}
    owner.await_end_of_watchers()
    assert len(desk.read_calls()) == 1


def test_a_watcher_that_had_no_process_for_one_run_goes_on_with_the_others(
    start_owner: Start, desk: Desk, refuse_forks
):
    owner = start_owner(
        BODY.format(wrapper=refuse_forks(1), ending='watcher.forget("abandoned", "r2")\nsignal.pause()')
    )
    owner.hear()
    watcher = owner.find_watcher()
    desk.linger()
    owner.go_on()
    (beside,) = desk.await_calls()
    assert (beside.runs, beside.owner_lives) == ({"r2": set()}, True)
    assert beside.pid != watcher
    assert set(find_labelled(owner.label)) == {watcher, beside.pid}
    assert read_parent(beside.pid) != watcher
    desk.let_go()
    owner.kill()
    last = desk.await_calls(2)[1]
    assert (last.pid, last.runs) == (watcher, {"r1": {"a"}, "r3": {"b"}})
