"""Where boxes and arrows go: a layered drawing from left to right.

The order of starting runs from left to right, one column a layer. Arrows across several layers get a waypoint in each
column between, so that they pass beside boxes, not through them. Columns are ordered by the barycentre method of
Sugiyama, Tagawa and Toda (1981); heights are the least-squares fit to the neighbours that keeps order and distance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envspin.cli.graphs.view import Edge

SWEEPS = 12

Key = tuple[str, int]
"""A service's name and 0, or an arrow's name and the column of its waypoint."""


@dataclass(slots=True)
class Layout:
    """Columns of keys, and how high the middle of each lies."""

    columns: list[list[Key]]
    paths: dict[Edge, list[Key]]
    """Each arrow's keys from its first box over its waypoints to its last."""
    heights: dict[Key, float] = field(default_factory=dict)


def lay_out(layers: Sequence[Sequence[str]], edges: Sequence[Edge], *, box_gap: float, waypoint_gap: float) -> Layout:
    """Place every service and arrow.

    ``box_gap`` is the least distance between the middles of two boxes, ``waypoint_gap`` that of two waypoints.
    """
    layout = _make_columns(layers, edges)
    neighbours = _find_neighbours(layout)
    layout.columns = _order(layout.columns, neighbours)
    _set_heights(layout, neighbours, box_gap, waypoint_gap)
    return layout


def _make_columns(layers: Sequence[Sequence[str]], edges: Sequence[Edge]) -> Layout:
    columns: list[list[Key]] = [[(name, 0) for name in layer] for layer in layers]
    column_of = {name: number for number, layer in enumerate(layers) for name in layer}
    paths: dict[Edge, list[Key]] = {}
    for edge in edges:
        between: list[Key] = []
        for column in range(column_of[edge.first] + 1, column_of[edge.after]):
            # Arrows from one box share their waypoints: they leave it as one line and part where they must.
            key = (f"from {edge.first}", column)
            if key not in columns[column]:
                columns[column].append(key)
            between.append(key)
        paths[edge] = [(edge.first, 0), *between, (edge.after, 0)]
    return Layout(columns, paths)


def _find_neighbours(layout: Layout) -> dict[Key, tuple[list[Key], list[Key]]]:
    """Return for each key what it is joined to in the column before and in the column after."""
    joined: dict[Key, tuple[dict[Key, None], dict[Key, None]]] = {
        key: ({}, {}) for column in layout.columns for key in column
    }
    for path in layout.paths.values():
        for left, right in pairwise(path):
            joined[left][1][right] = None
            joined[right][0][left] = None
    return {key: (list(before), list(after)) for key, (before, after) in joined.items()}


def _order(columns: list[list[Key]], neighbours: dict[Key, tuple[list[Key], list[Key]]]) -> list[list[Key]]:
    """Return the columns in the order with the fewest crossings that the sweeps came by."""
    best, fewest = columns, _count_crossings(columns, neighbours)
    current = columns
    for sweep in range(SWEEPS):
        side = sweep % 2  # 0: by the column before, from the left; 1: by the column after, from the right
        current = _sweep(current, neighbours, side)
        crossings = _count_crossings(current, neighbours)
        if crossings < fewest:
            best, fewest = current, crossings
    return best


def _sweep(columns: list[list[Key]], neighbours: dict[Key, tuple[list[Key], list[Key]]], side: int) -> list[list[Key]]:
    ordered = [list(column) for column in columns]
    numbers = range(1, len(ordered)) if side == 0 else range(len(ordered) - 2, -1, -1)
    for number in numbers:
        fixed = ordered[number - 1 if side == 0 else number + 1]
        place = {key: float(index) for index, key in enumerate(fixed)}
        own = {key: float(index) for index, key in enumerate(ordered[number])}
        centre = {key: _mean([place[each] for each in neighbours[key][side]], own[key]) for key in own}
        ordered[number].sort(key=lambda key, centre=centre: centre[key])  # type: ignore[misc]
    return ordered


def _count_crossings(columns: list[list[Key]], neighbours: dict[Key, tuple[list[Key], list[Key]]]) -> int:
    crossings = 0
    for left, right in pairwise(columns):
        place = {key: index for index, key in enumerate(right)}
        ends = [place[each] for key in left for each in sorted(neighbours[key][1], key=place.__getitem__)]
        crossings += sum(earlier > later for index, earlier in enumerate(ends) for later in ends[index + 1 :])
    return crossings


def _set_heights(
    layout: Layout,
    neighbours: dict[Key, tuple[list[Key], list[Key]]],
    box_gap: float,
    waypoint_gap: float,
) -> None:
    def half(key: Key) -> float:
        return (box_gap if key[1] == 0 else waypoint_gap) / 2

    offsets: list[list[float]] = []
    for column in layout.columns:
        positions = [0.0]
        for above, below in pairwise(column):
            positions.append(positions[-1] + half(above) + half(below))
        offsets.append(positions)
        middle = positions[-1] / 2
        layout.heights.update({key: position - middle for key, position in zip(column, positions, strict=True)})
    for sweep in range(SWEEPS):
        numbers = range(len(layout.columns))
        for number in numbers if sweep % 2 == 0 else reversed(numbers):
            column = layout.columns[number]
            wished = [_wish(key, layout.heights, neighbours) for key in column]
            layout.heights.update(zip(column, _fit(wished, offsets[number]), strict=True))


def _wish(key: Key, heights: dict[Key, float], neighbours: dict[Key, tuple[list[Key], list[Key]]]) -> float:
    before, after = neighbours[key]
    return _mean([heights[each] for each in (*before, *after)], heights[key])


def _fit(wished: Sequence[float], offsets: Sequence[float]) -> list[float]:
    """Return the heights nearest to the wished ones that keep the offsets' distances: pool adjacent violators."""
    pools: list[tuple[float, int]] = []
    for wish, offset in zip(wished, offsets, strict=True):
        mean, count = wish - offset, 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        pools.append((mean, count))
    means = [mean for mean, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
