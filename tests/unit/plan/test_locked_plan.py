"""A plan made with a lock says what is run as locked, what was chosen otherwise, and what the lock does not hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from envspin.model import Build
from envspin.plan.lock import Lock, LockedBuild, name_stub
from envspin.plan.planning import Plan, make_plan
from envspin.plan.selection import Selection

from ..builders import make_service, make_topology
from ..lock_builders import AMD, ARM, lock_image, make_lock_of, sha

DB, API = make_service("db", image="postgres:16"), make_service("api", build=Build(Path("/context")))
LOCK = make_lock_of(
    lock_image("postgres:16", "pg"),
    lock_image("postgres:17", "pg17"),
    lock_image("python:3.12"),
    builds={"api": LockedBuild(sha("api"), ("python:3.12",))},
    db="postgres:16",
    api=None,
)


def plan(*services, lock: Lock | None = LOCK, stub: tuple[str, ...] = (), only: tuple[str, ...] = (), **pins) -> Plan:
    return make_plan(make_topology(*services), Selection(only, stub, pins), lock)


def test_the_plan_with_a_lock_reads_as_text():
    services = (
        make_service("web", "api", image="nginx:1"),
        replace(API, depends_on=()),
        DB,
        make_service("own", image="own:1"),
        make_service("cache", image="redis:7"),
    )
    own = lock_image("own:1", local=True)
    lock = replace(LOCK, images={**LOCK.images, "own:1": own})
    made = plan(*services, lock=lock, only=("web", "db", "own"), web="nginx:2")
    assert str(made).splitlines() == [
        "plan for test: 4 services, 1 network, 0 volumes",
        "   1  network default      joined by web, api, db, own",
        "   2  image   nginx:2      pulled unless the engine holds it, for web",
        "   3  image   api          built on its locked base from /context unless that is unchanged, for api",
        f"   4  image   postgres:16  pulled as locked ({sha('pg')[:19]}) unless the engine holds it, for db",
        f"   5  image   own:1        held by the engine as locked ({own.platforms[AMD].config[:19]}), for own",
        "   6  create  web          created at once; only the start waits",
        "   7  create  api          created at once; only the start waits",
        "   8  create  db           created at once; only the start waits",
        "   9  create  own          created at once; only the start waits",
        "  10  start   api          waits for nothing",
        "  11  start   db           waits for nothing",
        "  12  start   own          waits for nothing",
        "  13  ready   api          by its image's healthcheck, its ports, or that it stays up",
        "  14  ready   db           by its image's healthcheck, its ports, or that it stays up",
        "  15  ready   own          by its image's healthcheck, its ports, or that it stays up",
        "  16  start   web          after api is ready",
        "  17  ready   web          by its image's healthcheck, its ports, or that it stays up",
        "pinned: web runs nginx:2, set for this run",
        "not locked: nginx:2, for web",
        "left out: cache (not needed by web, db, own)",
    ]


def test_without_a_lock_nothing_is_locked_and_nothing_is_missed():
    made = plan(DB, API, lock=None)
    assert made.unlocked == ()
    assert (made.describe_pin("db"), made.describe_pin("api")) == ("unlocked", "built")
    assert "locked" not in str(made)


def test_images_and_builds_get_what_the_lock_says_of_them():
    made = plan(DB, API)
    assert made.images["postgres:16"].locked == LOCK.images["postgres:16"]
    assert made.images["api"].locked is None
    assert made.images["api"].lock_name == "api"
    assert made.images["api"].bases == {"python:3.12": LOCK.images["python:3.12"]}
    assert made.unlocked == ()
    assert (made.describe_pin("db"), made.describe_pin("api")) == ("locked", "built")


def test_what_the_lock_does_not_hold_is_named():
    made = plan(DB, API, make_service("cache", image="redis:7"), make_service("tool", build=Build(Path("/tool"))))
    assert made.unlocked == ("redis:7", "tool")
    assert made.describe_pin("cache") == "unlocked"
    assert str(made).splitlines()[-2:] == ["not locked: redis:7, for cache", "not locked: tool, for tool"]


def test_an_empty_lock_is_missed_everywhere():
    assert plan(DB, API, lock=Lock("test", sha("none"))).unlocked == ("postgres:16", "api")


def test_what_is_not_to_run_is_not_missed():
    made = plan(DB, make_service("cache", image="redis:7"), only=("db",))
    assert made.unlocked == ()


# --set


def test_an_image_that_was_set_is_not_what_the_lock_pins():
    made = plan(DB, db="postgres:15")
    assert made.images["postgres:15"].locked is None
    assert made.describe_pin("db") == "set"
    assert made.unlocked == ("postgres:15",)
    assert str(made).splitlines()[-2:] == [
        "pinned: db runs postgres:15, set for this run",
        "not locked: postgres:15, for db",
    ]


def test_an_image_of_the_matrix_is_locked_where_it_is_set_too():
    made = plan(DB, db="postgres:17")
    assert made.images["postgres:17"].locked == LOCK.images["postgres:17"]
    assert made.describe_pin("db") == "set"
    assert made.unlocked == ()
    assert str(made).splitlines()[-1] == "pinned: db runs postgres:17, set for this run (locked, too)"


def test_an_image_that_was_set_by_digest_is_pinned_well_enough():
    image = f"postgres@{sha('mine')}"
    made = plan(DB, db=image)
    assert made.unlocked == ()
    assert made.describe_pin("db") == "set"


def test_an_image_that_is_written_with_a_digest_is_missed_all_the_same():
    image = f"redis:7@{sha('redis')}"
    assert plan(make_service("cache", image=image)).unlocked == (image,)


def test_an_image_that_was_set_in_the_place_of_a_build_is_pulled():
    made = plan(DB, API, api="api:2")
    assert made.images["api:2"].build is None
    assert made.describe_pin("api") == "set"
    assert made.unlocked == ("api:2",)


# Stubs

STUBBED = make_service("pay", image="pay:1", stub=make_service("pay", build=Build(Path("/stub"))))


def test_the_build_of_a_stub_is_locked_by_its_own_name():
    images = lock_image("pay:1"), lock_image("python:3.12")
    lock = make_lock_of(*images, builds={name_stub("pay"): LockedBuild(sha("stub"), ("python:3.12",))}, pay="pay:1")
    made = plan(STUBBED, lock=lock, stub=("pay",))
    (source,) = made.images.values()
    assert source.lock_name == name_stub("pay")
    assert source.bases == {"python:3.12": lock.images["python:3.12"]}
    assert made.unlocked == ()
    assert plan(STUBBED, lock=lock).images["pay:1"].locked == lock.images["pay:1"]


def test_the_build_of_a_stub_that_is_not_locked_is_missed():
    assert plan(STUBBED, lock=make_lock_of(lock_image("pay:1"), pay="pay:1"), stub=("pay",)).unlocked == ("pay",)


def test_a_stub_with_an_image_is_locked_like_any_other():
    stubbed = make_service("pay", image="pay:1", stub=make_service("pay", image="wiremock:3"))
    lock = make_lock_of(lock_image("pay:1"), lock_image("wiremock:3"), pay="pay:1")
    made = plan(stubbed, lock=lock, stub=("pay",))
    assert made.images["wiremock:3"].locked == lock.images["wiremock:3"]
    assert made.describe_pin("pay") == "locked"


# Replicas, and services that share an image


def test_each_replica_is_pinned_as_its_service_is():
    many = replace(DB, replicas=3)
    assert [plan(many).describe_pin(name) for name in ("db", "db-2", "db-3")] == ["locked"] * 3
    assert [plan(many, db="postgres:15").describe_pin(name) for name in ("db", "db-2")] == ["set"] * 2
    assert [plan(replace(API, replicas=2)).describe_pin(name) for name in ("api", "api-2")] == ["built"] * 2


def test_only_the_service_that_was_set_is_set():
    made = plan(DB, make_service("other", image="postgres:16"), db="postgres:17")
    assert (made.describe_pin("db"), made.describe_pin("other")) == ("set", "locked")


def test_a_service_that_names_what_another_builds_is_built():
    worker = make_service("worker", image="app:1")
    made = plan(worker, replace(API, image="app:1"))
    assert made.describe_pin("worker") == "built"
    assert made.find_source("worker").lock_name == "api"
    assert made.unlocked == ()


@pytest.mark.parametrize(
    ("service", "platform"),
    [
        (make_service("a", platform="linux/arm64"), ARM),
        (make_service("a"), AMD),
        (make_service("a", build=Build(Path("/context"), platforms=(ARM,))), ARM),
        (make_service("a", build=Build(Path("/context"), platforms=(ARM, AMD))), AMD),
        (make_service("a", build=Build(Path("/context"), platforms=(ARM,)), platform="linux/386"), "linux/386"),
    ],
)
def test_an_image_is_for_the_platform_that_its_service_or_its_only_build_names(service, platform):
    assert plan(service).find_source("a").find_platform(AMD) == platform


@pytest.mark.parametrize(
    "maker", [{"only": ("b",)}, {"a": "other:1", "only": ("b",)}, {"stub": ("a",), "only": ("b",)}]
)
def test_an_image_that_a_service_left_out_builds_is_built_as_it_was_locked(maker):
    stub = make_service("a", image="stub:1")
    a = make_service("a", image="team/app:1", build=Build(Path("/context")), stub=stub)
    build = LockedBuild(sha("app"), ("python:3.12",))
    lock = make_lock_of(lock_image("python:3.12"), builds={"a": build, "b": build}, a=None, b=None)
    made = plan(a, make_service("b", image="team/app:1"), lock=lock, **maker)
    (source,) = made.images.values()
    assert (source.build, source.lock_name, list(source.bases)) == (a.build, "b", ["python:3.12"])
    assert made.unlocked == ()
