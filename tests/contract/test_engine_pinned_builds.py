"""Builds whose base images are pinned, as ``envspin.engine.base`` promises them."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from envspin.engine.base import BuildRequest, Engine
from envspin.engine.docker import DockerEngine
from envspin.engine.docker.context import hash_build
from envspin.errors import ImageError

from .test_engine_images import Registry, digest_of

REPOSITORY = "envspin-contract-pinned"
UNKNOWN = "envspin-contract-unknown:1"
"""What stands in the Dockerfiles: a build that does not use the pin instead fails."""


class Kitchen:
    """Builds with tags of this test alone."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self._mark = secrets.token_hex(4)
        self.base = self.build("base", f"FROM scratch\nCOPY data /data\nLABEL base={self._mark}\n")

    def request(self, name: str, text: str, **fields: object) -> BuildRequest:
        """Describe a build from a Dockerfile in the context."""
        (self.folder / "data").write_text(self._mark)
        (self.folder / "Dockerfile").write_text(text)
        return BuildRequest(f"{REPOSITORY}:{self._mark}-{name}", self.folder, **fields)  # type: ignore[arg-type]

    def build(self, name: str, text: str, **fields: object) -> str:
        """Build an image; return its id."""
        return self.engine.build(self.request(name, text, **fields)).id

    def clean(self) -> None:
        """Remove the images from a real engine, the youngest first."""
        if isinstance(self.engine, DockerEngine):
            with contextlib.closing(docker.APIClient(base_url=self.engine.info().address)) as client:
                for image in client.images(filters={"reference": f"{REPOSITORY}:{self._mark}-*"}):
                    for tag in image["RepoTags"]:  # by id it would stay while another one is built on it
                        client.remove_image(tag)


@pytest.fixture
def kitchen(engine: Engine, tmp_path: Path) -> Iterator[Kitchen]:
    made = Kitchen(engine, tmp_path)
    yield made
    made.clean()


def read_base_label(kitchen: Kitchen, image_id: str) -> str:
    """Return the label that an image has from its base; the in-memory engine's builds inherit nothing."""
    found = kitchen.engine.find_image(image_id)
    assert found is not None
    return found.labels.get("base", "") if isinstance(kitchen.engine, DockerEngine) else kitchen._mark


@pytest.mark.parametrize("kind", ["id", "tag"])
def test_a_build_uses_the_pin_instead_of_what_the_dockerfile_names(kitchen: Kitchen, kind: str) -> None:
    pin = kitchen.base if kind == "id" else f"{REPOSITORY}:{kitchen._mark}-base"
    text = (
        f"ARG BASE={UNKNOWN}\nfrom --platform=linux/amd64 \\\n  ${{BASE}} as one\nLABEL own=1\nFROM one\nLABEL two=2\n"
    )
    built = kitchen.build("from", text, bases={UNKNOWN: pin}, pull=True)
    assert read_base_label(kitchen, built) == kitchen._mark


def test_copies_come_from_the_pin(kitchen: Kitchen) -> None:
    text = f"FROM scratch\nCOPY --from={UNKNOWN} /data /copied\n"
    assert kitchen.build("copy", text, bases={UNKNOWN: kitchen.base})


def test_ignored_files_stay_ignored_and_the_dockerfile_may_be_one_of_them(kitchen: Kitchen) -> None:
    (kitchen.folder / ".dockerignore").write_text("Dockerfile\nsecret\n")
    (kitchen.folder / "secret").write_text("secret")
    request = kitchen.request("ignored", f"FROM {UNKNOWN}\nCOPY data /again\n", bases={UNKNOWN: kitchen.base})
    assert kitchen.engine.build(request)
    if isinstance(kitchen.engine, DockerEngine):
        with pytest.raises(ImageError, match="secret"):
            kitchen.build("secret", f"FROM {UNKNOWN}\nCOPY secret /s\n", bases={UNKNOWN: kitchen.base})


def test_an_unchanged_pinned_build_comes_from_the_cache(kitchen: Kitchen) -> None:
    (kitchen.folder / ".dockerignore").write_text("secret\n")
    request = kitchen.request("cached", f"FROM {UNKNOWN}\nCOPY . /all/\n", bases={UNKNOWN: kitchen.base})
    assert kitchen.engine.build(request).id == kitchen.engine.build(request).id


def test_a_pin_that_nobody_has_is_an_image_error(kitchen: Kitchen) -> None:
    pin = f"127.0.0.1:1/thing@sha256:{'0' * 64}"
    with pytest.raises(ImageError):
        kitchen.build("missing", f"FROM {UNKNOWN}\n", bases={UNKNOWN: pin})


def test_the_hash_of_a_pinned_build_is_that_of_its_pins(kitchen: Kitchen) -> None:
    name = f"{REPOSITORY}:{kitchen._mark}-base"
    request = kitchen.request("hashed", f"FROM {name}\nCOPY --from={UNKNOWN} /data /data\n")
    hashes = [
        hash_build(dataclasses.replace(request, bases=bases), kitchen.engine.find_image).whole
        for bases in ({}, {name: kitchen.base}, {name: "sha256:1"}, {UNKNOWN: kitchen.base}, {"other:1": "sha256:1"})
    ]
    free, as_held, other, copied, unrelated = hashes
    assert free == as_held == unrelated
    assert len({free, other, copied}) == 3


@pytest.mark.engine
def test_a_base_that_is_held_by_digest_alone_needs_no_registry_any_more(
    docker_connection: Engine, tmp_path: Path
) -> None:
    registry = Registry()
    pin = f"{registry.address}/thing@{digest_of(registry.manifests['thing'])}"
    try:
        pulled = docker_connection.pull(pin)
    finally:
        registry.close()
    assert pulled.name == ""
    kitchen = Kitchen(docker_connection, tmp_path)
    try:
        text = f"FROM {UNKNOWN}\nCOPY --from={UNKNOWN} /empty /copied\n"
        built = kitchen.build("digest", text, bases={UNKNOWN: pin}, pull=True)
        found = docker_connection.find_image(built)
        assert found is not None
        assert found.labels["run"] == pulled.labels["run"]
    finally:
        kitchen.clean()
        with contextlib.closing(docker.APIClient(base_url=docker_connection.info().address)) as client:
            client.remove_image(pin)
