"""What has run out is waited for: that is told once, and ends when something is given back, or with time or run."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from envspin.engine.base import NetworkSpec, VolumeSpec
from envspin.engine.fake import FakeEngine, FakeImage, Line, Script
from envspin.errors import EngineError, EnvspinError, EnvspinTimeout, ExhaustedError
from envspin.events import Listener, ResourceAwaited
from envspin.model import LogProbe, Network, NetworkAttachment, Topology
from envspin.run import scarcity, subnets
from envspin.run.environment import Environment
from envspin.run.janitor import remove_environment
from envspin.run.naming import Identity
from envspin.run.scarcity import NetworkMaker, Queue, choose_patience
from envspin.run.subnets import WantedNetwork
from envspin.run.watcher.journal import NoJournal

from ..builders import chain, make_service, make_topology

READY = LogProbe("ready")
FULL = "no free subnet for network"


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine without routes, whose pool has room for two networks, and where waiting goes fast."""
    monkeypatch.setattr(subnets, "ROUTES", tmp_path / "no-route")
    monkeypatch.setattr(subnets, "FORWARDING", tmp_path / "no-trie")
    monkeypatch.setattr("envspin.run.machine_lock.SHARED_FOLDER", tmp_path)
    monkeypatch.setattr(scarcity, "PACE", 0.01)
    monkeypatch.setenv("ENVSPIN_SUBNETS", "10.99.0.0/27")


def make_engine() -> FakeEngine:
    return FakeEngine(default_image=FakeImage(Script(lines=(Line("ready"),))))


def occupy(engine: FakeEngine, *names: str) -> None:
    for name in names:
        labels = Identity.new("shop", name=name).labels()
        spec = NetworkSpec(f"envspin-{name}-default", labels)
        subnets.create_network(engine, WantedNetwork(spec, members=2))


class Awaiter(Listener):
    """Notes what is awaited, and does something then."""

    def __init__(self, react=lambda: None) -> None:
        self.awaited: list[str] = []
        self._react = react

    def handle(self, event) -> None:
        if isinstance(event, ResourceAwaited):
            self.awaited.append(event.what)
            self._react()


def test_a_subnet_is_waited_for_until_another_environment_has_ended():
    engine = make_engine()
    occupy(engine, "one", "two")
    awaiter = Awaiter(lambda: remove_environment(engine, "one"))
    with Environment.up(chain({"db": ()}, ready=(READY,)), engine=engine, listener=awaiter, timeout=20) as environment:
        assert environment["db"].state == "ready"
    (what,) = awaiter.awaited
    assert what.startswith(FULL)
    assert what.endswith("2 networks of 2 environments: one (1), two (1)")


@pytest.mark.parametrize("is_local", [True, False])
def test_what_this_machine_routes_matters_to_its_own_engine_alone(is_local, monkeypatch):
    monkeypatch.setattr(subnets, "read_forwarding", lambda: ["10.99.0.0/16"])
    engine = FakeEngine(default_image=FakeImage(Script(lines=(Line("ready"),))), is_local=is_local)
    with ExitStack() as stack:
        if is_local:
            stack.enter_context(pytest.raises(EngineError, match=r"all of it is part of 10\.99\.0\.0/16"))
        Environment.up(chain({"db": ()}, ready=(READY,)), engine=engine).close()


def test_without_waiting_the_failure_names_who_holds_what():
    engine, awaiter = make_engine(), Awaiter()
    occupy(engine, "one", "two")
    with pytest.raises(ExhaustedError, match=FULL) as caught:
        Environment.up(chain({"db": ()}, ready=(READY,)), engine=engine, listener=awaiter, no_wait=True)
    assert "2 networks of 2 environments: one (1), two (1)" in caught.value.context
    assert "not waited for, as --no-wait says" in caught.value.context
    for word in ("`envspin ls`", "`envspin down ENV`", "ENVSPIN_SUBNETS"):
        assert word in caught.value.hint
    assert caught.value.exit_code == 4
    assert awaiter.awaited == []


NAMES = ("front", "middle", "back")


def make_layered() -> Topology:
    service = make_service("db", ready=(READY,), networks=tuple(map(NetworkAttachment, NAMES)))
    return make_topology(service, networks={name: Network(name) for name in NAMES})


def test_nobody_gets_a_subnet_that_another_environment_needs_to_go_on(monkeypatch):
    monkeypatch.setenv("ENVSPIN_SUBNETS", "10.99.0.0/26")  # four: one and a third of what an environment needs
    engine, makers = make_engine(), {"one": NetworkMaker(), "two": NetworkMaker()}

    def make(env: str, name: str) -> None:
        wanted = {each: WantedNetwork(NetworkSpec(f"envspin-{env}-{each}", {}), 2) for each in NAMES}
        makers[env].make(name, wanted, Queue(engine, 0.0, threading.Event(), print), NoJournal().creating)

    make("one", "front")
    make("two", "front")
    make("one", "middle")
    for name in ("middle", "back"):
        with pytest.raises(ExhaustedError):
            make("two", name)
    make("one", "back")


def test_environments_with_several_networks_do_not_wait_for_each_other_for_ever(monkeypatch):
    monkeypatch.setenv("ENVSPIN_SUBNETS", "10.99.0.0/26")
    engine, states, failures = make_engine(), [], []

    def live() -> None:
        try:
            with Environment.up(make_layered(), engine=engine, timeout=30) as environment:
                states.append(environment["db"].state)
        except EnvspinError as error:
            failures.append(error)

    threads = [threading.Thread(target=live) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert states == ["ready"] * 6


def test_the_environments_own_timeout_ends_the_waiting():
    engine = make_engine()
    occupy(engine, "one", "two")
    with pytest.raises(EnvspinTimeout) as caught:
        Environment.up(chain({"db": ()}, ready=(READY,)), engine=engine, timeout=0.5)
    what, service = caught.value.context
    assert what.startswith(f"still waiting: {FULL}")
    assert what.endswith("2 networks of 2 environments: one (1), two (1)")
    assert service == "db: waiting"
    for word in ("`envspin ls`", "`envspin down ENV`", "ENVSPIN_SUBNETS", "--timeout"):
        assert word in caught.value.hint
    assert caught.value.exit_code == 124


def test_a_timeout_does_not_tell_of_what_is_waited_for_no_more():
    engine = FakeEngine(default_image=FakeImage(Script()))
    engine.inject("start", ExhaustedError("no port is left"), times=2)
    with pytest.raises(EnvspinTimeout) as caught:
        Environment.up(chain({"db": ()}, ready=(READY,)), engine=engine, timeout=0.5)
    assert not any("no port is left" in line for line in caught.value.context)
    assert "envspin ls" not in caught.value.hint


def test_a_start_without_a_free_port_is_tried_again():
    engine, awaiter = make_engine(), Awaiter()
    engine.inject("start", ExhaustedError("no port is left"), times=3)
    with Environment.up(chain({"db": ()}, ready=(READY,)), engine=engine, listener=awaiter) as environment:
        assert environment["db"].state == "ready"
    assert len([call for call in engine.calls if call.verb == "create_container"]) == 1
    (what,) = awaiter.awaited
    assert what.startswith("no port is left; 1 container of 1 environment: ")


def test_a_start_without_a_free_port_that_must_not_wait_is_no_failure_of_the_service():
    engine = make_engine()
    engine.inject("start", ExhaustedError("no port is left", hint="end some"))
    with pytest.raises(ExhaustedError, match="no port is left") as caught:
        Environment.up(chain({"db": ()}, ready=(READY,)), engine=engine, no_wait=True)
    assert caught.value.context[-1] == "service: db (start)"
    assert caught.value.hint.endswith("or end some")


class Attempts:
    """Fails a number of times before it succeeds, and does something at each failure."""

    def __init__(self, failures: float, react=lambda: None, error: EngineError | None = None) -> None:
        self.failures, self.react, self.count = failures, react, 0
        self.error = error or ExhaustedError("all gone")

    def __call__(self) -> str:
        self.count += 1
        if self.count <= self.failures:
            self.react()
            raise self.error
        return "value"


def make_queue(*, seconds: float = 30.0, engine: FakeEngine | None = None) -> tuple[Queue, list[str]]:
    told: list[str] = []
    return Queue(engine or FakeEngine(), seconds, threading.Event(), told.append), told


class TestQueue:
    def test_the_value_comes_back_and_the_waiting_was_told_once(self):
        queue, told = make_queue()
        assert queue.obtain(Attempts(4), "network") == "value"
        assert told == ["all gone; no environment of envspin has a network"]
        assert queue.waits.look() == []

    def test_what_several_threads_wait_for_is_said_once_while_they_do(self):
        queue, _ = make_queue()
        everybody, seen = threading.Barrier(2), []

        def wait_for_it() -> None:
            attempts = Attempts(2)
            attempts.react = lambda: look() if attempts.count == 2 else None
            queue.obtain(attempts, "network")

        def look() -> None:
            everybody.wait(30)
            seen.append([what for what, _ in queue.waits.look()])
            everybody.wait(30)

        threads = [threading.Thread(target=wait_for_it) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [["all gone; no environment of envspin has a network"]] * 2
        assert queue.waits.look() == []

    def test_what_works_at_once_is_not_told(self):
        queue, told = make_queue()
        assert queue.obtain(Attempts(0), "network") == "value"
        assert told == []

    def test_the_end_of_the_time_says_how_long_was_waited(self):
        queue, _ = make_queue(seconds=0.05)
        attempts = Attempts(float("inf"))
        with pytest.raises(ExhaustedError, match="all gone") as caught:
            queue.obtain(attempts, "container")
        assert attempts.count > 1
        assert caught.value.context[0].startswith("waited for one for 0.")

    def test_without_time_there_is_one_attempt(self):
        queue, told = make_queue(seconds=0)
        attempts = Attempts(float("inf"))
        with pytest.raises(ExhaustedError):
            queue.obtain(attempts, "container")
        assert (attempts.count, told) == (1, [])

    def test_a_cancellation_wakes_it_at_once(self, monkeypatch):
        monkeypatch.setattr(scarcity, "PACE", 600.0)
        queue, _ = make_queue(seconds=1200.0)
        cancel = threading.Timer(0.02, queue.cancelled.set)
        attempts = Attempts(float("inf"), cancel.start)
        attempts.react = lambda: cancel.start() if attempts.count == 1 else None
        with pytest.raises(ExhaustedError) as caught:
            queue.obtain(attempts, "network")
        assert caught.value is attempts.error
        assert attempts.count == 2

    def test_other_failures_go_through(self):
        queue, told = make_queue()
        with pytest.raises(EngineError, match="broken"):
            queue.obtain(Attempts(1, error=EngineError("broken")), "network")
        assert told == []

    def test_many_holders_are_counted_and_the_largest_named(self):
        engine = FakeEngine()
        for number in range(7):
            identity = Identity.new("shop", name=f"env{number}")
            for part in range(number + 1):
                engine.create_volume(VolumeSpec(identity.object_name(f"v{part}"), identity.labels()))
        queue, told = make_queue(engine=engine)
        queue.obtain(Attempts(1), "volume")
        expected = "28 volumes of 7 environments: env6 (7), env5 (6), env4 (5), env3 (4), env2 (3) and 2 more"
        assert told == [f"all gone; {expected}"]

    def test_an_engine_that_does_not_say_who_holds_what_is_no_new_failure(self):
        engine = FakeEngine()
        engine.inject("list_resources", EngineError("busy"))
        queue, told = make_queue(engine=engine)
        assert queue.obtain(Attempts(1), "network") == "value"
        assert told == ["all gone; no environment of envspin has a network"]


@pytest.mark.parametrize(
    ("timeout", "no_wait", "seconds"),
    [(None, False, 300.0), (900.0, False, float("inf")), (None, True, 0.0), (9.0, True, 0.0)],
)
def test_how_long_is_waited(timeout, no_wait, seconds):
    assert choose_patience(timeout, no_wait=no_wait) == seconds
