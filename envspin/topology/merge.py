"""Compose's rules for laying one file (or one service) over another.

Mappings merge key by key, lists are appended, texts are replaced, and null changes nothing. Beyond that: lists of
``NAME=VALUE`` merge by name, volumes, secrets and configs by their target, ports and plain lists without doubles,
commands are replaced as a whole. ``!override`` replaces anything, ``!reset`` removes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envspin.topology.limits import MERGED
from envspin.topology.nodes import (
    OVERRIDE_TAG,
    RESET_TAG,
    Entry,
    Mapping,
    Node,
    Scalar,
    Sequence,
    describe_kind,
    is_null,
)
from envspin.topology.reader import OWN_EXTENSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from envspin.topology.report import Report

    Merge = Callable[["Merger", Node, Node, tuple[str, ...]], Node]

_PAIRS = ("environment", "labels", "annotations", "sysctls")
_WITHOUT_DOUBLES = (
    "cap_add",
    "cap_drop",
    "dns",
    "dns_opt",
    "dns_search",
    "group_add",
    "profiles",
    "security_opt",
    "tmpfs",
)
_REPLACED_IN_EXTENSION = (("ready",), ("stub",), ("reset",))


class Merger:
    """Merges trees; shapes that do not fit together are reported."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def merge_files(self, base: Mapping, overlay: Mapping) -> Mapping:
        """Return ``base`` with ``overlay`` laid over it."""
        return self.merge_mappings(base, overlay, ())

    def merge_services(self, base: Mapping, overlay: Mapping) -> Mapping:
        """Return the service ``base`` as extended by ``overlay``."""
        return self.merge_mappings(base, overlay, ("services", ""))

    def merge(self, base: Node, overlay: Node, path: tuple[str, ...]) -> Node:
        """Return ``base`` with ``overlay`` laid over it, at ``path`` of a file."""
        if overlay.tag in (RESET_TAG, OVERRIDE_TAG) or is_null(base) or base.tag == RESET_TAG:
            return overlay
        special = find_rule(path)
        if is_null(overlay):
            return overlay if special is _replace else base
        self.report.charge(MERGED, _width(base) + _width(overlay), overlay)
        if special is not None:
            return special(self, base, overlay, path)
        if isinstance(base, Mapping) and isinstance(overlay, Mapping):
            return self.merge_mappings(base, overlay, path)
        if isinstance(base, Sequence) and isinstance(overlay, Sequence):
            return Sequence(overlay.document, overlay.line, overlay.column, [*base.items, *overlay.items])
        if type(base) is not type(overlay):
            where = ".".join(path)
            message = (
                f"`{where}` is {describe_kind(overlay)}, but {describe_kind(base)} in the file below ({base.mark})"
            )
            self.report.error("wrong-type", message, overlay)
        return overlay

    def merge_mappings(self, base: Mapping, overlay: Mapping, path: tuple[str, ...]) -> Mapping:
        """Merge key by key."""
        self.report.charge(MERGED, len(base.entries), overlay)
        entries = dict(base.entries)
        for key, entry in overlay.entries.items():
            below = entries.get(key)
            entries[key] = (
                entry if below is None else Entry(entry.key, self.merge(below.value, entry.value, (*path, key)))
            )
        return overlay.replaced(entries)


def _width(node: Node) -> int:
    if isinstance(node, Mapping):
        return len(node.entries)
    return len(node.items) if isinstance(node, Sequence) else 1


def find_rule(path: tuple[str, ...]) -> Merge | None:
    """Return the rule for ``path`` if it is not the general one."""
    key = path[-1]
    if path[0] == "services" and len(path) > 2:  # noqa: PLR2004 - services, name, key
        rule = _SERVICE_RULES.get(".".join(path[2:]))
        if rule is not None:
            return rule
        if path[2] == OWN_EXTENSION and path[3:] in _REPLACED_IN_EXTENSION:
            return _replace
        if path[2:-1] == ("ulimits",):
            return _merge_ulimit
        return _merge_pairs if key == "labels" else _append_once if key == "aliases" else None
    if path[0] == OWN_EXTENSION:
        return _replace_lists
    return _merge_pairs if key in ("labels", "driver_opts") else None


def _replace(_merger: Merger, _base: Node, overlay: Node, _path: tuple[str, ...]) -> Node:
    return overlay


def _replace_lists(merger: Merger, base: Node, overlay: Node, path: tuple[str, ...]) -> Node:
    if isinstance(base, Mapping) and isinstance(overlay, Mapping):
        return merger.merge_mappings(base, overlay, path)
    return overlay


def _merge_pairs(_merger: Merger, base: Node, overlay: Node, _path: tuple[str, ...]) -> Node:
    low, high = _named(base, "="), _named(overlay, "=")
    if low is None or high is None:
        return overlay
    return Mapping(overlay.document, overlay.line, overlay.column, low | high)


def _named(node: Node, separator: str) -> dict[str, Entry] | None:
    """Return a mapping's entries, or those that a list of ``NAME=VALUE`` stands for; None for other shapes."""
    if isinstance(node, Mapping):
        return node.entries
    if not isinstance(node, Sequence):
        return None
    found: dict[str, Entry] = {}
    for item in node.items:
        if not isinstance(item, Scalar) or item.is_null:
            return None
        name, given, value = item.text.partition(separator)
        raw = None if item.raw is None else item.raw.partition(separator)[2]
        key = Scalar(item.document, item.line, item.column, name)
        found[name] = Entry(key, Scalar(item.document, item.line, item.column, value, not given, raw=raw))
    return found


def _merge_dependencies(merger: Merger, base: Node, overlay: Node, path: tuple[str, ...]) -> Node:
    """Merge ``depends_on``: a name alone says a condition too, the usual one."""
    merged, high = _merge_names(merger, base, overlay, path), _as_names(overlay)
    if high is None or not isinstance(merged, Mapping):
        return merged
    alone = {name: entry for name, entry in high.entries.items() if is_null(entry.value)}
    return merged.replaced(merged.entries | alone)


def _merge_names(merger: Merger, base: Node, overlay: Node, path: tuple[str, ...]) -> Node:
    """Merge ``networks``: a list of names is a mapping without settings."""
    low, high = _as_names(base), _as_names(overlay)
    return merger.merge_mappings(low, high, (*path, "")) if low and high else overlay


def _as_names(node: Node) -> Mapping | None:
    if isinstance(node, Mapping):
        return node
    if not isinstance(node, Sequence):
        return None
    entries: dict[str, Entry] = {}
    for item in node.items:
        if not isinstance(item, Scalar) or item.is_null:
            return None
        entries[item.text] = Entry(item, Scalar(item.document, item.line, item.column, ""))
    return Mapping(node.document, node.line, node.column, entries)


def _merge_build(merger: Merger, base: Node, overlay: Node, path: tuple[str, ...]) -> Node:
    low, high = _as_build(base), _as_build(overlay)
    return merger.merge_mappings(low, high, path) if low and high else overlay


def _as_build(node: Node) -> Mapping | None:
    if not isinstance(node, Scalar):
        return node if isinstance(node, Mapping) else None
    key = Scalar(node.document, node.line, node.column, "context")
    return Mapping(node.document, node.line, node.column, {"context": Entry(key, node)})


def _append_once(_merger: Merger, base: Node, overlay: Node, _path: tuple[str, ...]) -> Node:
    return _append_by(base, overlay, content)


def _append_by(base: Node, overlay: Node, identify: Callable[[Node], object]) -> Node:
    """Append lists (a text alone is a list of one); of two items with one identity the later wins."""
    found: dict[object, Node] = {}
    for node in (base, overlay):
        if isinstance(node, Mapping):
            return overlay
        for item in node.items if isinstance(node, Sequence) else [node]:
            found[identify(item)] = item
    return Sequence(overlay.document, overlay.line, overlay.column, list(found.values()))


def _merge_hosts(_merger: Merger, base: Node, overlay: Node, _path: tuple[str, ...]) -> Node:
    return _append_by(_as_hosts(base), _as_hosts(overlay), content)


def _as_hosts(node: Node) -> Node:
    """Return ``extra_hosts`` as a list of ``NAME=ADDRESS``; shapes that a reader will report stay."""
    if not isinstance(node, Mapping):
        return node
    hosts: list[Node] = []
    for key, value in node.entries.values():
        for address in value.items if isinstance(value, Sequence) else [value]:
            if not isinstance(address, Scalar):
                return node
            raw = None if address.raw is None else f"{key.text}={address.raw}"
            text = f"{key.text}={address.text}"
            hosts.append(Scalar(address.document, address.line, address.column, text, address.plain, raw=raw))
    return Sequence(node.document, node.line, node.column, hosts)


def _append_lists(
    _merger: Merger,
    base: Node,
    overlay: Node,
    _path: tuple[str, ...],
    identify: Callable[[Node], object] | None = None,
) -> Node:
    """Append where only lists are right; what is not a list is left for its reader to report."""
    wrong = next((node for node in (overlay, base) if not isinstance(node, Sequence)), None)
    return _append_by(base, overlay, identify or content) if wrong is None else wrong


def _merge_targets(merger: Merger, base: Node, overlay: Node, path: tuple[str, ...]) -> Node:
    return _append_lists(merger, base, overlay, path, _mount_target)


def _merge_grants(merger: Merger, base: Node, overlay: Node, path: tuple[str, ...]) -> Node:
    return _append_lists(merger, base, overlay, path, _grant_target)


def _merge_env_files(_merger: Merger, base: Node, overlay: Node, _path: tuple[str, ...]) -> Node:
    return _append_by(base, overlay, _file_path)


def _file_path(node: Node) -> object:
    path = node.get("path") if isinstance(node, Mapping) else node
    return path.text if isinstance(path, Scalar) else content(node)


def _mount_target(node: Node) -> object:
    if isinstance(node, Mapping):
        target = node.get("target")
        return target.text.rstrip("/") if isinstance(target, Scalar) else content(node)
    if isinstance(node, Scalar):
        parts = node.text.split(":")
        return (parts[1] if len(parts) > 1 else parts[0]).rstrip("/")
    return content(node)


def _grant_target(node: Node) -> object:
    if isinstance(node, Mapping):
        target = node.get("target")
        named = node.get("source") if target is None or is_null(target) else target
        return named.text if isinstance(named, Scalar) else content(node)
    return content(node)


def content(node: Node) -> object:
    """Return what ``node`` says, without places, to be compared."""
    if isinstance(node, Scalar):
        return None if node.is_null else node.text
    if isinstance(node, Sequence):
        return tuple(content(item) for item in node.items)
    return tuple(sorted((key, content(entry.value)) for key, entry in node.entries.items()))


def _merge_ulimit(merger: Merger, base: Node, overlay: Node, path: tuple[str, ...]) -> Node:
    if isinstance(base, Mapping) and isinstance(overlay, Mapping):
        return merger.merge_mappings(base, overlay, path)
    return overlay


_SERVICE_RULES: dict[str, Merge] = {
    **dict.fromkeys(_WITHOUT_DOUBLES, _append_once),
    **dict.fromkeys(_PAIRS, _merge_pairs),
    "build": _merge_build,
    "build.args": _merge_pairs,
    "build.extra_hosts": _merge_hosts,
    "build.labels": _merge_pairs,
    "command": _replace,
    "configs": _merge_grants,
    "depends_on": _merge_dependencies,
    "entrypoint": _replace,
    "env_file": _merge_env_files,
    "expose": _append_lists,
    "extra_hosts": _merge_hosts,
    "healthcheck.test": _replace,
    "links": _append_lists,
    "networks": _merge_names,
    "ports": _append_lists,
    "secrets": _merge_grants,
    "volumes": _merge_targets,
}


def count_values(root: Node) -> int:
    """Return how many nodes somebody meets who walks the whole tree; shared ones count each time."""
    known: dict[int, int] = {}

    def count(node: Node) -> int:
        if isinstance(node, Scalar):
            return 1
        size = known.get(id(node))
        if size is None:
            values = node.items if isinstance(node, Sequence) else [entry.value for entry in node.entries.values()]
            size = known[id(node)] = 1 + sum(map(count, values)) + (len(values) if isinstance(node, Mapping) else 0)
        return size

    return count(root)


def strip_tags(node: Node) -> Node:
    """Return ``node`` without what is tagged ``!reset``."""
    return _strip(node, {})


def _strip(node: Node, seen: dict[int, Node]) -> Node:
    known = seen.get(id(node))
    if known is not None:
        return known
    stripped = node
    if isinstance(node, Mapping):
        kept = {key: entry for key, entry in node.entries.items() if entry.value.tag != RESET_TAG}
        stripped = node.replaced({key: Entry(entry.key, _strip(entry.value, seen)) for key, entry in kept.items()})
    elif isinstance(node, Sequence):
        items = [_strip(item, seen) for item in node.items if item.tag != RESET_TAG]
        stripped = Sequence(node.document, node.line, node.column, items)
    seen[id(node)] = stripped
    return stripped
