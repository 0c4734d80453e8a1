"""Small subnets for environments, so that hundreds of networks fit beside everything else on the machine.

An engine's default pools hold about 30 networks. Subnets are chosen from a pool of our own, away from the engine's
networks and the host's routes; the pool can be moved with ``ENVSPIN_SUBNETS`` (CIDR).

They are handed out under a lock of the machine, and only while there is room for all networks that the environment
still has to make. So whoever was given one last can go on, end, and give room to the others: environments that each
hold some cannot wait for each other for ever (Dijkstra's banker).
"""

from __future__ import annotations

import os
import random
from contextlib import nullcontext
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.errors import ConflictError, EngineError, ExhaustedError, UsageError
from envspin.run.machine_lock import machine_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from envspin.engine.base import Engine, NetworkSpec

DEFAULT_POOL = "10.213.0.0/16"
SMALLEST_PREFIX = 28
RESERVED_ADDRESSES = 3
"""Network, gateway and broadcast."""

WIDEST_PREFIX = 8
"""A route that is wider leads to the world, not to a network: a default route, or a VPN's two halves of one."""

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
POOL_HINT = "set ENVSPIN_SUBNETS to another private range, such as 172.30.0.0/16"


@dataclass(frozen=True, slots=True)
class WantedNetwork:
    """A network to create on a subnet with room for ``members`` containers."""

    spec: NetworkSpec
    members: int

    @property
    def prefix(self) -> int:
        """The prefix length of its subnet."""
        return find_prefix(self.members)


def _take_no_note(_name: str) -> AbstractContextManager[None]:
    return nullcontext()


def create_network(
    engine: Engine,
    wanted: WantedNetwork,
    *,
    others: Sequence[WantedNetwork] = (),
    lock_seconds: float = LOCK_SECONDS,
    creating: Callable[[str], AbstractContextManager[None]] = _take_no_note,
) -> str:
    """Create a network on a subnet that nobody uses, and return its id.

    ``others`` are those that its environment has still to make; ``creating`` surrounds each attempt. Raises
    ExhaustedError where there is not room for all of them now, EngineError where there never will be. Whoever does
    without the lock may take a subnet between our look and our create: an overlap that the engine refuses picks
    another one.
    """
    with machine_lock("subnets", seconds=lock_seconds):
        taken = list_taken(engine.list_subnets())
        _require_size([wanted, *others], taken)
        for _ in range(ATTEMPTS):
            subnet = _place([wanted, *others], taken)[0]
            try:
                with creating(wanted.spec.name):
                    return engine.create_network(replace(wanted.spec, subnet=str(subnet)))
            except ConflictError as error:
                if "overlap" not in error.message.lower():
                    raise
                taken.append(subnet)
    raise _explain_full(wanted)


def _require_size(wanted: Sequence[WantedNetwork], taken: Iterable[IPv4Network]) -> None:
    """Raise EngineError where the pool has no room for these networks, whatever others give back."""
    pool = read_pool()
    wider = (each for each in taken if WIDEST_PREFIX <= each.prefixlen < pool.prefixlen)
    wall = next((each for each in wider if each.overlaps(pool)), None)
    if wall is not None:
        message = f"no subnet of {pool} is free: all of it is part of {wall}, a network or route of this machine"
        raise EngineError(message, hint=POOL_HINT)
    try:
        _place(wanted, ())
    except ExhaustedError:
        largest = max(each.members for each in wanted)
        what = f"{len(wanted)} networks" if len(wanted) > 1 else f"{largest} containers on one network"
        raise EngineError(f"{pool} is too small for an environment with {what}", hint=POOL_HINT) from None


def _place(wanted: Sequence[WantedNetwork], taken: Iterable[IPv4Network]) -> list[IPv4Network]:
    """Return a subnet for each network, in their order; raise ExhaustedError where not all of them fit."""
    occupied, placed = list(taken), dict[int, IPv4Network]()
    for index in sorted(range(len(wanted)), key=lambda index: wanted[index].prefix):  # the large ones need whole room
        each, pool = wanted[index], read_pool()
        choices = choose_subnets(pool, members=each.members, taken=occupied, randomness=random.SystemRandom())
        subnet = next(choices, None)
        if subnet is None:
            raise _explain_full(each)
        occupied.append(subnet)
        placed[index] = subnet
    return [placed[index] for index in range(len(wanted))]


def _explain_full(wanted: WantedNetwork) -> ExhaustedError:
    return ExhaustedError(f"no free subnet for network {wanted.spec.name} in {read_pool()}", hint=POOL_HINT)


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


def read_pool() -> IPv4Network:
    """Return the pool to choose from; raise UsageError where the variable holds no IPv4 network."""
    text = os.environ.get("ENVSPIN_SUBNETS", DEFAULT_POOL)
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise UsageError(f"ENVSPIN_SUBNETS: {error}", hint="write a range such as 10.213.0.0/16") from None


def list_taken(subnets: Iterable[str]) -> list[IPv4Network]:
    """Return these subnets (an engine's) and everything that this machine routes or has an address in; IPv4 only."""
    texts = dict.fromkeys([*subnets, *read_routes(), *read_forwarding()])
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
