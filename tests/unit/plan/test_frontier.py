"""The frontier: order, limits, urgency, and what a failure takes with it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envspin.plan.frontier import Frontier
from envspin.plan.planning import Operation, make_plan

from ..builders import chain, make_service, make_topology, optional


def ids(operations: list[Operation]) -> list[str]:
    return [operation.id for operation in operations]


def make_operation(name: str, *needs: str, wants: tuple[str, ...] = ()) -> Operation:
    return Operation("start", name, tuple(f"start:{need}" for need in needs), tuple(f"start:{each}" for each in wants))


def test_only_what_waits_for_nothing_may_begin():
    frontier = Frontier([make_operation("a"), make_operation("b", "a"), make_operation("c")])
    assert sorted(ids(frontier.take())) == ["start:a", "start:c"]
    assert frontier.take() == []
    frontier.complete("start:a")
    assert ids(frontier.take()) == ["start:b"]


def test_there_are_no_level_barriers():
    frontier = Frontier([make_operation("fast"), make_operation("slow"), make_operation("next", "fast")])
    frontier.take()
    frontier.complete("start:fast")
    assert ids(frontier.take()) == ["start:next"]
    assert not frontier.is_finished


def test_a_limit_holds_back_and_the_longest_remaining_path_goes_first():
    operations = [make_operation("short"), make_operation("long"), make_operation("after", "long")]
    weights = {"start:short": 2.0, "start:long": 1.0, "start:after": 5.0}
    frontier = Frontier(operations, weights=weights, limits={"start": 1})
    assert ids(frontier.take()) == ["start:long"]
    frontier.complete("start:long")
    assert ids(frontier.take()) == ["start:after"]
    frontier.complete("start:after")
    assert ids(frontier.take()) == ["start:short"]


def test_what_has_time_waits_while_a_more_urgent_one_is_under_way():
    operations = [
        make_operation("idle"),
        make_operation("urgent"),
        make_operation("close"),
        make_operation("after", "urgent"),
    ]
    weights = {"start:idle": 1.0, "start:urgent": 1.0, "start:close": 3.5, "start:after": 3.0}
    frontier = Frontier(operations, weights=weights, limits={"start": 9})
    assert ids(frontier.take()) == ["start:urgent", "start:close"]
    frontier.complete("start:close")
    assert frontier.take() == []
    frontier.complete("start:urgent")
    assert ids(frontier.take()) == ["start:after", "start:idle"]


def test_without_a_limit_nothing_is_held_back():
    operations = [make_operation("idle"), make_operation("urgent")]
    frontier = Frontier(operations, weights={"start:idle": 1.0, "start:urgent": 9.0})
    assert ids(frontier.take()) == ["start:urgent", "start:idle"]


def test_a_failure_skips_all_that_needs_it_and_blames_the_root():
    operations = [make_operation("a"), make_operation("b", "a"), make_operation("c", "b"), make_operation("d")]
    frontier = Frontier(operations)
    frontier.take()
    skipped = frontier.fail("start:a")
    assert [(each.operation.id, each.root.id) for each in skipped] == [("start:b", "start:a"), ("start:c", "start:a")]
    assert not frontier.is_finished
    frontier.complete("start:d")
    assert frontier.is_finished


def test_who_only_wanted_a_failed_one_goes_on_without_it():
    frontier = Frontier([make_operation("a"), make_operation("b", wants=("a",))])
    frontier.take()
    assert frontier.fail("start:a") == []
    assert ids(frontier.take()) == ["start:b"]


def test_who_wanted_a_skipped_one_goes_on_too():
    plan = make_plan(make_topology(make_service("a", optional("b")), make_service("b")))
    frontier = Frontier(plan.operations)
    while "start:b" not in ids(taken := frontier.take()):
        for operation in taken:
            frontier.complete(operation.id)
    assert ids([each.operation for each in frontier.fail("start:b")]) == ["ready:b"]
    assert "start:a" in ids(frontier.take())


def test_an_operation_that_was_not_taken_cannot_end():
    frontier = Frontier([make_operation("a")])
    with pytest.raises(KeyError):
        frontier.complete("start:a")


graphs = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        *(st.sets(st.integers(0, number - 1), max_size=4) if number else st.just(set()) for number in range(size))
    )
)


@given(graphs, st.integers(1, 4), st.randoms(use_true_random=False))
def test_any_graph_runs_to_its_end_in_order_within_the_limits(graph, limit, chance: random.Random):
    topology = chain({f"s{number}": tuple(f"s{need}" for need in sorted(needs)) for number, needs in enumerate(graph)})
    plan = make_plan(topology)
    frontier = Frontier(plan.operations, limits={"start": limit})
    done: set[str] = set()
    running: list[Operation] = []
    while not frontier.is_finished:
        taken = frontier.take()
        for operation in taken:
            assert done.issuperset(operation.needs)
        running += taken
        assert sum(operation.kind == "start" for operation in running) <= limit
        ended = running.pop(chance.randrange(len(running)))
        frontier.complete(ended.id)
        done.add(ended.id)
    assert done == {operation.id for operation in plan.operations}


@given(graphs, st.randoms(use_true_random=False))
def test_after_a_failure_exactly_what_does_not_need_it_gets_done(graph, chance: random.Random):
    names = {f"s{number}": tuple(f"s{need}" for need in sorted(needs)) for number, needs in enumerate(graph)}
    operations = [make_operation(name, *needs) for name, needs in names.items()]
    broken = f"start:{chance.choice(sorted(names))}"
    spoiled = {broken}
    for operation in operations:  # written in an order in which needs come first
        if spoiled & set(operation.needs):
            spoiled.add(operation.id)
    frontier = Frontier(operations)
    done, skipped = set(), set()
    while not frontier.is_finished:
        for operation in frontier.take():
            if operation.id == broken:
                skipped |= {each.operation.id for each in frontier.fail(broken)}
            else:
                frontier.complete(operation.id)
                done.add(operation.id)
    assert skipped == spoiled - {broken}
    assert done == {operation.id for operation in operations} - spoiled
