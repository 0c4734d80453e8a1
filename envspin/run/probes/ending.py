"""How a container ended, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envspin.engine.base import ContainerInfo

ENDED = frozenset({"exited", "dead"})


def describe_end(info: ContainerInfo) -> str:
    """Say how the container ended; return an empty text while it has not."""
    if info.status not in ENDED:
        return ""
    if info.oom_killed:
        return "the container was killed for using too much memory"
    if info.exit_code is None:
        return f"the container is {info.status}"
    return f"the container exited with code {info.exit_code}"
