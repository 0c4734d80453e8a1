"""The state of the whole host, so that a thousand cycles can be compared with none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

import docker

_COUNTERS = re.compile(r"^\[\d+:\d+\] |\[\d+:\d+\]$")
_PROC = Path("/proc")
_INTERFACES = Path("/sys/class/net")


@dataclass(frozen=True)
class HostState:
    """Everything that an environment could leave behind, as sets of readable lines."""

    containers: frozenset[str]
    networks: frozenset[str]
    volumes: frozenset[str]
    interfaces: frozenset[str]
    """The host's network interfaces: bridges and the host's ends of containers' links."""
    rules: frozenset[str]
    """Rules of iptables with their table, without counters; empty where it cannot be asked."""
    mounts: frozenset[str]
    """Mount points of containers: overlays, shared memory and network namespaces."""
    processes: frozenset[str]
    """Living processes of envspin (zombies have ended already)."""
    files: frozenset[str]
    """Files below the state directory that was given."""
    own_descriptors: int
    """How many files this process holds open."""
    engine_descriptors: int = 0
    """How many files the engine's process holds open; 0 where it cannot be seen."""

    @classmethod
    def read(cls, state: Path | None = None) -> HostState:
        """Read the state now; ``state`` is envspin's state directory."""
        client = docker.APIClient(version="auto")
        try:
            containers = {f"{each['Id'][:12]} {each['Names'][0]}" for each in client.containers(all=True)}
            networks = {f"{each['Id'][:12]} {each['Name']}" for each in client.networks()}
            volumes = {each["Name"] for each in client.volumes().get("Volumes") or ()}
        finally:
            client.close()
        return cls(
            frozenset(containers),
            frozenset(networks),
            frozenset(volumes),
            frozenset(path.name for path in _INTERFACES.iterdir()) if _INTERFACES.is_dir() else frozenset(),
            _read_rules(),
            _read_mounts(),
            frozenset(f"{pid} {line}" for pid, line in list_processes("envspin") if pid != os.getpid()),
            frozenset(str(path) for path in state.rglob("*") if path.is_file()) if state else frozenset(),
            _count_descriptors(os.getpid()),
            _count_descriptors(find_engine_process() or 0),
        )

    def difference(self, later: HostState, *, descriptors: int = 8) -> list[str]:
        """Say what came and went until ``later``; up to ``descriptors`` more open files are no news."""
        lines = []
        for field in fields(self):
            before, after = getattr(self, field.name), getattr(later, field.name)
            if isinstance(before, frozenset):
                name = field.name.replace("_", " ")
                lines += [f"{name}: + {each}" for each in sorted(after - before)]
                lines += [f"{name}: - {each}" for each in sorted(before - after)]
            elif after - before > descriptors:
                lines.append(f"{field.name.replace('_', ' ')}: {after - before} more, {after} now")
        return lines


def list_processes(part: str) -> list[tuple[int, str]]:
    """Return the pid and command line of each living process whose command line contains ``part``."""
    found = []
    for path in _PROC.iterdir():
        if not path.name.isdigit():
            continue
        try:
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if part in line:  # a zombie's command line is empty
            found.append((int(path.name), line))
    return found


def find_engine_process() -> int | None:
    """Return the pid of the engine's daemon; None where it runs elsewhere."""
    for pid, line in list_processes("dockerd"):
        if Path(line.split()[0]).name == "dockerd":
            return pid
    return None


def remove_images(label: str) -> None:
    """Remove the images with this label, ``key=value``, by all their names."""
    client = docker.APIClient(version="auto")
    try:
        for image in client.images(filters={"label": label}):
            client.remove_image(image["Id"], force=True)
    finally:
        client.close()


def _count_descriptors(pid: int) -> int:
    try:
        return len(list((_PROC / str(pid) / "fd").iterdir()))
    except OSError:
        return 0


def _read_rules() -> frozenset[str]:
    program = shutil.which("iptables-save") or shutil.which("iptables-save", path="/usr/sbin:/sbin")
    if program is None:
        return frozenset()
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    table, rules = "", set()
    for line in done.stdout.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(("-A", ":")):
            rules.add(f"{table} {_COUNTERS.sub('', line).strip()}")
    return frozenset(rules)


def _read_mounts() -> frozenset[str]:
    try:
        rows = (_PROC / "self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    points = (row.split()[1] for row in rows)
    return frozenset(point for point in points if "/docker/" in point or "/containerd/" in point)
