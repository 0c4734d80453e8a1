"""Numbers and tables as people read them."""

from __future__ import annotations

import pytest

from envspin.cli.output import count_nouns, render_duration, render_table, shorten_image


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.314, "0.31 s"), (12.34, "12.3 s"), (125, "2 m 05 s"), (28799, "7 h 59 m"), (3 * 86400 + 7300, "3 d 2 h")],
)
def test_durations(seconds, text):
    assert render_duration(seconds) == text


def test_counts():
    assert count_nouns({"volume": 2, "container": 1, "network": 0}) == "1 container, 2 volumes"
    assert count_nouns({}) == "nothing"


def test_tables_align():
    assert render_table(("A", "LONG", "C"), [("wide", "1", "x"), ("n", "22", "")], right=frozenset({1})).splitlines()[
        1:
    ] == ["wide     1  x", "n       22"]


def test_images_keep_their_end():
    assert shorten_image("redis:7") == "redis:7"
    assert shorten_image("registry.example.com/a/very/long/path/to/an/image:1.2.3").endswith("to/an/image:1.2.3")
    assert shorten_image("redis@sha256:" + "ab" * 32) == "redis@abababababab"
