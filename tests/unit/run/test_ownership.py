"""Who is judged to live, who to be dead, and of whom nothing can be said."""

from __future__ import annotations

import subprocess
import sys

import pytest

from envspin.run import ownership
from envspin.run.ownership import Liveness, Owner


def refuse(_pid, _signal):
    raise PermissionError


def test_this_process_lives():
    assert ownership.judge(str(ownership.describe_this_process()), engine_is_local=True) is Liveness.ALIVE


def test_a_process_that_has_ended_is_dead():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        dead = ownership.describe_process(process.pid)
        assert ownership.judge(str(dead), engine_is_local=True) is Liveness.ALIVE
        process.communicate(b"\n")
    assert ownership.judge(str(dead), engine_is_local=True) is Liveness.DEAD


def test_a_reused_process_id_is_not_mistaken():
    here = ownership.describe_this_process()
    earlier = Owner(here.host, here.boot, here.pid_space, here.pid, "1")
    assert ownership.judge(str(earlier), engine_is_local=True) is Liveness.DEAD


@pytest.mark.parametrize(("local", "expected"), [(True, Liveness.DEAD), (False, Liveness.UNKNOWN)])
def test_an_owner_before_the_last_boot_is_dead_on_this_machines_engine(local, expected):
    here = ownership.describe_this_process()
    earlier = Owner(here.host, "another-boot", here.pid_space, here.pid, here.start)
    assert ownership.judge(str(earlier), engine_is_local=local) is expected


@pytest.mark.parametrize("boot", ["this boot", "another-boot"])
@pytest.mark.parametrize("local", [True, False])
def test_another_machine_cannot_be_judged_even_with_this_boot_as_snapshots_have(boot, local):
    here = ownership.describe_this_process()
    there = Owner("elsewhere", here.boot if boot == "this boot" else boot, here.pid_space, here.pid, "1")
    assert ownership.judge(str(there), engine_is_local=local) is Liveness.UNKNOWN


def test_an_owner_whose_start_is_not_known_cannot_be_judged():
    here = ownership.describe_this_process()
    nameless = Owner(here.host, here.boot, here.pid_space, here.pid, "")
    assert ownership.judge(str(nameless), engine_is_local=True) is Liveness.UNKNOWN


def test_without_a_proc_of_its_own_namespace_a_process_can_neither_be_judged_nor_judge(monkeypatch):
    outside = str(ownership.describe_this_process())
    monkeypatch.setattr("os.getpid", lambda: 2)  # as after `unshare --pid --fork`, where /proc shows the host's
    within = ownership.describe_this_process()
    assert (within.pid_space, within.start) == ("", "")
    assert ownership.judge(str(within), engine_is_local=True) is Liveness.UNKNOWN
    assert ownership.judge(outside, engine_is_local=True) is Liveness.UNKNOWN
    assert Owner.parse(str(within)) == within


def test_another_pid_namespace_cannot_be_judged():
    here = ownership.describe_this_process()
    elsewhere = Owner(here.host, here.boot, "1", here.pid, here.start)
    assert ownership.judge(str(elsewhere), engine_is_local=True) is Liveness.UNKNOWN


def test_a_process_that_may_not_be_seen_cannot_be_judged(monkeypatch):
    here = ownership.describe_this_process()
    monkeypatch.setattr(ownership, "_read_start", lambda _pid: None)  # as under `hidepid`
    monkeypatch.setattr("os.kill", refuse)
    assert ownership.judge(str(here), engine_is_local=True) is Liveness.UNKNOWN


def test_a_machine_is_told_by_its_name_and_its_id_but_does_not_tell_the_id(tmp_path, monkeypatch):
    def read(name: str, machine_id: str | None) -> str:
        path = tmp_path / f"{machine_id}"
        if machine_id is not None:
            path.write_text(f"{machine_id}\n")
        monkeypatch.setattr(ownership, "MACHINE_ID", path)
        monkeypatch.setattr("platform.node", lambda: name)
        return ownership.read_host.__wrapped__()

    hosts = [read(name, machine_id) for name in ("a", "b") for machine_id in (None, "0123abcd", "4567abcd")]
    assert len(set(hosts)) == 6
    assert hosts[0] == "a"
    assert not any("abcd" in host for host in hosts)


def test_a_process_keeps_its_label_when_its_machine_is_renamed(monkeypatch):
    before = ownership.describe_this_process()
    monkeypatch.setattr("platform.node", lambda: "renamed")
    assert ownership.describe_this_process() == before


def test_a_foreign_text_is_unknown():
    assert ownership.judge("somebody", engine_is_local=True) is Liveness.UNKNOWN


def test_a_host_name_with_slashes_survives_the_label():
    owner = Owner("a/b", "boot", "1", 2, "3")
    assert Owner.parse(str(owner)) == owner
