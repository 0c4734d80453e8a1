"""Schemes, certificates, redirects and proxies: who is asked, how, and what is shown to whom."""

from __future__ import annotations

import shutil
import socket
import ssl

import pytest

from envspin.errors import RegistryError
from envspin.reference import Reference
from envspin.registry.credentials import Credentials
from envspin.registry.transport import Transport
from envspin.registry.trust import list_folders

from .conftest import make_server_context
from .server import Reply, fail

SECRET = "canary-5up3r"


def reference_at(registry, tag="1"):
    return Reference.parse(f"{registry.host}/team/app:{tag}")


def test_plain_http_is_found_on_loopback_and_remembered(registry, client, app, monkeypatch):
    sent = []
    send = Transport.send
    monkeypatch.setattr(Transport, "send", lambda self, url, call: (sent.append(url), send(self, url, call))[1])
    registry.push_image("team/app", "1")
    client.find_digest(app)
    client.find_digest(app)
    assert [url.partition(":")[0] for url in sent] == ["https", "http", "http"]


def test_a_registry_that_is_not_insecure_is_never_asked_without_tls(registry, client, monkeypatch):
    resolve_to_loopback(monkeypatch, "registry.example")
    with pytest.raises(RegistryError, match="does not speak TLS") as caught:
        client.find_digest(Reference.parse(f"registry.example:{registry.port}/team/app:1"))
    assert "insecure-registries" in caught.value.hint
    assert registry.seen == []


def test_a_registry_that_the_engine_calls_insecure_is_asked_without_tls(registry, make_client, monkeypatch):
    resolve_to_loopback(monkeypatch, "registry.example")
    image = registry.push_image("team/app", "1")
    host = f"registry.example:{registry.port}"
    client = make_client(insecure=[host])
    assert client.find_digest(Reference.parse(f"{host}/team/app:1")) == image.digest


def resolve_to_loopback(monkeypatch, name):
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: look_up("127.0.0.1" if host == name else host, *rest, **more)
    )


def test_tls_is_spoken_with_an_authority_from_dockers_folder(secure, client, trust):
    image = secure.push_image("team/app", "1")
    trust(secure)
    assert client.resolve(reference_at(secure), ["linux/amd64"]).digest == image.digest


def test_a_certificate_that_nobody_vouches_for_is_an_error_even_on_loopback(secure, client, time):
    with pytest.raises(RegistryError) as caught:
        client.find_digest(reference_at(secure))
    assert caught.value.message.startswith(f"the certificate of {secure.host} is not trusted: ")
    assert f"/etc/docker/certs.d/{secure.host}/ca.crt" in caught.value.hint
    assert "REQUESTS_CA_BUNDLE" in caught.value.hint
    assert secure.seen == []
    assert time.waits == []


def test_a_certificate_of_somebody_else_is_not_mended_by_an_authority(serve, authority, client, trust):
    registry = serve(make_server_context(authority, "elsewhere"))
    trust(registry)
    with pytest.raises(RegistryError, match="is not trusted") as caught:
        client.find_digest(reference_at(registry))
    assert caught.value.hint == "its certificate has to be replaced by who runs it"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_an_authority_may_be_named_by_a_variable(secure, client, authority, monkeypatch, variable):
    image = secure.push_image("team/app", "1")
    monkeypatch.setenv(variable, str(authority / "ca.crt"))
    assert client.find_digest(reference_at(secure)) == image.digest


def test_a_bundle_that_is_not_there_is_named(secure, client, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    with pytest.raises(RegistryError, match=r"certificates in /nowhere/bundle\.pem cannot be used: no such file"):
        client.find_digest(reference_at(secure))


def test_a_file_that_holds_no_certificate_is_named(secure, client, trust):
    (trust(secure) / "more.crt").write_text("no certificate")
    with pytest.raises(RegistryError, match=r"certificates in .*more\.crt cannot be used"):
        client.find_digest(reference_at(secure))


@pytest.fixture
def demanding(serve, authority):
    """A registry that lets in only who shows a certificate."""
    context = make_server_context(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority / "ca.crt")
    return serve(context)


def test_a_client_certificate_is_shown(demanding, client, trust, authority):
    image = demanding.push_image("team/app", "1")
    folder = trust(demanding)
    shutil.copy(authority / "client.crt", folder / "me.cert")
    shutil.copy(authority / "client.key", folder / "me.key")
    assert client.find_digest(reference_at(demanding)) == image.digest


def test_a_client_certificate_without_its_key_is_named(demanding, client, trust, authority):
    shutil.copy(authority / "client.crt", trust(demanding) / "me.cert")
    with pytest.raises(RegistryError, match=r"client certificate .*me\.cert cannot be used") as caught:
        client.find_digest(reference_at(demanding))
    assert "me.key has to be beside it" in caught.value.hint


def test_a_registry_that_misses_a_client_certificate_is_told(demanding, client, trust):
    trust(demanding)
    with pytest.raises(RegistryError, match=r"TLS with .* failed|connection to .* broke"):
        client.find_digest(reference_at(demanding))
    assert demanding.seen == []


def test_dockers_folders_are_those_of_the_service_and_the_rootless_ones(home, monkeypatch):
    assert [str(folder) for folder in list_folders()] == [
        "/etc/docker/certs.d",
        f"{home}/.docker/certs.d",
        f"{home}/.config/docker/certs.d",
    ]
    monkeypatch.setenv("XDG_CONFIG_HOME", "/elsewhere")
    assert str(list_folders()[2]) == "/elsewhere/docker/certs.d"


def test_a_folder_that_cannot_be_read_is_passed_over(secure, client, tmp_path):
    (tmp_path / "certs.d").mkdir()
    (tmp_path / "certs.d" / secure.host).write_text("no folder")
    with pytest.raises(RegistryError, match="is not trusted"):
        client.find_digest(reference_at(secure))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(registry, serve, client, app, status):
    elsewhere = serve()
    image = registry.push_image("team/app", "1")
    config = registry._store.pop(f"/v2/team/app/blobs/{image.config}")[1]
    elsewhere.put("/data/blob?signature=abc", config)
    registry.always("blobs/", Reply(status, {"Location": f"{elsewhere.url}/data/blob?signature=abc"}))
    assert client.resolve(app, ["linux/amd64"]).digest == image.digest
    assert elsewhere.methods == ["GET"]


def test_a_redirect_within_the_registry_may_be_relative_and_keeps_the_login(registry, make_client, app):
    image = registry.push_image("team/app", "1")
    registry.put("/moved", registry._store.pop(f"/v2/team/app/blobs/{image.config}")[1])
    registry.always("blobs/", Reply(307, {"Location": "/moved"}))
    registry.handlers.insert(0, demand_basic)
    make_client(find_credentials=lambda _host: Credentials("me", SECRET)).resolve(app, ["linux/amd64"])
    assert "Authorization" in registry.seen[-1].headers


def demand_basic(seen):
    if "Authorization" in seen.headers:
        return None
    return fail(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="here"')


def test_a_login_is_not_shown_to_where_a_registry_redirects(registry, serve, make_client, app):
    elsewhere = serve()
    image = registry.push_image("team/app", "1")
    elsewhere.put("/blob", registry._store.pop(f"/v2/team/app/blobs/{image.config}")[1])
    registry.always("blobs/", Reply(307, {"Location": f"{elsewhere.url}/blob"}))
    registry.handlers.insert(0, demand_basic)
    make_client(find_credentials=lambda _host: Credentials("me", SECRET)).resolve(app, ["linux/amd64"])
    assert "Authorization" in registry.seen[-1].headers
    assert [seen.headers.get("Authorization") for seen in elsewhere.seen] == [None]


def test_a_login_from_netrc_is_never_shown(registry, serve, client, app, home):
    netrc = home / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    netrc.chmod(0o600)
    elsewhere = serve()
    registry.always("", Reply(307, {"Location": f"{elsewhere.url}/x"}))
    with pytest.raises(RegistryError):
        client.find_digest(app)
    assert not any("Authorization" in seen.headers for seen in registry.seen + elsewhere.seen)
    assert elsewhere.seen


def test_cookies_are_not_kept(registry, client, app):
    registry.push_image("team/app", "1")
    registry.script("", fail(503, Set_Cookie="session=1; Path=/"))
    client.find_digest(app)
    assert "Cookie" not in registry.seen[-1].headers


def test_five_redirects_are_followed_and_a_sixth_is_not(registry, client, app):
    registry.always("", Reply(307, {"Location": "/v2/again"}))
    with pytest.raises(RegistryError, match="redirects in a circle, or more than 5 times"):
        client.find_digest(app)
    assert len(registry.seen) == 6


def test_a_redirect_from_tls_to_plain_http_is_refused(secure, registry, client, trust):
    trust(secure)
    secure.always("", Reply(307, {"Location": f"{registry.url}/blob?signature={SECRET}"}))
    with pytest.raises(RegistryError, match="redirects to a place without TLS") as caught:
        client.find_digest(reference_at(secure))
    assert registry.seen == []
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://[", "ftp://host/x", "http://h:port/"])
def test_a_redirect_to_what_is_no_web_address_is_refused(registry, client, app, target):
    registry.always("", Reply(307, {"Location": target}))
    with pytest.raises(RegistryError, match="no web address"):
        client.find_digest(app)


def test_a_redirect_without_a_target_is_an_odd_answer(registry, client, app):
    registry.always("", Reply(307))
    with pytest.raises(RegistryError, match="answered HTTP 307"):
        client.find_digest(app)


def test_what_is_behind_a_redirect_is_named_without_its_query(registry, serve, client, app):
    elsewhere = serve()
    registry.push_image("team/app", "1")
    elsewhere.always("", fail(403))
    target = f"http://user:{SECRET}@{elsewhere.host}/blob?signature={SECRET}"
    registry.always("blobs/", Reply(307, {"Location": target}))
    with pytest.raises(RegistryError) as caught:
        client.resolve(app, ["linux/amd64"])
    assert f"GET {elsewhere.url}/blob" in caught.value.context
    assert SECRET not in str(caught.value)
    assert "Authorization" not in elsewhere.seen[0].headers


def test_a_proxy_is_used_and_its_failure_told(serve, make_client, monkeypatch):
    proxy = serve()
    proxy.always("", fail(404, "NAME_UNKNOWN"))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    client = make_client(insecure=["registry.example"])
    with pytest.raises(RegistryError, match="cannot be reached through the proxy") as caught:
        client.find_digest(Reference.parse("registry.example/team/app:1"))
    assert "NO_PROXY" in caught.value.hint


def test_loopback_is_never_asked_through_a_proxy(registry, serve, client, app, monkeypatch):
    proxy = serve()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    image = registry.push_image("team/app", "1")
    assert client.find_digest(app) == image.digest
    assert proxy.seen == []


def test_a_host_that_is_none_is_an_error_of_ours(client):
    with pytest.raises(RegistryError):
        client.find_digest(Reference("a..b", "team/app", "1"))


def test_a_redirect_with_an_endless_body_is_not_read_to_its_end(registry, client, app):
    reply = Reply(307, {"Location": "/elsewhere"}, b" " * ((4 << 20) + 1))
    registry.always("manifests/", reply, method="GET")
    with pytest.raises(RegistryError, match="more than 4096 KiB"):
        client.resolve(app, ["linux/amd64"])
    assert registry.count("elsewhere") == 0
