"""Objects of others that look nearly like an environment's: none of them is listed, judged or removed with it."""

from __future__ import annotations

import time

import pytest

from envspin.engine.base import ContainerSpec, NetworkSpec, Resource, VolumeSpec
from envspin.engine.fake import FakeEngine, FakeImage
from envspin.run import naming
from envspin.run.inventory import list_environments
from envspin.run.janitor import list_environment, remove_environment, sweep
from envspin.run.naming import Identity
from envspin.run.ownership import Owner, describe_this_process

HERE = describe_this_process()
DEAD = str(Owner(HERE.host, HERE.boot, HERE.pid_space, HERE.pid, "1"))
"""This process id, started at another time."""

OURS = Identity("mine", "shop", "run", DEAD, time.time() - 60).labels()


def relabel(**changes: str | None) -> dict[str, str]:
    """Our labels, with others in place of some; None leaves one out."""
    changed = {f"envspin.{key}": value for key, value in changes.items()}
    return {key: value for key, value in {**OURS, **changed}.items() if value is not None}


def rename_keys(old: str, new: str) -> dict[str, str]:
    return {key.replace(old, new, 1): value for key, value in OURS.items()}


STRANGERS = {
    "inherited labels, a name of the engine's": ("nifty_turing", OURS),
    "inherited labels, a name that has ours within": ("my-envspin-mine-db", OURS),
    "inherited labels, a name without the dash": ("envspin-minedb", OURS),
    "inherited labels, the bare beginning of our names": ("envspin-mine", OURS),
    "inherited labels, another environment's name": ("envspin-yours-db", OURS),
    "our name without labels": ("envspin-mine-db", {}),
    "our name, keys with a prefix": ("envspin-mine-a", rename_keys("envspin.", "x.envspin.")),
    "our name, keys with a suffix": ("envspin-mine-b", {f"{key}.old": value for key, value in OURS.items()}),
    "our name, keys in capitals": ("envspin-mine-c", {key.upper(): value for key, value in OURS.items()}),
    "our name, keys without the dot": ("envspin-mine-d", rename_keys("envspin.", "envspin-")),
    "an empty environment": ("envspin--e", relabel(env="")),
    "an environment of a blank": ("envspin- -f", relabel(env=" ")),
    "an environment that our name begins": ("envspin-mine-g", relabel(env="mine-g-longer")),
    "an environment that begins ours": ("envspin-mine-h", relabel(env="min")),
    "an environment with other letters": ("envspin-MINE-i", relabel(env="MINE")),
    "an environment with a line of its own": ("envspin-mine-j", relabel(env="mine\n")),
    "no run": ("envspin-mine-k", relabel(run=None)),
    "an empty run": ("envspin-mine-l", relabel(run="")),
}


def make_all(engine: FakeEngine, name: str, labels: dict[str, str]) -> set[tuple[str, str]]:
    """Make a container, a network and a volume; return their kinds and names."""
    engine.create_network(NetworkSpec(name, labels))
    engine.create_volume(VolumeSpec(name, labels))
    engine.create_container(ContainerSpec(name, "a:1", labels))
    return {(kind, name) for kind in ("container", "network", "volume")}


def list_all(engine: FakeEngine) -> set[tuple[str, str]]:
    return {(each.kind, each.name) for each in engine.list_resources({}) if each.name != "bridge"}


@pytest.mark.parametrize(("name", "labels"), STRANGERS.values(), ids=STRANGERS)
def test_a_strangers_objects_are_left_alone(name, labels):
    engine = FakeEngine(default_image=FakeImage())
    strangers = make_all(engine, name, labels)
    ours = make_all(engine, "envspin-mine-service", OURS)
    assert {(each.kind, each.name) for each in list_environment(engine, "mine")} == ours
    assert [each.env for each in list_environments(engine)] == ["mine"]
    assert dict(remove_environment(engine, "mine")) == {"container": 1, "network": 1, "volume": 1}
    assert list_all(engine) == strangers
    make_all(engine, "envspin-mine-service", OURS)
    sweep(engine)
    assert list_all(engine) == strangers


def test_an_environment_whose_name_another_begins_with_is_another_one():
    engine = FakeEngine(default_image=FakeImage())
    mine, longer = make_all(engine, "envspin-mine-2-db", OURS), make_all(engine, "envspin-mine-db", OURS)
    other = make_all(engine, "envspin-mine-2-api", {**OURS, naming.ENV: "mine-2"})
    assert {(each.kind, each.name) for each in list_environment(engine, "mine")} == mine | longer
    remove_environment(engine, "mine")
    assert list_all(engine) == other


@pytest.mark.parametrize("name", ["", " ", "*", "mine\n"])
def test_an_empty_or_odd_name_lists_nothing(name):
    engine = FakeEngine(default_image=FakeImage())
    make_all(engine, f"envspin-{name}-a", relabel(env=name))
    make_all(engine, "envspin-mine-a", OURS)
    assert list_environment(engine, name) == []


def test_what_an_identity_names_and_labels_is_ours():
    identity = Identity.new("a.topology_with-a-name-much-longer-than-an-environment-may-be-called", ttl=5)
    resource = Resource("network", "id", identity.object_name("default"), identity.labels())
    assert naming.is_ours(resource)
    assert Identity.read(identity.labels()) == Identity(
        identity.env,
        identity.topology,
        identity.run_id,
        identity.owner,
        round(identity.expires),
        identity.expires_uptime,
        round(identity.created),
    )


def test_an_identity_of_odd_labels_is_empty_and_labels_nothing_odd():
    odd = Identity.read({naming.EXPIRES: "soon", naming.CREATED: "inf"})
    assert (odd.env, odd.expires, odd.created) == ("", 0.0, None)
    assert not {naming.CREATED, naming.EXPIRES_UPTIME} & odd.labels().keys()
