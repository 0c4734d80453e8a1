"""Who owns an environment, and whether that owner still lives.

An owner is written into labels as ``host/boot/pidspace/pid/start``. Start time and boot id make a reused process id
harmless. Where this process cannot judge (another machine, another pid namespace), the answer is "unknown" and only
the environment's expiry counts.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path


class Liveness(Enum):
    """What is known of an owner."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, named so that it can be found again and not mistaken."""

    host: str
    boot: str
    pid_space: str
    pid: int
    start: str

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
    return Owner(platform.node(), read_boot_id(), _read_pid_space(), pid, _read_start(pid) or "")


def judge(text: str, *, engine_is_local: bool) -> Liveness:
    """Tell whether the owner written in a label lives.

    On an engine of this machine, an owner of an earlier boot is dead; of a remote engine's objects, those of other
    hosts cannot be judged.
    """
    owner = Owner.parse(text)
    if owner is None:
        return Liveness.UNKNOWN
    here = describe_this_process()
    if owner.boot != here.boot:
        return Liveness.DEAD if engine_is_local and owner.host == here.host else Liveness.UNKNOWN
    if owner.pid_space != here.pid_space:
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
def read_boot_id() -> str:
    """Return what tells this boot of this machine from all others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        import psutil  # noqa: PLC0415 - 15 ms that Linux does without

        return str(round(psutil.boot_time()))


@cache
def _read_pid_space() -> str:
    try:
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
