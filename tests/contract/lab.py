"""What a contract test works with: objects under one random label, and streams that cannot block for ever."""

from __future__ import annotations

import io
import ipaddress
import itertools
import re
import secrets
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from envspin.engine.base import AttachmentSpec, ContainerSpec, Engine, Kind, NetworkSpec, Resource, VolumeSpec

from .images import TESTBOX

PATIENCE = 30.0
"""Seconds after which a wait in a test gives up: far beyond what any engine needs."""


class Bounded:
    """Iterates a stream, and fails when its next item does not come within PATIENCE seconds."""

    def __init__(self, stream: Any, container: str | None = None) -> None:
        self.stream = stream
        self.container = container
        self._iterator = iter(stream)
        self._expired = False

    def _expire(self) -> None:
        self._expired = True
        self.stream.close()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while True:
            alarm = threading.Timer(PATIENCE, self._expire)
            alarm.start()
            try:
                item = next(self._iterator)
            finally:
                alarm.cancel()
                alarm.join()
                assert not self._expired, "the stream said nothing for too long"
            if self.container is None or item.container_id == self.container:
                return item

    def take_until(self, action: str) -> list[Any]:
        """Return the events up to and with the first of this action."""
        taken = []
        for event in self:
            taken.append(event)
            if event.action == action:
                return taken
        raise AssertionError(f"the stream ended before {action}: {taken}")


class Lab:
    """Makes objects that carry one random label, and removes all of them at the end."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.mark = f"contract-{secrets.token_hex(4)}"
        self.labels = {"envspin.contract": self.mark, "envspin.contract.kind": "mine"}
        self._numbers = itertools.count(1)

    def make_name(self) -> str:
        """Return a name that nobody else uses."""
        return f"{self.mark}-{next(self._numbers)}"

    def network(self, **fields: Any) -> str:
        """Create a network; return its name."""
        spec = NetworkSpec(**{"name": self.make_name(), "labels": self.labels, "subnet": self.find_subnet(), **fields})
        self.engine.create_network(spec)
        return spec.name

    def find_subnet(self, prefix: int = 28) -> str:
        """Return a subnet that the engine does not use yet."""
        taken = [ipaddress.IPv4Network(text) for text in self.engine.list_subnets() if "." in text]
        candidates = list(ipaddress.IPv4Network("10.213.0.0/16").subnets(new_prefix=prefix))
        for _ in range(1000):
            subnet = secrets.choice(candidates)
            if not any(subnet.overlaps(other) for other in taken):
                return str(subnet)
        raise AssertionError("no free subnet")

    def volume(self, **fields: Any) -> str:
        """Create a volume; return its name."""
        return self.engine.create_volume(VolumeSpec(**{"name": self.make_name(), "labels": self.labels, **fields}))

    def describe(self, *command: str, networks: tuple[str, ...] = (), **fields: Any) -> ContainerSpec:
        """Specify a container of the testbox with these arguments."""
        spec = ContainerSpec(
            name=self.make_name(),
            image=TESTBOX,
            labels=self.labels,
            command=command,
            stop_grace_period=1.0,
            attachments=tuple(AttachmentSpec(name) for name in networks),
        )
        return replace(spec, **fields)

    def create(self, *command: str, **fields: Any) -> str:
        """Create a container; return its id."""
        return self.engine.create_container(self.describe(*command, **fields))

    def run(self, *command: str, **fields: Any) -> str:
        """Create and start a container."""
        container = self.create(*command, **fields)
        self.engine.start(container)
        return container

    def finish(self, *command: str, **fields: Any) -> str:
        """Run a container to its end, and return it."""
        container = self.create(*command, **fields)
        with self.events(container) as events:
            self.engine.start(container)
            events.take_until("die")
        return container

    @contextmanager
    def events(self, container: str | None = None, labels: dict[str, str] | None = None) -> Iterator[Bounded]:
        """Subscribe to this test's events, or to those of one container."""
        stream = self.engine.watch(self.labels if labels is None else labels)
        try:
            yield Bounded(stream, container)
        finally:
            stream.close()

    def read_lines(self, container: str, **options: Any) -> list[str]:
        """Return the log as a list."""
        return list(Bounded(self.engine.logs(container, **options)))

    def wait_for_line(self, container: str, pattern: str) -> str:
        """Follow the log until a line matches."""
        stream = self.engine.logs(container, follow=True)
        try:
            for line in Bounded(stream):
                if re.search(pattern, line):
                    return str(line)
        finally:
            stream.close()
        raise AssertionError(f"no line matches {pattern}")

    def execute(self, container: str, *command: str, **options: Any) -> str:
        """Run a command that must succeed; return its output without the last line end."""
        result = self.engine.execute(container, command, **options)
        assert result.exit_code == 0, result
        return result.output.rstrip("\n")

    def list_resources(self, kind: Kind | None = None, labels: dict[str, str | None] | None = None) -> list[Resource]:
        """List this test's objects, or those with these labels."""
        found = self.engine.list_resources(dict(self.labels) if labels is None else labels)
        return [item for item in found if kind in {None, item.kind}]

    def find(self, kind: Kind, identity: str) -> Resource:
        """Return the listed resource with this id or name."""
        return next(item for item in self.list_resources(kind) if identity in {item.id, item.name})

    def remove(self, kind: Kind, identity: str) -> None:
        """Remove what has this id or name."""
        self.engine.remove(self.find(kind, identity))

    def clean(self) -> None:
        """Remove everything, containers first."""
        kinds: tuple[Kind, ...] = ("container", "network", "volume")
        for kind in kinds:
            for item in self.list_resources(kind, {"envspin.contract": self.mark}):
                self.engine.remove(item)


def pack(files: dict[str, bytes], mode: int = 0o644, uid: int = 0) -> bytes:
    """Return a tar archive of files by absolute path."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode, member.uid = len(content), mode, uid
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def run_bounded(action: Callable[[], Any], meanwhile: Callable[[], object] = lambda: None) -> Any:
    """Run ``action`` in a thread and ``meanwhile`` here; assert that the thread ends, and return its result."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(action())
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    meanwhile()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "still blocked"
    if errors:
        raise errors[0]
    return results[0]
