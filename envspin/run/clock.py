"""The time by which expiry is judged: seconds since the machine's boot, which nobody sets, beside the wall clock.

A wall clock may jump (a virtual machine that wakes up, NTP, a hand); what expires by it alone would then be removed
while it is in use, or stay for ever. The boot clock goes on while the machine sleeps and tells nothing on another
machine or after a reboot, so both are written down.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from envspin.run.ownership import read_boot_id


@dataclass(frozen=True, slots=True)
class Clock:
    """One moment, as this machine's clocks tell it."""

    now: float
    """Unix time."""
    boot: str = ""
    """Which boot of which machine ``uptime`` counts from."""
    uptime: float | None = None
    """Seconds since that boot, sleep included; None where the system does not tell."""

    def mark_end(self, seconds: float) -> tuple[float, str]:
        """Return the end of a span that begins now: its Unix time, and by the boot clock ``BOOT/SECONDS`` (or "")."""
        if self.uptime is None or not self.boot:
            return self.now + seconds, ""
        return self.now + seconds, f"{self.boot}/{round(self.uptime + seconds)}"

    def measure_left(self, expires: float | None, by_uptime: str) -> float | None:
        """Return the seconds until an end that ``mark_end`` marked, negative after it; None where nothing tells.

        The boot clock decides where the mark was made in this boot, else the wall clock.
        """
        boot, _, text = by_uptime.rpartition("/")
        end = read_number(text)
        if self.uptime is not None and end is not None and boot and boot == self.boot:
            return end - self.uptime
        return None if expires is None else expires - self.now


def read_clock() -> Clock:
    """Return the present moment."""
    try:
        uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):  # not Linux, or a kernel without it
        return Clock(time.time())
    return Clock(time.time(), read_boot_id(), uptime)


def read_number(text: str) -> float | None:
    """Read a finite number; None where the text is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
