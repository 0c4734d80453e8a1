"""Texts whose form Compose leaves to the engine, which would find a fault only when a container is made.

Like those of ``values``, each function raises ``ValueError`` whose message continues "VALUE ..." and never repeats the
value. They refuse only what no engine takes.
"""

from __future__ import annotations

import re
from functools import lru_cache

MAX_REPOSITORY = 255
"""Characters of an image's name without registry, tag and digest."""
MAX_HOSTNAME = 64
"""Characters, in the Linux kernel."""
MAX_DOMAIN = 253
HOST_GATEWAY = "host-gateway"

_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile("sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}")
_SIGNALS = frozenset((
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "UNUSED", "URG",
    "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
))  # fmt: skip
"""Linux's, whatever the machine is that this runs on."""
_REALTIME = re.compile(r"RTMIN(?:\+(?:[1-9]|1[0-5]))?|RTMAX(?:-(?:[1-9]|1[0-4]))?")
_NUMBER = re.compile(r"\+?0*(?:[1-9]|[1-5][0-9]|6[0-4])")
_CAPABILITY = re.compile("[A-Za-z_]+")
_PLATFORM = re.compile(r"[A-Za-z0-9._-]+(?:\([^/()]*\))?(?:/[A-Za-z0-9._-]+){0,2}")
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f]")


def to_image(text: str) -> str:
    """Return a reference of an image: ``[REGISTRY[:PORT]/]NAME[:TAG][@DIGEST]``, as the distribution project reads it.

    What stands before the first ``/`` is a registry if it holds ``.``, ``:`` or a capital letter, or is ``localhost``.
    """
    named, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise ValueError("is not an image: a digest looks like sha256: with 64 digits 0-9 and a-f")
    head, colon, tag = named.rpartition(":")
    if colon and "/" not in tag:
        if not _TAG.fullmatch(tag):
            raise ValueError("is not an image: " + ("its tag is empty" if not tag else "its tag is not one"))
        named = head
    first, slash, rest = named.partition("/")
    if slash and (first == "localhost" or ":" in first or "." in first or first != first.lower()):
        if not _REGISTRY.fullmatch(first):
            raise ValueError("is not an image: a registry looks like example.com or localhost:5000")
        named = rest
    if not _REPOSITORY.fullmatch(named):
        raise ValueError("is not an image: write NAME or NAME:TAG, the name in lower case, as in team/app:1.0")
    if len(named) > MAX_REPOSITORY:
        raise ValueError(f"is not an image: its name has more than {MAX_REPOSITORY} characters")
    return text


def to_signal(text: str) -> str:
    """Return the name of a signal, with or without ``SIG``, or its number."""
    name = text.upper().removeprefix("SIG")
    if name in _SIGNALS or _REALTIME.fullmatch(name) or _NUMBER.fullmatch(text):
        return text
    raise ValueError("is not a signal: SIGTERM, INT, SIGRTMIN+3, or a number from 1 to 64")


def to_capability(text: str) -> str:
    """Return the name of a capability, with or without ``CAP_``."""
    if _CAPABILITY.fullmatch(text):
        return text
    raise ValueError("is not a capability: they are called NET_ADMIN, SYS_PTRACE or ALL")


def to_platform(text: str) -> str:
    """Return ``OS[/ARCHITECTURE[/VARIANT]]``."""
    if _PLATFORM.fullmatch(text):
        return text
    raise ValueError("is not a platform: write OS/ARCHITECTURE, as in linux/amd64")


@lru_cache(maxsize=4096)
def to_address(text: str) -> str:
    """Return an address of IPv4 or IPv6."""
    from ipaddress import ip_address  # noqa: PLC0415 - few topologies give addresses

    try:
        ip_address(text.strip())
    except ValueError:
        raise ValueError("is not an IP address") from None
    return text


def to_host_entry(text: str) -> str:
    """Return where a further host name may lead: an address, in brackets or not, or this machine."""
    if text == HOST_GATEWAY:
        return text
    try:
        to_address(text.strip("[]"))
    except ValueError:
        raise ValueError(f"does not lead to an IP address or to {HOST_GATEWAY}") from None
    return text


def to_hostname(text: str) -> str:
    """Return a host name."""
    return _check_name(text, MAX_HOSTNAME)


def to_domain(text: str) -> str:
    """Return the name of a domain."""
    return _check_name(text, MAX_DOMAIN)


def _check_name(text: str, longest: int) -> str:
    if _UNPRINTABLE.search(text):
        raise ValueError("must not hold blanks")
    if len(text.encode()) > longest:
        raise ValueError(f"is longer than {longest} characters")
    return text


def to_user(text: str) -> str:
    """Return a user, or a user and a group."""
    if _UNPRINTABLE.search(text):
        raise ValueError("must not hold blanks: write USER or USER:GROUP")
    return text


def to_folder(text: str) -> str:
    """Return an absolute path in the container."""
    if text.startswith("/"):
        return text
    raise ValueError("must begin with `/`: it is a path in the container")
