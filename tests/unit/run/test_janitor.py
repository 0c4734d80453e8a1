"""What is doomed and what is not, by whose clock, and that removal takes what is doomed and nothing else."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from envspin.engine.base import ContainerSpec, NetworkSpec, Resource, VolumeSpec
from envspin.engine.fake import FakeEngine, FakeImage
from envspin.errors import EngineError
from envspin.run import naming, ownership
from envspin.run.clock import Clock
from envspin.run.janitor import (
    find_doomed,
    find_leased,
    find_reason,
    grant_lease,
    group_by_environment,
    group_by_run,
    list_doomed,
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
    doomed = find_doomed(group_by_environment(resources), clock=CLOCK, judge_owner=lambda _owner: liveness)
    assert (doomed == {"e": resources}) is is_doomed


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


def test_environments_are_judged_apart():
    groups = group_by_environment([make_resource("a", env="one", owner="dead"), make_resource("b", env="two")])
    doomed = find_doomed(
        groups, clock=CLOCK, judge_owner=lambda owner: Liveness.DEAD if owner == "dead" else Liveness.ALIVE
    )
    assert list(doomed) == ["one"]


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
    assert list(sweep(engine)) == ["two"]


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


def refuse(_pid, _signal):
    raise PermissionError


class TestOwnership:
    def test_this_process_lives(self):
        assert ownership.judge(str(ownership.describe_this_process()), engine_is_local=True) is Liveness.ALIVE

    def test_a_process_that_has_ended_is_dead(self):
        assert ownership.judge(find_dead_owner(), engine_is_local=True) is Liveness.DEAD

    def test_a_reused_process_id_is_not_mistaken(self):
        here = ownership.describe_this_process()
        earlier = Owner(here.host, here.boot, here.pid_space, here.pid, "1")
        assert ownership.judge(str(earlier), engine_is_local=True) is Liveness.DEAD

    @pytest.mark.parametrize(("local", "expected"), [(True, Liveness.DEAD), (False, Liveness.UNKNOWN)])
    def test_an_owner_before_the_last_boot_is_dead_on_this_machines_engine(self, local, expected):
        here = ownership.describe_this_process()
        earlier = Owner(here.host, "another-boot", here.pid_space, here.pid, here.start)
        assert ownership.judge(str(earlier), engine_is_local=local) is expected

    def test_another_pid_namespace_cannot_be_judged(self):
        here = ownership.describe_this_process()
        elsewhere = Owner(here.host, here.boot, "1", here.pid, here.start)
        assert ownership.judge(str(elsewhere), engine_is_local=True) is Liveness.UNKNOWN

    def test_a_process_that_may_not_be_seen_cannot_be_judged(self, monkeypatch):
        here = ownership.describe_this_process()
        monkeypatch.setattr(ownership, "_read_start", lambda _pid: None)  # as under `hidepid`
        monkeypatch.setattr("os.kill", refuse)
        assert ownership.judge(str(here), engine_is_local=True) is Liveness.UNKNOWN

    def test_a_foreign_text_is_unknown(self):
        assert ownership.judge("somebody", engine_is_local=True) is Liveness.UNKNOWN

    def test_a_host_name_with_slashes_survives_the_label(self):
        owner = Owner("a/b", "boot", "1", 2, "3")
        assert Owner.parse(str(owner)) == owner
