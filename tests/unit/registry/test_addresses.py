"""Where registries are asked: their own addresses, mirrors of Docker Hub, and where TLS may be missing."""

from __future__ import annotations

import pytest

from envspin.errors import ManifestNotFoundError, RegistryError
from envspin.reference import Reference
from envspin.registry import addresses
from envspin.registry.addresses import Address, list_addresses, may_be_plain
from envspin.registry.credentials import Credentials

from .server import Reply, fail

POSTGRES = Reference.parse("postgres:16")


@pytest.mark.parametrize(
    ("host", "insecure", "expected"),
    [
        ("localhost", (), True),
        ("localhost:5000", (), True),
        ("LOCALHOST:5000", (), True),
        ("127.0.0.1:5000", (), True),
        ("127.9.9.9", (), True),
        ("[::1]:5000", (), True),
        ("localhost.example", (), False),
        ("registry.example", (), False),
        ("10.0.0.5:5000", (), False),
        ("10.0.0.5:5000", ("10.0.0.0/8",), True),
        ("11.0.0.5:5000", ("10.0.0.0/8",), False),
        ("[fd00::1]:5000", ("10.0.0.0/8", "fd00::/8"), True),
        ("registry.example:5000", ("registry.example:5000",), True),
        ("Registry.Example:5000", ("registry.example:5000",), True),
        ("registry.example:5000", ("http://registry.example:5000/",), True),
        ("registry.example:5000", ("registry.example",), False),
        ("registry.example", ("registry.example:5000",), False),
        ("registry.example", ("10.0.0.0/8", "no/network"), False),
        ("10.0.0.5", ("no/network",), False),
        ("[broken", (), False),
    ],
)
def test_plain_http_is_allowed_on_loopback_and_where_the_engine_says_so(host, insecure, expected):
    assert may_be_plain(host, insecure) is expected


def test_docker_hub_is_asked_at_its_own_host_after_the_mirrors():
    found = list_addresses("docker.io", ["https://mirror.example/", "http://127.0.0.1:5000", "https://m/folder/"], ())
    assert found == [
        Address("mirror.example", "mirror.example", ("https",), is_mirror=True),
        Address("127.0.0.1:5000", "127.0.0.1:5000", ("http",), is_mirror=True),
        Address("m", "m/folder", ("https",), is_mirror=True),
        Address("docker.io", "registry-1.docker.io", ("https",)),
    ]


def test_a_mirror_keeps_no_login_that_its_address_holds():
    (mirror, _) = list_addresses("docker.io", ["https://user:canary@mirror.example"], ())
    assert "canary" not in repr(mirror)


def test_other_registries_have_no_mirrors():
    assert list_addresses("ghcr.io", ["https://mirror.example"], ()) == [Address("ghcr.io", "ghcr.io", ("https",))]
    assert list_addresses("localhost:5000", (), ())[0].schemes == ("https", "http")


@pytest.mark.parametrize(
    ("registry", "insecure", "expected"),
    [
        ("registry.example", (), True),
        ("registry.example", ("registry.example",), False),
        ("10.0.0.5:5000", ("10.0.0.0/8",), False),
        ("127.0.0.1:5000", ("127.0.0.0/8",), True),  # which the engine always lists
        ("[::1]:5000", ("::1/128",), True),
        ("localhost:5000", ("localhost:5000",), True),
        ("docker.io", ("docker.io",), True),
    ],
)
def test_certificates_are_passed_over_only_where_the_engine_says_so_and_never_on_loopback(registry, insecure, expected):
    (address,) = list_addresses(registry, (), insecure)
    assert address.is_verified is expected


def test_a_mirror_may_be_insecure_too():
    mirrors = ["https://one.example/", "https://two.example", "https://127.0.0.1"]
    found = list_addresses("docker.io", mirrors, ["one.example", "127.0.0.0/8"])
    assert [address.is_verified for address in found] == [False, True, True, True]
    assert found[0].schemes == ("https",)


@pytest.fixture
def hub(registry, monkeypatch):
    """Docker Hub, as far as these tests go."""
    monkeypatch.setattr(addresses, "HUB_ADDRESS", registry.url)
    return registry


@pytest.fixture
def mirrors(serve):
    return [serve(), serve()]


@pytest.fixture
def mirrored(make_client, mirrors):
    return make_client(mirrors=[mirrors[0].url, f"{mirrors[1].url}/"])


def test_the_first_mirror_that_has_it_answers_alone(hub, mirrors, mirrored):
    image = mirrors[0].push_image("library/postgres", "16")
    assert mirrored.resolve(POSTGRES, ["linux/amd64"]).digest == image.digest
    assert mirrors[1].seen == []
    assert hub.seen == []


def test_mirrors_that_do_not_have_it_are_passed_over_in_their_order(hub, mirrors, mirrored):
    image = hub.push_image("library/postgres", "16")
    order = []
    for name, server in {"one": mirrors[0], "two": mirrors[1], "hub": hub}.items():
        server.handlers.append(lambda _seen, name=name: order.append(name))
    assert mirrored.find_digest(POSTGRES) == image.digest
    assert list(dict.fromkeys(order)) == ["one", "two", "hub"]


def test_a_mirror_that_fails_is_tried_twice_and_passed_over(hub, mirrors, mirrored):
    image = hub.push_image("library/postgres", "16")
    mirrors[0].always("", fail(503))
    mirrors[1].close()
    mirrors[1].close = lambda: None
    assert mirrored.find_digest(POSTGRES) == image.digest
    assert mirrors[0].methods == ["HEAD", "HEAD"]


def test_a_mirror_that_is_damaged_is_passed_over(hub, mirrors, mirrored):
    image = hub.push_image("library/postgres", "16")
    mirrors[0].push_image("library/postgres", "16")
    mirrors[0].always("manifests/sha256", Reply(body=b"damaged"))
    assert mirrored.resolve(POSTGRES, ["linux/amd64"]).digest == image.digest


def test_a_mirror_that_hangs_leaves_the_registry_its_part_of_the_time(hub, serve, make_client, time):
    mirror = serve()
    image = hub.push_image("library/postgres", "16")
    mirror.always("", fail(503, Retry_After="14"))
    client = make_client(mirrors=[mirror.url])
    assert client.find_digest(POSTGRES) == image.digest
    assert time.waits == [14.0]
    mirror.handlers[:] = [lambda _seen: fail(503, Retry_After="16")]
    assert client.find_digest(POSTGRES) == image.digest
    assert time.waits == [14.0]


def test_the_error_is_that_of_the_registry_and_names_what_the_mirrors_said(hub, mirrors, mirrored):
    mirrors[1].always("", fail(403))
    with pytest.raises(ManifestNotFoundError) as caught:
        mirrored.find_digest(POSTGRES)
    assert caught.value.message == "docker.io has no tag 16 of postgres"
    assert caught.value.context[-2:] == (
        f"mirror {mirrors[0].host}: {mirrors[0].host} has no tag 16 of postgres",
        f"mirror {mirrors[1].host}: {mirrors[1].host} does not let just anybody read postgres:16",
    )
    assert "`docker login`" in caught.value.hint


def test_mirrors_are_not_asked_for_other_registries(registry, mirrors, mirrored, app):
    registry.push_image("team/app", "1")
    mirrored.find_digest(app)
    assert mirrors[0].seen == mirrors[1].seen == []


def test_credentials_for_docker_hub_are_not_shown_to_a_mirror(hub, serve, make_client):
    mirror = serve()
    challenge = fail(401, WWW_Authenticate='Basic realm="x"')
    mirror.always("", challenge)
    hub.push_image("library/postgres", "16")
    hub.handlers.append(lambda seen: None if "Authorization" in seen.headers else challenge)
    asked = []

    def find(host):
        asked.append(host)
        return Credentials("me", "canary") if host == "docker.io" else None

    make_client(mirrors=[mirror.url], find_credentials=find).find_digest(POSTGRES)
    assert asked == [mirror.host, "docker.io"]
    assert not any("Authorization" in seen.headers for seen in mirror.seen)


def test_many_attempts_are_left_for_the_registry_itself(hub, mirrors, mirrored):
    hub.always("", fail(500))
    with pytest.raises(RegistryError):
        mirrored.find_digest(POSTGRES)
    assert len(hub.seen) == 5
