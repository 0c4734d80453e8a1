"""Keys that are easily lost between the topology and the engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from envspin.engine.base import ImageInfo
from envspin.model import Build, Healthcheck, Mount, Volume
from envspin.plan.planning import make_plan
from envspin.plan.sources import ImageSource
from envspin.run import naming
from envspin.run.blueprint import describe_volume, list_own_volumes, make_container_spec
from envspin.run.images import ImageRules, make_build_request
from envspin.run.naming import Identity
from envspin.run.steps import find_ready_timeout

from ..builders import make_service, make_topology


def test_a_tmpfs_stays_read_only():
    mount = Mount("tmpfs", "/still", read_only=True, tmpfs_size=1, tmpfs_mode=0o700)
    service = make_service("a", mounts=(mount,))
    identity = Identity.new("t")
    plan = make_plan(make_topology(service))
    spec = make_container_spec(identity, plan, service, ImageInfo("sha256:1"), own_volumes={})
    (placed,) = spec.mounts
    assert (placed.read_only, placed.tmpfs_size, placed.tmpfs_mode) == (True, 1, 0o700)


def test_mounts_carry_the_labels_that_their_volumes_have():
    volumes = {
        "data": Volume("data", labels={"mine": "yes"}),
        "theirs": Volume("theirs", external=True, external_name="prod"),
    }
    mounts = (Mount("volume", "/data", "data"), Mount("volume", "/theirs", "theirs"), Mount("anonymous", "/scratch"))
    service = make_service("a", mounts=mounts)
    topology = replace(make_topology(service), volumes=volumes)
    identity, image = Identity.new("t"), ImageInfo("sha256:1")
    own = list_own_volumes(identity, service, image)
    spec = make_container_spec(identity, make_plan(topology), service, image, own_volumes=own)
    data, theirs, scratch = spec.mounts
    assert data.labels == describe_volume(identity, volumes["data"]).labels
    assert data.labels.items() >= {"mine": "yes", naming.TOPOLOGY: "t", naming.VOLUME: "data"}.items()
    assert (theirs.source, theirs.labels) == ("prod", {})
    assert scratch.labels == own["/scratch"].labels


def test_a_services_own_volumes_do_not_take_the_names_of_others():
    service = make_service("db", mounts=tuple(Mount("anonymous", path) for path in ("/a", "/b", "/c")))
    own = list_own_volumes(Identity.new("t", name="e"), service, ImageInfo("sha256:1"), named={"db-volume2"})
    assert [volume.name for volume in own.values()] == [f"envspin-e-db-volume{number}" for number in (1, 3, 4)]


@pytest.mark.parametrize(
    ("platforms", "own", "asked"),
    [
        ((), None, None),
        (("linux/arm64",), None, "linux/arm64"),
        (("linux/arm64", "linux/amd64"), None, None),
        (("linux/arm64", "linux/amd64"), "linux/amd64", "linux/amd64"),
    ],
)
def test_of_several_platforms_the_engine_builds_its_own(platforms, own, asked):
    source = ImageSource("a", None, Build(Path("/c"), platforms=platforms), own, ("a",))
    rules = ImageRules("t", Path("/t/envspin.lock"), "missing", "linux/amd64", lambda *_: None, lambda: False)
    assert make_build_request(source, rules, "0").platform == asked


@pytest.mark.parametrize(
    ("written", "image", "timeout", "seconds"),
    [
        (None, None, None, 60.0),
        (Healthcheck(("CMD", "x"), start_period=30.0), None, None, 90.0),
        (None, Healthcheck(("CMD", "x"), start_period=20.0), None, 80.0),
        (Healthcheck(start_period=5.0), Healthcheck(("CMD", "x"), start_period=20.0), None, 65.0),
        (Healthcheck(("NONE",), disable=True), Healthcheck(("CMD", "x"), start_period=20.0), None, 60.0),
        (Healthcheck(("CMD", "x"), start_period=30.0), None, 7.0, 7.0),
    ],
)
def test_a_start_period_lengthens_the_time_until_ready(written, image, timeout, seconds):
    service = make_service("a", healthcheck=written, timeout=timeout)
    assert find_ready_timeout(service, image) == seconds
