"""What is brought up: four usual services, the shop, and three synthetic shapes with known times to ready."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.recipe import read_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.recipe import Recipe

HERE = Path(__file__).parent
SHOP = HERE.parent / "topologies" / "shop" / "compose.yaml"
SERVER_IMAGE = "envspin/bench-server:1"
DELAYS_MS = (50, 500)
"""Between which a synthetic server's time to ready lies; fixed for each service, by the seed of its name."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One Compose file and how often it is measured."""

    name: str
    file: Path
    recipe: Recipe
    rounds: int
    watched: int = 0
    """Further runs of envspin alone, with the oracle knocking beside it."""
    against_compose: float | None = None
    """What part of Compose's time envspin may take."""

    @property
    def ends(self) -> list[str]:
        """The services that no other needs: the ones that a test would talk to."""
        needed = {need for service in self.recipe.values() for need in service["needs"]}
        return [name for name in self.recipe if name not in needed]


@dataclass(frozen=True, slots=True)
class Plan:
    """How often a workload is measured by default."""

    rounds: int
    watched: int = 0
    against_compose: float | None = None


PLANS = {
    "four": Plan(7, watched=4, against_compose=0.5),
    "chain": Plan(7, against_compose=0.5),
    "diamond": Plan(4),
    "star": Plan(3),
    "shop": Plan(4, watched=2, against_compose=0.85),
}

CHAIN = {"one": (), "two": ("one",), "three": ("two",), "four": ("three",), "five": ("four",)}
DIAMOND = {"base": (), "left": ("base",), "right": ("base",), "top": ("left", "right")}
POINTS = tuple(f"point{number}" for number in range(1, 10))
STAR: dict[str, tuple[str, ...]] = {**dict.fromkeys(POINTS, ()), "centre": POINTS}

PROBES: tuple[dict[str, object], ...] = (
    {"tcp": 8000},
    {"http": {"port": 8000, "path": "/"}},
    {"log": "^listening at "},
)


def load_workloads(names: Sequence[str], folder: Path, *, rounds: int | None, quick: bool) -> list[Workload]:
    """Return the workloads of these names; synthetic ones are written into ``folder``."""
    shapes = {"chain": CHAIN, "diamond": DIAMOND, "star": STAR}
    files = {"four": HERE / "four" / "compose.yaml", "shop": SHOP}
    workloads = []
    for name in names:
        plan = PLANS[name]
        file = files.get(name) or write_synthetic(folder, name, shapes[name])
        workloads.append(
            Workload(
                name=name,
                file=file,
                recipe=read_recipe(file),
                rounds=rounds or (1 if quick else plan.rounds),
                watched=min(plan.watched, 1) if quick else plan.watched,
                against_compose=plan.against_compose,
            )
        )
    return workloads


def write_synthetic(folder: Path, name: str, shape: Mapping[str, Sequence[str]]) -> Path:
    """Write the Compose file of a shape (service -> services it needs); JSON is YAML, too."""
    services = {service: describe_server(name, service, needs) for service, needs in shape.items()}
    for number, service in enumerate(services.values()):
        # Every kind of probe has its turn.
        service["x-envspin"] = {"ready": PROBES[number % len(PROBES)]}
    file = folder / name / "compose.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"name": name, "services": services}, indent=2))
    return file


def describe_server(workload: str, service: str, needs: Sequence[str]) -> dict[str, object]:
    """Return a synthetic server as a Compose service."""
    delay = random.Random(f"{workload}/{service}").randint(*DELAYS_MS)
    return {
        "image": SERVER_IMAGE,
        "environment": {"DELAY_MS": str(delay), "NEEDS": " ".join(f"{need}:8000" for need in needs)},
        "ports": ["8000"],
        "depends_on": {need: {"condition": "service_healthy"} for need in needs},
        "healthcheck": {
            "test": ["CMD", "bash", "-c", "exec 3<> /dev/tcp/127.0.0.1/8000"],
            "interval": "1s",
            "timeout": "3s",
            "retries": 60,
        },
    }
