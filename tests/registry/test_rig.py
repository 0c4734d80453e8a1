"""The rig itself: a registry that is real, images that are real, and records that tell what was asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import requests

from envspin.engine.base import Engine
from tests.contract.lab import Lab

from .certificates import Certificates
from .engine_images import announce, export_from_engine, open_client, remove_pulled
from .publishing import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Image,
    digest_of,
    make_image,
    move_tag,
    push,
    push_blob,
    push_index,
    variant,
)
from .server import PASSWORD, USERNAME, RegistryServer

ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}
Namer = Callable[..., str]


@pytest.fixture
def lab(real_engine: Engine, pulled_removed: None) -> Iterator[Lab]:
    """Give containers on the real engine, which are gone before their images go."""
    made = Lab(real_engine)
    yield made
    made.clean()


def ask(
    server: RegistryServer, method: str, path: str, *, host: str = "127.0.0.1", **options: Any
) -> requests.Response:
    """Send a request as anybody, not as the rig."""
    url = f"{server.url.replace('127.0.0.1', host)}/v2/{path}"
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, headers=ACCEPT, timeout=30, **options)


def digest_behind(server: RegistryServer, repository: str, name: str) -> str:
    """Return the digest that the registry gives for a tag."""
    answer = ask(server, "HEAD", f"{repository}/manifests/{name}")
    assert answer.ok
    return answer.headers["Docker-Content-Digest"]


@pytest.mark.parametrize(("docker", "media_type"), [(False, OCI_MANIFEST), (True, DOCKER_MANIFEST)])
def test_pushed_image_is_served_by_tag_and_by_digest(
    registry: RegistryServer, fresh_repository: Namer, *, docker: bool, media_type: str
) -> None:
    image = make_image(files={"/hello": b"hello"}, labels={"colour": "red"}, docker=docker)
    repository = fresh_repository()
    digest = push(registry, repository, image, "1")
    by_tag, by_digest = (ask(registry, "GET", f"{repository}/manifests/{name}") for name in ("1", digest))
    assert by_tag.content == by_digest.content == image.manifest
    assert by_tag.headers["Content-Type"] == media_type
    assert by_tag.headers["Docker-Content-Digest"] == digest == image.digest == digest_of(by_tag.content)
    config = ask(registry, "GET", f"{repository}/blobs/{image.config_digest}")
    assert config.json()["config"]["Labels"] == {"colour": "red"}
    listed = by_tag.json()
    assert image.size == listed["config"]["size"] + sum(layer["size"] for layer in listed["layers"])


def test_same_arguments_make_the_same_image_and_any_other_another() -> None:
    def make(**changes: Any) -> Image:
        return make_image(**{"files": {"/a": b"1", "/b": b"2"}, "labels": {"x": "1"}, **changes})

    first = make()
    assert make(files={"/b": b"2", "/a": b"1"}) == first
    others = [
        make(files={"/a": b"2", "/b": b"2"}),
        make(labels={"x": "2"}),
        make(platform="linux/arm64"),
        make(command=["/a"]),
        make(settings={"Env": ["A=1"]}),
        make(docker=True),
        variant(first, files={"/c": b"3"}),
    ]
    assert len({each.digest for each in (first, *others)}) == 8


def test_variant_keeps_the_layers_and_changes_what_is_named() -> None:
    first = make_image(files={"/a": b"1"}, labels={"x": "1"}, platform="linux/arm/v7", command=["/a"])
    second = variant(first, files={"/b": b"2"}, labels={"y": "2"}, platform="linux/amd64", command=["/b"])
    document = json.loads(second.config)
    assert first.platform == "linux/arm/v7"
    assert second.platform == "linux/amd64"
    assert second.layers[0] == first.layers[0]
    assert document["rootfs"]["diff_ids"] == [layer.diff_id for layer in second.layers]
    assert document["config"]["Labels"] == {"x": "1", "y": "2"}
    assert document["config"]["Cmd"] == ["/b"]


@pytest.mark.parametrize(("docker", "media_type"), [(False, OCI_INDEX), (True, DOCKER_INDEX)])
def test_index_lists_its_platforms(
    registry: RegistryServer, fresh_repository: Namer, *, docker: bool, media_type: str
) -> None:
    images = {name: make_image(platform=name, docker=docker) for name in ("linux/amd64", "linux/arm/v7")}
    repository = fresh_repository()
    digest = push_index(registry, repository, images, tag="1", docker=docker)
    answer = ask(registry, "GET", f"{repository}/manifests/1")
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Docker-Content-Digest"] == digest
    entries = answer.json()["manifests"]
    assert [entry["digest"] for entry in entries] == [image.digest for image in images.values()]
    assert entries[1]["platform"] == {"os": "linux", "architecture": "arm", "variant": "v7"}
    for image in images.values():
        assert ask(registry, "GET", f"{repository}/manifests/{image.digest}").content == image.manifest


def test_attestations_stand_in_the_index_beside_the_images(registry: RegistryServer, fresh_repository: Namer) -> None:
    image = make_image()
    repository = fresh_repository()
    push_index(registry, repository, {"linux/amd64": image}, tag="1", attestations=True)
    first, second = ask(registry, "GET", f"{repository}/manifests/1").json()["manifests"]
    assert first["digest"] == image.digest
    assert second["platform"] == {"os": "unknown", "architecture": "unknown"}
    assert second["annotations"]["vnd.docker.reference.digest"] == image.digest
    statement = ask(registry, "GET", f"{repository}/manifests/{second['digest']}").json()["layers"][0]
    assert statement["mediaType"] == "application/vnd.in-toto+json"


def test_moved_tag_leads_to_the_other_digest_and_the_first_stays(
    registry: RegistryServer, fresh_repository: Namer
) -> None:
    repository = fresh_repository()
    old = push(registry, repository, make_image(labels={"version": "1"}), "stable")
    new = push_index(registry, repository, {"linux/amd64": make_image(labels={"version": "2"})})
    assert digest_behind(registry, repository, "stable") == old
    move_tag(registry, repository, "stable", new)
    assert digest_behind(registry, repository, "stable") == new
    assert digest_behind(registry, repository, old) == old


def test_deleted_manifest_is_not_found(registry: RegistryServer, fresh_repository: Namer) -> None:
    repository = fresh_repository()
    kept = push(registry, repository, make_image(labels={"version": "1"}), "1")
    gone = push(registry, repository, make_image(labels={"version": "2"}), "2")
    registry.delete_manifest(repository, gone)
    assert ask(registry, "HEAD", f"{repository}/manifests/{gone}").status_code == 404
    assert ask(registry, "HEAD", f"{repository}/manifests/2").status_code == 404
    assert digest_behind(registry, repository, "1") == kept


def test_basic_authentication_lets_only_the_account_in(
    private_registry: RegistryServer, fresh_repository: Namer
) -> None:
    repository = fresh_repository()
    digest = push(private_registry, repository, make_image(), "1")
    path = f"{repository}/manifests/1"
    refused = ask(private_registry, "GET", path)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Basic ")
    assert ask(private_registry, "GET", path, auth=(USERNAME, "wrong")).status_code == 401
    admitted = ask(private_registry, "GET", path, auth=(USERNAME, PASSWORD))
    assert admitted.headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls_is_trusted_with_the_authority_only(
    tls_registry: RegistryServer, certificates: Certificates, fresh_repository: Namer, host: str
) -> None:
    repository = fresh_repository()
    digest = push(tls_registry, repository, make_image(), "1")
    path = f"{repository}/manifests/1"
    answer = ask(tls_registry, "HEAD", path, host=host, verify=str(certificates.authority))
    assert answer.headers["Docker-Content-Digest"] == digest
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        ask(tls_registry, "HEAD", path, host=host)


def test_requests_of_others_are_listed_in_order_and_those_of_the_rig_are_not(
    own_registry: RegistryServer, fresh_repository: Namer
) -> None:
    repository = fresh_repository()
    ask(own_registry, "GET", "")
    own_registry.forget_requests()
    digest = push(own_registry, repository, make_image(), "1")
    assert own_registry.requests() == []
    ask(own_registry, "HEAD", f"{repository}/manifests/1")
    ask(own_registry, "GET", f"{repository}/manifests/{digest}")
    ask(own_registry, "GET", f"{repository}/tags/list?n=1")
    ask(own_registry, "HEAD", f"{repository}/manifests/2")
    expected = [
        ("HEAD", f"/v2/{repository}/manifests/1", 200),
        ("GET", f"/v2/{repository}/manifests/{digest}", 200),
        ("GET", f"/v2/{repository}/tags/list?n=1", 200),
        ("HEAD", f"/v2/{repository}/manifests/2", 404),
    ]
    assert own_registry.requests() == expected
    own_registry.stop()
    assert own_registry.requests() == expected


def test_stopped_registry_refuses_and_has_everything_when_it_is_back(
    own_registry: RegistryServer, fresh_repository: Namer
) -> None:
    repository = fresh_repository()
    digest = push(own_registry, repository, make_image(), "1")
    address = own_registry.address
    own_registry.stop()
    with pytest.raises(requests.ConnectionError):
        ask(own_registry, "HEAD", f"{repository}/manifests/1")
    own_registry.start()
    assert own_registry.address == address
    assert digest_behind(own_registry, repository, "1") == digest
    assert push(own_registry, repository, make_image(labels={"new": "yes"}), "2")


def test_known_layer_reaches_another_repository_without_an_upload(
    registry: RegistryServer, fresh_repository: Namer
) -> None:
    image = make_image(files={"/large": os.urandom(100_000)})
    first, second = fresh_repository("first"), fresh_repository("second")
    push(registry, first, image)
    layer = digest_of(image.layers[0].blob)
    assert ask(registry, "HEAD", f"{second}/blobs/{layer}").status_code == 404
    registry.forget_requests()
    push_blob(registry, second, image.layers[0].blob)
    mounted = f"/v2/{second}/blobs/uploads/?mount={layer.replace(':', '%3A')}&from={quote(first, safe='')}"
    assert registry.requests(with_rig=True)[-1] == ("POST", mounted, 201)
    assert ask(registry, "GET", f"{second}/blobs/{layer}").content == image.layers[0].blob


def test_second_registry_on_a_taken_port_says_so(own_registry: RegistryServer, tmp_path: Path) -> None:
    other = RegistryServer(tmp_path)
    other.port = own_registry.port
    with pytest.raises(RuntimeError, match="address already in use"):
        other.start()


@pytest.mark.usefixtures("registry")
def test_registry_ends_with_a_killed_test_run(tmp_path: Path) -> None:
    program = """
        import signal, sys
        from pathlib import Path
        from tests.registry.server import RegistryServer
        server = RegistryServer(Path(sys.argv[1]))
        server.start()
        print(server._process.pid, flush=True)
        signal.pause()
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as run:
        assert run.stdout is not None
        server = psutil.Process(int(run.stdout.readline()))
        watchers = server.children()
        assert "registry" in server.name()
        assert len(watchers) == 1
        run.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs([server, *watchers], timeout=30)
    left = [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]
    for each in left:
        each.kill()
    assert left == []


@pytest.mark.engine
def test_engine_pulls_an_index_by_tag_and_runs_its_manifest_by_digest(
    lab: Lab, registry: RegistryServer, shell_image: Image, fresh_repository: Namer
) -> None:
    repository = fresh_repository()
    mine = variant(shell_image, command=announce("version 1"), labels={"version": "1"})
    images = {mine.platform: mine, "linux/s390x": variant(mine, platform="linux/s390x")}
    index = push_index(registry, repository, images, tag="1", attestations=True)
    by_digest = registry.reference(repository, mine.digest)
    with open_client(lab.engine) as client:
        pulled = client.images.pull(registry.reference(repository, "1"))
        assert pulled.attrs["RepoDigests"] == [registry.reference(repository, index)]
        assert pulled.labels == {"version": "1"}
        assert client.images.pull(by_digest).id == pulled.id
    container = lab.run(image=by_digest, command=None)
    assert lab.wait_for_line(container, "version") == "version 1"
    assert lab.execute(container, "cat", "/proc/1/comm") == "sh"
    lab.engine.stop(container, grace_seconds=20)
    assert lab.engine.inspect(container).exit_code == 0
    assert ("HEAD", f"/v2/{repository}/manifests/1", 200) in registry.requests()


@pytest.mark.engine
@pytest.mark.parametrize("docker", [False, True])
def test_image_of_the_engine_can_be_published_again(
    lab: Lab, registry: RegistryServer, shell_image: Image, fresh_repository: Namer, *, docker: bool
) -> None:
    repository = fresh_repository()
    name = registry.reference(repository, "1")
    push(registry, repository, variant(shell_image, labels={"version": repository}, docker=docker), "1")
    with open_client(lab.engine) as client:
        client.images.pull(name)
    exported = export_from_engine(lab.engine, name)
    assert [layer.diff_id for layer in exported.layers] == [layer.diff_id for layer in shell_image.layers]
    digest = push(registry, repository, variant(exported, files={"/added": b"yes"}, docker=docker))
    by_digest = registry.reference(repository, digest)
    with open_client(lab.engine) as client:
        client.images.pull(by_digest)
    container = lab.finish("cat", "/added", image=by_digest)
    assert lab.read_lines(container) == ["yes"]


@pytest.mark.engine
@pytest.mark.usefixtures("pulled_removed")
def test_removal_takes_what_came_from_the_registry_and_nothing_else(
    real_engine: Engine, registry: RegistryServer, shell_image: Image, fresh_repository: Namer
) -> None:
    repository = fresh_repository()
    digest = push(registry, repository, variant(shell_image, labels={"version": repository}), "1")
    with open_client(real_engine) as client:
        before = {str(image.id) for image in client.images.list()}
        client.images.pull(registry.reference(repository, digest))
        pulled = client.images.pull(registry.reference(repository, "1"))
        assert str(pulled.id) not in before
        remove_pulled(real_engine, registry.address)
        after = {str(image.id) for image in client.images.list()}
        assert str(pulled.id) not in after
        assert before <= after
