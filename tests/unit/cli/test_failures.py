"""What goes wrong: a message, an exit code, never a traceback."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from envspin.cli import context as cli_context
from envspin.cli.app import cli
from envspin.engine.fake import Exit, Line, Script
from envspin.errors import EngineError, EngineUnreachableError, ImageError, LockError

WRONG = "services:\n  db:\n    imagee: postgres\n  api:\n    image: api\n    depends_on: [cache]\n"


def fail_with(monkeypatch, error: BaseException) -> None:
    def connect():
        raise error

    monkeypatch.setattr(cli_context, "connect_engine", connect)


def test_all_problems_of_a_file_are_told_with_their_places(invoke):
    Path("compose.yaml").write_text(WRONG)
    for command in ("config", "plan", "up", "graph"):
        text = invoke(command, code=2).stderr
        assert "compose.yaml:3:5: error[" in text
        assert "did you mean `image`?" in text
        assert "cache" in text
        assert "Traceback" not in text


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, False)],
)
def test_messages_are_coloured_where_the_terminal_can_and_nobody_minds(environment, coloured):
    Path("compose.yaml").write_text(WRONG)
    result = CliRunner().invoke(cli, ["config"], color=True, env=environment)
    assert ("\x1b[" in result.stderr) == coloured


def test_a_bad_topology_is_told_before_the_engine_is_asked(invoke, monkeypatch):
    fail_with(monkeypatch, AssertionError("the engine was asked"))
    Path("compose.yaml").write_text(WRONG)
    invoke("up", code=2)
    invoke("run", "--", "true", code=2)


def test_a_missing_file_is_a_usage_error(invoke):
    assert "nowhere" in invoke("up", "nowhere", code=2).stderr


def test_an_unknown_service_is_met_with_the_nearest_one(invoke, shop):
    assert "did you mean 'api'?" in invoke("plan", "shop", "--only", "apy", code=2).stderr
    assert "did you mean 'db'?" in invoke("config", "shop", "--set", "dbb=postgres:15", code=2).stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineUnreachableError("no container engine answers", hint="run `envspin doctor`"), 4),
        (EngineError("it broke"), 4),
        (LockError("stale"), 5),
        (KeyboardInterrupt(), 130),
        (RuntimeError("surprise\nsecond line"), 70),
    ],
)
def test_each_failure_has_its_exit_code(invoke, monkeypatch, error, code):
    fail_with(monkeypatch, error)
    text = invoke("ls", code=code).stderr
    assert "Traceback" not in text


def test_context_and_hint_are_told(invoke, monkeypatch):
    fail_with(monkeypatch, EngineError("it broke", context=["while testing"], hint="try again"))
    assert invoke("ls", code=4).stderr == "error: it broke\n  while testing\n  hint: try again\n"


def test_a_fault_of_our_own_asks_for_a_report(invoke, monkeypatch):
    fail_with(monkeypatch, RuntimeError("surprise\nsecond line"))
    text = invoke("ls", code=70).stderr
    assert text.startswith("internal error: RuntimeError: surprise\n")
    assert "report" in text
    monkeypatch.setenv("ENVSPIN_DEBUG", "1")
    assert "Traceback" in invoke("ls", code=70).stderr


def test_the_diagnosis_of_a_service_comes_last(invoke, engine, shop):
    broken = Script(lines=(Line("FATAL: no disk"),), exits=Exit(7))
    engine.behave("db", broken)
    result = invoke("up", "shop", "--progress", "plain", code=3)
    lines = result.stderr.splitlines()
    first = lines.index("error: service 'db' exited with code 7")
    told = "\n".join(lines[first:])
    assert "FATAL: no disk" in told
    assert "exit code: 7" in told
    assert "waiting for it" in told
    assert "removed" not in told  # nothing drowns the diagnosis: the clean-up was told before
    assert any(line.startswith("removed 3 containers") for line in lines[:first])
    assert engine.names() == []


def test_what_a_failed_start_left_for_a_look_is_named(invoke, engine, shop):
    engine.behave("db", Script(exits=Exit(1)))
    result = invoke("up", "shop", "--name", "kept", "--keep-on-failure", "--progress", "quiet", code=3)
    assert re.search(r"left running until 20[0-9-]{8} [0-9:]{5}: `envspin logs kept`, then", result.stderr)
    assert "--keep-on-failure" not in result.stderr  # it has been said already
    assert "envspin-kept-db" in engine.names()
    invoke("down", "kept")
    assert engine.names() == []


def test_an_overall_timeout_has_its_own_code(invoke, engine, shop):
    engine.behave("db", Script())
    result = invoke("up", "shop", "--timeout", "0.2s", "--progress", "quiet", code=124)
    assert result.stderr.startswith("error: the environment was not ready after 0.2 s")
    assert engine.names() == []


def test_an_image_that_cannot_be_had_is_an_engine_failure(invoke, engine, shop):
    engine.inject("find_image", ImageError("manifest unknown"))
    text = invoke("up", "shop", "--progress", "quiet", code=4).stderr
    assert "manifest unknown" in text
    assert "needed by: db" in text


def test_with_json_progress_the_error_is_json_too(invoke, engine, shop):
    engine.behave("db", Script(exits=Exit(1)))
    result = invoke("up", "shop", "--progress", "json", code=3)
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert events[-1]["event"] == "error"
    assert events[-1]["exit_code"] == 3
    assert events[-1]["message"] == "service 'db' exited with code 1"


@pytest.mark.parametrize(
    "words",
    [
        ["up", "--timeout", "soon"],
        ["up", "--timeout", "0"],
        ["up", "--ttl", "-5s"],
        ["up", "--set", "db"],
        ["up", "--set", "=image"],
        ["up", "--set", "db=a", "--set", "db=b"],
        ["up", "--pull", "sometimes"],
        ["up", "--json"],
        ["run", "shop"],
        ["run", "shop", "--"],
        ["exec", "db"],
        ["exec", "--", "true"],
        ["exec", "a", "b", "c", "--", "true"],
        ["down", "x", "--all"],
        ["graph", "--format", "png"],
        ["completion", "tcsh"],
    ],
    ids=" ".join,
)
def test_bad_usage_exits_with_two(invoke, engine, shop, words):
    text = invoke(*words, code=2).stderr
    assert text.startswith("Usage: envspin")
    assert "Error:" in text
