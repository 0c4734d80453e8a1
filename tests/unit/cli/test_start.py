"""``up``, ``run`` and ``down``: what they start, print, pass on and remove."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import threading
import time
from pathlib import Path

import pytest

from envspin.cli.commands.run import run_command
from envspin.engine.fake import Exit, Line, Script
from envspin.run.janitor import remove_environment
from envspin.run.signals import terminable


def test_up_detached_prints_the_name_alone_on_stdout(invoke, engine, shop):
    result = invoke("up", "shop", "-d", "--name", "mine", "--progress", "quiet")
    assert result.stdout == "mine\n"
    assert result.stderr == ""
    assert {"envspin-mine-db", "envspin-mine-api", "envspin-mine-migrate"} <= set(engine.names())


def test_up_detached_says_how_to_go_on(invoke, engine, shop):
    told = invoke("up", "shop", "-d", "--name", "mine", "--progress", "plain").stderr
    assert "envspin down mine" in told
    assert "envspin env mine" in told


def test_up_detached_prints_one_json_document(invoke, engine, shop):
    document = json.loads(invoke("up", "shop", "-d", "--json", "--progress", "quiet").stdout)
    assert document.keys() == {"env", "topology", "run_id", "ready_seconds", "services", "exports"}
    assert document["topology"] == "shop"
    assert document["services"]["db"]["state"] == "ready"
    assert document["services"]["migrate"]["state"] == "completed"
    port = document["services"]["db"]["endpoints"]["5432/tcp"]["port"]
    assert document["exports"] == {"DATABASE_URL": f"postgres://app:s3 cret@127.0.0.1:{port}/app"}


def test_a_lease_keeps_what_was_left_running(invoke, engine, shop):
    invoke("up", "shop", "-d", "--ttl", "1h", "--progress", "quiet")
    (entry,) = json.loads(invoke("ls", "--json").stdout)
    assert entry["owner_alive"] is None
    assert 3500 < entry["expires"] - time.time() <= 3601


def test_up_streams_until_all_have_stopped_and_removes_everything(invoke, engine, shop):
    for service in ("db", "api"):
        engine.behave(
            service, Script(lines=(Line("up"), Line(f"{service} says bye", at=1.0)), exits=Exit(0, after=1.2))
        )
    result = invoke("up", "shop", "--progress", "plain")
    for expected in (
        "SERVICE  PORT      REACHED AT",
        "DATABASE_URL=postgres://app:s3 cret@127.0.0.1:",
        "STARTED AT  READY AT",
        "* critical path: db -> migrate -> api, ",
        "api     | api says bye",
    ):
        assert expected in result.stdout
    assert "removed 3 containers, 1 network in" in result.stderr
    assert engine.names() == []


def test_up_says_that_somebody_else_removed_it(invoke, engine, shop, monkeypatch):
    engine.behave("api", Script(lines=(Line("up"), Line("serving", at=0.5))))

    def remove_it(_service, _line):
        remove_environment(engine, "mine")

    monkeypatch.setattr("envspin.cli.commands.up.make_printer", lambda _services: remove_it)
    told = invoke("up", "shop", "--name", "mine", "--progress", "plain").stderr
    assert "mine was removed from outside" in told
    assert "have stopped" not in told


def test_ctrl_c_ends_the_stream_and_removes_everything(invoke, engine, shop, monkeypatch):
    engine.behave("api", Script(lines=(Line("up"), Line("serving", at=0.5))))
    interrupted = threading.Event()

    def interrupt(service, line):
        if line == "serving" and not interrupted.is_set():
            interrupted.set()
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("envspin.cli.commands.up.make_printer", lambda _services: interrupt)
    result = invoke("up", "shop", "--progress", "plain", code=130)
    assert result.stderr.splitlines()[-1].startswith("removed 3 containers")
    assert engine.names() == []


def test_names_pins_and_selections_arrive(invoke, engine, shop):
    words = ["up", "shop", "-d", "--name", "mine", "--only", "db", "--set", "db=postgres:15", "--progress", "quiet"]
    invoke(*words)
    (row,) = json.loads(invoke("ps", "--json").stdout)
    assert (row["service"], row["image"]) == ("db", "postgres:15")


def test_several_files_are_merged(invoke, engine, shop):
    Path("overlay.yaml").write_text("services:\n  cache: {image: 'redis:7', x-envspin: {ready: {log: up}}}\n")
    invoke("up", "shop", "-f", "overlay.yaml", "-d", "--progress", "quiet")
    assert {row["service"] for row in json.loads(invoke("ps", "--json").stdout)} == {"api", "cache", "db", "migrate"}


def test_the_current_folder_is_the_topology_if_none_is_named(invoke, engine, shop, monkeypatch):
    monkeypatch.chdir("shop")
    assert invoke("up", "-d", "--progress", "quiet").stdout.startswith("shop-")


def test_variables_are_written_for_the_user_alone(invoke, engine, shop):
    Path("out.env").write_text("old")
    Path("out.env").chmod(0o644)
    invoke("up", "shop", "-d", "--name", "mine", "--env-out", "out.env", "--progress", "quiet")
    assert stat.S_IMODE(Path("out.env").stat().st_mode) == 0o600
    lines = Path("out.env").read_text().splitlines()
    assert "ENVSPIN_ENV=mine" in lines
    assert any(line.startswith("DATABASE_URL='postgres://app:s3 cret@") for line in lines)


def test_a_place_that_cannot_be_written_is_told_before_anything_starts(invoke, engine, shop):
    invoke("up", "shop", "-d", "--env-out", "nowhere/out.env", code=2)
    assert engine.names() == []


def test_a_taken_name_is_refused(invoke, engine, up, shop):
    up("mine")
    assert "exists already" in invoke("up", "shop", "-d", "--name", "mine", "--progress", "quiet", code=2).stderr


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_run_gives_the_command_its_variables_and_passes_its_code_on(invoke, engine, shop):
    code = "import json, os, pathlib, sys; pathlib.Path('seen').write_text(json.dumps(dict(os.environ))); sys.exit(42)"
    invoke("run", "shop", "--name", "mine", "--progress", "quiet", "--", *python(code), code=42)
    seen = json.loads(Path("seen").read_text())
    assert seen["ENVSPIN_ENV"] == "mine"
    assert seen["ENVSPIN_API_PORT"] == seen["ENVSPIN_API_PORT_8000"] != seen["ENVSPIN_API_PORT_9000"]
    assert seen["DATABASE_URL"].endswith(f":{seen['ENVSPIN_DB_PORT']}/app")
    assert engine.names() == []


def test_run_takes_options_of_the_command_as_they_are(invoke, engine, shop, monkeypatch):
    monkeypatch.chdir("shop")
    code = "import sys, pathlib; pathlib.Path('seen').write_text(repr(sys.argv[1:]))"
    invoke("run", "--progress", "quiet", "--", *python(code), "--name", "x", "--", "-h")
    assert Path("seen").read_text() == "['--name', 'x', '--', '-h']"


def test_a_command_ended_by_a_signal_has_a_shells_code(invoke, engine, shop):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    invoke("run", "shop", "--progress", "quiet", "--", *python(code), code=137)


def test_a_command_that_does_not_exist_starts_nothing(invoke, engine, shop):
    assert "no-such-program" in invoke("run", "shop", "--", "no-such-program", code=127).stderr
    assert not any(call.verb == "create_container" for call in engine.calls)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, "stopped"), (signal.SIGINT, "stopped")])
def test_an_interrupted_run_waits_for_its_command(tmp_path, number, expected):
    # The child tells the parent that its handler is set by signalling it; a terminal would reach both with Ctrl-C.
    code = (
        "import os, pathlib, signal, sys, time\n"
        "def stop(*_):\n"
        f"    pathlib.Path({str(tmp_path / 'end')!r}).write_text('stopped')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop); signal.signal(signal.SIGINT, stop)\n"
        f"os.kill(os.getppid(), {int(number)})\n"
        f"if {int(number)} == signal.SIGINT: os.kill(os.getpid(), signal.SIGINT)\n"
        "time.sleep(60)"
    )
    with terminable(), pytest.raises(KeyboardInterrupt):
        run_command(python(code), {})
    assert (tmp_path / "end").read_text() == expected


def test_run_exits_with_130_after_an_interrupt(invoke, engine, shop):
    code = "import os, signal; os.kill(os.getppid(), signal.SIGINT)"
    result = invoke("run", "shop", "--progress", "plain", "--", *python(code), code=130)
    assert "removed 3 containers" in result.stderr
    assert engine.names() == []


def test_down_removes_by_name_beginning_and_folder(invoke, engine, up):
    up("one-11"), up("one-22"), up("two")
    invoke("down", "one-1")
    assert {entry["env"] for entry in json.loads(invoke("ls", "--json").stdout)} == {"one-22", "two"}
    assert "several" in invoke("down", code=2).stderr
    invoke("down", "shop")
    assert engine.names() == []


def test_down_says_what_was_removed_as_json(invoke, engine, up):
    up("mine")
    (entry,) = json.loads(invoke("down", "--json", "--progress", "quiet").stdout)
    assert entry["env"] == "mine"
    assert entry["removed"]["container"] == 3
    assert entry["removed"]["network"] == 1


def test_down_all_with_nothing_there_is_no_error(invoke, engine):
    assert json.loads(invoke("down", "--all", "--json").stdout) == []
    assert "no environment" in invoke("down", "--all").stderr


def test_down_of_an_unknown_environment_exits_with_two_and_removes_nothing(invoke, engine, up):
    up("mine")
    assert "there is no environment 'other'" in invoke("down", "mine", "other", code=2).stderr
    assert "envspin-mine-db" in engine.names()
