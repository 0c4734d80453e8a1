"""Where credentials come from: docker's configuration, helper programs, and DOCKER_AUTH_CONFIG."""

from __future__ import annotations

import base64
import json

import pytest

from envspin.errors import RegistryError
from envspin.registry import RegistryClient
from envspin.registry.credentials import Credentials, find_auth_config, find_credentials

from .server import fail

SECRET = "canary-5up3r"
HOST = "registry.example:5000"


def encode(user, password=SECRET):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def configure(home):
    def write(document):
        folder = home / ".docker"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(document if isinstance(document, str) else json.dumps(document))
        return folder / "config.json"

    return write


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a credential helper into PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def write(name, script):
        path = folder / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


def test_without_a_configuration_there_are_none(home):
    assert find_credentials(HOST) is None
    assert find_auth_config(HOST) is None


@pytest.mark.parametrize("document", [{}, {"auths": {}}, {"auths": {HOST: {}}}, {"HttpHeaders": {"X": "y"}}])
def test_a_configuration_may_know_nothing(configure, document):
    configure(document)
    assert find_credentials(HOST) is None


def test_a_password_is_read(configure):
    configure({"auths": {HOST: encode("me", "a:b")}})
    assert find_credentials(HOST) == Credentials("me", "a:b")
    assert find_credentials("registry.example") is None


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_docker_hub_has_many_names(configure, key):
    configure({"auths": {key: encode("me")}})
    assert find_credentials("docker.io") == Credentials("me", SECRET)


def test_an_entry_may_be_written_as_a_url(configure):
    configure({"auths": {f"https://{HOST}/v1/": encode("me")}})
    assert find_credentials(HOST) == Credentials("me", SECRET)


def test_an_identity_token_is_read(configure):
    configure({"auths": {HOST: {"auth": "", "identitytoken": SECRET}}})
    assert find_credentials(HOST) == Credentials(identity_token=SECRET)


def test_the_home_folder_is_looked_at_where_no_other_is_named(configure, monkeypatch):
    configure({"auths": {HOST: encode("me")}})
    monkeypatch.delenv("DOCKER_CONFIG")
    assert find_credentials(HOST) == Credentials("me", SECRET)


def test_the_variable_wins_over_the_file_and_leaves_the_rest_to_it(configure, monkeypatch):
    configure({"auths": {HOST: encode("file"), "other.example": encode("other")}})
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {HOST: encode("variable")}}))
    assert find_credentials(HOST) == Credentials("variable", SECRET)
    assert find_credentials("other.example") == Credentials("other", SECRET)


def test_secrets_are_not_shown():
    text = repr(Credentials("me", SECRET, SECRET))
    assert "me" in text
    assert SECRET not in text


def test_the_engine_gets_it_in_its_own_words(configure):
    configure({"auths": {HOST: encode("me"), "other.example": {"identitytoken": SECRET}}})
    assert find_auth_config(HOST) == {"username": "me", "password": SECRET, "serveraddress": HOST}
    assert find_auth_config("other.example") == {"identitytoken": SECRET, "serveraddress": "other.example"}


BROKEN = [
    "no json",
    "[]",
    '"text"',
    '{"auths": ["x"]}',
    '{"auths": "x"}',
    '{"auths": {"h": 1}}',
    json.dumps({"auths": {"h": {"auth": SECRET}}}),
    '{"auths": {"h": {"auth": 5}}}',
    '{"auths": {}, "credHelpers": ["x"]}',
    "[" * 100_000,
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_named_and_not_shown(configure, text):
    path = configure(text)
    with pytest.raises(RegistryError) as caught:
        find_credentials(HOST)
    assert caught.value.message == f"{path} is not a docker configuration in JSON"
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_broken_variable_is_named(monkeypatch):
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", "{" + SECRET)
    with pytest.raises(RegistryError, match="DOCKER_AUTH_CONFIG is not a docker configuration") as caught:
        find_credentials(HOST)
    assert SECRET not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(home):
    (home / ".docker" / "config.json").mkdir(parents=True)
    with pytest.raises(RegistryError, match=r"config\.json cannot be read") as caught:
        find_credentials(HOST)
    assert "DOCKER_CONFIG" in caught.value.hint


def answer_with(user, secret=SECRET):
    return f"echo '{json.dumps({'ServerURL': 'x', 'Username': user, 'Secret': secret})}'"


def test_a_helper_of_one_registry_is_asked(configure, install, tmp_path):
    configure({"auths": {"other.example": encode("other")}, "credHelpers": {HOST: "mine"}})
    install("mine", f"cat > {tmp_path}/asked\n{answer_with('helped')}")
    assert find_credentials(HOST) == Credentials("helped", SECRET)
    assert (tmp_path / "asked").read_text() == HOST
    assert find_credentials("other.example") == Credentials("other", SECRET)


def test_a_store_for_all_registries_is_asked_by_the_long_name_of_docker_hub(configure, install, tmp_path):
    configure({"credsStore": "mine"})
    install("mine", f"cat > {tmp_path}/asked\n{answer_with('helped')}")
    assert find_credentials("docker.io") == Credentials("helped", SECRET)
    assert (tmp_path / "asked").read_text() == "https://index.docker.io/v1/"


def test_a_helper_may_give_an_identity_token(configure, install):
    configure({"credsStore": "mine"})
    install("mine", answer_with("<token>"))
    assert find_credentials(HOST) == Credentials(identity_token=SECRET)


def test_a_helper_that_knows_nothing_leaves_it_to_the_file(configure, install):
    configure({"auths": {HOST: encode("me")}, "credsStore": "mine"})
    install("mine", "echo credentials not found in native keychain; exit 1")
    assert find_credentials(HOST) == Credentials("me", SECRET)
    assert find_credentials("other.example") is None


def test_a_missing_helper_is_named(configure, install):
    path = configure({"credsStore": "gone"})
    with pytest.raises(RegistryError) as caught:
        find_credentials(HOST)
    assert caught.value.message == "the credential helper docker-credential-gone is not installed, or not in PATH"
    assert f"named by {path}" in caught.value.context
    assert "credsStore" in caught.value.hint


def test_a_helper_that_fails_is_named_with_what_it_said(configure, install):
    configure({"credHelpers": {HOST: "mine"}})
    install("mine", "echo pass not initialized; exit 1")
    with pytest.raises(RegistryError) as caught:
        find_credentials(HOST)
    assert caught.value.message == f"the credential helper docker-credential-mine failed for {HOST}"
    assert "pass not initialized" in caught.value.context[0]
    assert "docker-credential-mine get" in caught.value.hint


@pytest.mark.parametrize(
    "script",
    [f"{answer_with('me')}; exit 1", f"echo {SECRET}", f"echo '[\"{SECRET}\"]'", "exit 0", "echo '{}'", "echo 5"],
)
def test_an_answer_of_a_helper_that_is_none_is_not_shown(configure, install, script):
    configure({"credsStore": "mine"})
    install("mine", script)
    with pytest.raises(RegistryError, match="docker-credential-mine failed") as caught:
        find_credentials(HOST)
    assert SECRET not in str(caught.value)


def test_a_helper_that_cannot_be_run_is_named(configure, install, tmp_path):
    configure({"credsStore": "mine"})
    install("mine", "")
    (tmp_path / "bin" / "docker-credential-mine").write_text("#!/nowhere/interpreter\n")
    with pytest.raises(RegistryError, match="docker-credential-mine failed"):
        find_credentials(HOST)


def test_a_client_looks_there_by_itself(registry, make_client, app, configure):
    image = registry.push_image("team/app", "1")
    configure({"auths": {registry.host: encode("me")}})
    wanted = "Basic " + encode("me")["auth"]
    registry.handlers.append(
        lambda seen: (
            None if seen.headers.get("Authorization") == wanted else fail(401, WWW_Authenticate='Basic realm="x"')
        )
    )
    client = RegistryClient()
    try:
        assert client.find_digest(app) == image.digest
    finally:
        client.close()
