"""What a reference stands for: digests, platforms, sizes, with as few requests as that takes."""

from __future__ import annotations

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from envspin.errors import ManifestNotFoundError, RegistryError
from envspin.plan.lock import Manifest
from envspin.reference import Reference

from .server import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Reply, fail, hash_of

UNKNOWN = "unknown/unknown"


def push_two(registry, tag="1", **options):
    one = registry.push_image("team/app", platform="linux/amd64", layers=(10, 20))
    two = registry.push_image("team/app", platform="linux/arm64", layers=(30,))
    index = registry.push_index(
        "team/app", tag, [one.describe("linux/amd64"), two.describe("linux/arm64/v8")], **options
    )
    return index, one, two


def test_the_digest_of_a_tag_takes_one_head(registry, client, app):
    index, _, _ = push_two(registry)
    assert client.find_digest(app) == index.digest
    assert registry.methods == ["HEAD"]


def test_all_four_forms_are_accepted(registry, client, app):
    push_two(registry)
    client.find_digest(app)
    accepted = registry.seen[0].headers["Accept"]
    assert all(each in accepted for each in (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))


def test_a_registry_that_gives_no_digest_is_asked_for_the_body(registry, client, app):
    index, _, _ = push_two(registry)
    registry.gives_digest = False
    assert client.find_digest(app) == index.digest
    assert registry.methods == ["HEAD", "GET"]


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_registry_that_does_not_know_head_is_asked_for_the_body(registry, client, app, status):
    index, _, _ = push_two(registry)
    registry.always("", Reply(status), method="HEAD")
    assert client.find_digest(app) == index.digest
    assert registry.methods == ["HEAD", "GET"]


def test_a_digest_that_is_none_is_not_believed(registry, client, app):
    index, _, _ = push_two(registry)
    registry.script("", Reply(200, {"Docker-Content-Digest": "md5:123"}), method="HEAD")
    registry.gives_digest = False
    assert client.find_digest(app) == index.digest


@pytest.mark.parametrize(("lists", "kind"), [(OCI_INDEX, OCI_MANIFEST), (DOCKER_LIST, DOCKER_MANIFEST)])
def test_each_platform_of_an_index_is_found(registry, client, app, lists, kind):
    one = registry.push_image("team/app", platform="linux/amd64", layers=(10, 20), media_type=kind)
    two = registry.push_image("team/app", platform="linux/arm64", layers=(30,), media_type=kind)
    entries = [one.describe("linux/amd64"), two.describe("linux/arm64/v8")]
    index = registry.push_index("team/app", "1", entries, media_type=lists)
    found = client.resolve(app, ["linux/amd64", "linux/aarch64"])
    assert found.digest == index.digest
    assert found.manifests == {
        "linux/amd64": Manifest(one.digest, one.config, one.size),
        "linux/arm64": Manifest(two.digest, two.config, two.size),
    }


def test_a_tag_is_asked_for_by_head_and_everything_else_by_digest(registry, client, app):
    index, one, _ = push_two(registry)
    client.resolve(app, ["linux/amd64"])
    asked = [(seen.method, seen.path.rpartition("/")[2]) for seen in registry.seen]
    assert asked == [("HEAD", "1"), ("GET", index.digest), ("GET", one.digest)]


def test_what_the_body_had_to_tell_is_not_asked_for_again(registry, client, app):
    _, one, _ = push_two(registry)
    registry.gives_digest = False
    client.resolve(app, ["linux/amd64"])
    asked = [(seen.method, seen.path.rpartition("/")[2]) for seen in registry.seen]
    assert asked == [("HEAD", "1"), ("GET", "1"), ("GET", one.digest)]


def test_a_reference_with_a_digest_asks_for_no_tag(registry, client, app):
    index, one, _ = push_two(registry, tag="moved")
    pinned = Reference(app.registry, app.repository, "1", index.digest)
    assert client.resolve(pinned, ["linux/amd64"]).manifests["linux/amd64"].digest == one.digest
    assert registry.methods == ["GET", "GET"]
    assert client.find_digest(pinned) == index.digest


def test_a_single_manifest_tells_its_platform_by_its_configuration(registry, client, app):
    image = registry.push_image("team/app", "1", "linux/arm64/v8")
    found = client.resolve(app, ["linux/arm64"])
    assert found.digest == image.digest
    assert found.manifests == {"linux/arm64": Manifest(image.digest, image.config, image.size)}
    assert registry.methods == ["HEAD", "GET", "GET"]


def test_a_newer_arm_runs_what_an_older_one_does_and_the_best_is_chosen(registry, client, app):
    v5 = registry.push_image("team/app", platform="linux/arm/v5")
    v6 = registry.push_image("team/app", platform="linux/arm/v6")
    registry.push_index("team/app", "1", [v5.describe("linux/arm/v5"), v6.describe("linux/arm/v6")])
    assert client.resolve(app, ["linux/arm/v7"]).manifests["linux/arm/v7"].digest == v6.digest
    with pytest.raises(RegistryError, match="no image for linux/arm64"):
        client.resolve(app, ["linux/arm64"])


def test_the_same_platform_written_twice_is_asked_for_once(registry, client, app):
    push_two(registry)
    assert list(client.resolve(app, ["linux/x86_64", "amd64"]).manifests) == ["linux/amd64"]
    assert registry.methods == ["HEAD", "GET", "GET"]


def test_attestations_and_artifacts_are_no_images(registry, client, app):
    image = registry.push_image("team/app", platform="linux/amd64")
    other = registry.push_image("team/app", platform="linux/amd64", layers=(1,))
    entries = [
        other.describe(UNKNOWN, annotations={"vnd.docker.reference.type": "attestation-manifest"}),
        other.describe("linux/amd64", artifactType="application/spdx+json"),
        image.describe("linux/amd64"),
    ]
    registry.push_index("team/app", "1", entries)
    assert client.resolve(app, ["linux/amd64"]).manifests["linux/amd64"].digest == image.digest


def test_an_index_without_the_platform_says_what_it_has(registry, client, app):
    push_two(registry)
    with pytest.raises(RegistryError) as caught:
        client.resolve(app, ["linux/s390x", "linux/amd64", "linux/ppc64le"])
    assert caught.value.message == f"{app} has no image for linux/s390x, linux/ppc64le"
    assert "it has: linux/amd64, linux/arm64" in caught.value.context
    assert "`platform: linux/amd64`" in caught.value.hint
    assert caught.value.exit_code == 4


def test_a_single_manifest_of_another_platform_says_which(registry, client, app):
    registry.push_image("team/app", "1", "linux/arm64")
    with pytest.raises(RegistryError) as caught:
        client.resolve(app, ["linux/amd64"])
    assert "it has: linux/arm64" in caught.value.context


def test_an_index_in_an_index_is_not_followed_and_that_is_said(registry, client, app):
    inner, _, _ = push_two(registry, tag="inner")
    registry.push_index("team/app", "1", [inner.describe("linux/amd64")])
    with pytest.raises(RegistryError) as caught:
        client.resolve(app, ["linux/amd64"])
    assert "it also lists other indexes, which are not followed" in caught.value.context


def test_an_index_that_calls_an_index_a_manifest_is_refused(registry, client, app):
    inner, _, _ = push_two(registry, tag="inner")
    registry.push_index("team/app", "1", [{**inner.describe("linux/amd64"), "mediaType": OCI_MANIFEST}])
    with pytest.raises(RegistryError, match="lists an index where"):
        client.resolve(app, ["linux/amd64"])


@pytest.mark.parametrize("part", ["manifests/sha256", "blobs/"])
def test_content_with_another_digest_is_refused(registry, client, app, part):
    image = registry.push_image("team/app", "1")
    forged = image.body.replace(b"1000", b"1001") if "manifests" in part else b'{"os":"linux","architecture":"amd64"}'
    registry.always(part, Reply(200, {"Content-Type": OCI_MANIFEST}, forged), method="GET")
    with pytest.raises(RegistryError, match="is not what was asked for") as caught:
        client.resolve(app, ["linux/amd64"])
    wanted = image.digest if "manifests" in part else image.config
    assert f"asked for {wanted}" in caught.value.context
    assert f"received  {hash_of(forged)}" in caught.value.context
    assert registry.count(part) == 1


def test_a_head_that_answers_with_another_digest_than_asked_is_refused(registry, client, app):
    image = registry.push_image("team/app", "1")
    registry.always("", Reply(200, {"Docker-Content-Digest": hash_of(b"other")}), method="HEAD")
    with pytest.raises(RegistryError, match="another digest"):
        client.find_digest(app.at(image.digest))


def test_a_digest_in_the_header_that_the_body_does_not_have_is_refused(registry, client, app):
    registry.push_image("team/app", "1")
    registry.always("", Reply(405), method="HEAD")
    body = b'{"schemaVersion": 2}'
    registry.always("", Reply(200, {"Docker-Content-Digest": hash_of(b"other")}, body), method="GET")
    with pytest.raises(RegistryError, match="another digest"):
        client.find_digest(app)


def test_digests_of_sha512_are_checked_too(registry, client, app):
    image = registry.push_image("team/app", "1")
    digest = f"sha512:{hashlib.sha512(image.body).hexdigest()}"
    registry.put(f"/v2/team/app/manifests/{digest}", image.body, OCI_MANIFEST)
    registry.gives_digest = False
    assert client.resolve(app.at(digest), ["linux/amd64"]).digest == digest
    wrong = f"sha512:{hashlib.sha512(b'').hexdigest()}"
    registry.put(f"/v2/team/app/manifests/{wrong}", image.body, OCI_MANIFEST)
    with pytest.raises(RegistryError, match="another digest"):
        client.resolve(app.at(wrong), ["linux/amd64"])


def test_schema_1_is_refused_with_an_explanation(registry, client, app):
    kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    registry.push("team/app", "1", {"schemaVersion": 1, "fsLayers": []}, kind)
    for ask in (client.find_digest, lambda reference: client.resolve(reference, ["linux/amd64"])):
        with pytest.raises(RegistryError, match="schema 1") as caught:
            ask(app)
        assert "push it again" in caught.value.hint


def test_schema_1_is_told_before_its_digest_that_fits_no_body(registry, client, app):
    body = json.dumps({"schemaVersion": 1, "signatures": []}).encode()
    registry.always("", Reply(200, {"Docker-Content-Digest": hash_of(b"payload")}, body))
    with pytest.raises(RegistryError, match="schema 1"):
        client.resolve(app, ["linux/amd64"])


def test_a_manifest_of_more_than_4_mib_is_not_read(registry, client, app):
    registry.push("team/app", "1", {"config": {}, "layers": [], "padding": "x" * (4 << 20)}, OCI_MANIFEST)
    with pytest.raises(RegistryError, match="more than 4096 KiB"):
        client.resolve(app, ["linux/amd64"])


def test_a_configuration_of_more_than_8_mib_is_not_read(registry, client, app):
    registry.push_image("team/app", "1")
    registry.always("blobs/", Reply(body=b" " * ((8 << 20) + 1)))
    with pytest.raises(RegistryError, match="more than 8192 KiB"):
        client.resolve(app, ["linux/amd64"])


def test_what_is_not_there_is_asked_for_once_and_explained_by_get(registry, client, app):
    with pytest.raises(ManifestNotFoundError):
        client.find_digest(app)
    assert registry.methods == ["HEAD", "GET"]


def test_a_digest_that_is_gone_is_told_as_such(registry, client, app):
    _, one, _ = push_two(registry)
    registry.always(one.digest, fail(404, "MANIFEST_UNKNOWN"))
    with pytest.raises(ManifestNotFoundError, match=f"has no digest {one.digest} of {app.name}"):
        client.resolve(app, ["linux/amd64"])


def test_many_threads_may_ask_one_client(registry, client):
    images = {number: registry.push_image("team/app", str(number), layers=(number,)) for number in range(20)}
    barrier = threading.Barrier(20)

    def ask(number):
        barrier.wait()
        reference = Reference.parse(f"{registry.host}/team/app:{number}")
        return number, client.resolve(reference, ["linux/amd64"]).digest

    with ThreadPoolExecutor(20) as pool:
        assert dict(pool.map(ask, images)) == {number: image.digest for number, image in images.items()}


def test_a_closed_client_answers_no_more_and_says_so(registry, client, app):
    registry.push_image("team/app", "1")
    client.find_digest(app)
    client.close()
    with pytest.raises(RegistryError, match="was closed"):
        client.find_digest(app)
    assert len(registry.seen) == 1


def test_connections_are_kept_from_one_request_to_the_next(registry, client, app):
    ports = set()
    registry.push_image("team/app", "1")
    original = registry.handle
    registry.handle = lambda request: (ports.add(request.client_address), original(request))
    client.resolve(app, ["linux/amd64"])
    client.resolve(app, ["linux/amd64"])
    assert len(ports) <= 2  # one that was no TLS, one for all the rest
    assert len(registry.seen) == 6
