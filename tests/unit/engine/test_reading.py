"""The engine's API documents, read: those that a real engine of the tests does not give."""

from __future__ import annotations

import pytest

from envspin.engine.base import RegistrySettings
from envspin.engine.docker.archives import END_OF_TAR, read_saved
from envspin.engine.docker.reading import read_image, read_registry_settings
from envspin.errors import ImageError

ONE, TWO = ("sha256:" + digit * 64 for digit in "12")


def test_mirrors_and_insecure_registries_are_read():
    config = {
        "InsecureRegistryCIDRs": ["127.0.0.0/8"],
        "IndexConfigs": {
            "docker.io": {"Name": "docker.io", "Secure": True},
            "registry.local:5000": {"Name": "registry.local:5000", "Secure": False},
        },
        "Mirrors": ["https://mirror.local/"],
    }
    read = read_registry_settings({"RegistryConfig": config})
    assert read == RegistrySettings(("https://mirror.local/",), ("127.0.0.0/8", "registry.local:5000"))


@pytest.mark.parametrize(
    "document",
    [{}, {"RegistryConfig": None}, {"RegistryConfig": {"Mirrors": None, "IndexConfigs": None}}],
)
def test_an_engine_that_says_nothing_of_registries_has_no_settings(document):
    assert read_registry_settings(document) == RegistrySettings()


def test_all_digests_of_an_image_are_listed_once():
    document = {"Id": "sha256:0", "RepoDigests": [f"a@{ONE}", f"b@{TWO}", f"c@{ONE}"], "Size": 7}
    image = read_image(document, "b:1")
    assert (image.digest, image.digests, image.size) == (TWO, (ONE, TWO), 7)
    assert read_image({"Id": "sha256:0"}, "b:1").digests == ()


class Answer:
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks

    def raise_for_status(self) -> None:
        pass

    def iter_content(self, _size):
        yield from self.chunks

    def close(self) -> None:
        pass


class Client:
    base_url, api_version, timeout = "http://engine", "1.41", 60

    def __init__(self, *chunks: bytes) -> None:
        self.answer = Answer(*chunks)

    def get(self, *_args, **_options):
        return self.answer


def test_an_archive_may_come_in_chunks_of_any_size():
    content = b"files" + END_OF_TAR
    chunks = [content[index : index + 7] for index in range(0, len(content), 7)]
    assert b"".join(read_saved(Client(*chunks), ["a:1"])) == content


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        (
            (b"files" + bytes(512), b'{"errorDetail":{"message":"no space left"},"error":"no space left"}\r\n'),
            "no space left",
        ),
        ((b"files",), "no end"),
        ((), "no end"),
    ],
)
def test_an_archive_that_the_engine_breaks_off_is_an_error(chunks, said):
    with pytest.raises(ImageError, match=rf"saving a:1.*{said}"):
        list(read_saved(Client(*chunks), ["a:1"]))
