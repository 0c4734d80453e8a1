"""Shared by all suites: the real engine, the image that tests run, and a look at what was left behind."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from envspin.run import naming
from envspin.run.ownership import describe_this_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envspin.engine.base import Engine

# Machines that are busy with containers are slow at times; how long an example takes says nothing of what it shows.
settings.register_profile("envspin", deadline=None)
settings.load_profile("envspin")

pytest_plugins = ["pytester", "tests.registry.fixtures"]


def pytest_configure() -> None:
    """Undo what may have been inherited: under nohup, or as a shell's background job, signals are ignored.

    envspin leaves ignored signals ignored, and so would those that tests start.
    """
    for number, handler in {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


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
