"""What the command line costs without an engine: its help, and the plan of a large topology."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from benchmarks.drivers import require
from benchmarks.envspin_driver import find_command
from benchmarks.measure import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SERVICES = 1000
WIDTH = 10


def measure_commands(folder: Path, *, quick: bool, tell: Callable[[str], object]) -> dict[str, list[float]]:
    """Return the seconds of each run of ``python -c pass``, ``envspin --help`` and ``envspin plan``."""
    envspin = find_command()
    samples: dict[str, list[float]] = {"python": [], "help": [], "plan": []}
    for _ in range(5 if quick else 30):
        samples["python"].append(require(run([sys.executable, "-c", "pass"])).seconds)
        samples["help"].append(require(run([*envspin, "--help"])).seconds)
    file = write_large(folder)
    for _ in range(2 if quick else 7):
        samples["plan"].append(require(run([*envspin, "plan", file])).seconds)
    tell("commands: done")
    return samples


def write_large(folder: Path) -> Path:
    """Write a Compose file of 1,000 services in layers, each of which needs two of the layer before."""
    services = {}
    for number in range(SERVICES):
        layer, place = divmod(number, WIDTH)
        needs = {(layer - 1) * WIDTH + (place + step) % WIDTH for step in (0, 3)} if layer else set()
        services[f"service{number}"] = {
            "image": f"registry.example/service{number}:1",
            "environment": {"NUMBER": str(number)},
            "ports": ["8000"],
            "depends_on": {f"service{need}": {"condition": "service_healthy"} for need in sorted(needs)},
            "healthcheck": {"test": ["CMD", "true"], "interval": "1s"},
        }
    file = folder / "large" / "compose.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    # Spread over lines, as a person would have written it.
    file.write_text(json.dumps({"name": "large", "services": services}, indent=2))
    return file
