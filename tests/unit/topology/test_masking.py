"""Names and places that tell a secret, and those that do not."""

from __future__ import annotations

import pytest

from envspin.topology.masking import Masker, mask_secrets, sounds_secret

TELLING = [
    "DB_PASSWORD", "DB_PASS", "PGPASSWORD", "apiKey", "X-Api-Key", "MYSQL_PWD", "TOKEN", "DB_PW", "DB_PW2",
    "PW", "dbPw", "userPwd", "Pwd", "SMTP_USER_PW", "JWT", "USER_JWT", "userJwt", "JWT_KEY", "STRIPE_SK",
    "SALT", "PASSWORD_SALT", "AUTH_SALT", "hashSalt", "PEPPER", "AUTH", "REDIS_AUTH", "BASIC_AUTH",
    "BASICAUTH", "X-Auth", "APP_KEY", "AccountKey", "DB_CREDS", "RABBITMQ_ERLANG_COOKIE", "FERNET_KEY",
    "LOGGED_IN_KEY", "--auth", "--db-pw", "AWS_ACCESS_KEY_ID",
]  # fmt: skip
INNOCENT = [
    "PASSWORD_FILE", "TOKEN_FILE", "DB_PW_FILE", "PWD", "OLDPWD", "COMPASS", "BYPASS", "OVERPASS_URL",
    "PASSIVE", "PASSPORT", "passenger", "HOST", "secrets", "KEYBOARD", "KEYCLOAK_URL", "AUTH_KEYCLOAK_URL",
    "ACCESS_KEYSPACE", "MONKEY", "PUBLIC_KEY", "AUTHOR", "AUTHORITY", "AUTH_URL", "AUTH_METHOD", "OAUTH",
    "OAUTH_ISSUER", "SALT_MASTER_HOST", "BASALT", "JWT_ISSUER", "JWT_ALGORITHM", "PWDEBUG", "PW_TEST_HTML",
    "SPAWN", "TASK", "DB_SKIP", "FLASK", "CREDIT",
]  # fmt: skip


@pytest.mark.parametrize("name", TELLING)
def test_names_that_sound_secret(name):
    assert sounds_secret(name)


@pytest.mark.parametrize("name", INNOCENT)
def test_names_that_do_not(name):
    assert not sounds_secret(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("AUTH: Bearer abc", "AUTH: ***"),
        ("AUTH=abc", "AUTH=***"),
        ('{"jwt":"abc"}', '{"jwt":***'),
        ("X-Header: Bearer abcdefgh", "X-Header: Bearer ***"),
        ("curl -H 'X: Basic YWRtaW46eA=='", "curl -H 'X: Basic ***'"),
        ("Server=x;User Id=sa;Pwd=hunter2;", "Server=x;User Id=sa;Pwd=***"),
        ("Pwd=hunter2;Server=x", "Pwd=***"),
        ("DRIVER=x;UID=sa; PWD=hunter2", "DRIVER=x;UID=sa; PWD=***"),
        ("https://0123456789abcdef@o1.ingest.sentry.io/4", "https://***@o1.ingest.sentry.io/4"),
        ("https://0123456789abcdef:x@sentry.io/4", "https://***:***@sentry.io/4"),
        (
            "https://hooks.slack.com/services/T00000000/B00000000/aB3xYz9012345678abcdEFGH",
            "https://hooks.slack.com/services/T00000000/B00000000/***",
        ),
        ("see https://x.io/hook/abcdefghijklmnopqrs12 now", "see https://x.io/hook/*** now"),
        ("https://api.telegram.org/bot123456:ABCdef_ghi-jklmno/send", "https://api.telegram.org/***/send"),
        ("https://maps.example.com/?v=1&key=AIza&x=1", "https://maps.example.com/?v=1&key=***&x=1"),
        ("login --pw abc now", "login --pw *** now"),
    ],
)
def test_places_that_tell_a_secret(text, shown):
    assert mask_secrets(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "PWD=/app",
        "cd $pwd: now",
        "${PWD}:/app",
        "http://auth:8080/salt",
        "image: registry.example.com/auth:1.2",
        "auth: {image: x}",
        "mongod --auth --bind_ip_all",
        "mongod --auth -f /etc/mongod.conf",
        "basic authentication",
        "Authors: one",
        "JWT_ISSUER: https://login.example.com",
        "Authentication: Bearer $TOKEN",
        "https://user@host/path",
        "http://database-primary-cluster-12:5432/app",
        "https://example.com/a-very-long-name-of-words/x",
    ],
)
def test_places_that_tell_none(text):
    assert mask_secrets(text) == text


def test_a_long_secret_is_found_before_a_part_of_it():
    masker = Masker(values=["part-1", "part-1-and-more"])
    assert masker.mask_text("x part-1-and-more y part-1") == "x *** y ***"


def test_masking_does_not_choke_on_a_megabyte_without_a_blank():
    text = "token" * 200_000
    assert Masker(["token"]).mask_text(text) == text


@pytest.mark.parametrize(
    "unit",
    [
        "token=$a?",
        "token ",
        "://",
        "://a:",
        "://a:b@",
        "auth ",
        "auth: ",
        "bearer ",
        "--token ",
        "/aA0",
        "?key=",
        "_sk ",
    ],
)
def test_masking_does_not_choke_on_a_long_line_of_beginnings(unit):
    text = "://" + unit * (300_000 // len(unit))
    assert len(mask_secrets(text)) <= 2 * len(text)


def test_a_value_that_no_encoding_knows_is_hidden_all_the_same():
    assert Masker(["p\udc80ss"]).mask_text("x p\udc80ss y") == "x *** y"
