"""Where a registry is: its own address, its mirrors, and whether it may be asked without TLS, or without trust."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from envspin.reference import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HUB_ADDRESS = "https://registry-1.docker.io"
"""Where Docker Hub answers; ``docker.io`` itself is a web site."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where one registry, or one mirror of it, is asked."""

    name: str
    """As references and ``docker login`` write it: ``docker.io``, ``127.0.0.1:5000``."""
    location: str
    """``HOST[:PORT][/FOLDER]``, to which ``/v2/...`` is added."""
    schemes: tuple[str, ...]
    """What to try, in this order."""
    is_mirror: bool = False
    is_verified: bool = True
    """Whether its certificate has to be trusted. Docker lets any certificate pass where its engine's settings call a
    registry insecure, and so do we: passwords and tokens then go to whoever answers there."""


def list_addresses(registry: str, mirrors: Sequence[str], insecure: Sequence[str]) -> list[Address]:
    """Return where to ask for a registry's images, in this order: mirrors exist for Docker Hub only.

    ``insecure`` is what the engine's settings say. Those registries, and mirrors, are asked by TLS that is not
    verified; registries also without TLS, where they do not speak it. Loopback needs a certificate that is trusted, or
    no TLS: every engine calls it insecure, so that nobody has chosen that.
    """
    if registry != DOCKER_HUB:
        schemes = ("https", "http") if may_be_plain(registry, insecure) else ("https",)
        return [Address(registry, registry, schemes, is_verified=_is_verified(registry, insecure))]
    hub = urlsplit(HUB_ADDRESS)
    return [*(_read_mirror(each, insecure) for each in mirrors), Address(DOCKER_HUB, hub.netloc, (hub.scheme,))]


def _read_mirror(text: str, insecure: Sequence[str]) -> Address:
    parts = urlsplit(text if "://" in text else f"https://{text}")
    host = parts.netloc.rpartition("@")[2]
    location = host + parts.path.rstrip("/")
    return Address(host, location, (parts.scheme,), is_mirror=True, is_verified=_is_verified(host, insecure))


def _is_verified(host: str, insecure: Iterable[str]) -> bool:
    return is_loopback(host) or not _is_insecure(host, insecure)


def may_be_plain(host: str, insecure: Iterable[str]) -> bool:
    """Tell whether plain HTTP is allowed: on loopback, and where the engine's settings call the registry insecure.

    An entry is ``HOST[:PORT]`` as it is written in references, or a network such as ``10.0.0.0/8``. Names are not
    looked up: a network fits only hosts that are written as an address.
    """
    return is_loopback(host) or _is_insecure(host, insecure)


def _is_insecure(host: str, insecure: Iterable[str]) -> bool:
    address = _read_ip(host)
    for entry in insecure:
        if "/" in (written := entry.rpartition("://")[2].rstrip("/")):
            if address is not None and _is_in(address, written):
                return True
        elif written.lower() == host.lower():
            return True
    return False


def is_loopback(host: str) -> bool:
    """Tell whether ``HOST[:PORT]`` is this machine: 127.0.0.0/8, ``::1`` or ``localhost``."""
    address = _read_ip(host)
    return address.is_loopback if address is not None else _strip_port(host) == "localhost"


def _strip_port(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _read_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(_strip_port(host))
    except ValueError:
        return None


def _is_in(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
