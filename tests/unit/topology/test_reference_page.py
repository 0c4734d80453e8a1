"""`docs/topology.md` names every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from envspin.topology.keys import REPLACED_SERVICE_KEYS, SERVICE_EXTENSION_KEYS, UNSUPPORTED_SERVICE_KEYS
from envspin.topology.probes import PROBES
from envspin.topology.service import READERS

PAGE = (Path(__file__).parents[3] / "docs" / "topology.md").read_text(encoding="utf-8")
MENTIONED = set(re.findall(r"[a-z0-9_]+", " ".join(re.findall(r"`[^`]+`", PAGE))))


@pytest.mark.parametrize(
    "keys", [READERS, REPLACED_SERVICE_KEYS, UNSUPPORTED_SERVICE_KEYS, SERVICE_EXTENSION_KEYS, PROBES], ids=len
)
def test_every_key_is_named(keys):
    assert set(keys) <= MENTIONED
