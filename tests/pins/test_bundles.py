"""Bundles: from one engine, by way of a file, to one that reaches no registry."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nothing_left")]


@pytest.fixture
def bundled(project):
    """A project of one pulled and one built service, in a bundle, and neither in the engine nor in the registry."""
    (project.folder / "tool").mkdir()
    (project.folder / "tool" / "Dockerfile").write_text(f"FROM {project.reference('2')}\nCOPY note /\n")
    (project.folder / "tool" / "note").write_text("one\n")
    project.push("says tool", "2")
    project.write(f"  web:\n    image: {project.reference('1')}\n  tool:\n    build: ./tool\n")
    project.lock()
    project.output = project.call("bundle", "-o", "shop.tar").stdout
    project.forget_images()
    project.asked()
    return project


def test_a_loaded_bundle_runs_without_a_registry(bundled):
    assert "is not in the engine's store" in bundled.run("--locked", "--pull", "never", code=4)
    assert "1 build, 2 images of pins for linux/amd64" in bundled.output
    loaded = json.loads(bundled.call("bundle", "load", "shop.tar", "--json").stdout)
    assert [each["built"] for each in loaded["images"]] == [False, False, True]
    assert "says version 1" in bundled.run("--locked", "--pull", "never")
    assert {row["service"]: row["pin"] for row in bundled.look} == {"web": "locked", "tool": "built"}
    assert bundled.asked() == []
    assert bundled.engine.find_image(bundled.reference("1")) is not None, "it has its name again"


def test_a_name_that_another_image_has_stays_with_that(bundled):
    bundled.push("says version 2", "1")
    bundled.engine.pull(bundled.reference("1"))
    newer = bundled.engine.find_image(bundled.reference("1")).id
    bundled.call("bundle", "load", "shop.tar")
    assert bundled.engine.find_image(bundled.reference("1")).id == newer
    assert "says version 1" in bundled.run("--locked", "--pull", "never")


def test_the_lock_is_in_the_bundle_and_docker_load_would_read_it(bundled):
    with tarfile.open("shop.tar") as tar:
        assert tar.extractfile("envspin.lock").read() == (bundled.folder / "envspin.lock").read_bytes()
        assert "manifest.json" in tar.getnames()


@pytest.mark.parametrize("content", [b"", b"no archive", "cut", "other"])
def test_what_is_no_bundle_is_told(bundled, content):
    path = bundled.folder / "bad.tar"
    if content == "cut":
        content = (bundled.folder / "shop.tar").read_bytes()[:100_000]
    elif content == "other":
        other = io.BytesIO()
        with tarfile.open(fileobj=other, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("readme"))
        content = other.getvalue()
    path.write_bytes(content)
    told = bundled.call("bundle", "load", "bad.tar", code=2).stderr
    assert "is no bundle, or not all of one" in told


def test_a_bundle_is_not_made_of_a_lock_that_does_not_fit(bundled):
    before = (bundled.folder / "shop.tar").read_bytes()
    (bundled.folder / "tool" / "note").write_text("two\n")
    assert "does not fit" in bundled.call("bundle", "-o", "shop.tar", code=5).stderr
    assert (bundled.folder / "shop.tar").read_bytes() == before


def test_a_bundle_needs_a_lock_and_a_folder_to_lie_in(project):
    assert "there is no envspin.lock" in project.call("bundle", "-o", "shop.tar", code=5).stderr
    project.lock()
    assert "there is no folder nowhere" in project.call("bundle", "-o", "nowhere/shop.tar", code=2).stderr
