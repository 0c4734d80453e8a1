"""What `lock` writes, and what it asks a real registry for."""

from __future__ import annotations

import pytest

from tests.registry.publishing import push, put_manifest

pytestmark = pytest.mark.engine


def test_an_index_is_locked_with_the_manifest_of_this_platform(project):
    image = project.lock()["1"]
    made = project.make("says version 1", platform="linux/amd64")
    assert image.digest == project.index
    assert list(image.platforms) == ["linux/amd64"]
    assert image.platforms["linux/amd64"].digest == made.digest
    assert image.platforms["linux/amd64"].config == made.config_digest
    assert image.platforms["linux/amd64"].size == made.size


def test_nothing_is_pulled_and_no_layer_is_asked_for(project):
    project.lock()
    asked = project.asked()
    assert all("/manifests/" in path for path in asked)
    assert project.engine.find_image(project.reference("1")) is None


@pytest.mark.parametrize("options", [{"docker": True}, {"attestations": True}])
def test_a_manifest_list_and_an_index_with_attestations_are_locked_alike(project, options):
    index = project.push_index("says version 2", "2", **options)
    project.write(tag="2")
    image = project.lock()["2"]
    assert image.digest == index
    assert image.platforms["linux/amd64"].digest == project.make("says version 2", platform="linux/amd64").digest


def test_a_single_manifest_is_index_and_manifest_at_once(project):
    digest = project.push("says version 2", "2")
    project.write(tag="2")
    image = project.lock()["2"]
    assert (image.digest, image.platforms["linux/amd64"].digest) == (digest, digest)


def test_locking_again_asks_nothing_and_changes_nothing(project):
    project.lock()
    project.asked()
    before = (project.folder / "envspin.lock").read_bytes()
    project.push("says version 2", "1")
    assert "unchanged" in project.call("lock").stdout
    assert project.asked() == []
    assert (project.folder / "envspin.lock").read_bytes() == before


def test_a_further_platform_is_added_to_the_locked_image_although_its_tag_moved(project):
    project.lock()
    project.push("says version 2", "1")
    image = project.lock("--platform", "linux/arm64/v8")["1"]
    assert image.digest == project.index
    assert image.platforms["linux/arm64"].digest == project.make("says version 1", platform="linux/arm64").digest
    project.push_index("says other", "other")
    project.write(f"  web:\n    image: {project.reference('other')}\n")
    assert list(project.lock()["other"].platforms) == ["linux/amd64", "linux/arm64"], "the lock keeps its platforms"


def test_an_upgrade_of_one_service_touches_only_that(project):
    project.push("says db 1", "db")
    project.write(f"  web:\n    image: {project.reference('1')}\n  db:\n    image: {project.reference('db')}\n")
    before = project.lock()
    web, db = project.push("says version 2", "1"), project.push("says db 2", "db")
    project.asked()
    after = project.lock("--upgrade", "db")
    assert (after["db"].digest, after["1"]) == (db, before["1"])
    assert not [path for path in project.asked() if path.endswith("/manifests/1")]
    assert project.lock("--upgrade")["1"].digest == web


def test_check_tells_by_a_diff_what_does_not_fit(project):
    assert "@@" in project.call("lock", "--check", code=5).stdout
    project.lock()
    assert "fits: 1 image" in project.call("lock", "--check").stdout
    project.push("says version 2", "2")
    project.write(tag="2")
    before = (project.folder / "envspin.lock").read_bytes()
    project.asked()
    result = project.call("lock", "--check", code=5)
    assert f'-  web: "{project.reference("1")}"' in result.stdout
    assert f'+  web: "{project.reference("2")}"' in result.stdout
    assert "`envspin lock .` writes it" in result.stderr
    assert project.asked() == []
    assert (project.folder / "envspin.lock").read_bytes() == before


def test_an_index_without_this_platform_is_refused_with_those_that_it_has(project):
    project.push_index("says version 2", "2", "linux/arm64", "linux/s390x")
    project.write(tag="2")
    told = project.call("lock", code=4).stderr
    assert "linux/amd64" in told
    assert "linux/arm64, linux/s390x" in told
    assert not (project.folder / "envspin.lock").exists()


def test_a_single_manifest_of_another_platform_is_refused(project):
    push(project.registry, project.repository, project.make("says version 2", platform="linux/arm64"), "2")
    project.write(tag="2")
    assert "linux/arm64" in project.call("lock", code=4).stderr


def test_a_service_with_a_platform_of_its_own_is_locked_for_that(project):
    project.write(f"  web:\n    image: {project.reference('1')}\n    platform: linux/arm64\n")
    image = project.lock()["1"]
    assert list(image.platforms) == ["linux/arm64"]


def test_images_of_stubs_and_of_the_matrix_are_locked(project):
    project.push("says version 2", "2")
    project.push("says stub", "stub")
    project.write(
        f"  web:\n    image: {project.reference('1')}\n"
        f"    x-envspin: {{stub: {{image: '{project.reference('stub')}'}}}}\n",
        more=f"x-envspin:\n  matrix:\n    web: ['{project.reference('1')}', '{project.reference('2')}']\n",
    )
    assert set(project.lock()) == {"1", "2", "stub"}


def test_an_image_written_with_a_digest_is_locked_as_it_is_written(project):
    project.push("says version 2", "1")
    project.write(f"  web:\n    image: {project.reference('1')}@{project.index}\n")
    (image,) = project.lock().values()
    assert image.digest == project.index


def test_what_is_no_image_is_refused(project):
    put_manifest(
        project.registry,
        project.repository,
        "application/vnd.oci.image.index.v1+json",
        b"""{
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}""",
        "empty",
    )
    project.write(tag="empty")
    assert "linux/amd64" in project.call("lock", code=4).stderr


def test_a_local_image_is_locked_by_its_id_only_when_asked(project, real_engine):
    from tests.contract.images import TESTBOX  # noqa: PLC0415 - builds the image where it is not there

    testbox = real_engine.find_image(TESTBOX)
    assert testbox is not None
    project.write("  web:\n    image: envspin-testbox:1\n    command: [--line, says hello]\n")
    project.call("lock", "--local")
    assert testbox.id in (project.folder / "envspin.lock").read_text()
    assert "says hello" in project.run("--locked", "--pull", "never")
    assert project.drift(code=0) == set()
