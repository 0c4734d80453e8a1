"""Locking a topology: it asks what is needed and no more, writes all or nothing, and one process at a time."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from envspin.engine.base import RegistrySettings
from envspin.engine.fake import FakeEngine, FakeImage
from envspin.engine.fake.images import make_image_id
from envspin.errors import EngineError, LockError, RegistryError, TopologyError
from envspin.plan.lock_text import parse_lock
from envspin.reference import normalize_platform
from envspin.run import locking
from envspin.run.locking import Locking, lock_topology, name_own_platform, run_all
from envspin.run.locks import read_lock
from envspin.run.opening import load

from ..lock_builders import AMD, ARM, TIME, ScriptedRegistries, sha

COMPOSE = """\
services:
  db: {image: "postgres:16"}
  cache: {image: "redis:7"}
  api: {build: api}
"""
ALL = ["postgres:16", "python:3.12", "redis:7"]


@pytest.fixture
def registries(monkeypatch) -> ScriptedRegistries:
    """Answer for all registries."""
    scripted = ScriptedRegistries()
    monkeypatch.setattr(locking, "RegistryClient", scripted)
    return scripted


@pytest.fixture
def shop(tmp_path, monkeypatch) -> Path:
    """A topology with two images and a build, in the folder ``shop`` of the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = Path("shop")
    (folder / "api").mkdir(parents=True)
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "api" / "Dockerfile").write_text("FROM python:3.12\n")
    return folder


def lock(folder: Path, *, engine: FakeEngine | None = None, **options) -> Locking:
    """Lock the topology of a folder, as an engine of linux/amd64 would have it."""
    return lock_topology(load(folder), engine=engine or FakeEngine(), **options)


def list_asked(registries: ScriptedRegistries) -> list[str]:
    """Return what was resolved since the last call."""
    asked, registries.asked = [reference for reference, _ in registries.asked], []
    return sorted(asked)


def age(folder: Path) -> str:
    """Make the lock of a folder old, and return its text."""
    path = folder / "envspin.lock"
    path.write_text(re.sub(r'resolved: ".*"', f'resolved: "{TIME}"', path.read_text()))
    return path.read_text()


# What is asked and written


def test_everything_is_asked_once_and_written(shop, registries):
    done = lock(shop)
    assert (done.before, done.changed, done.asked) == (None, True, 3)
    assert done.path == shop.absolute() / "envspin.lock"
    assert done.after == read_lock(load(shop))
    assert done.after.services == {"db": "postgres:16", "cache": "redis:7", "api": None}
    assert done.after.images["postgres:16"].digest == sha("postgres:16")
    assert done.after.images["postgres:16"].platforms[AMD].digest == sha(f"postgres:16 {AMD}")
    assert done.after.builds["api"].bases == ("python:3.12",)
    assert list_asked(registries) == ALL
    assert registries.closed == 1


def test_the_time_of_resolution_is_in_utc(shop, registries):
    resolved = lock(shop).after.images["redis:7"].resolved
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", resolved)


def test_a_lock_that_fits_is_left_and_no_registry_is_opened(shop, registries):
    before = lock(shop).after
    registries.settings.clear()
    inode = (shop / "envspin.lock").stat().st_ino
    done = lock(shop)
    assert (done.changed, done.asked, done.before, done.after) == (False, 0, before, before)
    assert registries.settings == []
    assert (shop / "envspin.lock").stat().st_ino == inode


def test_only_what_is_new_is_asked(shop, registries):
    lock(shop)
    old = age(shop)
    list_asked(registries)
    (shop / "compose.yaml").write_text(COMPOSE.replace("redis:7", "redis:8"))
    registries.contents["postgres:16"] = "moved"
    done = lock(shop)
    assert list_asked(registries) == ["redis:8"]
    assert done.after.images["postgres:16"] == parse_lock(old, "old").images["postgres:16"]


def test_a_build_that_has_changed_is_locked_without_a_question(shop, registries):
    before = lock(shop).after
    list_asked(registries)
    (shop / "api" / "main.py").write_text("print()")
    done = lock(shop)
    assert list_asked(registries) == []
    assert done.changed
    assert done.after.builds["api"].content != before.builds["api"].content
    assert done.after.images == before.images


def test_an_upgrade_moves_only_what_it_names(shop, registries):
    lock(shop)
    old = parse_lock(age(shop), "old")
    list_asked(registries)
    registries.contents.update({"postgres:16": "moved", "redis:7": "moved, too"})
    done = lock(shop, upgrade={"db"})
    assert list_asked(registries) == ["postgres:16"]
    assert done.after.images["postgres:16"].digest == sha("moved")
    assert {name: image for name, image in done.after.images.items() if name != "postgres:16"} == {
        name: image for name, image in old.images.items() if name != "postgres:16"
    }


def test_an_upgrade_that_finds_the_same_changes_no_byte(shop, registries):
    lock(shop)
    old = age(shop)
    done = lock(shop, upgrade={"db", "cache", "api"})
    assert (done.asked, done.changed) == (3, False)
    assert (shop / "envspin.lock").read_text() == old


def test_the_upgrade_of_a_build_asks_for_its_base(shop, registries):
    lock(shop)
    list_asked(registries)
    lock(shop, upgrade={"api"})
    assert list_asked(registries) == ["python:3.12"]


# Platforms


def test_images_are_locked_for_the_platform_of_the_engine_and_those_asked_for(shop, registries):
    done = lock(shop, platforms=("linux/aarch64",))
    assert done.after.platforms == (AMD, ARM)
    assert set(registries.asked) == {(name, (AMD, ARM)) for name in ALL}


def test_a_platform_that_was_asked_for_once_stays(shop, registries):
    lock(shop, platforms=(ARM,))
    (shop / "compose.yaml").write_text(COMPOSE.replace("redis:7", "redis:8"))
    registries.asked.clear()
    lock(shop)
    assert registries.asked == [("redis:8", (AMD, ARM))]


def test_one_more_platform_does_not_move_a_tag(shop, registries):
    lock(shop)
    age(shop)
    registries.contents["postgres:16"] = "moved"
    list_asked(registries)
    done = lock(shop, platforms=(ARM,))
    assert f"postgres@{sha('postgres:16')}" in list_asked(registries)
    image = done.after.images["postgres:16"]
    assert (image.digest, image.resolved) == (sha("postgres:16"), TIME)
    assert image.platforms[ARM].digest == sha(f"postgres:16 {ARM}")


def test_without_an_engine_images_are_locked_for_this_machine(shop, registries):
    done = lock_topology(load(shop), engine=None)
    assert done.after.platforms == (name_own_platform(),)
    assert name_own_platform() == normalize_platform(name_own_platform())
    assert registries.settings == [((), ())]


def test_registries_are_asked_as_the_engine_asks_them(shop, registries):
    settings = RegistrySettings(("https://mirror.example",), ("127.0.0.0/8",))
    lock(shop, engine=FakeEngine(registries=settings))
    assert registries.settings == [(settings.mirrors, settings.insecure)]


# What fails


def test_a_failure_leaves_no_lock(shop, registries):
    registries.errors["redis:7"] = RegistryError("redis:7 cannot be had", context=("HTTP 500",), hint="try again")
    with pytest.raises(RegistryError) as caught:
        lock(shop)
    assert caught.value is registries.errors["redis:7"]
    assert sorted(each.name for each in shop.iterdir()) == ["api", "compose.yaml"]
    assert registries.closed == 1


def test_a_failure_leaves_the_old_lock(shop, registries):
    lock(shop)
    old = age(shop)
    registries.contents["postgres:16"] = "moved"
    registries.errors["redis:7"] = RegistryError("redis:7 cannot be had")
    with pytest.raises(RegistryError):
        lock(shop, upgrade={"db", "cache"})
    assert (shop / "envspin.lock").read_text() == old


def test_all_failures_are_told_in_one(shop, registries):
    registries.errors["redis:7"] = RegistryError("redis:7 cannot be had", context=("HTTP 500",), hint="try again")
    registries.errors["python:3.12"] = RegistryError("python:3.12 cannot be had", hint="try again")
    registries.gone.add("postgres:16")
    with pytest.raises(RegistryError, match="3 images cannot be resolved") as caught:
        lock(shop)
    assert caught.value.context == (
        "postgres:16 is gone",
        "  needed by: db",
        "python:3.12 cannot be had",
        "  needed by: api",
        "redis:7 cannot be had",
        "  HTTP 500",
        "  needed by: cache",
    )
    assert caught.value.hint == "try again"
    assert caught.value.exit_code == 4


def test_what_is_no_error_of_ours_goes_through_as_it_is():
    def fail(question: int) -> None:
        raise KeyError(question) if question else RegistryError("told")

    with pytest.raises(KeyError):
        run_all(fail, [0, 1, 0], "questions fail")


def test_answers_come_in_the_order_of_the_questions():
    assert run_all(lambda number: number * 2, range(50), "fail") == [number * 2 for number in range(50)]


def test_a_lock_that_cannot_be_read_is_told_before_anything_is_asked(shop, registries):
    (shop / "envspin.lock").write_text("nonsense")
    with pytest.raises(LockError, match="is no lock"):
        lock(shop)
    assert (shop / "envspin.lock").read_text() == "nonsense"
    assert registries.settings == []


def test_the_folder_of_a_build_that_is_gone_is_told_before_anything_is_asked(shop, registries):
    (shop / "api" / "Dockerfile").unlink()
    with pytest.raises(TopologyError):
        lock(shop)
    assert registries.settings == []


def test_an_engine_that_fails_leaves_the_old_lock(shop, registries):
    engine = FakeEngine()
    engine.inject("info", EngineError("no"))
    with pytest.raises(EngineError):
        lock(shop, engine=engine)
    assert not (shop / "envspin.lock").exists()


def test_a_lock_that_cannot_be_written_is_told(shop, registries, monkeypatch):
    lock(shop)
    old = age(shop)
    registries.contents["postgres:16"] = "moved"
    monkeypatch.setattr("envspin.run.replacing.os.replace", refuse)
    with pytest.raises(LockError, match="cannot be written: No space left"):
        lock(shop, upgrade={"db"})
    assert (shop / "envspin.lock").read_text() == old


def refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")


# Images that only this engine has


def local(folder: Path, engine: FakeEngine, **options) -> Locking:
    return lock(folder, engine=engine, local=True, **options)


@pytest.fixture
def own(shop, registries) -> Path:
    """A topology of an image that was built here, and of one that a registry has."""
    registries.gone.add("own:1")
    (shop / "compose.yaml").write_text('services: {own: {image: "own:1"}, db: {image: "postgres:16"}}')
    return shop


OWN = {"own:1": FakeImage(), "postgres:16": FakeImage(digest=sha("held"))}


def test_an_image_that_no_registry_gave_is_locked_by_its_id(own, registries):
    done = local(own, FakeEngine(OWN))
    image = done.after.images["own:1"]
    assert (image.digest, image.is_local) == (None, True)
    assert image.platforms[AMD].config == make_image_id("own:1")
    assert done.after.images["postgres:16"].digest == sha("postgres:16")


def test_without_being_asked_for_it_is_only_offered(own, registries):
    with pytest.raises(RegistryError, match="own:1 is gone") as caught:
        lock(own, engine=FakeEngine(OWN))
    assert "lock what this engine holds of that name: `--local`" in str(caught.value.hint)


def test_what_a_registry_has_is_never_local(own, registries):
    registries.gone.clear()
    assert local(own, FakeEngine(OWN)).after.images["own:1"].digest == sha("own:1")


def test_an_image_that_the_engine_does_not_hold_is_not_local(own, registries):
    with pytest.raises(RegistryError, match="own:1 is gone") as caught:
        local(own, FakeEngine())
    assert "--local" not in str(caught.value.hint)


def test_a_local_image_is_not_looked_up_again_unless_it_is_upgraded(own, registries):
    local(own, FakeEngine(OWN))
    old = age(own)
    engine = FakeEngine(OWN)
    assert not local(own, engine).changed
    assert list_asked(registries)[2:] == []
    assert not local(own, FakeEngine(OWN), upgrade={"own"}).changed
    assert (own / "envspin.lock").read_text() == old


def test_a_local_image_for_another_platform_is_refused_with_all_else_that_fails(own, registries):
    registries.gone.add("postgres:16")
    with pytest.raises(RegistryError, match="2 images cannot be resolved") as caught:
        local(own, FakeEngine(OWN), platforms=(ARM,))
    assert "own:1 is this engine's own image for linux/amd64, and not there for linux/arm64" in caught.value.context
    registries.gone.remove("postgres:16")
    with pytest.raises(LockError, match="own:1 is this engine's own image"):
        local(own, FakeEngine(OWN), platforms=(ARM,))
    assert not (own / "envspin.lock").exists()


# Two at once


def test_of_two_that_lock_at_once_the_second_sees_what_the_first_found(shop, registries, monkeypatch):
    outcomes: list[Locking] = []
    second = threading.Thread(target=lambda: outcomes.append(lock(shop)))
    resolve, started = registries.resolve, threading.Lock()

    def resolve_with_company(reference, platforms):
        if started.acquire(blocking=False):
            second.start()
            second.join(0.3)  # long enough to end, if it were let in
            assert second.is_alive()
        return resolve(reference, platforms)

    monkeypatch.setattr(registries, "resolve", resolve_with_company)
    first = lock(shop)
    second.join()
    assert (first.asked, outcomes[0].asked) == (3, 0)
    assert (first.changed, outcomes[0].changed) == (True, False)
    assert outcomes[0].before == first.after
    assert list_asked(registries) == ALL


def test_the_name_of_the_first_time_stays_where_the_folder_is_called_otherwise(shop, registries):
    before = lock(shop).after
    done = lock(shop.rename("checkout"))
    assert (done.changed, done.after.topology) == (False, before.topology)


def test_another_file_of_the_folder_does_not_take_its_lock(shop, registries):
    before = lock(shop).after
    (shop / "other.yaml").write_text('services: {x: {image: "x:1"}}')
    with pytest.raises(LockError, match=r"shop/envspin.lock is the lock of compose.yaml, not of other.yaml") as caught:
        lock(shop / "other.yaml")
    assert "a folder of its own" in str(caught.value.hint)
    assert read_lock(load(shop)) == before


def test_a_file_that_got_another_name_keeps_its_lock(shop, registries):
    lock(shop)
    (shop / "compose.yaml").rename(shop / "docker-compose.yaml")
    assert lock(shop).after.file == "docker-compose.yaml"


def test_an_image_may_lack_this_platform_where_others_are_asked_for(shop, registries):
    registries.platforms["redis:7"] = {ARM}
    with pytest.raises(RegistryError, match="redis:7"):
        lock(shop)
    done = lock(shop, platforms=(ARM,))
    assert done.after.platforms == (ARM,), "what not every image has is not asked for again"
    assert set(done.after.images["postgres:16"].platforms) == {AMD, ARM}
    assert set(done.after.images["redis:7"].platforms) == {ARM}
    list_asked(registries)
    assert not lock(shop).changed
    assert list_asked(registries) == []


def test_a_lock_that_names_platforms_gets_no_other_one_by_itself(shop, registries):
    lock(shop, engine=FakeEngine(), platforms=(ARM,))
    (shop / "compose.yaml").write_text(COMPOSE.replace("redis:7", "redis:8"))
    text = (shop / "envspin.lock").read_text()
    (shop / "envspin.lock").write_text(text.replace(f"platforms:\n- {AMD}\n- {ARM}", f"platforms:\n- {ARM}"))
    assert set(lock(shop).after.images["redis:8"].platforms) == {ARM}


def test_a_platform_that_a_service_asks_for_itself_may_not_be_missing(shop, registries):
    (shop / "compose.yaml").write_text(f'services: {{a: {{image: "x:1", platform: {AMD}}}, b: {{image: "x:1"}}}}')
    registries.platforms["x:1"] = {ARM}
    with pytest.raises(RegistryError, match="x:1"):
        lock(shop, platforms=(ARM,))


def test_a_local_image_may_lack_this_platform_where_others_are_asked_for(own, registries):
    engine = FakeEngine({"own:1": FakeImage(platform=ARM), "postgres:16": FakeImage(digest=sha("held"))})
    assert set(local(own, engine, platforms=(ARM,)).after.images["own:1"].platforms) == {ARM}


def test_a_registry_that_fails_is_not_asked_twice_for_fewer_platforms(shop, registries):
    registries.errors["redis:7"] = RegistryError("redis:7 cannot be had")
    with pytest.raises(RegistryError):
        lock(shop, platforms=(ARM,))
    assert list_asked(registries).count("redis:7") == 1
