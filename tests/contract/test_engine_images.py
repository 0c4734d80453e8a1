"""Images, as ``envspin.engine.base`` promises them: finding, pulling, building, and hashing builds."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import secrets
import socket
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker
import pytest

from envspin.engine.base import BuildRequest, Engine
from envspin.engine.docker import DockerEngine
from envspin.engine.docker.context import hash_build
from envspin.engine.fake import FakeEngine, FakeImage
from envspin.errors import EngineError, ImageError, Interrupted
from envspin.model import Healthcheck, Port

from .images import BROKEN, DERIVED, DERIVED_REQUEST, TESTBOX
from .lab import Lab, run_bounded

NAMES = ("thing", "other")
DOCKER_TYPE = "application/vnd.docker"
TLS_HANDSHAKE = b"\x16"
"""The first byte of a TLS connection (RFC 8446, section 5.1)."""


class Registry:
    """A registry on loopback that holds one image under two names; it can also keep its callers waiting.

    ``thing:1`` and ``other:1`` have the same content, so an engine gives them one id, but manifests of their own.
    """

    def __init__(self) -> None:
        layer_tar = io.BytesIO()
        with tarfile.open(fileobj=layer_tar, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("empty"), io.BytesIO())
        config = describe_image(layer_tar.getvalue())
        layers = {name: gzip.compress(layer_tar.getvalue(), mtime=mtime) for mtime, name in enumerate(NAMES)}
        self.blobs = {digest_of(blob): blob for blob in (config, *layers.values())}
        self.manifests = {name: describe_manifest(config, layer) for name, layer in layers.items()}
        self.is_stalled = False
        self.asked = threading.Event()
        self.released = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.make_handler())
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def make_handler(self) -> type[BaseHTTPRequestHandler]:
        """Return the request handler, bound to this registry."""
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                # The engine tries TLS first; without this, reading its hello as a request line would wait for more.
                if self.connection.recv(1, socket.MSG_PEEK) != TLS_HANDSHAKE:
                    with contextlib.suppress(BrokenPipeError):
                        super().handle()

            def do_GET(self) -> None:
                registry.asked.set()
                if registry.is_stalled:
                    registry.released.wait()
                registry.answer(self)

            do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        return Handler

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request of the distribution protocol."""
        content, kind = self.blobs.get(handler.path.rpartition("/")[2]), "application/octet-stream"
        for name, manifest in self.manifests.items():
            if handler.path in {f"/v2/{name}/manifests/{tag}" for tag in ("1", digest_of(manifest))}:
                content, kind = manifest, f"{DOCKER_TYPE}.distribution.manifest.v2+json"
        if handler.path == "/v2/":
            content, kind = b"{}", "application/json"
        handler.send_response(404 if content is None else 200)
        body = b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}' if content is None else content
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Docker-Content-Digest", digest_of(body))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(body)

    def close(self) -> None:
        """Let everybody go."""
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def describe_image(layer_tar: bytes) -> bytes:
    """Return the configuration of an image with one layer; it differs from run to run, so that its id does."""
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {"origin": "registry", "run": secrets.token_hex(4)}},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer_tar)]},
    }
    return json.dumps(document).encode()


def describe_manifest(config: bytes, layer: bytes) -> bytes:
    """Return a manifest in the form of Docker's image manifest, version 2, schema 2."""
    parts = {
        "config": {"mediaType": f"{DOCKER_TYPE}.container.image.v1+json", **describe_blob(config)},
        "layers": [{"mediaType": f"{DOCKER_TYPE}.image.rootfs.diff.tar.gzip", **describe_blob(layer)}],
    }
    kind = f"{DOCKER_TYPE}.distribution.manifest.v2+json"
    return json.dumps({"schemaVersion": 2, "mediaType": kind, **parts}).encode()


def describe_blob(blob: bytes) -> dict[str, object]:
    """Return a manifest's pointer to a blob."""
    return {"size": len(blob), "digest": digest_of(blob)}


def digest_of(blob: bytes) -> str:
    """Return a blob's name in a registry."""
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


@pytest.fixture
def registry() -> Iterator[Registry]:
    """Serve a registry on loopback."""
    made = Registry()
    yield made
    made.close()


@pytest.fixture
def puller(engine: Engine, registry: Registry) -> Iterator[Engine]:
    """Give an engine to which the registry's images are known; a real one forgets them afterwards."""
    if isinstance(engine, DockerEngine):
        yield engine
        with contextlib.closing(docker.DockerClient(base_url=engine.info().address)) as client:
            for image in client.images.list(filters={"label": "origin=registry"}):
                if any(tag.startswith(registry.address) for tag in (*image.tags, *image.attrs["RepoDigests"])):
                    client.images.remove(str(image.id), force=True)
        return
    labels = {"origin": "registry"}
    known = {
        f"{registry.address}/{name}:1": FakeImage(stored=False, digest=digest_of(manifest), labels=labels)
        for name, manifest in registry.manifests.items()
    }
    with contextlib.closing(
        FakeEngine({**known, f"{registry.address}/slow:1": FakeImage(stored=False, pull_seconds=3600)})
    ) as made:
        yield made


def test_unknown_image_is_not_found(engine: Engine) -> None:
    assert engine.find_image("envspin-contract-unknown:1") is None
    assert engine.find_image("envspin-contract-unknown@sha256:" + "0" * 64) is None


def test_image_is_found_by_name_and_id(lab: Lab) -> None:
    found = lab.engine.find_image(TESTBOX)
    assert found is not None
    assert found.ports == (Port(8000),)
    assert found.name == TESTBOX
    assert found.digest is None
    assert found.platform.startswith("linux/")
    assert lab.engine.find_image(found.id) == found


def test_built_image_tells_what_it_declares(engine: Engine) -> None:
    built = engine.build(DERIVED_REQUEST)
    assert built == engine.find_image(DERIVED)
    assert built.ports == (Port(53, "udp"), Port(8000), Port(9000))
    assert built.volumes == ("/state",)
    assert built.environment["COLOUR"] == "blue"
    assert built.labels.items() >= {"written": "in Dockerfile", "asked": "in request"}.items()
    check = built.healthcheck
    assert check == Healthcheck(("CMD-SHELL", "true"), interval=7.0, timeout=2.0, retries=4, start_period=1.5)


def test_build_tells_its_progress(engine: Engine) -> None:
    told: list[tuple[str, float | None]] = []
    engine.build(DERIVED_REQUEST, on_progress=lambda status, fraction: told.append((status, fraction)))
    assert told
    assert all(status for status, _ in told)
    assert all(fraction is None or 0 <= fraction <= 1 for _, fraction in told)


def test_failing_build_says_what_failed(engine: Engine, tmp_path: Path) -> None:
    request = BuildRequest(
        BROKEN, tmp_path, dockerfile_inline=f"FROM {TESTBOX}\nRUN echo last words; exit 7\n", no_cache=True
    )
    with pytest.raises(ImageError, match="last words") as caught:
        engine.build(request)
    assert "7" in str(caught.value)
    assert engine.find_image(BROKEN) is None


def test_build_without_dockerfile_is_an_image_error(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        engine.build(BuildRequest("envspin-contract-nothing:1", tmp_path))


def test_cancelled_build_is_interrupted(engine: Engine) -> None:
    with pytest.raises(Interrupted):
        engine.build(dataclasses.replace(DERIVED_REQUEST, no_cache=True), is_cancelled=lambda: True)


def test_hash_of_a_build_follows_what_it_depends_on(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {TESTBOX}\nCOPY data /data\n")
    (tmp_path / "data").write_text("one")
    request = BuildRequest("envspin-contract-hashed:1", tmp_path)
    first = hash_build(request, engine.find_image).whole
    assert hash_build(request, engine.find_image).whole == first
    assert hash_build(dataclasses.replace(request, args={"COLOUR": "red"}), engine.find_image).whole != first
    assert hash_build(dataclasses.replace(request, target="other"), engine.find_image).whole != first
    (tmp_path / "data").write_text("two")
    assert hash_build(request, engine.find_image).whole != first


def test_hash_of_a_build_without_dockerfile_is_an_image_error(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        hash_build(BuildRequest("envspin-contract-nothing:1", tmp_path), engine.find_image)


def test_pull_brings_the_image_into_the_store(puller: Engine, registry: Registry) -> None:
    reference = f"{registry.address}/thing:1"
    assert puller.find_image(reference) is None
    told: list[float | None] = []
    pulled = puller.pull(reference, on_progress=lambda _status, fraction: told.append(fraction))
    assert pulled == puller.find_image(reference)
    assert pulled.digest == digest_of(registry.manifests["thing"])
    assert pulled.labels["origin"] == "registry"
    assert told
    assert all(fraction is None or 0 <= fraction <= 1 for fraction in told)


def test_pull_by_digest(puller: Engine, registry: Registry) -> None:
    digest = digest_of(registry.manifests["thing"])
    pulled = puller.pull(f"{registry.address}/thing@{digest}")
    assert pulled.digest == digest
    assert puller.find_image(f"{registry.address}/thing@{digest}") == pulled


def test_digest_is_that_of_the_asked_repository(puller: Engine, registry: Registry) -> None:
    digests = {name: digest_of(manifest) for name, manifest in registry.manifests.items()}
    assert len(set(digests.values())) == 2
    assert {name: puller.pull(f"{registry.address}/{name}:1").digest for name in NAMES} == digests
    found = {name: puller.find_image(f"{registry.address}/{name}:1") for name in NAMES}
    assert {name: image.digest for name, image in found.items() if image} == digests


@pytest.mark.parametrize("name", ["thing:2", "nothing:1", "thing@sha256:" + "0" * 64])
def test_pull_of_what_is_not_there_says_what_to_check(puller: Engine, registry: Registry, name: str) -> None:
    with pytest.raises(ImageError, match=name.partition("@")[0]) as caught:
        puller.pull(f"{registry.address}/{name}")
    assert caught.value.hint


def test_pull_from_a_registry_that_does_not_answer(engine: Engine) -> None:
    with pytest.raises(ImageError) as caught:
        engine.pull("127.0.0.1:1/thing:1")
    assert caught.value.hint


def test_pull_of_a_malformed_reference_is_an_image_error(engine: Engine) -> None:
    with pytest.raises(ImageError):
        engine.pull("Not A Reference")


def test_cancelled_pull_ends_soon(puller: Engine, registry: Registry) -> None:
    registry.is_stalled = True
    cancelled = threading.Event()

    def pull() -> type[BaseException]:
        try:
            puller.pull(f"{registry.address}/slow:1", is_cancelled=cancelled.is_set)
        except (EngineError, Interrupted) as error:
            return type(error)
        return AssertionError

    def cancel() -> None:
        if isinstance(puller, DockerEngine):
            assert registry.asked.wait(30)
        cancelled.set()

    assert run_bounded(pull, cancel) is Interrupted
