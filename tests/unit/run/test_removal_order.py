"""Teardown goes from the top: no container loses what it depends on while it runs."""

from __future__ import annotations

import random

import pytest

from envspin import Environment
from envspin.engine.fake import Exit, FakeEngine, FakeImage, Line, Script
from envspin.model import LogProbe, Mount, Volume
from envspin.run import naming
from envspin.run.janitor import remove_resources

from ..builders import chain, completed, make_service, make_topology, started

READY = (LogProbe("ready"),)
NEEDS = {
    "web": {"api", "cache"},
    "api": {"db", "migrate"},
    "migrate": {"db"},
    "metrics": {"web"},
    "db": set(),
    "cache": set(),
}


class WatchedRemoval(FakeEngine):
    """An engine that notes which services still ran when something was removed."""

    def __init__(self) -> None:
        job = Script(exits=Exit(0, after=0.01))
        super().__init__(default_image=FakeImage(Script(lines=(Line("ready"),))), scripts={"migrate": job})
        self.removals: list[tuple[str, set[str]]] = []

    def remove(self, resource) -> None:
        containers = self.list_resources({naming.SERVICE: None})
        services = {each.labels[naming.SERVICE] for each in containers if each.status == "running"}
        self.removals.append((resource.labels.get(naming.SERVICE, resource.kind), services))
        super().remove(resource)


def make_shop():
    return make_topology(
        make_service("web", "api", started("cache"), ready=READY),
        make_service("api", "db", completed("migrate"), ready=READY, mounts=(Mount("volume", "/data", "data"),)),
        make_service("migrate", "db", job=True),
        make_service("metrics", "web", ready=READY),
        make_service("db", ready=READY),
        make_service("cache", ready=READY),
        volumes={"data": Volume("data")},
    )


def check(removals: list[tuple[str, set[str]]]) -> None:
    for service, left in removals:
        dependents = {name for name, needs in NEEDS.items() if service in needs}
        assert not dependents & left, f"{service} went before {dependents & left}"
    order = [name for name, _ in removals]
    assert set(order[: len(NEEDS)]) == set(NEEDS)
    assert sorted(order[len(NEEDS) :]) == ["network", "volume"]


def test_containers_go_before_what_they_depend_on_and_all_of_them_before_networks_and_volumes():
    engine = WatchedRemoval()
    with Environment.up(make_shop(), engine=engine):
        pass
    check(engine.removals)


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_the_listing_does_not_matter(seed):
    engine = WatchedRemoval()
    environment = Environment.up(make_shop(), engine=engine)
    listed = engine.list_resources({naming.ENV: environment.name})
    random.Random(seed).shuffle(listed)
    assert remove_resources(engine, listed) == {"container": 6, "network": 1, "volume": 1}
    check(engine.removals)
    environment.close()


def test_a_lease_goes_first():
    engine = WatchedRemoval()
    environment = Environment.up(make_shop(), engine=engine)
    environment.detach()
    environment.close()
    (kind, left), *others = engine.removals
    assert (kind, left) == ("volume", NEEDS.keys() - {"migrate"})
    check(others)


def test_containers_of_one_height_go_side_by_side():
    engine = WatchedRemoval()
    needs = {"hub": (), **{f"spoke{number}": ("hub",) for number in range(4)}}
    with Environment.up(chain(needs, ready=READY), engine=engine):
        pass
    order = [name for name, _ in engine.removals]
    assert set(order[:4]) == {f"spoke{number}" for number in range(4)}
    assert order[4:] == ["hub", "network"]


def test_each_container_says_how_high_it_stands():
    engine = WatchedRemoval()
    with Environment.up(make_shop(), engine=engine) as environment:
        listed = engine.list_resources({naming.ENV: environment.name})
        heights = {
            each.labels[naming.SERVICE]: each.labels[naming.DEPTH] for each in listed if each.kind == "container"
        }
    assert heights == {"db": "0", "cache": "0", "migrate": "1", "api": "2", "web": "3", "metrics": "4"}
