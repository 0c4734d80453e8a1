"""A service while it is being read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from envspin.model import Dependency, Mount
    from envspin.topology.nodes import Mapping, Place


class Reference(NamedTuple):
    """A name that must exist at the top level, and where it was used."""

    kind: str
    name: str
    at: Place


@dataclass(slots=True)
class Draft:
    """A service that is being read: fields of ``model.Service`` so far, and what it refers to."""

    name: str
    node: Mapping
    path: str
    """How messages call the service: ``services.NAME``, or the same with ``.x-envspin.stub``."""
    fields: dict[str, Any] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    depends_on: dict[str, tuple[Dependency, Place]] = field(default_factory=dict)
    links: list[tuple[str, str, Place]] = field(default_factory=list)
    stub: Draft | None = None
    mounts: dict[str, Mount] = field(default_factory=dict)
    """By target: of two mounts on one target the later wins, as in Compose."""
    undeclared: dict[str, None] = field(default_factory=dict)
    """Variables that the service uses or hands on, and that nothing sets."""

    def refer(self, kind: str, name: str, at: Place) -> None:
        """Note that ``name`` must exist."""
        self.references.append(Reference(kind, name, at))

    def what(self, key: str) -> str:
        """Return how messages call a key of this service."""
        return f"{self.path}.{key}"
