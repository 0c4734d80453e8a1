"""What people hear of at once: a resource that has run out, an engine that went away and came back."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from envspin import events
from envspin.cli.progress import show_progress
from envspin.cli.progress.live import LiveProgress
from envspin.cli.progress.plain import PlainProgress
from envspin.cli.progress.records import NAMES, JsonProgress
from envspin.errors import EngineError
from envspin.events import (
    EngineLost,
    EngineReturned,
    ImageProgress,
    ResourceAwaited,
    RunFailed,
    RunReady,
    RunStarted,
    ServiceChanged,
    TeardownFinished,
    TeardownStarted,
    WarningRaised,
    describe_notice,
)
from envspin.problems import Mark, Problem

AWAITED = ResourceAwaited("a subnet: all 4096 of 10.213.0.0/16 are in use", 0.51)
LOST = EngineLost("shop-1", "nobody answers at unix:///engine.sock", 2.5)
RETURNED = EngineReturned("shop-1", 7.123456)
NOTICES = [AWAITED, LOST, RETURNED]
OTHERS = [
    RunStarted("shop-1", "shop", ("db",)),
    WarningRaised(Problem("fixed-port", "the port is chosen", Mark("compose.yaml", 3, 5), severity="warning")),
    ImageProgress("db:1", "pull", "downloading", 0.5, 0.1),
    ServiceChanged("db", "failed", 0.4, "exited"),
    RunReady("shop-1", 1.0, {}),
    RunFailed("shop-1", EngineError("it refuses"), 1.0),
    TeardownStarted("shop-1"),
    TeardownFinished("shop-1", {"container": 1}, 0.1),
]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (AWAITED, ["waiting", "a subnet: all 4096 of 10.213.0.0/16 are in use"]),
        (LOST, ["does not answer", "shop-1", "nobody answers at unix:///engine.sock"]),
        (RETURNED, ["answers again", "envspin ps shop-1"]),
    ],
    ids=["awaited", "lost", "returned"],
)
def test_a_notice_is_one_line_that_says_what_and_whose(event, words):
    line = describe_notice(event)
    assert "\n" not in line
    for word in words:
        assert word in line


@pytest.mark.parametrize("event", OTHERS, ids=lambda event: type(event).__name__)
def test_all_other_events_have_no_notice(event):
    assert describe_notice(event) is None


def test_every_event_is_either_a_notice_or_not():
    known = {type(event) for event in [*NOTICES, *OTHERS]}
    assert known == set(events.Event.__args__), "a new event wants its place in this test"


def test_every_event_has_a_name_in_json():
    assert set(NAMES) == {kind.__name__ for kind in events.Event.__args__}
    assert len(set(NAMES.values())) == len(NAMES)


def test_plain_progress_writes_notices_as_they_are(capsys):
    progress = PlainProgress()
    for event in NOTICES:
        progress.handle(event)
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [describe_notice(event) for event in NOTICES]


def test_json_progress_writes_notices_as_data(capsys):
    progress = JsonProgress()
    for event in NOTICES:
        progress.handle(event)
    assert [json.loads(line) for line in capsys.readouterr().err.splitlines()] == [
        {"event": "resource-awaited", "what": "a subnet: all 4096 of 10.213.0.0/16 are in use", "at": 0.51},
        {"event": "engine-lost", "env": "shop-1", "reason": "nobody answers at unix:///engine.sock", "at": 2.5},
        {"event": "engine-returned", "env": "shop-1", "at": 7.1235},
    ]


def test_live_progress_prints_notices_for_good_and_goes_on_with_its_table():
    console = Console(file=io.StringIO(), width=120, height=20, force_terminal=True, color_system=None, _environ={})
    progress = LiveProgress({}, console)
    progress.handle(OTHERS[0])
    for event in NOTICES:
        progress.handle(event)
    assert progress._live is not None
    board = Console(file=io.StringIO(), width=120, color_system=None)
    board.print(progress.render())
    assert "db" in board.file.getvalue()
    progress.close()
    text = console.file.getvalue()
    for event in NOTICES:
        assert describe_notice(event) in text


def test_live_progress_prints_notices_when_nothing_is_drawn():
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None, _environ={})
    progress = LiveProgress({}, console)
    progress.handle(RunReady("shop-1", 1.0, {}))
    progress.handle(LOST)
    progress.close()
    assert describe_notice(LOST) in console.file.getvalue()


def test_quiet_progress_keeps_them_to_itself(capsys):
    with show_progress("quiet") as progress:
        for event in NOTICES:
            progress.handle(event)
    assert capsys.readouterr() == ("", "")
