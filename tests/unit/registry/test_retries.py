"""What is tried again, how often, after which waits, and when that ends."""

from __future__ import annotations

import email.utils
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest

from envspin.errors import RegistryError
from envspin.reference import Reference
from envspin.registry import transport
from envspin.registry.pacing import Pace

from .server import Reply, fail


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_status_that_passes_is_tried_again(registry, client, app, time, status):
    image = registry.push_image("team/app", "1")
    registry.script("", fail(status), fail(status))
    assert client.find_digest(app) == image.digest
    assert registry.methods == ["HEAD"] * 3
    assert len(time.waits) == 2


def test_waits_grow_and_five_attempts_are_made(registry, client, app, time):
    registry.always("", fail(503))
    with pytest.raises(RegistryError, match="a problem of its own: HTTP 503") as caught:
        client.find_digest(app)
    assert len(registry.seen) == 5
    assert len(time.waits) == 4
    assert all(low <= wait <= low + 0.2 for low, wait in zip((0.2, 0.4, 0.8, 1.6), time.waits, strict=True))
    assert caught.value.context[-1].startswith("5 attempts in ")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418])
def test_a_refusal_is_not_tried_again(registry, client, app, time, status):
    registry.always("", fail(status))
    with pytest.raises(RegistryError):
        client.resolve(app.at("sha256:" + "0" * 64), ["linux/amd64"])
    assert registry.methods == ["GET"]
    assert time.waits == []


def test_an_answer_that_breaks_off_is_asked_for_again(registry, client, app):
    image = registry.push_image("team/app", "1")
    cut = Reply(200, {}, image.body[:50], missing=len(image.body) - 50)
    registry.script("manifests/sha256", cut, cut)
    assert client.resolve(app, ["linux/amd64"]).digest == image.digest
    assert registry.count("manifests/sha256") == 3


def test_an_answer_that_always_breaks_off_is_no_answer(registry, client, app):
    image = registry.push_image("team/app", "1")
    registry.always("manifests/sha256", Reply(200, {}, image.body[:50], missing=1000))
    with pytest.raises(RegistryError, match="broke off in the middle of an answer") as caught:
        client.resolve(app, ["linux/amd64"])
    assert f"GET {registry.url}/v2/team/app/manifests/{image.digest}" in caught.value.context
    assert registry.count("manifests/sha256") == 5


def test_a_connection_that_ends_without_a_word_is_tried_again(registry, client, app):
    image = registry.push_image("team/app", "1")
    registry.script("", Reply(is_dropped=True))
    assert client.find_digest(app) == image.digest
    assert len(registry.seen) == 2


def test_a_registry_that_says_nothing_is_tried_again(registry, client, app, stack, monkeypatch):
    monkeypatch.setattr(transport, "READ_SECONDS", 0.1)
    heard = threading.Event()
    stack.callback(heard.set)
    image = registry.push_image("team/app", "1")
    registry.script("", Reply(silence=heard))
    assert client.find_digest(app) == image.digest


def test_a_registry_that_never_says_a_word_does_not_answer_in_time(registry, client, app, stack, monkeypatch):
    monkeypatch.setattr(transport, "READ_SECONDS", 0.05)
    heard = threading.Event()
    stack.callback(heard.set)
    registry.always("", Reply(silence=heard))
    with pytest.raises(RegistryError, match="does not answer in time") as caught:
        client.find_digest(app)
    assert len(registry.seen) == 5
    assert caught.value.context[-1].startswith("5 attempts in ")


@pytest.mark.parametrize("status", [429, 503])
def test_a_registry_is_left_alone_as_long_as_it_asks(registry, client, app, time, status):
    image = registry.push_image("team/app", "1")
    registry.script("", fail(status, Retry_After="7"))
    assert client.find_digest(app) == image.digest
    assert time.waits == [7.0]


def test_retry_after_may_be_a_date(registry, client, app, time):
    image = registry.push_image("team/app", "1")
    moment = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=15), usegmt=True)
    registry.script("", fail(429, Retry_After=moment))
    assert client.find_digest(app) == image.digest
    assert 5 < time.waits[0] <= 15


@pytest.mark.parametrize("text", ["soon", "", "-1", "٣"])
def test_a_retry_after_that_is_none_is_not_heeded(registry, client, app, time, text):
    image = registry.push_image("team/app", "1")
    registry.script("", fail(429, Retry_After=text.encode("utf-8").decode("latin-1")))
    assert client.find_digest(app) == image.digest
    assert time.waits[0] <= 0.4


def test_a_wait_that_does_not_fit_the_deadline_is_not_begun(registry, client, app, time):
    registry.always("", fail(429, Retry_After="31"))
    with pytest.raises(RegistryError) as caught:
        client.find_digest(app)
    assert time.waits == []
    assert len(registry.seen) == 1
    assert "it asks to wait 31 s" in caught.value.context


def test_one_deadline_holds_for_all_requests_of_a_question(registry, make_client, app, time):
    registry.push_image("team/app", "1")
    registry.script("manifests/1", fail(503, Retry_After="6"))
    registry.script("manifests/sha256", fail(503, Retry_After="6"))
    client = make_client(deadline_seconds=10.0)
    with pytest.raises(RegistryError, match="HTTP 503"):
        client.resolve(app, ["linux/amd64"])
    assert time.waits == [6.0]


def test_each_question_has_a_deadline_of_its_own(registry, make_client, app, time):
    registry.push_image("team/app", "1")
    client = make_client(deadline_seconds=10.0)
    for _ in range(2):
        registry.script("manifests/1", fail(503, Retry_After="6"))
        client.find_digest(app)
    assert time.waits == [6.0, 6.0]


def test_nothing_is_sent_when_the_deadline_has_passed(registry, make_client, app, time):
    registry.push_image("team/app", "1")
    registry.handlers.append(lambda seen: time.sleep(40) if seen.method == "HEAD" else None)
    with pytest.raises(RegistryError, match="did not answer within 30 s"):
        make_client().resolve(app, ["linux/amd64"])
    assert registry.methods == ["HEAD"]


def test_nobody_there_is_told_after_five_attempts(client, time):
    with socket.socket() as taken:  # bound, and never listening
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RegistryError) as caught:
            client.find_digest(Reference.parse(f"{host}/team/app:1"))
    assert caught.value.message == f"{host} does not answer: connection refused"
    assert f"HEAD http://{host}/v2/team/app/manifests/1" in caught.value.context
    assert caught.value.hint == "check the network and the registry's name"
    assert len(time.waits) == 4


@pytest.fixture
def asked(monkeypatch):
    """The names that were looked up, all in vain."""
    asked = []

    def look_up(host, *_arguments, **_options):
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_docker_hub_out_of_reach_may_have_a_mirror(client, asked):
    with pytest.raises(RegistryError, match=r"docker\.io is not known") as caught:
        client.find_digest(Reference.parse("postgres:16"))
    assert caught.value.hint == (
        "check the network and the registry's name, or configure a mirror in the engine (`registry-mirrors`)"
    )
    assert set(asked) == {"registry-1.docker.io"}


def test_a_name_that_does_not_resolve_is_looked_up_twice(client, time, asked):
    with pytest.raises(RegistryError, match="its name does not resolve") as caught:
        client.find_digest(Reference.parse("registry.invalid/team/app:1"))
    assert asked == ["registry.invalid"] * 2
    assert len(time.waits) == 1
    assert "HEAD https://registry.invalid/v2/team/app/manifests/1" in caught.value.context


def test_closing_the_client_ends_a_wait(registry, make_client, app):
    registry.always("", fail(503, Retry_After="1000"))
    client = make_client(deadline_seconds=5000.0, pace=Pace())
    errors = []

    def ask():
        try:
            client.find_digest(app)
        except RegistryError as error:
            errors.append(error)

    asked = threading.Event()
    registry.handlers.insert(0, lambda _seen: asked.set())
    thread = threading.Thread(target=ask)
    thread.start()
    assert asked.wait(30)
    client.close()
    thread.join(30)
    assert not thread.is_alive()
    assert "was closed" in errors[0].message
    assert len(registry.seen) == 1
