"""What listens where: nothing of an environment may be reached from outside this machine."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import docker
from docker.errors import DockerException

from envspin.run import naming

from .lab import Lab
from .tally import Tally

LOOK_SECONDS = 0.5
LISTENING = "0A"
"""The state of a listening socket in /proc/net/tcp (include/net/tcp_states.h)."""
BOUND = "07"
"""The state of a socket in /proc/net/udp that is not connected."""
ENGINE_PROGRAMS = ("docker-proxy", "dockerd", "rootlessport", "envspin")


@dataclass(frozen=True)
class Listening:
    """A socket that waits for others."""

    protocol: str
    address: str
    port: int
    inode: str

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        address = ipaddress.ip_address(self.address)
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback


def parse_sockets(protocol: str, text: str) -> Iterator[Listening]:
    """Read what /proc/net/tcp, tcp6, udp or udp6 says of sockets that wait."""
    wanted = LISTENING if protocol.startswith("tcp") else BOUND
    for line in text.splitlines()[1:]:
        fields = line.split()
        if fields[3] == wanted:
            address, port = fields[1].split(":")
            words = bytes.fromhex(address)  # 32-bit words in the byte order of a little-endian machine
            raw = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
            yield Listening(protocol, str(ipaddress.ip_address(raw)), int(port, 16), fields[9])


def list_listening() -> set[Listening]:
    """Return all sockets of this machine that wait for others."""
    found: set[Listening] = set()
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        with suppress(OSError):
            found.update(parse_sockets(protocol, Path(f"/proc/net/{protocol}").read_text(encoding="ascii")))
    return found


def find_program(inode: str) -> str:
    """Return the command line of a process that holds a socket; nothing where it cannot be seen."""
    for path in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(path.readlink()) == f"socket:[{inode}]":
                return (path.parents[1] / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


@dataclass
class Exposure:
    """Looks again and again; what it has seen off loopback is kept."""

    stem: str
    """How the names of the environments begin that are looked at."""
    looks: int = 0
    bindings: int = 0
    """Published ports seen, each once for each look."""
    found: set[str] = field(default_factory=set)
    _known: set[Listening] = field(default_factory=list_listening)

    def look(self, client: docker.APIClient) -> None:
        """Look at every published port, and at every socket that is new."""
        self.looks += 1
        for container in client.containers(filters={"label": naming.ENV}):
            env = container["Labels"][naming.ENV]
            if env.startswith(self.stem):
                for port in container["Ports"]:
                    self._judge(env, port)
        for socket in list_listening() - self._known:
            self._known.add(socket)
            program = "" if socket.is_local else find_program(socket.inode)
            if any(name in program for name in ENGINE_PROGRAMS):
                self.found.add(f"{program.split()[0]} listens on {socket.protocol} {socket.address}:{socket.port}")

    def _judge(self, env: str, port: dict[str, object]) -> None:
        if "PublicPort" in port:
            self.bindings += 1
            address = str(port.get("IP", ""))
            if not address or not ipaddress.ip_address(address).is_loopback:
                self.found.add(f"{env}: port {port['PrivatePort']} is published on {address or 'every address'}")


TOTAL = {"looks": 0, "ports": 0}
"""What all suites of this process have looked at."""


@contextmanager
def watching_exposure(lab: Lab, tally: Tally) -> Iterator[Exposure]:
    """Look at what listens as long as the context lasts; whatever is off loopback fails the suite."""
    exposure, ended = Exposure(f"{lab.stem}-"), threading.Event()

    def keep_looking() -> None:
        client = docker.APIClient(version="auto")
        try:
            while not ended.wait(LOOK_SECONDS):
                with suppress(DockerException):  # a busy engine; the next look counts
                    exposure.look(client)
        finally:
            client.close()

    watching = threading.Thread(target=keep_looking, name="exposure", daemon=True)
    watching.start()
    try:
        yield exposure
    finally:
        ended.set()
        watching.join()
        TOTAL["looks"] += exposure.looks
        TOTAL["ports"] += exposure.bindings
        for each in sorted(exposure.found):
            tally.fail(f"exposed (G13): {each}")
