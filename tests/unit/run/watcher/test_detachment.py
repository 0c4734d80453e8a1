"""What a real watcher is to the processes around it: in nobody's way, out of everybody's reach."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from envspin.run.watcher import waiting

from .owners import (
    ENGINE,
    HOLD,
    PATIENCE,
    RESTART,
    Desk,
    Start,
    begin,
    begin_with_removal,
    end_process,
    find_labelled,
    is_alive,
    read_environment,
    read_parent,
    wait_for,
)

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

NO_PIDFD = """
import os, sys
from pathlib import Path
del os.pidfd_open
sys.path.insert(0, {folder!r})
import waiting
waiting.main(sys.argv[1:])
"""


def test_a_kill_of_the_owners_process_group_does_not_reach_the_watcher(start_owner: Start, desk: Desk):
    owner, watcher = begin(start_owner, HOLD, start_new_session=True)
    os.killpg(owner.pid, signal.SIGKILL)
    (call,) = desk.await_calls()
    assert (call.pid, call.runs) == (watcher, {"r1": {"a"}})


def take_terminal() -> None:
    """Make the standard input the terminal of this session, whose end is a signal that nobody has had ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_closed_terminal_ends_the_owner_and_not_the_watcher(start_owner: Start, desk: Desk):
    ours, terminal = pty.openpty()
    owner, watcher = begin(
        start_owner,
        HOLD,
        stdin=terminal,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(terminal)
    os.close(ours)
    assert owner.process.wait(PATIENCE) == -signal.SIGHUP
    (call,) = desk.await_calls()
    assert (call.pid, call.runs) == (watcher, {"r1": {"a"}})


def test_a_removal_beside_the_owner_is_nobodys_child_and_leaves_no_zombie(start_owner: Start, desk: Desk):
    desk.linger()
    owner, watcher = begin_with_removal(
        start_owner, desk, 'open_run("r1")\nwatcher.forget("abandoned", "r1")\nsay()\nhear()\n'
    )
    (call,) = desk.read_calls()
    assert call.parent not in {owner.pid, watcher}
    parents = {pid: read_parent(pid) for pid in (int(path.name) for path in Path("/proc").glob("[0-9]*"))}
    assert watcher not in parents.values()
    assert owner.end() == (0, "")
    wait_for(lambda: not is_alive(watcher), "the watcher's end")
    assert is_alive(call.pid)


def test_the_watcher_is_no_child_of_its_owner_and_leads_a_session_of_its_own(start_owner: Start, desk: Desk):
    body = """
open_run("r1")
try:
    say(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    say("no children")
hear()
"""
    owner = start_owner(body)
    assert owner.hear() == "no children"
    watcher = owner.find_watcher()
    assert read_parent(watcher) != owner.pid
    assert os.getsid(watcher) == watcher
    owner.end()
    (call,) = desk.await_calls()
    assert call.session == watcher


def test_signals_that_end_a_job_do_not_end_the_watcher(start_owner: Start, desk: Desk):
    owner, watcher = begin(start_owner, HOLD)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(watcher, number)
    owner.kill()
    (call,) = desk.await_calls()
    assert call.pid == watcher
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGHUP} <= call.ignored


def test_whoever_reads_the_owners_output_is_not_held_up(start_owner: Start, desk: Desk):
    desk.linger()
    reader, writer = os.pipe()
    body = f'os.set_inheritable({writer}, True)\nopen_run("r1")\nopen_run("r2")\nsay()\nhear()\n'
    owner, _ = begin(start_owner, body, pass_fds=(writer,))
    os.close(writer)
    owner.kill()
    (call,) = desk.await_calls()
    try:
        for stream in (owner.process.stdout.fileno(), owner.process.stderr.fileno(), reader):
            os.set_blocking(stream, False)
            assert wait_for(lambda stream=stream: read_end(stream), "the end of the output")
        assert is_alive(call.pid)
    finally:
        os.close(reader)


def test_the_watcher_stands_in_no_folder_and_reads_no_terminal(start_owner: Start, desk: Desk, tmp_path):
    owner, watcher = begin(start_owner, HOLD, cwd=tmp_path)
    process = Path(f"/proc/{watcher}")
    assert str((process / "cwd").readlink()) == "/"
    assert str((process / "fd" / "1").readlink()).startswith("/memfd:envspin-marks")
    assert str((process / "fd" / "2").readlink()) == "/dev/null"
    owner.kill()
    assert desk.await_calls()[0].folder == "/"


def test_the_watchers_environment_holds_what_finds_the_engine_and_no_secrets(start_owner: Start, desk: Desk, tmp_path):
    secrets = {
        "SECRET": "s1",
        "DOCKER_AUTH_CONFIG": "s2",
        "DOCKER_PASSWORD": "s3",
        "AWS_SECRET_ACCESS_KEY": "s4",
        "CI_JOB_ID": "12",
        "BUILD_ID": "mark",
    }
    wanted = {"DOCKER_HOST": "tcp://far:2376", "DOCKER_TLS_VERIFY": "1", "ENVSPIN_ENGINE_TIMEOUT": "3"}
    folders = {"DOCKER_CONFIG": "auth", "DOCKER_CERT_PATH": "certs", "ENVSPIN_STATE_DIR": "state"}
    surroundings = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    owner, watcher = begin(start_owner, HOLD, cwd=tmp_path, env={**surroundings, **secrets, **wanted, **folders})
    beside = read_environment(watcher)
    owner.kill()
    removing = desk.await_calls()[0].environment
    expected = {**wanted, **{name: str(tmp_path / folder) for name, folder in folders.items()}}
    for environment in (beside, removing):
        assert not secrets.keys() & environment.keys()
        assert expected.items() <= environment.items()


@pytest.mark.parametrize(
    ("before", "options"),
    [
        ("signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n", {}),
        ("", {"preexec_fn": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN)}),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})\n", {}),
    ],
    ids=["SIGCHLD ignored", "SIGTERM ignored from the start", "signals blocked"],
)
def test_an_owner_with_unusual_signals_is_watched_alike(start_owner: Start, desk: Desk, before: str, options):
    body = before + 'open_run("r0")\nwatcher.forget("abandoned", "r0")\n' + HOLD
    owner, watcher = begin_with_removal(start_owner, desk, body, **options)
    owner.kill()
    calls = desk.await_calls(2)
    assert [each.runs for each in calls] == [{"r0": set()}, {"r1": {"a"}}]
    assert calls[1].pid == watcher


def test_without_pidfd_the_owner_is_known_by_its_start_time(start_owner: Start, desk: Desk, tmp_path):
    wrapper = tmp_path / "wrapper.py"
    wrapper.write_text(NO_PIDFD.format(folder=str(Path(waiting.__file__).parent)))
    body = f"""
process.waiting.__file__ = {str(wrapper)!r}
open_run("r1")
say()
hear()
watcher.forget("abandoned", "r1")
open_run("r2")
say()
signal.pause()
"""
    owner, watcher = begin(start_owner, body)
    assert not any("pidfd" in str(link.readlink()) for link in Path(f"/proc/{watcher}/fd").iterdir())
    before = read_polls(watcher)
    wait_for(lambda: read_polls(watcher) > before + 1, "two looks at the owner")  # that has let go by then if mistaken
    owner.go_on()
    owner.hear()
    assert desk.await_calls()[0].runs == {"r1": set()}
    owner.kill()
    assert desk.await_calls(2)[1].runs == {"r2": set()}


def test_python_has_nothing_to_complain_of_in_an_owner(start_owner: Start):
    strict = ("-X", "dev", "-W", "error")
    bodies = {
        "with a create": 'open_run("r1", "a")\nwatcher.tell("settled", "r1", "a")\nwatcher.forget("closed", "r1")\n',
        "without": f'watcher.tell("open", "r1", "env", {ENGINE!r})\nwatcher.forget("closed", "r1")\n',
        "after a death": RESTART.replace("signal.pause()", 'watcher.forget("closed", "r1")'),
    }
    for name in ("with a create", "without"):
        assert start_owner(bodies[name], arguments=strict).end() == (0, ""), name
    owner = start_owner(bodies["after a death"], arguments=strict)
    owner.hear()
    end_process(owner.find_watcher())
    assert owner.end() == (0, "")


def test_a_watcher_whose_owner_has_ended_before_it_could_be_held_never_says_that_it_watches():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        program = [sys.executable, *waiting.ALONE, waiting.__file__, "some/label/of/1/2", "1"]
        done = subprocess.run(program, stdin=theirs, capture_output=True, timeout=PATIENCE, check=False)
        theirs.close()
        ours.settimeout(PATIENCE)
        assert ours.recv(1) == b""
    assert (done.returncode, done.stderr) == (0, b"")
    wait_for(lambda: not find_labelled("some/label/of/1/2"), "its end")


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this Python has no pidfd")
def test_the_owner_is_held_by_a_pidfd_where_there_is_one(start_owner: Start):
    _, watcher = begin(start_owner, HOLD)
    assert any("pidfd" in str(link.readlink()) for link in Path(f"/proc/{watcher}/fd").iterdir())


def read_end(stream: int) -> bool:
    """Tell whether nobody can write there any more."""
    try:
        return os.read(stream, 65536) == b""
    except BlockingIOError:
        return False


def read_polls(pid: int) -> int:
    """Return how often a process has gone to sleep by itself."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


@pytest.mark.parametrize("module", ["http", "json", "site"])
def test_a_folder_on_the_owners_path_does_not_stand_before_the_standard_library(
    start_owner: Start, desk: Desk, tmp_path, module: str
):
    shadows = tmp_path / "shadows"
    (shadows / module).mkdir(parents=True)
    (shadows / module / "__init__.py").write_text("raise ImportError('not the real one')")
    owner, _ = begin(start_owner, f"sys.path.insert(0, {str(shadows)!r})\n" + HOLD)
    owner.kill()
    assert desk.await_calls()[0].runs == {"r1": {"a"}}


def test_a_removal_that_cannot_be_loaded_leaves_a_log(start_owner: Start, desk: Desk, tmp_path):
    (desk.package / "envspin" / "run" / "watcher" / "removal.py").write_text("import nothing_like_this")
    owner, _ = begin(start_owner, HOLD, env={**os.environ, "ENVSPIN_STATE_DIR": str(tmp_path / "state")})
    owner.kill()
    logs = tmp_path / "state" / "watchers"
    wait_for(lambda: logs.is_dir() and any("nothing_like_this" in each.read_text() for each in logs.iterdir()), "a log")


def test_a_child_that_was_forked_while_words_were_handed_over_can_end_what_it_inherited(start_owner: Start):
    body = """
open_run("r1")
watcher._lock.acquire()
pid = os.fork()
if pid == 0:
    watcher.forget("closed", "r1")
    os._exit(7)
say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
watcher._lock.release()
"""
    owner = start_owner(body)
    assert owner.hear() == 7
