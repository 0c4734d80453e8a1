"""Who owns an environment, and whether that owner still lives.

An owner is written into labels as ``host/boot/pidspace/pid/start``. Start time and boot id make a reused process id
harmless. Where this process cannot judge (another machine, another pid namespace), the answer is "unknown" and only
the environment's expiry counts. A boot id alone does not tell machines apart: those that were woken from one snapshot
share it.
"""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

MACHINE_ID = Path("/etc/machine-id")


class Liveness(Enum):
    """What is known of an owner."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, named so that it can be found again and not mistaken."""

    host: str
    """As ``read_host`` says."""
    boot: str
    pid_space: str
    """Empty where it cannot be told, as in a pid namespace that still has the /proc of another one."""
    pid: int
    start: str
    """Empty where it cannot be told."""

    def __str__(self) -> str:
        return f"{self.host}/{self.boot}/{self.pid_space}/{self.pid}/{self.start}"

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """Read an owner back from a label; None where the text is none of ours."""
        parts = text.rsplit("/", 4)
        if len(parts) != len(cls.__slots__) or not parts[3].isdigit():
            return None
        return cls(parts[0], parts[1], parts[2], int(parts[3]), parts[4])


def describe_this_process() -> Owner:
    """Return the calling process as an owner."""
    return describe_process(os.getpid())


def describe_process(pid: int) -> Owner:
    """Return a living process of this machine as an owner."""
    pid_space = _read_pid_space()
    return Owner(read_host(), read_boot_id(), pid_space, pid, (_read_start(pid) or "") if pid_space else "")


def judge(text: str, *, engine_is_local: bool) -> Liveness:
    """Tell whether the owner written in a label lives.

    Those of other hosts cannot be judged, whatever the engine: a socket of this machine may lead to another one. On an
    engine of this machine, an owner of an earlier boot is dead.
    """
    owner, here = Owner.parse(text), describe_this_process()
    if owner is None or owner.host != here.host:
        return Liveness.UNKNOWN
    if owner.boot != here.boot:
        return Liveness.DEAD if engine_is_local else Liveness.UNKNOWN
    if owner.pid_space != here.pid_space or not owner.pid_space or not owner.start:
        return Liveness.UNKNOWN
    try:
        start = _read_start(owner.pid)
    except PermissionError:
        return Liveness.UNKNOWN
    if start is None and _is_hidden(owner.pid):
        return Liveness.UNKNOWN
    return Liveness.ALIVE if start == owner.start else Liveness.DEAD


def _is_hidden(pid: int) -> bool:
    """Tell whether a process lives that this user may not see: /proc can be mounted with ``hidepid``."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


@cache
def read_host() -> str:
    """Return what tells this machine from others: its name, and a hash of its id where it has one.

    Neither does alone: machines made of one image may share the id, and many are called ``localhost``. Read once, for
    a name may change while a process lives.
    """
    try:
        machine_id = MACHINE_ID.read_bytes().strip()
    except OSError:
        return platform.node()
    # machine-id(5) asks for an id of the application's own in place of the machine's
    return f"{platform.node()}-{hashlib.sha256(b'envspin:' + machine_id).hexdigest()[:12]}"


@cache
def read_boot_id() -> str:
    """Return what tells this boot of this machine from all others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        import psutil  # noqa: PLC0415 - 15 ms that Linux does without

        return str(round(psutil.boot_time()))


def _read_pid_space() -> str:
    """Return which processes the ids of processes mean; not remembered, for a forked child may be in another space."""
    try:
        if Path("/proc/self").readlink() != Path(str(os.getpid())):
            return ""  # /proc shows the processes of another namespace
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return "host"


def _read_start(pid: int) -> str | None:
    """Return when the process started, in a form that no clock change moves; None where it does not live."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else _ask_psutil(pid)
    except ProcessLookupError:
        return None
    state, start = fields[0], fields[19]  # proc(5): the fields after the name begin with the state, field 3
    return None if state in {"Z", "X"} else start


def _ask_psutil(pid: int) -> str | None:
    import psutil  # noqa: PLC0415 - 15 ms that Linux does without

    try:
        return str(round(psutil.Process(pid).create_time()))
    except psutil.Error:
        return None
