"""Environments that were left running: how long they stay, how that is changed, and how they are listed."""

from __future__ import annotations

import os
import threading
import time

import pytest

from envspin.engine.base import ContainerSpec, NetworkSpec, VolumeSpec
from envspin.engine.fake import FakeEngine, FakeImage
from envspin.errors import EngineError, UsageError
from envspin.run import naming
from envspin.run.clock import Clock
from envspin.run.inventory import EnvironmentSummary, list_environments
from envspin.run.janitor import grant_lease, lock_run, remove_environment, sweep
from envspin.run.leases import keep_environment
from envspin.run.naming import Identity
from envspin.run.ownership import Owner, describe_this_process

HERE = describe_this_process()
DEAD = str(Owner(HERE.host, HERE.boot, HERE.pid_space, HERE.pid, "1"))
"""This process id, started at another time."""
ELSEWHERE = str(Owner(HERE.host, HERE.boot, "1", HERE.pid, HERE.start))
HOUR = 3600.0


def make_environment(owner: str = DEAD, *, left: float = HOUR) -> tuple[FakeEngine, Identity]:
    """Make an environment of a running and an ended container."""
    engine = FakeEngine(default_image=FakeImage())
    identity = Identity("mine", "shop", "run", owner, time.time() + left)
    running, ended = (make_container(engine, identity, name) for name in ("db", "job"))
    for container in (running, ended):
        engine.start(container)
    engine.kill(ended)
    return engine, identity


def make_container(engine: FakeEngine, identity: Identity, service: str) -> str:
    return engine.create_container(ContainerSpec(f"envspin-mine-{service}", "a:1", identity.labels(service=service)))


def summarise(engine: FakeEngine) -> EnvironmentSummary:
    (summary,) = list_environments(engine)
    return summary


def list_leases(engine: FakeEngine) -> list[str]:
    return [each.name for each in engine.list_resources({naming.LEASE: None})]


class TestKeeping:
    @pytest.mark.parametrize("seconds", [60.0, 9 * HOUR], ids=["shorter", "longer"])
    def test_the_new_lease_is_the_only_one(self, seconds):
        engine, identity = make_environment()
        grant_lease(engine, identity, expires=time.time() + 2 * HOUR)
        grant_lease(engine, identity, expires=time.time() + 3 * HOUR)
        before = time.time()
        expires = keep_environment(engine, "mine", seconds=seconds)
        assert before + seconds <= expires <= time.time() + seconds
        assert len(list_leases(engine)) == 1
        assert summarise(engine).expires == pytest.approx(expires, abs=1.5)
        assert sweep(engine) == {}

    def test_there_is_a_lease_at_any_moment(self):
        engine, identity = make_environment()
        old = grant_lease(engine, identity, expires=time.time() + HOUR)
        engine.inject("remove", EngineError("busy"))
        with pytest.raises(EngineError, match="busy"):
            keep_environment(engine, "mine", seconds=60.0)
        assert len(list_leases(engine)) == 2
        engine.inject("create_volume", EngineError("disk full"))
        with pytest.raises(EngineError, match="disk full"):
            keep_environment(engine, "mine", seconds=60.0)
        assert old.name in list_leases(engine)

    def test_what_a_dead_owner_left_can_be_kept(self):
        engine, _ = make_environment()
        keep_environment(engine, "mine", seconds=HOUR)
        assert sweep(engine) == {}
        assert summarise(engine).state == "running"

    def test_what_a_living_process_holds_ends_with_it(self):
        engine, _ = make_environment(str(HERE))
        with pytest.raises(UsageError, match=rf"held by process {os.getpid()} and ends with it"):
            keep_environment(engine, "mine", seconds=HOUR)
        assert list_leases(engine) == []

    def test_a_living_process_that_has_left_it_running_holds_it_no_more(self):
        engine, identity = make_environment(str(HERE))
        grant_lease(engine, identity, expires=time.time() + HOUR)
        keep_environment(engine, "mine", seconds=2 * HOUR)
        assert len(list_leases(engine)) == 1

    def test_an_owner_that_cannot_be_judged_may_still_hold_it(self):
        engine, _ = make_environment(ELSEWHERE)
        with pytest.raises(UsageError, match="cannot be seen from here"):
            keep_environment(engine, "mine", seconds=HOUR)
        overdue, _ = make_environment(ELSEWHERE, left=-60)
        keep_environment(overdue, "mine", seconds=HOUR)
        assert sweep(overdue) == {}

    def test_an_unknown_name_is_a_usage_error(self):
        with pytest.raises(UsageError, match="no environment 'mine'"):
            keep_environment(FakeEngine(), "mine", seconds=HOUR)

    def test_what_is_removed_at_the_same_moment_leaves_no_lease(self):
        engine, _ = make_environment()
        create = engine.create_volume

        def remove_first(spec, **told):
            remove_environment(engine, "mine")
            return create(spec, **told)

        engine.create_volume = remove_first
        with pytest.raises(UsageError, match="being removed"):
            keep_environment(engine, "mine", seconds=HOUR)
        assert engine.list_resources({naming.ENV: None}) == []

    def test_what_goes_one_by_one_at_the_same_moment_leaves_no_lease(self):
        engine, _ = make_environment()
        create, (first, *_) = engine.create_volume, engine.list_resources({naming.ENV: "mine"})

        def remove_first(spec, **told):
            engine.remove(first)
            return create(spec, **told)

        engine.create_volume = remove_first
        with pytest.raises(UsageError, match="its time is up, and it is being removed"):
            keep_environment(engine, "mine", seconds=HOUR)
        assert list_leases(engine) == []

    @pytest.mark.parametrize("lease", [None, -60.0], ids=["a dead owner's", "its lease is over"])
    def test_what_a_sweep_has_begun_to_remove_cannot_be_kept(self, lease, monkeypatch):
        monkeypatch.setattr("envspin.run.janitor.RUN_LOCK_SECONDS", 0.05)
        engine, identity = make_environment()
        if lease is not None:
            grant_lease(engine, identity, expires=time.time() + lease)
        remove, refusals = engine.remove, []

        def keep_first(resource):
            engine.remove = remove
            with pytest.raises(UsageError, match="its time is up, and it is being removed") as caught:
                keep_environment(engine, "mine", seconds=HOUR)
            refusals.append(caught.value)
            remove(resource)

        engine.remove = keep_first
        sweep(engine)
        assert len(refusals) == 1
        assert engine.list_resources({naming.ENV: None}) == []

    def test_what_has_time_left_is_kept_whoever_holds_the_lock(self, monkeypatch):
        monkeypatch.setattr("envspin.run.janitor.RUN_LOCK_SECONDS", 0.05)
        engine, identity = make_environment()
        grant_lease(engine, identity, expires=time.time() + HOUR)
        with lock_run(identity.run_id) as is_held:
            keep_environment(engine, "mine", seconds=2 * HOUR)
        assert is_held
        assert len(list_leases(engine)) == 1

    def test_a_sweep_waits_for_the_keeper_and_sees_the_new_lease(self):
        engine, _ = make_environment()
        create, swept = engine.create_volume, []
        sweeper = threading.Thread(target=lambda: swept.append(sweep(engine)))

        def sweep_beside(spec, **told):
            sweeper.start()
            return create(spec, **told)

        engine.create_volume = sweep_beside
        keep_environment(engine, "mine", seconds=HOUR)
        sweeper.join()
        assert [counts.total() for each in swept for counts in each.values()] in ([], [0])
        assert summarise(engine).state == "running"

    def test_a_kept_failure_stays_a_failure(self):
        engine, identity = make_environment()
        grant_lease(engine, identity, expires=time.time() + HOUR, failed=True)
        keep_environment(engine, "mine", seconds=2 * HOUR)
        assert summarise(engine).state == "failed"


class TestStates:
    def test_a_running_one(self):
        engine, identity = make_environment()
        grant_lease(engine, identity, expires=time.time() + HOUR)
        assert (summarise(engine).state, summarise(engine).owner_alive) == ("running", None)

    def test_a_partial_one(self):
        engine, identity = make_environment(str(HERE))
        paused = make_container(engine, identity, "api")
        engine.start(paused)
        engine.pause(paused)
        assert (summarise(engine).state, summarise(engine).owner_alive) == ("partial", True)

    def test_one_that_is_being_made_by_a_living_owner(self):
        engine, identity = make_environment(str(HERE))
        make_container(engine, identity, "api")
        assert summarise(engine).state == "starting"

    def test_one_without_containers_yet(self):
        engine = FakeEngine()
        identity = Identity.new("shop", name="mine")
        engine.create_network(NetworkSpec("envspin-mine-default", identity.labels()))
        assert summarise(engine).state == "starting"

    def test_one_that_never_became_whole_is_not_starting_any_more(self):
        engine, identity = make_environment()
        make_container(engine, identity, "api")
        assert summarise(engine).state == "leftover"
        grant_lease(engine, identity, expires=time.time() + HOUR)
        assert summarise(engine).state == "failed"

    def test_the_time_left_is_that_of_the_boot_clock(self, monkeypatch):
        engine, identity = make_environment()
        now = Clock(time.time(), "boot", 500.0)
        monkeypatch.setattr("envspin.run.janitor.read_clock", lambda: now)
        grant_lease(engine, identity, expires=now.now + HOUR)
        jumped = Clock(now.now + 24 * HOUR, "boot", 500.0 + 60)
        monkeypatch.setattr("envspin.run.inventory.read_clock", lambda: jumped)
        summary = summarise(engine)
        assert summary.state == "running"
        assert summary.expires == pytest.approx(jumped.now + HOUR - 60, abs=1.0)

    def test_a_lease_that_cannot_be_read_is_listed_without_a_time(self):
        engine, identity = make_environment()
        lease = grant_lease(engine, identity, expires=time.time() + HOUR)
        engine.remove(lease)
        spoilt = {key: value for key, value in lease.labels.items() if key != naming.EXPIRES_UPTIME}
        engine.create_volume(VolumeSpec(lease.name, {**spoilt, naming.EXPIRES: "soon"}))
        assert (summarise(engine).state, summarise(engine).expires) == ("running", None)
