"""What has to be locked, what is asked for it, and what of an old lock stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from envspin.model import Build, Port
from envspin.plan.lock import Lock, LockedBuild, LockedImage, name_stub
from envspin.plan.pinning import (
    UNRESOLVED,
    Need,
    Question,
    Wanted,
    collect_wanted,
    compare_with_topology,
    list_builds,
    list_matrix_images,
    list_questions,
    list_variable_axes,
    make_lock,
)

from ..builders import make_service, make_topology
from ..lock_builders import AMD, ARM, LATER, TIME, lock_image, sha

BUILD = Build(Path("/context"))


def want(*services, bases: tuple[str, ...] = (), content: str = "content", **fields) -> Wanted:
    """Gather what these services need; every build begins with ``bases``."""
    topology = make_topology(*services, **fields)
    return collect_wanted(topology, {name: LockedBuild(sha(content), bases) for name in list_builds(topology)})


def lock(wanted: Wanted, *platforms: str) -> Lock:
    """Lock all that is wanted."""
    asked = platforms or (AMD,)
    answers = {name: lock_image(name, platforms=need.list_platforms(asked)) for name, need in wanted.images.items()}
    return make_lock(wanted, None, asked, answers)


# What is wanted


def test_each_service_needs_its_image():
    wanted = want(make_service("api", image="api:1"), make_service("db", image="postgres:16"))
    assert wanted.topology == "test"
    assert wanted.services == {"api": "api:1", "db": "postgres:16"}
    assert wanted.images == {
        "api:1": Need(frozenset({"api"}), usual=True),
        "postgres:16": Need(frozenset({"db"}), usual=True),
    }
    assert wanted.builds == {}


def test_an_image_is_wanted_once_for_all_its_users():
    wanted = want(make_service("one", image="redis:7"), make_service("two", image="redis:7", platform="linux/arm64"))
    assert wanted.images == {"redis:7": Need(frozenset({"one", "two"}), frozenset({ARM}), usual=True)}


def test_a_service_in_no_active_profile_is_locked_too():
    assert "tool:1" in want(make_service("tool", profiles=("debug",)), inactive=("tool",)).images


def test_a_service_with_a_platform_of_its_own_needs_that_and_no_other():
    wanted = want(make_service("old", image="old:1", platform="linux/x86_64"))
    assert wanted.images["old:1"] == Need(frozenset({"old"}), frozenset({AMD}))
    assert wanted.images["old:1"].list_platforms((ARM,)) == [AMD]


def test_a_build_is_wanted_with_its_bases():
    wanted = want(make_service("api", build=BUILD), bases=("node:22", "python:3.12"))
    assert wanted.services == {"api": None}
    assert wanted.builds == {"api": LockedBuild(sha("content"), ("node:22", "python:3.12"))}
    assert wanted.images == {
        "node:22": Need(frozenset({"api"}), usual=True),
        "python:3.12": Need(frozenset({"api"}), usual=True),
    }


def test_the_bases_of_a_build_are_wanted_for_its_platform():
    one = want(make_service("api", build=replace(BUILD, platforms=("linux/arm64",))), bases=("python:3.12",))
    both = want(make_service("api", build=replace(BUILD, platforms=(AMD, ARM))), bases=("python:3.12",))
    service = want(make_service("api", build=BUILD, platform="linux/aarch64"), bases=("python:3.12",))
    assert one.images["python:3.12"] == service.images["python:3.12"] == Need(frozenset({"api"}), frozenset({ARM}))
    assert both.images["python:3.12"] == Need(frozenset({"api"}), usual=True)


def test_an_image_that_another_service_builds_is_a_build():
    builder = make_service("api", image="app:1", build=BUILD)
    topology = make_topology(make_service("worker", image="app:1"), builder)
    assert list_builds(topology) == {"worker": builder, "api": builder}
    wanted = want(make_service("worker", image="app:1"), builder, bases=("python:3.12",))
    assert wanted.services == {"worker": None, "api": None}
    assert wanted.builds.keys() == {"worker", "api"}
    assert wanted.images == {"python:3.12": Need(frozenset({"worker", "api"}), usual=True)}


def test_a_stub_is_wanted_beside_what_it_stands_for():
    stubbed = make_service("pay", image="pay:1", stub=make_service("pay", image="wiremock:3"))
    wanted = want(stubbed)
    assert wanted.services == {"pay": "pay:1"}
    assert wanted.images.keys() == {"pay:1", "wiremock:3"}
    assert wanted.images["wiremock:3"].users == {"pay"}


def test_the_build_of_a_stub_has_a_name_of_its_own():
    stubbed = make_service("pay", image="pay:1", stub=make_service("pay", build=BUILD))
    wanted = want(stubbed, bases=("python:3.12",))
    assert wanted.services == {"pay": "pay:1"}
    assert wanted.builds.keys() == {name_stub("pay")}
    assert wanted.images.keys() == {"pay:1", "python:3.12"}


def test_the_images_of_a_matrix_are_wanted():
    matrix = {
        "axes": {"db": ["postgres:15", "postgres:16"], "MODE": ["fast", "safe"]},
        "include": [{"db": "postgres:17", "MODE": "fast"}, {"MODE": "slow"}],
        "strategy": "full",
    }
    services = make_service("db", image="postgres:16"), make_service("api")
    assert list_matrix_images(make_topology(*services, matrix=matrix), "db") == [
        "postgres:15",
        "postgres:16",
        "postgres:17",
    ]
    assert list_matrix_images(make_topology(*services, matrix=matrix), "api") == []
    wanted = want(*services, matrix=matrix)
    assert wanted.images.keys() == {"postgres:15", "postgres:16", "postgres:17", "api:1"}
    assert wanted.services["db"] == "postgres:16"


def test_the_images_of_a_matrix_are_wanted_for_the_platform_of_their_service():
    matrix = {"axes": {"db": ["postgres:15"]}}
    wanted = want(make_service("db", platform="linux/arm64"), matrix=matrix)
    assert wanted.images["postgres:15"] == Need(frozenset({"db"}), frozenset({ARM}))


# What is asked

PAIR = want(make_service("db", image="postgres:16"), make_service("cache", image="redis:7"))


def test_all_is_asked_where_there_is_no_lock():
    assert list_questions(PAIR, None, (ARM, AMD)) == [
        Question("postgres:16", (AMD, ARM)),
        Question("redis:7", (AMD, ARM)),
    ]


def test_nothing_is_asked_for_a_lock_that_fits():
    assert list_questions(PAIR, lock(PAIR), (AMD,)) == []


def test_only_a_new_reference_is_asked_for():
    wanted = want(make_service("db", image="postgres:17"), make_service("cache", image="redis:7"))
    assert list_questions(wanted, lock(PAIR), (AMD,)) == [Question("postgres:17", (AMD,))]


def test_for_one_more_platform_the_locked_content_is_asked_for_not_the_tag():
    assert list_questions(PAIR, lock(PAIR), (AMD, ARM)) == [
        Question("postgres:16", (AMD, ARM), sha("postgres:16")),
        Question("redis:7", (AMD, ARM), sha("redis:7")),
    ]


def test_a_platform_of_one_service_is_asked_for_its_image_alone():
    wanted = want(
        make_service("db", image="postgres:16", platform="linux/arm64"), make_service("cache", image="redis:7")
    )
    assert list_questions(wanted, lock(PAIR), (AMD,)) == [Question("postgres:16", (ARM,), sha("postgres:16"))]


def test_an_image_that_runs_on_the_platform_answers_for_it():
    locked = lock(PAIR, "linux/arm/v6")
    assert list_questions(PAIR, locked, ("linux/arm/v7",)) == []
    assert list_questions(PAIR, locked, ("linux/arm/v5",)) != []


def test_an_upgrade_asks_for_the_images_of_its_services_alone():
    assert list_questions(PAIR, lock(PAIR), (AMD,), upgrade={"db"}) == [Question("postgres:16", (AMD,))]
    assert len(list_questions(PAIR, lock(PAIR), (AMD,), upgrade={"db", "cache"})) == 2


def test_an_upgrade_asks_for_bases_stubs_and_matrix_of_its_services_too():
    services = (
        make_service("api", build=BUILD, stub=make_service("api", image="stub:1")),
        make_service("db", image="postgres:16"),
    )
    wanted = want(*services, bases=("python:3.12",), matrix={"axes": {"api": ["api:9"], "db": ["postgres:15"]}})
    asked = [each.reference for each in list_questions(wanted, lock(wanted), (AMD,), upgrade={"api"})]
    assert asked == ["api:9", "python:3.12", "stub:1"]
    asked = [each.reference for each in list_questions(wanted, lock(wanted), (AMD,), upgrade={"db"})]
    assert asked == ["postgres:15", "postgres:16"]


# What becomes of the answers


def test_answers_take_the_place_of_what_was_locked_and_the_rest_stays():
    old = lock(PAIR)
    moved = lock_image("postgres:16", "moved", resolved=LATER)
    new = make_lock(PAIR, old, (AMD,), {"postgres:16": moved})
    assert new.images == {"postgres:16": moved, "redis:7": old.images["redis:7"]}


def test_what_is_not_wanted_any_more_goes():
    wanted = want(make_service("db", image="postgres:16"))
    new = make_lock(wanted, lock(PAIR), (AMD,), {})
    assert new.images.keys() == {"postgres:16"}
    assert new.services == {"db": "postgres:16"}


def test_the_same_answer_keeps_its_time_so_that_no_line_changes():
    old = lock(PAIR)
    again = {name: replace(image, resolved=LATER) for name, image in old.images.items()}
    assert make_lock(PAIR, old, (AMD,), again) == old


def test_another_answer_has_the_time_of_now():
    moved = {"postgres:16": lock_image("postgres:16", "moved", resolved=LATER)}
    assert make_lock(PAIR, lock(PAIR), (AMD,), moved).images["postgres:16"].resolved == LATER


def test_further_platforms_come_to_those_that_were_locked():
    old = lock(PAIR)
    more = {"redis:7": lock_image("redis:7", platforms=(ARM,), resolved=LATER)}
    new = make_lock(PAIR, old, (AMD, ARM), more).images["redis:7"]
    assert new == lock_image("redis:7", platforms=(AMD, ARM), resolved=TIME)


def test_platforms_of_an_older_content_do_not_stay():
    old = lock(PAIR, AMD, ARM)
    moved = {"redis:7": lock_image("redis:7", "moved", resolved=LATER)}
    assert make_lock(PAIR, old, (AMD,), moved).images["redis:7"].platforms.keys() == {AMD}


@pytest.mark.parametrize(("content", "resolved"), [("own", TIME), ("built again", LATER)])
def test_the_time_of_a_local_image_is_that_of_its_id(content, resolved):
    wanted = want(make_service("own", image="own:1"))
    old = make_lock(wanted, None, (AMD,), {"own:1": lock_image("own:1", "own", local=True)})
    answer = lock_image("own:1", content, local=True, resolved=LATER)
    assert make_lock(wanted, old, (AMD,), {"own:1": answer}).images["own:1"] == replace(answer, resolved=resolved)


def test_a_lock_says_for_which_platforms_it_was_made():
    assert lock(PAIR, ARM, AMD).platforms == (AMD, ARM)


# Whether a lock fits


def find_changes(old: Lock | None, *services, platforms: tuple[str, ...] = (), **fields) -> list[str]:
    diff = compare_with_topology(old, want(*services, **fields), platforms)
    return [line for line in diff.splitlines() if line[0] in "+-" and line[:3] not in {"+++", "---"}]


DB, CACHE = make_service("db", image="postgres:16"), make_service("cache", image="redis:7")


def test_a_lock_that_fits_has_no_diff():
    assert compare_with_topology(lock(PAIR), PAIR) == ""
    assert compare_with_topology(lock(PAIR), PAIR, (AMD,)) == ""


def test_the_diff_says_what_it_compares():
    diff = compare_with_topology(lock(PAIR), want(DB))
    assert diff.splitlines()[:2] == ["--- envspin.lock", "+++ envspin.lock as the topology needs it"]
    assert diff.endswith("\n")


def test_a_service_that_was_added_is_in_the_diff():
    changes = find_changes(lock(PAIR), DB, CACHE, make_service("queue", image="rabbitmq:4"))
    assert "+  queue: rabbitmq:4" in changes
    assert "+  rabbitmq:4:" in changes
    assert f"+    digest: {UNRESOLVED}" in changes
    assert [line for line in changes if line.startswith("-")] == [f"-  hash: {lock(PAIR).hash}"]


def test_a_service_that_was_removed_is_in_the_diff():
    changes = find_changes(lock(PAIR), DB)
    assert "-  cache: redis:7" in changes
    assert "-  redis:7:" in changes
    assert len([line for line in changes if line.startswith("+")]) == 1


def test_a_changed_image_is_in_the_diff():
    changes = find_changes(lock(PAIR), make_service("db", image="postgres:17"), CACHE)
    assert {"-  db: postgres:16", "+  db: postgres:17"} <= set(changes)


def test_a_changed_build_is_in_the_diff_and_nothing_else():
    api = make_service("api", build=BUILD)
    changes = find_changes(lock(want(api, bases=("python:3.12",))), api, bases=("python:3.12",), content="changed")
    assert changes == [f"-    content: {sha('content')}", f"+    content: {sha('changed')}"]


def test_another_base_is_in_the_diff():
    api = make_service("api", build=BUILD)
    changes = find_changes(lock(want(api, bases=("python:3.12",))), api, bases=("python:3.13",))
    assert {"-    - python:3.12", "+    - python:3.13"} <= set(changes)


def test_a_platform_that_is_missing_is_in_the_diff():
    changes = find_changes(lock(PAIR), DB, CACHE, platforms=(ARM,))
    assert "+- linux/arm64" in changes
    assert changes.count("+      linux/arm64:") == 2
    assert all(line.startswith("+") for line in changes)
    assert compare_with_topology(lock(PAIR, AMD, ARM), PAIR, (ARM,)) == ""


def test_another_name_of_the_topology_does_not_count():
    assert find_changes(replace(lock(PAIR), topology="other"), DB, CACHE) == []


def test_without_a_lock_the_diff_is_all_of_it():
    changes = find_changes(None, DB)
    assert changes[0].startswith("+# ")
    assert "+  db: postgres:16" in changes
    assert all(line.startswith("+") for line in changes)


@pytest.mark.parametrize("entry", ["services", "images"])
def test_an_entry_that_is_missing_in_the_lock_is_in_the_diff(entry):
    old = lock(PAIR)
    less = {name: value for name, value in getattr(old, entry).items() if name not in {"db", "postgres:16"}}
    assert compare_with_topology(replace(old, **{entry: less}), PAIR) != ""


# What the hash says

NOTHING_OF_PINS = {
    "ports": {"ports": (Port(5432),)},
    "environment": {"environment": {"A": "1"}},
    "labels": {"labels": {"a": "1"}},
    "command": {"command": ("serve",)},
    "replicas": {"replicas": 3},
}
MATTERS_TO_PINS = {
    "image": {"image": "postgres:17"},
    "platform": {"platform": "linux/arm64"},
    "build": {"image": None, "build": BUILD},
    "stub": {"stub": make_service("db", image="fake-db:1")},
}


@pytest.mark.parametrize("what", NOTHING_OF_PINS)
def test_the_hash_does_not_change_with(what):
    assert want(make_service("db", **NOTHING_OF_PINS[what])).hash == want(make_service("db")).hash


@pytest.mark.parametrize("what", MATTERS_TO_PINS)
def test_the_hash_changes_with_the(what):
    changed = want(make_service("db", **{"image": "db:1", **MATTERS_TO_PINS[what]}))
    assert changed.hash != want(make_service("db")).hash


def test_the_hash_changes_with_the_matrix_and_the_bases():
    plain = want(DB, make_service("api", build=BUILD))
    matrix = want(DB, make_service("api", build=BUILD), matrix={"axes": {"db": ["postgres:15"]}})
    bases = want(DB, make_service("api", build=BUILD), bases=("python:3.12",))
    assert len({plain.hash, matrix.hash, bases.hash}) == 3


def test_the_hash_is_the_same_from_one_envspin_to_the_next():
    assert want(DB, CACHE).hash == "sha256:b50c4f00328b1f74ea34d98910e02123e3af59c04b08d0a9abfcc3b36637c0eb"


def test_the_hash_does_not_change_with_the_order_of_services_or_with_what_is_in_a_build():
    assert want(DB, CACHE).hash == want(CACHE, DB).hash
    api = make_service("api", build=BUILD)
    assert want(api, content="old").hash == want(api, content="new").hash


# What is pinned to


def test_a_pin_is_the_reference_with_its_digest():
    digest = sha("content")
    assert lock_image("postgres:16", "content").pin() == f"postgres:16@{digest}"
    assert lock_image("docker.io/library/postgres", "content").pin() == f"postgres:latest@{digest}"
    assert lock_image(f"postgres:16@{digest}", "content").pin() == f"postgres:16@{digest}"
    assert lock_image("own:1", local=True).pin() == "own:1"


def test_an_image_is_known_by_the_ids_of_its_platform_alone():
    image = lock_image("postgres:16", platforms=(AMD, ARM))
    manifest = image.platforms[AMD]
    assert image.list_ids("linux/x86_64") == {image.digest, manifest.digest, manifest.config}
    assert image.list_ids("linux/s390x") == set()
    assert lock_image("own:1", local=True).list_ids(AMD) == {sha("own:1 linux/amd64 config")}


def test_the_digests_of_an_image_are_those_of_its_registry():
    image = lock_image("postgres:16", platforms=(AMD, ARM))
    assert image.digests == (image.digest, image.platforms[AMD].digest, image.platforms[ARM].digest)
    single = replace(image, digest=image.platforms[AMD].digest, platforms={AMD: image.platforms[AMD]})
    assert single.digests == (single.digest,)
    assert lock_image("own:1", local=True).digests == ()
    assert LockedImage("own:1", None, TIME).is_local


def test_the_matrix_leaves_out_what_it_excludes_and_adds_what_it_includes():
    matrix = {
        "axes": {"PG": ["15", "16"], "OS": ["slim", "full"], "db": ["x:1"]},
        "exclude": [{"PG": "15", "OS": "full"}, {"db": "x:1", "PG": "16"}],
        "include": [{"PG": "17", "db": "y:1"}, {"db": "z:1"}],
    }
    topology = replace(make_topology(make_service("db", image="db:1")), matrix=matrix)
    assert list_variable_axes(topology) == [
        {"PG": "15", "OS": "slim"},
        {"PG": "16", "OS": "slim"},
        {"PG": "16", "OS": "full"},
        {"PG": "17"},
    ]
