"""The parts of the suites that every test run tries: owners that die, stop, fail and crowd each other."""

from __future__ import annotations

import pytest

from .running import check_part
from .suites import load_suites

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


@pytest.mark.parametrize("identity", ["G1", "G1b", "G2", "G3", "G5", "G7", "G9", "G12", "G13", "G17"])
def test_the_guarantee_holds_in_every_try(lab, identity):
    check_part(load_suites([identity])[identity], lab)
