"""A topology's lock as a file: read, written whole or not at all, held by one process, and held against a plan."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import envspin
from envspin.errors import LockError, TopologyError, UsageError
from envspin.model import Topology
from envspin.plan.lock import Lock
from envspin.plan.lock_text import dump_lock, parse_lock
from envspin.plan.pinning import make_lock
from envspin.plan.planning import make_plan
from envspin.plan.selection import Selection
from envspin.run import locks, replacing
from envspin.run.locks import (
    check_platform,
    describe_builds,
    find_lock,
    hold_lock_file,
    look_at_builds,
    make_locked_plan,
    read_lock,
    require_lock,
    suggest_locking,
    survey,
    warn_of_unlocked,
    write_lock,
)
from envspin.run.opening import load

from ..lock_builders import AMD, ARM, lock_image, sha

COMPOSE = """\
services:
  db:
    image: postgres:16
  api:
    build: api
"""
DOCKERFILE = "FROM python:3.12\nCOPY . /app\n"


@pytest.fixture
def shop(tmp_path, monkeypatch) -> Path:
    """A topology with an image and a build, in the folder ``shop`` of the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = Path("shop")
    (folder / "api").mkdir(parents=True)
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "api" / "Dockerfile").write_text(DOCKERFILE)
    return folder


@pytest.fixture
def topology(shop) -> Topology:
    return load(shop)


def make(topology: Topology, *platforms: str) -> Lock:
    """Make the lock that the topology needs, with digests of its references."""
    asked = platforms or (AMD,)
    wanted = survey(topology)
    answers = {name: lock_image(name, platforms=need.list_platforms(asked)) for name, need in wanted.images.items()}
    return make_lock(wanted, None, asked, answers)


def save(topology: Topology, lock: Lock) -> Path:
    path = find_lock(topology)
    path.write_text(dump_lock(lock))
    return path


# Reading


def test_a_lock_lies_beside_the_first_file(shop):
    other = Path("other.yaml")
    other.write_text("services: {db: {user: postgres}}")
    assert find_lock(load([shop, other])) == shop.absolute() / "envspin.lock"


def test_a_topology_without_files_has_its_lock_in_its_folder(tmp_path):
    assert find_lock(Topology("test", tmp_path)) == tmp_path / "envspin.lock"


def test_no_lock_is_none(topology):
    assert read_lock(topology) is None


def test_a_lock_is_read(topology):
    lock = make(topology)
    save(topology, lock)
    assert read_lock(topology) == require_lock(topology) == lock


def test_a_lock_that_is_required_and_not_there_is_told_with_the_command(topology):
    with pytest.raises(LockError, match=r"there is no shop/envspin\.lock") as caught:
        require_lock(topology)
    assert caught.value.hint == "`envspin lock shop` writes it; commit it"


def test_a_lock_that_is_none_is_told_by_its_name_and_place(topology):
    find_lock(topology).write_text("version: 1\ntopology: shop\n")
    with pytest.raises(LockError, match=r"shop/envspin\.lock is no lock") as caught:
        read_lock(topology)
    assert any(line.startswith("shop/envspin.lock:2:11: error[wrong-type]") for line in caught.value.context)


def test_a_lock_that_cannot_be_read_is_told(topology):
    find_lock(topology).mkdir()
    with pytest.raises(LockError, match=r"shop/envspin\.lock cannot be read: Is a directory"):
        read_lock(topology)


def test_a_lock_that_is_no_text_is_told(topology):
    find_lock(topology).write_bytes(b"version: 1\n\xff\xfe")
    with pytest.raises(LockError, match=r"shop/envspin\.lock is not UTF-8 text"):
        read_lock(topology)


def test_a_lock_of_too_many_bytes_is_told(topology):
    find_lock(topology).write_bytes(b"# \n" * 3_000_000)
    with pytest.raises(LockError) as caught:
        read_lock(topology)
    assert "error[yaml-size]" in caught.value.context[0]


def test_the_command_that_locks_is_told_for_where_one_stands(shop, topology, monkeypatch):
    assert suggest_locking(topology) == "envspin lock shop"
    monkeypatch.chdir(shop)
    assert suggest_locking(load(".")) == "envspin lock ."
    assert suggest_locking(Topology("test", Path())) == "envspin lock"


# Writing


def test_a_lock_is_written_and_that_is_told(topology):
    lock = make(topology)
    path = find_lock(topology)
    assert write_lock(path, lock)
    assert path.read_text() == dump_lock(lock)


def test_the_same_lock_is_not_written_again(topology):
    lock = make(topology)
    path = save(topology, lock)
    os.utime(path, ns=(1, 1))
    inode = path.stat().st_ino
    assert not write_lock(path, lock)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (1, inode)
    assert write_lock(path, replace(lock, topology="other"))
    assert path.stat().st_mtime_ns != 1


def test_permissions_of_a_lock_stay(topology):
    path = save(topology, make(topology))
    path.chmod(0o640)
    assert write_lock(path, replace(make(topology), topology="other"))
    assert path.stat().st_mode & 0o777 == 0o640


class FullFile(io.BytesIO):
    """A file on a disk that has room for ten bytes."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def write(self, content) -> int:
        super().write(content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def refuse(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fdopen", "fsync", "replace"])
def test_a_disk_that_is_full_leaves_the_old_lock_and_no_other_file(topology, monkeypatch, call):
    path = save(topology, make(topology))
    old = path.read_text()
    monkeypatch.setattr(replacing.os, call, (lambda handle, _: FullFile(handle)) if call == "fdopen" else refuse)
    with pytest.raises(LockError, match=r"shop/envspin\.lock cannot be written: No space left on device") as caught:
        write_lock(path, replace(make(topology), topology="other"))
    assert caught.value.context == ("what was there before is unchanged",)
    assert "make room" in caught.value.hint
    monkeypatch.undo()
    assert path.read_text() == old
    assert sorted(each.name for each in path.parent.iterdir()) == ["api", "compose.yaml", "envspin.lock"]


def test_a_lock_in_a_folder_that_is_gone_is_told(topology, tmp_path):
    with pytest.raises(LockError, match="cannot be written: No such file"):
        write_lock(tmp_path / "gone" / "envspin.lock", make(topology))


# Holding

HOLDER = """
import sys
from envspin.run.locks import hold_lock_file
from envspin.run.opening import load
with hold_lock_file(load(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(shop, monkeypatch):
    """Another process that holds the topology's lock until its standard input ends."""
    monkeypatch.setenv("PYTHONPATH", str(Path(envspin.__file__).parents[1]))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(shop)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.communicate()


def test_a_second_process_is_kept_out_and_told_so(topology, holder, monkeypatch):
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.1)
    message = r"another process has been locking shop/envspin\.lock for 0\.1 s"
    with pytest.raises(LockError, match=message) as caught, hold_lock_file(topology):
        raise AssertionError("two processes hold it")
    assert caught.value.hint


def test_a_second_process_comes_in_when_the_first_has_ended(topology, holder):
    holder.kill()
    with hold_lock_file(topology):
        assert holder.wait() != 0


def test_a_link_to_the_folder_is_the_same_topology(shop, holder, monkeypatch):
    Path("link").symlink_to(shop, target_is_directory=True)
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.1)
    with pytest.raises(LockError, match="another process"), hold_lock_file(load("link")):
        raise AssertionError("two processes hold it")


def test_another_topology_is_not_kept_out(holder):
    Path("other").mkdir()
    Path("other/compose.yaml").write_text(COMPOSE.replace("build: api", "image: api:1"))
    with hold_lock_file(load("other")):
        assert holder.poll() is None


def test_holding_leaves_nothing_beside_the_lock(shop, topology):
    with hold_lock_file(topology):
        assert sorted(each.name for each in shop.iterdir()) == ["api", "compose.yaml"]
    with hold_lock_file(topology):  # it was given back
        pass


def test_what_is_raised_while_holding_goes_through(topology):
    with pytest.raises(OSError, match="mine"), hold_lock_file(topology):
        raise OSError("mine")


def test_a_folder_that_cannot_be_made_is_told(topology, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ENVSPIN_STATE_DIR", str(tmp_path / "file" / "state"))
    with pytest.raises(LockError, match="cannot be made: Not a directory") as caught, hold_lock_file(topology):
        raise AssertionError("nothing holds it")
    assert "ENVSPIN_STATE_DIR" in caught.value.hint


# Builds


def test_a_build_is_described_by_what_goes_in_and_its_bases(topology, shop):
    before = describe_builds(topology)
    assert before["api"].bases == ("python:3.12",)
    (shop / "api" / "main.py").write_text("print()")
    assert describe_builds(topology)["api"].content != before["api"].content


def test_only_the_builds_that_are_named_are_looked_at(topology):
    assert describe_builds(topology, {"db"}) == {}
    assert describe_builds(topology, {"api"}).keys() == {"api"}


def test_the_lock_of_a_topology_is_no_part_of_its_own_builds(shop):
    (shop / "Dockerfile").write_text(DOCKERFILE)
    (shop / "compose.yaml").write_text("services: {api: {build: .}}")
    topology = load(shop)
    before = describe_builds(topology)
    save(topology, make(topology))
    assert describe_builds(topology) == before


def test_the_folder_of_a_build_that_is_gone_is_told(topology, shop):
    (shop / "api" / "Dockerfile").unlink()
    with pytest.raises(TopologyError):
        describe_builds(topology)
    assert look_at_builds(topology) == {"api": None}


def test_services_that_share_a_build_are_described_once(shop, monkeypatch):
    (shop / "compose.yaml").write_text("services: {one: {build: api}, two: {build: api}}")
    looked = []
    real = locks._describe
    monkeypatch.setattr(
        locks, "_describe", lambda service, *rest: (looked.append(service.name), real(service, *rest))[1]
    )
    found = describe_builds(load(shop))
    assert found["one"] == found["two"]
    assert looked == ["one"]


# Plans


def plan(topology: Topology, *, locked: bool = False, **pins: str):
    return make_locked_plan(topology, Selection(pins=pins), locked=locked)


def test_a_plan_without_a_lock_is_a_plan_unless_it_must_be_locked(topology):
    assert plan(topology).unlocked == ()
    with pytest.raises(LockError, match=r"there is no shop/envspin\.lock"):
        plan(topology, locked=True)


def test_a_plan_with_a_lock_that_fits_is_locked(topology):
    save(topology, make(topology))
    made = plan(topology, locked=True)
    assert made.images["postgres:16"].locked.digest == sha("postgres:16")
    assert made.images["api"].bases.keys() == {"python:3.12"}


def test_a_lock_that_is_none_stops_a_plan_that_need_not_be_locked(topology):
    find_lock(topology).write_text("nonsense")
    with pytest.raises(LockError, match="is no lock"):
        plan(topology)


def test_an_image_that_is_not_locked_is_told(topology, shop):
    save(topology, make(topology))
    (shop / "compose.yaml").write_text(COMPOSE.replace("postgres:16", "postgres:17"))
    changed = load(shop)
    assert plan(changed).unlocked == ("postgres:17",)
    with pytest.raises(LockError, match=r"shop/envspin\.lock does not fit the topology any more") as caught:
        plan(changed, locked=True)
    assert caught.value.context == ("db: postgres:17 is not locked",)
    assert caught.value.hint == (
        "`envspin lock shop` (with the same -f and --env-file, if any) brings it up to date; commit what that changes"
    )


def test_a_build_that_is_not_locked_is_told(topology, shop):
    save(topology, make(topology))
    (shop / "compose.yaml").write_text(f"{COMPOSE}  worker:\n    build: {{context: api, target: worker}}\n")
    with pytest.raises(LockError) as caught:
        plan(load(shop), locked=True)
    assert caught.value.context == ("worker: worker is not locked",)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "main.py").write_text("print()"),
        lambda folder: (folder / "Dockerfile").write_text(DOCKERFILE.replace("3.12", "3.13")),
    ],
)
def test_a_build_that_has_changed_is_told(topology, shop, change):
    save(topology, make(topology))
    change(shop / "api")
    assert plan(topology).unlocked == ()
    with pytest.raises(LockError) as caught:
        plan(topology, locked=True)
    assert caught.value.context == ("api: what it is built from has changed since it was locked",)


def test_everything_that_does_not_fit_is_told_at_once(topology, shop):
    save(topology, make(topology))
    (shop / "api" / "main.py").write_text("print()")
    (shop / "compose.yaml").write_text(COMPOSE.replace("postgres:16", "postgres:17"))
    with pytest.raises(LockError) as caught:
        plan(load(shop), locked=True)
    assert len(caught.value.context) == 2


def test_what_is_not_to_run_need_not_fit(topology, shop):
    save(topology, make(topology))
    (shop / "api" / "main.py").write_text("print()")
    assert make_locked_plan(topology, Selection(only=("db",)), locked=True).services.keys() == {"db"}
    assert plan(topology, locked=True, api="postgres:16").describe_pin("api") == "set"


def test_a_tag_that_was_set_is_not_locked_and_a_digest_that_was_set_is(topology):
    save(topology, make(topology))
    with pytest.raises(LockError) as caught:
        plan(topology, locked=True, db="postgres:17")
    assert caught.value.context == ("db: postgres:17 is not locked",)
    assert plan(topology, locked=True, db=f"postgres@{sha('mine')}").pins


def test_a_selection_that_is_wrong_is_told_before_what_does_not_fit(topology, shop):
    save(topology, make(topology))
    (shop / "api" / "main.py").write_text("print()")
    with pytest.raises(UsageError, match="has no service 'dbb'"):
        make_locked_plan(topology, Selection(only=("dbb",)), locked=True)


# Warnings


def test_what_the_lock_should_hold_is_warned_of_at_its_place(topology, shop):
    save(topology, make(topology))
    more = "  cache:\n    image: redis:7\n    deploy: {replicas: 2}\n  tool: {build: {context: api, target: x}}\n"
    (shop / "compose.yaml").write_text(COMPOSE + more)
    problems = list(warn_of_unlocked(plan(load(shop))))
    assert [(each.code, each.severity, each.mark.line) for each in problems] == [
        ("not-locked", "warning", 6),
        ("not-locked", "warning", 9),
    ]
    assert problems[0].message == "`cache, cache-2`: `redis:7` is not in envspin.lock, and may be another tomorrow"
    assert problems[1].message.startswith("`tool`: what it builds on is not in envspin.lock")
    assert problems[0].hint == "`envspin lock shop` adds it"


def test_what_was_chosen_for_this_run_is_not_warned_of(topology):
    save(topology, make(topology))
    assert list(warn_of_unlocked(plan(topology, db="postgres:17"))) == []
    assert list(warn_of_unlocked(plan(topology))) == []


def test_without_a_lock_there_is_no_warning(topology):
    assert list(warn_of_unlocked(plan(topology))) == []


# Platforms


def test_a_lock_for_the_platform_passes(topology):
    save(topology, make(topology, AMD, ARM))
    check_platform(plan(topology), AMD)
    check_platform(plan(topology), "linux/aarch64")


def test_a_lock_for_another_platform_is_told_with_the_command(topology):
    save(topology, make(topology, ARM))
    with pytest.raises(LockError, match=r"shop/envspin\.lock holds no image for linux/amd64") as caught:
        check_platform(plan(topology), AMD)
    assert sorted(caught.value.context) == [
        "api: python:3.12 is locked for linux/arm64",
        "db: postgres:16 is locked for linux/arm64",
    ]
    assert caught.value.hint == "`envspin lock shop --platform linux/amd64` adds it and moves no other pin"


def test_a_service_with_a_platform_of_its_own_must_be_locked_for_that(topology, shop):
    save(topology, make(topology))
    (shop / "compose.yaml").write_text(COMPOSE.replace("image:", "platform: linux/aarch64\n    image:"))
    with pytest.raises(LockError, match="holds no image for linux/arm64") as caught:
        check_platform(plan(load(shop)), AMD)
    assert caught.value.context == ("db: postgres:16 is locked for linux/amd64",)
    assert "--platform linux/arm64`" in caught.value.hint


@pytest.mark.parametrize("where", ["platform: linux/arm64", "build: {context: api, platforms: [linux/arm64]}"])
def test_a_platform_of_its_own_is_enough(shop, where):
    build = "" if where.startswith("build") else "\n    build: api"
    (shop / "compose.yaml").write_text(f"services:\n  api:\n    {where}{build}\n")
    topology = load(shop)
    save(topology, make(topology))
    assert list(read_lock(topology).images["python:3.12"].platforms) == [ARM]
    check_platform(plan(topology, locked=True), AMD)


def test_a_base_for_a_platform_of_its_own_is_locked_and_checked_for_that(shop):
    (shop / "api" / "Dockerfile").write_text("FROM --platform=linux/arm64 python:3.12\n")
    wanted = survey(load(shop))
    assert wanted.builds["api"].platforms == {"python:3.12": "linux/arm64"}
    assert wanted.images["python:3.12"].list_platforms([AMD]) == [ARM]
    locked = replace(
        make_lock(wanted, None, [AMD], {}),
        images={
            "postgres:16": lock_image("postgres:16", platforms=(AMD,)),
            "python:3.12": lock_image("python:3.12", platforms=(ARM,)),
        },
    )
    assert parse_lock(dump_lock(locked), "lock") == locked
    check_platform(make_plan(load(shop), None, locked), AMD)


def test_a_base_that_is_no_image_is_told_with_its_service(shop):
    (shop / "api" / "Dockerfile").write_bytes(b"ARG TAG\nFROM python:$TAG\n")
    with pytest.raises(TopologyError, match="`build` of `api`: the Dockerfile takes `python:`, which is no image"):
        survey(load(shop))
    (shop / "api" / "Dockerfile").write_bytes(b"FROM \xff\x1b]0;x\x07\n")
    with pytest.raises(TopologyError, match=r"takes `.udcff.x1b\]0;x.x07`"):
        survey(load(shop))


def test_images_of_variables_in_the_matrix_are_wanted(tmp_path, monkeypatch):
    monkeypatch.setenv("TAG", "1")
    (tmp_path / ".env").write_text("OS=slim\nNAME=db-${TAG}\n")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  db: {image: '${NAME}:${TAG}-${OS}'}\n  web: {image: 'web:1'}\n"
        "x-envspin: {matrix: {TAG: ['1', '2'], OS: [slim, full], web: ['web:2']}}\n"
    )
    images = {"db-1:1-slim", "db-1:1-full", "db-2:2-slim", "db-2:2-full", "web:1", "web:2"}
    assert set(survey(load(tmp_path)).images) == images
    assert survey(load(tmp_path)).images["db-2:2-full"].users == {"db"}


def test_a_platform_that_is_none_is_told_with_its_service(shop):
    (shop / "api" / "Dockerfile").write_text("FROM --platform=linux// python:3.12\n")
    with pytest.raises(TopologyError, match="`build` of `api`: the platform `linux//` of a `FROM` is not a platform"):
        survey(load(shop))


def test_names_that_look_like_parts_of_a_lock_are_read_back():
    name = "registry.platforms.example.com/builds.platforms.x/app:1"
    lock = Lock("t", sha("t"), {"a.platforms.b": name}, {name: lock_image(name)}, {})
    assert parse_lock(dump_lock(lock), "lock") == lock
