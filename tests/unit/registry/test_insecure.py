"""Without TLS, or without trust: how registries are found that have none, and for whom certificates do not count."""

from __future__ import annotations

import socket
import warnings

import pytest

from envspin.errors import RegistryError
from envspin.reference import Reference
from envspin.registry.credentials import Credentials
from envspin.registry.transport import Transport

from .conftest import make_server_context
from .server import Reply, fail


@pytest.fixture(autouse=True)
def name(monkeypatch):
    """A name that is not loopback, and leads there."""
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: look_up("127.0.0.1" if host == "registry.example" else host, *rest, **more),
    )
    return "registry.example"


@pytest.fixture
def sent(monkeypatch):
    """The addresses that were asked, in vain or not."""
    urls = []
    send = Transport.send
    monkeypatch.setattr(Transport, "send", lambda self, url, call: (urls.append(url), send(self, url, call))[1])
    return urls


def demand_basic(seen):
    return None if "Authorization" in seen.headers else fail(401, WWW_Authenticate='Basic realm="here"')


@pytest.mark.parametrize("way", ["end", "reset"])
def test_a_registry_on_loopback_that_hangs_up_on_tls_is_asked_without_at_once(registry, client, app, time, way):
    registry.hangs_up = way
    image = registry.push_image("team/app", "1")
    assert client.find_digest(app) == image.digest
    assert registry.hang_ups == 1
    assert time.waits == []


@pytest.mark.parametrize("way", ["end", "reset"])
def test_an_insecure_registry_that_hangs_up_on_tls_is_asked_without_at_once(registry, make_client, name, time, way):
    registry.hangs_up = way
    image = registry.push_image("team/app", "1")
    host = f"{name}:{registry.port}"
    assert make_client(insecure=[host]).find_digest(Reference.parse(f"{host}/team/app:1")) == image.digest
    assert registry.hang_ups == 1
    assert time.waits == []


@pytest.mark.parametrize("way", ["end", "reset"])
def test_a_registry_that_hangs_up_on_tls_is_not_asked_without_where_that_is_not_allowed(registry, client, name, way):
    registry.hangs_up = way
    with pytest.raises(RegistryError, match="ended the connection at the start of TLS") as caught:
        client.find_digest(Reference.parse(f"{name}:{registry.port}/team/app:1"))
    assert "insecure-registries" in caught.value.hint
    assert registry.hang_ups == 5
    assert registry.seen == []


def test_a_registry_that_has_spoken_tls_is_not_asked_without_when_it_hangs_up(secure, client, trust, sent):
    trust(secure)
    image = secure.push_image("team/app", "1")
    secure.script("", Reply(200, {"Docker-Content-Digest": image.digest, "Connection": "close"}))
    reference = Reference.parse(f"{secure.host}/team/app:1")
    client.find_digest(reference)
    secure.hangs_up = "end"
    with pytest.raises(RegistryError, match="at the start of TLS"):
        client.find_digest(reference)
    assert secure.hang_ups == 5
    assert {url.partition(":")[0] for url in sent} == {"https"}


@pytest.mark.parametrize("certificate", ["server", "elsewhere"])
def test_a_certificate_does_not_count_where_the_engine_calls_the_registry_insecure(
    serve, authority, make_client, name, certificate
):
    registry = serve(make_server_context(authority, certificate))
    registry.handlers.append(demand_basic)
    image = registry.push_image("team/app", "1")
    host = f"{name}:{registry.port}"
    client = make_client(insecure=[host], find_credentials=lambda _host: Credentials("me", "canary"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = client.resolve(Reference.parse(f"{host}/team/app:1"), ["linux/amd64"])
    assert found.digest == image.digest
    assert "Authorization" in registry.seen[-1].headers


def test_a_bundle_does_not_count_either_for_an_insecure_registry(secure, authority, make_client, name, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority / "server.crt"))
    image = secure.push_image("team/app", "1")
    host = f"{name}:{secure.port}"
    assert make_client(insecure=[host]).find_digest(Reference.parse(f"{host}/team/app:1")) == image.digest


def test_a_registry_that_is_not_insecure_is_still_verified_beside_one_that_is(
    secure, serve, authority, make_client, name
):
    other = serve(make_server_context(authority))
    other.push_image("team/app", "1")
    secure.push_image("team/app", "1")
    client = make_client(insecure=[f"{name}:{secure.port}"])
    client.find_digest(Reference.parse(f"{name}:{secure.port}/team/app:1"))
    with pytest.raises(RegistryError, match="is not trusted"):
        client.find_digest(Reference.parse(f"{name}:{other.port}/team/app:1"))
    assert other.seen == []


def test_certificates_on_loopback_count_though_the_engine_calls_it_insecure(secure, make_client):
    secure.push_image("team/app", "1")
    client = make_client(insecure=["127.0.0.0/8", secure.host])
    with pytest.raises(RegistryError, match="is not trusted"):
        client.find_digest(Reference.parse(f"{secure.host}/team/app:1"))
    assert secure.seen == []
