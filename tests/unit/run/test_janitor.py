"""What is doomed and what is not, by whose clock, and that removal takes what is doomed and nothing else."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from envspin.engine.base import ContainerSpec, NetworkSpec, Resource, VolumeSpec
from envspin.engine.fake import FakeEngine, FakeImage
from envspin.errors import EngineError
from envspin.run import janitor, naming, ownership
from envspin.run.clock import Clock
from envspin.run.janitor import (
    find_leased,
    find_reason,
    grant_lease,
    group_by_run,
    list_doomed,
    lock_run,
    measure_lease,
    remove_doomed,
    remove_environment,
    sweep,
)
from envspin.run.naming import Identity
from envspin.run.ownership import Liveness, Owner

NOW = 1_000_000.0
UPTIME = 5_000.0
CLOCK = Clock(NOW, "boot", UPTIME)


def make_resource(
    name: str,
    *,
    env: str = "e",
    owner: str = "o",
    expires: float | str = NOW + 1,
    uptime: str = "",
    lease: bool = False,
) -> Resource:
    labels = {naming.ENV: env, naming.RUN: "r", naming.OWNER: owner, naming.EXPIRES: str(expires)}
    labels |= {naming.LEASE: "1"} if lease else {}
    labels |= {naming.EXPIRES_UPTIME: uptime} if uptime else {}
    return Resource("volume" if lease else "container", name, f"envspin-{env}-{name}", labels)


@pytest.mark.parametrize(
    ("resources", "liveness", "is_doomed"),
    [
        pytest.param([make_resource("a")], Liveness.DEAD, True, id="dead owner"),
        pytest.param([make_resource("a")], Liveness.ALIVE, False, id="living owner"),
        pytest.param([make_resource("a", expires=NOW - 1)], Liveness.ALIVE, False, id="living owner past expiry"),
        pytest.param([make_resource("a")], Liveness.UNKNOWN, False, id="unknown owner"),
        pytest.param([make_resource("a", expires=NOW - 1)], Liveness.UNKNOWN, True, id="unknown owner past expiry"),
        pytest.param([make_resource("a"), make_resource("l", lease=True)], Liveness.DEAD, False, id="lease runs"),
        pytest.param(
            [make_resource("a"), make_resource("l", lease=True, expires=NOW - 1)],
            Liveness.DEAD,
            True,
            id="lease is over",
        ),
        pytest.param(
            [make_resource("l", lease=True, expires=NOW - 1), make_resource("m", lease=True)],
            Liveness.DEAD,
            False,
            id="lease was extended",
        ),
        pytest.param(
            [make_resource("a"), make_resource("l", lease=True, expires="soon")],
            Liveness.DEAD,
            False,
            id="lease that cannot be read",
        ),
        pytest.param(
            [make_resource("a", expires=NOW - 1), make_resource("b", expires="nan")],
            Liveness.UNKNOWN,
            False,
            id="unknown owner and an expiry that cannot be read",
        ),
        pytest.param([make_resource("a", expires="")], Liveness.UNKNOWN, False, id="unknown owner without expiry"),
    ],
)
def test_judgement(resources, liveness, is_doomed):
    assert (find_reason(resources, CLOCK, lambda _owner: liveness) is not None) is is_doomed


def test_nothing_at_all_is_not_doomed():
    assert find_reason([], CLOCK, lambda _owner: Liveness.DEAD) is None


DAY = 24 * 3600.0


@pytest.mark.parametrize(
    ("uptime", "expires", "seconds"),
    [
        pytest.param(f"boot/{UPTIME + 60:.0f}", NOW - DAY, None, id="the wall clock was set a day ahead"),
        pytest.param(f"boot/{UPTIME - 60:.0f}", NOW + DAY, 60.0, id="the wall clock was set back a day"),
        pytest.param(f"other/{UPTIME + 60:.0f}", NOW - 30, 30.0, id="another boot: the wall clock decides"),
        pytest.param(f"other/{UPTIME - 60:.0f}", NOW + 30, None, id="another boot: the wall clock decides for it"),
        pytest.param("boot/later", NOW - 30, 30.0, id="a mark that cannot be read"),
        pytest.param(f"{UPTIME + 60:.0f}", NOW - 30, 30.0, id="a mark without a boot"),
        pytest.param("", NOW - 30, 30.0, id="no mark: an earlier version's"),
    ],
)
def test_the_boot_clock_decides_where_it_can(uptime, expires, seconds):
    lease = make_resource("l", lease=True, expires=expires, uptime=uptime)
    reason = find_reason([make_resource("a"), lease], CLOCK, lambda _owner: Liveness.DEAD)
    assert (reason and (reason.kind, reason.seconds)) == (seconds and ("lease over", seconds))


def test_without_a_boot_clock_the_wall_clock_decides():
    lease = make_resource("l", lease=True, expires=NOW - 30, uptime=f"/{UPTIME + 60:.0f}")
    assert find_reason([lease], Clock(NOW), lambda _owner: Liveness.DEAD) is not None
    assert Clock(NOW).mark_end(10) == (NOW + 10, "")


def test_the_reason_says_whose_end_it_was():
    dead, unknown = (lambda _owner: Liveness.DEAD), (lambda _owner: Liveness.UNKNOWN)
    assert find_reason([make_resource("a")], CLOCK, dead).kind == "owner dead"
    over = find_reason([make_resource("a", expires=NOW - 5)], CLOCK, unknown)
    assert (over.kind, over.seconds) == ("time over", 5.0)


def test_the_last_lease_counts():
    leases = [make_resource("l", lease=True, expires=NOW + left) for left in (-5, 70, 10)]
    assert measure_lease([make_resource("a", expires=NOW + 900), *leases], CLOCK) == 70
    assert measure_lease([make_resource("a")], CLOCK) is None


def test_a_container_is_no_lease_whatever_its_labels_say():
    labels = {**make_resource("a").labels, naming.LEASE: "1", naming.EXPIRES: str(NOW + 900)}
    container = Resource("container", "a", "envspin-e-a", labels)
    assert find_reason([container], CLOCK, lambda _owner: Liveness.DEAD).kind == "owner dead"
    assert find_leased({"e": [container], "f": [make_resource("l", lease=True, expires=NOW - 1)]}) == {"f"}


def make_objects(engine: FakeEngine, labels: dict[str, str], prefix: str) -> None:
    engine.create_network(NetworkSpec(f"envspin-{prefix}-net", labels))
    engine.create_volume(VolumeSpec(f"envspin-{prefix}-vol", labels))
    engine.start(engine.create_container(ContainerSpec(f"envspin-{prefix}-con", "a:1", labels)))


def name_all(engine: FakeEngine) -> set[str]:
    return {each.name.removeprefix("envspin-") for each in engine.list_resources({})}


def find_dead_owner() -> str:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        here = ownership.describe_this_process()
        start = ownership._read_start(process.pid)
        process.communicate(b"\n")
    return str(Owner(here.host, here.boot, here.pid_space, process.pid, start or ""))


def test_a_sweep_removes_what_dead_owners_left_and_nothing_else():
    engine = FakeEngine(default_image=FakeImage())
    mine = Identity.new("shop", name="living")
    dead = {**mine.labels(), naming.ENV: "dead", naming.OWNER: find_dead_owner()}
    make_objects(engine, dead, "dead")
    make_objects(engine, mine.labels(), "living")
    bystanders = [{}, {"envspin.environment": "dead"}, {naming.SERVICE: "dead"}, {"env": "dead"}]
    for number, labels in enumerate(bystanders):
        make_objects(engine, labels, f"bystander{number}")
    removed = sweep(engine)
    assert {name: dict(counts) for name, counts in removed.items()} == {
        "dead": {"container": 1, "network": 1, "volume": 1}
    }
    left = name_all(engine)
    assert {f"bystander{number}-{kind}" for number in range(4) for kind in ("con", "net", "vol")} <= left
    assert {"living-con", "living-net", "living-vol"} <= left


def test_what_cannot_be_removed_keeps_nothing_else_from_going():
    engine, owner = FakeEngine(default_image=FakeImage()), find_dead_owner()
    for name in ("one", "two"):
        engine.create_volume(
            VolumeSpec(f"envspin-{name}-v", {**Identity.new("shop", name=name).labels(), naming.OWNER: owner})
        )
    engine.inject("remove", EngineError("busy"))
    first = list(sweep(engine))
    assert len(first) == 1
    assert sorted([*first, *sweep(engine)]) == ["one", "two"]


class Waiting(FakeEngine):
    """Removes what is called ``slow`` when everything else is gone, if that comes to pass."""

    def __init__(self, *, seconds: float) -> None:
        super().__init__(default_image=FakeImage())
        self.seconds, self.others_gone = seconds, threading.Event()

    def remove(self, resource: Resource) -> None:
        if resource.labels[naming.ENV].startswith("slow"):
            assert self.others_gone.wait(self.seconds)
        super().remove(resource)
        if {each.labels[naming.ENV][:4] for each in self.list_resources({naming.ENV: None})} == {"slow"}:
            self.others_gone.set()


def test_what_is_stuck_does_not_keep_later_ones_waiting():
    engine, owner = Waiting(seconds=30.0), find_dead_owner()
    for name in ("slow1", "slow2", "third", "fourth"):
        labels = {**Identity.new("shop", name=name).labels(), naming.OWNER: owner}
        engine.create_volume(VolumeSpec(f"envspin-{name}-v", labels))
    assert sorted(sweep(engine)) == ["fourth", "slow1", "slow2", "third"]


ENDS_EARLY = """
import threading
from dataclasses import replace
from envspin.engine.base import VolumeSpec
from envspin.engine.fake import FakeEngine
from envspin.run.clearing import sweep_quietly
from envspin.run.naming import Identity

class Stuck(FakeEngine):
    def remove(self, resource):
        under_way.release()
        threading.Event().wait()

engine, under_way = Stuck(), threading.Semaphore(0)
for name in ("one", "two"):
    identity = Identity.new("shop", name=name)
    dead = replace(identity, owner=identity.owner.rpartition("/")[0] + "/1")
    for part in ("a", "b"):
        engine.create_volume(VolumeSpec(dead.object_name(part), dead.labels()))
threading.Thread(target=sweep_quietly, args=(engine,), daemon=True).start()
for _ in range(4):
    under_way.acquire()
"""


def test_a_sweep_keeps_no_process_from_ending_and_says_nothing_then():
    done = subprocess.run([sys.executable, "-c", ENDS_EARLY], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_fault_of_ours_in_a_sweep_is_not_hidden(monkeypatch):
    engine = FakeEngine()
    labels = {**Identity.new("shop", name="e").labels(), naming.OWNER: find_dead_owner()}
    engine.create_volume(VolumeSpec("envspin-e-v", labels))
    monkeypatch.setattr(engine, "remove", lambda _resource: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        sweep(engine)


def test_the_dead_holder_of_a_name_goes_and_the_living_one_stays():
    engine = FakeEngine(default_image=FakeImage())
    dead = {**Identity.new("shop", name="same").labels(), naming.OWNER: find_dead_owner()}
    make_objects(engine, dead, "same-dead")
    make_objects(engine, Identity.new("shop", name="same").labels(), "same-living")
    sweep(engine)
    assert {each.name for each in engine.list_resources({naming.ENV: "same"})} == {
        "envspin-same-living-con",
        "envspin-same-living-net",
        "envspin-same-living-vol",
    }


def test_a_lease_keeps_what_its_owner_left_until_it_is_over():
    engine = FakeEngine(default_image=FakeImage())
    identity = Identity("e", "shop", "run", find_dead_owner(), time.time())
    make_objects(engine, identity.labels(), "e")
    grant_lease(engine, identity, expires=time.time() + 100)
    assert sweep(engine) == {}
    grant_lease(engine, identity, expires=time.time() + 200)
    assert len(find_leased(group_by_run(engine.list_resources({naming.ENV: None})))) == 1


def test_a_lease_that_comes_between_look_and_removal_is_respected():
    engine, info = FakeEngine(default_image=FakeImage()), FakeEngine().info()
    identity = Identity("e", "shop", "run", find_dead_owner(), time.time())
    make_objects(engine, identity.labels(), "e")
    (doomed,) = list_doomed(engine, info)
    lease = grant_lease(engine, identity, expires=time.time() + 100)
    assert remove_doomed(engine, info, doomed) == {}
    engine.remove(lease)
    assert dict(remove_doomed(engine, info, doomed)) == {"container": 1, "network": 1, "volume": 1}
    assert remove_doomed(engine, info, doomed) == {}


def test_a_lock_that_nobody_gives_back_keeps_nothing_from_going(monkeypatch):
    monkeypatch.setattr("envspin.run.janitor.RUN_LOCK_SECONDS", 0.05)
    engine = FakeEngine(default_image=FakeImage())
    identity = Identity("e", "shop", "run", find_dead_owner(), time.time())
    make_objects(engine, identity.labels(), "e")
    with lock_run(identity.run_id) as is_held:
        assert list(sweep(engine)) == ["e"]
    assert is_held


def test_a_lease_is_written_by_both_clocks_and_leaves_the_rest_of_the_identity_alone(monkeypatch):
    engine, identity = FakeEngine(), Identity.new("shop", name="e", ttl=50)
    monkeypatch.setattr("envspin.run.janitor.read_clock", lambda: CLOCK)
    lease = grant_lease(engine, identity, expires=NOW + 100)
    (listed,) = engine.list_resources({naming.ENV: "e"})
    assert (lease.id, lease.name, lease.labels) == (listed.id, listed.name, listed.labels)
    assert listed.labels[naming.EXPIRES] == str(round(NOW + 100))
    assert listed.labels[naming.EXPIRES_UPTIME] == f"boot/{UPTIME + 100:.0f}"
    unchanged = (naming.OWNER, naming.RUN, naming.CREATED)
    assert {key: listed.labels[key] for key in unchanged} == {key: identity.labels()[key] for key in unchanged}


def test_removal_begins_with_leases_so_that_a_half_removed_environment_is_nobodys(monkeypatch):
    monkeypatch.setattr("envspin.run.janitor.REMOVALS_AT_ONCE", 1)
    engine = FakeEngine(default_image=FakeImage())
    identity = Identity("e", "shop", "run", find_dead_owner(), time.time())
    make_objects(engine, identity.labels(), "e")
    lease = grant_lease(engine, identity, expires=time.time() + 100)
    remove_environment(engine, "e")
    removed = [call.subject for call in engine.calls if call.verb == "remove"]
    assert (removed[0], len(removed)) == (lease.name, 4)


def test_removal_looks_again_for_what_appeared_meanwhile():
    engine = FakeEngine(default_image=FakeImage())
    identity = Identity.new("shop", name="e")
    make_objects(engine, identity.labels(), "e")
    listed = engine.list_resources({naming.ENV: "e"})
    engine.create_volume(VolumeSpec("envspin-e-late", identity.labels()))
    assert dict(remove_environment(engine, "e", resources=listed)) == {"container": 1, "network": 1, "volume": 2}
    assert engine.list_resources({naming.ENV: "e"}) == []


def test_one_failure_does_not_keep_the_others():
    engine = FakeEngine(default_image=FakeImage())
    identity = Identity.new("shop", name="e")
    for number in range(3):
        make_objects(engine, identity.labels(), f"e-{number}")
    engine.inject("remove", EngineError("device or resource busy"))
    with pytest.raises(EngineError, match="busy"):
        remove_environment(engine, "e")
    assert len(engine.list_resources({naming.ENV: "e"})) == 1


def test_what_is_still_listed_after_its_removal_is_an_error_and_no_endless_loop(monkeypatch):
    monkeypatch.setattr(janitor, "ATTEMPT_SECONDS", 0.0)
    engine = FakeEngine(default_image=FakeImage())
    make_objects(engine, Identity("e", "shop", "run", find_dead_owner(), time.time()).labels(), "e")
    asked = []
    monkeypatch.setattr(engine, "remove", asked.append)
    with pytest.raises(EngineError, match="still lists"):
        remove_environment(engine, "e")
    assert len(asked) == 3 * janitor.REMOVAL_ATTEMPTS
