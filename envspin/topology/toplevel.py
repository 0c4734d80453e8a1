"""Top-level networks, volumes, configs and secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from envspin.model import FileSource, Network, Volume
from envspin.topology.keys import asks_for_nothing
from envspin.topology.nodes import Mapping, Scalar, is_null, shown
from envspin.topology.reader import OWN_EXTENSION, Reader
from envspin.topology.volume_options import read_volume_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envspin.topology.nodes import Entry, Node

DEFAULT_NETWORK = "default"
MAX_GENERATED = 4096

_NETWORK_KEYS = ("internal", "labels", "driver_opts", "external", "name", "driver")
NETWORK_NO_EFFECT = {
    "attachable": "every network of an environment can be attached to",
    "ipam": "envspin chooses a free subnet for each environment",
    "enable_ipv4": "envspin chooses the addresses",
    "enable_ipv6": "envspin chooses the addresses",
}
_LOCAL = ("local", "", None)
_VOLUME_KEYS = ("labels", "driver", "driver_opts", "external", "name")
_SOURCE_KEYS = ("file", "content", "environment", "external", "name", "labels", "driver", "driver_opts")
UNSUPPORTED_SOURCE_KEYS = ("driver", "driver_opts", "template_driver")


def _entries(reader: Reader, root: Mapping, section: str) -> Iterator[tuple[str, Entry, str]]:
    node = root.get(section)
    if node is None or is_null(node):
        return
    mapping = reader.mapping(node, section)
    for name, entry in mapping.entries.items() if mapping else ():
        if check_name(reader, name, entry.key):
            yield name, entry, f"{section}.{name}"


def check_name(reader: Reader, name: str, key: Scalar) -> bool:
    """Tell whether ``name`` can name a service, network, volume, config or secret; report it if not."""
    if name and all(char.isascii() and (char.isalnum() or char in "._-") for char in name):
        return True
    hint = "names hold letters, digits, `.`, `_` and `-`"
    reader.error("bad-name", f"`{key.shown}` is not a name", key, hint)
    return False


def read_networks(reader: Reader, root: Mapping) -> dict[str, Network]:
    """Read `networks`."""
    found = {}
    for name, entry, what in _entries(reader, root, "networks"):
        found[name] = Network(name, **_read_network(reader, entry.value, what))
    return found


def _read_network(reader: Reader, node: Node, what: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if is_null(node):
        return fields
    for key, (at, value) in reader.keys(node, what, (*_NETWORK_KEYS, *NETWORK_NO_EFFECT)):
        where = f"{what}.{key}"
        if key == "internal":
            fields[key] = bool(reader.boolean(value, where))
        elif key in ("labels", "driver_opts"):
            fields[key] = reader.settings(value, where)
        elif key == "external":
            fields.update(_read_external(reader, node, at, value, what))
        elif key == "driver":
            driver = reader.option(value, where)
            if driver not in ("bridge", "default", None):
                reader.error("unsupported-value", f"`{where}` must be bridge", value, "networks are local bridges")
        elif key in NETWORK_NO_EFFECT:
            reader.warn("replaced-key", f"`{where}` has no effect: {NETWORK_NO_EFFECT[key]}", at)
    _warn_of_name(reader, node, fields, what)
    return fields


def _warn_of_name(reader: Reader, node: Node, fields: dict[str, Any], what: str) -> None:
    named = node.entries.get("name") if isinstance(node, Mapping) else None
    if named and not is_null(named.value) and not fields.get("external"):
        reader.name(named.value, f"{what}.name")
        message = f"`{what}.name` is replaced: objects are named after their environment, so that many can run at once"
        reader.warn("replaced-name", message, named.key)


def _read_external(reader: Reader, parent: Node, key: Scalar, node: Node, what: str) -> dict[str, Any]:
    """Read `external: true` with `name`, or the older `external: {name: ...}`."""
    name: str | None = None
    external: bool | None = True
    if isinstance(node, Mapping):
        for _, (_, value) in reader.keys(node, f"{what}.external", ("name",)):
            name = reader.name(value, f"{what}.external.name")
    else:
        external = reader.boolean(node, f"{what}.external")
    named = parent.get("name") if isinstance(parent, Mapping) else None
    if name is None and named is not None and not is_null(named):
        name = reader.name(named, f"{what}.name")
    if not external:
        return {}
    reader.refuse("unsafe-external", f"`{what}` is external: other environments could share it", key)
    return {"external": True, "external_name": name or what.partition(".")[2]}


def read_volumes(reader: Reader, root: Mapping) -> dict[str, Volume]:
    """Read `volumes`."""
    found = {}
    for name, entry, what in _entries(reader, root, "volumes"):
        found[name] = Volume(name, **_read_volume(reader, entry.value, what))
    return found


def _read_volume(reader: Reader, node: Node, what: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if is_null(node):
        return fields
    for key, (at, value) in reader.keys(node, what, _VOLUME_KEYS):
        where = f"{what}.{key}"
        if key == "labels" or (key == "driver_opts" and not _is_local(node)):
            fields[key] = reader.settings(value, where)
        elif key == "driver_opts":
            fields[key] = read_volume_options(reader, value, what)
        elif key == "driver":
            fields[key] = _read_volume_driver(reader, value, what)
        elif key == "external":
            fields.update(_read_external(reader, node, at, value, what))
    _warn_of_name(reader, node, fields, what)
    return {key: value for key, value in fields.items() if value is not None}


def _is_local(node: Node) -> bool:
    driver = node.get("driver") if isinstance(node, Mapping) else None
    return driver is None or (isinstance(driver, Scalar) and (driver.is_null or driver.text in _LOCAL))


def _read_volume_driver(reader: Reader, node: Node, what: str) -> str | None:
    driver = reader.option(node, f"{what}.driver")
    if driver not in _LOCAL:
        message = f"`{what}` uses the driver `{shown(node)}`, which may keep its data outside the environment"
        reader.refuse("unsafe-external", message, node)
    return driver


def read_sources(reader: Reader, root: Mapping) -> dict[str, FileSource]:
    """Read `configs` and `secrets`, keyed ``config:NAME`` and ``secret:NAME``."""
    found = {}
    kinds: tuple[tuple[Literal["config", "secret"], str], ...] = (("config", "configs"), ("secret", "secrets"))
    for kind, section in kinds:
        for name, entry, what in _entries(reader, root, section):
            source = _read_source(reader, name, kind, entry.value, what)
            if source:
                found[f"{kind}:{name}"] = source
    return found


def _read_source(
    reader: Reader, name: str, kind: Literal["config", "secret"], node: Node, what: str
) -> FileSource | None:
    mapping = reader.mapping(node, what)
    if mapping is None:
        return None
    fields: dict[str, Any] = {}
    own = (OWN_EXTENSION,) if kind == "secret" else ()
    for key, (at, value) in reader.keys(node, what, (*_SOURCE_KEYS, "template_driver", *own)):
        _read_source_key(reader, fields, key, at, value, what)
    if _is_external(reader, mapping, what):
        return None
    _warn_of_name(reader, node, fields, what)
    given = [key for key in fields if fields[key] is not None]
    if len(given) != 1:
        choices = "`file`, `environment`, `content`" + (" or `x-envspin: {generate: N}`" if kind == "secret" else "")
        problem = "says more than one of" if given else "says none of"
        if given or not _names_source(mapping, kind):
            reader.error("bad-source", f"`{what}` {problem} {choices}", mapping, "exactly one is needed")
        return None
    return FileSource(name, kind, mark=node.mark, **fields)


def _names_source(mapping: Mapping, kind: Literal["config", "secret"]) -> bool:
    """Tell whether a source is named, so that its fault is reported already."""
    extension = mapping.get(OWN_EXTENSION) if kind == "secret" else None
    named = extension.get("generate") if isinstance(extension, Mapping) else extension
    return not all(is_null(node) for node in (*map(mapping.get, ("file", "environment", "content")), named))


def _read_source_key(reader: Reader, fields: dict[str, Any], key: str, at: Scalar, value: Node, what: str) -> None:
    where = f"{what}.{key}"
    if key == "file":
        fields[key] = reader.path(value, where)
    elif key == "content":
        fields[key] = reader.text(value, where)
    elif key == "environment":
        name = reader.name(value, where)
        fields[key] = name
        if name is not None and value.document.variables.get(name) is None:
            reader.warn("interpolation-unset", f"`{where}`: the variable `{name}` is not set", value)
    elif key == OWN_EXTENSION:
        for _, (_, length) in reader.keys(value, where, ("generate",)):
            fields["generate"] = reader.integer(length, f"{where}.generate", 1, MAX_GENERATED)
    elif key == "labels":
        reader.warn("replaced-key", f"`{where}` has no effect: labels reach no program in a container", at)
    elif key in UNSUPPORTED_SOURCE_KEYS and not asks_for_nothing(value):
        reader.error("unsupported-key", f"`{where}` is not supported: it needs a swarm", at)


def _is_external(reader: Reader, mapping: Mapping, what: str) -> bool:
    entry = mapping.entries.get("external")
    if entry is None or is_null(entry.value):
        return False
    if isinstance(entry.value, Scalar) and reader.boolean(entry.value, f"{what}.external") is False:
        return False
    hint = "give its `file`, `environment` or `content`"
    reader.error("unsupported-value", f"`{what}` is external: there is no store to take it from", entry.key, hint)
    return True
