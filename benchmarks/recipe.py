"""A Compose file as plain data that every driver understands.

Runs in a process of its own (``python -m benchmarks.recipe FILE``): the benchmark stays small, and so does the floor
under the memory that it measures of its children.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envspin.model import Service

Recipe = dict[str, dict[str, Any]]
"""Service name -> image, command, environment, ports, files, check, probe, needs, job, context; in starting order."""


def read_recipe(file: Path) -> Recipe:
    """Return the recipe of a Compose file; raise RuntimeError with envspin's message where it is wrong."""
    command = [sys.executable, "-m", "benchmarks.recipe", str(file.absolute())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise RuntimeError(f"{file} cannot be read:\n{done.stderr}")
    recipe: Recipe = json.loads(done.stdout)
    return recipe


def describe_topology(file: Path) -> Recipe:
    """Read a Compose file with envspin's own reader."""
    from envspin.run.files import read_sources  # noqa: PLC0415 - only in the process made for it
    from envspin.topology import load_topology  # noqa: PLC0415

    topology = load_topology([file], environ=os.environ)
    contents = read_sources(topology.sources, {**os.environ, **topology.variables})
    recipe: Recipe = {}
    waiting = {name: topology.services[name] for name in topology.services if name in topology.active}
    while waiting:
        free = [name for name, each in waiting.items() if all(need.service in recipe for need in each.depends_on)]
        if not free:
            raise ValueError(f"{', '.join(waiting)} need services that are not there")
        for name in free:
            recipe[name] = describe_service(waiting.pop(name), contents)
    return recipe


def describe_service(service: Service, contents: dict[str, bytes]) -> dict[str, Any]:
    """Return what a driver needs to know of one service."""
    check = service.healthcheck.test if service.healthcheck is not None else None
    return {
        "image": service.image,
        "context": str(service.build.context) if service.build is not None else None,
        "command": list(service.command) if service.command is not None else None,
        "environment": dict(service.environment),
        "ports": [port.container for port in service.ports],
        "files": {grant.target: contents[f"{grant.kind}:{grant.source}"].decode() for grant in service.grants},
        "check": list(check[1:]) if check is not None and check[0] == "CMD" else None,
        "probe": describe_probe(service),
        "needs": [need.service for need in service.depends_on],
        "job": service.job,
    }


def describe_probe(service: Service) -> dict[str, Any]:
    """Return the first probe's kind (its name in ``x-envspin.ready``) and settings."""
    if not service.ready:
        return {"kind": "exit" if service.job else "healthcheck"}
    probe = service.ready[0]
    settings = {name: getattr(probe, name) for name in type(probe).__dataclass_fields__}
    return {"kind": type(probe).__name__.removesuffix("Probe").lower(), **settings}


if __name__ == "__main__":
    print(json.dumps(describe_topology(Path(sys.argv[1]))))
