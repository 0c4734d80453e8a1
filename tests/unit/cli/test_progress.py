"""Progress: what each style writes for the same events."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from envspin.cli.progress import choose_style, make_progress, show_progress
from envspin.cli.progress.board import Board
from envspin.cli.progress.live import LiveProgress
from envspin.cli.progress.plain import PlainProgress
from envspin.cli.progress.records import JsonProgress
from envspin.errors import NotReadyError
from envspin.events import (
    ImageProgress,
    RunFailed,
    RunReady,
    RunStarted,
    ServiceChanged,
    TeardownFinished,
    TeardownStarted,
    WarningRaised,
)
from envspin.problems import Mark, Problem

STARTED = RunStarted("shop-1", "shop", ("db", "api"))
EVENTS = [
    STARTED,
    WarningRaised(Problem("fixed-port", "the port is chosen", Mark("compose.yaml", 3, 5), severity="warning")),
    ImageProgress("postgres:16", "pull", "downloading", 0.25, 0.1),
    ImageProgress("postgres:16", "pull", "downloading", 0.5, 0.2),
    ImageProgress("postgres:16", "pull", "extracting", 1.0, 0.3),
    ServiceChanged("db", "created", 0.4),
    ServiceChanged("db", "starting", 0.5),
    ServiceChanged("db", "started", 0.8, "port 5432 to accept connections"),
    ServiceChanged("db", "ready", 1.24),
    ServiceChanged("api", "started", 1.5),
    ServiceChanged("api", "ready", 2.0),
    RunReady("shop-1", 2.01, {"PASSWORD": "canary"}),
    TeardownStarted("shop-1"),
    TeardownFinished("shop-1", {"container": 2, "network": 1, "volume": 0}, 0.8),
]


@pytest.mark.parametrize(
    ("style", "environ", "is_terminal", "expected"),
    [
        ("auto", {}, True, "tty"),
        ("auto", {}, False, "plain"),
        ("auto", {"CI": "true"}, True, "plain"),
        ("auto", {"CI": "false"}, True, "tty"),
        ("auto", {"TERM": "dumb"}, True, "plain"),
        ("quiet", {}, True, "quiet"),
        ("tty", {"CI": "1"}, False, "tty"),
    ],
)
def test_the_style_suits_the_place(style, environ, is_terminal, expected):
    assert choose_style(style, environ, is_terminal=is_terminal) == expected


def test_plain_progress_is_a_line_for_each_change(capsys):
    progress = PlainProgress()
    for event in EVENTS:
        progress.handle(event)
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        "[  0.00s] shop-1: starting 2 services",
        "compose.yaml:3:5: warning[fixed-port]: the port is chosen",
        "[  0.10s] pull postgres:16: downloading",
        "[  0.30s] pull postgres:16: done",
        "[  0.50s] db starting",
        "[  0.80s] db started, waiting for port 5432 to accept connections",
        "[  1.24s] db ready (after 0.44 s)",
        "[  1.50s] api started",
        "[  2.00s] api ready (after 0.50 s)",
        "[  2.01s] shop-1 ready",
        "removing shop-1 ...",
        "removed 2 containers, 1 network in 0.80 s; nothing is left of shop-1",
    ]


def test_plain_progress_tells_of_a_failure_at_once_and_in_one_line(capsys):
    progress = PlainProgress()
    failed = RunFailed("shop-1", NotReadyError("db exited", service="db", context=["exit code: 1"], hint="look"), 1.25)
    for event in [STARTED, ServiceChanged("db", "failed", 1.0), failed]:
        progress.handle(event)
    assert capsys.readouterr().err.splitlines()[1:] == ["[  1.00s] db failed", "[  1.25s] shop-1 failed: db exited"]


def test_json_progress_is_an_object_for_each_event_without_secrets(capsys):
    progress = JsonProgress()
    failed = RunFailed("shop-1", NotReadyError("db exited", service="db", hint="look"), 1.0)
    for event in [*EVENTS, failed]:
        progress.handle(event)
    text = capsys.readouterr().err
    assert "canary" not in text
    documents = [json.loads(line) for line in text.splitlines()]
    assert len(documents) == len(EVENTS) + 1
    assert documents[0] == {"event": "run-started", "env": "shop-1", "topology": "shop", "services": ["db", "api"]}
    assert documents[7]["detail"] == "port 5432 to accept connections"
    assert documents[11] == {"event": "run-ready", "env": "shop-1", "seconds": 2.01, "exports": ["PASSWORD"]}
    assert documents[13]["removed"] == {"container": 2, "network": 1, "volume": 0}
    assert documents[14]["error"]["message"] == "db exited"


def test_quiet_progress_says_nothing(capsys):
    with show_progress("quiet") as progress:
        for event in EVENTS:
            progress.handle(event)
    assert capsys.readouterr() == ("", "")


def test_each_style_can_be_made_and_closed(capsys):
    for style in ("auto", "tty", "plain", "json", "quiet"):
        make_progress(style, {}).close()


def make_console(*, height: int = 20) -> Console:
    return Console(file=io.StringIO(), width=80, height=height, force_terminal=True, color_system=None, _environ={})


def draw(progress: LiveProgress) -> list[str]:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(progress.render())
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_live_table_shows_what_each_service_waits_for():
    progress = LiveProgress({"db": [], "api": ["db"]}, make_console())
    for event in EVENTS[:1] + EVENTS[2:4] + EVENTS[5:8]:
        progress.handle(event)
    lines = draw(progress)
    progress.close()
    assert lines[0] == "shop-1  starting"
    assert lines[1].startswith("pull postgres:16")
    assert "50%" in lines[1]
    assert lines[2].split()[1] == "db"
    assert lines[2].endswith("waiting for port 5432 to accept connections")
    assert lines[3].endswith("after db")
    assert lines[4].startswith("0 of 2 ready")


BUILD = [
    "Step 1/2 : FROM debian",
    "---> 02a514fd320a",
    "Step 2/2 : RUN make",
    "---> Running in 7bf3",
    "Successfully tagged x",
]


def test_a_build_is_told_by_its_steps(capsys):
    board, plain = Board(), PlainProgress()
    shown = []
    for event in [STARTED, *(ImageProgress("api", "build", status, None, 0.1) for status in BUILD)]:
        board.take(event)
        plain.handle(event)
        shown += [fetch.status for fetch in board.fetches.values()]
    assert list(dict.fromkeys(shown)) == ["Step 1/2 : FROM debian", "Step 2/2 : RUN make"]
    assert [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines()[1:]] == BUILD[0:3:2]
    board.take(ServiceChanged("api", "created", 0.2))
    assert board.fetches == {}


def test_the_live_table_shrinks_to_one_line_when_all_is_ready():
    console = make_console()
    progress = LiveProgress({}, console)
    for event in EVENTS:
        progress.handle(event)
    progress.close()
    text = console.file.getvalue()
    assert "warning[fixed-port]" in text
    assert "✓ shop-1: 2 services ready in 2.01 s\n" in text
    assert text.endswith("✓ removed 2 containers, 1 network in 0.80 s; nothing is left of shop-1\n")
    assert "canary" not in text


def test_a_failed_start_leaves_the_table_to_look_at():
    console = make_console()
    progress = LiveProgress({"api": ["db"]}, console)
    for event in [
        STARTED,
        ServiceChanged("db", "failed", 1.0, "exited with code 1"),
        RunFailed("shop-1", NotReadyError("db exited"), 1.0),
    ]:
        progress.handle(event)
    text = console.file.getvalue()
    last_frame = text[text.rindex("shop-1  starting") :]
    assert "exited with code 1" in last_frame
    assert "after db" in last_frame
    assert last_frame.count("✗") == 2
    assert "\x1b[2K" not in last_frame, "it was erased"
    assert last_frame.endswith("✗ shop-1 failed: db exited\n")


def test_progress_that_is_broken_off_gives_the_terminal_back():
    console = make_console()
    with pytest.raises(KeyboardInterrupt):
        interrupted(LiveProgress({}, console))
    assert console.file.getvalue().rstrip("\n").endswith("\x1b[?25h") or "\x1b[?25h" in console.file.getvalue()
    assert not console.is_alt_screen


def interrupted(progress: LiveProgress) -> None:
    try:
        progress.handle(STARTED)
        raise KeyboardInterrupt
    finally:
        progress.close()


def test_a_small_terminal_shows_those_on_their_way_and_counts_the_rest():
    board = Board()
    board.take(RunStarted("big", "big", tuple(f"s{number}" for number in range(50))))
    for number in range(45):
        board.take(ServiceChanged(f"s{number}", "ready", 1.0))
    board.take(ServiceChanged("s47", "started", 1.0))
    rows, left_out = board.choose_rows(10)
    assert left_out == 40
    assert [row.name for row in rows][-5:] == ["s45", "s46", "s47", "s48", "s49"]
    assert board.count_ready() == 45
    assert board.choose_rows(50)[1] == 0


def test_a_narrow_terminal_does_not_break_rows():
    progress = LiveProgress({}, make_console(height=8))
    progress.handle(RunStarted("big", "big", tuple(f"s{number}" for number in range(50))))
    lines = draw(progress)
    progress.close()
    assert len(lines) <= 8
    assert lines[-1].endswith("(45 not shown)")
