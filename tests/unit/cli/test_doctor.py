"""``envspin doctor``: what is missing, and the command that mends it."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from envspin.cli import context as cli_context
from envspin.cli.doctor import engine as engine_checks
from envspin.cli.doctor import machine as machine_checks
from envspin.engine.base import EngineInfo, VolumeSpec
from envspin.errors import EngineError, EngineUnreachableError
from envspin.run.naming import Identity

LOCAL = EngineInfo("28.0", "1.51", "linux", "amd64", "unix:///var/run/docker.sock", is_local=True)


def find(invoke, check: str, *, code: int = 0) -> dict[str, object]:
    findings = {each["check"]: each for each in json.loads(invoke("doctor", "--json", code=code).stdout)}
    return findings[check]


def refuse(monkeypatch, error: Exception) -> None:
    def connect():
        raise error

    monkeypatch.setattr(cli_context, "connect_engine", connect)


def test_a_machine_with_an_engine_is_well(invoke, engine):
    lines = invoke("doctor").stdout.splitlines()
    assert any(line.startswith("ok    python") for line in lines)
    assert "ok    engine               version 20.10.0, API 1.41, in-memory/x86_64" in lines
    assert any(line.startswith("ok    leftovers") for line in lines)
    assert find(invoke, "subnets")["status"] in {"ok", "warn"}


def test_without_an_engine_the_code_is_four_and_the_mending_command_is_told(invoke, monkeypatch, tmp_path):
    refuse(monkeypatch, EngineUnreachableError("no container engine answers"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(engine_checks.Path, "is_dir", lambda _self: False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert find(invoke, "engine", code=4)["fix"] == "sudo envspin engine start"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert find(invoke, "engine", code=4)["fix"] == "envspin engine start"
    monkeypatch.setattr(engine_checks.Path, "is_dir", lambda _self: True)
    assert find(invoke, "engine", code=4)["fix"] == "sudo systemctl start docker"
    monkeypatch.setattr(engine_checks, "suggest_install", lambda: "install it")
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert find(invoke, "engine", code=4)["fix"] == "install it"


def test_a_forbidden_socket_is_a_matter_of_groups(invoke, monkeypatch, tmp_path):
    refuse(monkeypatch, EngineUnreachableError("no permission to use the container engine"))
    (tmp_path / "docker.sock").touch()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "usermod -aG docker" in str(find(invoke, "engine", code=4)["fix"])


def test_a_remote_address_is_named(invoke, monkeypatch):
    refuse(monkeypatch, EngineUnreachableError("no container engine answers"))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    assert find(invoke, "engine address", code=4)["message"] == "tcp://127.0.0.1:9 (DOCKER_HOST says so)"
    assert "tcp://127.0.0.1:9" in str(find(invoke, "engine", code=4)["fix"])


def test_an_engine_that_is_too_old_is_told_with_its_own_hint(invoke, monkeypatch):
    refuse(monkeypatch, EngineError("the engine speaks API 1.30", hint="upgrade it"))
    assert find(invoke, "engine", code=4) == {
        "check": "engine", "status": "fail", "message": "the engine speaks API 1.30", "fix": "upgrade it",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "apt-get install"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "apt-get install"),
        ("ID=fedora\n", "dnf install"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "zypper install"),
        ("ID=plan9\n", "as its manual says"),
    ],
)
def test_the_install_command_suits_the_distribution(tmp_path, text, expected):
    (tmp_path / "os-release").write_text(text)
    assert expected in machine_checks.suggest_install(tmp_path / "os-release")
    assert "as its manual says" in machine_checks.suggest_install(tmp_path / "missing")


def test_leftovers_are_named_with_the_command_that_removes_them(invoke, engine):
    identity = Identity("old-1", "old", "run", "", time.time() - 60)
    engine.create_volume(VolumeSpec("envspin-old-1-lease", identity.labels(lease="1")))
    finding = find(invoke, "leftovers")
    assert finding["status"] == "warn"
    assert finding["fix"] == "envspin gc"


def test_ports_are_tried_where_something_runs(invoke, engine, up):
    up("mine")
    assert str(find(invoke, "ports")["message"]).endswith("answers")


def test_the_override_is_shown(invoke, engine, monkeypatch):
    monkeypatch.setenv("TESTCONTAINERS_HOST_OVERRIDE", "ci-host")
    assert find(invoke, "ports")["message"] == "published ports are reached at ci-host (TESTCONTAINERS_HOST_OVERRIDE)"


def test_a_pool_without_room_fails(invoke, engine, monkeypatch):
    monkeypatch.setenv("ENVSPIN_SUBNETS", "nonsense")
    assert find(invoke, "subnets", code=4)["status"] == "fail"
    monkeypatch.setenv("ENVSPIN_SUBNETS", "172.17.128.0/24")  # within the engine's own bridge
    assert "no subnet of 172.17.128.0/24 is free" in str(find(invoke, "subnets", code=4)["message"])


def test_direct_access_needs_the_bridge_on_this_machine():
    assert engine_checks.check_direct_access(LOCAL, ["127.0.0.0/29"]).message.startswith("reached directly")
    assert engine_checks.check_direct_access(LOCAL, ["198.51.100.0/24"]).status == "warn"
    assert engine_checks.check_direct_access(LOCAL, []).status == "ok"


@pytest.mark.parametrize(("free", "status"), [(50, "ok"), (3, "warn"), (0.5, "fail")])
def test_disk_space(monkeypatch, free, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=free * machine_checks.GIB))
    assert machine_checks.check_disk(Path("/var/lib/docker")).status == status


def test_the_data_root_is_where_the_settings_say(tmp_path):
    settings = tmp_path / "daemon.json"
    settings.write_text(json.dumps({"data-root": str(tmp_path)}))
    assert machine_checks.find_data_root(settings) == tmp_path
    settings.write_text(json.dumps({"data-root": str(tmp_path / "missing")}))
    assert machine_checks.find_data_root(settings) is None
    assert machine_checks.check_disk(None).status == "ok"
