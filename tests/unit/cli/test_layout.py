"""The layered drawing: nothing overlaps, arrows lead on, crossings are avoided where that is easy."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from envspin.cli.graphs.layout import lay_out
from envspin.cli.graphs.view import Edge
from envspin.plan.graph import DependencyGraph

BOX, WAYPOINT = 80.0, 30.0


def make_layout(needs: dict[str, list[str]]):
    layers = DependencyGraph(needs).layers()
    edges = [Edge(first, after, "ready", required=True) for after, firsts in needs.items() for first in firsts]
    return lay_out(layers, edges, box_gap=BOX, waypoint_gap=WAYPOINT)


@st.composite
def graphs(draw) -> dict[str, list[str]]:
    count = draw(st.integers(1, 25))
    return {
        f"s{number}": [f"s{each}" for each in draw(st.sets(st.integers(0, number - 1), max_size=3))] if number else []
        for number in range(count)
    }


@settings(deadline=None)
@given(graphs())
def test_nothing_overlaps_and_every_arrow_goes_one_column_at_a_time(needs):
    layout = make_layout(needs)
    column_of = {key: number for number, column in enumerate(layout.columns) for key in column}
    for column in layout.columns:
        for above, below in pairwise(column):
            least = sum((BOX if key[1] == 0 else WAYPOINT) / 2 for key in (above, below))
            assert layout.heights[below] - layout.heights[above] >= least - 1e-6
    for edge, path in layout.paths.items():
        assert (path[0], path[-1]) == ((edge.first, 0), (edge.after, 0))
        assert all(column_of[right] == column_of[left] + 1 for left, right in pairwise(path))


def test_a_chain_is_straight():
    layout = make_layout({"a": [], "b": ["a"], "c": ["b"]})
    assert len(set(layout.heights.values())) == 1


def test_pairs_are_sorted_so_that_no_arrows_cross():
    layout = make_layout({"a": [], "b": [], "c": [], "x": ["c"], "y": ["b"], "z": ["a"]})
    first, second = ([key[0] for key in column] for column in layout.columns)
    assert [{"a": "z", "b": "y", "c": "x"}[name] for name in first] == second


def test_an_arrow_over_several_layers_passes_beside_the_boxes():
    layout = make_layout({"a": [], "b": ["a"], "c": ["a", "b"]})
    (long,) = [path for edge, path in layout.paths.items() if (edge.first, edge.after) == ("a", "c")]
    assert abs(layout.heights[long[1]] - layout.heights["b", 0]) >= (BOX + WAYPOINT) / 2 - 1e-6
