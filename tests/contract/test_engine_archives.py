"""Images as files and under more names, as ``envspin.engine.base`` promises: saved, loaded, tagged."""

from __future__ import annotations

import contextlib
import io
import secrets
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from envspin.engine.base import BuildRequest, Engine, ImageInfo, RegistrySettings
from envspin.engine.docker import DockerEngine
from envspin.engine.fake import FakeEngine, FakeImage
from envspin.errors import ImageError

from .images import DERIVED, TESTBOX
from .lab import Lab

REPOSITORY = "envspin-contract-archived"


class Shelf:
    """Small images of this test alone, and an engine that does not hold them any more."""

    def __init__(self, engine: Engine, connect: Callable[[], Engine], folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self._connect = connect
        self._ids: list[str] = []

    def build(self, tag: str) -> ImageInfo:
        """Build an image that no other test has."""
        text = "FROM scratch\nCOPY file /\nENV A=b\nEXPOSE 53/udp\n"
        labels = {"run": secrets.token_hex(8)}
        (self.folder / "file").write_text("file")
        image = self.engine.build(
            BuildRequest(f"{REPOSITORY}:{tag}", self.folder, dockerfile_inline=text, labels=labels)
        )
        self._ids.append(image.id)
        return image

    def forget(self) -> Engine:
        """Return an engine without the images: another in-memory one, or this one after their removal."""
        if isinstance(self.engine, FakeEngine):
            return self._connect()
        self.remove()
        return self.engine

    def remove(self) -> None:
        """Remove the images from a real engine."""
        if isinstance(self.engine, DockerEngine):
            with contextlib.closing(docker.APIClient(base_url=self.engine.info().address)) as client:
                for image_id in self._ids:
                    with contextlib.suppress(docker.errors.ImageNotFound):
                        client.remove_image(image_id, force=True)


@pytest.fixture
def shelf(engine: Engine, connect: Callable[[], Engine], tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(engine, connect, tmp_path)
    yield made
    made.remove()


def save(engine: Engine, *references: str) -> io.BytesIO:
    """Return the archive of these images."""
    buffer = io.BytesIO()
    engine.save_images(references, buffer.write)
    buffer.seek(0)
    return buffer


def test_saved_images_come_back_with_their_ids_tags_and_settings(shelf: Shelf) -> None:
    built = [shelf.build(tag) for tag in ("1", "2")]
    archive = save(shelf.engine, f"{REPOSITORY}:1", f"{REPOSITORY}:2")
    engine = shelf.forget()
    assert engine.find_image(f"{REPOSITORY}:1") is None
    assert sorted(engine.load_images(archive)) == [f"{REPOSITORY}:1", f"{REPOSITORY}:2"]
    for image in built:
        found = engine.find_image(image.name)
        assert found is not None
        assert found == image
        assert (found.digest, found.digests) == (None, ())


def test_an_image_saved_by_id_is_loaded_without_a_name(shelf: Shelf) -> None:
    image = shelf.build("3")
    archive = save(shelf.engine, image.id)
    engine = shelf.forget()
    assert engine.load_images(archive) == (image.id,)
    found = engine.find_image(image.id)
    assert found is not None
    assert found.name == ""
    assert engine.find_image(image.name) is None
    engine.tag_image(image.id, image.name)
    assert engine.find_image(image.name) == engine.find_image(image.id)


def test_further_files_in_an_archive_are_passed_over(shelf: Shelf) -> None:
    image = shelf.build("4")
    archive = save(shelf.engine, image.name)
    with tarfile.open(fileobj=archive, mode="a") as tar:
        for name in ("envspin-bundle.json", "envspin.lock"):
            member = tarfile.TarInfo(name)
            member.size = 5
            tar.addfile(member, io.BytesIO(b"hello"))
    archive.seek(0)
    engine = shelf.forget()
    assert engine.load_images(archive) == (image.name,)
    assert engine.find_image(image.id) is not None


def test_an_archive_may_be_a_stream_that_cannot_go_back(shelf: Shelf) -> None:
    image = shelf.build("5")
    content = save(shelf.engine, image.name).getvalue()
    stream = io.BufferedReader(OneWay(content))
    assert shelf.forget().load_images(stream) == (image.name,)


class OneWay(io.RawIOBase):
    """Bytes as from a pipe."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        return self._content.readinto(buffer)


def test_saving_what_is_not_there_names_it_and_writes_nothing(engine: Engine) -> None:
    written: list[bytes] = []
    with pytest.raises(ImageError, match="envspin-contract-unknown:1") as caught:
        engine.save_images([TESTBOX, "envspin-contract-unknown:1"], written.append)
    assert TESTBOX not in str(caught.value)
    assert written == []
    with pytest.raises(ImageError):
        engine.save_images([], written.append)


def test_an_error_of_the_sink_comes_out_as_it_is(shelf: Shelf) -> None:
    image = shelf.build("6")

    def sink(_content: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device"):
        shelf.engine.save_images([image.name], sink)
    assert shelf.engine.find_image(image.name) == image


def damage(archive: bytes, how: str) -> bytes:
    """Return an archive that cannot be loaded."""
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    return {
        "nothing": b"",
        "no tar": b"no tar at all" * 1000,
        "much that is no tar": bytes(range(1, 256)) * 100_000,
        "an empty tar": empty.getvalue(),
        "its beginning": archive[:600],
    }[how]


@pytest.mark.parametrize("how", ["nothing", "no tar", "much that is no tar", "an empty tar", "its beginning"])
def test_a_damaged_archive_is_an_image_error(shelf: Shelf, how: str) -> None:
    archive = save(shelf.engine, shelf.build("7").name).getvalue()
    with pytest.raises(ImageError, match="cannot load the archive"):
        shelf.forget().load_images(io.BytesIO(damage(archive, how)))


def test_a_tag_is_one_more_name_for_the_same_image(shelf: Shelf) -> None:
    first, second = shelf.build("8"), shelf.build("9")
    shelf.engine.tag_image(first.id, f"{REPOSITORY}:more")
    shelf.engine.tag_image(first.id, f"localhost:5000/{REPOSITORY}")
    for name in (first.name, f"{REPOSITORY}:more", f"localhost:5000/{REPOSITORY}:latest"):
        found = shelf.engine.find_image(name)
        assert found is not None
        assert found.id == first.id
    shelf.engine.tag_image(second.id, f"{REPOSITORY}:more")
    moved = shelf.engine.find_image(f"{REPOSITORY}:more")
    assert moved is not None
    assert moved.id == second.id
    assert shelf.engine.find_image(first.id) is not None


def test_what_cannot_be_tagged_is_an_image_error(shelf: Shelf) -> None:
    with pytest.raises(ImageError):
        shelf.engine.tag_image("sha256:" + "0" * 64, f"{REPOSITORY}:none")
    image = shelf.build("10")
    for name in (f"{REPOSITORY}@sha256:{'0' * 64}", "Not A Name"):
        with pytest.raises(ImageError):
            shelf.engine.tag_image(image.id, name)


def test_a_container_runs_from_an_image_that_was_loaded(lab: Lab, connect: Callable[[], Engine]) -> None:
    held = lab.engine.find_image(TESTBOX)
    assert held is not None
    (name,) = lab.engine.load_images(save(lab.engine, TESTBOX))
    container = lab.run("--line", "here", image=name)
    lab.wait_for_line(container, "here")
    assert lab.engine.inspect(container).image_id == held.id


def test_the_platform_is_in_the_registries_words(engine: Engine) -> None:
    assert engine.info().platform in {"linux/amd64", "linux/arm64"}
    found = engine.find_image(TESTBOX)
    assert found is not None
    assert found.platform == engine.info().platform


def test_registries_of_this_machine_need_no_certificate(engine: Engine) -> None:
    settings = engine.registry_settings()
    assert isinstance(settings, RegistrySettings)
    if isinstance(engine, DockerEngine):  # every Docker engine has this network built in
        assert "127.0.0.0/8" in settings.insecure


def test_the_in_memory_engine_says_the_settings_that_it_was_given() -> None:
    settings = RegistrySettings(("https://mirror.local/",), ("registry.local:5000",))
    assert FakeEngine(registries=settings).registry_settings() == settings


def test_an_image_loaded_into_the_in_memory_engine_behaves_as_the_one_it_was_given(derived_image: str) -> None:
    first = FakeEngine({"app:1": FakeImage(environment={"A": "1"}, volumes=("/state",), digest="sha256:" + "1" * 64)})
    archive = save(first, "app:1")
    second = FakeEngine({"app:1": FakeImage(stored=False), DERIVED: FakeImage()})
    assert second.load_images(archive) == ("app:1",)
    found = second.find_image("app:1")
    assert found is not None
    assert (found.environment, found.volumes, found.digests) == ({"A": "1"}, ("/state",), ())
