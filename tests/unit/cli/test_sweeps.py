"""``gc`` and ``keep``, ``--no-wait``, and what ``ls`` and ``doctor`` say of what was left."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from envspin.engine.base import NetworkSpec, VolumeSpec
from envspin.engine.fake import Exit, Script
from envspin.errors import EngineError
from envspin.run.clock import Clock
from envspin.run.naming import Identity
from envspin.run.ownership import Owner, describe_this_process

HERE = describe_this_process()
DEAD = str(Owner(HERE.host, HERE.boot, HERE.pid_space, HERE.pid, "1"))


@pytest.fixture
def leave(engine):
    """Leave a network and two volumes of an environment behind."""

    def call(name: str, *, owner: str = DEAD, left: float = 3600.0, age: float = 0.0) -> None:
        identity = Identity(name, "shop", f"run-{name}", owner, time.time() + left, created=time.time() - age)
        engine.create_network(NetworkSpec(identity.object_name("default"), identity.labels()))
        for part in ("a", "b"):
            engine.create_volume(VolumeSpec(identity.object_name(part), identity.labels()))

    return call


class TestGc:
    def test_what_is_removed_is_told_with_its_reason(self, invoke, engine, leave):
        leave("dead")
        leave("overdue", owner="", left=-3630.0)
        leave("living", owner=str(HERE))
        unseen = "its owner cannot be seen from here and its time was up 1 h 00 m ago"
        assert invoke("gc").stdout.splitlines() == [
            "removed dead: 1 network, 2 volumes (its owner has died)",
            f"removed overdue: 1 network, 2 volumes ({unseen})",
        ]
        assert sorted(engine.names()) == ["envspin-living-a", "envspin-living-b", "envspin-living-default"]

    def test_a_lease_that_is_over_is_told(self, invoke, engine, up, monkeypatch):
        up("mine")
        monkeypatch.setattr("envspin.run.janitor.read_clock", lambda: Clock(time.time() + 9 * 3600))
        assert "(its time was up 1 h 00 m ago)" in invoke("gc").stdout
        assert engine.names() == []

    def test_a_dry_run_removes_nothing(self, invoke, engine, leave):
        leave("dead")
        assert invoke("gc", "--dry-run").stdout == "would remove dead: 1 network, 2 volumes (its owner has died)\n"
        assert len(engine.names()) == 3

    def test_nothing_is_told_as_that_and_is_no_data(self, invoke, engine):
        result = invoke("gc")
        assert (result.stdout, result.stderr) == ("", "nothing to remove\n")
        assert json.loads(invoke("gc", "--json").stdout) == {"dry_run": False, "environments": [], "files": []}

    def test_younger_ones_stay(self, invoke, engine, leave):
        leave("young", age=60.0)
        leave("old", age=7200.0)
        assert invoke("gc", "--older-than", "1h").stdout.startswith("removed old:")
        assert "envspin-young-a" in engine.names()

    def test_json_is_one_document(self, invoke, engine, leave):
        leave("dead")
        (entry,) = json.loads(invoke("gc", "--json", "-n").stdout)["environments"]
        assert entry == {
            "env": "dead",
            "run_id": "run-dead",
            "reason": "owner dead",
            "ended_seconds_ago": None,
            "removed": {"network": 1, "volume": 2},
            "error": None,
        }

    def test_failures_are_told_after_all_was_tried(self, invoke, engine, leave):
        leave("one"), leave("two")
        engine.inject("remove", EngineError("device or resource busy"))
        result = invoke("gc", code=4)
        assert result.stdout == "removed two: 1 network, 2 volumes (its owner has died)\n"
        assert "1 environment could not be removed" in result.stderr
        assert "one: device or resource busy" in result.stderr
        engine.inject("remove", EngineError("busy"))
        assert json.loads(invoke("gc", "--json", code=4).stdout)["environments"][0]["error"] == "busy"

    def test_old_logs_of_watchers_go(self, invoke, engine):
        log = write_log("7", age=8 * 24 * 3600)
        assert invoke("gc", "-n").stdout == f"would remove {log}\n"
        assert log.exists()
        assert invoke("gc").stdout == f"removed {log}\n"
        assert not log.exists()


def write_log(name: str, *, age: float) -> Path:
    path = Path(os.environ["ENVSPIN_STATE_DIR"]) / "watchers" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("while removing mine: busy\n")
    os.utime(path, (time.time() - age, time.time() - age))
    return path


class TestKeep:
    def test_the_time_left_is_set_anew(self, invoke, engine, up):
        up("mine")
        assert invoke("keep", "mine", "--ttl", "2d").stdout == "mine stays for 2 d 0 h\n"
        assert invoke("keep", "mine", "--ttl", "1d24h").stdout == "mine stays for 2 d 0 h\n"
        assert "1 d 23 h" in invoke("ls").stdout or "2 d 0 h" in invoke("ls").stdout
        document = json.loads(invoke("keep", "--ttl", "90s", "--json").stdout)
        assert document.keys() == {"env", "expires"}
        (entry,) = json.loads(invoke("ls", "--json").stdout)
        assert abs(entry["expires"] - document["expires"]) <= 2
        assert 80 < document["expires"] - time.time() <= 91

    def test_without_a_time_it_is_the_usual_one(self, invoke, engine, up):
        up("mine")
        assert invoke("keep").stdout == "mine stays for 8 h 00 m\n"

    def test_what_a_process_holds_is_refused(self, invoke, engine, leave):
        leave("mine", owner=str(HERE))
        told = invoke("keep", "mine", "--ttl", "1h", code=2).stderr
        assert f"environment 'mine' is held by process {HERE.pid} and ends with it" in told

    def test_an_unknown_one_is_refused(self, invoke, engine):
        assert "no environment" in invoke("keep", "mine", code=2).stderr
        assert "more than 0" in invoke("keep", "mine", "--ttl", "0", code=2).stderr


def test_ls_shows_that_nobody_holds_what_is_left_over(invoke, leave):
    leave("dead")
    leave("overdue", owner="", left=-3630.0)
    rows = [line.split() for line in invoke("ls").stdout.splitlines()[1:]]
    assert [row[:4] for row in rows] == [
        ["dead", "shop", "leftover", "nobody"],
        ["overdue", "shop", "leftover", "nobody"],
    ]


def test_ls_shows_a_failed_start_that_was_kept_as_that(invoke, engine, shop):
    engine.behave("db", Script(exits=Exit(1)))
    invoke("up", "shop", "--name", "mine", "--keep-on-failure", "--progress", "quiet", code=3)
    (entry,) = json.loads(invoke("ls", "--json").stdout)
    assert (entry["state"], entry["owner_alive"]) == ("failed", None)
    assert "7 h 59 m" in invoke("ls").stdout or "8 h 00 m" in invoke("ls").stdout


def test_no_wait_fails_at_once_where_no_subnet_is_free(invoke, engine, up, shop, monkeypatch):
    monkeypatch.setenv("ENVSPIN_SUBNETS", "10.99.0.0/28")
    up("mine")
    for words in (("up", "shop", "-d"), ("run", "shop")):
        result = invoke(*words, "--no-wait", *(["--", "true"] if words[0] == "run" else []), code=4)
        assert "no free subnet for network" in result.stderr
        assert "1 network of 1 environment: mine (1)" in result.stderr
    assert {name.split("-")[1] for name in engine.names()} == {"mine"}


def test_doctor_names_the_logs_of_failed_clean_ups(invoke, engine):
    def find() -> dict[str, str]:
        return next(each for each in json.loads(invoke("doctor", "--json").stdout) if each["check"] == "watchers")

    assert (find()["status"], find()["fix"]) == ("ok", None)
    logs = [str(write_log(str(number), age=number)) for number in range(5)]
    assert find()["status"] == "warn"
    assert find()["message"] == f"a clean-up has failed: {', '.join(logs[:3])} and 2 more"
    assert "envspin gc" in find()["fix"]
    assert logs[0] in find()["fix"]
