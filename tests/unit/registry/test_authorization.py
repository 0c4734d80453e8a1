"""Logins: passwords and tokens, who gets them, how often they are asked for, and who never sees them."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest

from envspin.errors import RegistryError
from envspin.reference import Reference
from envspin.registry.credentials import Credentials

from .conftest import make_server_context
from .server import Reply, fail

SECRET = "canary-5up3r"
ME = Credentials("me", SECRET)
BASIC = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()


class Tokens:
    """A token service, on the same server or another, and the guard that wants its tokens."""

    def __init__(self, at, guarded=None, *, expires_in=60, scheme="Bearer", scope=True, user=None):
        self.at = at
        self.given = 0
        self.valid = set()
        self.expires_in = expires_in
        self.user = user
        self.scope = scope
        self.field = "token"
        at.handlers.insert(0, self.give)
        (guarded or at).handlers.insert(1 if guarded in {None, at} else 0, self.guard)

    def give(self, seen):
        if not seen.path.startswith("/token"):
            return None
        if self.user is not None and seen.headers.get("Authorization") != self.user:
            return fail(401, "UNAUTHORIZED")
        self.given += 1
        token = f"{SECRET}-token-{self.given}"
        self.valid.add(f"Bearer {token}")
        return Reply(body=json.dumps({self.field: token, "expires_in": self.expires_in}).encode())

    def guard(self, seen):
        if seen.headers.get("Authorization") in self.valid:
            return None
        repository = seen.path.removeprefix("/v2/").partition("/manifests/")[0]
        scope = f',scope="repository:{repository}:pull"' if self.scope else ""
        challenge = f'Bearer realm="{self.at.url}/token?account=x",service="the service"{scope}'
        return fail(401, "UNAUTHORIZED", WWW_Authenticate=challenge)

    @property
    def asked(self):
        return [seen for seen in self.at.seen if seen.path.startswith("/token")]


@pytest.fixture
def image(registry):
    return registry.push_image("team/app", "1")


@pytest.fixture
def known(make_client):
    return make_client(find_credentials=lambda _host: ME)


def guard_by_password(seen):
    if seen.headers.get("Authorization") == BASIC:
        return None
    return fail(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="here"')


def test_a_password_is_shown_when_asked_for_and_then_at_once(registry, known, app, image):
    registry.handlers.append(guard_by_password)
    assert known.resolve(app, ["linux/amd64"]).digest == image.digest
    assert [seen.headers.get("Authorization") for seen in registry.seen] == [None, BASIC, BASIC, BASIC]


def test_credentials_are_looked_for_only_where_they_are_asked_for_and_once(registry, serve, make_client, app, image):
    asked = []
    open_one = serve()
    open_one.push_image("team/app", "1")
    registry.handlers.append(guard_by_password)
    client = make_client(find_credentials=lambda host: (asked.append(host), ME)[1])
    client.find_digest(Reference.parse(f"{open_one.host}/team/app:1"))
    client.find_digest(app)
    client.find_digest(app)
    assert asked == [registry.host]
    assert not any("Authorization" in seen.headers for seen in open_one.seen)


def test_credentials_are_looked_for_once_for_all_repositories_and_threads(registry, make_client):
    asked = []
    tokens = Tokens(registry, user=BASIC)
    digests = {
        name: registry.push_image(f"team/{name}", "1", layers=(len(name),)).digest for name in ("a", "bb", "ccc")
    }
    client = make_client(find_credentials=lambda host: (asked.append(host), ME)[1])
    barrier = threading.Barrier(len(digests))

    def ask(name):
        barrier.wait()
        return name, client.find_digest(Reference.parse(f"{registry.host}/team/{name}:1"))

    with ThreadPoolExecutor(len(digests)) as pool:
        assert dict(pool.map(ask, digests)) == digests
    assert asked == [registry.host]
    assert len(tokens.asked) == 3


def test_a_wrong_password_is_shown_once_and_told(registry, make_client, app, image):
    registry.handlers.append(guard_by_password)
    client = make_client(find_credentials=lambda _host: Credentials("me", "wrong"))
    with pytest.raises(RegistryError) as caught:
        client.find_digest(app)
    assert caught.value.message == f"the credentials for {registry.host} were refused"
    assert caught.value.hint == f"log in again: `docker login {registry.host}`"
    assert registry.methods == ["HEAD", "HEAD"]


def test_a_password_that_was_good_and_is_not_any_more_is_told(registry, known, app, image):
    registry.handlers.append(guard_by_password)
    known.find_digest(app)
    registry.handlers.insert(0, lambda _seen: fail(401, WWW_Authenticate='Basic realm="here"'))
    with pytest.raises(RegistryError) as caught:
        known.find_digest(app)
    assert caught.value.message == f"the credentials for {registry.host} were refused"
    assert len(registry.seen) == 3


def test_a_password_that_is_missing_is_told(registry, client, app, image):
    registry.handlers.append(guard_by_password)
    with pytest.raises(RegistryError) as caught:
        client.find_digest(app)
    assert caught.value.message == f"{registry.host} wants a login for {app}"
    assert caught.value.hint == f"check the name, or log in: `docker login {registry.host}`"
    assert registry.methods == ["HEAD"]


def test_a_token_is_asked_for_by_nobody_where_there_are_no_credentials(registry, client, app, image):
    tokens = Tokens(registry)
    assert client.find_digest(app) == image.digest
    (asked,) = tokens.asked
    assert asked.method == "GET"
    assert "Authorization" not in asked.headers
    assert parse_qs(urlsplit(asked.path).query) == {
        "account": ["x"],
        "service": ["the service"],
        "scope": ["repository:team/app:pull"],
    }


def test_a_token_is_asked_for_with_the_password(registry, known, app, image):
    tokens = Tokens(registry, user=BASIC)
    assert known.find_digest(app) == image.digest
    assert len(tokens.asked) == 1


def test_a_scope_that_is_not_told_is_known(registry, client, app, image):
    tokens = Tokens(registry, scope=False)
    client.find_digest(app)
    assert parse_qs(urlsplit(tokens.asked[0].path).query)["scope"] == ["repository:team/app:pull"]


def test_a_token_may_be_called_an_access_token(registry, client, app, image):
    Tokens(registry).field = "access_token"
    assert client.find_digest(app) == image.digest


def test_a_token_serves_all_requests_for_its_repository(registry, client, app, image):
    tokens = Tokens(registry)
    client.resolve(app, ["linux/amd64"])
    client.resolve(app, ["linux/amd64"])
    assert len(tokens.asked) == 1
    assert len(registry.seen) == 1 + 1 + 3 + 3  # the challenge, the token, two questions of three requests


def test_each_repository_has_a_token_of_its_own(registry, client, app, image):
    tokens = Tokens(registry)
    registry.push_image("team/other", "1")
    client.find_digest(app)
    client.find_digest(Reference.parse(f"{registry.host}/team/other:1"))
    scopes = [parse_qs(urlsplit(seen.path).query)["scope"][0] for seen in tokens.asked]
    assert scopes == ["repository:team/app:pull", "repository:team/other:pull"]


def test_a_token_is_not_used_after_its_time(registry, client, app, image, time):
    tokens = Tokens(registry, expires_in=300)
    client.find_digest(app)
    time.now += 250
    client.find_digest(app)
    assert tokens.given == 1
    time.now += 50
    client.find_digest(app)
    assert tokens.given == 2


def test_a_token_that_says_no_time_is_good_for_a_minute(registry, client, app, image, time):
    tokens = Tokens(registry, expires_in=None)
    client.find_digest(app)
    time.now += 50
    client.find_digest(app)
    assert tokens.given == 1
    time.now += 10
    client.find_digest(app)
    assert tokens.given == 2


def test_a_token_that_is_refused_before_its_time_is_replaced_once(registry, client, app, image):
    tokens = Tokens(registry)
    client.find_digest(app)
    tokens.valid.clear()
    assert client.find_digest(app) == image.digest
    assert tokens.given == 2


def test_a_fresh_token_that_is_refused_ends_it(registry, known, app, image):
    tokens = Tokens(registry)
    registry.always("/v2/", fail(401))
    registry.handlers.insert(0, make_script("/token", Reply(body=b'{"token": "for something else"}')))
    with pytest.raises(RegistryError, match=f"the credentials for {registry.host} were refused for {app}"):
        known.find_digest(app)
    assert len(tokens.asked) == 1


def test_threads_that_want_the_same_token_ask_for_it_once(registry, client, app, image):
    tokens = Tokens(registry)
    barrier = threading.Barrier(8)

    def ask(_number):
        barrier.wait()
        return client.find_digest(app)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {image.digest}
    assert len(tokens.asked) == 1


def test_a_password_that_the_token_service_refuses_is_told(registry, make_client, app, image):
    tokens = Tokens(registry, user=BASIC)
    client = make_client(find_credentials=lambda _host: Credentials("me", "wrong-" + SECRET))
    with pytest.raises(RegistryError) as caught:
        client.find_digest(app)
    assert caught.value.message == f"the credentials for {registry.host} were refused"
    assert f"GET {registry.url}/token" in caught.value.context
    assert SECRET not in str(caught.value)
    assert len(tokens.asked) == 1


def test_a_token_service_that_gives_nobody_a_token_asks_for_a_login(registry, client, app, image):
    Tokens(registry, user=BASIC)
    with pytest.raises(RegistryError, match="wants a login for"):
        client.find_digest(app)


def test_a_token_service_that_fails_for_now_is_asked_again(registry, client, app, image, time):
    Tokens(registry)
    registry.handlers.insert(0, make_script("/token", fail(503), fail(429, Retry_After="3")))
    assert client.find_digest(app) == image.digest
    assert len(time.waits) == 2
    assert time.waits[1] == 3.0


def make_script(part, *replies):
    left = list(replies)
    return lambda seen: left.pop(0) if left and part in seen.path else None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"token": 1}',
        b'{"token": "x", "expires_in": 1%s}' % (b"0" * 400),
        b'{"token": "a\\nb"}',
        b'{"token": "x", "expires_in": "soon"}',
        b"[" * 99999,
    ],
)
def test_an_answer_without_a_token_is_told(registry, client, app, image, body):
    Tokens(registry)
    registry.handlers.insert(0, make_script("/token", Reply(body=body)))
    with pytest.raises(RegistryError, match=r"token service of .* gave no token"):
        client.find_digest(app)


def test_a_missing_token_service_is_not_a_missing_image(registry, client, app, image):
    Tokens(registry)
    registry.handlers.insert(0, make_script("/token", fail(404)))
    with pytest.raises(RegistryError, match=r"token service of .* gave no token") as caught:
        client.find_digest(app)
    assert type(caught.value) is RegistryError


def test_an_identity_token_is_posted_as_a_form(registry, make_client, app, image):
    tokens = Tokens(registry)
    client = make_client(find_credentials=lambda _host: Credentials(identity_token=SECRET + "-identity"))
    assert client.find_digest(app) == image.digest
    (asked,) = tokens.asked
    assert asked.method == "POST"
    assert "Authorization" not in asked.headers
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": [SECRET + "-identity"],
        "client_id": ["envspin"],
        "service": ["the service"],
        "scope": ["repository:team/app:pull"],
    }
    assert SECRET not in asked.path


def test_a_form_is_not_redirected(registry, serve, make_client, app, image):
    elsewhere = serve()
    Tokens(registry)
    registry.handlers.insert(0, make_script("/token", Reply(307, {"Location": f"{elsewhere.url}/token"})))
    client = make_client(find_credentials=lambda _host: Credentials(identity_token=SECRET))
    with pytest.raises(RegistryError, match="redirects a request that holds a secret"):
        client.find_digest(app)
    assert elsewhere.seen == []


def test_an_identity_token_is_no_password(registry, make_client, app, image):
    registry.handlers.append(guard_by_password)
    client = make_client(find_credentials=lambda _host: Credentials(identity_token=SECRET))
    with pytest.raises(RegistryError, match="were refused for"):
        client.find_digest(app)
    assert len(registry.seen) == 1


def test_a_token_service_may_be_another_server_and_the_registry_never_sees_the_password(
    registry, serve, known, app, image
):
    elsewhere = serve()
    tokens = Tokens(elsewhere, registry, user=BASIC)
    assert known.find_digest(app) == image.digest
    assert len(tokens.asked) == 1
    assert all(seen.headers.get("Authorization") != BASIC for seen in registry.seen)


def test_a_password_is_not_shown_to_where_a_token_service_redirects(registry, serve, known, app, image):
    elsewhere = serve()
    elsewhere.always("", fail(404))
    Tokens(registry)
    registry.handlers.insert(0, make_script("/token", Reply(307, {"Location": f"{elsewhere.url}/token"})))
    with pytest.raises(RegistryError):
        known.find_digest(app)
    assert [seen.headers.get("Authorization") for seen in elsewhere.seen] == [None]


def test_a_token_service_with_tls_is_trusted_as_the_registry_is(secure, serve, authority, client, trust):
    service = serve(make_server_context(authority))
    Tokens(service, secure)
    image = secure.push_image("team/app", "1")
    trust(secure)
    assert client.find_digest(Reference.parse(f"{secure.host}/team/app:1")) == image.digest


def test_a_token_service_that_does_not_answer_is_named(registry, serve, client, app, image):
    gone = serve()
    Tokens(gone, registry)
    gone.close()
    gone.close = lambda: None
    with pytest.raises(RegistryError) as caught:
        client.find_digest(app)
    assert caught.value.message == f"{gone.host} (for {registry.host}) does not answer: connection refused"


def test_a_token_is_preferred_where_both_are_offered(registry, known, app, image):
    tokens = Tokens(registry, user=BASIC)
    guard = registry.handlers[1]

    def offer_both(seen):
        reply = guard(seen)
        if reply is None:
            return None
        return fail(401, WWW_Authenticate=f'Basic realm="x", {reply.headers["WWW-Authenticate"]}')

    registry.handlers[1] = offer_both
    assert known.find_digest(app) == image.digest
    assert len(tokens.asked) == 1
