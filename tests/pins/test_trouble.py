"""Registries that refuse, fail or are not there, two who lock at once, and a full disk: told, and the lock survives."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from tests.registry.server import PASSWORD, USERNAME

pytestmark = pytest.mark.engine


def make_credentials(address: str, password: str = PASSWORD) -> str:
    """Return the text of a docker configuration with a login."""
    word = base64.b64encode(f"{USERNAME}:{password}".encode()).decode()
    return json.dumps({"auths": {address: {"auth": word}}})


class TestLogin:
    @pytest.fixture
    def private(self, make_project, private_registry):
        """A project on a registry that asks for a login."""
        project = make_project(private_registry)
        project.push_index("says version 1", "1")
        project.write()
        return project

    def test_without_a_login_the_command_that_helps_is_named(self, private):
        told = private.call("lock", code=4).stderr
        assert f"`docker login {private.registry.address}`" in told
        assert not (private.folder / "envspin.lock").exists()

    def test_a_refused_login_is_told_without_the_password(self, private, monkeypatch):
        monkeypatch.setenv("DOCKER_AUTH_CONFIG", make_credentials(private.registry.address, "canary-of-a-password"))
        told = private.call("lock", code=4).stderr
        assert "credentials" in told
        assert "canary" not in told
        assert base64.b64encode(b"tester:canary").decode()[:12] not in told

    @pytest.mark.parametrize("way", ["variable", "file", "helper"])
    def test_every_way_to_log_in_locks_and_runs(self, private, monkeypatch, tmp_path, way):
        folder = tmp_path / "docker"
        folder.mkdir(exist_ok=True)
        if way == "variable":
            monkeypatch.setenv("DOCKER_AUTH_CONFIG", make_credentials(private.registry.address))
        elif way == "file":
            (folder / "config.json").write_text(make_credentials(private.registry.address))
        else:
            (folder / "config.json").write_text(json.dumps({"credHelpers": {private.registry.address: "envspin-test"}}))
            helper = folder / "docker-credential-envspin-test"
            answer = json.dumps({"ServerURL": "", "Username": USERNAME, "Secret": PASSWORD})
            helper.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{answer}'\n")
            helper.chmod(0o755)
            monkeypatch.setenv("PATH", str(folder), prepend=":")
        private.lock()
        assert PASSWORD not in (private.folder / "envspin.lock").read_text()
        if way != "helper":  # the SDK finds helpers itself, and reads its configuration once
            assert "says version 1" in private.run("--locked")


class TestTrust:
    @pytest.fixture
    def secure(self, make_project, tls_registry):
        """A project on a registry whose certificate an authority of the tests has signed."""
        project = make_project(tls_registry)
        project.push_index("says version 1", "1")
        project.write()
        return project

    def test_an_unknown_authority_is_refused_and_told_where_to_put_it(self, secure):
        told = secure.call("lock", code=4).stderr
        assert "certificate" in told
        assert f"/etc/docker/certs.d/{secure.registry.address}/ca.crt" in told

    def test_a_known_authority_is_trusted(self, secure, certificates, monkeypatch):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority))
        assert secure.lock()["1"].digest


def test_a_repository_and_a_tag_that_do_not_exist_are_told_apart(project):
    project.write(tag="nothing")
    assert "nothing" in project.call("lock", code=4).stderr
    project.write(f"  web:\n    image: {project.registry.reference('never/there', '1')}\n")
    assert "never/there" in project.call("lock", code=4).stderr


def test_all_images_that_fail_are_told_at_once(project):
    one, two = project.reference("one"), project.reference("two")
    project.write(f"  web:\n    image: {one}\n  db:\n    image: {two}\n  fine:\n    image: {project.reference('1')}\n")
    told = project.call("lock", code=4).stderr
    assert "2 images cannot be resolved" in told
    assert "one" in told
    assert "two" in told
    assert not (project.folder / "envspin.lock").exists()


def test_a_registry_that_is_away_leaves_the_old_lock(make_project, own_registry):
    project = make_project(own_registry)
    project.push_index("says version 1", "1")
    project.write()
    project.lock()
    before = (project.folder / "envspin.lock").read_bytes()
    assert "says version 1" in project.run()
    own_registry.stop()
    told = project.call("lock", "--upgrade", code=4).stderr
    assert own_registry.address in told
    assert "hint:" in told
    assert (project.folder / "envspin.lock").read_bytes() == before
    assert "says version 1" in project.run("--locked"), "what the engine holds needs no registry"


def test_a_lock_of_a_later_version_is_refused_everywhere(project):
    project.lock()
    path = project.folder / "envspin.lock"
    path.write_text(path.read_text().replace("version: 1", "version: 2"))
    for words in (("lock",), ("lock", "--check"), ("up",), ("plan",), ("drift",), ("run", "--", "true")):
        told = project.call(*words, code=5).stderr
        assert "was written by a later envspin" in told
        assert "upgrade envspin" in told


def test_a_lock_that_was_cut_is_refused_with_the_place(project):
    project.lock()
    path = project.folder / "envspin.lock"
    path.write_text(path.read_text().replace("digest: sha256:", "digest: sha256:zz"))
    told = project.call("up", code=5).stderr
    assert "envspin.lock:" in told
    assert "is not a digest" in told
    assert "restore it from version control" in told


def test_two_who_lock_at_once_leave_one_whole_lock(project):
    references = []
    for number in range(6):
        project.push(f"says {number}", f"n{number}")
        references.append(f"  s{number}:\n    image: {project.reference(f'n{number}')}\n")
    project.write("".join(references))
    command = [sys.executable, "-m", "envspin", "lock", "--json"]
    both = [subprocess.Popen(command, cwd=project.folder, stdout=subprocess.PIPE) for _ in range(2)]
    documents = [json.loads(each.communicate(timeout=60)[0]) for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert sorted(each["asked"] for each in documents) == [0, 6], "the second finds what the first has locked"
    assert "fits: 6 images" in project.call("lock", "--check").stdout
    assert sorted(each.name for each in project.folder.iterdir()) == ["compose.yaml", "envspin.lock"]


@pytest.fixture
def small_volume():
    """A file system of 200 KB, in which the test works."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "envspin", folder], check=False)
        if mounted.returncode:
            pytest.skip("mounting a small file system needs root")
        before = Path.cwd()
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)
            subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_the_old_lock(project, small_volume):
    os.chdir(project.folder)
    project.lock()
    os.chdir(small_volume)
    for name in ("compose.yaml", "envspin.lock"):
        (small_volume / name).write_bytes((project.folder / name).read_bytes())
    before = (small_volume / "envspin.lock").read_bytes()
    project.push("says version 2", "1")
    with (small_volume / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))
    told = project.call("lock", "--upgrade", code=5).stderr
    assert "No space left on device" in told
    assert "what was there before is unchanged" in told
    assert (small_volume / "envspin.lock").read_bytes() == before
    assert sorted(each.name for each in small_volume.iterdir()) == ["compose.yaml", "envspin.lock", "filler"]
    assert "cannot be written" in project.call("bundle", "-o", "x.tar", code=2).stderr
