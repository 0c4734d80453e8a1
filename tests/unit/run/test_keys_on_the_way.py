"""Keys that are easily lost between the topology and the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from envspin.engine.base import ImageInfo
from envspin.model import Build, Healthcheck, Mount
from envspin.plan.planning import make_plan
from envspin.plan.sources import ImageSource
from envspin.run.blueprint import make_container_spec
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
