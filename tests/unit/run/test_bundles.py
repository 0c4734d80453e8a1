"""Bundles: all that a lock names goes into one file and comes out again, or nothing is written."""

from __future__ import annotations

import errno
import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from envspin import Environment
from envspin.engine.fake import FakeEngine, FakeImage, Line, Script
from envspin.engine.fake.images import make_image_id
from envspin.errors import ImageError, LockError, UsageError
from envspin.model import Topology
from envspin.plan.lock import LOCK_NAME, LockedImage, Manifest
from envspin.plan.lock_text import dump_lock, parse_lock
from envspin.plan.pinning import make_lock
from envspin.run.bundles import CONTENTS_NAME, Bundle, BundledImage, load_bundle, save_bundle
from envspin.run.images import ImageRules
from envspin.run.locks import find_lock, survey
from envspin.run.opening import load

from ..lock_builders import AMD, ARM, TIME, sha
from .test_damaged_bundles import DOCUMENT, refuse

COMPOSE = """\
name: shop
services:
  db:
    image: postgres:16
    x-envspin: {ready: {log: ready}}
"""
TWO_PLATFORMS = """\
name: shop
services:
  old: {image: "postgres:16", platform: linux/arm64}
  db: {image: "postgres:16"}
"""
BUILDS = """\
name: shop
services:
  api: {build: api}
  worker: {build: api}
"""
LOCAL = """\
name: shop
services:
  tool: {image: "own:1"}
"""
PROMPT = Script(lines=(Line("ready"),))
EXACT = {each: f"postgres@{sha(each)}" for each in (AMD, ARM)}
IDS = {each: make_image_id(name) for each, name in EXACT.items()}
DB = LockedImage("postgres:16", sha("index"), TIME, {each: Manifest(sha(each), IDS[each], 1000) for each in (AMD, ARM)})
BASE = LockedImage("python:3.12", sha("base"), TIME, {AMD: Manifest(sha("base"), make_image_id("python:3.12"), 1000)})
OWN = LockedImage("own:1", None, TIME, {AMD: Manifest(None, make_image_id("own:1"), 1000)})


@pytest.fixture
def shop(tmp_path, monkeypatch) -> Callable[[str], Topology]:
    """Lock a topology in the folder ``shop`` of the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop" / "api").mkdir(parents=True)
    (tmp_path / "shop" / "api" / "Dockerfile").write_text("FROM python:3.12\n")

    def write(text: str) -> Topology:
        Path("shop/compose.yaml").write_text(text)
        topology = load(Path("shop"))
        answers = {each.reference: each for each in (DB, BASE, OWN)}
        find_lock(topology).write_text(dump_lock(make_lock(survey(topology), None, (AMD,), answers)))
        return topology

    return write


def make_engine() -> FakeEngine:
    """Hold what only an engine has; the rest is there to be pulled."""
    return FakeEngine(
        {
            EXACT[AMD]: FakeImage(stored=False),
            EXACT[ARM]: FakeImage(platform=ARM, stored=False),
            "python:3.12": FakeImage(),
            "own:1": FakeImage(),
        }
    )


def make_rules(topology: Topology) -> ImageRules:
    return ImageRules(topology.name, find_lock(topology), "missing", AMD, lambda *_: None, lambda: False)


def save(topology: Topology, engine: FakeEngine | None = None, output: str = "shop.tar") -> Bundle:
    return save_bundle(engine or make_engine(), topology, Path(output), make_rules(topology))


def list_names(path: Path = Path()) -> set[str]:
    return {each.name for each in path.iterdir()}


def read_members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {each.name: tar.extractfile(each).read() for each in tar}


# There and back


def test_images_come_out_of_a_bundle_as_they_went_in(shop):
    bundle = save(shop(COMPOSE))
    assert bundle == Bundle("shop", AMD, (BundledImage("postgres:16", IDS[AMD]),))
    second = FakeEngine()
    assert load_bundle(second, Path("shop.tar")) == bundle
    assert second.find_image("postgres:16").id == IDS[AMD]


def test_a_locked_environment_needs_no_registry_where_its_bundle_was_loaded(shop):
    save(shop(COMPOSE))
    second = FakeEngine({EXACT[AMD]: FakeImage(PROMPT, stored=False)})
    load_bundle(second, Path("shop.tar"))
    with Environment.up(Path("shop"), engine=second, locked=True, pull="never") as environment:
        assert environment["db"].pin == "locked"
        assert environment["db"].image_id == IDS[AMD]
    assert "pull" not in {call.verb for call in second.calls}


def test_what_is_missing_is_pulled_by_its_digest_before_it_is_saved(shop):
    engine = make_engine()
    save(shop(COMPOSE), engine)
    assert [call.subject for call in engine.calls if call.verb == "pull"] == [EXACT[AMD]]


def test_an_image_that_runs_on_two_platforms_is_there_for_both(shop):
    bundle = save(shop(TWO_PLATFORMS))
    assert [(each.name, each.id) for each in bundle.images] == [("postgres:16", IDS[AMD]), ("postgres:16", IDS[ARM])]
    second = FakeEngine()
    load_bundle(second, Path("shop.tar"))
    assert second.find_image(IDS[ARM]).platform == ARM
    assert second.find_image("postgres:16").id == IDS[AMD]


def test_the_name_goes_to_the_image_for_the_engines_own_platform(shop):
    topology = shop(TWO_PLATFORMS.replace("linux/arm64", "linux/amd64"))
    rules = replace(make_rules(topology), platform=ARM)
    answers = {each.reference: each for each in (DB,)}
    find_lock(topology).write_text(dump_lock(make_lock(survey(topology), None, (ARM,), answers)))
    bundle = save_bundle(make_engine(), topology, Path("shop.tar"), rules)
    assert [each.id for each in bundle.images] == [IDS[ARM], IDS[AMD]]


def test_builds_are_there_with_their_bases_under_the_tags_that_are_looked_for(shop):
    bundle = save(shop(BUILDS))
    built = [each for each in bundle.images if each.built]
    assert [each.name.rpartition(":")[0] for each in built] == ["envspin-build/shop-api", "envspin-build/shop-worker"]
    second = FakeEngine()
    load_bundle(second, Path("shop.tar"))
    assert [second.find_image(each.name).id for each in built] == [each.id for each in built]
    assert second.find_image("python:3.12").id == make_image_id("python:3.12")


class SharingEngine(FakeEngine):
    """An engine that, like Docker, tells the first of an image's tags, whichever it was asked for."""

    def find_image(self, reference):
        return self._tell_other_tag(super().find_image(reference))

    def build(self, request, **options):
        return self._tell_other_tag(super().build(request, **options))

    def _tell_other_tag(self, image):
        return image and replace(image, name="envspin-build/another-topology:0123456789abcdef")


def test_a_build_that_another_topology_shares_is_saved_under_the_tag_of_this_one(shop):
    built = [each.name for each in save(shop(BUILDS), SharingEngine({"python:3.12": FakeImage()})).images if each.built]
    assert [name.rpartition(":")[0] for name in built] == ["envspin-build/shop-api", "envspin-build/shop-worker"]


def test_an_image_that_only_this_engine_has_goes_to_another_one(shop):
    save(shop(LOCAL))
    second = FakeEngine()
    load_bundle(second, Path("shop.tar"))
    assert second.find_image("own:1").id == make_image_id("own:1")


def test_the_lock_is_in_the_bundle(shop):
    topology = shop(COMPOSE)
    save(topology)
    lock = read_members(Path("shop.tar"))[LOCK_NAME].decode()
    assert parse_lock(lock, LOCK_NAME) == parse_lock(find_lock(topology).read_text(), LOCK_NAME)


def test_a_name_that_another_image_has_stays_where_it_is(shop):
    save(shop(COMPOSE))
    second = FakeEngine({"postgres:16": FakeImage(digest=sha("moved"))})
    load_bundle(second, Path("shop.tar"))
    assert second.find_image("postgres:16").id == make_image_id("postgres:16")
    assert second.find_image(IDS[AMD]) is not None


def test_loading_twice_changes_nothing(shop):
    save(shop(COMPOSE))
    second = FakeEngine()
    assert load_bundle(second, Path("shop.tar")) == load_bundle(second, Path("shop.tar"))
    assert second.find_image("postgres:16").id == IDS[AMD]


def test_an_engine_that_calls_an_image_otherwise_is_told(shop):
    save(shop(COMPOSE))
    other = {**DOCUMENT, "images": [{"name": "postgres:16", "id": sha("other"), "built": False}]}
    rewrite(Path("shop.tar"), json.dumps(other).encode())
    second = FakeEngine()
    with pytest.raises(LockError, match="does not hold postgres:16 as") as caught:
        load_bundle(second, Path("shop.tar"))
    assert "same kind of image store" in caught.value.hint
    assert second.find_image("postgres:16") is None


# What cannot be saved


def test_without_a_lock_nothing_is_saved(shop):
    topology, engine = shop(COMPOSE), make_engine()
    find_lock(topology).unlink()
    with pytest.raises(LockError, match=r"there is no shop/envspin\.lock") as caught:
        save(topology, engine)
    assert caught.value.hint == "`envspin lock shop` writes it; commit it"
    assert engine.calls == []
    assert not Path("shop.tar").exists()


def test_a_lock_that_does_not_fit_is_refused(shop):
    shop(COMPOSE)
    Path("shop/compose.yaml").write_text(COMPOSE.replace("postgres:16", "postgres:17"))
    engine = make_engine()
    with pytest.raises(LockError, match="the lock of shop does not fit it any more"):
        save(load(Path("shop")), engine)
    assert engine.calls == []


def test_an_image_that_cannot_be_had_leaves_no_file(shop):
    with pytest.raises(ImageError):
        save(shop(COMPOSE), FakeEngine())
    assert list_names() == {"shop"}


class FullEngine(FakeEngine):
    """An engine whose images do not fit on the disk."""

    def save_images(self, references, sink):
        sink(b"the first part")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_old_file_and_nothing_else(shop):
    topology = shop(COMPOSE)
    Path("shop.tar").write_bytes(b"old")
    with pytest.raises(UsageError, match=r"shop\.tar cannot be written: No space left on device"):
        save(topology, FullEngine({EXACT[AMD]: FakeImage()}))
    assert Path("shop.tar").read_bytes() == b"old"
    assert list_names() == {"shop", "shop.tar"}


def test_an_engine_that_breaks_off_leaves_the_old_file(shop, monkeypatch):
    topology, engine = shop(COMPOSE), make_engine()
    Path("shop.tar").write_bytes(b"old")

    def break_off(_references, sink):
        sink(b"the first part")
        raise ImageError("the engine broke off")

    monkeypatch.setattr(engine, "save_images", break_off)
    with pytest.raises(ImageError, match="broke off"):
        save(topology, engine)
    assert Path("shop.tar").read_bytes() == b"old"
    assert list_names() == {"shop", "shop.tar"}


@pytest.mark.parametrize("output", ["/dev/null", "pipe", "missing/shop.tar", "loop"])
def test_what_is_no_place_for_a_file_is_told(shop, output):
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    topology = shop(COMPOSE)
    with pytest.raises(UsageError, match="cannot be written"):
        save(topology, output=output)
    assert list_names() == {"shop", "pipe", "loop"}
    assert Path("pipe").is_fifo()
    assert Path("/dev/null").is_char_device()


def rewrite(path: Path, contents: bytes) -> None:
    """Put another list into a bundle."""
    members = {**read_members(path), CONTENTS_NAME: contents}
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_half_a_bundle_is_refused_wherever_it_ends(shop):
    save(shop(COMPOSE))
    content, path = Path("shop.tar").read_bytes(), Path("half.tar")
    needed = len(content.rstrip(b"\0")) // 512 * 512 + 1024  # what is there, and a block of zeros that ends it
    for length in {*range(0, needed, 97), *range(0, needed, 512), needed - 1}:
        path.write_bytes(content[:length])
        assert "is no bundle, or not all of one" in refuse(path).message
    path.write_bytes(content[:needed])
    load_bundle(FakeEngine(), path)
