"""Exports, records, timings, files, names: small parts with rules of their own."""

from __future__ import annotations

import errno
import io
import signal
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from envspin.engine.base import ContainerInfo, EngineInfo
from envspin.errors import EngineError, UsageError
from envspin.model import Endpoint, FileGrant
from envspin.plan.planning import make_plan
from envspin.run import access, record, timings
from envspin.run.exports import expand_exports, make_variables
from envspin.run.files import pack_grants
from envspin.run.naming import Identity
from envspin.run.signals import Terminated, shielded, terminable

from ..builders import chain


class TestAccess:
    container = ContainerInfo(
        "id", "db", "db:1", "sha256:1", {}, "running", published={"5432/tcp": 40000}, addresses={"net": "10.213.0.2"}
    )

    def test_a_published_port_wins(self):
        assert access.find_endpoint(self.container, "5432/tcp", "127.0.0.1") == Endpoint("127.0.0.1", 40000)

    def test_the_containers_own_address_where_there_is_a_route(self, monkeypatch):
        monkeypatch.setattr(access, "read_routes", lambda _kind: ["10.213.0.0/28"])
        assert access.find_endpoint(self.container, "80/tcp", "127.0.0.1") == Endpoint("10.213.0.2", 80)

    def test_no_way_is_said(self, monkeypatch):
        monkeypatch.setattr(access, "read_routes", lambda _kind: [])
        with pytest.raises(EngineError, match="80/tcp of db is not published"):
            access.find_endpoint(self.container, "80/tcp", "127.0.0.1")

    @pytest.mark.parametrize(
        ("address", "local", "override", "expected"),
        [
            ("unix:///var/run/docker.sock", True, None, "127.0.0.1"),
            ("tcp://builder:2375", False, None, "builder"),
            ("unix:///var/run/docker.sock", True, "host.docker.internal", "host.docker.internal"),
        ],
    )
    def test_the_host_of_published_ports(self, monkeypatch, address, local, override, expected):
        monkeypatch.delenv("TESTCONTAINERS_HOST_OVERRIDE", raising=False)
        if override:
            monkeypatch.setenv("TESTCONTAINERS_HOST_OVERRIDE", override)
        assert access.find_host(EngineInfo("26", "1.45", "linux", "amd64", address, local)) == expected


class Place:
    def __init__(self, name, **ports):
        self.name = name
        self.endpoints = {key.replace("_", "/").lstrip("p"): Endpoint("127.0.0.1", port) for key, port in ports.items()}


SERVICES = {"db": Place("db", p5432_tcp=1, p8080_tcp=2), "quiet": Place("quiet")}


class TestExports:
    def test_fields_are_filled_in(self):
        templates = {"A": "x://{db.host}:{db.port}/{db.port.8080}?{{}}", "B": "{db.url}", "C": "{secret.key}"}
        found = expand_exports(templates, SERVICES, {"secret:key": b"s3"})
        assert found == {"A": "x://127.0.0.1:1/2?{}", "B": "http://127.0.0.1:1", "C": "s3"}

    def test_an_export_of_a_service_that_was_left_out_is_left_out(self):
        assert expand_exports({"A": "{other.host}"}, SERVICES, {}) == {}

    @pytest.mark.parametrize("template", ["{quiet.port}", "{db.port.1}"])
    def test_a_port_that_is_not_there_is_a_usage_error(self, template):
        with pytest.raises(UsageError, match="export A: service"):
            expand_exports({"A": template}, SERVICES, {})

    def test_variables_hold_ports_and_exports(self):
        assert make_variables("e", SERVICES.values(), {"URL": "u"}) == {
            "ENVSPIN_ENV": "e",
            "ENVSPIN_DB_HOST": "127.0.0.1",
            "ENVSPIN_DB_PORT": "1",
            "ENVSPIN_DB_PORT_5432": "1",
            "ENVSPIN_DB_PORT_8080": "2",
            "URL": "u",
        }


class TestRecord:
    made = record.Record(
        "e", "run", 1.5, {"URL": "secret"}, {"URL": "***"}, {"db": record.ServiceRecord(0.1, 0.2, 0.3, 1.0, 1.3)}
    )

    def test_it_is_read_back_and_readable_by_its_user_alone(self):
        record.write_record(self.made)
        assert record.read_record("e", "run") == self.made
        path = record.state_directory() / "environments" / "e.json"
        assert path.stat().st_mode & 0o077 == 0
        record.forget_record("e")
        assert not path.exists()

    def test_that_of_another_run_is_none_of_ours(self):
        record.write_record(self.made)
        assert record.read_record("e", "other") is None

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"services": 1}', '{"services": {}, "odd": 1}'])
    def test_a_damaged_one_is_none(self, text):
        record.write_record(self.made)
        (record.state_directory() / "environments" / "e.json").write_text(text)
        assert record.read_record("e", "run") is None

    @pytest.fixture(params=[OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
    def break_off(self, request, monkeypatch):
        """Return a function that writes a record and is broken off half-way."""

        def write_half(_document, file) -> None:
            file.write('{"env": "e", "run_')
            file.flush()
            raise request.param

        def write(made: record.Record) -> None:
            monkeypatch.setattr(record.json, "dump", write_half)
            with pytest.raises(type(request.param)):
                record.write_record(made)

        return write

    def list_files(self) -> list[str]:
        return sorted(each.name for each in (record.state_directory() / "environments").iterdir())

    def test_one_that_is_written_half_leaves_nothing(self, break_off):
        break_off(self.made)
        assert self.list_files() == []

    def test_one_that_is_written_half_leaves_the_older_one_whole(self, break_off):
        record.write_record(self.made)
        break_off(replace(self.made, ready_seconds=9.0))
        assert record.read_record("e", "run") == self.made
        assert self.list_files() == ["e.json"]

    @pytest.mark.parametrize("run_id", [None, "run"])
    @pytest.mark.parametrize("is_there", [True, False])
    def test_what_a_killed_writer_left_is_forgotten_too(self, run_id, is_there):
        record.write_record(self.made)
        path = record.state_directory() / "environments" / "e.json"
        path.with_suffix(record.DRAFT).write_text('{"env": "e", "run_')
        if not is_there:
            path.unlink()
        record.forget_record("e", run_id)
        assert self.list_files() == []

    def test_what_a_killed_writer_left_is_overwritten(self):
        record.write_record(self.made)
        draft = record.state_directory() / "environments" / f"e{record.DRAFT}"
        draft.write_text("x" * 10_000)
        changed = replace(self.made, ready_seconds=9.0)
        record.write_record(changed)
        assert record.read_record("e", "run") == changed
        assert self.list_files() == ["e.json"]


class TestTimings:
    plan = make_plan(chain({"a": ()}))

    def test_unknown_ones_are_guessed_and_known_ones_remembered(self):
        assert timings.estimate_weights(self.plan)["ready:a"] == timings.GUESSES["ready"]
        timings.remember(self.plan, {"a": {"start": 0.5, "ready": 4.0, "create": 0.1}})
        assert timings.estimate_weights(self.plan)["ready:a"] == 4.0
        timings.remember(self.plan, {"a": {"start": 0.5, "ready": 2.0}})
        assert timings.estimate_weights(self.plan)["ready:a"] == 3.0

    @pytest.mark.parametrize("text", ["", "[1]", '{"test/a/a:1": {"ready": "soon"}}', '{"test/a/a:1": 3}'])
    def test_a_damaged_file_is_as_none(self, text):
        timings.remember(self.plan, {"a": {"ready": 4.0}})
        (record.state_directory() / "timings.json").write_text(text)
        assert timings.estimate_weights(self.plan)["ready:a"] == timings.GUESSES["ready"]

    def test_a_draft_that_a_killed_run_left_is_used_again(self):
        draft = record.state_directory() / "timings.json.new"
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text("half of i")
        timings.remember(self.plan, {"a": {"ready": 4.0}})
        assert timings.estimate_weights(self.plan)["ready:a"] == 4.0
        assert sorted(each.name for each in draft.parent.iterdir()) == ["timings.json", "timings.json.lock"]

    def test_a_state_directory_that_cannot_be_written_is_no_error(self, monkeypatch):
        monkeypatch.setenv("ENVSPIN_STATE_DIR", "/proc/nothing/here")
        timings.remember(self.plan, {"a": {"ready": 4.0}})
        assert timings.estimate_weights(self.plan)["ready:a"] == timings.GUESSES["ready"]


def test_files_are_packed_with_owner_and_mode():
    grants = [FileGrant("key", "secret", "/run/secrets/key", uid=7, gid=8, mode=0o400)]
    packed = pack_grants(grants, {"secret:key": b"value"}, below="/run/secrets")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        (entry,) = archive.getmembers()
        assert (entry.name, entry.mode, entry.uid, entry.gid) == ("key", 0o400, 7, 8)
        assert archive.extractfile(entry).read() == b"value"


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a b", "a/b", "a" * 49, "ä"])
def test_a_name_that_cannot_be_part_of_an_objects_name_is_refused(name):
    with pytest.raises(UsageError, match="is no name for an environment"):
        Identity.new("shop", name=name)


def test_environments_are_named_after_their_topology():
    first, second = Identity.new("shop"), Identity.new("shop")
    assert first.env.startswith("shop-")
    assert len(first.env) == len("shop-") + 8
    assert first.env != second.env


class TestSignals:
    def test_a_termination_ends_like_an_interruption(self):
        with pytest.raises(Terminated), terminable():
            signal.raise_signal(signal.SIGTERM)

    def test_a_second_one_does_not_break_into_the_clean_up(self):
        cleaned = []

        def work() -> None:
            with terminable():
                try:
                    signal.raise_signal(signal.SIGINT)
                finally:
                    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                        signal.raise_signal(number)
                    cleaned.append(True)

        with pytest.raises(KeyboardInterrupt):
            work()
        assert cleaned

    def test_after_a_while_the_next_one_counts_again(self, monkeypatch):
        monkeypatch.setattr("envspin.run.signals.HELD_SECONDS", 0.0)
        with terminable():
            for number in (signal.SIGTERM, signal.SIGINT):
                with pytest.raises(KeyboardInterrupt):
                    signal.raise_signal(number)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_one_that_hits_a_finaliser_is_not_lost(self, number):
        class Late:
            def __del__(self) -> None:
                signal.raise_signal(number)

        def work() -> None:
            with terminable():
                Late()
                time.sleep(30)  # broken off by the repetition

        with pytest.raises(KeyboardInterrupt) as raised:
            work()
        assert isinstance(raised.value, Terminated) == (number != signal.SIGINT)

    def test_other_errors_in_a_finaliser_are_reported_as_ever(self, monkeypatch):
        class Broken:
            def __del__(self) -> None:
                raise ValueError("broken")

        reported = []
        monkeypatch.setattr("sys.unraisablehook", reported.append)
        with terminable():
            Broken()
        assert [str(each.exc_value) for each in reported] == ["broken"]

    def test_what_was_ignored_stays_ignored(self):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
        try:
            with terminable():
                signal.raise_signal(signal.SIGHUP)
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_handlers_are_given_back(self):
        before = signal.getsignal(signal.SIGTERM)
        with terminable():
            assert signal.getsignal(signal.SIGTERM) != before
        assert signal.getsignal(signal.SIGTERM) == before

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_clean_up_is_finished_before_the_interruption_counts(self, number):
        finished = []

        def clean_up() -> None:
            with shielded():
                signal.raise_signal(number)
                signal.raise_signal(number)
                finished.append(True)

        with pytest.raises(KeyboardInterrupt):
            clean_up()
        assert finished


def test_the_state_directory_can_be_moved(monkeypatch):
    monkeypatch.setenv("ENVSPIN_STATE_DIR", "/somewhere")
    assert record.state_directory() == Path("/somewhere")
