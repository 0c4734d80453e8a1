"""What is doomed and what is not, and that removal is exact."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from envspin.engine.base import ContainerSpec, NetworkSpec, Resource, VolumeSpec
from envspin.engine.fake import FakeEngine, FakeImage
from envspin.errors import EngineError
from envspin.run import naming, ownership
from envspin.run.janitor import find_doomed, grant_lease, group_by_environment, remove_environment, sweep
from envspin.run.naming import Identity
from envspin.run.ownership import Liveness, Owner

NOW = 1_000_000.0


def make_resource(
    name: str, *, env: str = "e", owner: str = "o", expires: float = NOW + 1, lease: bool = False
) -> Resource:
    labels = {naming.ENV: env, naming.OWNER: owner, naming.EXPIRES: str(expires)}
    return Resource(
        "volume" if lease else "container", name, name, {**labels, **({naming.LEASE: "1"} if lease else {})}
    )


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
    ],
)
def test_judgement(resources, liveness, is_doomed):
    doomed = find_doomed(group_by_environment(resources), now=NOW, judge_owner=lambda _owner: liveness)
    assert (doomed == {"e": resources}) is is_doomed


def test_environments_are_judged_apart():
    groups = group_by_environment([make_resource("a", env="one", owner="dead"), make_resource("b", env="two")])
    doomed = find_doomed(
        groups, now=NOW, judge_owner=lambda owner: Liveness.DEAD if owner == "dead" else Liveness.ALIVE
    )
    assert list(doomed) == ["one"]


def make_objects(engine: FakeEngine, labels: dict[str, str], prefix: str) -> None:
    engine.create_network(NetworkSpec(f"{prefix}-net", labels))
    engine.create_volume(VolumeSpec(f"{prefix}-vol", labels))
    engine.start(engine.create_container(ContainerSpec(f"{prefix}-con", "a:1", labels)))


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
    left = {each.name for each in engine.list_resources({})}
    assert {f"bystander{number}-{kind}" for number in range(4) for kind in ("con", "net", "vol")} <= left
    assert {"living-con", "living-net", "living-vol"} <= left


def test_what_cannot_be_removed_keeps_nothing_else_from_going():
    engine, owner = FakeEngine(default_image=FakeImage()), find_dead_owner()
    for name in ("one", "two"):
        engine.create_volume(VolumeSpec(name, {**Identity.new("shop", name=name).labels(), naming.OWNER: owner}))
    engine.inject("remove", EngineError("busy"))
    assert list(sweep(engine)) == ["two"]


def test_the_dead_holder_of_a_name_goes_and_the_living_one_stays():
    engine = FakeEngine(default_image=FakeImage())
    dead = {**Identity.new("shop", name="same").labels(), naming.OWNER: find_dead_owner()}
    make_objects(engine, dead, "dead")
    make_objects(engine, Identity.new("shop", name="same").labels(), "living")
    sweep(engine)
    assert {each.name for each in engine.list_resources({naming.ENV: "same"})} == {
        "living-con",
        "living-net",
        "living-vol",
    }


def test_a_lease_keeps_what_its_owner_left_until_it_is_over():
    engine = FakeEngine(default_image=FakeImage())
    identity = Identity("e", "shop", "run", find_dead_owner(), time.time())
    make_objects(engine, identity.labels(), "e")
    grant_lease(engine, identity, expires=time.time() + 100)
    assert sweep(engine) == {}


def test_removal_looks_again_for_what_appeared_meanwhile():
    engine = FakeEngine(default_image=FakeImage())
    identity = Identity.new("shop", name="e")
    make_objects(engine, identity.labels(), "e")
    listed = engine.list_resources({naming.ENV: "e"})
    engine.create_volume(VolumeSpec("late", identity.labels()))
    assert dict(remove_environment(engine, "e", resources=listed)) == {"container": 1, "network": 1, "volume": 2}
    assert engine.list_resources({naming.ENV: "e"}) == []


def test_one_failure_does_not_keep_the_others():
    engine = FakeEngine(default_image=FakeImage())
    identity = Identity.new("shop", name="e")
    for number in range(3):
        make_objects(engine, identity.labels(), f"e{number}")
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
