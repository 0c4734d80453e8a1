"""What connects a service: ports, networks, names."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from envspin.model import NetworkAttachment, Port
from envspin.topology import formats, values
from envspin.topology.keys import asks_for_nothing
from envspin.topology.nodes import Mapping, Scalar, is_null, shown

if TYPE_CHECKING:
    from envspin.topology.draft import Draft
    from envspin.topology.nodes import Entry, Node, Place
    from envspin.topology.reader import Reader


def read_ports(reader: Reader, draft: Draft, entry: Entry) -> None:
    """Read `ports`: short and long entries; what is fixed about them is replaced."""
    what = draft.what("ports")
    sequence = reader.sequence(entry.value, what)
    found: dict[Port, None] = {}
    for item in sequence.items if sequence else ():
        at: Place = item
        fixed = "address"
        if isinstance(item, Mapping):
            ports, published = _read_long_port(reader, item, what)
            fixed, at = _find_fixed(item)
        else:
            to_ports = _to_ports_of_variables if isinstance(item, Scalar) and item.raw is not None else values.to_ports
            ports, published = reader.convert(item, what, to_ports, "bad-port") or ([], "")
        if not reader.count_ports(ports, item):
            break
        if published not in _OUR_OWN_ADDRESSES:
            ports = [replace(port, published=published) for port in ports]
        found.update(dict.fromkeys(ports))
        if ports and published not in _OUR_OWN_ADDRESSES:
            names = ", ".join(str(port) for port in ports[:3]) + (" ..." if len(ports) > 3 else "")  # noqa: PLR2004
            message = f"the fixed {fixed} of {names} is replaced: it is published on loopback at a free port"
            reader.warn("replaced-port", message, at)
    draft.fields["ports"] = tuple(found)


def _to_ports_of_variables(text: str) -> tuple[list[Port], str]:
    """Return the ports of a text like ``${PORT}:80``: a port that is left empty is any free one, as in Compose."""
    return values.to_ports(_LEFT_EMPTY.sub("", text))


_LEFT_EMPTY = re.compile("^:(?!:)")
_OUR_OWN_ADDRESSES = frozenset(("", "0", "127.0.0.1:", "127.0.0.1:0", "[::1]:", "[::1]:0"))
_HOST_SEPARATOR = re.compile(r"[=:]")
_LONG_PORT_KEYS = ("target", "published", "host_ip", "protocol", "mode", "name", "app_protocol")


def _read_long_port(reader: Reader, node: Mapping, what: str) -> tuple[list[Port], str]:
    found: dict[str, str] = {}
    for key, entry in reader.keys(node, what, _LONG_PORT_KEYS):
        found[key] = reader.text(entry.value, f"{what}.{key}") or ""
    target = node.get("target")
    if is_null(target) or target is None:
        reader.error("missing-key", f"an entry of `{what}` has no `target`", node)
        return [], ""
    ports = reader.convert(
        target, f"{what}.target", lambda text: values.to_exposed(f"{text}/{found.get('protocol') or 'tcp'}"), "bad-port"
    )
    published = node.get("published")
    if published is not None and found.get("published") not in (None, "", "0"):
        reader.convert(published, f"{what}.published", values.to_port_range, "bad-port")
    host = found.get("host_ip", "")
    return ports or [], f"{host}:{found.get('published', '')}" if host else found.get("published", "")


def _find_fixed(node: Mapping) -> tuple[str, Place]:
    """Return what a long entry fixes, as a warning calls it, and where it says so."""
    for name in ("published", "host_ip"):
        entry = node.entries.get(name)
        if entry is not None and not is_null(entry.value):
            return f"`{name}`", entry.key
    return "address", node


def read_expose(reader: Reader, draft: Draft, entry: Entry) -> None:
    """Read `expose`."""
    found: dict[Port, None] = {}
    for scalar in reader.scalars(entry.value, draft.what("expose")):
        ports = reader.convert(scalar, draft.what("expose"), values.to_exposed, "bad-port")
        if not reader.count_ports(ports or [], scalar):
            break
        found.update(dict.fromkeys(ports or ()))
    draft.fields["expose"] = tuple(found)


def read_networks(reader: Reader, draft: Draft, entry: Entry) -> None:
    """Read `networks`: a list, or a mapping with settings."""
    what = draft.what("networks")
    found: dict[str, tuple[NetworkAttachment, int]] = {}
    if isinstance(entry.value, Mapping):
        for name, (key, value) in entry.value.entries.items():
            draft.refer("network", name, key)
            found[name] = _read_attachment(reader, name, value, f"{what}.{name}")
    else:
        for scalar in reader.scalars(entry.value, what):
            draft.refer("network", scalar.text, scalar)
            found[scalar.text] = (NetworkAttachment(scalar.text), 0)
    ordered = sorted(found.values(), key=lambda pair: -pair[1])
    draft.fields["networks"] = tuple(attachment for attachment, _ in ordered)


_ATTACHMENT_KEYS = ("aliases", "priority", "gw_priority")
UNSUPPORTED_ATTACHMENT_KEYS = {
    "ipv4_address": "each environment has addresses of its own; use the service's name",
    "ipv6_address": "each environment has addresses of its own; use the service's name",
    "link_local_ips": "each environment has addresses of its own",
    "mac_address": "each environment has addresses of its own",
    "driver_opts": "envspin makes plain attachments",
    "interface_name": "envspin makes plain attachments",
    "use_service_name_alias": "a service is always found by its name",
}


def _read_attachment(reader: Reader, name: str, node: Node, what: str) -> tuple[NetworkAttachment, int]:
    aliases: tuple[str, ...] = ()
    priority = 0
    if is_null(node):
        return NetworkAttachment(name), 0
    for key, (at, value) in reader.keys(node, what, (*_ATTACHMENT_KEYS, *UNSUPPORTED_ATTACHMENT_KEYS)):
        if key == "aliases":
            aliases = reader.unique(value, f"{what}.aliases")
        elif key == "priority":
            priority = reader.integer(value, f"{what}.priority") or 0
        elif key == "gw_priority":
            reader.integer(value, f"{what}.gw_priority")
            message = f"`{what}.gw_priority` has no effect: every network of an environment leads out the same way"
            reader.warn("replaced-key", message, at)
        elif not asks_for_nothing(value):
            reason = UNSUPPORTED_ATTACHMENT_KEYS[key]
            reader.error("unsupported-key", f"`{key}` is not supported: {reason}", at)
    return NetworkAttachment(name, aliases), priority


def read_links(reader: Reader, draft: Draft, entry: Entry) -> None:
    """Read `links`: they become names on the network and an order of start."""
    reader.warn("replaced-links", f"`links` of `{draft.name}` become names on the network", entry.key)
    for scalar in reader.scalars(entry.value, draft.what("links")):
        target, _, alias = scalar.text.partition(":")
        draft.links.append((target, alias or target, scalar))


def read_extra_hosts(reader: Reader, draft: Draft, entry: Entry) -> None:
    """Read `extra_hosts`: a list or a mapping."""
    what = draft.what("extra_hosts")
    found: dict[str, None] = {}
    if isinstance(entry.value, Mapping):
        for name, (key, value) in entry.value.entries.items():
            if not name:
                reader.error("bad-value", f"`{what}` has an entry without a name", key)
            for address in reader.strings(value, f"{what}.{name}", single=True) or ():
                _check_host(reader, what, name, address, value)
                found[f"{name}:{address.strip('[]')}"] = None
    else:
        for scalar in reader.scalars(entry.value, what):
            name, separator, address = _HOST_SEPARATOR.sub("\0", scalar.text, count=1).partition("\0")
            if not name or not separator or not address:
                reader.error("bad-value", f"`{what}`: `{scalar.shown}` must be NAME=ADDRESS", scalar)
            else:
                _check_host(reader, what, name, address, scalar)
                found[f"{name}:{address.strip('[]')}"] = None
    draft.fields["extra_hosts"] = tuple(found)


def _check_host(reader: Reader, what: str, name: str, address: str, at: Node) -> None:
    if len(name.split()) > 1:
        reader.error("bad-value", f"`{what}`: `{shown(at)}` gives a name that holds blanks", at)
    try:
        formats.to_host_entry(address)
    except ValueError as error:
        reader.error("bad-value", f"`{what}`: `{shown(at)}` {error}", at)


def read_network_mode(reader: Reader, draft: Draft, entry: Entry) -> None:
    """Read `network_mode`: none, or with leave host."""
    mode = reader.option(entry.value, draft.what("network_mode"))
    if mode == "host":
        message = f"`network_mode: host` gives `{draft.name}` the host's network"
        reader.refuse("unsafe-host-network", message, entry.value)
    elif mode not in ("none", None):
        hint = "leave it out: every service joins the environment's own network"
        reader.error("unsupported-value", f"`network_mode: {shown(entry.value)}` is not supported", entry.value, hint)
    if "networks" in draft.node.entries and mode is not None:
        message = "`network_mode` and `networks` exclude each other"
        reader.error("conflicting-keys", message, entry.key)
    draft.fields["network_mode"] = mode
