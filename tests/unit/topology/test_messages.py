"""Messages as users see them: `messages.golden` holds files and what is said of them.

`ENVSPIN_WRITE_GOLDEN=1 pytest tests/unit/topology/test_messages.py` writes what is said now; read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from envspin.errors import TopologyError

GOLDEN = Path(__file__).with_name("messages.golden")


def read_cases():
    cases = {}
    for block in GOLDEN.read_text(encoding="utf-8").split("=== ")[1:]:
        head, _, expected = block.partition(">>>\n")
        name, _, text = head.partition("\n")
        cases[name] = (text, expected)
    return cases


CASES = read_cases()
ENVIRON = {"CANARY": "s3cr3t", "HOME": "/home/u"}


def said_of(bench, text):
    bench.environ = ENVIRON
    with pytest.raises(TopologyError) as caught:
        bench.load(text)
    return str(caught.value) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_message(bench, name):
    text, expected = CASES[name]
    said = said_of(bench, text)
    if os.environ.get("ENVSPIN_WRITE_GOLDEN"):
        CASES[name] = (text, said)
        GOLDEN.write_text(
            "".join(f"=== {each}\n{case[0]}>>>\n{case[1]}" for each, case in CASES.items()), encoding="utf-8"
        )
    else:
        assert said == expected


def test_no_message_shows_a_secret():
    """Values that come from variables, or follow a name that sounds secret, are never printed."""
    assert CASES
    for _, expected in CASES.values():
        assert "s3cr3t" not in expected
        assert "hunter2" not in expected
