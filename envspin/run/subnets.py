"""Small subnets for environments, so that hundreds of networks fit beside everything else on the machine.

An engine's default pools hold about 30 networks. Subnets are chosen from a pool of our own, away from the engine's
networks and the host's routes; the pool can be moved with ``ENVSPIN_SUBNETS`` (CIDR).
"""

from __future__ import annotations

import os
import random
from dataclasses import replace
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.errors import ConflictError, EngineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from envspin.engine.base import Engine, NetworkSpec

DEFAULT_POOL = "10.213.0.0/16"
SMALLEST_PREFIX = 28
RESERVED_ADDRESSES = 3
"""Network, gateway and broadcast."""

ATTEMPTS = 20
ROUTES = Path("/proc/net/route")
RTF_GATEWAY = 0x2
"""The flag of a route that leads over another machine (route.h)."""

ANY = "any"
DIRECT = "direct"


def create_network(engine: Engine, spec: NetworkSpec, *, members: int) -> str:
    """Create a network with room for ``members`` containers on a subnet that nobody uses; return its id.

    Another process may take the same subnet between our look and our create, so an overlap picks another one.
    """
    taken = list(_parse_networks([*engine.list_subnets(), *read_routes()]))
    candidates = choose_subnets(read_pool(), members=members, taken=taken, randomness=random.SystemRandom())
    for _, subnet in zip(range(ATTEMPTS), candidates, strict=False):
        try:
            return engine.create_network(replace(spec, subnet=str(subnet)))
        except ConflictError as error:
            if "overlap" not in error.message.lower():
                raise
    raise EngineError(
        f"no free subnet for network {spec.name} in {read_pool()}",
        hint="remove environments with `envspin down --all`, or set ENVSPIN_SUBNETS to another private range",
    )


def choose_subnets(
    pool: IPv4Network, *, members: int, taken: Iterable[IPv4Network], randomness: random.Random
) -> Iterator[IPv4Network]:
    """Yield free subnets of the pool in random order, each large enough for ``members`` addresses."""
    prefix = min(SMALLEST_PREFIX, 32 - (members + RESERVED_ADDRESSES - 1).bit_length())
    if prefix < pool.prefixlen:
        return
    count = 1 << (prefix - pool.prefixlen)
    near = [network for network in taken if network.overlaps(pool) and network.prefixlen > 0]
    for index in randomness.sample(range(count), count):
        subnet = IPv4Network((int(pool.network_address) + (index << (32 - prefix)), prefix))
        if not any(subnet.overlaps(network) for network in near):
            yield subnet


def read_pool() -> IPv4Network:
    """Return the pool to choose from; raise UsageError where the variable holds no IPv4 network."""
    text = os.environ.get("ENVSPIN_SUBNETS", DEFAULT_POOL)
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise UsageError(f"ENVSPIN_SUBNETS: {error}", hint="write a range such as 10.213.0.0/16") from None


def read_routes(kind: str = ANY) -> list[str]:
    """Return what the host routes, in CIDR notation; only links of its own for ``DIRECT``.

    Nothing is returned where the table cannot be read (not Linux).
    """
    try:
        lines = ROUTES.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    rows = [line.split() for line in lines]
    wanted = [row for row in rows if kind == ANY or not int(row[3], 16) & RTF_GATEWAY]
    return [f"{_decode(row[1])}/{int(row[7], 16).bit_count()}" for row in wanted]


def _decode(text: str) -> str:
    """Read an address as the kernel writes it: hexadecimal, in the byte order of a little-endian machine."""
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(text)))


def _parse_networks(texts: Iterable[str]) -> Iterator[IPv4Network]:
    for text in texts:
        network = ip_network(text, strict=False)
        if isinstance(network, IPv4Network):
            yield network
