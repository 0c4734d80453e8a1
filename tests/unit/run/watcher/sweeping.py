"""What removals are tried on: an in-memory engine, a clock that only their own waiting moves, books of open runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from envspin.engine.base import ContainerSpec, NetworkSpec, VolumeSpec
from envspin.engine.fake import FakeEngine, FakeImage
from envspin.errors import EngineUnreachableError
from envspin.run import naming
from envspin.run.naming import Identity
from envspin.run.watcher.removal import Log, Removal
from envspin.run.watcher.waiting import Book

ADDRESS = "unix:///engine.sock"
OWNER = "host/boot/space/77/123"
AWAY = EngineUnreachableError("no engine answers")


class LastingEngine(FakeEngine):
    """An engine that connections come and go of."""

    def __init__(self) -> None:
        super().__init__(default_image=FakeImage())
        self.connections = 0

    def connect(self) -> LastingEngine:
        self.connections += 1
        return self

    def close(self) -> None:
        self.connections -= 1

    def make(self, identity: Identity, name: str) -> str:
        return self.create_volume(VolumeSpec(identity.object_name(name), identity.labels()))

    def make_all(self, identity: Identity) -> list[str]:
        """Make one object of each kind, the container using the others."""
        network = identity.object_name("default")
        self.create_network(NetworkSpec(network, identity.labels()))
        volume = self.make(identity, "data")
        container = identity.object_name("db")
        self.create_container(ContainerSpec(container, "db:1", identity.labels(service="db")))
        return [container, network, volume]

    def lease(self, identity: Identity) -> str:
        labels = identity.labels(lease="1")
        return self.create_volume(VolumeSpec(identity.object_name("lease", "1"), labels))

    def names(self) -> set[str]:
        return {each.name for each in self.list_resources({naming.ENV: None})}


class Time:
    """A clock that sleeping moves, and what happens when."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.began = self.now
        self._events: list[tuple[float, Callable[[], object]]] = []

    def at(self, seconds: float, happen: Callable[[], object]) -> None:
        self._events.append((self.began + seconds, happen))

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0, "it would be busy"
        self.now += seconds
        due = [event for event in self._events if event[0] <= self.now]
        self._events = [event for event in self._events if event[0] > self.now]
        for _, happen in sorted(due, key=lambda event: event[0]):
            happen()

    @property
    def passed(self) -> float:
        return self.now - self.began


def make_identity(env: str, *, owner: str = OWNER) -> Identity:
    return replace(Identity.new("shop", name=env), owner=owner)


def make_book(*identities: Identity, pending: tuple[str, ...] = (), began: float = 0.0) -> Book:
    """Note runs as open; ``pending`` are creates of the first, under way since ``began``."""
    book = Book()
    for identity in identities:
        book.note(f"open\t{identity.run_id}\t{identity.env}\t{ADDRESS}")
    for name in pending:
        book.note(f"creating\t{identities[0].run_id}\t{identities[0].object_name(name)}\t\t{began}")
    return book


def remove(book: Book, engine: LastingEngine, log: Log, time: Time) -> bool:
    return Removal(book, engine.connect, log).run(clock=time.clock, sleep=time.sleep)


def read_log(log: Log) -> list[str]:
    """Return the log's lines without their times."""
    if not log.path.exists():
        return []
    return [line.partition(" ")[2] for line in log.path.read_text().splitlines()]
