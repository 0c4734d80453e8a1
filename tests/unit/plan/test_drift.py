"""What in registries, folders and environments differs from a lock: each rule with equal cases too."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from envspin.plan.drift import (
    KINDS,
    OTHERS,
    Kind,
    Running,
    compare_builds,
    compare_environment,
    compare_locks,
    compare_references,
    compare_registry,
    compare_topology,
    list_pins,
    list_tagged,
    match_workloads,
)

from .locks import (
    AMD,
    ARM,
    CACHE,
    CACHE_PIN,
    DB,
    DB_PIN,
    EXACTLY,
    LOCAL,
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

# Registry


def test_only_references_with_a_tag_in_a_registry_can_move():
    pinned, both = image(f"a@{sha('a')}", "a"), image(f"b:1@{sha('b')}", "b")
    local = image("mine:1", local=True)
    assert list_tagged(lock({"a": pinned, "b": both, "c": local, "d": CACHE, "e": DB})) == sorted(
        [
            both.reference,
            "postgres:16.4",
            "redis",
        ]
    )


@pytest.mark.parametrize(
    ("tags", "gone", "expected"),
    [
        ({}, (), []),
        ({"postgres:16.4": sha("pg"), "redis": sha("redis"), "python:3.12": sha("py")}, (), []),
        ({"unknown:1": sha("x"), "unknown:2": None}, (sha("x"),), []),
        ({"postgres:16.4": sha("new")}, (), [("db", "tag-moved", DB_PIN, f"postgres:16.4@{sha('new')}")]),
        ({"redis": sha("new")}, (), [("cache", "tag-moved", CACHE_PIN, f"redis:latest@{sha('new')}")]),
        ({"postgres:16.4": None}, (), [("db", "tag-gone", DB_PIN, None)]),
        ({"postgres:16.4": sha("pg")}, (sha("pg"),), [("db", "digest-gone", DB_PIN, None)]),
        ({}, (sha("arm64.pg"),), [("db", "digest-gone", DB_PIN, None)]),
        (
            {"postgres:16.4": sha("new"), "redis": sha("redis")},
            (sha("pg"),),
            [("db", "digest-gone", DB_PIN, None), ("db", "tag-moved", DB_PIN, f"postgres:16.4@{sha('new')}")],
        ),
        ({"python:3.12": sha("new")}, (), [("web", "base-moved", PYTHON_PIN, f"python:3.12@{sha('new')}")]),
        ({"python:3.12": None}, (), [("web", "base-gone", PYTHON_PIN, None)]),
        ({"python:3.12": None}, (sha("py"),), [("web", "base-gone", PYTHON_PIN, None)]),
        ({"python:3.12": sha("py")}, (sha("py"),), [("web", "base-gone", PYTHON_PIN, None)]),
    ],
)
def test_what_a_registry_has_no_more_as_it_was_locked_is_found(tags, gone, expected):
    assert said(compare_registry(SHOP, tags, gone)) == expected


def test_every_service_of_an_image_is_named():
    both = lock({"one": DB, "two": DB, "web": build("w", "postgres:16.4")})
    kinds = [(each.service, each.kind) for each in compare_registry(both, {"postgres:16.4": None})]
    assert kinds == [("one", "tag-gone"), ("two", "tag-gone"), ("web", "base-gone")]


def test_an_image_of_the_engine_is_looked_for_there_where_one_was_asked():
    config = min(LOCAL.images["mine:1"].list_configs())
    assert compare_registry(LOCAL, {}, [sha("unknown")]) == []
    assert compare_registry(LOCAL, {"mine:1": config}) == []
    assert {each.kind for each in compare_registry(LOCAL, {"mine:1": sha("rebuilt")})} == {"tag-moved"}
    assert {each.kind for each in compare_registry(LOCAL, {"mine:1": None}, [config])} == {"tag-gone", "digest-gone"}


def test_a_tag_beside_a_digest_can_move_and_a_digest_alone_cannot():
    both, alone = image(f"b:1@{sha('b')}", "b"), image(f"a@{sha('a')}", "a")
    locked = lock({"b": both, "a": alone})
    assert said(compare_registry(locked, {both.reference: sha("new"), alone.reference: None})) == [
        ("b", "tag-moved", both.reference, f"b:1@{sha('new')}")
    ]


def test_images_that_are_not_among_the_locked_ones_are_passed_over():
    assert compare_registry(replace(SHOP, images={}), {"postgres:16.4": None, "python:3.12": None}) == []


def test_images_of_a_matrix_and_of_stubs_are_asked_for_too():
    locked = lock({"db": DB}, image("postgres:15", "p15"), PYTHON, stubs={"db (stub)": build("s", "python:3.12")})
    found = compare_registry(locked, {"postgres:15": None, "python:3.12": None})
    assert [(each.service, each.kind) for each in found] == [(OTHERS, "tag-gone"), ("db (stub)", "base-gone")]


# Builds


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ({}, []),
        ({"web": sha("web"), "db": sha("x"), "unknown": None}, []),
        ({"web": sha("new")}, [("web", "context-changed", WEB_PIN, f"build {sha('new')}")]),
        ({"web": None}, [("web", "context-gone", WEB_PIN, None)]),
    ],
)
def test_a_build_of_other_content_is_found(contents, expected):
    assert said(compare_builds(SHOP, contents)) == expected


def test_the_build_of_a_stub_is_compared_too():
    locked = lock({"db": DB}, stubs={"db (stub)": build("s")})
    assert said(compare_builds(locked, {"db (stub)": None})) == [
        ("db (stub)", "context-gone", f"build {sha('s')}", None)
    ]


# Topology


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"db": "postgres:17"}, [("db", "lock-stale", DB_PIN, "postgres:17")]),
        ({"db": "docker.io/library/postgres:16.4"}, [("db", "lock-stale", DB_PIN, "docker.io/library/postgres:16.4")]),
        ({"db": None}, [("db", "lock-stale", DB_PIN, "build")]),
        ({"web": "nginx"}, [("web", "lock-stale", WEB_PIN, "nginx")]),
        ({"mail": "mailhog:1"}, [("mail", "lock-stale", None, "mailhog:1")]),
        ({"mail": None}, [("mail", "lock-stale", None, "build")]),
    ],
)
def test_a_lock_that_does_not_fit_its_topology_is_found(change, expected):
    assert said(compare_topology(SHOP, {**SHOP.services, **change})) == expected


def test_what_is_locked_and_not_there_any_more_is_found():
    assert said(compare_topology(SHOP, {"db": "postgres:16.4"})) == [
        ("cache", "lock-stale", CACHE_PIN, None),
        ("web", "lock-stale", WEB_PIN, None),
    ]


def test_services_whose_entries_are_missing_are_not_locked():
    broken = replace(SHOP, images={}, builds={})
    assert list_pins(broken) == {}
    assert said(compare_topology(broken, SHOP.services)) == [
        ("cache", "lock-stale", None, "redis"),
        ("db", "lock-stale", None, "postgres:16.4"),
        ("web", "lock-stale", None, "build"),
    ]


# Environments


@pytest.mark.parametrize("known", ["pg", "amd64.pg", "camd64.pg"], ids=["index", "manifest", "config"])
def test_whatever_an_engine_calls_an_image_it_is_the_locked_one(known):
    runs = Running("postgres:16.4", AMD, (sha("other"), sha(known)))
    assert compare_environment(SHOP, {**EXACTLY, "db": runs}) == []


@pytest.mark.parametrize(
    ("service", "runs", "expected"),
    [
        ("db", Running("mirror.example/pg:1", AMD, (sha("pg"),)), None),
        ("db", Running("postgres:16.4", "linux/x86_64", (sha("camd64.pg"),)), None),
        ("db", Running("postgres:16.4", ARM, (sha("carm64.pg"),)), None),
        (
            "db",
            Running("postgres:16.4", AMD, (sha("new"), sha("id"))),
            ("image-differs", DB_PIN, f"postgres:16.4@{sha('new')}"),
        ),
        (
            "db",
            Running("postgres:16.4", AMD, (sha("carm64.pg"),)),
            ("image-differs", DB_PIN, f"postgres:16.4@{sha('carm64.pg')}"),
        ),
        (
            "db",
            Running("postgres:16.4", "linux/s390x", (sha("pg"),)),
            ("image-differs", DB_PIN, f"postgres:16.4@{sha('pg')}"),
        ),
        ("db", Running("postgres:16.4", AMD), ("image-differs", DB_PIN, "postgres:16.4")),
        (
            "db",
            Running(f"postgres@{sha('new')}", AMD, (sha("id"),)),
            ("image-differs", DB_PIN, f"postgres@{sha('new')}"),
        ),
        ("db", Running("b", AMD, (sha("id"),), sha("b")), ("image-differs", DB_PIN, f"build {sha('b')}")),
        ("web", Running("any", ARM, (), sha("web")), None),
        ("web", Running("any", AMD, (), sha("new")), ("content-differs", WEB_PIN, f"build {sha('new')}")),
        ("web", Running("nginx:1", AMD, (sha("n"),)), ("content-differs", WEB_PIN, f"nginx:1@{sha('n')}")),
        ("mail", Running("mailhog:1", AMD, (sha("m"),)), ("not-locked", None, f"mailhog:1@{sha('m')}")),
    ],
)
def test_what_runs_is_the_locked_image_or_is_found(service, runs, expected):
    found = said(compare_environment(SHOP, {**EXACTLY, service: runs}))
    assert found == ([(service, *expected)] if expected else [])


def test_a_service_that_does_not_run_is_found():
    assert said(compare_environment(SHOP, {"db": EXACTLY["db"]})) == [
        ("cache", "not-running", CACHE_PIN, None),
        ("web", "not-running", WEB_PIN, None),
    ]


def test_an_image_of_the_engine_is_known_by_its_configuration():
    assert compare_environment(LOCAL, {"a": Running("mine:1", AMD, (sha("camd64.m"),))}) == []
    assert [each.kind for each in compare_environment(LOCAL, {"a": Running("mine:1", AMD, (sha("m"),))})] == [
        "image-differs"
    ]


# All of them


def test_every_kind_of_finding_is_explained_and_found():
    """Each kind comes from one of the cases here, and people are told what each means."""
    stale = compare_topology(SHOP, {})
    registry = compare_registry(SHOP, {"postgres:16.4": None, "redis": sha("new"), "python:3.12": None}, [sha("pg")])
    moved = compare_registry(SHOP, {"python:3.12": sha("new")})
    contents = compare_builds(SHOP, {"web": None}) + compare_builds(SHOP, {"web": sha("new")})
    running = compare_environment(SHOP, {"db": EXACTLY["cache"], "web": EXACTLY["db"], "x": EXACTLY["db"]})
    names = compare_references(SHOP, {"db": None, "web": "w", "x": "x"})
    bases = compare_locks(SHOP, lock({"web": WEB}, image("python:3.12", "new")))
    copied = match_workloads(SHOP, [workload("db", "mirror.example/postgres:16.4")])
    found = [*stale, *registry, *moved, *contents, *running, *names, *bases, *copied]
    assert {each.kind for each in found} == set(KINDS) == set(get_args(Kind))
    assert list(KINDS) == sorted(KINDS)


def test_findings_are_in_the_order_of_services_and_kinds():
    found = compare_registry(SHOP, dict.fromkeys(SHOP.images), [sha("redis"), sha("pg")])
    assert [(each.service, each.kind) for each in found] == [
        ("cache", "digest-gone"),
        ("cache", "tag-gone"),
        ("db", "digest-gone"),
        ("db", "tag-gone"),
        ("web", "base-gone"),
    ]
