"""Objects of somebody else that look nearly like ours: whatever a suite does, every one of them must survive it.

They are as near as strangers' objects can be: keys that differ by a letter, names that only begin or end like an
environment's, our own names without our labels, and containers of an image that was committed from an environment's
container, which inherit every one of our labels.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import docker
from docker import errors

from envspin.engine.base import ContainerSpec, Engine, Kind, NetworkSpec, VolumeSpec
from envspin.errors import ConflictError
from envspin.run import naming
from envspin.run.ownership import Liveness, describe_this_process, judge, read_host
from tests.contract.images import TESTBOX

MARK = "envspin-guarantees.bystander"
"""The label by which an interrupted suite's bystanders are found; its value is the process that made them."""
EACH = 20
"""How many containers, networks and volumes there are."""
SUITES_NEAR = ("g1", "g1b", "g2", "g3", "g6", "g12")
"""The suites around whose environments they stand."""
RUNNING = 3
_POOL = ipaddress.IPv4Network("10.214.0.0/16")
_DEAD_OWNER = f"{read_host()}/00000000-0000-0000-0000-000000000000/1/1/1"
"""A process of this machine before it was started last: whoever judges by labels alone finds it dead."""


@dataclass(frozen=True)
class Bystander:
    """One object and what must stay as it is."""

    kind: Kind
    id: str
    name: str
    state: str


class Bystanders:
    """Makes the objects, tells which of them are lost or changed, and removes them by exact id."""

    def __init__(self, engine: Engine, stem: str) -> None:
        self._engine = engine
        self._stem = stem
        self._mark = {MARK: str(describe_this_process())}
        self._made: list[Bystander] = []
        self._image: str | None = None
        self._client = docker.APIClient(version="auto")

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all of them."""
        return frozenset(each.id for each in self._made)

    def make(self) -> None:
        """Make all of them, after removing those of suites that were killed."""
        self.remove_strays()
        try:
            with ThreadPoolExecutor(4) as pool:
                labels = list_near_misses(self._stem, EACH)
                tasks = [pool.submit(self._make_volume, *each) for each in labels]
                tasks += [pool.submit(self._make_network, *each) for each in labels]
                tasks += [pool.submit(self._make_container, n, *each) for n, each in enumerate(labels[:-2])]
                made = [task.result() for task in tasks]
            identities = made + self._make_inheriting()
            self._made = [self._look(kind, identity) for kind, identity in identities]
        except BaseException:
            self.remove()
            raise

    def find_losses(self) -> list[str]:
        """Say which of them are gone or have changed."""
        losses = []
        for each in self._made:
            try:
                now = self._look(each.kind, each.id)
            except errors.NotFound:
                losses.append(f"bystander lost: {each.kind} {each.name}")
                continue
            if now != each:
                losses.append(f"bystander changed: {each.kind} {each.name}: {each.state} became {now.state}")
        return losses

    @contextmanager
    def watching(self, note: Callable[[str], None]) -> Iterator[None]:
        """Give ``note`` every loss that happens inside, once; what was lost before is not told again."""
        before = set(self.find_losses())
        yield
        for loss in self.find_losses():
            if loss not in before:
                note(loss)

    def remove(self) -> None:
        """Remove all of them, by their exact ids."""
        self._remove_marked(lambda mark: mark == self._mark[MARK])
        if self._image is not None:
            with suppress(errors.APIError):
                self._client.remove_image(self._image)
        self._client.close()

    def remove_strays(self) -> None:
        """Remove the bystanders of suites whose process has died."""
        self._remove_marked(lambda mark: judge(mark, engine_is_local=True) is Liveness.DEAD)
        for image in self._client.images(filters={"label": MARK}):
            mark = image["Labels"][MARK]
            if judge(mark, engine_is_local=True) is Liveness.DEAD:
                with suppress(errors.APIError):  # another suite that starts now may be removing it, too
                    self._client.remove_image(image["Id"])

    def _remove_marked(self, is_meant: Callable[[str], bool]) -> None:
        for resource in self._engine.list_resources({MARK: None}):
            if is_meant(resource.labels[MARK]):
                with suppress(errors.NotFound):
                    if resource.kind == "container":
                        self._client.remove_container(resource.id, v=True, force=True)
                    elif resource.kind == "network":
                        self._client.remove_network(resource.id)
                    else:
                        self._client.remove_volume(resource.id)

    def _make_volume(self, name: str, labels: Mapping[str, str]) -> tuple[Kind, str]:
        return "volume", self._engine.create_volume(VolumeSpec(name, {**labels, **self._mark}))

    def _make_network(self, name: str, labels: Mapping[str, str]) -> tuple[Kind, str]:
        while True:
            third, fourth = random.randrange(256), random.randrange(0, 256, 8)
            subnet = ipaddress.IPv4Network((int(_POOL.network_address) + third * 256 + fourth, 29))
            with suppress(ConflictError):  # the subnet is taken: another one
                spec = NetworkSpec(name, {**labels, **self._mark}, subnet=str(subnet), internal=True)
                return "network", self._engine.create_network(spec)

    def _make_container(self, number: int, name: str, labels: Mapping[str, str]) -> tuple[Kind, str]:
        identity = self._engine.create_container(self._specify(name, labels))
        if number < RUNNING:
            self._engine.start(identity)
        return "container", identity

    def _specify(self, name: str, labels: Mapping[str, str], image: str = TESTBOX) -> ContainerSpec:
        return ContainerSpec(name=name, image=image, labels={**labels, **self._mark}, command=("--line", "here"))

    def _make_inheriting(self) -> list[tuple[Kind, str]]:
        """Make the containers of an image that was committed from an environment's container."""
        source = self._engine.create_container(
            self._specify(f"stranger-{self._stem}-source", full_labels(f"{self._stem}-committed"))
        )
        repository = f"envspin-guarantees-committed-{self._stem}"
        self._image = f"{repository}:1"
        self._client.commit(source, repository=repository, tag="1")
        running = self._engine.create_container(self._specify(f"stranger-{self._stem}-debug", {}, self._image))
        self._engine.start(running)
        return [("container", source), ("container", running)]

    def _look(self, kind: Kind, identity: str) -> Bystander:
        if kind == "container":
            found = self._client.inspect_container(identity)
            state = f"{found['State']['Status']}, started {found['State']['StartedAt']}"
            return Bystander(kind, found["Id"], found["Name"].lstrip("/"), state)
        if kind == "network":
            found = self._client.inspect_network(identity)
            return Bystander(kind, found["Id"], found["Name"], found["Created"])
        found = self._client.inspect_volume(identity)
        return Bystander(kind, found["Name"], found["Name"], f"{found['CreatedAt']} {sorted(found['Labels'].items())}")


def full_labels(env: str) -> dict[str, str]:
    """Return every label of an environment whose owner is dead and whose time is up."""
    return {
        naming.ENV: env,
        naming.TOPOLOGY: "g",
        naming.RUN: "0" * 32,
        naming.OWNER: _DEAD_OWNER,
        naming.EXPIRES: "1",
        naming.VERSION: "0.0.0",
        naming.SERVICE: "db",
        naming.TESTCONTAINERS_SESSION: "0" * 32,
    }


def list_near_misses(stem: str, count: int) -> list[tuple[str, dict[str, str]]]:
    """Return names and labels that are nearly ours; ``stem`` begins the name of every environment that is tested.

    They stand around the first environments of several suites, with names that none of their own objects has.
    """
    near = [_list_near(stem, f"{stem}-{suite}-0") for suite in SUITES_NEAR]
    misses = [near[number % len(near)][number] for number in range(len(near[0]))]
    tested = f"{stem}-{SUITES_NEAR[0]}-0"
    misses += [(f"{tested}-like-{n}", {"envspin.env": f"{tested[:-1]}{n}x"}) for n in range(count - len(misses))]
    return misses


def _list_near(stem: str, tested: str) -> list[tuple[str, dict[str, str]]]:
    full = full_labels(tested)
    renamed = {
        f"{prefix}{key.removeprefix('envspin.')}": value
        for key, value in full.items()
        for prefix in ("Envspin.", "com.envspin.", "envspin-")
    }
    return [
        (f"envspin-{tested}-dbs", {}),
        (f"envspin-{tested}-defaults", {"com.docker.compose.project": tested}),
        (f"envspin-{tested}", {"org.testcontainers": "true", naming.TESTCONTAINERS_SESSION: "0" * 32}),
        (f"{tested}-plain", {"envspin.environment": tested}),
        (f"{tested}-company", {"com.envspin.env": tested}),
        (f"{tested}-capital", {"Envspin.Env": tested, "ENVSPIN.ENV": tested}),
        (f"{tested}-empty", {naming.ENV: ""}),
        (f"{tested}-space", {"envspin.env ": tested, " envspin.env": tested}),
        (f"{tested}-longer-key", {"envspin.env.name": tested, "envspin.envs": tested}),
        (f"{tested}-renamed", renamed),
        (f"{tested}-prefix", {naming.ENV: stem}),
        (f"{tested}-suffix", {naming.ENV: f"{tested}-0"}),
        (f"{tested}-upper", {naming.ENV: tested.upper()}),
        (f"{tested}-padded", {naming.ENV: f" {tested} "}),
        (f"{tested}-owner-only", {naming.OWNER: full[naming.OWNER], naming.EXPIRES: "1"}),
        (f"{tested}-run-only", {naming.RUN: full[naming.RUN], naming.SERVICE: "db"}),
        (f"{tested}-service-only", {naming.SERVICE: "db", naming.LEASE: "1"}),
        (f"stranger-{stem}-copied", full_labels(f"{stem}-copied")),
        (f"envspin-{stem}-other-db", {**full_labels(f"{stem}-another")}),
    ]
