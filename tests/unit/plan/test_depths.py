"""How high each service stands above what it needs, by which teardown is ordered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envspin.engine.base import ImageInfo
from envspin.errors import UsageError
from envspin.plan.planning import make_plan
from envspin.plan.selection import Selection
from envspin.plan.traversal import measure_depths
from envspin.run import naming
from envspin.run.blueprint import make_container_spec
from envspin.run.naming import Identity

from ..builders import chain, completed, make_service, make_topology, optional, started


@st.composite
def graphs(draw) -> dict[str, list[str]]:
    """Draw dependencies without a cycle, their names in a random order."""
    size = draw(st.integers(0, 12))
    needs = {
        f"s{number}": sorted(draw(st.sets(st.sampled_from([f"s{lower}" for lower in range(number)])))) if number else []
        for number in range(size)
    }
    order = draw(st.permutations(list(needs)))
    return {name: needs[name] for name in order}


def test_the_depth_is_the_length_of_the_longest_chain_below():
    needs = {"web": ["api", "db"], "api": ["db"], "db": [], "cache": [], "metrics": ["web", "cache"]}
    assert measure_depths(needs) == {"db": 0, "cache": 0, "api": 1, "web": 2, "metrics": 3}


def test_nothing_has_no_depths():
    assert measure_depths({}) == {}


def test_a_cycle_has_no_depths():
    with pytest.raises(UsageError, match="wait for each other"):
        measure_depths({"a": ["b"], "b": ["a"], "c": []})


@given(graphs())
def test_each_name_stands_one_above_the_highest_that_it_needs(needs):
    depths = measure_depths(needs)
    assert depths.keys() == needs.keys()
    for name, others in needs.items():
        assert depths[name] == (1 + max(depths[other] for other in others) if others else 0)


def test_a_plan_counts_every_kind_of_dependency():
    topology = make_topology(
        make_service("web", started("api"), optional("cache")),
        make_service("api", "db", completed("migrate")),
        make_service("migrate", "db", job=True),
        make_service("db"),
        make_service("cache"),
    )
    assert make_plan(topology).depths == {"db": 0, "cache": 0, "migrate": 1, "api": 2, "web": 3}


def test_a_plan_counts_only_what_it_starts():
    topology = make_topology(
        make_service("web", "api", optional("extra")),
        make_service("api", "db"),
        make_service("db"),
        make_service("extra", "api"),
        inactive=("extra",),
    )
    assert make_plan(topology).depths == {"db": 0, "api": 1, "web": 2}
    assert make_plan(topology, Selection(only=("api",))).depths == {"db": 0, "api": 1}


@pytest.mark.parametrize(("service", "depth"), [("web", "2"), ("api", "1"), ("db", "0")])
def test_a_container_is_labelled_with_its_depth(service, depth):
    plan = make_plan(chain({"web": ("api",), "api": ("db",), "db": ()}))
    image = ImageInfo("sha256:1", f"{service}:1")
    spec = make_container_spec(Identity.new("shop"), plan, plan.services[service], image, own_volumes={})
    assert spec.labels[naming.DEPTH] == spec.labels["envspin.depth"] == depth
