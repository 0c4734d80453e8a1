"""`ports`, `expose`, `networks` and the names of hosts."""

from __future__ import annotations

from envspin.topology.networking import UNSUPPORTED_ATTACHMENT_KEYS
from envspin.topology.schema.parts import (
    MAX_PORT,
    PORTS,
    PROTOCOL,
    VARIABLE,
    Schema,
    array,
    choice,
    either,
    exclude,
    filled,
    has,
    integer,
    key,
    mapping,
    matching,
    name,
    named,
    optional,
    reference,
    refused,
    replaced,
    table,
    text,
    texts,
)

_PUBLISHED = f"(?:[^/]*:(?:{PORTS}|0)?|{PORTS}|0)"
_PORT_HINT = "ports look like 80, 8080:80, 127.0.0.1:8080:80, 3000-3005 or 53/udp"
_LINKS = "`links` become names on the network and an order of start: use `depends_on` and `aliases`."
_GATEWAY = "`gw_priority` has no effect: every network of an environment leads out the same way."
_REPLACED = "envspin publishes on loopback at a free port; ask `envspin port` for it"


def networking_keys() -> dict[str, Schema]:
    """Return the keys of a service that connect it."""
    item = either(_number(), matching(f"(?:{_PUBLISHED}:)?{PORTS}(?:/{PROTOCOL})?", _PORT_HINT))
    exposed = either(_number(), matching(f"{PORTS}(?:/{PROTOCOL})?", _PORT_HINT))
    return {
        "ports": key(
            f"Ports of the container that tests reach. The left part is replaced with a warning: {_REPLACED}.",
            array(either(item, _long_port())),
            examples=[["5432"]],
        ),
        "expose": key("Ports for other services, not published.", array(exposed), examples=[["8080"]]),
        "networks": key(
            "Networks to join: names, or names with settings. The environment's default network if omitted.",
            either(array(name()), named(reference("attachment"))),
        ),
        "network_mode": key(
            "`none` leaves the service without a network. `host` is refused without --allow-unsafe.",
            choice(("none", "host")),
        ),
        "extra_hosts": key(
            "Further names of hosts: NAME=ADDRESS, or a mapping; `host-gateway` is this machine.",
            either(array(matching(r"[^=:]+[=:][\s\S]+", "write NAME=ADDRESS")), table(texts())),
            examples=[["tests=host-gateway"]],
        ),
        "links": {**key(_LINKS, array(text())), **replaced(_LINKS)},
        "dns": key("Name servers of the container.", texts()),
        "dns_search": key("Domains in which names are looked up.", texts()),
        "dns_opt": key("Options of the resolver.", texts()),
        "hostname": key("Host name inside the container.", filled()),
        "domainname": key("Domain name inside the container.", filled()),
    }


def network_rule() -> Schema:
    """Return the rule that a service has a mode or networks."""
    mode = has("network_mode", {"not": {"anyOf": [{"type": "null"}, {"type": "string", "pattern": VARIABLE}]}})
    return exclude(mode, ["networks"], "`network_mode` and `networks` exclude each other")


def _number() -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": MAX_PORT}


def _long_port() -> Schema:
    published = either({"type": "integer", "minimum": 0, "maximum": MAX_PORT}, matching(f"|0|{PORTS}", _PORT_HINT))
    properties = {
        "target": key("Port of the container, or a range.", either(_number(), matching(PORTS, _PORT_HINT)), null=False),
        "published": key(f"Port on the host; replaced with a warning: {_REPLACED}.", published),
        "host_ip": key(f"Address on the host; replaced with a warning: {_REPLACED}.", text()),
        "protocol": key("Protocol of the port.", choice(("tcp", "udp", "sctp"), also=f"{PROTOCOL}?"), default="tcp"),
        "mode": key("Means nothing outside a swarm.", text()),
        "name": key("What the port is for; only for readers.", text()),
        "app_protocol": key("What is spoken on the port; only for readers.", text()),
    }
    return mapping(properties, ["target"])


def make_attachment() -> Schema:
    """Return the schema of one entry of a service's `networks`."""
    properties = {
        "aliases": key("Further names of the service on this network.", texts()),
        "priority": key("Networks with a higher number are joined first.", integer()),
        "gw_priority": {**key(_GATEWAY, integer()), **replaced(_GATEWAY)},
    }
    never = {each: refused(reason) for each, reason in UNSUPPORTED_ATTACHMENT_KEYS.items()}
    return optional(mapping({**properties, **never}))
