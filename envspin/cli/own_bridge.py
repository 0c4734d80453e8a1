"""A network bridge for an engine that starts beside another one.

``dockerd --bridge=none`` will not do: it deletes the bridge ``docker0``, which is the other engine's.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path

from envspin.errors import EngineError, UsageError
from envspin.run.subnets import choose_subnets, read_pool, read_routes

MEMBERS = 200
"""Containers that find room on the bridge: those without a network of their own, such as builds."""


def name_bridge(address: str) -> str:
    """Return the name of the bridge for the engine at this address: the kernel takes 15 characters."""
    return f"envspin-{hashlib.sha256(address.encode()).hexdigest()[:7]}"


def make_bridge(name: str) -> None:
    """Make the bridge unless it is there; raise UsageError where this machine lacks the tool for it."""
    if (Path("/sys/class/net") / name).exists():
        return
    taken = [network for network in map(ip_network, read_routes()) if network.version == 4]  # noqa: PLR2004 - IPv4
    subnet = next(choose_subnets(read_pool(), members=MEMBERS, taken=taken, randomness=random.SystemRandom()), None)
    if subnet is None:
        raise UsageError(
            f"no room in {read_pool()} for the engine's bridge", hint="set ENVSPIN_SUBNETS to another range"
        )
    _run_ip("link", "add", name, "type", "bridge")
    _run_ip("address", "add", f"{subnet[1]}/{subnet.prefixlen}", "dev", name)
    _run_ip("link", "set", name, "up")


def remove_bridge(name: str) -> None:
    """Remove the bridge; one that has gone is fine."""
    with suppress(EngineError):
        _run_ip("link", "delete", name, "type", "bridge")


def _run_ip(*words: str) -> None:
    program = shutil.which("ip")
    if program is None:
        raise UsageError("an engine beside another one needs the program `ip`", hint="install iproute2")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EngineError(f"`ip {' '.join(words)}` failed: {done.stderr.strip()}")
