"""`build`: a folder, or a mapping."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from envspin.model import Build
from envspin.topology.keys import asks_for_nothing
from envspin.topology.nodes import Mapping, Scalar, Sequence, is_null
from envspin.topology.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from envspin.topology.draft import Draft
    from envspin.topology.nodes import Entry, Node

_REMOTE = re.compile(r"(?:[a-z][a-z0-9+.-]*://|git@|github\.com/)|.*\.git(?:#.*)?$")


def _args(reader: Reader, node: Node, what: str) -> dict[str, str]:
    """Return build arguments; a name without a value takes it from the caller's environment."""
    found = {}
    for name, (value, at) in reader.pairs(node, what).items():
        known = value if value is not None else at.document.variables.get(name)
        if known is not None:
            found[name] = known
    return found


def _hosts(reader: Reader, node: Node, what: str) -> tuple[str, ...]:
    return tuple(f"{name}:{value or ''}" for name, (value, _) in reader.pairs(node, what, "=:").items())


def _context(reader: Reader, node: Node, what: str) -> Path | None:
    text = reader.name(node, what)
    if text is None:
        return None
    if _REMOTE.match(text):
        hint = "check it out beside the topology and name the folder"
        reader.error("unsupported-value", f"`{what}`: a context must be a folder", node, hint)
        return None
    return reader.resolve(text, node)


_FIELDS: dict[str, Callable[[Reader, Node, str], object]] = {
    "context": _context,
    "dockerfile": Reader.option,
    "dockerfile_inline": Reader.text,
    "args": _args,
    "target": Reader.option,
    "labels": Reader.settings,
    "network": Reader.option,
    "extra_hosts": _hosts,
    "platforms": Reader.unique,
    "no_cache": Reader.boolean,
    "pull": Reader.boolean,
    "shm_size": Reader.size,
}
NO_EFFECT_KEYS = ("cache_from", "cache_to", "no_cache_filter", "provenance", "sbom", "tags")
UNSUPPORTED_KEYS = ("additional_contexts", "entitlements", "isolation", "privileged", "secrets", "ssh", "ulimits")


def read_build(reader: Reader, draft: Draft, entry: Entry) -> None:
    """Read `build` into the draft."""
    what = draft.what("build")
    node = entry.value
    fields: dict[str, Any] = {}
    if isinstance(node, Scalar):
        fields["context"] = _context(reader, node, what)
    elif isinstance(node, Sequence):
        reader.wrong_type(node, what, "text or a mapping")
    else:
        fields = _read_fields(reader, draft, node, what)
    if fields.get("context") is None:
        if isinstance(node, Mapping) and is_null(node.get("context")):
            fields["context"] = node.document.directory
        else:
            return
    given = {name: value for name, value in fields.items() if value is not None}
    draft.fields["build"] = Build(**given)


def _read_fields(reader: Reader, draft: Draft, node: Mapping, what: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, (at, value) in reader.keys(node, what, (*_FIELDS, *NO_EFFECT_KEYS, *UNSUPPORTED_KEYS)):
        if key in _FIELDS:
            fields[key] = _FIELDS[key](reader, value, f"{what}.{key}")
        elif key in NO_EFFECT_KEYS:
            reader.warn("replaced-key", f"`build.{key}` of `{draft.name}` has no effect on a test image", at)
        elif not asks_for_nothing(value):
            message = f"`build.{key}` is not supported: images are built with the engine's classic builder"
            reader.error("unsupported-key", message, at)
    if fields.get("dockerfile") and fields.get("dockerfile_inline"):
        message = f"`{what}`: `dockerfile` and `dockerfile_inline` exclude each other"
        reader.error("conflicting-keys", message, node)
    return fields
