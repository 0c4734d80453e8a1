"""Documents of registries, right and wrong, without a registry."""

from __future__ import annotations

import json

import pytest

from envspin.errors import RegistryError
from envspin.registry.manifests import Image, Index, choose_manifests, read_manifest, read_platform

from .server import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

DIGEST = "sha256:" + "a" * 64
OTHER = "sha512:" + "b" * 128
CONFIG = {"digest": DIGEST, "size": 10}
LAYERS = [{"digest": OTHER, "size": 20}, {"digest": DIGEST, "size": 0}]


def read(document, content_type=""):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_manifest(body, content_type, "team/app:1")


def describe(platform, **more):
    return {"digest": DIGEST, "size": 1, "platform": platform, **more}


def test_the_size_of_an_image_is_that_of_its_configuration_and_layers():
    assert read({"config": CONFIG, "layers": LAYERS}) == Image(DIGEST, 10, 30)


def test_sizes_count_up_to_what_every_reader_of_json_can_hold():
    largest = 2**53 - 1
    assert read({"config": CONFIG, "layers": [{"digest": DIGEST, "size": largest - 10}]}).size == largest


def test_an_image_may_have_no_layers():
    assert read({"config": CONFIG, "layers": []}).size == 10


def test_the_first_of_two_entries_for_a_platform_counts():
    first = describe({"os": "windows", "architecture": "amd64", "os.version": "10.0.2"})
    second = {**first, "digest": OTHER}
    assert read({"manifests": [first, second]}) == Index({"windows/amd64": DIGEST})


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ({"os": "linux", "architecture": "amd64"}, "linux/amd64"),
        ({"os": "linux", "architecture": "arm64", "variant": "v8"}, "linux/arm64"),
        ({"os": "linux", "architecture": "arm"}, "linux/arm/v7"),
        ({"os": "linux", "architecture": "arm", "variant": "v6"}, "linux/arm/v6"),
        ({"os": "linux", "architecture": "amd64", "variant": ""}, "linux/amd64"),
        ({"os": "linux", "architecture": "amd64", "variant": None}, "linux/amd64"),
        ({"os": "unknown", "architecture": "unknown"}, None),
        ({"os": "linux"}, None),
        ({"architecture": "amd64"}, None),
        ({"os": 1, "architecture": "amd64"}, None),
        ({"os": "linux", "architecture": ["amd64"]}, None),
        ({"os": "linux", "architecture": "evil;curl x|sh"}, None),
        ({"os": "linux\n", "architecture": "amd64"}, None),
        ({"os": "linux", "architecture": "amd64", "variant": "v1`id`"}, None),
        ({"os": "linux", "architecture": "amd64/v2"}, None),
        ({"os": "linux", "architecture": "a" * 33}, None),
        ({"os": "linux", "architecture": "\x1b[31m"}, None),
        ({"os": "linux", "architecture": "аmd64"}, None),  # noqa: RUF001 - a Cyrillic letter
        ({"os": "linux", "architecture": "a" * 32}, "linux/" + "a" * 32),
        ({"os": "linux", "architecture": "x.y_z-1"}, "linux/x.y_z-1"),
        ("linux/amd64", None),
        (None, None),
    ],
)
def test_platforms_are_read_in_the_registries_words(platform, expected):
    assert list(read({"manifests": [describe(platform)]}).entries) == ([expected] if expected else [])


def test_an_empty_index_has_no_platforms():
    assert read({"manifests": []}) == Index()


def test_an_index_in_an_index_is_seen():
    found = read({"manifests": [describe({"os": "linux", "architecture": "amd64"}, mediaType=OCI_INDEX)]})
    assert found == Index(is_nested=True)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"no json",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        [],
        "text",
        None,
        5,
        {},
        {"manifests": None},
        {"manifests": {}},
        {"manifests": [1]},
        {"manifests": [{}]},
        {"manifests": [{"digest": "md5:1", "size": 1}]},
        {"manifests": [{"digest": DIGEST.upper(), "size": 1}]},
        {"manifests": [{"digest": DIGEST + "\n", "size": 1}]},
        {"manifests": [{"digest": DIGEST}]},
        {"config": CONFIG},
        {"layers": LAYERS},
        {"config": None, "layers": LAYERS},
        {"config": [], "layers": LAYERS},
        {"config": CONFIG, "layers": None},
        {"config": CONFIG, "layers": {}},
        {"config": CONFIG, "layers": [None]},
        {"config": {"digest": DIGEST, "size": -1}, "layers": []},
        {"config": {"digest": DIGEST, "size": True}, "layers": []},
        {"config": {"digest": DIGEST, "size": 1.5}, "layers": []},
        {"config": {"digest": DIGEST, "size": "1"}, "layers": []},
        {"config": {"digest": DIGEST, "size": 2**53}, "layers": []},
        {"config": CONFIG, "layers": [{"digest": DIGEST, "size": 10**30}]},
        {"config": CONFIG, "layers": [{"digest": DIGEST, "size": 1e3}]},
        {"config": CONFIG, "layers": [{"digest": DIGEST, "size": 2**53 - 1}]},
        {"manifests": [{"digest": DIGEST, "size": 2**53}]},
        {"config": CONFIG, "layers": [{"digest": "../../etc", "size": 1}]},
        {"config": CONFIG, "layers": [], "manifests": []},
        {"mediaType": OCI_INDEX, "config": CONFIG, "layers": []},
        {"mediaType": OCI_MANIFEST, "manifests": []},
    ],
    ids=repr,
)
def test_what_is_no_manifest_is_an_error_that_names_the_reference(document):
    with pytest.raises(RegistryError, match=r"^team/app:1 "):
        read(document)


def test_the_type_of_the_answer_counts_where_the_document_has_none():
    with pytest.raises(RegistryError, match="and is not"):
        read({"manifests": []}, f"{DOCKER_MANIFEST}; charset=utf-8")
    assert read({"manifests": []}, "application/json") == Index()


def test_a_configuration_names_the_platform():
    assert read_platform(b'{"os": "linux", "architecture": "arm64", "variant": "v8"}', "x") == "linux/arm64"


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"", b'{"os": "linux"}', b'{"os": "unknown", "architecture": "unknown"}']
)
def test_a_configuration_without_a_platform_is_no_images(body):
    with pytest.raises(RegistryError, match="team/app:1"):
        read_platform(body, "team/app:1")


def test_a_configuration_with_a_platform_of_odd_letters_is_an_error_that_does_not_quote_it():
    with pytest.raises(RegistryError, match=r"^team/app:1 has a configuration without a platform") as caught:
        read_platform(b'{"os": "linux", "architecture": "evil;curl x|sh"}', "team/app:1")
    assert "evil" not in str(caught.value)


def test_the_best_platform_that_fits_is_chosen():
    index = Index({"linux/arm/v5": "5", "linux/amd64": "64", "linux/arm/v6": "6"})
    wanted = ["linux/arm/v7", "linux/arm/v5", "linux/amd64"]
    assert choose_manifests(index, wanted, "app") == dict(zip(wanted, ["6", "5", "64"], strict=True))


def test_a_newer_platform_does_not_fit_an_older_one():
    with pytest.raises(RegistryError, match=r"^app has no image for linux/arm/v5\n  it has: linux/arm/v6\n"):
        choose_manifests(Index({"linux/arm/v6": "6"}), ["linux/arm/v5"], "app")


def test_a_missing_platform_has_a_hint_that_can_be_followed():
    odd = describe({"os": "a", "architecture": "evil;curl x|sh"})
    index = read({"manifests": [odd, describe({"os": "linux", "architecture": "arm64"})]})
    with pytest.raises(RegistryError) as caught:
        choose_manifests(index, ["linux/amd64"], "app")
    assert caught.value.hint == (
        "give the service `platform: linux/arm64` (one that it has), "
        "or lock for other platforms only: `envspin lock --platform OS/ARCH`"
    )
    assert "evil" not in str(caught.value)


def test_of_very_many_platforms_a_few_are_named():
    index = Index({f"linux/a{number:04}": str(number) for number in range(5000)})
    with pytest.raises(RegistryError) as caught:
        choose_manifests(index, ["linux/amd64"], "app")
    assert caught.value.context[0].startswith("it has: linux/a0000, linux/a0001, ")
    assert caught.value.context[0].endswith(", and 4980 more")


def test_an_index_without_images_has_none():
    with pytest.raises(RegistryError, match="it has: none"):
        choose_manifests(Index(), ["linux/amd64"], "app")
