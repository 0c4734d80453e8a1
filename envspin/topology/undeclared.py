"""Variables that a topology's text uses and that nothing sets.

They count as empty, as in Compose. Unlike the warning, which is given once a file, this tells who uses them, by what is
left of the text after overlays and `extends`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from envspin.topology.interpolation import InterpolationError, interpolate
from envspin.topology.nodes import Mapping, Scalar
from envspin.topology.reader import OWN_EXTENSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envspin.topology.draft import Draft
    from envspin.topology.nodes import Node
    from envspin.topology.report import Report

_SECTIONS = ("name", "networks", "volumes", "configs", "secrets", OWN_EXTENSION)
_NAMES = dict[str, None]


def note_undeclared(report: Report, root: Mapping, drafts: Iterable[Draft]) -> tuple[str, ...]:
    """Add to each draft the variables that it lacks; return those that the rest of ``root`` lacks."""
    finder = _Finder()
    is_complete = not report.has_said("interpolation-unset")
    for draft in drafts:
        if not is_complete:
            draft.undeclared.update(finder.find(draft.node))
        if draft.stub is not None:
            draft.undeclared.update(draft.stub.undeclared)
    if is_complete:
        return ()
    found: _NAMES = {}
    for section in _SECTIONS:
        node = root.get(section)
        if node is not None:
            found.update(finder.find(node))
    return tuple(found)


class _Finder:
    """Walks trees; what an anchor shares is walked once."""

    def __init__(self) -> None:
        self._known: dict[int, _NAMES] = {}

    def find(self, node: Node) -> _NAMES:
        """Return the variables without a value in ``node``, in the order written."""
        found = self._known.get(id(node))
        if found is None:
            found = self._known[id(node)] = {}
            if isinstance(node, Scalar):
                _find_in_text(node, found)
            elif isinstance(node, Mapping):
                for entry in node.entries.values():
                    found.update(self.find(entry.value))
            else:
                for item in node.items:
                    found.update(self.find(item))
        return found


def _find_in_text(scalar: Scalar, found: _NAMES) -> None:
    if scalar.raw is None or "$" not in scalar.raw:
        return
    # Of a NAME=VALUE that was merged only the second half is left, which may not parse by itself.
    with suppress(InterpolationError):
        interpolate(scalar.raw, scalar.document.variables.get, lambda name: found.update({name: None}))
