"""What runs is what was locked: on a real engine, whatever became of the tag, the digest or the registry meanwhile."""

from __future__ import annotations

import json

import pytest

from tests.contract.images import TESTBOX
from tests.registry.publishing import move_tag

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nothing_left")]


def test_a_tag_that_moved_after_the_lock_changes_nothing(project):
    project.lock()
    project.push("says version 2", "1")
    assert "says version 1" in project.run()
    assert project.drift() == {("web", "tag-moved")}


def test_locked_resolves_no_tag_and_reports_the_digest(project):
    image = project.lock()["1"]
    project.push("says version 2", "1")
    project.asked()
    assert "says version 1" in project.run("--locked")
    asked = project.asked()
    assert asked, "it was pulled"
    assert not [path for path in asked if path.endswith("/manifests/1")]
    (row,) = project.look
    assert (row["digest"], row["pin"]) == (image.platforms["linux/amd64"].digest, "locked")
    assert row["image"] == project.reference("1")


def test_pull_always_gets_the_locked_image_not_the_tag(project):
    project.lock()
    project.push("says version 2", "1")
    project.engine.pull(project.reference("1"))
    project.asked()
    assert "says version 1" in project.run("--pull", "always")
    asked = project.asked()
    assert any("/manifests/sha256:" in path for path in asked)
    assert not [path for path in asked if path.endswith("/manifests/1")]


def test_after_an_upgrade_the_new_one_runs(project):
    project.lock()
    project.push("says version 2", "1")
    project.lock("--upgrade", "web")
    assert "says version 2" in project.run("--locked")
    assert project.drift(code=0) == set()


def test_the_tag_in_the_engine_is_another_image(project):
    project.lock()
    project.push("says version 2", "1")
    project.engine.pull(project.reference("1"))
    assert "says version 1" in project.run()


def test_the_locked_image_is_there_under_its_tag_alone(project):
    project.lock()
    project.engine.pull(project.reference("1"))
    project.asked()
    assert "says version 1" in project.run("--locked")
    assert project.asked() == []


def test_a_single_manifest_runs_alike(project):
    digest = project.push("says version 2", "2")
    project.write(tag="2")
    project.lock()
    project.push("says version 3", "2")
    assert "says version 2" in project.run("--locked")
    assert project.look[0]["digest"] == digest


def test_a_digest_that_is_gone_cannot_be_had(project):
    image = project.lock()["1"]
    for digest in image.digests:
        project.registry.delete_manifest(project.repository, digest)
    told = project.run(code=4)
    assert image.platforms["linux/amd64"].digest in told
    assert {("web", "tag-gone"), ("web", "digest-gone")} == project.drift()


def test_a_digest_that_is_gone_runs_where_the_engine_holds_it(project):
    image = project.lock()["1"]
    assert "says version 1" in project.run()
    for digest in image.digests:
        project.registry.delete_manifest(project.repository, digest)
    assert "says version 1" in project.run("--locked")


def test_an_index_that_is_gone_leaves_its_manifest_to_run(project):
    image = project.lock()["1"]
    project.registry.delete_manifest(project.repository, image.digest)
    assert "says version 1" in project.run("--locked")
    assert ("web", "digest-gone") in project.drift()


def test_a_tag_moved_from_the_index_to_its_own_manifest_is_told_and_changes_nothing(project):
    manifest = project.lock()["1"].platforms["linux/amd64"].digest
    move_tag(project.registry, project.repository, "1", manifest)
    assert project.drift() == {("web", "tag-moved")}
    assert "says version 1" in project.run("--locked")


def test_a_lock_for_another_platform_says_how_to_add_this_one(project):
    project.lock("--platform", "linux/arm64")
    path = project.folder / "envspin.lock"
    text = path.read_text()
    begin, end = text.index("      linux/amd64:\n"), text.index("      linux/arm64:\n")
    path.write_text(text[:begin] + text[end:])
    told = project.run(code=5)
    assert f"{project.reference('1')} is locked for linux/arm64" in told
    assert "`envspin lock . --platform linux/amd64`" in told
    project.push("says version 2", "1")
    project.lock("--platform", "linux/amd64")
    assert "says version 1" in project.run("--locked")


def test_a_service_with_a_platform_of_its_own_runs_that(project):
    project.write(f"  web:\n    image: {project.reference('1')}\n    platform: linux/arm64\n")
    image = project.lock()["1"]
    project.run("--locked")
    assert project.look[0]["digest"] == image.platforms["linux/arm64"].digest


def test_locked_without_a_lock_starts_nothing(project):
    told = project.run("--locked", code=5)
    assert "there is no envspin.lock" in told
    assert "hint: `envspin lock .` writes it; commit it" in told
    assert project.asked() == []


def test_an_image_that_is_not_locked_stops_locked_and_is_warned_of_else(project):
    project.lock()
    project.push("says version 2", "2")
    project.write(tag="2")
    project.asked()
    told = project.run("--locked", code=5)
    assert f"web: {project.reference('2')} is not locked" in told
    assert project.asked() == []
    told = project.run()
    assert "warning[not-locked]" in told
    assert "says version 2" in told
    assert project.look[0]["pin"] == "unlocked"


def test_set_overrides_one_pin_and_says_so_everywhere(project):
    project.push("says version 2", "2")
    project.lock()
    other = f"web={project.reference('2')}"
    assert f"pinned: web runs {project.reference('2')}, set for this run" in project.call("plan", "--set", other).stdout
    told = project.run("--set", other)
    assert "says version 2" in told
    assert "not-locked" not in told
    assert project.look[0]["pin"] == "set"
    assert f"{project.reference('2')} (set)" in project.table
    summary = project.call("run", "--set", other, "--", "true").stderr
    assert f"{project.reference('2')} (set)" in summary
    told = project.run("--set", other, "--locked", code=5)
    assert "envspin.lock does not hold all that is to run" in told
    assert f"web: {project.reference('2')} is not locked" in told
    assert "hint: set web to an image with a digest, or to one that `x-envspin.matrix` lists and locks" in told


def test_set_to_a_locked_image_of_the_matrix_runs_its_digest(project):
    project.push("says version 2", "2")
    project.write(more=f"x-envspin:\n  matrix:\n    web: ['{project.reference('2')}']\n")
    project.lock()
    project.push("says version 3", "2")
    other = f"web={project.reference('2')}"
    assert "(locked, too)" in project.call("plan", "--set", other).stdout
    project.asked()
    assert "says version 2" in project.run("--locked", "--set", other)
    assert not [path for path in project.asked() if path.endswith("/manifests/2")]
    assert project.look[0]["pin"] == "set"


def test_set_to_a_digest_goes_with_locked(project):
    digest = project.push("says version 2", "2")
    project.lock()
    assert "says version 2" in project.run("--locked", "--set", f"web={project.reference(digest)}")


@pytest.mark.parametrize("words", [("--locked",), ()])
def test_pull_never_opens_no_connection(project, words):
    project.lock()
    project.asked()
    assert "is not in the engine's store" in project.run("--pull", "never", *words, code=4)
    assert project.asked() == []
    project.run()
    project.registry.stop()
    try:
        assert "says version 1" in project.run("--pull", "never", *words)
    finally:
        project.registry.start()
    project.registry.forget_requests()


@pytest.mark.parametrize("part", ["digest", "config"])
def test_a_lock_edited_by_hand_is_noticed(project, part):
    image = project.lock()["1"]
    other = project.make("says version 2", platform="linux/amd64")
    project.push("says version 2", "2")
    held = project.engine.find_image(TESTBOX)
    if held is not None and held.id in held.digests:
        pytest.skip("an engine with containerd's store does not say what an image's configuration is")
    manifest = image.platforms["linux/amd64"]
    before, after = {
        "digest": (manifest.digest, _digest_of(project, "2")),
        "config": (manifest.config, other.config_digest),
    }[part]
    path = project.folder / "envspin.lock"
    path.write_text(path.read_text().replace(before, after))
    told = project.run(code=5)
    assert "the engine holds another image than the lock names" in told
    assert "`envspin lock --upgrade` writes it anew" in told


def _digest_of(project, tag: str) -> str:
    return project.registry.ask(
        "HEAD",
        f"/v2/{project.repository}/manifests/{tag}",
        headers={
            "Accept": "application/vnd.oci.image.manifest.v1+json",
        },
    ).headers["Docker-Content-Digest"]


def test_config_prints_what_is_locked(project):
    image = project.lock()["1"]
    assert f"image: {project.reference('1')}@{image.digest}" in project.call("config").stdout.replace('"', "")
    services = json.loads(project.call("config", "--json").stdout)["services"]
    assert services["web"]["image"] == image.pin()


def test_replicas_run_the_locked_image(project):
    project.write(f"  web:\n    image: {project.reference('1')}\n    scale: 2\n")
    project.lock()
    project.push("says version 2", "1")
    project.run("--locked")
    assert [row["pin"] for row in project.look] == ["locked", "locked"]
    assert len({row["digest"] for row in project.look}) == 1


class TestBuilds:
    @pytest.fixture
    def built(self, project):
        """A service that is built on the project's image, which says what its base says."""
        (project.folder / "Dockerfile").write_text(
            f"ARG TAG=1\nFROM {project.reference('')}${{TAG}}\nCOPY note /note\n"
        )
        (project.folder / "note").write_text("one\n")
        project.write("  web:\n    build: .\n")
        return project

    def test_a_build_begins_with_the_locked_base(self, built):
        images = built.lock()
        assert images["1"].digest == built.index
        built.push("says version 2", "1")
        built.asked()
        assert "says version 1" in built.run("--locked")
        assert not [path for path in built.asked() if path.endswith("/manifests/1")]
        assert built.drift() == {("web", "base-moved")}
        built.lock("--upgrade", "web")
        assert "says version 2" in built.run("--locked")

    def test_a_changed_context_stops_locked_and_is_drift(self, built):
        built.lock()
        assert built.drift(code=0) == set()
        (built.folder / "note").write_text("two\n")
        built.push("says version 2", "1")
        told = built.run("--locked", code=5)
        assert "web: what it is built from has changed since it was locked" in told
        assert built.drift() == {("web", "context-changed"), ("web", "base-moved")}
        assert "content" in built.call("lock", "--check", code=5).stdout
        assert "says version 1" in built.run(), "without --locked it is built anew, on the locked base"

    def test_an_argument_counts_as_context(self, built):
        built.push("says version 2", "2")
        built.lock()
        built.write("  web:\n    build: {context: ., args: {TAG: '2'}}\n")
        assert "what it is built from has changed" in built.run("--locked", code=5)
        assert set(built.lock()) == {"2"}
        assert "says version 2" in built.run("--locked")

    def test_pull_never_builds_on_what_is_there_alone(self, built):
        built.lock()
        built.asked()
        assert "is not in the engine's store" in built.run("--pull", "never", code=4)
        assert built.asked() == []
        built.engine.pull(built.reference("1"))
        built.asked()
        assert "says version 1" in built.run("--locked", "--pull", "never")
        assert built.asked() == []

    def test_pull_never_without_a_lock_resolves_no_base(self, built):
        assert "is not in the engine's store" in built.run("--pull", "never", code=4)
        assert built.asked() == []

    def test_running_builds_are_compared_by_what_they_were_built_from(self, built):
        built.lock()
        built.call("up", "-d", "--name", "pins-built", "--progress", "quiet")
        try:
            assert built.drift("--against", "pins-built", code=0) == set()
            (built.folder / "note").write_text("two\n")
            built.lock()
            assert built.drift("--against", "pins-built") == {("web", "content-differs")}
        finally:
            built.call("down", "pins-built")
