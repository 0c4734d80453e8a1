"""Small subnets for environments, so that hundreds of networks fit beside everything else on the machine.

An engine's default pools hold about 30 networks. Subnets are chosen from a pool of our own, away from the engine's
networks and the host's routes. Where all of a pool is routed elsewhere, as by a VPN, the next one is taken;
``ENVSPIN_SUBNETS`` names others (CIDR, with commas between).

They are handed out under a lock of the machine, and only while there is room for all networks that the environment
still has to make. So whoever was given one last can go on, end, and give room to the others: environments that each
hold some cannot wait for each other for ever (Dijkstra's banker).
"""

from __future__ import annotations

import os
import random
from contextlib import nullcontext
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, collapse_addresses, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.engine.base import ignore_send
from envspin.errors import ConflictError, EngineError, ExhaustedError, UsageError
from envspin.run.machine_lock import machine_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from envspin.engine.base import Engine, NetworkSpec

DEFAULT_POOLS = "10.213.0.0/16,172.30.0.0/16,192.168.208.0/20"
SMALLEST_PREFIX = 28
RESERVED_ADDRESSES = 3
"""Network, gateway and broadcast."""

WIDEST_PREFIX = 8
"""A route that is wider leads to the world, not to a network: a default route, or a VPN's two halves of one."""

FOREIGN_PREFIX = 23
"""A network or route as wide as this is no environment's: it does not go when one ends."""

ATTEMPTS = 20
LOCK_SECONDS = 5.0
"""How long to wait for the lock: without it, a subnet that somebody else takes at the same moment costs an attempt."""

ROUTES = Path("/proc/net/route")
FORWARDING = Path("/proc/net/fib_trie")
RTF_GATEWAY = 0x2
"""The flag of a route that leads over another machine (route.h)."""

ANY = "any"
DIRECT = "direct"
_IGNORED_TYPES = {"BROADCAST", "MULTICAST", "ANYCAST", "THROW"}
POOL_HINT = "set ENVSPIN_SUBNETS to another private range, such as 10.77.0.0/16"


@dataclass(frozen=True, slots=True)
class WantedNetwork:
    """A network to create on a subnet with room for ``members`` containers."""

    spec: NetworkSpec
    members: int

    @property
    def prefix(self) -> int:
        """The prefix length of its subnet."""
        return find_prefix(self.members)


def _take_no_note(_name: str) -> AbstractContextManager[Callable[[], None]]:
    return nullcontext(ignore_send)


def create_network(
    engine: Engine,
    wanted: WantedNetwork,
    *,
    others: Sequence[WantedNetwork] = (),
    lock_seconds: float = LOCK_SECONDS,
    creating: Callable[[str], AbstractContextManager[Callable[[], None]]] = _take_no_note,
    engine_is_local: bool = True,
) -> str:
    """Create a network on a subnet that nobody uses, and return its id.

    ``others`` are those that its environment has still to make; ``creating`` surrounds each attempt. What this machine
    routes matters only to an engine that ``engine_is_local``. Raises ExhaustedError where there is not room for all of
    them now, EngineError where there never will be. Whoever does without the lock may take a subnet between our look
    and our create: an overlap that the engine refuses picks another one.
    """
    with machine_lock("subnets", seconds=lock_seconds):
        taken = list_taken(engine.list_subnets(), with_routes=engine_is_local)
        pool = choose_pool(taken)
        _require_size([wanted, *others], pool)
        for _ in range(ATTEMPTS):
            subnet = _place([wanted, *others], pool, taken)[0]
            try:
                with creating(wanted.spec.name) as on_send:
                    return engine.create_network(replace(wanted.spec, subnet=str(subnet)), on_send=on_send)
            except ConflictError as error:
                if "overlap" not in error.message.lower():
                    raise
                taken.append(subnet)
    raise _explain_full(wanted, pool)


def _require_size(wanted: Sequence[WantedNetwork], pool: IPv4Network) -> None:
    """Raise EngineError where the pool has no room for these networks, whatever others give back."""
    try:
        _place(wanted, pool, ())
    except ExhaustedError:
        largest = max(each.members for each in wanted)
        what = f"{len(wanted)} networks" if len(wanted) > 1 else f"{largest} containers on one network"
        raise EngineError(f"{pool} is too small for an environment with {what}", hint=POOL_HINT) from None


def _place(wanted: Sequence[WantedNetwork], pool: IPv4Network, taken: Iterable[IPv4Network]) -> list[IPv4Network]:
    """Return a subnet for each network, in their order; raise ExhaustedError where not all of them fit."""
    occupied, placed = list(taken), dict[int, IPv4Network]()
    for index in sorted(range(len(wanted)), key=lambda index: wanted[index].prefix):  # the large ones need whole room
        each = wanted[index]
        choices = choose_subnets(pool, members=each.members, taken=occupied, randomness=random.SystemRandom())
        subnet = next(choices, None)
        if subnet is None:
            raise _explain_full(each, pool)
        occupied.append(subnet)
        placed[index] = subnet
    return [placed[index] for index in range(len(wanted))]


def _explain_full(wanted: WantedNetwork, pool: IPv4Network) -> ExhaustedError:
    return ExhaustedError(f"no free subnet for network {wanted.spec.name} in {pool}", hint=POOL_HINT)


def find_prefix(members: int) -> int:
    """Return the prefix length of a subnet with room for so many containers."""
    return min(SMALLEST_PREFIX, 32 - (members + RESERVED_ADDRESSES - 1).bit_length())


def choose_subnets(
    pool: IPv4Network, *, members: int, taken: Iterable[IPv4Network], randomness: random.Random
) -> Iterator[IPv4Network]:
    """Yield free subnets of the pool in a random order, each large enough for ``members`` addresses."""
    prefix = find_prefix(members)
    if prefix < pool.prefixlen:
        return
    count, size = 1 << (prefix - pool.prefixlen), 1 << (32 - prefix)
    base, blocked = int(pool.network_address), set[int]()
    for network in taken:
        if network.overlaps(pool) and network.prefixlen >= WIDEST_PREFIX:
            first = (int(network.network_address) - base) // size
            last = (int(network.broadcast_address) - base) // size
            blocked.update(range(max(0, first), min(count - 1, last) + 1))
    # The count is a power of two, so that steps of an odd width come to each place once.
    place, step = randomness.randrange(count), randomness.randrange(count) | 1
    for _ in range(count):
        if place not in blocked:
            yield IPv4Network((base + place * size, prefix))
        place = (place + step) % count


def choose_pool(taken: Iterable[IPv4Network]) -> IPv4Network:
    """Return the first pool of which some part is not for ever somebody else's.

    Raises EngineError where there is none, UsageError as ``read_pools`` does.
    """
    used = list(taken)
    walls = {pool: _find_walls(pool, used) for pool in read_pools()}
    for pool, found in walls.items():
        if not found:
            return pool
    covering = dict.fromkeys(str(wall) for found in walls.values() for wall in found)
    places = f"{', '.join(map(str, walls))} is free: all of it is part of {', '.join(covering)}"
    raise EngineError(f"no subnet of {places}, networks or routes of this machine", hint=POOL_HINT)


def _find_walls(pool: IPv4Network, taken: Iterable[IPv4Network]) -> list[IPv4Network]:
    """Return the wide networks that together cover all of the pool; none where they do not."""
    prefixes = range(WIDEST_PREFIX, max(pool.prefixlen, FOREIGN_PREFIX + 1))
    wide = [each for each in taken if each.prefixlen in prefixes and each.overlaps(pool)]
    return wide if any(pool.subnet_of(each) for each in collapse_addresses(wide)) else []


def read_pools() -> list[IPv4Network]:
    """Return the pools to choose from, the first first; raise UsageError where the variable does not hold networks."""
    texts = os.environ.get("ENVSPIN_SUBNETS", DEFAULT_POOLS).split(",")
    try:
        return [IPv4Network(text.strip()) for text in texts]
    except ValueError as error:
        hint = "write a range such as 10.213.0.0/16, or several with commas between"
        raise UsageError(f"ENVSPIN_SUBNETS: {error}", hint=hint) from None


def list_taken(subnets: Iterable[str], *, with_routes: bool = True) -> list[IPv4Network]:
    """Return these subnets (an engine's) and everything that this machine routes or has an address in; IPv4 only."""
    routes = [*read_routes(), *read_forwarding()] if with_routes else []
    texts = dict.fromkeys([*subnets, *routes])
    networks = (ip_network(text, strict=False) for text in texts)
    return [network for network in networks if isinstance(network, IPv4Network)]


def read_routes(kind: str = ANY) -> list[str]:
    """Return what the host's main table routes, in CIDR notation; only links of its own for ``DIRECT``.

    Nothing is returned where the table cannot be read (not Linux).
    """
    try:
        lines = ROUTES.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    rows = [line.split() for line in lines]
    wanted = [row for row in rows if kind == ANY or not int(row[3], 16) & RTF_GATEWAY]
    return [f"{_decode(row[1])}/{int(row[7], 16).bit_count()}" for row in wanted]


def read_forwarding() -> list[str]:
    """Return what all of the host's tables route, and its own addresses, in CIDR notation.

    VPNs keep routes in tables of their own, of which the list of ``read_routes`` knows nothing. Nothing is returned
    where the tables cannot be read.
    """
    try:
        lines = FORWARDING.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    found, address = [], ""
    for first, *rest in filter(None, map(str.split, lines)):
        if first == "|--":
            address = rest[0]
        elif first.startswith("/") and rest[-1] not in _IGNORED_TYPES:
            found.append(f"{address}{first}")
    return list(dict.fromkeys(found))


def _decode(text: str) -> str:
    """Read an address as the kernel writes it: hexadecimal, in the byte order of a little-endian machine."""
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(text)))
