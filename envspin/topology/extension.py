"""`x-envspin`: what Compose cannot say, for a service and for the whole topology."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envspin.model import ResetStrategy
from envspin.topology.keys import SERVICE_EXTENSION_KEYS, TOP_LEVEL_EXTENSION_KEYS
from envspin.topology.limits import TEMPLATES
from envspin.topology.nodes import Mapping, Scalar, Sequence, is_null
from envspin.topology.probes import read_command, read_probes
from envspin.topology.reader import OWN_EXTENSION, Reader
from envspin.topology.service import read_service
from envspin.topology.templates import SecretField, ServiceField, TemplateError, parse_template

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from envspin.topology.draft import Draft
    from envspin.topology.nodes import Entry, Node

UNBUILT = ("reset", "snapshot", "matrix")
STUB_INHERITS = ("networks", "network_mode", "ports", "expose")
MATRIX_STRATEGIES = ("full", "pairwise", "each")
MATRIX_OPTIONS = ("axes", "include", "exclude", "strategy")


def read_service_extension(reader: Reader, draft: Draft) -> None:
    """Read a service's `x-envspin` into its draft."""
    node = draft.node.get(OWN_EXTENSION)
    if node is None or is_null(node):
        return
    what = draft.what(OWN_EXTENSION)
    for key, (_, value) in reader.keys(node, what, SERVICE_EXTENSION_KEYS):
        where = f"{what}.{key}"
        if key in UNBUILT:
            warn_of_unbuilt(reader, where, value)
        if key == "ready":
            draft.fields["ready"] = read_probes(reader, draft, value, where)
        elif key == "timeout":
            draft.fields["timeout"] = _read_timeout(reader, value, where)
        elif key in ("job", "snapshot"):
            draft.fields[key] = bool(reader.boolean(value, where))
        elif key == "reset":
            draft.fields["reset"] = _read_reset(reader, value, where)
        else:
            draft.stub = _read_stub(reader, draft, value, where)


def warn_of_unbuilt(reader: Reader, what: str, node: Node) -> None:
    """Say that a key is part of the language and that nothing acts on it yet."""
    but = "only `lock` acts on it yet" if what.endswith("matrix") else "nothing acts on it yet"
    reader.warn("not-yet", f"`{what}` is read and checked, but {but}", node)


def _read_timeout(reader: Reader, node: Node, what: str) -> float | None:
    seconds = reader.duration(node, what)
    if seconds is not None and seconds <= 0:
        reader.error("bad-duration", f"`{what}` must be longer than nothing", node)
        return None
    return seconds


def _read_stub(reader: Reader, draft: Draft, node: Node, what: str) -> Draft | None:
    """Read the stand-in of a service; unless it says otherwise it has the original's networks and ports."""
    mapping = reader.mapping(node, what)
    if mapping is None:
        return None
    extension = mapping.get(OWN_EXTENSION)
    _check_stub(reader, mapping, extension, what)
    if isinstance(extension, Mapping) and "stub" in extension.entries:
        reader.error("bad-value", f"`{what}`: a stub has no stub", extension.entries["stub"].key)
        mapping = mapping.replaced({k: v for k, v in mapping.entries.items() if k != OWN_EXTENSION})
    inherited = {key: draft.node.entries[key] for key in STUB_INHERITS if key in draft.node.entries}
    if "networks" in mapping.entries or "network_mode" in mapping.entries:
        inherited = {key: entry for key, entry in inherited.items() if not key.startswith("network")}
    entries = {**inherited, **_lift_extension(mapping)}
    stub = read_service(reader, draft.name, mapping.replaced(entries), what)
    read_service_extension(reader, stub)
    return stub


def _check_stub(reader: Reader, stub: Mapping, extension: Node | None, what: str) -> None:
    """Report what a stub cannot say, and what it says in two places."""
    extends = stub.entries.get("extends")
    if extends is not None and not is_null(extends.value):
        message = f"`{what}.extends` is not supported: a stub says all about itself"
        reader.error("unsupported-key", message, extends.key)
    within = extension.entries if isinstance(extension, Mapping) else {}
    for key in SERVICE_EXTENSION_KEYS:
        if key in stub.entries and key in within:
            message = f"`{what}` says `{key}` twice: beside its `{OWN_EXTENSION}` and within"
            reader.error("conflicting-keys", message, stub.entries[key].key, "keep one of the two")


def _lift_extension(stub: Mapping) -> dict[str, Entry]:
    """Return a stub's entries with `ready` and the like moved into its `x-envspin`: both places are allowed."""
    own = {key: entry for key, entry in stub.entries.items() if key in SERVICE_EXTENSION_KEYS and key != "stub"}
    rest = {key: entry for key, entry in stub.entries.items() if key not in own}
    extension = rest.get(OWN_EXTENSION)
    if not own or (extension and not isinstance(extension.value, Mapping) and not is_null(extension.value)):
        return rest
    if extension and isinstance(extension.value, Mapping):
        own = {**extension.value.entries, **own}
    first = next(iter(own.values())).key
    key = Scalar(first.document, first.line, first.column, OWN_EXTENSION)
    rest[OWN_EXTENSION] = type(next(iter(own.values())))(key, stub.replaced(own))
    return rest


def _read_reset(reader: Reader, node: Node, what: str) -> ResetStrategy | None:
    if isinstance(node, Scalar) and node.text in _RESETS and node.text != "exec":
        return ResetStrategy(_RESETS[node.text][0])
    mapping = reader.mapping(node, what)
    if mapping is None:
        return None
    if len(mapping.entries) != 1:
        reader.error("bad-value", f"`{what}` must have one key, the kind of reset", mapping)
        return None
    kind, entry = next(iter(mapping.entries.items()))
    if kind not in _RESETS:
        reader.unknown_key(entry.key, what, _RESETS)
        return None
    name, options = _RESETS[kind]
    if kind == "exec":
        command = read_command(reader, entry.value, f"{what}.exec")
        return ResetStrategy(name, {"command": command}) if command else None
    found: dict[str, object] = {}
    for key, (_, value) in reader.keys(entry.value, f"{what}.{kind}", options) if not is_null(entry.value) else ():
        found[key] = options[key](reader, value, f"{what}.{kind}.{key}")
    return ResetStrategy(name, found)


_DATABASE: dict[str, Callable[[Reader, Node, str], object]] = {
    "databases": Reader.unique,
    "user": Reader.name,
    "port": lambda reader, node, what: reader.integer(node, what, 1, 65535),
}
_RESETS: dict[str, tuple[Any, dict[str, Callable[[Reader, Node, str], object]]]] = {
    "postgres": ("postgres", _DATABASE),
    "mysql": ("mysql", _DATABASE),
    "redis": ("redis", {}),
    "amqp": ("amqp", {}),
    "exec": ("exec", {}),
    "restart": ("restart", {}),
    "recreate": ("recreate", {}),
}


@dataclass(slots=True)
class TopologyExtension:
    """The topology's own `x-envspin`."""

    exports: dict[str, str] = field(default_factory=dict)
    timeout: float | None = None
    hermetic: bool = False
    matrix: dict[str, object] = field(default_factory=dict)


def read_topology_extension(
    reader: Reader, root: Mapping, services: Collection[str], secrets: Collection[str]
) -> TopologyExtension:
    """Read the top-level `x-envspin`; templates may name only ``services`` and ``secrets``."""
    found = TopologyExtension()
    node = root.get(OWN_EXTENSION)
    if node is None or is_null(node):
        return found
    for key, (_, value) in reader.keys(node, OWN_EXTENSION, TOP_LEVEL_EXTENSION_KEYS):
        what = f"{OWN_EXTENSION}.{key}"
        if key in UNBUILT:
            warn_of_unbuilt(reader, what, value)
        if key == "exports":
            found.exports = _read_exports(reader, value, what, services, secrets)
        elif key == "timeout":
            found.timeout = _read_timeout(reader, value, what)
        elif key == "hermetic":
            found.hermetic = bool(reader.boolean(value, what))
        else:
            found.matrix = _read_matrix(reader, value, what)
    return found


def _read_exports(
    reader: Reader, node: Node, what: str, services: Collection[str], secrets: Collection[str]
) -> dict[str, str]:
    exports: dict[str, str] = {}
    mapping = reader.mapping(node, what)
    for name, (key, value) in mapping.entries.items() if mapping else ():
        if not _is_variable(name):
            reader.error("bad-name", f"`{key.shown}` cannot be the name of a variable", key)
        scalar = reader.scalar(value, f"{what}.{name}")
        if scalar is not None:
            _check_template(reader, scalar, services, secrets)
            exports[name] = scalar.text
    return exports


def _is_variable(name: str) -> bool:
    return name.isascii() and name.isidentifier()


def _check_template(reader: Reader, scalar: Scalar, services: Collection[str], secrets: Collection[str]) -> None:
    reader.report.charge(TEMPLATES, len(scalar.text), scalar)
    try:
        parts = parse_template(scalar.text)
    except TemplateError as error:
        at = scalar if scalar.raw is not None else scalar.place_at(error.offset)
        message = error.message if scalar.raw is None else "the template does not parse"
        reader.error("bad-template", message, at, error.hint)
        return
    for part in parts:
        if isinstance(part, ServiceField) and part.service not in services:
            at = scalar if scalar.raw is not None else scalar.place_at(part.offset)
            reader.undefined("service", part.service, at, services)
        elif isinstance(part, SecretField) and part.name not in secrets:
            at = scalar if scalar.raw is not None else scalar.place_at(part.offset)
            reader.undefined("secret", part.name, at, secrets)


def _read_matrix(reader: Reader, node: Node, what: str) -> dict[str, object]:
    """Return ``{"axes": {name: [...]}, "include": [...], "exclude": [...], "strategy": ...}``, given parts only.

    Axes stand under `axes` or directly beside the options.
    """
    mapping = reader.mapping(node, what)
    axes: dict[str, list[str]] = {}
    found: dict[str, object] = {"axes": axes}
    for name, (_, value) in mapping.entries.items() if mapping else ():
        where = f"{what}.{name}"
        if name == "axes":
            nested = reader.mapping(value, where)
            for axis, entry in nested.entries.items() if nested else ():
                axes[axis] = _read_axis(reader, entry.value, f"{where}.{axis}")
        elif name in ("include", "exclude"):
            found[name] = _read_combinations(reader, value, where)
        elif name == "strategy":
            strategy = reader.name(value, where)
            if strategy in MATRIX_STRATEGIES:
                found[name] = strategy
            elif strategy is not None:
                hint = "one of " + ", ".join(MATRIX_STRATEGIES)
                reader.error("bad-matrix", f"`{where}` is not a strategy", value, hint)
        else:
            axes[name] = _read_axis(reader, value, where)
    return found


def _read_axis(reader: Reader, node: Node, what: str) -> list[str]:
    items = list(reader.unique(node, what)) if isinstance(node, Sequence) else []
    if not items:
        message = f"`{what}` must be a list of at least one image or value"
        reader.error("bad-matrix", message, node)
    return items


def _read_combinations(reader: Reader, node: Node, what: str) -> list[dict[str, str]]:
    sequence = reader.sequence(node, what)
    found = []
    for item in sequence.items if sequence else ():
        mapping = reader.mapping(item, what)
        if mapping:
            found.append({key: reader.text(entry.value, what) or "" for key, entry in mapping.entries.items()})
    return found
