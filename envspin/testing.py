"""The environments of one pytest session: shared between equal requests, removed with the scope that asked."""

from __future__ import annotations

import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from envspin.errors import EngineUnreachableError, EnvspinError
from envspin.events import Listener, describe_notice
from envspin.plan.selection import Selection
from envspin.run.drifting import require_locked
from envspin.run.environment import Environment
from envspin.run.locks import make_locked_plan
from envspin.run.opening import load
from envspin.run.signals import terminable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from envspin.events import Event

LOG_LINES = 200
"""Lines of each service that a failed test's report shows."""

MARK_KEYWORDS = {"scope", "only", "stub", "set", "profile"}


@dataclass(frozen=True, slots=True)
class EnvironmentRequest:
    """What a test wants; equal requests share an environment."""

    topology: Path
    scope: str = "session"
    only: tuple[str, ...] = ()
    stub: tuple[str, ...] = ()
    pins: tuple[tuple[str, str], ...] = ()
    profiles: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"envspin({self.topology.name})"


def read_request(config: pytest.Config, marks: Iterable[pytest.Mark], path: Path | None) -> EnvironmentRequest:
    """Put a request together: the closest mark's word, then the outer ones', then options, then the ini file.

    Options win over marks where both speak of images (``--envspin-set``) or selection. Raises pytest.UsageError for
    a mark that cannot be understood.
    """
    said: dict[str, Any] = {}
    for mark in marks:  # closest first
        _read_mark(mark, said)
    pins = {**said.get("set", {}), **_read_pins(config.getoption("envspin_set"))}
    topology = said.get("topology") or config.getoption("envspin_topology") or config.getini("envspin_topology")
    return EnvironmentRequest(
        topology=_find_topology(config, topology or ".", path),
        scope=said.get("scope") or str(config.getini("envspin_scope")),
        only=tuple(config.getoption("envspin_only") or said.get("only", ())),
        stub=tuple(config.getoption("envspin_stub") or said.get("stub", ())),
        pins=tuple(sorted(pins.items())),
        profiles=tuple(said.get("profile", ())),
    )


def _read_mark(mark: pytest.Mark, said: dict[str, Any]) -> None:
    unknown = sorted(mark.kwargs.keys() - MARK_KEYWORDS - {"topology"})
    if unknown or len(mark.args) > 1:
        problem = f"unknown keyword {unknown[0]!r}" if unknown else "more than one topology"
        raise pytest.UsageError(f"mark envspin: {problem}; it takes a topology and {', '.join(sorted(MARK_KEYWORDS))}")
    if mark.args:
        said.setdefault("topology", mark.args[0])
    for keyword, value in mark.kwargs.items():
        if isinstance(value, str) and keyword in {"only", "stub", "profile"}:
            raise pytest.UsageError(f"mark envspin: {keyword} is a list of names, not the text {value!r}")
        said.setdefault(keyword, value)


def _read_pins(options: Iterable[str]) -> dict[str, str]:
    pins = {}
    for option in options:
        service, equals, image = option.partition("=")
        if not (service and equals and image):
            raise pytest.UsageError(f"--envspin-set: {option!r} is not SERVICE=IMAGE")
        pins[service] = image
    return pins


def _find_topology(config: pytest.Config, topology: str | Path, path: Path | None) -> Path:
    """Return the topology's path: from the root folder, else from beside the test file."""
    from_root = config.rootpath / topology
    beside = path.parent / topology if path is not None else from_root
    return (beside if beside.exists() and not from_root.exists() else from_root).resolve()


class Notices(Listener):
    """Writes at once, between pytest's own lines, what a user should not hear of at the end only."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def handle(self, event: Event) -> None:
        """Write the line of an event that is worth one."""
        notice = describe_notice(event)
        if notice is not None:
            self._write(f"envspin: {notice}")

    def _write(self, line: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(line, yellow=True)
        elif sys.__stderr__ is not None:  # a worker of pytest-xdist has no reporter, and its stderr is ours
            sys.__stderr__.write(f"{line}\n")


class EnvironmentPool:
    """The session's environments, by request and by the node (session, module, test ...) whose end removes them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._running: dict[tuple[EnvironmentRequest, str], Environment] = {}
        self._failed: set[str] = set()
        self._stack = ExitStack()  # handlers for SIGTERM and SIGHUP, which pytest itself does not turn into an end
        self._stack.enter_context(terminable())
        self.kept: list[str] = []
        self.replaced: dict[tuple[str, str], str] = {}
        """Topology and service -> the image that was set in place of the one written, for the report."""

    def get(self, wanted: EnvironmentRequest, node: pytest.Item | pytest.Collector) -> Environment:
        """Return the environment of a request within a node, bringing it up the first time."""
        key = (wanted, node.nodeid)
        if key not in self._running:
            self._running[key] = self._bring_up(wanted)
            node.addfinalizer(lambda: self._release(key))
        return self._running[key]

    def _bring_up(self, wanted: EnvironmentRequest) -> Environment:
        skips = self._config.getoption("envspin_missing") == "skip"
        try:
            return self._open_or_start(wanted)
        except EnvspinError as error:
            failure = error
        # Out here, so that pytest does not print the error a second time as the context of the first.
        if skips and isinstance(failure, EngineUnreachableError):
            pytest.skip(failure.message)
        pytest.fail(str(failure), pytrace=False)

    def _open_or_start(self, wanted: EnvironmentRequest) -> Environment:
        reuse = self._config.getoption("envspin_env")
        if reuse:
            environment = Environment.open(reuse)
            if _is_locked(self._config):
                self._require_locked(environment, wanted)
            return environment
        environment = Environment.up(
            wanted.topology,
            only=wanted.only,
            stub=wanted.stub,
            set=dict(wanted.pins),
            profiles=wanted.profiles,
            timeout=_read_timeout(self._config.getini("envspin_timeout")),
            locked=_is_locked(self._config),
            keep_on_failure=self._config.getoption("envspin_keep") != "never",
            listener=Notices(self._config),
        )
        self.replaced.update({(environment.topology, name): image for name, image in wanted.pins})
        return environment

    def _require_locked(self, environment: Environment, wanted: EnvironmentRequest) -> None:
        try:
            topology = load(wanted.topology, profiles=wanted.profiles)
            plan = make_locked_plan(topology, Selection(wanted.only, wanted.stub, dict(wanted.pins)))
            require_locked(environment, plan, stubbed=wanted.stub)
        except BaseException:
            environment.engine.close()
            raise

    def describe_failure(self, wanted: EnvironmentRequest, *, since: float) -> list[tuple[str, str]]:
        """Note that a test failed; return report sections with each service's log from a Unix time on."""
        sections = []
        for (request, _), environment in self._running.items():
            if request != wanted:
                continue
            self._failed.add(environment.name)
            for name, service in environment.services.items():
                try:
                    log = service.logs(tail=LOG_LINES, since=since)
                except EnvspinError as error:
                    log = f"(no log: {error.message})"
                if log:
                    sections.append((f"log of {name} in {environment.name}", log))
        return sections

    def _release(self, key: tuple[EnvironmentRequest, str]) -> None:
        environment = self._running.pop(key, None)
        if environment is None or self._config.getoption("envspin_env"):
            return
        keep = self._config.getoption("envspin_keep")
        if keep == "always" or (keep == "failed" and environment.name in self._failed):
            environment.detach()
            self.kept.append(environment.name)
        else:
            environment.close()

    def close(self) -> None:
        """Remove every environment that is left, and give the signal handlers back."""
        try:
            for key in list(self._running):
                with suppress(EnvspinError):  # the next start of envspin tries again
                    self._release(key)
        finally:
            self._stack.close()


def _is_locked(config: pytest.Config) -> bool:
    try:
        return bool(config.getoption("envspin_locked") or config.getini("envspin_locked"))
    except ValueError as error:
        raise pytest.UsageError(f"envspin_locked: {error}") from None


def _read_timeout(text: object) -> float | None:
    from envspin.topology.values import to_duration  # noqa: PLC0415 - only where the ini file says one

    words = str(text).strip()
    try:
        return None if not words else float(words) if words.replace(".", "", 1).isdigit() else to_duration(words)
    except ValueError as error:
        raise pytest.UsageError(f"envspin_timeout: {words!r} {error}") from None
