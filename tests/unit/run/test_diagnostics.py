"""Diagnoses while the engine is slow to tell what is asked of it: the news does not wait for that."""

from __future__ import annotations

import queue
import threading

import pytest

from envspin import Environment
from envspin.engine.fake import ExecReply, Exit, FakeEngine, FakeImage, Line, Script
from envspin.errors import EnvspinTimeout, NotReadyError
from envspin.events import Listener, RunFailed
from envspin.model import ExecProbe
from envspin.run import diagnostics, naming

from ..builders import chain, make_service, make_topology

PATIENCE = 10.0
NEVER = ExecProbe(("is-ready",))
BOOTING = Script(lines=(Line("booting"),), execs={"is-ready": ExecReply(1, "not yet")})
CRASHING = Script(lines=(Line("no disk"), Line("giving up")), exits=Exit(3, after=0.02))


class SlowEngine(FakeEngine):
    """Looks hang until the failure has been told: the ends of logs of services, and ended containers."""

    def __init__(self, *, logs: set[str] = frozenset(), hangs_on_end: bool = False, **scripts: Script) -> None:
        super().__init__(default_image=FakeImage(BOOTING), scripts=scripts)
        self._slow_logs = logs
        self._hangs_on_end = hangs_on_end
        self.told = threading.Event()
        self.hung: queue.SimpleQueue[bool] = queue.SimpleQueue()
        """Of each look that hung, whether the failure was told meanwhile."""

    def _hang(self) -> None:
        self.hung.put(self.told.wait(PATIENCE))

    def logs(self, container_id, *, tail=None, **options):
        service = self.specs[container_id].labels[naming.SERVICE]
        if tail is not None and service in self._slow_logs:
            self._hang()
        return super().logs(container_id, tail=tail, **options)

    def inspect(self, container_id):
        found = super().inspect(container_id)
        is_step = threading.current_thread().name.startswith("envspin-run")  # of the run itself, not of a diagnosis
        if self._hangs_on_end and not found.is_running and not is_step:
            self._hang()
        return found


class Teller(Listener):
    """Lets what hangs go once a failure is told."""

    def __init__(self, engine: SlowEngine) -> None:
        self._engine = engine

    def handle(self, event) -> None:
        if isinstance(event, RunFailed):
            self._engine.told.set()


def fail(engine: SlowEngine, topology, **options):
    """Bring a topology up that fails; return the error."""
    with pytest.raises((NotReadyError, EnvspinTimeout)) as caught:
        Environment.up(topology, engine=engine, listener=Teller(engine), **options)
    assert engine.list_resources({naming.ENV: None}) == []
    return caught.value


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(diagnostics, "LOOK_SECONDS", 0.5)


@pytest.mark.usefixtures("impatient")
def test_a_deadline_is_told_while_the_logs_hang():
    engine = SlowEngine(logs={"db", "cache"})
    error = fail(engine, chain({"db": (), "cache": ()}, ready=(NEVER,)), timeout=0.3)
    assert [engine.hung.get(timeout=PATIENCE) for _ in range(2)] == [True, True]
    assert error.message == "the environment was not ready after 0.3 s"
    assert [line.partition(", ")[0] for line in error.context] == ["db: started", "cache: started"]


@pytest.mark.usefixtures("impatient")
def test_a_deadline_is_told_with_the_logs_that_do_not_hang():
    engine = SlowEngine(logs={"db"})
    error = fail(engine, chain({"db": (), "cache": ()}, ready=(NEVER,)), timeout=0.3)
    assert engine.hung.get(timeout=PATIENCE)
    assert [line for line in error.context if line.startswith("  |")] == ["  | booting"]
    assert error.context[-1] == "  | booting"


def test_the_logs_of_a_deadline_are_read_side_by_side(monkeypatch):
    monkeypatch.setattr(diagnostics, "LOOK_SECONDS", PATIENCE)
    engine, names = SlowEngine(), ("a", "b", "c")
    together = threading.Barrier(len(names), timeout=PATIENCE)

    def read(container_id, *, tail=None, **options):
        if tail is not None:
            together.wait()
        return FakeEngine.logs(engine, container_id, tail=tail, **options)

    monkeypatch.setattr(engine, "logs", read)
    error = fail(engine, chain(dict.fromkeys(names, ()), ready=(NEVER,)), timeout=0.3)
    assert error.context.count("  | booting") == len(names)


@pytest.mark.usefixtures("impatient")
def test_a_crash_is_told_while_its_log_hangs():
    engine = SlowEngine(logs={"db"}, db=CRASHING)
    error = fail(engine, chain({"api": ("db",), "db": ()}, ready=(NEVER,)))
    assert engine.hung.get(timeout=PATIENCE)
    assert (error.service, error.message) == ("db", "service 'db' exited with code 3")
    assert {"exit code: 3", "what it wrote could not be read", "waiting for it: api"} <= set(error.context)
    assert not any("giving up" in line for line in error.context)


@pytest.mark.usefixtures("impatient")
def test_a_crash_is_told_while_the_look_at_its_container_hangs():
    engine = SlowEngine(hangs_on_end=True, db=CRASHING)
    error = fail(engine, make_topology(make_service("db", ready=(NEVER,))))
    assert engine.hung.get(timeout=PATIENCE)
    assert (error.service, error.message) == ("db", "service 'db' exited with code 3")
    assert error.context[-3:] == ("last output:", "  | no disk", "  | giving up")


@pytest.mark.usefixtures("impatient")
def test_a_crash_is_told_while_every_look_hangs():
    engine = SlowEngine(logs={"db"}, hangs_on_end=True, db=CRASHING)
    error = fail(engine, chain({"api": ("db",), "db": ()}, ready=(NEVER,)))
    assert [engine.hung.get(timeout=PATIENCE) for _ in range(2)] == [True, True]
    assert error.message == "service 'db' exited with code 3"
    assert error.context[-1] == "waiting for it: api"
