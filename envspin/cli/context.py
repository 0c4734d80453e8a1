"""What commands share: the way to the engine, and the topology that a call names.

Tests put an engine of their own in place of :func:`connect_engine`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envspin.engine.base import Engine
    from envspin.model import Topology
    from envspin.plan.planning import Plan
    from envspin.plan.selection import Selection


def connect_engine() -> Engine:
    """Connect to the engine of this machine; raise EngineUnreachableError where none answers."""
    from envspin.run.opening import connect  # noqa: PLC0415 - not needed for a help

    return connect()


@contextmanager
def open_engine() -> Iterator[Engine]:
    """Connect to the engine and give its connections back at the end."""
    engine = connect_engine()
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def open_engine_if_any() -> Iterator[Engine | None]:
    """Connect to the engine, for what can do without; None where none answers."""
    from envspin.errors import EngineUnreachableError  # noqa: PLC0415 - not needed for a help

    try:
        engine = connect_engine()
    except EngineUnreachableError:
        yield None
        return
    try:
        yield engine
    finally:
        engine.close()


@dataclass(frozen=True, slots=True)
class TopologyRequest:
    """Which topology a call means, and what it changes about it."""

    paths: tuple[Path, ...] = (Path(),)
    profiles: tuple[str, ...] = ()
    env_files: tuple[Path, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    stub: tuple[str, ...] = ()
    allow_unsafe: bool = False

    def load(self) -> Topology:
        """Read the topology; raise TopologyError with every problem of its files."""
        from envspin.run.opening import load  # noqa: PLC0415 - not needed for a help

        return load(self.paths, profiles=self.profiles, env_files=self.env_files, allow_unsafe=self.allow_unsafe)

    def plan(self, *, locked: bool = False) -> Plan:
        """Read the topology and its lock, and plan it; raise TopologyError, UsageError or LockError.

        With ``locked`` the lock must hold everything that is to run.
        """
        from envspin.run.locks import make_locked_plan  # noqa: PLC0415 - not needed for a help

        return make_locked_plan(self.load(), self.selection(), locked=locked)

    def selection(self) -> Selection:
        """Return the part that this request selects."""
        from envspin.plan.selection import Selection  # noqa: PLC0415 - not needed for a help

        return Selection(only=self.only, stub=self.stub, pins=self.pins)
