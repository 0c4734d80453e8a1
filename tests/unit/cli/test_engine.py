"""``envspin engine``: starts where none answers, and ends nothing but what it started."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from envspin.cli import context as cli_context
from envspin.cli import private_engine
from envspin.cli.private_engine import PrivateEngine, find_other_engines
from envspin.engine.fake import FakeEngine
from envspin.errors import EngineUnreachableError

DOCKERD = """\
#!{python}
import os, pathlib, signal, socket, sys
print("arguments:", *sys.argv[1:], flush=True)
if "broken" in os.environ.get("FAKE_DOCKERD", ""):
    sys.exit("failed to start daemon: no disk")
path = sys.argv[sys.argv.index("-H") + 1].removeprefix("unix://")
server = socket.socket(socket.AF_UNIX)
server.bind(path)
signal.signal(signal.SIGTERM, lambda *_: (os.unlink(path), sys.exit(0)))
server.listen()
while True:
    signal.pause()
"""


@pytest.fixture
def address(monkeypatch) -> Iterator[Path]:
    """A socket at which nobody answers yet, and a dockerd that would; a socket's path has to be short."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        program = Path(folder) / "bin" / "dockerd"
        program.parent.mkdir()
        program.write_text(DOCKERD.format(python=sys.executable))
        program.chmod(0o755)
        path = Path(folder) / "new" / "docker.sock"
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(private_engine, "find_other_engines", lambda: iter(()))
        monkeypatch.setattr(cli_context, "connect_engine", lambda: connect(path))
        yield path
        PrivateEngine(f"unix://{path}").stop()


def connect(path: Path) -> FakeEngine:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    except OSError as error:
        raise EngineUnreachableError(f"no container engine answers ({error})") from None
    return FakeEngine()


def read_log(address: Path) -> str:
    return PrivateEngine(f"unix://{address}").log.read_text()


def test_start_status_stop(invoke, address):
    assert json.loads(invoke("engine", "status", "--json", code=4).stdout)["answers"] is False
    assert invoke("engine", "start").stdout.startswith("started: Docker Engine 20.10.0")
    status = json.loads(invoke("engine", "status", "--json").stdout)
    assert status["answers"]
    assert status["started_by_envspin"]
    assert "envspin started it before" in invoke("engine", "start").stdout
    assert f"process {status['pid']}" in invoke("engine", "stop").stdout
    assert not address.exists()
    assert "nothing to stop" in invoke("engine", "stop").stdout
    invoke("engine", "status", code=4)


def test_an_engine_elsewhere_keeps_its_data_to_itself(invoke, address):
    invoke("engine", "start")
    arguments = read_log(address)
    folder = PrivateEngine(f"unix://{address}").folder
    for option, value in {"--data-root": "data", "--exec-root": "run", "--pidfile": "dockerd.pid"}.items():
        assert f"{option} {folder}/{value}" in arguments


def test_beside_another_engine_none_is_started(invoke, address, monkeypatch):
    monkeypatch.setattr(private_engine, "find_other_engines", lambda: iter((4711,)))
    assert "another dockerd runs here (process 4711)" in invoke("engine", "start", code=2).stderr
    assert not PrivateEngine(f"unix://{address}").log.exists()


def test_an_engine_that_ends_at_once_shows_its_log(invoke, address, monkeypatch):
    monkeypatch.setenv("FAKE_DOCKERD", "broken")
    told = invoke("engine", "start", code=4).stderr
    assert "the engine has ended while it started" in told
    assert "failed to start daemon: no disk" in told


def test_a_foreign_engine_is_neither_started_nor_stopped(invoke, engine):
    assert "envspin did not start it" in invoke("engine", "start").stdout
    assert "not started by envspin" in invoke("engine", "status").stdout
    assert json.loads(invoke("engine", "stop", "--json").stdout)["stopped"] is False


def test_a_process_that_merely_got_the_id_is_left_alone(invoke, address):
    invoke("engine", "start")
    engine = PrivateEngine(f"unix://{address}")
    record = json.loads((engine.folder / "engine.json").read_text())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        head, _, start = record["owner"].rpartition("/")
        forged = {**record, "pid": bystander.pid, "owner": f"{head.rpartition('/')[0]}/{bystander.pid}/{start}0"}
        (engine.folder / "engine.json").write_text(json.dumps(forged))
        assert engine.stop() is None
        assert not (engine.folder / "engine.json").exists()
        assert bystander.poll() is None
        bystander.communicate(b"\n")
    (engine.folder / "engine.json").write_text(json.dumps(record))
    assert engine.stop() is not None


def test_without_dockerd_the_way_to_it_is_told(invoke, address, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "envspin doctor" in invoke("engine", "start", code=2).stderr


def test_without_root_the_rootless_script_is_needed(invoke, address, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "sudo envspin engine start" in invoke("engine", "start", code=2).stderr


def test_a_rootless_engine_listens_at_its_users_socket(invoke, address, monkeypatch):
    script = address.parents[1] / "bin" / "dockerd-rootless.sh"
    script.write_text('#!/bin/sh\nexec dockerd -H "unix://$XDG_RUNTIME_DIR/docker.sock"\n')
    script.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert "DOCKER_HOST=unix:///run/user/1000/docker.sock" in invoke("engine", "start", code=2).stderr
    address.parent.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(address.parent))
    assert "started" in invoke("engine", "start").stdout


def test_only_a_unix_socket_can_be_served(invoke, address, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    assert "unix socket" in invoke("engine", "start", code=2).stderr


def test_other_engines_are_found_by_name_in_the_same_network(tmp_path):
    program = tmp_path / "dockerd"
    program.symlink_to("/bin/cat")
    before = set(find_other_engines())
    with subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(b"x")
        process.stdin.flush()
        process.stdout.read(1)  # it runs under its own name now
        assert set(find_other_engines()) - before == {process.pid}
        process.communicate()
