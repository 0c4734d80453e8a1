"""The world of the in-memory engine: its clock, containers, networks and volumes, and what happens to them.

One condition guards all of it. Nothing happens on a thread of its own: whoever calls or waits first performs what has
fallen due (:meth:`World.settle`), in the order of its times, so that a run depends on no scheduler.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Literal, NamedTuple

from envspin.engine.base import ContainerEvent, Resource, held_by_strangers
from envspin.engine.fake.ports import PortServer, PublishedPort
from envspin.engine.fake.script import Script
from envspin.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from envspin.engine.base import ContainerSpec
    from envspin.engine.fake.ports import PortState
    from envspin.engine.fake.script import Behaviour, FakeImage


class Action(NamedTuple):
    """Something that falls due in a container; ``order`` keeps equal times in the order of their making."""

    due: float
    order: int
    perform: Callable[[float], None]


@dataclass(slots=True, eq=False)
class FakeNetwork:
    """A network and the addresses given out on it."""

    id: str
    name: str
    labels: Mapping[str, str]
    subnet: IPv4Network
    internal: bool = False
    is_removed: bool = False
    endpoints: dict[str, IPv4Address] = field(default_factory=dict)
    """Container id -> address."""

    @property
    def gateway(self) -> IPv4Address:
        """The bridge's own address."""
        return self.subnet.network_address + 1

    def connect(self, container_id: str) -> IPv4Address | None:
        """Give out the lowest free address; None when all are taken."""
        taken = {self.gateway, *self.endpoints.values()}
        free = next((address for address in self.subnet.hosts() if address not in taken), None)
        if free is not None:
            self.endpoints[container_id] = free
        return free


@dataclass(slots=True, eq=False)
class FakeVolume:
    """A volume and its files, by path inside the volume."""

    name: str
    labels: Mapping[str, str]
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class FakeContainer:
    """A container: what was asked for, and what has become of it."""

    id: str
    spec: ContainerSpec
    image: FakeImage
    image_id: str
    behaviour: Behaviour
    script: Script = field(default_factory=Script)
    status: Literal["created", "running", "paused", "exited"] = "created"
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    starts: int = 0
    started_at: float = 0.0
    paused_at: float = 0.0
    networks: list[FakeNetwork] = field(default_factory=list)
    volumes: dict[str, FakeVolume] = field(default_factory=dict)
    """By mount target."""
    anonymous: list[FakeVolume] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    tmpfs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    lines: list[tuple[float, str]] = field(default_factory=list)
    """(Unix time, text) of everything printed."""
    agenda: list[Action] = field(default_factory=list)
    ports: dict[str, PublishedPort] = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        """Whether the main process lives."""
        return self.status in {"running", "paused"}

    def choose_script(self, start: int) -> Script:
        """Return the script of the container's nth start."""
        return self.behaviour if isinstance(self.behaviour, Script) else self.behaviour(self.spec, start)


class Subscription:
    """Events for one watcher: those of containers that carry all ``labels``."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = dict(labels)
        self.queue: deque[ContainerEvent] = deque()
        self.closed = False


class World:
    """Everything that the in-memory engine holds. Methods other than ``advance`` want ``changed`` held."""

    def __init__(self, *, speed: float, now: float | None) -> None:
        self.changed = threading.Condition()
        self.containers: dict[str, FakeContainer] = {}
        self.networks: dict[str, FakeNetwork] = {}
        self.volumes: dict[str, FakeVolume] = {}
        self.subscriptions: list[Subscription] = []
        self.closed = False
        self._ports = PortServer()
        self._speed = speed
        self._origin = time.time() if now is None else now
        self._began = time.monotonic()
        self._orders = itertools.count()
        self._ids = itertools.count(1)

    def now(self) -> float:
        """Return the engine's time, as a Unix time."""
        return self._origin + (time.monotonic() - self._began) * self._speed

    def advance(self, seconds: float) -> None:
        """Move the clock on and perform what has fallen due."""
        with self.changed:
            self._origin += seconds
            self.settle()
            self.changed.notify_all()

    def make_id(self) -> str:
        """Return a new object id: 64 hexadecimal digits whose first 12 tell objects apart."""
        return f"{next(self._ids):012x}".ljust(64, "0")

    def settle(self) -> None:
        """Perform every action that has fallen due, in the order of their times."""
        now = self.now()
        while (owner := self._find_next()) is not None and owner.agenda[0].due <= now:
            action = heapq.heappop(owner.agenda)
            action.perform(action.due)

    def wait_change(self, until: float | None = None) -> None:
        """Wait for any change, for the next action to fall due, or until the engine's time ``until``."""
        owner = self._find_next()
        moments = [] if until is None else [until]
        if owner is not None:
            moments.append(owner.agenda[0].due)
        if moments and self._speed > 0:
            self.changed.wait(max(0.0, min(moments) - self.now()) / self._speed)
        else:
            self.changed.wait()
        self.settle()

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` of the engine's time pass, with the condition released meanwhile."""
        until = self.now() + seconds
        while self.now() < until and not self.closed:
            self.wait_change(until)

    def _find_next(self) -> FakeContainer | None:
        waiting = (item for item in self.containers.values() if item.agenda and item.status == "running")
        return min(waiting, key=lambda item: item.agenda[0][:2], default=None)

    def schedule(self, container: FakeContainer, due: float, perform: Callable[[float], None]) -> None:
        """Plan something for a running container; it lapses when the container ends, and waits while it is paused."""
        heapq.heappush(container.agenda, Action(due, next(self._orders), perform))

    def emit(
        self,
        container: FakeContainer,
        action: Literal["start", "kill", "die", "oom", "destroy", "pause", "unpause"],
        exit_code: int | None = None,
    ) -> None:
        """Tell every watcher whose labels the container carries."""
        event = ContainerEvent(action, container.id, dict(container.spec.labels), exit_code)
        for subscription in self.subscriptions:
            if subscription.labels.items() <= event.labels.items():
                subscription.queue.append(event)
        self.changed.notify_all()

    def begin(self, container: FakeContainer) -> None:
        """Run a container from the start of its script."""
        now = self.now()
        container.status, container.started_at = "running", now
        container.exit_code, container.oom_killed, container.error = None, False, ""
        self._publish(container)
        self.emit(container, "start")
        for line in container.script.lines:
            self.schedule(container, now + line.at, _printing(self, container, line.text))
        if (end := container.script.exits) is not None:
            self.schedule(container, now + end.after, lambda _: self.finish(container, end.code, oom=end.oom))
        self.settle()

    def _publish(self, container: FakeContainer) -> None:
        # An internal network has no way in, so a real engine publishes nothing there.
        if not any(not network.internal for network in container.networks):
            return
        for port in container.spec.published:
            listener = container.script.listens.get(port.container)
            opens_at = container.started_at + (listener.after if listener else 0.0)
            get_state = self._watch_port(container, opens_at)
            container.ports[str(port)] = self._ports.publish(listener, get_state)

    def _watch_port(self, container: FakeContainer, opens_at: float) -> Callable[[], PortState]:
        # Called by the port server's thread without the condition: it may only read single attributes.
        def get_state() -> PortState:
            if container.status == "paused":
                return "frozen"
            return "open" if self.now() >= opens_at else "closed"

        return get_state

    def print_line(self, container: FakeContainer, text: str, at: float) -> None:
        """Add a line to a container's output."""
        container.lines.append((at, text))
        self.changed.notify_all()

    def finish(self, container: FakeContainer, code: int, *, oom: bool = False) -> None:
        """End a container's main process."""
        container.status, container.exit_code, container.oom_killed = "exited", code, oom
        container.agenda.clear()
        for files in container.tmpfs.values():
            files.clear()
        for port in container.ports.values():
            self._ports.withdraw(port)
        container.ports.clear()
        for network in container.networks:
            network.endpoints.pop(container.id, None)
        if oom:
            self.emit(container, "oom")
        self.emit(container, "die", code)

    def freeze(self, container: FakeContainer) -> None:
        """Stop a container's clock."""
        container.status, container.paused_at = "paused", self.now()
        self.emit(container, "pause")

    def thaw(self, container: FakeContainer) -> None:
        """Let a container's clock go on; what it had planned comes later by the length of the pause."""
        lost = self.now() - container.paused_at
        container.agenda = [Action(item.due + lost, item.order, item.perform) for item in container.agenda]
        container.status = "running"
        self.emit(container, "unpause")

    def destroy(self, container: FakeContainer) -> None:
        """Remove a container with its anonymous volumes, ending it first if it runs."""
        if container.is_running:
            self.emit(container, "kill")
            self.finish(container, 137)
        del self.containers[container.id]
        for volume in container.anonymous:
            self.volumes.pop(volume.name, None)
        self.emit(container, "destroy")

    def remove_network(self, network_id: str) -> None:
        """Remove a network, disconnecting who is on it; stopped containers that want it fail to start."""
        network = self.networks.pop(network_id, None)
        if network is None:
            return
        network.is_removed = True
        for container_id in network.endpoints:
            self.containers[container_id].networks.remove(network)
        network.endpoints.clear()

    def remove_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Remove a volume; raise ConflictError while any container, running or not, has it.

        A volume has no id of its own: one of this name with other labels is somebody else's, and stays.
        """
        volume = self.volumes.get(name)
        if volume is None or volume.labels != labels:
            return
        users = [item.spec for item in self.containers.values() if volume in item.volumes.values()]
        strangers = [each.name for each in users if not each.labels.items() & labels.items()]
        if strangers:
            raise held_by_strangers(Resource("volume", name, name, labels), strangers)
        if users:
            raise ConflictError(f"volume {name} is in use by {', '.join(each.name for each in users)}")
        del self.volumes[name]

    def shut(self) -> None:
        """End every stream and give every port back."""
        self.closed = True
        for container in self.containers.values():
            for port in container.ports.values():
                self._ports.withdraw(port)
            container.ports.clear()
        self.changed.notify_all()

    def find_overlap(self, subnet: IPv4Network) -> FakeNetwork | None:
        """Return a network whose subnet shares an address with ``subnet``."""
        return next((item for item in self.networks.values() if item.subnet.overlaps(subnet)), None)

    def choose_subnet(self) -> IPv4Network | None:
        """Return the first free subnet of those that an engine gives out by default; None when all are taken."""
        return next((subnet for subnet in _default_subnets() if self.find_overlap(subnet) is None), None)


def _printing(world: World, container: FakeContainer, text: str) -> Callable[[float], None]:
    return lambda at: world.print_line(container, text, at)


def _default_subnets() -> Iterator[IPv4Network]:
    for second in range(17, 32):
        yield IPv4Network(f"172.{second}.0.0/16")
    yield from IPv4Network("192.168.0.0/16").subnets(new_prefix=20)
