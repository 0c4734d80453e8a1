"""``WWW-Authenticate`` in its many forms."""

from __future__ import annotations

import pytest

from envspin.registry.authorization import Challenge, parse_challenges


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
