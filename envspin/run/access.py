"""Where this process reaches a container's ports.

Users get a published port on loopback. Probes prefer the container's own address where the host has a route to its
network (a Linux engine on this machine): it shows at once whether anybody listens, while an engine's port proxy
accepts connections before the service does.
"""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from envspin.errors import EngineError
from envspin.model import Endpoint
from envspin.run.subnets import DIRECT, read_routes

if TYPE_CHECKING:
    from envspin.engine.base import ContainerInfo, EngineInfo

LOOPBACK = "127.0.0.1"


def find_host(engine: EngineInfo) -> str:
    """Return the host under which published ports are reached; ``TESTCONTAINERS_HOST_OVERRIDE`` decides if set."""
    override = os.environ.get("TESTCONTAINERS_HOST_OVERRIDE")
    if override:
        return override
    return LOOPBACK if engine.is_local else (urlsplit(engine.address).hostname or LOOPBACK)


def find_direct_address(container: ContainerInfo) -> str | None:
    """Return an address of the container that this host routes to without a gateway; None where it has none."""
    networks = [IPv4Network(route) for route in read_routes(DIRECT)]
    for address in container.addresses.values():
        if any(IPv4Address(address) in network for network in networks):
            return address
    return None


def find_endpoint(container: ContainerInfo, port: str, host: str) -> Endpoint:
    """Return where a test reaches ``port`` (``"5432/tcp"``): published, else the container's own address.

    Raises EngineError where there is no way: an internal network publishes nothing, and this machine does not route
    to it.
    """
    published = container.published.get(port)
    if published is not None:
        return Endpoint(host, published)
    address = find_direct_address(container)
    if address is None:
        raise EngineError(
            f"port {port} of {container.name} is not published and this machine has no route to the container",
            hint="list the port under `ports`; containers of internal networks are reached on Linux engines only",
        )
    return Endpoint(address, int(port.partition("/")[0]))
