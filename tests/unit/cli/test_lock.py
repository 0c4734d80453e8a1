"""``lock``: what it prints, with which exit code, and which topology and services it takes its words for."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from envspin.cli import context as cli_context
from envspin.engine.fake.images import make_image_id
from envspin.errors import EngineUnreachableError, RegistryError
from envspin.plan.lock_text import parse_lock
from envspin.run import locking

from ..lock_builders import AMD, ARM, ScriptedRegistries, sha

LOCK = Path("shop/envspin.lock")
API, DB, MIGRATE = sha("api:1"), sha("postgres:16"), sha("migrate:1")


@pytest.fixture(autouse=True)
def registries(monkeypatch) -> ScriptedRegistries:
    """Answer for all registries."""
    scripted = ScriptedRegistries()
    monkeypatch.setattr(locking, "RegistryClient", scripted)
    return scripted


@pytest.fixture
def no_engine(monkeypatch) -> None:
    def refuse():
        raise EngineUnreachableError("no engine")

    monkeypatch.setattr(cli_context, "connect_engine", refuse)


@pytest.fixture
def no_question(monkeypatch) -> None:
    """Fail where the engine or a registry is asked."""

    def refuse(*_, **__):
        raise AssertionError("somebody was asked")

    monkeypatch.setattr(cli_context, "connect_engine", refuse)
    monkeypatch.setattr(locking, "RegistryClient", refuse)


@pytest.fixture
def locked(invoke, engine, shop, registries) -> str:
    """Lock the shop and return the text."""
    invoke("lock", "shop")
    registries.asked.clear()
    return LOCK.read_text()


def list_asked(registries: ScriptedRegistries) -> list[str]:
    return sorted(reference for reference, _ in registries.asked)


# Writing


def test_locking_says_what_it_wrote(invoke, engine, shop):
    result = invoke("lock", "shop")
    assert result.stdout.splitlines() == [
        f"+ api:1  {API[:19]}",
        f"+ migrate:1  {MIGRATE[:19]}",
        f"+ postgres:16  {DB[:19]}",
        "wrote shop/envspin.lock: 3 images, for linux/amd64",
    ]
    assert parse_lock(LOCK.read_text(), "lock").services == {
        "api": "api:1",
        "db": "postgres:16",
        "migrate": "migrate:1",
    }


def test_locking_again_says_that_nothing_changed(invoke, locked):
    assert invoke("lock", "shop").stdout == "unchanged: shop/envspin.lock: 3 images, for linux/amd64\n"
    assert LOCK.read_text() == locked


def test_locking_says_what_went_and_what_moved(invoke, locked, shop, registries):
    registries.contents["postgres:16"] = "moved"
    text = (shop / "compose.yaml").read_text().replace("image: api:1", "build: api")
    (shop / "compose.yaml").write_text(text)
    (shop / "api").mkdir()
    (shop / "api" / "Dockerfile").write_text("FROM scratch\n")
    lines = invoke("lock", "shop", "--upgrade", "db").stdout.splitlines()
    assert lines[0] == f"- api:1  {API[:19]}"
    assert re.fullmatch(r"\+ build of api  sha256:[0-9a-f]{12}", lines[1])
    assert lines[2:] == [
        f"~ postgres:16  {DB[:19]} -> {sha('moved')[:19]}",
        "wrote shop/envspin.lock: 1 build, 2 images, for linux/amd64",
    ]


def test_locking_as_json(invoke, engine, shop):
    document = json.loads(invoke("lock", "shop", "--json", "--platform", "linux/aarch64").stdout)
    assert document.keys() == {"lock", "changed", "asked", "platforms", "images", "builds"}
    assert document["lock"] == str(LOCK)
    assert (document["changed"], document["asked"], document["builds"]) == (True, 3, {})
    assert document["platforms"] == [AMD, ARM]
    assert document["images"]["postgres:16"].keys() == {"digest", "resolved", "platforms"}
    assert document["images"]["postgres:16"]["digest"] == DB
    assert document["images"]["postgres:16"]["platforms"] == {
        AMD: sha(f"postgres:16 {AMD}"),
        ARM: sha(f"postgres:16 {ARM}"),
    }
    assert json.loads(invoke("lock", "shop", "--json").stdout)["changed"] is False


def test_locking_needs_no_engine(invoke, no_engine, shop):
    invoke("lock", "shop", "--platform", "linux/s390x")
    assert "linux/s390x" in parse_lock(LOCK.read_text(), "lock").platforms


def test_a_platform_that_is_none_is_a_bad_call(invoke, no_question, shop):
    result = invoke("lock", "shop", "--platform", "my platform", code=2)
    assert "is not a platform" in result.stderr
    assert not LOCK.exists()


def test_what_cannot_be_resolved_is_told_and_nothing_is_written(invoke, engine, shop, registries):
    registries.errors["api:1"] = RegistryError("api:1 cannot be had", hint="log in")
    registries.gone.add("migrate:1")
    result = invoke("lock", "shop", code=4)
    assert result.stdout == ""
    assert "2 images cannot be resolved" in result.stderr
    assert "api:1 cannot be had" in result.stderr
    assert "migrate:1 is gone" in result.stderr
    assert "hint: log in" in result.stderr
    assert not LOCK.exists()


def test_a_lock_that_was_edited_is_told_with_its_place(invoke, locked):
    LOCK.write_text(locked.replace(DB, "sha256:short"))
    line = locked[: locked.index(DB)].count("\n") + 1
    for words in (("lock", "shop"), ("lock", "shop", "--check"), ("plan", "shop"), ("up", "shop")):
        assert f"shop/envspin.lock:{line}:13: error[bad-value]" in invoke(*words, code=5).stderr


# --local


def test_a_local_image_is_locked_by_its_id(invoke, engine, shop, registries):
    registries.gone.update({"api:1", "migrate:1", "postgres:16"})
    invoke("lock", "shop", "--local")
    image = parse_lock(LOCK.read_text(), "lock").images["postgres:16"]
    assert (image.digest, image.platforms[AMD].config) == (None, make_image_id("postgres:16"))


def test_local_needs_an_engine(invoke, no_engine, shop):
    assert "--local needs an engine" in invoke("lock", "shop", "--local", code=2).stderr
    assert not LOCK.exists()


# --upgrade


def test_upgrade_asks_for_everything(invoke, locked, registries):
    invoke("lock", "shop", "--upgrade")
    assert list_asked(registries) == ["api:1", "migrate:1", "postgres:16"]
    assert LOCK.read_text() == locked


def test_upgrade_of_a_service_asks_for_its_image_alone(invoke, locked, registries):
    registries.contents.update({"postgres:16": "moved", "api:1": "moved, too"})
    invoke("lock", "shop", "--upgrade", "db")
    assert list_asked(registries) == ["postgres:16"]
    changed = set(LOCK.read_text().splitlines()) - set(locked.splitlines())
    assert f"    digest: {sha('moved')}" in changed
    assert API in LOCK.read_text()


def test_upgrade_may_be_repeated(invoke, locked, registries):
    invoke("lock", "shop", "--upgrade", "db", "--upgrade", "api")
    assert list_asked(registries) == ["api:1", "postgres:16"]


def test_upgrade_of_an_unknown_service_is_told_the_nearest(invoke, locked, no_question):
    result = invoke("lock", "shop", "--upgrade", "dbs", code=2)
    assert "upgrade: topology shop has no service 'dbs'" in result.stderr
    assert "'db'" in result.stderr
    assert LOCK.read_text() == locked


@pytest.mark.parametrize("words", [("./shop",), ("shop/",), ("db", "--upgrade", "./shop"), ("shop/compose.yaml",)])
def test_upgrade_before_the_folder_means_all_of_it(invoke, locked, registries, words):
    invoke("lock", "--upgrade", *words)
    assert list_asked(registries) == ["api:1", "migrate:1", "postgres:16"]


def test_upgrade_before_another_option_means_everything(invoke, locked, registries):
    invoke("lock", "--upgrade", "--platform", AMD, "shop")
    assert len(registries.asked) == 3


def test_upgrade_of_a_service_takes_the_folder_that_is_named_as_the_topology(invoke, locked, registries):
    Path("x").mkdir()
    Path("x/db").mkdir()
    os.chdir("x")
    invoke("lock", "--upgrade", "db", "../shop")
    assert list_asked(registries) == ["postgres:16"]


def test_upgrade_of_what_no_path_can_be_is_a_bad_call(invoke, shop):
    os.chdir("shop")
    assert "has no service" in invoke("lock", "--upgrade", "./" + "x" * 300, code=2).stderr


# --check


@pytest.mark.parametrize("more", [("--platform", AMD), ()])
def test_check_of_a_lock_that_fits(invoke, locked, no_question, more):
    assert invoke("lock", "shop", "--check", *more).stdout == "shop/envspin.lock fits: 3 images\n"


def test_check_of_a_stale_lock_prints_the_diff(invoke, locked, shop, no_question):
    (shop / "compose.yaml").write_text((shop / "compose.yaml").read_text().replace("postgres:16", "postgres:17"))
    result = invoke("lock", "shop", "--check", code=5)
    assert result.stdout.startswith("--- envspin.lock\n+++ envspin.lock as the topology needs it\n")
    assert "-  db: postgres:16\n+  db: postgres:17\n" in result.stdout
    assert "error: shop/envspin.lock does not fit the topology any more" in result.stderr
    assert "hint: `envspin lock shop` writes it" in result.stderr
    assert LOCK.read_text() == locked


def test_check_without_a_lock_prints_all_of_it(invoke, shop, no_question):
    result = invoke("lock", "shop", "--check", code=5)
    assert "+  db: postgres:16\n" in result.stdout
    assert "error: shop/envspin.lock is not there" in result.stderr
    assert not LOCK.exists()


def test_check_for_a_platform_that_is_not_locked_names_the_command_that_locks_it(invoke, locked, no_question):
    result = invoke("lock", "shop", "--check", "--platform", "arm64", code=5)
    assert "+- linux/arm64\n" in result.stdout
    assert f"-    digest: {DB}" not in result.stdout
    assert "`envspin lock shop --platform linux/arm64`" in result.stderr


def test_what_the_hint_of_check_says_makes_it_fit(invoke, engine, locked):
    hint = invoke("lock", "shop", "--check", "--platform", "arm64", code=5).stderr
    words = re.search("`envspin (.*)`", hint)[1].split()
    invoke(*words)
    invoke("lock", "shop", "--check", "--platform", "arm64")


def test_check_as_json(invoke, locked, shop, no_question):
    assert json.loads(invoke("lock", "shop", "--check", "--json").stdout) == {
        "lock": "shop/envspin.lock",
        "fits": True,
        "diff": "",
    }
    LOCK.unlink()
    document = json.loads(invoke("lock", "shop", "--check", "--json", code=5).stdout)
    assert (document["lock"], document["fits"]) == ("shop/envspin.lock", False)
    assert document["diff"].startswith("--- envspin.lock\n")


@pytest.mark.parametrize("other", [("--upgrade",), ("--upgrade", "db"), ("--local",)])
def test_check_with_what_would_change_the_lock_is_a_bad_call(invoke, locked, no_question, other):
    result = invoke("lock", "shop", "--check", *other, code=2)
    assert "--check changes nothing" in result.stderr


# What others say of it


def test_plan_says_what_is_locked_and_what_is_not(invoke, locked, shop):
    text = (shop / "compose.yaml").read_text()
    (shop / "compose.yaml").write_text(text.replace("api:1", "api:2"))
    plan = invoke("plan", "shop").stdout
    assert f"pulled as locked ({DB[:19]})" in plan
    assert "not locked: api:2, for api" in plan
    assert "pinned: db runs postgres:15, set for this run" in invoke("plan", "shop", "--set", "db=postgres:15").stdout


def test_up_locked_without_a_lock_does_not_ask_the_engine(invoke, shop, no_question):
    result = invoke("up", "shop", "--locked", code=5)
    assert "there is no shop/envspin.lock" in result.stderr
    assert "hint: `envspin lock shop` writes it; commit it" in result.stderr
