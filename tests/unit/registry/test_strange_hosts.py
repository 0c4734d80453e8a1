"""Other hosts than the registry's own: what they ask for is not given, whoever leads there."""

from __future__ import annotations

import pytest

from envspin.errors import RegistryError
from envspin.reference import Reference
from envspin.registry.credentials import Credentials

from .server import Reply, fail

SECRET = "canary-5up3r"


@pytest.fixture
def elsewhere(serve):
    return serve()


@pytest.fixture
def third(serve):
    return serve()


@pytest.fixture
def looked_for():
    """The registries whose credentials were looked for."""
    return []


@pytest.fixture
def known(make_client, looked_for):
    return make_client(find_credentials=lambda host: (looked_for.append(host), Credentials("me", SECRET))[1])


def challenge(kind, realm):
    return fail(401, "UNAUTHORIZED", WWW_Authenticate=f'{kind} realm="{realm}",service="x"')


def demand_basic(seen):
    return None if "Authorization" in seen.headers else challenge("Basic", "here")


def lead(server, part, target):
    server.always(part, Reply(307, {"Location": target}))


@pytest.mark.parametrize("kind", ["Bearer", "Basic", "Negotiate"])
def test_a_challenge_of_where_a_registry_redirects_is_not_answered(
    registry, elsewhere, third, known, looked_for, app, kind
):
    lead(registry, "", f"{elsewhere.url}/v2/x")
    elsewhere.always("", challenge(kind, f"{third.url}/token"))
    with pytest.raises(RegistryError) as caught:
        known.find_digest(app)
    assert caught.value.message == f"{registry.host} redirects to {elsewhere.url}, which wants a login of its own"
    assert f"HEAD {elsewhere.url}/v2/x" in caught.value.context
    assert third.seen == []
    assert len(registry.seen) == len(elsewhere.seen) == 1
    assert looked_for == []


def test_a_login_in_the_address_of_a_redirect_is_not_told(registry, elsewhere, known, app):
    lead(registry, "", f"http://user:{SECRET}@{elsewhere.host}/x")
    elsewhere.always("", challenge("Basic", "x"))
    with pytest.raises(RegistryError, match=f"redirects to {elsewhere.url}, which") as caught:
        known.find_digest(app)
    assert SECRET not in str(caught.value)


def test_a_challenge_behind_a_login_is_not_answered_nor_told_as_a_wrong_password(
    registry, elsewhere, third, known, app
):
    registry.handlers.append(demand_basic)
    lead(registry, "blobs/", f"{elsewhere.url}/blob")
    registry.push_image("team/app", "1")
    elsewhere.always("", challenge("Bearer", f"{third.url}/token"))
    with pytest.raises(RegistryError, match=f"redirects to {elsewhere.url}, which wants a login of its own"):
        known.resolve(app, ["linux/amd64"])
    assert third.seen == []
    assert [seen.headers.get("Authorization") for seen in elsewhere.seen] == [None]


def test_a_redirect_right_after_the_login_is_told_as_one(registry, elsewhere, known, app):
    registry.handlers.append(demand_basic)
    lead(registry, "", f"{elsewhere.url}/x")
    elsewhere.always("", challenge("Basic", "x"))
    with pytest.raises(RegistryError, match=f"{registry.host} redirects to {elsewhere.url}, which wants a login"):
        known.find_digest(app)
    assert [seen.headers.get("Authorization") for seen in elsewhere.seen] == [None]


def test_a_challenge_after_a_redirect_within_the_registry_is_answered(registry, known, app):
    image = registry.push_image("team/app", "1")
    registry.script("/moved", challenge("Basic", "here"), Reply(200, {"Docker-Content-Digest": image.digest}))
    lead(registry, "manifests/", "/moved")
    assert known.find_digest(app) == image.digest
    assert "Authorization" in registry.seen[-1].headers


def test_a_login_that_a_token_service_leads_to_is_not_told_as_a_wrong_password(registry, elsewhere, known, app):
    registry.always("/v2/", challenge("Bearer", f"{registry.url}/token"))
    lead(registry, "/token", f"{elsewhere.url}/token")
    elsewhere.always("", challenge("Bearer", f"{elsewhere.url}/more"))
    with pytest.raises(RegistryError) as caught:
        known.find_digest(app)
    assert caught.value.message == (
        f"the token service of {registry.host} redirects to {elsewhere.url}, which wants a login of its own"
    )
    assert [seen.headers.get("Authorization") for seen in elsewhere.seen] == [None]


@pytest.mark.parametrize(
    "realm", ["http://{host}/token", "ftp://{host}/token", "/token", "", "https://", "https://[", "https://h:x/"]
)
def test_a_registry_with_tls_cannot_send_a_login_elsewhere_than_to_tls(secure, registry, known, trust, realm):
    trust(secure)
    challenge = f'Bearer realm="{realm.format(host=registry.host)}",service="x"'
    secure.always("", fail(401, WWW_Authenticate=challenge))
    with pytest.raises(RegistryError, match="sends logins to a place that is not safe"):
        known.find_digest(Reference.parse(f"{secure.host}/team/app:1"))
    assert registry.seen == []
