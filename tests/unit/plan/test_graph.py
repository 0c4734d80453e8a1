"""The dependency graph, and the walks that do without networkx: both must agree."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envspin.errors import UsageError
from envspin.plan.graph import DependencyGraph
from envspin.plan.traversal import collect_reachable, find_longest_path, sort_by_needs, weigh_remaining

SHOP = {"web": ["api"], "api": ["db", "cache"], "db": [], "cache": []}


def test_layers_hold_what_depends_only_on_earlier_ones():
    assert DependencyGraph(SHOP).layers() == [["cache", "db"], ["api"], ["web"]]


def test_the_longest_path_is_weighed_in_seconds_and_begins_with_the_first_to_start():
    weights = {"web": 1.0, "api": 1.0, "db": 2.0, "cache": 3.0}
    assert find_longest_path(SHOP, weights) == ["cache", "api", "web"]


def test_a_service_alone_can_be_the_longest_path():
    assert find_longest_path({"a": ["b"], "b": [], "c": []}, {"a": 1, "b": 1, "c": 5}) == ["c"]


def test_each_cycle_names_its_members_in_order():
    graph = DependencyGraph({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["d"], "e": []})
    assert sorted(graph.find_cycles()) == [["a", "b", "c"], ["d"]]
    with pytest.raises(UsageError, match=r"a -> b -> c -> a|d -> d"):
        graph.layers()


def test_sorting_a_cycle_names_its_members():
    with pytest.raises(UsageError, match=r"wait for each other: .*a.*b"):
        sort_by_needs({"a": ["b"], "b": ["a"]})


def test_reachable_is_the_start_and_all_below():
    assert collect_reachable(SHOP, ["api"]) == {"api", "db", "cache"}


acyclic = st.integers(1, 15).flatmap(
    lambda size: st.fixed_dictionaries(
        {
            f"s{n}": st.sets(st.sampled_from([f"s{m}" for m in range(n)]), max_size=4) if n else st.just(set())
            for n in range(size)
        }
    )
)


@given(acyclic, st.randoms(use_true_random=False))
def test_sorting_puts_each_name_once_and_after_what_it_needs(needs, rng):
    names = list(needs)
    rng.shuffle(names)
    order = sort_by_needs({name: needs[name] for name in names})
    assert sorted(order) == sorted(needs)
    assert all(order.index(need) < order.index(name) for name in needs for need in needs[name])


def test_nothing_has_no_longest_path():
    assert find_longest_path({}, {}) == []


@given(acyclic, st.data())
def test_the_longest_path_weighs_as_much_as_the_most_urgent_start(needs, data):
    weights = {name: float(data.draw(st.integers(1, 100))) for name in needs}
    path = find_longest_path(needs, weights)
    assert sum(weights[name] for name in path) == max(weigh_remaining(needs, weights).values())
    assert all(before in needs[after] for before, after in pairwise(path))
