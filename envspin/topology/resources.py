"""Limits of a service: `deploy.resources`, the older keys beside it, and `ulimits`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envspin.model import Resources, Ulimit
from envspin.topology.keys import asks_for_nothing
from envspin.topology.nodes import Mapping, Scalar, is_null
from envspin.topology.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from envspin.topology.draft import Draft
    from envspin.topology.nodes import Entry, Node

UNLIMITED = -1
MAX_REPLICAS = 100
"""Containers of one service on one machine: more is a slip of the finger."""

IGNORED_DEPLOY_KEYS = (
    "labels",
    "update_config",
    "rollback_config",
    "restart_policy",
    "placement",
    "endpoint_mode",
)
_DEPLOY_KEYS = ("resources", "replicas", "mode", *IGNORED_DEPLOY_KEYS)


def _pids(reader: Reader, node: Node, what: str) -> int | None:
    count = reader.integer(node, what, UNLIMITED)
    return None if count == UNLIMITED else count


_LIMITS: dict[str, tuple[str, Callable[[Reader, Node, str], float | None]]] = {
    "limits.memory": ("memory", Reader.size),
    "limits.cpus": ("cpus", Reader.number),
    "limits.pids": ("pids", _pids),
    "reservations.memory": ("memory_reservation", Reader.size),
}
_OLD_KEYS: dict[str, tuple[str, Callable[[Reader, Node, str], float | None]]] = {
    "mem_limit": ("memory", Reader.size),
    "mem_reservation": ("memory_reservation", Reader.size),
    "cpus": ("cpus", Reader.number),
    "pids_limit": ("pids", _pids),
}


def read_resources(reader: Reader, draft: Draft) -> None:
    """Read `deploy`, `mem_limit`, `mem_reservation`, `cpus` and `pids_limit`; contradictions are errors."""
    found: dict[str, float] = {}
    for key, (attribute, read) in _OLD_KEYS.items():
        node = draft.node.get(key)
        if node is not None and not is_null(node):
            value = read(reader, node, draft.what(key))
            if value is not None:
                found[attribute] = value
    deploy = draft.node.entries.get("deploy")
    if deploy and not is_null(deploy.value):
        _read_deploy(reader, draft, deploy.value, found)
    if 0 < found.get("memory", 0) < found.get("memory_reservation", 0):
        message = f"`{draft.name}` reserves more memory than it may use"
        reader.error("conflicting-keys", message, _reservation_of(draft), "lower the reservation, or raise the limit")
    if found:
        cpus = found.get("cpus")
        whole = {name: int(value) for name, value in found.items() if name != "cpus"}
        draft.fields["resources"] = Resources(cpus=float(cpus) if cpus else None, **whole)


def _reservation_of(draft: Draft) -> Node:
    """Return where a service reserves memory."""
    nodes = (draft.node.get("mem_reservation"), draft.node.get("deploy"))
    return next((node for node in nodes if node is not None and not is_null(node)), draft.node)


def _read_deploy(reader: Reader, draft: Draft, node: Node, found: dict[str, float]) -> None:
    what = draft.what("deploy")
    for key, entry in reader.keys(node, what, _DEPLOY_KEYS):
        if key == "replicas":
            read_replicas(reader, draft, entry)
        elif key == "mode":
            _check_mode(reader, draft, entry)
        elif key == "resources":
            for kind, limits in reader.keys(entry.value, f"{what}.resources", ("limits", "reservations")):
                _read_limits(reader, limits.value, f"{what}.resources.{kind}", found)
        else:
            reader.warn("replaced-key", f"`deploy.{key}` of `{draft.name}` has no effect in a test", entry.key)


def _read_limits(reader: Reader, node: Node, what: str, found: dict[str, float]) -> None:
    kind = what.rpartition(".")[2]
    for key, entry in reader.keys(node, what, ("cpus", "memory", "pids", "devices", "generic_resources")):
        limit = _LIMITS.get(f"{kind}.{key}")
        if limit is None:
            if key in ("devices", "generic_resources"):
                if asks_for_nothing(entry.value):
                    continue
                reader.error("unsupported-key", f"`{key}` is not supported: containers get no devices", entry.key)
            else:
                reader.warn("replaced-key", f"`{what}.{key}` has no effect: nothing is reserved", entry.key)
            continue
        attribute, read = limit
        value = read(reader, entry.value, f"{what}.{key}")
        if value is None:
            continue
        if found.get(attribute, value) != value:
            message = f"`{what}.{key}` contradicts the older key of the same meaning"
            reader.error("conflicting-keys", message, entry.key, "keep one of the two")
        found[attribute] = value


def _check_mode(reader: Reader, draft: Draft, entry: Entry) -> None:
    mode = reader.name(entry.value, draft.what("deploy.mode"))
    if mode == "global":
        message = f"`deploy.mode: global` of `{draft.name}` means one container: there is one machine"
        reader.warn("replaced-key", message, entry.key)
    elif mode not in ("replicated", None):
        hint = "write `x-envspin: {job: true}` for a service that runs to completion"
        reader.error("unsupported-value", "`deploy.mode` knows `replicated` and `global`", entry.value, hint)


def read_replicas(reader: Reader, draft: Draft, entry: Entry) -> None:
    """Read `scale` or `deploy.replicas`, which must not contradict each other."""
    where = "deploy.replicas" if entry.key.text == "replicas" else "scale"
    count = reader.integer(entry.value, draft.what(where), 0, MAX_REPLICAS)
    if count is None:
        return
    if draft.fields.get("replicas", count) != count:
        message = f"`scale` and `deploy.replicas` of `{draft.name}` contradict each other"
        reader.error("conflicting-keys", message, entry.key, "keep one of the two")
    draft.fields["replicas"] = count


def read_ulimits(reader: Reader, draft: Draft, entry: Entry) -> None:
    """Read `ulimits`: one number, or `soft` and `hard`."""
    what = draft.what("ulimits")
    mapping = reader.mapping(entry.value, what)
    found = []
    for name, (_, value) in mapping.entries.items() if mapping else ():
        ulimit = _read_ulimit(reader, name, value, f"{what}.{name}")
        if ulimit:
            found.append(ulimit)
    draft.fields["ulimits"] = tuple(found)


def _read_ulimit(reader: Reader, name: str, node: Node, what: str) -> Ulimit | None:
    if isinstance(node, Scalar):
        value = reader.integer(node, what, UNLIMITED)
        return None if value is None else Ulimit(name, value, value)
    bounds: dict[str, int | None] = {}
    for key, entry in reader.keys(node, what, ("soft", "hard")):
        bounds[key] = reader.integer(entry.value, f"{what}.{key}", UNLIMITED)
    soft, hard = bounds.get("soft"), bounds.get("hard")
    if soft is None or hard is None:
        if isinstance(node, Mapping) and len(bounds) < 2:  # noqa: PLR2004 - both are needed
            reader.error("missing-key", f"`{what}` needs both `soft` and `hard`", node)
        return None
    if hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
        reader.error("bad-value", f"`{what}`: `soft` must not be more than `hard`", node)
    return Ulimit(name, soft, hard)
