"""Texts -> values: numbers, durations, sizes, ports.

Each function raises ``ValueError`` whose message continues "VALUE ..." and never repeats the value, which may be a
secret that came from a variable.
"""

from __future__ import annotations

import re
import shlex
from typing import Literal

from envspin.model import Port

MAX_PORT = 65535
MAX_RANGE = 1000
MAX_DURATION = 100
MAX_COMMAND = 32 * 1024
"""Characters of one command line; a list of words may hold more."""
MAX_SECONDS = (2**63 - 1) / 1e9
"""The longest duration of Go's, and so of Compose's and the engine's: they count nanoseconds in 64 bits."""
MAX_SIZE = 2**63 - 1
"""Bytes, in the engine's 64 bits."""
PROTOCOLS: tuple[Literal["tcp", "udp", "sctp"], ...] = ("tcp", "udp", "sctp")

_TRUE = frozenset(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"))
_FALSE = frozenset(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"))
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?:[eE][-+]?[0-9]{1,2})?")
_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([kKmMgGtTpP]?)[iI]?[bB]?")
_FACTOR = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_PORT_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_UNIT_HINT = "a duration is a number with a unit: 500ms, 10s, 1m30s, 2h"


def to_boolean(text: str) -> bool:
    """Return the truth value; YAML 1.1's words count too, as they do in Compose."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("must be true or false")


def to_integer(text: str, minimum: int | None = None, maximum: int | None = None) -> int:
    """Return a whole number within the bounds."""
    if not _INTEGER.fullmatch(text):
        raise ValueError("must be a whole number")
    value = int(text, 0) if text.startswith(("0o", "0x")) else int(text)
    if minimum is not None and value < minimum:
        raise ValueError(f"must be at least {minimum}")
    if maximum is not None and value > maximum:
        raise ValueError(f"must be at most {maximum}")
    return value


def to_number(text: str, minimum: float = 0.0) -> float:
    """Return a number that is at least ``minimum``."""
    if not _NUMBER.fullmatch(text):
        raise ValueError("must be a number")
    value = float(text)
    if value < minimum:
        raise ValueError(f"must be at least {minimum:g}")
    return value


def to_duration(text: str) -> float:
    """Return seconds from Compose's durations (Go's notation): ``1m30s``, ``500ms``; ``0`` needs no unit."""
    if text == "0":
        return 0.0
    if len(text) > MAX_DURATION:
        raise ValueError(f"is not a duration ({_UNIT_HINT})")
    seconds, position = 0.0, 0
    while position < len(text):
        part = _DURATION_PART.match(text, position)
        if not part:
            break
        seconds += float(part.group(1)) * _SECONDS[part.group(2)]
        position = part.end()
    if not text or position < len(text):
        if _NUMBER.fullmatch(text) and not text.startswith(("-", "+")):
            raise ValueError("needs a unit, as in 10s or 500ms")
        raise ValueError(f"is not a duration ({_UNIT_HINT})")
    if seconds > MAX_SECONDS:
        raise ValueError("is longer than any duration (292 years)")
    return round(seconds, 9)


def to_size(text: str) -> int:
    """Return bytes from Compose's sizes: ``64m``, ``1.5gb``, ``2048``; units are powers of 1024."""
    size = _SIZE.fullmatch(text)
    if not size:
        raise ValueError("is not a size (512k, 64m, 1.5g, or a number of bytes)")
    found = int(float(size.group(1)) * 1024 ** _FACTOR[size.group(2).lower()])
    if found > MAX_SIZE:
        raise ValueError("is larger than any machine (8 EiB)")
    return found


def to_mode(text: str, *, plain: bool) -> int:
    """Return permission bits: ``0440`` and ``0o440`` and any quoted text are octal, a plain number is decimal."""
    digits = text.removeprefix("0o")
    octal = text.startswith("0") or not plain
    if not re.fullmatch(r"[0-7]{1,5}" if octal else r"[0-9]{1,5}", digits):
        raise ValueError("must be permissions such as 0440")
    mode = int(digits, 8 if octal else 10)
    if mode > 0o7777:  # noqa: PLR2004 - all permission bits
        raise ValueError("must be permissions such as 0440")
    return mode


def to_port_range(text: str) -> range:
    """Return the ports of ``8000`` or ``8000-8010``."""
    found = _PORT_RANGE.fullmatch(text)
    if not found:
        raise ValueError("is not a port or a range of ports")
    first = int(found.group(1))
    last = int(found.group(2)) if found.group(2) else first
    if not 0 < first <= MAX_PORT or not 0 < last <= MAX_PORT:
        raise ValueError(f"is out of range: a port lies between 1 and {MAX_PORT}")
    if last < first:
        raise ValueError("has a range that runs backwards")
    if last - first >= MAX_RANGE:
        raise ValueError(f"has a range of more than {MAX_RANGE} ports")
    return range(first, last + 1)


def split_protocol(text: str) -> tuple[str, Literal["tcp", "udp", "sctp"]]:
    """Split ``80/udp`` into the ports and the protocol, tcp by default."""
    ports, slash, name = text.partition("/")
    if not slash:
        return ports, "tcp"
    for protocol in PROTOCOLS:
        if name.lower() == protocol:
            return ports, protocol
    raise ValueError("names an unknown protocol (tcp, udp and sctp exist)")


def to_ports(text: str) -> tuple[list[Port], str]:
    """Return the container ports of Compose's short form, and the published part (empty where there is none).

    ``80``, ``8080:80``, ``127.0.0.1:8080:80/udp``, ``[::1]:80:80``, ``3000-3005``, ``9000-9005:80``.
    """
    address, protocol = split_protocol(text)
    published, _, container = address.rpartition(":")
    targets = to_port_range(container)
    if published:
        host = published.rpartition(":")[2]
        if host and host != "0":
            sources = to_port_range(host)
            if len(sources) != len(targets) and len(targets) != 1:
                raise ValueError("maps ranges of different length")
    elif ":" in address:
        raise ValueError("is not a port mapping")
    return [Port(port, protocol) for port in targets], published


def to_exposed(text: str) -> list[Port]:
    """Return the ports of an ``expose`` entry."""
    address, protocol = split_protocol(text)
    return [Port(port, protocol) for port in to_port_range(address)]


def split_words(text: str) -> tuple[str, ...]:
    """Split a command line as a POSIX shell splits words."""
    if len(text) > MAX_COMMAND:
        raise ValueError(f"is longer than {MAX_COMMAND >> 10} KiB")
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"is not a command line: {str(error).lower()}") from error
