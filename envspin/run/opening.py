"""The way to a topology and to an engine, for all that begins with them; cheap to import."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.model import Topology

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envspin.engine.base import Engine


def load(
    topology: str | Path | Sequence[str | Path] | Topology,
    *,
    profiles: Sequence[str] = (),
    env_files: Sequence[str | Path] = (),
    allow_unsafe: bool = False,
) -> Topology:
    """Return a topology from a folder, a file or several, unless it is loaded already; raise TopologyError."""
    from envspin.topology import find_compose_file, load_topology  # noqa: PLC0415 - not needed for a loaded one

    if isinstance(topology, Topology):
        return topology
    paths = [topology] if isinstance(topology, str | Path) else list(topology)
    return load_topology(
        [find_compose_file(Path(path)) for path in paths],
        environ=os.environ,
        env_files=[Path(path) for path in env_files],
        profiles=profiles,
        allow_unsafe=allow_unsafe,
    )


def connect() -> Engine:
    """Return the engine that the docker command line would use; raise EngineUnreachableError."""
    from envspin.engine.docker import DockerEngine  # noqa: PLC0415 - the SDK takes 150 ms to import

    return DockerEngine.connect()
