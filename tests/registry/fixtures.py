"""Fixtures of the registry rig for all suites; the root conftest names this module as a plugin."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

# Most test runs need no registry, and what it takes to play one is slow to import.
if TYPE_CHECKING:
    from envspin.engine.base import Engine

    from .certificates import Certificates
    from .publishing import Image
    from .server import RegistryServer


@contextmanager
def _serve(
    factory: pytest.TempPathFactory, name: str, *, basic_auth: bool, tls: Certificates | None
) -> Iterator[RegistryServer]:
    from .server import RegistryServer, find_registry  # noqa: PLC0415 - only for tests that use a registry

    if find_registry() is None:
        missing = "there is no docker-registry on this machine: scripts/setup brings it on Debian and Ubuntu"
        if os.environ.get("CI") or os.environ.get("ENVSPIN_REQUIRE_REGISTRY"):
            pytest.fail(missing)  # what proves that pins hold must not be green unseen
        pytest.skip(missing)
    folder = factory.mktemp(name)
    try:
        with RegistryServer(folder, basic_auth=basic_auth, tls=tls) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """Serve a registry over plain HTTP; everybody may push and pull."""
    with _serve(tmp_path_factory, "registry", basic_auth=False, tls=None) as server:
        yield server


@pytest.fixture(scope="session")
def private_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """Serve a registry over plain HTTP that asks for ``server.USERNAME`` and ``server.PASSWORD``."""
    with _serve(tmp_path_factory, "private-registry", basic_auth=True, tls=None) as server:
        yield server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Make this session's certificate authority, and a certificate of it for loopback."""
    from .certificates import make_certificates  # noqa: PLC0415 - only for tests that use a registry

    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def tls_registry(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[RegistryServer]:
    """Serve a registry over TLS; everybody who trusts the session's authority may push and pull."""
    with _serve(tmp_path_factory, "tls-registry", basic_auth=False, tls=certificates) as server:
        yield server


@pytest.fixture
def own_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """Serve a registry over plain HTTP for one test, which may stop it and spoil its storage."""
    with _serve(tmp_path_factory, "own-registry", basic_auth=False, tls=None) as server:
        yield server


@pytest.fixture
def fresh_repository() -> Callable[..., str]:
    """Return a function that names repositories which no other test uses: ``fresh_repository("db")``."""
    folder = f"test-{secrets.token_hex(4)}"
    return lambda name="image": f"{folder}/{name}"


@pytest.fixture(scope="session")
def shell_image(real_engine: Engine) -> Image:
    """Make a small image that runs a shell on the engine's platform; see ``engine_images.announce``."""
    from tests.contract.images import TESTBOX  # noqa: PLC0415 - only for tests that use a registry

    from .engine_images import make_shell_image  # noqa: PLC0415 - only for tests that use a registry

    return make_shell_image(real_engine, TESTBOX)


@pytest.fixture
def pulled_removed(real_engine: Engine, registry: RegistryServer) -> Iterator[None]:
    """Remove from the engine, after the test, whatever it pulled from ``registry``."""
    from .engine_images import remove_pulled  # noqa: PLC0415 - only for tests that use a registry

    yield
    remove_pulled(real_engine, registry.address)
