"""One set of fixtures, two engines: every contract test runs against the in-memory engine and the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from envspin.engine.base import Engine
from envspin.engine.docker import DockerEngine
from envspin.engine.fake import FakeEngine

from .images import DERIVED, DERIVED_REQUEST, build_testbox, make_fake_engine
from .lab import Lab


@pytest.fixture(scope="session")
def docker_connection() -> Iterator[Engine]:
    """Connect once, and see to it that the engine holds the testbox."""
    connection = DockerEngine.connect()
    build_testbox(connection)
    yield connection
    connection.close()


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.engine)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Give each engine in turn; the in-memory one is new for each test."""
    if request.param == "docker":
        yield request.getfixturevalue("docker_connection")
        return
    fake = make_fake_engine()
    yield fake
    fake.close()


@pytest.fixture
def connect(engine: Engine) -> Callable[[], Engine]:
    """Return a function that opens another connection to the same kind of engine."""
    return make_fake_engine if isinstance(engine, FakeEngine) else DockerEngine.connect


@pytest.fixture
def lab(engine: Engine) -> Iterator[Lab]:
    """Give the test's own objects on the engine."""
    made = Lab(engine)
    yield made
    made.clean()


@pytest.fixture
def docker_lab(docker_connection: Engine) -> Iterator[Lab]:
    """Give objects on the real engine, for what only a real one can show."""
    made = Lab(docker_connection)
    yield made
    made.clean()


@pytest.fixture
def derived_image(engine: Engine) -> str:
    """Build the image that declares a volume, a port, a variable and a healthcheck; return its name."""
    engine.build(DERIVED_REQUEST)
    return DERIVED
