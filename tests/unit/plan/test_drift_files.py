"""What other files (Compose, locks, Kubernetes) have that differs from a lock: each rule with equal cases too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from envspin.plan.drift import OTHERS, compare_locks, compare_references, match_workloads
from envspin.plan.lock import Manifest

from .locks import (
    AMD,
    ARM,
    CACHE,
    CACHE_PIN,
    DB,
    DB_PIN,
    PYTHON,
    PYTHON_PIN,
    SHOP,
    WEB,
    WEB_PIN,
    build,
    image,
    lock,
    said,
    sha,
    workload,
)

# Another Compose file


@pytest.mark.parametrize(
    "reference",
    [
        "postgres:16.4",
        "docker.io/postgres:16.4",
        "index.docker.io/library/postgres:16.4",
        f"postgres:16.4@{sha('pg')}",
        f"postgres@{sha('pg')}",
        f"postgres:anything@{sha('pg')}",
        f"postgres@{sha('amd64.pg')}",
        f"mirror.example/elsewhere@{sha('arm64.pg')}",
    ],
)
def test_the_same_reference_or_digest_in_another_file_is_no_finding(reference):
    assert compare_references(SHOP, {**SHOP.services, "db": reference}) == []


@pytest.mark.parametrize(
    "reference",
    [
        "postgres",
        "postgres:16",
        "other/postgres:16.4",
        "mirror.example/library/postgres:16.4",
        f"postgres:16.4@{sha('new')}",
        f"postgres@{sha('camd64.pg')}",
    ],
)
def test_another_reference_or_digest_in_another_file_is_found(reference):
    found = compare_references(SHOP, {**SHOP.services, "db": reference})
    assert said(found) == [("db", "image-differs", DB_PIN, reference)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"db": None}, [("db", "built-there", DB_PIN, "build")]),
        ({"web": "shop/web:1"}, [("web", "built-here", WEB_PIN, "shop/web:1")]),
        ({"mail": "mailhog:1"}, [("mail", "only-there", None, "mailhog:1")]),
        ({"mail": None}, [("mail", "only-there", None, "build")]),
    ],
)
def test_services_that_cannot_be_compared_are_found(change, expected):
    assert said(compare_references(SHOP, {**SHOP.services, **change})) == expected


def test_services_that_another_file_does_not_have_are_found():
    assert said(compare_references(SHOP, {"db": "postgres:16.4"})) == [
        ("cache", "only-here", CACHE_PIN, None),
        ("web", "only-here", WEB_PIN, None),
    ]


def test_a_missing_tag_is_latest_and_a_digest_without_a_tag_has_none():
    assert compare_references(lock({"a": image("redis")}), {"a": "redis:latest"}) == []
    alone = lock({"a": image(f"redis@{sha('r')}", "r")})
    assert [each.kind for each in compare_references(alone, {"a": "redis"})] == ["image-differs"]


# Another lock


@pytest.mark.parametrize(
    ("pin", "expected"),
    [
        (DB, None),
        (image("docker.io/postgres:16", "pg"), None),
        (replace(DB, digest=sha("rebuilt")), None),
        (replace(image("postgres:16.4", "pg", platforms=[AMD]), digest=sha("rebuilt")), None),
        (replace(DB, platforms={"linux/s390x": Manifest(sha("s"), sha("cs"), 1)}), None),
        (
            replace(DB, platforms={**DB.platforms, ARM: Manifest(sha("new"), sha("cnew"), 1)}),
            ("image-differs", DB_PIN, DB_PIN),
        ),
        (
            replace(DB, digest=sha("rebuilt"), platforms={"linux/s390x": Manifest(sha("s"), sha("cs"), 1)}),
            ("image-differs", DB_PIN, f"postgres:16.4@{sha('rebuilt')}"),
        ),
        (image("postgres:16.4", "new"), ("image-differs", DB_PIN, f"postgres:16.4@{sha('new')}")),
        (image("postgres:16.4", "pg", local=True), None),
        (image("postgres:16.4", "x", local=True), ("image-differs", DB_PIN, "postgres:16.4")),
        (
            image("postgres:16.4", "pg", local=True, platforms=["linux/s390x"]),
            ("image-differs", DB_PIN, "postgres:16.4"),
        ),
        (build("db"), ("built-there", DB_PIN, f"build {sha('db')}")),
    ],
)
def test_another_lock_pins_the_same_content_or_it_is_found(pin, expected):
    other = lock({"db": pin, "cache": CACHE, "web": WEB}, PYTHON)
    assert said(compare_locks(SHOP, other)) == ([("db", *expected)] if expected else [])


def test_a_single_manifest_is_the_same_as_an_index_that_holds_it():
    single = lock({"db": replace(image("postgres:16.4", "pg", platforms=[AMD]), digest=sha("amd64.pg"))})
    assert compare_locks(single, lock({"db": DB})) == compare_locks(lock({"db": DB}), single) == []


def test_images_of_two_engines_are_the_same_by_their_configuration_alone():
    def make(name, *platforms):
        return lock({"a": image("mine:1", name, platforms=platforms, local=True)})

    assert compare_locks(make("m", AMD), make("m", AMD, ARM)) == []
    assert [each.kind for each in compare_locks(make("m", AMD), make("n", AMD))] == ["image-differs"]
    assert [each.kind for each in compare_locks(make("m", AMD), make("m", ARM))] == ["image-differs"]


@pytest.mark.parametrize(
    ("services", "further", "expected"),
    [
        ({"web": build("new", "python:3.12")}, [PYTHON], [("web", "content-differs", WEB_PIN, f"build {sha('new')}")]),
        (
            {"web": WEB},
            [image("python:3.12", "new")],
            [("web", "base-differs", PYTHON_PIN, f"python:3.12@{sha('new')}")],
        ),
        (
            {"web": build("new", "python:3.12")},
            [image("python:3.12", "new")],
            [("web", "content-differs", WEB_PIN, f"build {sha('new')}")],
        ),
        ({"web": image("nginx:1", "n")}, [], [("web", "built-here", WEB_PIN, f"nginx:1@{sha('n')}")]),
    ],
)
def test_builds_of_another_lock_are_compared_by_content_and_bases(services, further, expected):
    assert said(compare_locks(SHOP, lock({"db": DB, "cache": CACHE, **services}, *further))) == expected


def test_a_base_that_only_one_lock_has_cannot_be_compared():
    without = lock({"db": DB, "cache": CACHE, "web": WEB})
    assert compare_locks(SHOP, without) == compare_locks(without, SHOP) == []


def test_services_of_one_lock_only_are_found():
    other = lock({"db": DB, "cache": CACHE, "mail": build("m")})
    assert said(compare_locks(SHOP, other)) == [
        ("mail", "only-there", None, f"build {sha('m')}"),
        ("web", "only-here", WEB_PIN, None),
    ]


def test_images_of_a_matrix_and_builds_of_stubs_are_compared_where_both_locks_have_them():
    def make(name, *further):
        stubs = {"db (stub)": build(name), f"{name} (stub)": build("s")}
        return lock({"db": DB}, image("postgres:15", name), *further, stubs=stubs)

    assert compare_locks(make("a", CACHE), make("a")) == []
    assert [(each.service, each.kind) for each in compare_locks(make("a", CACHE), make("b"))] == [
        (OTHERS, "image-differs"),
        ("db (stub)", "content-differs"),
    ]


# Kubernetes


STACK = lock(
    {"db": DB, "api": image("registry.example/shop/api:2", "api"), "grafana": image("grafana/grafana:11", "g")}
)
RUNS = {"db": "postgres:16.4", "api": "registry.example/shop/api:2", "grafana": "grafana/grafana:11"}


def match(changed):
    """Match one container of each service; ``changed`` says the name and the image of what runs for it instead."""
    runs = {service: (service, written) for service, written in RUNS.items()}
    return said(match_workloads(STACK, [workload(*pair) for pair in {**runs, **changed}.values()]))


def test_containers_that_run_what_was_locked_are_no_finding():
    assert match({}) == []


@pytest.mark.parametrize("name", ["db", "postgres"])
@pytest.mark.parametrize(
    "written",
    [
        "docker.io/library/postgres:16.4",
        f"postgres@{sha('pg')}",
        f"postgres:old@{sha('amd64.pg')}",
        f"mirror.example/library/postgres@{sha('arm64.pg')}",
        f"mirror.example/library/postgres:16.4@{sha('pg')}",
        f"mirror.example/anything@{sha('pg')}",
    ],
)
def test_the_same_reference_or_digest_is_the_same_image(name, written):
    assert match({"db": (name, written)}) == []


@pytest.mark.parametrize("name", ["db", "postgres"])
@pytest.mark.parametrize(
    "written",
    [
        "mirror.example/library/postgres:16.4",
        "mirror.example/postgres:16.4",
        "mirror.example:5000/hub/library/postgres:16.4",
        "attacker.example/postgres:16.4",
    ],
)
def test_without_a_digest_another_registry_proves_nothing(name, written):
    assert match({"db": (name, written)}) == [("db", "registry-differs", DB_PIN, f"{written} (Deployment a)")]


@pytest.mark.parametrize("name", ["db", "postgres"])
@pytest.mark.parametrize(
    "written",
    [
        "postgres:16.5",
        "postgres",
        "mirror.example/library/postgres:15",
        "mirror.example/hub/library/postgres",
        f"postgres:16.4@{sha('new')}",
        f"mirror.example/library/postgres:16.4@{sha('new')}",
    ],
)
def test_another_version_of_a_services_repository_is_found(name, written):
    assert match({"db": (name, written)}) == [("db", "image-differs", DB_PIN, f"{written} (Deployment a)")]


@pytest.mark.parametrize(
    "written",
    [
        "timescale/timescaledb:16.4",
        "mirror.example/team/postgres:16.4",
        "grafana/grafana:11",
        f"grafana/grafana:11@{sha('g')}",
        f"mirror.example/x@{sha('new')}",
    ],
)
def test_a_container_of_a_services_name_belongs_to_it_whatever_it_runs(written):
    assert match({"db": ("db", written)}) == [("db", "image-differs", DB_PIN, f"{written} (Deployment a)")]


@pytest.mark.parametrize("written", ["mirror.example/team/postgres:16.4", "other/postgres:16.4", "postgresql:16.4"])
def test_another_repository_belongs_to_no_service(written):
    assert match({"db": ("main", written)}) == [
        ("db", "only-here", DB_PIN, None),
        ("main", "only-there", None, f"{written} (Deployment a)"),
    ]


@pytest.mark.parametrize(
    ("locked", "runs", "mirrored"),
    [
        ("registry.example/shop/api:2", "other.example/shop/api:2", True),
        ("registry.example/shop/api:2", "other.example/cache/shop/api:2", True),
        ("registry.example/cache/shop/api:2", "other.example/shop/api:2", True),
        ("registry.example/api:2", "other.example/api:2", True),
        ("registry.example/library/postgres:2", "postgres:2", True),
        ("registry.example/hub/library/postgres:2", "postgres:2", True),
        ("registry.example/shop/api:2", "registry.example/cache/shop/api:2", False),
        ("registry.example/api:2", "other.example/shop/api:2", False),
        ("registry.example/shop/api:2", "other.example/workshop/api:2", False),
    ],
)
def test_a_mirror_has_the_whole_path_in_another_registry(locked, runs, mirrored):
    found = match_workloads(lock({"one": image(locked)}), [workload("main", runs)])
    assert [each.kind for each in found] == (["registry-differs"] if mirrored else ["only-there", "only-here"])


def test_a_repository_in_the_same_registry_goes_before_mirrors_of_it():
    locked = lock({"one": image("shop/api:1"), "two": image("registry.example/shop/api:2")})
    found = match_workloads(locked, [workload("main", "registry.example/shop/api:1")])
    assert [(each.service, each.kind) for each in found] == [("one", "only-here"), ("two", "image-differs")]


def test_containers_that_run_each_others_images_are_found():
    runs = [workload("db", "redis"), workload("cache", "postgres:16.4")]
    assert said(match_workloads(lock({"db": DB, "cache": CACHE}), runs)) == [
        ("cache", "image-differs", CACHE_PIN, "postgres:16.4 (Deployment a)"),
        ("db", "image-differs", DB_PIN, "redis (Deployment a)"),
    ]


def test_a_container_of_a_services_name_does_not_run_another_service():
    locked = lock({"app": image("shop/app:1"), "worker": image("shop/worker:1"), "web": build("w")})
    runs = [workload("app", "shop/app:1"), workload("app", "shop/worker:1"), workload("web", "shop/worker:1")]
    assert [(each.service, each.kind) for each in match_workloads(locked, runs)] == [
        ("app", "image-differs"),
        ("web", "built-here"),
        ("worker", "only-here"),
    ]


def test_containers_beside_that_of_a_service_belong_to_none():
    runs = [workload("db", "postgres:16.4"), workload("proxy", "envoy:1"), workload("exporter", "postgres-exporter:1")]
    assert said(match_workloads(lock({"db": DB}), runs)) == [
        ("exporter", "only-there", None, "postgres-exporter:1 (Deployment a)"),
        ("proxy", "only-there", None, "envoy:1 (Deployment a)"),
    ]


@pytest.mark.parametrize(("tag", "expected"), [("16.4", []), ("15", [("db", "image-differs")])])
def test_every_deployment_of_an_image_is_looked_at(tag, expected):
    runs = [workload("main", "postgres:16.4", "Deployment a"), workload("main", f"postgres:{tag}", "Deployment b")]
    found = match_workloads(lock({"db": DB}), runs)
    assert [(each.service, each.kind) for each in found] == expected
    assert all("(Deployment b)" in each.found for each in found)


def test_each_workload_that_differs_is_named():
    workloads = [
        workload("db", "postgres:16.4", "StatefulSet shop/db"),
        workload("db", "postgres:15", "StatefulSet b/db"),
        workload("pg", "postgres:15", "StatefulSet a/db"),
        workload("pg", "postgres:15", "StatefulSet a/db"),
    ]
    assert said(match_workloads(lock({"db": DB}), workloads)) == [
        ("db", "image-differs", DB_PIN, "postgres:15 (StatefulSet a/db)"),
        ("db", "image-differs", DB_PIN, "postgres:15 (StatefulSet b/db)"),
    ]


@pytest.mark.parametrize(
    ("container", "written", "expected"),
    [
        ("main", "postgres:16", [("old", "only-here")]),
        ("main", "postgres:15", [("new", "only-here")]),
        ("old", "postgres:15", [("new", "only-here")]),
        ("old", "postgres:16", [("new", "only-here"), ("old", "image-differs")]),
        ("main", "postgres:14", [("new", "image-differs"), ("old", "image-differs")]),
        ("main", "mirror.example/postgres:16", [("new", "registry-differs"), ("old", "only-here")]),
        ("main", f"mirror.example/postgres@{sha('postgres:15')}", [("new", "only-here")]),
    ],
)
def test_of_several_services_the_name_decides_then_the_image(container, written, expected):
    locked = lock({"old": image("postgres:15"), "new": image("postgres:16")})
    found = match_workloads(locked, [workload(container, written)])
    assert [(each.service, each.kind) for each in found] == expected


def test_a_service_that_is_built_here_cannot_be_compared():
    assert said(
        match_workloads(SHOP, [workload("web", "shop/web:1"), workload("x", "redis"), workload("y", DB_PIN)])
    ) == [("web", "built-here", WEB_PIN, "shop/web:1 (Deployment a)")]
