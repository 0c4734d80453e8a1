"""Shared by all suites: the real engine, the image that tests run, and a look at what was left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envspin.run import naming
from envspin.run.ownership import describe_this_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envspin.engine.base import Engine

pytest_plugins = ["pytester"]


@pytest.fixture(scope="session")
def real_engine() -> Iterator[Engine]:
    """The container engine of this machine, holding the test image."""
    from envspin.engine.docker import DockerEngine
    from tests.contract.images import build_testbox

    engine = DockerEngine.connect()
    build_testbox(engine)
    yield engine
    engine.close()


@pytest.fixture
def nothing_left(real_engine: Engine) -> Iterator[None]:
    """Fail a test that leaves an object of this process's environments behind."""
    yield
    left = real_engine.list_resources({naming.OWNER: str(describe_this_process())})
    assert [each.name for each in left] == []
