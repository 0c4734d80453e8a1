"""The part of G6 that every test run tries."""

from __future__ import annotations

import pytest

from .running import check_part
from .suites import load_suites

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


def test_whatever_call_fails_nothing_is_made_twice_and_nothing_remains(lab):
    check_part(load_suites(["G6"])["G6"], lab)
