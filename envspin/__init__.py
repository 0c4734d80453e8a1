"""Ephemeral test environments from Compose files.

>>> from envspin import Environment
>>> with Environment.up("topologies/shop") as env:  # doctest: +SKIP
...     env.exports["DATABASE_URL"]

The names below load on first use, so that ``import envspin`` (and ``envspin --help``) stay cheap.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as typing has it, without the milliseconds of importing typing

if TYPE_CHECKING:
    from envspin.engine.fake import FakeEngine
    from envspin.errors import (
        ConflictError,
        EngineError,
        EngineUnreachableError,
        EnvspinError,
        EnvspinTimeout,
        ExhaustedError,
        ImageError,
        Interrupted,
        LockError,
        NotReadyError,
        ObjectNotFoundError,
        TopologyError,
        UnansweredError,
        UsageError,
    )
    from envspin.events import Listener
    from envspin.model import Topology
    from envspin.run.environment import Environment
    from envspin.run.service import ServiceHandle

__version__ = "0.1.0"

_HOMES = {
    "Environment": "envspin.run.environment",
    "FakeEngine": "envspin.engine.fake",
    "Listener": "envspin.events",
    "ServiceHandle": "envspin.run.service",
    "Topology": "envspin.model",
}

__all__ = [
    "ConflictError",
    "EngineError",
    "EngineUnreachableError",
    "Environment",
    "EnvspinError",
    "EnvspinTimeout",
    "ExhaustedError",
    "FakeEngine",
    "ImageError",
    "Interrupted",
    "Listener",
    "LockError",
    "NotReadyError",
    "ObjectNotFoundError",
    "ServiceHandle",
    "Topology",
    "TopologyError",
    "UnansweredError",
    "UsageError",
    "__version__",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOMES.get(name, "envspin.errors")), name)
