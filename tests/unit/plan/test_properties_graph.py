"""The graph and the plan against brute force, on small graphs: every chain is listed, every circle searched."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from envspin.errors import UsageError
from envspin.model import Condition, Dependency
from envspin.plan.graph import DependencyGraph
from envspin.plan.planning import make_plan
from envspin.plan.selection import Selection, select_services
from envspin.plan.traversal import collect_reachable, find_longest_path, sort_by_needs, weigh_remaining

from ..builders import make_service, make_topology

MOST = 7
NAMES = [f"s{number}" for number in range(MOST)]


@st.composite
def graphs(draw, *, circles):
    """Draw what each of a few names needs; without circles only earlier names, which are then shuffled."""
    names = draw(st.permutations(NAMES[: draw(st.integers(1, MOST))]))
    needs = {}
    for at, name in enumerate(names):
        others = names if circles else names[:at]
        needs[name] = draw(st.lists(st.sampled_from(others), unique=True, max_size=3)) if others else []
    return dict(draw(st.permutations(list(needs.items()))))


acyclic = graphs(circles=False)
any_graph = graphs(circles=True)
seconds = st.integers(0, 20).map(float)


def chains(needs, first=None):
    """Yield every chain of needs, as lists from who starts last to who starts first."""
    for name in needs if first is None else [first]:
        yield [name]
        for other in needs[name]:
            for chain in chains(needs, other):
                yield [name, *chain]


def below(needs, name):
    """Return what ``name`` needs, however far, by looking again and again."""
    found = set(needs[name])
    while True:
        more = found | {far for near in found for far in needs[near]}
        if more == found:
            return found
        found = more


def has_circle(needs):
    return any(name in below(needs, name) for name in needs)


def weigh(chain, weights):
    return sum(weights[name] for name in chain)


@given(any_graph)
def test_sorting_respects_every_need_or_names_a_circle(needs):
    if has_circle(needs):
        with pytest.raises(UsageError) as caught:
            sort_by_needs(needs)
        circle = caught.value.message.partition(": ")[2].split(" -> ")
        assert circle[0] == circle[-1]
        assert all(one in needs[other] or other in needs[one] for one, other in pairwise(circle))
    else:
        order = sort_by_needs(needs)
        assert sorted(order) == sorted(needs)
        assert all(order.index(other) < order.index(name) for name in needs for other in needs[name])


@given(any_graph)
def test_circles_are_found_exactly_where_there_are_some(needs):
    circles = DependencyGraph(needs).find_cycles()
    assert bool(circles) == has_circle(needs)
    for circle in circles:
        assert len(set(circle)) == len(circle)
        assert all(other in needs[name] for name, other in pairwise([*circle, circle[0]]))
    knots = {frozenset(other for other in below(needs, name) if name in below(needs, other)) for name in needs}
    assert len(circles) == len(knots - {frozenset()})


@given(any_graph)
def test_each_service_stands_in_the_earliest_layer_that_it_can(needs):
    if has_circle(needs):
        with pytest.raises(UsageError):
            DependencyGraph(needs).layers()
        return
    layers = DependencyGraph(needs).layers()
    number = {name: at for at, layer in enumerate(layers) for name in layer}
    assert number == {name: max(len(chain) for chain in chains(needs, name)) - 1 for name in needs}
    assert [sorted(layer) for layer in layers] == layers


@given(acyclic, st.fixed_dictionaries(dict.fromkeys(NAMES, seconds)))
def test_the_critical_path_is_a_chain_and_none_is_longer(needs, weights):
    path = find_longest_path(needs, weights)
    assert path[::-1] in list(chains(needs))
    assert weigh(path, weights) == max(weigh(chain, weights) for chain in chains(needs))


@given(acyclic, st.fixed_dictionaries(dict.fromkeys(NAMES, seconds)))
def test_urgency_is_the_longest_way_from_there_to_the_end(needs, weights):
    urgency = weigh_remaining(needs, weights)
    for name in needs:
        assert urgency[name] == max(weigh(chain, weights) for chain in chains(needs) if chain[-1] == name)


@given(any_graph, st.data())
def test_reachable_is_what_is_below_and_the_start(needs, data):
    starts = data.draw(st.lists(st.sampled_from(list(needs)), max_size=3))
    assert collect_reachable(needs, starts) == set(starts).union(*(below(needs, name) for name in starts))


@st.composite
def topologies(draw):
    """Draw services that need each other in every way, and the needs."""
    needs = draw(acyclic)
    services = []
    for name, others in needs.items():
        ways = [
            Dependency(
                other, draw(st.sampled_from(Condition)), explicit=draw(st.booleans()), required=draw(st.booleans())
            )
            for other in others
        ]
        services.append(make_service(name, *ways))
    inactive = tuple(name for name in draw(st.sets(st.sampled_from(list(needs)), max_size=2)) if len(needs) > 2)
    return make_topology(*services, inactive=inactive), needs, set(inactive)


@given(topologies(), st.data())
def test_only_the_named_and_what_they_need_take_part(drawn, data):
    topology, needs, inactive = drawn
    only = data.draw(st.lists(st.sampled_from(list(needs)), min_size=1, unique=True))
    present = {name for name in needs if name not in inactive or name in only}
    within = {name: [other for other in needs[name] if other in present] for name in needs}
    expected = set(only).union(*(below(within, name) for name in only))
    selected = select_services(topology, Selection(only=tuple(only)))
    assert set(selected.services) == expected
    assert set(selected.left_out) == set(needs) - expected


@given(topologies())
def test_every_operation_of_a_plan_comes_after_all_that_it_waits_for(drawn):
    topology, needs, inactive = drawn
    assume(set(needs) - inactive)
    plan = make_plan(topology)
    order = {operation.id: at for at, operation in enumerate(plan.operations)}
    assert len(order) == len(plan.operations)
    for operation in plan.operations:
        assert all(order[other] < order[operation.id] for other in (*operation.needs, *operation.wants))
    for name in set(needs) - inactive:
        assert order[f"create:{name}"] < order[f"start:{name}"] < order[f"ready:{name}"]
        for other in set(needs[name]) - inactive:
            assert order[f"start:{other}"] < order[f"start:{name}"]


@given(topologies())
def test_a_dependent_starts_after_the_readiness_it_asked_for(drawn):
    topology, needs, inactive = drawn
    assume(set(needs) - inactive)
    order = {operation.id: at for at, operation in enumerate(make_plan(topology).operations)}
    for name in set(needs) - inactive:
        for dependency in topology.services[name].depends_on:
            if dependency.service not in inactive:
                merely_started = dependency.condition is Condition.STARTED and dependency.explicit
                reached = "start" if merely_started else "ready"
                assert order[f"{reached}:{dependency.service}"] < order[f"start:{name}"]
