"""`envspin lock` on registries that fail: what the user reads, exit code 4, and the old lock as it was."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from envspin.cli import context as cli_context
from envspin.cli.app import cli
from envspin.errors import EngineUnreachableError
from envspin.run import locking

from .server import OCI_INDEX, Reply, fail


@pytest.fixture
def project(tmp_path, monkeypatch, registry, client):
    """A locked folder whose image the registry has, without an engine."""

    def connect():
        raise EngineUnreachableError("no engine")

    monkeypatch.setattr(cli_context, "connect_engine", connect)
    monkeypatch.setattr(locking, "RegistryClient", lambda **_: client)
    monkeypatch.setattr(client, "close", lambda: None)
    monkeypatch.setattr(locking, "name_own_platform", lambda: "linux/amd64")
    monkeypatch.setenv("ENVSPIN_STATE_DIR", str(tmp_path / "state"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    registry.push_image("team/app", "1")
    (folder / "compose.yaml").write_text(f"services:\n  app:\n    image: {registry.host}/team/app:1\n")
    assert call("lock").exit_code == 0
    registry.seen.clear()
    return folder


def call(*words: str):
    result = CliRunner().invoke(cli, words)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


INDEX_OF_ARM = b"""{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:%s", "size": 1,
     "platform": {"os": "linux", "architecture": "arm64"}}]}""" % (b"a" * 64)


@pytest.mark.parametrize(
    ("reply", "said", "advice"),
    [
        (fail(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="x"'), "login", "`docker login "),
        (fail(403, "DENIED"), "403", "login"),
        (fail(404, "MANIFEST_UNKNOWN"), "has no tag 1", "check"),
        (fail(404, "NAME_UNKNOWN"), "team/app", "check"),
        (fail(429, "TOOMANYREQUESTS", Retry_After="3600"), "429", "mirror"),
        (fail(500), "500", "later"),
        (Reply(307, {"Location": "/v2/team/app/manifests/1"}), "redirects in a circle", "who runs it"),
        (Reply(200, {"Content-Type": OCI_INDEX}, b'{"schemaVersion": 2,', missing=100), "broke off", "again"),
        (Reply(200, {"Content-Type": OCI_INDEX}, INDEX_OF_ARM), "linux/arm64", "platform"),
        (Reply(is_dropped=True), "", "network"),
    ],
    ids=["401", "403", "404 tag", "404 repository", "429", "500", "redirect", "truncated", "platform", "hang-up"],
)
def test_a_failure_is_told_with_what_was_tried_and_what_to_do(project, registry, reply, said, advice):
    before = (project / "envspin.lock").read_bytes()
    registry.always("", reply)
    registry.gives_digest = False
    result = call("lock", "--upgrade")
    assert result.exit_code == 4, result.stderr
    assert said in result.stderr
    assert f"http://{registry.host}/v2/team/app/manifests/1" in result.stderr
    assert advice in result.stderr.partition("hint: ")[2], result.stderr
    assert (project / "envspin.lock").read_bytes() == before
    assert sorted(each.name for each in project.iterdir()) == ["compose.yaml", "envspin.lock"]
    assert call("lock", "--check").exit_code == 0
