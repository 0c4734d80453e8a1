"""The pytest plugin: the fixture ``envspin_env``, its mark, ini values and options; thin.

What it hands out is made and kept by ``envspin.testing``, imported only once a test asks for an environment, so that a
project that merely has envspin installed pays nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from envspin.run.environment import Environment
    from envspin.testing import EnvironmentPool, EnvironmentRequest

FIXTURE = "envspin_env"
SCOPES = ("session", "package", "module", "class", "function")

POOL = pytest.StashKey["EnvironmentPool"]()
STARTED = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and ini values."""
    group = parser.getgroup("envspin", "envspin: ephemeral test environments")
    group.addoption("--envspin-topology", metavar="PATH", help="topology for tests whose mark names none")
    group.addoption(
        "--envspin-set", action="append", default=[], metavar="SERVICE=IMAGE", help="run SERVICE with another image"
    )
    group.addoption("--envspin-only", action="append", default=[], metavar="SERVICE", help="start it and what it needs")
    group.addoption("--envspin-stub", action="append", default=[], metavar="SERVICE", help="start its stub instead")
    group.addoption(
        "--envspin-locked", action="store_true", help="fail unless envspin.lock holds every image and build as it is"
    )
    group.addoption("--envspin-env", metavar="NAME", help="use an environment that `envspin up -d` left running")
    group.addoption(
        "--envspin-keep",
        choices=("never", "failed", "always"),
        default="never",
        help="leave environments running afterwards (default: never)",
    )
    group.addoption(
        "--envspin-missing",
        choices=("fail", "skip"),
        default="fail",
        help="what happens to tests that need an engine where none answers (default: fail)",
    )
    parser.addini("envspin_topology", "topology (folder or Compose file, from the root folder) of tests without a mark")
    parser.addini("envspin_scope", f"scope of {FIXTURE} where no mark says one: {', '.join(SCOPES)}", default="session")
    parser.addini("envspin_locked", "true is --envspin-locked, for CI", type="bool", default=False)
    parser.addini("envspin_timeout", "seconds (or a duration such as 2m) until an environment must be ready")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line(
        "markers",
        "envspin(topology, *, scope='session', only=[], stub=[], set={}, profile=[]): "
        f"which environment the fixture {FIXTURE} gives to this test",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test with a mark its own request, at the scope that the mark says, without a trace in its name."""
    if FIXTURE not in metafunc.fixturenames:
        return
    marks = list(metafunc.definition.iter_markers("envspin"))
    if not marks:
        return
    from envspin.testing import read_request  # noqa: PLC0415 - only for tests that use the fixture

    wanted = read_request(metafunc.config, marks, metafunc.definition.path)
    parameter = pytest.param(wanted, id=pytest.HIDDEN_PARAM)
    metafunc.parametrize(FIXTURE, [parameter], indirect=True, scope=wanted.scope)  # type: ignore[arg-type]


def _choose_scope(fixture_name: str, config: pytest.Config) -> Any:  # noqa: ANN401 - pytest wants its private literal
    """Return the scope that the ini file says."""
    scope = str(config.getini("envspin_scope"))
    if scope not in SCOPES:
        raise pytest.UsageError(f"envspin_scope: {scope!r} is no scope of {fixture_name}; use {', '.join(SCOPES)}")
    return scope


@pytest.fixture(scope=_choose_scope)
def envspin_env(request: pytest.FixtureRequest) -> Environment:
    """Give a running environment: every service ready, gone when its scope ends.

    Which one, and for how long, say the mark ``envspin``, the ini file and the options. It is an
    ``envspin.Environment``: ``envspin_env.exports["DATABASE_URL"]``, ``envspin_env["db"].port``.
    """
    pool = _find_pool(request.config)
    return pool.get(_wanted(request.config, getattr(request, "param", None)), request.node)


def _wanted(config: pytest.Config, parameter: EnvironmentRequest | None) -> EnvironmentRequest:
    from envspin.testing import read_request  # noqa: PLC0415 - only for tests that use the fixture

    return parameter if parameter is not None else read_request(config, [], None)


def _find_pool(config: pytest.Config) -> EnvironmentPool:
    if POOL not in config.stash:
        from envspin.testing import EnvironmentPool  # noqa: PLC0415 - only for tests that use the fixture

        config.stash[POOL] = EnvironmentPool(config)
    return config.stash[POOL]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note when the test begins, so that its report can show the logs from then on."""
    item.stash[STARTED] = time.time()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what each service wrote during a failed test to its report."""
    report = yield
    if report.failed and FIXTURE in getattr(item, "fixturenames", ()) and POOL in item.config.stash:
        callspec = getattr(item, "callspec", None)
        parameter = callspec.params.get(FIXTURE) if callspec is not None else None
        wanted = _wanted(item.config, parameter)
        report.sections += item.config.stash[POOL].describe_failure(wanted, since=item.stash.get(STARTED, time.time()))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:  # noqa: ANN401 - private class
    """Say which images were set for this run, and how to look at environments that were left running."""
    kept = config.stash[POOL].kept if POOL in config.stash else []
    images = config.stash[POOL].replaced if POOL in config.stash else {}
    if images:
        terminalreporter.section("images set for this run")
        for (topology, service), image in sorted(images.items()):
            terminalreporter.write_line(f"{topology}: {service} ran {image}")
    if kept:
        terminalreporter.section("environments left running")
        for name in kept:
            terminalreporter.write_line(f"{name}: `envspin ps {name}`, `envspin logs {name}`, `envspin down {name}`")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove whatever is left, however the session ended."""
    if POOL in config.stash:
        config.stash[POOL].close()
