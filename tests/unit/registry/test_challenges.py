"""``WWW-Authenticate`` in its many forms."""

from __future__ import annotations

import pytest

from envspin.errors import RegistryError
from envspin.registry.authorization import Challenge, parse_challenges

from .server import fail


def test_a_challenge_that_is_unknown_is_told(registry, client, app):
    registry.always("", fail(401, WWW_Authenticate="Negotiate"))
    with pytest.raises(RegistryError, match="wants a login of a kind that is not known here"):
        client.find_digest(app)
    assert len(registry.seen) == 1


@pytest.mark.parametrize(
    ("text", "challenges"),
    [
        ("", []),
        ("Basic", [Challenge("basic", {})]),
        ('BASIC realm="a b"', [Challenge("basic", {"realm": "a b"})]),
        (
            'Bearer realm="https://x/t",service=y,scope="repository:a/b:pull,push"',
            [Challenge("bearer", {"realm": "https://x/t", "service": "y", "scope": "repository:a/b:pull,push"})],
        ),
        ('Bearer Realm = "q\\"uoted" , x=""', [Challenge("bearer", {"realm": 'q"uoted', "x": ""})]),
        (
            'Basic realm="a", Bearer realm="b"',
            [Challenge("basic", {"realm": "a"}), Challenge("bearer", {"realm": "b"})],
        ),
        ("Negotiate, Basic realm=a", [Challenge("negotiate", {}), Challenge("basic", {"realm": "a"})]),
        ('Bearer realm="open', [Challenge("bearer", {"realm": ""})]),
        ('="', []),
    ],
)
def test_challenges_are_read(text, challenges):
    assert parse_challenges(text) == challenges
