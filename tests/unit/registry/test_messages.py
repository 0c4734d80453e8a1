"""Each refusal says what was tried, what it means and what to do, and repeats nothing that a server chose to say."""

from __future__ import annotations

import pytest

from envspin.errors import ManifestNotFoundError, RegistryError
from envspin.reference import Reference
from envspin.registry.credentials import Credentials
from envspin.registry.failures import Question, explain_status, hide_query, read_error_codes

from .server import Reply, fail

ANYBODY = Question(Reference.parse("registry.example/team/app:1"), "registry.example")
SOMEBODY = Question(ANYBODY.reference, ANYBODY.registry, "me")
AT_HUB = Question(Reference.parse("team/app:1"), "docker.io")


def explain(status, code="", question=ANYBODY, **headers):
    reply = fail(status, code, **headers)
    return explain_status(status, reply.headers, reply.body, question, "GET https://registry.example/v2/x")


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (
            explain(401),
            "registry.example wants a login for registry.example/team/app:1",
            "check the name, or log in: `docker login registry.example`",
        ),
        (
            explain(401, question=SOMEBODY),
            "the credentials for registry.example were refused for registry.example/team/app:1",
            "log in again: `docker login registry.example`",
        ),
        (
            explain(401, question=AT_HUB),
            "docker.io shows nobody team/app:1 without a login: it is private, or not there",
            "check the name, or log in: `docker login`",
        ),
        (
            explain(403),
            "registry.example does not let just anybody read registry.example/team/app:1",
            "log in as somebody who may: `docker login registry.example`",
        ),
        (
            explain(403, question=SOMEBODY),
            "registry.example does not let me read registry.example/team/app:1",
            "log in as somebody who may: `docker login registry.example`",
        ),
        (
            explain(404, "NAME_UNKNOWN"),
            "registry.example has no repository team/app",
            "check the name and the tag",
        ),
        (
            explain(404, "MANIFEST_UNKNOWN"),
            "registry.example has no tag 1 of registry.example/team/app",
            "check the name and the tag",
        ),
        (
            explain(404, "BLOB_UNKNOWN"),
            "registry.example has lost a part of registry.example/team/app:1",
            "check the name and the tag",
        ),
        (explain(404), "registry.example has no registry.example/team/app:1", "check the name and the tag"),
        (
            explain(404, question=AT_HUB),
            "docker.io has no team/app:1",
            "check the name and the tag; if the repository is private: `docker login`",
        ),
        (
            explain(429),
            "registry.example limits how often anonymous pulls may ask",
            "wait, log in (`docker login registry.example`), or let the engine use a mirror",
        ),
        (
            explain(429, question=SOMEBODY),
            "registry.example limits how often this account may ask",
            "wait, log in (`docker login registry.example`), or let the engine use a mirror",
        ),
        (explain(500), "registry.example has a problem of its own: HTTP 500", "try again later"),
        (
            explain(418),
            "registry.example answered HTTP 418 when asked for registry.example/team/app:1",
            "check that it is a registry of container images",
        ),
    ],
)
def test_each_refusal_says_what_it_means_and_what_to_do(error, message, hint):
    assert error.message == message
    assert error.hint == hint
    assert error.context[0] == "GET https://registry.example/v2/x"
    assert error.exit_code == 4


def test_only_what_is_not_there_is_told_as_not_found():
    assert [
        status for status in (400, 401, 403, 404, 429, 500) if isinstance(explain(status), ManifestNotFoundError)
    ] == [404]


def test_the_code_of_the_error_is_told():
    assert "answer: HTTP 403 (DENIED)" in explain(403, "DENIED").context
    assert "answer: HTTP 403" in explain(403).context


def test_a_limit_says_how_long_it_asks_to_wait():
    assert "it asks to wait 120 s" in explain(429, Retry_After="120").context


@pytest.mark.parametrize("text", ["86401", "9" * 300, "9" * 400, "9" * 5000, "Mon, 01 Jan 9999 00:00:00 GMT"])
def test_a_very_long_wait_is_told_in_short(text):
    error = explain(429, Retry_After=text)
    assert "it asks to wait 86400 s or more" in error.context
    assert error.retry_after == 86400.0


@pytest.mark.parametrize("text", [f"Mon, 01 Jan {'9' * 30} 00:00:00 GMT", f"Mon, 01 Jan 2024 00:00:00 +{'9' * 30}"])
def test_a_moment_that_no_calendar_has_is_no_wait(text):
    assert explain(429, Retry_After=text).retry_after is None


def test_an_address_in_a_message_has_no_control_characters_and_an_end():
    assert hide_query("https://h/\x1b[31m\x9bm\u202ex?secret") == "https://h/?[31m?m?x"
    shown = hide_query("https://h/" + "x" * 5000)
    assert len(shown) < 500
    assert shown.endswith("...")


ODD = "\x1b[31m\x9b1m" + "x" * 5000


def assert_plain(error):
    text = str(error)
    assert all(letter == "\n" or (letter.isascii() and letter.isprintable()) for letter in text)
    assert max(map(len, text.splitlines())) < 700


def test_where_a_registry_redirects_is_told_in_plain_letters(registry, serve, client, app):
    elsewhere = serve()
    elsewhere.always("", fail(403))
    registry.always("", Reply(307, {"Location": f"{elsewhere.url}/{ODD}"}))
    with pytest.raises(RegistryError) as caught:
        client.find_digest(app)
    assert f"GET {elsewhere.url}/?[31m?1mxxx" in str(caught.value)
    assert_plain(caught.value)


@pytest.mark.parametrize("host", [ODD, "\x9b1m", "\x1b" + "x" * 5000, "x" * 5000, "x." * 2000])
def test_a_host_of_odd_letters_is_told_in_plain_ones(registry, client, app, host):
    registry.always("", Reply(307, {"Location": f"http://{host}:1/x"}))
    with pytest.raises(RegistryError) as caught:
        client.find_digest(app)
    assert_plain(caught.value)


def test_a_realm_of_odd_letters_is_told_in_plain_ones(secure, client, trust):
    trust(secure)
    challenge = f'Bearer realm="http://host/{ODD}",service="{ODD}",scope="{ODD}"'
    secure.always("", fail(401, WWW_Authenticate=challenge))
    with pytest.raises(RegistryError, match="not safe: http://host/") as caught:
        client.find_digest(Reference.parse(f"{secure.host}/team/app:1"))
    assert_plain(caught.value)


def test_a_token_service_of_odd_letters_is_told_in_plain_ones(registry, client, app):
    challenge = f'Bearer realm="{registry.url}/token/{ODD}",service="{ODD}",scope="{ODD}"'
    registry.always("/v2/", fail(401, WWW_Authenticate=challenge))
    with pytest.raises(RegistryError) as caught:
        client.find_digest(app)
    assert_plain(caught.value)


@pytest.mark.parametrize("kind", [ODD, "application/json; " + ODD])
def test_a_type_of_odd_letters_is_in_no_message(registry, client, app, kind):
    registry.always("", Reply(200, {"Content-Type": kind, "Docker-Content-Digest": ODD}, b"{}"))
    with pytest.raises(RegistryError) as caught:
        client.resolve(app, ["linux/amd64"])
    assert "[31m" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"errors": null}',
        b'{"errors": [1]}',
        b'{"errors": [{}]}',
        b'{"errors": [{"code": "a secret"}]}',
        b'{"errors": [{"code": 1}]}',
        b'{"errors": {"code": "X"}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_body_of_another_form_has_no_codes(body):
    assert read_error_codes(body) == []


def test_what_a_server_repeats_of_a_login_is_in_no_message(registry, make_client, app):
    def echo(seen):
        shown = seen.headers.get("Authorization", "")
        if not shown:
            return fail(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="x"')
        return fail(403, shown, X_Echo=shown)

    registry.handlers.append(echo)
    client = make_client(find_credentials=lambda _host: Credentials("me", "canary-5up3r"))
    with pytest.raises(RegistryError) as caught:
        client.find_digest(app)
    text = str(caught.value)
    assert "canary" not in text
    assert "Basic" not in text
    assert "does not let me read" in text
