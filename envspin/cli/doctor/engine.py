"""Checks of the engine and of the way to it."""

from __future__ import annotations

import os
import random
import shutil
import socket
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.cli.doctor.finding import Finding
from envspin.cli.doctor.machine import suggest_install
from envspin.engine.docker.client import find_address
from envspin.errors import EngineError, EngineUnreachableError, UsageError
from envspin.run.access import find_host
from envspin.run.environment import Environment
from envspin.run.inventory import list_environments
from envspin.run.janitor import list_doomed
from envspin.run.subnets import choose_pool, choose_subnets, list_taken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from envspin.engine.base import Engine, EngineInfo

CONNECT_SECONDS = 2.0
SAMPLE_MEMBERS = 12
"""Containers on the network whose room is looked for."""

DOCKER_GROUP = "sudo usermod -aG docker $USER   (then log in again)"


def check_address() -> Finding:
    """Say where the engine is looked for, and why there."""
    address, _ = find_address()
    if os.environ.get("DOCKER_HOST"):
        reason = "DOCKER_HOST says so"
    elif os.environ.get("DOCKER_CONTEXT"):
        reason = f"the docker context {os.environ['DOCKER_CONTEXT']} says so"
    elif _find_socket(address) in {None, Path("/var/run/docker.sock")}:
        reason = "the usual place" if address.startswith("unix://") else "the current docker context says so"
    else:
        reason = "found there, or named by the current docker context"
    return Finding("engine address", "ok", f"{address} ({reason})")


def explain_unreachable(error: EngineError) -> Finding:
    """Say why no engine answers, and the command that changes it."""
    if not isinstance(error, EngineUnreachableError):
        return Finding("engine", "fail", error.message, error.hint)
    try:
        address = find_address()[0]
    except EngineUnreachableError:
        return Finding("engine", "fail", error.message, error.hint)
    return Finding("engine", "fail", error.message, _suggest_start(address))


def _suggest_start(address: str) -> str:
    path = _find_socket(address)
    if path is None:
        return f"see that an engine listens at {address}, or unset DOCKER_HOST"
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return DOCKER_GROUP
    if shutil.which("dockerd") is None:
        return suggest_install()
    if Path("/run/systemd/system").is_dir():
        return "sudo systemctl start docker"
    return "envspin engine start" if os.geteuid() == 0 else "sudo envspin engine start"


def _find_socket(address: str) -> Path | None:
    return Path(address.removeprefix("unix://")) if address.startswith("unix://") else None


def describe_engine(info: EngineInfo) -> Finding:
    """Say who answers; an API below 1.41 is refused when connecting."""
    system = f"{info.operating_system}/{info.architecture}"
    return Finding("engine", "ok", f"version {info.version}, API {info.api_version}, {system}")


def check_ports(info: EngineInfo, engine: Engine) -> Finding:
    """See whether published ports are reached, on an environment that runs; else say where they will be."""
    host = find_host(info)
    override = os.environ.get("TESTCONTAINERS_HOST_OVERRIDE")
    where = f"published ports are reached at {host}"
    where += " (TESTCONTAINERS_HOST_OVERRIDE)" if override else ""
    tried = next(_list_endpoints(engine), None)
    if tried is not None:
        reached = _can_connect(*tried)
        shown = f"{tried[0]}:{tried[1]}"
        if reached:
            return Finding("ports", "ok", f"{where}: {shown} answers")
        return Finding("ports", "fail", f"{where}, but {shown} does not answer", _suggest_override())
    if Path("/.dockerenv").exists() and info.is_local and not override and not _shares_network(engine.list_subnets()):
        message = f"{where}, which inside this container is the container itself"
        return Finding("ports", "warn", message, _suggest_override())
    return Finding("ports", "ok", where)


def _suggest_override() -> str:
    return "export TESTCONTAINERS_HOST_OVERRIDE=<the host whose ports the engine publishes>"


def _list_endpoints(engine: Engine) -> Iterator[tuple[str, int]]:
    for summary in list_environments(engine):
        if summary.state != "running":
            continue
        for handle in Environment.open(summary.env, engine=engine).services.values():
            for port, endpoint in handle.endpoints.items():
                if handle.state == "ready" and port.endswith("/tcp"):
                    yield endpoint.host, endpoint.port


def _can_connect(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False


def check_direct_access(info: EngineInfo, subnets: Sequence[str]) -> Finding:
    """See whether this machine routes to the engine's networks: probes then see a service without a proxy between."""
    if info.is_local and _shares_network(subnets):
        return Finding("container addresses", "ok", "reached directly; internal networks work, too")
    message = "not reached directly: probes go through published ports, services on internal networks stay out of reach"
    return Finding("container addresses", "warn" if subnets else "ok", message)


def _shares_network(subnets: Iterable[str]) -> bool:
    """Tell whether the bridge of one of these networks is this machine's own: then its gateway's address is, too.

    The routing table would not tell: it leaves out the bridge of a network without running containers.
    """
    return any(_owns_address(str(IPv4Network(subnet)[1])) for subnet in subnets if ":" not in subnet)


def _owns_address(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True


def check_subnets(info: EngineInfo, subnets: Iterable[str]) -> Finding:
    """See whether a network of an environment finds room in the pools of addresses."""
    fix = "export ENVSPIN_SUBNETS=<another private range, such as 10.77.0.0/16>"
    taken = list_taken(subnets, with_routes=info.is_local)
    try:
        pool = choose_pool(taken)
    except UsageError as error:
        return Finding("subnets", "fail", error.message, error.hint)
    except EngineError as error:
        return Finding("subnets", "fail", error.message, fix)
    choices = choose_subnets(pool, members=SAMPLE_MEMBERS, taken=taken, randomness=random.SystemRandom())
    if next(choices, None) is None:
        return Finding("subnets", "fail", f"no room in {pool}: networks or routes of this machine fill it", fix)
    return Finding("subnets", "ok", f"room in {pool}")


def check_leftovers(engine: Engine, info: EngineInfo) -> Finding:
    """See whether something of earlier runs is still there although nobody wants it."""
    doomed = dict.fromkeys(each.env for each in list_doomed(engine, info))
    if doomed:
        count = f"{len(doomed)} environment{'s' if len(doomed) > 1 else ''} that nobody holds: {', '.join(doomed)}"
        return Finding("leftovers", "warn", count, "envspin gc")
    return Finding("leftovers", "ok", "nothing is left of earlier runs")
