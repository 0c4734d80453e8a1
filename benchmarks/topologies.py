"""How fast and how small the pure part is: text to topology to plan, and the refusal of hostile files; no engine.

Each figure is of a process of its own (``benchmarks/pure.py``), taken after its imports.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.drivers import require
from benchmarks.envspin_driver import find_command
from benchmarks.hostile import KINDS
from benchmarks.measure import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Figures = dict[str, Any]
"""What ``benchmarks.pure`` measured: ``load``, ``graph``, each kind of ``refusals``; seconds of ``plan_command``."""

FILE_SERVICES = 1000
SEED = 20261123
MAX_NEEDS = 3


def measure_topologies(folder: Path, *, quick: bool, tell: Callable[[str], object]) -> Figures:
    """Measure everything, each in processes of its own; raise RunError where one fails."""
    rounds = 2 if quick else 7
    file = folder / "anchors.yaml"
    file.write_text(write_anchored(FILE_SERVICES))
    figures: Figures = {"load": [], "graph": [], "plan_command": [], "refusals": {}}
    for _ in range(rounds):
        figures["load"].append(call("load", file))
        figures["plan_command"].append(require(run([*find_command(), "plan", file])).seconds)
        figures["graph"].append(call("graph", file))
    operations = statistics.median(each["operations"] for each in figures["graph"]) * 1000
    tell(f"topologies: loaded and planned; all operations of 10,000 services took {operations:.0f} ms (no target)")
    for number, (kind, make) in enumerate(KINDS.items()):
        place = folder / f"hostile{number}"
        place.mkdir()
        for name, content in make().items():
            (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        figures["refusals"][kind] = [call("refuse", place / "compose.yaml") for _ in range(1 if quick else 3)]
    tell(f"topologies: {len(KINDS)} kinds of hostile files refused")
    return figures


def call(action: str, file: Path) -> dict[str, Any]:
    """Run an action of ``benchmarks.pure`` in an interpreter of its own; return what it measured."""
    measured: dict[str, Any] = json.loads(require(run([sys.executable, "-m", "benchmarks.pure", action, file])).output)
    return measured


def write_anchored(count: int) -> str:
    """Return a Compose file whose services share anchors, merge keys and variables, as a person would write it."""
    rng = random.Random(SEED)
    lines = [
        "name: large",
        "x-service: &service",
        "  restart: unless-stopped",
        "  networks: [backend]",
        "  labels: &labels {team: platform, tier: backend}",
        "  healthcheck: {test: [CMD, curl, -f, 'http://localhost:8080/health'], interval: 5s, retries: 10}",
        "x-environment: &environment",
        "  LOG_LEVEL: ${LOG_LEVEL:-info}",
        "  REGION: eu",
        "networks: {backend: {}}",
        "services:",
    ]
    for number in range(count):
        lines += [
            f"  service{number}:",
            "    <<: *service",
            f"    image: registry.example/service{number}:${{TAG:-1.0}}",
            f"    environment: {{<<: *environment, NUMBER: '{number}', URL: 'http://service{number}:8080/'}}",
            "    ports: ['8080']",
            "    depends_on:",
            *(f"      service{need}: {{condition: service_healthy}}" for need in choose_needs(rng, number)),
        ]
    return "\n".join(lines) + "\n"


def choose_needs(rng: random.Random, number: int) -> list[int]:
    """Return which earlier ones a service depends on, at random."""
    return sorted(rng.sample(range(number), min(number, rng.randint(0, MAX_NEEDS))))
