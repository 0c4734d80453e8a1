"""The suites by guarantee: each module registers its own, and asking for them imports all of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .lab import Lab
from .tally import Tally


class Run(Protocol):
    """What a suite does: try ``count`` times from ``seed`` and return what it met."""

    def __call__(self, lab: Lab, *, count: int, seed: int) -> Tally: ...


@dataclass(frozen=True)
class Suite:
    """One guarantee's suite; ``full_count`` is what a full run tries, ``part_count`` what ``make test`` does."""

    id: str
    title: str
    run: Run
    full_count: int
    part_count: int


SUITES: dict[str, Suite] = {}


def suite(id: str, title: str, *, full: int, part: int) -> Callable[[Run], Run]:  # noqa: A002 - the field's name
    """Register the decorated function ``run(lab, *, count, seed)`` as the suite of a guarantee."""

    def register(run: Run) -> Run:
        SUITES[id] = Suite(id, title, run, full, part)
        return run

    return register


def load_suites(only: Collection[str] = ()) -> dict[str, Suite]:
    """Import the modules of these guarantees, all by default, and return what they registered, by number.

    G6 is in ``g6_*.py``, G1b beside G1 in ``g1_*.py``. Raises ValueError for one that there is not.
    """
    files = sorted(Path(__file__).parent.glob("g[0-9]*_*.py"))
    numbers = {_read_number(each) for each in only}
    for file in files:
        if not only or _read_number(file.stem.partition("_")[0]) in numbers:
            importlib.import_module(f"{__package__}.{file.stem}")
    unknown = set(only) - set(SUITES)
    if unknown:
        raise ValueError(f"there is no suite {', '.join(sorted(unknown))}")
    ordered = sorted(SUITES, key=lambda key: (_read_number(key), key))
    return {key: SUITES[key] for key in ordered if not only or key in only}


def _read_number(identity: str) -> int:
    return int("".join(filter(str.isdigit, identity)) or 0)
