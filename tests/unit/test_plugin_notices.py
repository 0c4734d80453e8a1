"""What the plugin says at once, between pytest's own lines."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

# Imported out here, because pytester forgets modules after each run, and PyYAML's compiled half cannot be loaded twice.
import envspin.engine.fake
import envspin.topology  # noqa: F401
from envspin.events import EngineLost, EngineReturned, ResourceAwaited, RunReady, RunStarted, describe_notice
from envspin.run import environment, watch
from envspin.testing import Notices

LOST = EngineLost("shop-1", "nobody answers", 2.5)
QUIET = [RunStarted("shop-1", "shop", ("db",)), RunReady("shop-1", 1.0, {})]

CONFTEST = """
from envspin.engine.fake import FakeEngine, FakeImage, Line, Script
from envspin.errors import EngineUnreachableError
from envspin.run import environment, watch

watch.RECONNECT_SECONDS, watch.LOST_SECONDS = 0.01, 0.05

class FragileEngine(FakeEngine):
    streams = []

    def watch(self, labels):
        self.streams.append(super().watch(labels))
        return self.streams[-1]

    def close(self):
        pass

    def hang_up(self, times):
        self.inject("watch", EngineUnreachableError("nobody answers"), times=times)
        for stream in list(self.streams):
            stream.close()

ENGINE = FragileEngine(default_image=FakeImage(Script(lines=(Line("ready"),))))

def pytest_configure(config):
    environment.connect = lambda: ENGINE
"""

COMPOSE = """
services:
  db:
    image: db:1
    x-envspin: {ready: {log: ready}}
"""

TESTS = """
import time

def wait_for(look):
    deadline = time.monotonic() + 10
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)

def test_engine(envspin_env):
    envspin_env.engine.hang_up(times=30)
    wait_for(lambda: envspin_env.is_engine_lost)
    wait_for(lambda: not envspin_env.is_engine_lost)
"""


class Reporter:
    """A terminal reporter that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.fresh = False

    def ensure_newline(self) -> None:
        self.fresh = True

    def write_line(self, line: str, **_markup: bool) -> None:
        assert self.fresh, "it would be written into the middle of pytest's own line"
        self.lines.append(line)


def make_config(reporter: Reporter | None):
    manager = SimpleNamespace(get_plugin={"terminalreporter": reporter}.get)
    return SimpleNamespace(pluginmanager=manager)


@pytest.mark.parametrize("event", [LOST, EngineReturned("shop-1", 3.0), ResourceAwaited("a subnet", 0.1)])
def test_a_notice_is_a_line_of_the_terminal_report(event):
    reporter = Reporter()
    Notices(make_config(reporter)).handle(event)
    assert reporter.lines == [f"envspin: {describe_notice(event)}"]


def test_all_other_events_are_kept_quiet(capsys, monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", stderr)
    reporter = Reporter()
    for event in QUIET:
        Notices(make_config(reporter)).handle(event)
        Notices(make_config(None)).handle(event)
    assert reporter.lines == []
    assert stderr.getvalue() == ""


def test_a_worker_without_a_reporter_writes_to_the_real_stderr(monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", stderr)
    Notices(make_config(None)).handle(LOST)
    assert stderr.getvalue() == f"envspin: {describe_notice(LOST)}\n"


def test_a_process_without_stderr_is_no_reason_to_fail(monkeypatch):
    monkeypatch.setattr(sys, "__stderr__", None)
    Notices(make_config(None)).handle(LOST)


def test_a_suites_users_see_that_the_engine_went_away_and_came_back(pytester, monkeypatch, tmp_path):
    monkeypatch.setenv("ENVSPIN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(environment, "connect", environment.connect)  # the inner conftest replaces it
    for name in ("RECONNECT_SECONDS", "LOST_SECONDS"):
        monkeypatch.setattr(watch, name, getattr(watch, name))
    pytester.makeconftest(CONFTEST)
    (pytester.mkdir("shop") / "compose.yaml").write_text(COMPOSE)
    pytester.makeini("[pytest]\nenvspin_topology = shop\n")
    pytester.makepyfile(TESTS)
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "envspin: the container engine does not answer any more, and * needs it: nobody answers",
            "envspin: the container engine answers again; *",
        ]
    )
