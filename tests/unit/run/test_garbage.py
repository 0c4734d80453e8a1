"""What ``gc`` finds on the engine and in files of ours, what it leaves, and that failures keep nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from envspin.engine.base import VolumeSpec
from envspin.engine.fake import FakeEngine, FakeImage, Line, Script
from envspin.errors import EngineError
from envspin.model import LogProbe
from envspin.run import naming
from envspin.run.environment import Environment
from envspin.run.garbage import KEPT_SECONDS, collect_environments, collect_files, list_watcher_logs
from envspin.run.naming import Identity
from envspin.run.ownership import Owner, describe_this_process
from envspin.run.record import Record, read_record, state_directory, write_record

from ..builders import chain

HERE = describe_this_process()
DEAD = str(Owner(HERE.host, HERE.boot, HERE.pid_space, HERE.pid, "1"))
HOUR = 3600.0


def make_run(engine: FakeEngine, name: str, *, owner: str = DEAD, age: float | None = 0.0, parts: int = 1) -> Identity:
    created = None if age is None else time.time() - age
    identity = Identity(name, "shop", f"run-of-{name}", owner, time.time() + HOUR, created=created)
    for number in range(parts):
        engine.create_volume(VolumeSpec(identity.object_name(f"v{number}"), identity.labels()))
    return identity


def list_envs(engine: FakeEngine) -> list[str]:
    return sorted({each.labels[naming.ENV] for each in engine.list_resources({naming.ENV: None})})


class TestEnvironments:
    def test_the_dead_ones_go_and_are_counted(self):
        engine = FakeEngine()
        make_run(engine, "dead", parts=3)
        make_run(engine, "living", owner=str(HERE))
        (collected,) = collect_environments(engine)
        assert (collected.env, collected.reason.kind, dict(collected.counts)) == ("dead", "owner dead", {"volume": 3})
        assert list_envs(engine) == ["living"]
        assert collect_environments(engine) == []

    def test_a_dry_run_tells_the_same_and_removes_nothing(self):
        engine = FakeEngine()
        make_run(engine, "dead", parts=3)
        (told,) = collect_environments(engine, dry_run=True)
        assert list_envs(engine) == ["dead"]
        assert not [call for call in engine.calls if call.verb == "remove"]
        assert collect_environments(engine) == [told]

    def test_only_what_is_older_goes(self):
        engine = FakeEngine()
        make_run(engine, "young", age=HOUR)
        make_run(engine, "old", age=3 * HOUR)
        make_run(engine, "ageless", age=None)
        assert [each.env for each in collect_environments(engine, older_than=2 * HOUR)] == ["old"]
        assert [each.env for each in collect_environments(engine)] == ["ageless", "young"]

    def test_a_failure_is_told_and_keeps_nothing_else(self):
        engine = FakeEngine()
        for name in ("one", "two"):
            make_run(engine, name)
        engine.inject("remove", EngineError("busy"))
        first, second = collect_environments(engine)
        assert (first.env, first.error.message) == ("one", "busy")
        assert (second.env, second.error, dict(second.counts)) == ("two", None, {"volume": 1})


class TestFiles:
    @pytest.fixture
    def engine(self) -> FakeEngine:
        return FakeEngine()

    def write(
        self, name: str, *, run: str = "gone", engine: str = "fake://", host: str = HERE.host, age: float = 0.0
    ) -> Path:
        write_record(Record(name, run, 1.0, engine=engine, host=host))
        path = state_directory() / "environments" / f"{name}.json"
        os.utime(path, (time.time() - age, time.time() - age))
        return path

    def write_log(self, name: str, *, age: float) -> Path:
        path = state_directory() / "watchers" / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("while removing mine: busy\n")
        os.utime(path, (time.time() - age, time.time() - age))
        return path

    def test_the_record_of_a_run_that_this_engine_holds_no_more_goes(self, engine):
        identity = make_run(engine, "living", owner=str(HERE))
        kept = self.write("living", run=identity.run_id, age=2 * KEPT_SECONDS)
        stale = self.write("gone")
        assert collect_files(engine, dry_run=True) == [stale]
        assert stale.exists()
        assert collect_files(engine) == [stale]
        assert (stale.exists(), kept.exists()) == (False, True)

    def test_a_record_tells_its_engine_and_machine(self):
        engine = FakeEngine(default_image=FakeImage(Script(lines=(Line("ready"),))))
        with Environment.up(chain({"db": ()}, ready=(LogProbe("ready"),)), engine=engine) as environment:
            record = read_record(environment.name, environment.run_id)
        assert (record.engine, record.host) == (engine.info().address, HERE.host)

    @pytest.mark.parametrize(
        "origin",
        [{"engine": "unix:///elsewhere.sock"}, {"engine": ""}, {"host": "elsewhere"}, {"host": ""}],
        ids=["another engine", "no engine", "another machine", "no machine"],
    )
    def test_that_of_another_engine_or_machine_is_kept_for_a_week(self, engine, origin):
        young = self.write("young", **origin, age=KEPT_SECONDS - HOUR)
        old = self.write("old", **origin, age=KEPT_SECONDS + HOUR)
        assert collect_files(engine) == [old]
        assert young.exists()

    def test_a_damaged_one_is_kept_for_a_week(self, engine):
        path = self.write("odd")
        path.write_text("[]")
        assert collect_files(engine) == []
        os.utime(path, (1, 1))
        assert collect_files(engine) == [path]

    def test_logs_are_kept_for_a_week_and_listed_newest_first(self, engine):
        old, middle, young = (self.write_log(name, age=age) for name, age in LOGS.items())
        assert list_watcher_logs() == [young, middle, old]
        assert collect_files(engine) == [old]
        assert list_watcher_logs() == [young, middle]

    def test_what_is_younger_than_asked_for_stays(self, engine):
        young, old = self.write("young", age=HOUR), self.write("old", age=3 * HOUR)
        assert collect_files(engine, older_than=2 * HOUR) == [old]
        assert young.exists()

    def test_without_a_state_directory_there_is_nothing(self, engine, monkeypatch):
        monkeypatch.setenv("ENVSPIN_STATE_DIR", "/proc/nothing/here")
        assert collect_files(engine) == []
        assert list_watcher_logs() == []


LOGS = {"old": KEPT_SECONDS + HOUR, "middle": HOUR, "young": 0.0}
