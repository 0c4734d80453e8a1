"""Environments on the in-memory engine: order, failures, clean-up, and what a test gets in its hands."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from envspin import Environment
from envspin.engine.base import VolumeSpec
from envspin.engine.fake import ExecReply, Exit, FakeEngine, FakeImage, Line, Script, in_turn
from envspin.errors import (
    ConflictError,
    EngineError,
    EngineUnreachableError,
    EnvspinTimeout,
    ImageError,
    NotReadyError,
    TopologyError,
    UsageError,
)
from envspin.events import Listener, RunFailed, RunReady, ServiceChanged, TeardownFinished
from envspin.model import Build, ExecProbe, FileGrant, FileSource, Healthcheck, LogProbe, Mount, Port, TcpProbe, Volume
from envspin.run import naming
from envspin.run.janitor import remove_environment
from envspin.run.naming import Identity
from envspin.run.ownership import Owner, describe_this_process

from ..builders import chain, completed, make_service, make_topology, optional

READY = LogProbe("ready")
HERE = describe_this_process()
DEAD_OWNER = Owner(HERE.host, HERE.boot, HERE.pid_space, HERE.pid, "1")  # of a process that had this id before
PROMPT = Script(lines=(Line("ready"),))
JOB = Script(lines=(Line("working"),), exits=Exit(0, after=0.02))


class Recorder(Listener):
    def __init__(self) -> None:
        self.events = []

    def handle(self, event) -> None:
        self.events.append(event)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def states(self, service):
        return [event.state for event in self.of(ServiceChanged) if event.service == service]


def make_engine(**scripts: Script) -> FakeEngine:
    return FakeEngine(default_image=FakeImage(PROMPT), scripts=scripts)


def left_over(engine: FakeEngine) -> list[str]:
    return [resource.name for resource in engine.list_resources({naming.ENV: None})]


def test_services_start_in_the_order_of_readiness_and_nothing_is_left():
    engine, recorder = make_engine(migrate=JOB), Recorder()
    topology = make_topology(
        make_service("web", "api", ready=(READY,)),
        make_service("api", "db", completed("migrate"), ready=(READY,)),
        make_service("migrate", "db", job=True),
        make_service("db", ready=(READY,)),
    )
    with Environment.up(topology, engine=engine, listener=recorder) as environment:
        assert {name: service.state for name, service in environment.services.items()} == {
            "web": "ready",
            "api": "ready",
            "migrate": "completed",
            "db": "ready",
        }
        assert environment.critical_path[-1] == "web"
    changes = [
        (each.service, each.state) for each in recorder.of(ServiceChanged) if each.state in {"starting", "ready"}
    ]
    assert changes == [(name, state) for name in ("db", "migrate", "api", "web") for state in ("starting", "ready")]
    assert left_over(engine) == []
    assert dict(recorder.of(TeardownFinished)[0].removed) == {"container": 4, "network": 1}


def test_the_json_document_has_the_promised_shape():
    topology = make_topology(make_service("db", ready=(READY,), ports=(Port(5432),)), exports={"URL": "x://{db.host}"})
    with Environment.up(topology, engine=make_engine()) as environment:
        document = environment.describe()
    assert document.keys() == {"env", "topology", "run_id", "ready_seconds", "services", "exports"}
    service = document["services"]["db"]
    assert service.keys() == {
        "state", "replica_of", "image", "digest", "pin", "container", "endpoints", "seconds", "started_at", "ready_at",
    }  # fmt: skip
    assert service["seconds"].keys() == {"create", "start", "ready"}
    assert service["endpoints"]["5432/tcp"]["host"] == "127.0.0.1"
    assert 0 < service["started_at"] <= service["ready_at"] <= document["ready_seconds"]
    assert document["exports"] == {"URL": "x://127.0.0.1"}


def test_everything_carries_its_labels_and_names():
    engine = make_engine()
    topology = make_topology(
        make_service("db", ready=(READY,), mounts=(Mount("volume", "/data", "data"), Mount("anonymous", "/more"))),
        volumes={"data": Volume("data")},
    )
    with Environment.up(topology, name="mine", engine=engine) as environment:
        resources = engine.list_resources({naming.ENV: "mine"})
        assert {each.name for each in resources} == {
            "envspin-mine-db",
            "envspin-mine-default",
            "envspin-mine-data",
            "envspin-mine-db-volume1",
        }
        for each in resources:
            assert each.labels[naming.RUN] == each.labels[naming.TESTCONTAINERS_SESSION] == environment.run_id
            assert {naming.TOPOLOGY, naming.OWNER, naming.EXPIRES, naming.VERSION} <= each.labels.keys()


def test_safe_defaults_reach_the_container():
    engine = make_engine()
    with Environment.up(make_topology(make_service("db", ready=(READY,))), engine=engine) as environment:
        spec = engine.specs[environment["db"].container_id]
    assert "no-new-privileges" in spec.security_opt
    assert spec.resources.pids == 4096


def test_a_name_that_is_taken_is_refused_and_the_other_left_alone():
    engine = make_engine()
    topology = make_topology(make_service("db", ready=(READY,)))
    with Environment.up(topology, name="mine", engine=engine) as first:
        with pytest.raises(UsageError, match="'mine' exists already"):
            Environment.up(topology, name="mine", engine=engine)
        assert first["db"].state == "ready"


def test_a_name_that_only_a_dead_owner_holds_is_free():
    engine = make_engine()
    labels = {**Identity.new("shop", name="mine").labels(), naming.OWNER: str(DEAD_OWNER)}
    engine.create_volume(VolumeSpec("envspin-mine-data", labels))
    with Environment.up(make_topology(make_service("db", ready=(READY,))), name="mine", engine=engine) as environment:
        assert environment["db"].state == "ready"
    assert left_over(engine) == []


def test_a_crash_is_told_with_code_last_words_and_who_waited():
    engine = make_engine(db=Script(lines=(Line("no disk"), Line("giving up")), exits=Exit(3, after=0.02)))
    recorder = Recorder()
    topology = chain({"web": ("api",), "api": ("db",), "db": ()}, ready=(READY,))
    with pytest.raises(NotReadyError) as caught:
        Environment.up(topology, engine=engine, listener=recorder)
    error = caught.value
    assert (error.service, error.message) == ("db", "service 'db' exited with code 3")
    assert error.context[0].startswith("awaited: a log line matching /ready/")
    assert error.context[1:] == (
        "exit code: 3",
        "last output:",
        "  | no disk",
        "  | giving up",
        "waiting for it: api -> web",
    )
    assert error.exit_code == 3
    assert recorder.of(RunFailed)[0].error is error
    assert recorder.states("api") == ["created"]
    assert left_over(engine) == []


def test_a_failure_is_told_before_what_is_under_way_has_ended(monkeypatch):
    engine, told, was_told_first = make_engine(), threading.Event(), []

    class Teller(Listener):
        def handle(self, event):
            if isinstance(event, RunFailed):
                told.set()

    def start_slowly(container_id: str) -> None:
        was_told_first.append(told.wait(10.0))
        FakeEngine.start(engine, container_id)

    monkeypatch.setattr(engine, "start", start_slowly)
    with pytest.raises(EnvspinTimeout):
        Environment.up(make_topology(make_service("db")), engine=engine, listener=Teller(), timeout=0.2)
    assert was_told_first == [True]
    assert left_over(engine) == []


def test_a_task_that_ends_is_told_how_to_be_one():
    engine = make_engine(db=Script(exits=Exit(0, after=0.02)))
    with pytest.raises(NotReadyError, match="exited with code 0") as caught:
        Environment.up(make_topology(make_service("db", ready=(READY,))), engine=engine)
    assert caught.value.hint == "if it is a task that ends, say so: services.db.x-envspin: {job: true}"


def test_running_out_of_memory_is_told_as_that():
    engine = make_engine(db=Script(exits=Exit(137, after=0.02, oom=True)))
    with pytest.raises(NotReadyError, match="service 'db' was killed because it ran out of memory") as caught:
        Environment.up(make_topology(make_service("db", ready=(READY,))), engine=engine)
    assert "services.db.mem_limit" in caught.value.hint


def test_a_failed_job_fails_the_run():
    engine = make_engine(migrate=Script(lines=(Line("bad sql"),), exits=Exit(2, after=0.02)))
    topology = make_topology(make_service("api", completed("migrate")), make_service("migrate", job=True))
    with pytest.raises(NotReadyError, match="service 'migrate'") as caught:
        Environment.up(topology, engine=engine)
    assert "exit code: 2" in caught.value.context
    assert "  | bad sql" in caught.value.context


def test_the_deadline_says_what_was_awaited_and_the_last_answer():
    probe = ExecProbe(("is-ready",))
    engine = make_engine(db=Script(execs={"is-ready": ExecReply(1, "still booting")}))
    with pytest.raises(NotReadyError, match=r"was not ready after 0\.2 s") as caught:
        Environment.up(make_topology(make_service("db", ready=(probe,), timeout=0.2)), engine=engine)
    assert any("is-ready" in line and "still booting" in line for line in caught.value.context)
    assert left_over(engine) == []


def test_the_overall_deadline_names_what_is_still_awaited():
    engine = make_engine(db=Script())
    topology = make_topology(make_service("db", ready=(READY,)), make_service("api", "db"), timeout=0.2)
    with pytest.raises(EnvspinTimeout, match=r"not ready after 0\.2 s") as caught:
        Environment.up(topology, engine=engine)
    assert caught.value.context[0].startswith("db: started, awaiting a log line matching /ready/: none seen")
    assert caught.value.context[1:] == ("  waiting for it: api", "api: created")
    assert left_over(engine) == []


def test_an_image_that_cannot_be_had_says_who_needs_it_and_who_waits():
    engine = FakeEngine({"api:1": FakeImage(PROMPT), "db:1": FakeImage(stored=False, pull_error="manifest unknown")})
    with pytest.raises(ImageError, match="manifest unknown") as caught:
        Environment.up(chain({"api": ("db",), "db": ()}, ready=(READY,)), engine=engine)
    assert caught.value.context[-2:] == ("needed by: db", "waiting for it: api")
    assert left_over(engine) == []


def test_never_pulling_means_never():
    engine = FakeEngine({"db:1": FakeImage(PROMPT, stored=False)})
    with pytest.raises(ImageError, match="not in the engine's store"):
        Environment.up(make_topology(make_service("db")), engine=engine, pull="never")
    assert "pull" not in {call.verb for call in engine.calls}


def test_a_service_that_dies_after_it_was_ready_fails_the_run():
    engine = make_engine(
        db=Script(lines=(Line("ready"),), exits=Exit(1, after=0.1)),
        api=Script(),
    )
    with pytest.raises(NotReadyError, match="'db' exited with code 1 after it had been ready"):
        Environment.up(chain({"api": ("db",), "db": ()}, ready=(READY,)), engine=engine, timeout=10)


def test_an_optional_service_may_fail():
    engine, recorder = make_engine(extra=Script(exits=Exit(1, after=0.01))), Recorder()
    topology = make_topology(
        make_service("api", optional("extra"), ready=(READY,)), make_service("extra", ready=(READY,))
    )
    with Environment.up(topology, engine=engine, listener=recorder) as environment:
        assert environment["api"].state == "ready"
        assert environment["extra"].state == "exited"
    assert recorder.states("extra")[-1] == "failed"


def test_a_failed_run_can_be_kept_for_a_look():
    engine = make_engine(db=Script(exits=Exit(1, after=0.01)))
    with pytest.raises(NotReadyError):
        Environment.up(
            make_topology(make_service("db", ready=(READY,))), name="broken", engine=engine, keep_on_failure=True
        )
    with Environment.open("broken", engine=engine) as environment:
        assert environment["db"].state == "exited"
    assert "envspin-broken-db" in left_over(engine)
    environment.close()
    assert left_over(engine) == []


def test_an_interruption_while_waiting_leaves_nothing(monkeypatch):
    engine = make_engine(db=Script())

    class Impatient(Listener):
        def handle(self, event) -> None:
            if isinstance(event, ServiceChanged) and event.state == "started":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Environment.up(make_topology(make_service("db", ready=(READY,))), engine=engine, listener=Impatient())
    assert left_over(engine) == []


class Deaf(Listener):
    """A listener whose terminal has gone."""

    def handle(self, event) -> None:
        raise BrokenPipeError


def test_a_listener_that_fails_stops_neither_the_run_nor_its_clean_up():
    engine = make_engine()
    with Environment.up(
        make_topology(make_service("db", ready=(READY,))), engine=engine, listener=Deaf()
    ) as environment:
        assert environment["db"].state == "ready"
    assert left_over(engine) == []


def test_an_old_handle_does_not_remove_who_took_its_name():
    engine, topology = make_engine(), make_topology(make_service("db", ready=(READY,)))
    first = Environment.up(topology, name="mine", engine=engine)
    remove_environment(engine, "mine")
    with Environment.up(topology, name="mine", engine=engine) as second:
        first.close()
        assert second["db"].state == "ready"


def test_a_removal_that_fails_does_not_hide_why_the_run_failed():
    engine = make_engine(db=Script(exits=Exit(3, after=0.01)))
    engine.inject("remove", EngineError("device is busy"))
    with pytest.raises(NotReadyError, match="exited with code 3") as caught:
        Environment.up(make_topology(make_service("db", ready=(READY,))), engine=engine)
    assert "and its removal failed: device is busy" in caught.value.context


def test_an_engine_that_is_lost_is_an_engine_failure():
    engine = make_engine()
    engine.inject("start", EngineUnreachableError("no container engine answers"))
    with pytest.raises(EngineUnreachableError):
        Environment.up(make_topology(make_service("db", ready=(READY,))), engine=engine)


def test_an_optional_service_may_lack_its_image():
    engine = FakeEngine({"api:1": FakeImage(PROMPT), "extra:1": FakeImage(stored=False, pull_error="unknown")})
    topology = make_topology(make_service("api", optional("extra"), ready=(READY,)), make_service("extra"))
    with Environment.up(topology, engine=engine) as environment:
        assert list(environment.services) == ["api"]


def test_exports_follow_a_service_that_was_restarted():
    topology = make_topology(make_service("db", ready=(READY,), ports=(Port(5432),)), exports={"URL": "{db.port}"})
    with Environment.up(topology, engine=make_engine()) as environment:
        environment["db"].restart(grace_seconds=0)
        assert environment.exports == {"URL": str(environment["db"].port)}


def test_waiting_again_hears_of_an_end():
    engine = make_engine(db=in_turn(PROMPT, Script(exits=Exit(5, after=0.05))))
    probe = ExecProbe(("never",))
    topology = make_topology(make_service("db", ready=(READY,), timeout=60))
    with Environment.up(topology, engine=engine) as environment:
        handle = environment["db"]
        handle._service = replace(handle._service, ready=(probe,))
        handle.restart(grace_seconds=0)
        with pytest.raises(NotReadyError, match=r"exited with code 5|will not become ready|does not run"):
            handle.wait_ready()


def test_an_engine_error_while_creating_leaves_nothing():
    engine = make_engine()
    engine.inject("create_container", EngineError("no space left on device"))
    with pytest.raises(EngineError, match="no space left"):
        Environment.up(chain({"a": (), "b": (), "c": ()}, ready=(READY,)), engine=engine)
    assert left_over(engine) == []


def test_an_overlapping_subnet_is_answered_with_another_one():
    engine = make_engine()
    engine.inject("create_network", ConflictError("Pool overlaps with other one on this address space"), times=2)
    with Environment.up(make_topology(make_service("db", ready=(READY,))), engine=engine) as environment:
        assert environment["db"].state == "ready"


def test_an_unchanged_build_builds_nothing(tmp_path):
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\n")
    topology = make_topology(make_service("db", build=Build(context), ready=(READY,)))
    engine = FakeEngine(default_image=FakeImage(PROMPT, stored=False))
    for _ in range(2):
        with Environment.up(topology, engine=engine):
            pass
    assert [call.verb for call in engine.calls].count("build") == 1
    (context / "more").write_text("changed")
    with Environment.up(topology, engine=engine):
        pass
    assert [call.verb for call in engine.calls].count("build") == 2


def test_configs_and_secrets_are_in_place_before_the_start(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "canary")
    engine = make_engine(db=Script(lines=(Line("ready"),), execs={"cat": lambda call: ExecReply(0, _read(call))}))
    topology = make_topology(
        make_service(
            "db",
            ready=(READY,),
            grants=(FileGrant("password", "secret", "/run/secrets/password"), FileGrant("conf", "config", "/etc/conf")),
        ),
        sources={
            "secret:password": FileSource("password", "secret", environment="DB_PASSWORD"),
            "config:conf": FileSource("conf", "config", content="key=1"),
            "secret:unused": FileSource("unused", "secret", environment="NOT_SET"),
        },
        exports={"PASSWORD": "{secret.password}"},
    )
    with Environment.up(topology, engine=engine) as environment:
        assert environment["db"].exec(["cat", "/run/secrets/password"]).output == "canary"
        assert environment["db"].exec("cat /etc/conf").output == "key=1"
        assert environment.exports == {"PASSWORD": "canary"}
        assert environment.masked_exports == {"PASSWORD": "***"}
        labels = [value for each in engine.list_resources({naming.ENV: None}) for value in each.labels.values()]
        assert not any("canary" in value for value in labels)


def _read(call) -> str:
    return (call.files(call.command[1]) or b"").decode()


def test_a_generated_secret_is_new_each_time():
    topology = make_topology(
        make_service("db", ready=(READY,)),
        sources={"secret:key": FileSource("key", "secret", generate=24)},
        exports={"KEY": "{secret.key}"},
    )
    engine = make_engine()
    seen = set()
    for _ in range(2):
        with Environment.up(topology, engine=engine) as environment:
            assert len(environment.exports["KEY"]) == 24
            seen.add(environment.exports["KEY"])
    assert len(seen) == 2


def test_a_secret_without_its_variable_is_told_before_anything_exists():
    engine = make_engine()
    topology = make_topology(
        make_service("db", grants=(FileGrant("password", "secret", "/run/secrets/password"),)),
        sources={"secret:password": FileSource("password", "secret", environment="SURELY_NOT_SET")},
    )
    with pytest.raises(TopologyError, match="`SURELY_NOT_SET`, which is not set"):
        Environment.up(topology, engine=engine)
    assert "create_network" not in {call.verb for call in engine.calls}


class TestHandle:
    @pytest.fixture
    def environment(self):
        engine = FakeEngine(default_image=FakeImage(PROMPT, ports=(Port(6379), Port(53, "udp"))))
        topology = make_topology(make_service("cache", ready=(READY,)), make_service("my-app", ready=(READY,)))
        with Environment.up(topology, engine=engine) as environment:
            yield environment

    def test_ports_lead_to_loopback(self, environment):
        cache = environment["cache"]
        assert cache.host == cache.get_container_host_ip() == "127.0.0.1"
        assert cache.port == cache.port_for(6379) == cache.get_exposed_port(6379)
        with pytest.raises(UsageError, match="no reachable port 1/tcp; it has: 6379/tcp, 53/udp"):
            cache.port_for(1)

    def test_variables_name_every_port(self, environment):
        variables = environment.variables()
        assert variables["ENVSPIN_ENV"] == environment.name
        assert variables["ENVSPIN_MY_APP_HOST"] == "127.0.0.1"
        assert variables["ENVSPIN_CACHE_PORT"] == variables["ENVSPIN_CACHE_PORT_6379"] == str(environment["cache"].port)

    def test_an_unknown_service_is_answered_with_the_nearest(self, environment):
        with pytest.raises(UsageError) as caught:
            environment["cahce"]
        assert caught.value.hint == "did you mean 'cache'?"

    def test_a_service_can_be_disturbed_and_becomes_ready_again(self, environment):
        cache = environment["cache"]
        cache.stop(grace_seconds=0)
        assert cache.state == "exited"
        cache.start()
        cache.wait_ready()
        assert cache.state == "ready"
        cache.pause()
        assert cache.state == "paused"
        cache.unpause()
        cache.kill()
        assert cache.state == "exited"
        cache.restart()
        assert cache.state == "ready"

    def test_logs_come_whole_or_as_a_tail(self, environment):
        assert environment["cache"].logs() == "ready"
        assert environment["cache"].logs(tail=0) == ""

    def test_logs_of_all_services_can_be_followed(self, environment):
        lines = environment.follow_logs()
        assert sorted([next(lines), next(lines)]) == [("cache", "ready"), ("my-app", "ready")]
        threading.Timer(0.05, environment.stop_following).start()
        assert list(lines) == []

    def test_an_unready_service_says_what_it_waits_for(self, environment):
        environment["cache"].pause()
        environment["cache"].stop(grace_seconds=0)
        with pytest.raises(NotReadyError, match="'cache'"):
            environment["cache"].wait_ready(timeout=0.05)


def test_who_follows_the_logs_is_told_which_service_ended():
    engine = make_engine(db=Script(lines=(Line("ready"),), exits=Exit(1, after=0.3)))
    with Environment.up(chain({"api": (), "db": ()}, ready=(READY,)), engine=engine) as environment:
        ended = []

        def note(service) -> None:
            ended.append(service)
            environment.stop_following()

        assert ("db", "ready") in list(environment.follow_logs(on_end=note))
        assert ended == ["db"]


def test_a_detached_environment_stays_and_can_be_opened_by_name():
    engine = make_engine()
    topology = make_topology(make_service("db", ready=(READY,), ports=(Port(5432),)), exports={"URL": "{db.port}"})
    with Environment.up(topology, name="mine", engine=engine) as first:
        first.detach(ttl=60)
        port = first["db"].port
    with Environment.open("mine", engine=engine) as again:
        assert again.exports == {"URL": str(port)}
        assert (again["db"].state, again["db"].port) == ("ready", port)
        assert again.ready_seconds == first.ready_seconds
    assert dict(again.close()) == {"container": 1, "network": 1, "volume": 1}
    assert left_over(engine) == []
    with pytest.raises(UsageError, match="no environment 'mine'"):
        Environment.open("mine", engine=engine)


def test_the_run_ends_with_the_event_that_it_is_ready():
    recorder = Recorder()
    with Environment.up(
        make_topology(make_service("db", ready=(READY,))), engine=make_engine(), listener=recorder
    ) as env:
        assert recorder.of(RunReady) == [RunReady(env.name, env.ready_seconds, {})]
    assert recorder.states("db") == ["created", "starting", "started", "ready"]


def test_a_healthcheck_is_executed_by_us_and_not_by_the_engine():
    check = Healthcheck(test=("CMD", "check"), interval=3600.0)
    engine = make_engine(db=Script(execs={"check": ExecReply(0)}))
    with Environment.up(make_topology(make_service("db", healthcheck=check)), engine=engine) as environment:
        assert engine.specs[environment["db"].container_id].healthcheck_disabled
    assert ("execute", ("check",)) in {
        (call.verb, tuple(getattr(call, "command", ("check",)))) for call in engine.calls
    }


def test_closing_twice_removes_once():
    engine = make_engine()
    environment = Environment.up(make_topology(make_service("db", ready=(READY,))), engine=engine)
    assert environment.close() == environment.close()
    assert [call.verb for call in engine.calls].count("remove") == 2


def test_an_event_stream_that_breaks_is_taken_up_again():
    """The engine restarts its event endpoint; an exit during the gap must still be seen."""
    engine = make_engine(db=Script(lines=(Line("x"),), exits=Exit(7, after=0.3)))
    original = engine.watch
    streams = []

    def watch(labels):
        stream = original(labels)
        streams.append(stream)
        return stream

    engine.watch = watch
    threading.Timer(0.1, lambda: streams[0].close()).start()  # noqa: PLW0108 - there is none yet
    began = time.monotonic()
    with pytest.raises(NotReadyError, match="exited with code 7"):
        Environment.up(make_topology(make_service("db", ready=(TcpProbe(80),))), engine=engine)
    assert len(streams) > 1
    assert time.monotonic() - began < 30
