"""Taking note of each call of the in-memory engine, and the faults that a test injected into it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Concatenate, NamedTuple, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from envspin.engine.fake.adapter import FakeEngine

P = ParamSpec("P")
R = TypeVar("R")


class Call(NamedTuple):
    """A verb that was called, and on what: an id, a name or an image reference."""

    verb: str
    subject: str


class Fault(NamedTuple):
    """An error for a call, instead of its effect or (``executed``) after it."""

    error: Exception
    executed: bool


def verb(method: Callable[Concatenate[FakeEngine, P], R]) -> Callable[Concatenate[FakeEngine, P], R]:
    """Note the call, refuse it once the engine is closed, and raise the faults that a test injected."""

    @functools.wraps(method)
    def call(self: FakeEngine, /, *args: P.args, **kwargs: P.kwargs) -> R:
        fault = self.note_call(method.__name__, args[0] if args else "")
        if fault is not None and not fault.executed:
            raise fault.error
        result = method(self, *args, **kwargs)
        if fault is not None:
            raise fault.error
        return result

    return call
