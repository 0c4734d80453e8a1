"""The peers: each brings a workload up, notes when it was ready, takes it down, and notes when it was gone."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.measure import ask, run, undisturbed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measure import Outcome
    from benchmarks.workloads import Workload

HERE = Path(__file__).parent


class RunError(Exception):
    """A peer did not bring the workload up, or not down."""


@dataclass(slots=True)
class Timing:
    """One run of one peer, in seconds."""

    ready: float
    """From the command's start until everything was ready."""
    down: float
    """From then, or from the start of the command for it, until everything was gone."""
    peak_mb: float
    details: dict[str, Any] = field(default_factory=dict)


class Driver(Protocol):
    """A way to bring services up."""

    name: str

    def measure(self, workload: Workload, label: str) -> Timing:
        """Bring up and down once; raise RunError where that fails."""
        ...

    def clean(self, workload: Workload, label: str) -> None:
        """Remove whatever a run of this label left."""
        ...


class ComposeDriver:
    """``docker compose up -d --wait``, then ``down -v -t 0``."""

    name = "compose"

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def measure(self, workload: Workload, label: str) -> Timing:
        base = [*self._command, "-p", label, "-f", str(workload.file)]
        up = require(run([*base, "up", "-d", "--wait"]))
        down = require(run([*base, "down", "-v", "-t", "0"]))
        return Timing(up.seconds, down.seconds, up.peak_mb)

    def clean(self, workload: Workload, label: str) -> None:
        with undisturbed():
            ask(*self._command, "-p", label, "-f", workload.file, "down", "-v", "-t", "0")


class TestcontainersDriver:
    """A script with the library's containers on one network, one after the other."""

    name = "testcontainers"

    def measure(self, workload: Workload, label: str) -> Timing:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as recipe:
            json.dump(workload.recipe, recipe)
            recipe.flush()
            done = require(
                run(
                    [sys.executable, HERE / "testcontainers_up.py", label, recipe.name],
                    # Its reaper is an image of its own, which a machine without a registry cannot have; leaving it
                    # out is to testcontainers' advantage.
                    environment={"TESTCONTAINERS_RYUK_DISABLED": "true"},
                )
            )
        return split_at_ready(done)

    def clean(self, workload: Workload, label: str) -> None:
        del workload
        with undisturbed():
            remove_labelled(f"envspin.bench={label}")


class PytestDockerDriver:
    """A pytest run with the plugin's fixtures."""

    name = "pytest-docker"

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def measure(self, workload: Workload, label: str) -> Timing:
        ends = {name: workload.recipe[name] for name in workload.ends if workload.recipe[name]["ports"]}
        urls = {
            name: {"port": service["ports"][0], "path": service["probe"].get("path", "/")}
            for name, service in ends.items()
        }
        suite = HERE / "pytest_docker_suite"
        words = [sys.executable, "-m", "pytest", "-qs", "-p", "pytest_docker", "-c", f"{suite}/pytest.ini", str(suite)]
        environment = {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "BENCH_FILE": str(workload.file),
            "BENCH_PROJECT": label,
            "BENCH_COMPOSE": " ".join(self._command),
            "BENCH_ENDS": json.dumps(urls),
        }
        return split_at_ready(require(run(words, environment=environment)))

    def clean(self, workload: Workload, label: str) -> None:
        ComposeDriver(self._command).clean(workload, label)


def require(outcome: Outcome) -> Outcome:
    """Return the outcome of a command that succeeded; raise RunError for another."""
    if outcome.code:
        raise RunError(outcome.explain())
    return outcome


def split_at_ready(outcome: Outcome) -> Timing:
    """Return the times before and after the moment that a command printed itself."""
    said = re.search(r"^ready at ([\d.]+)$", outcome.output, re.MULTILINE)
    if said is None:
        raise RunError("it did not say when it was ready")
    ready = float(said[1])
    return Timing(ready - outcome.began, outcome.ended - ready, outcome.peak_mb)


def remove_labelled(label: str) -> None:
    """Remove the containers, networks and volumes of a label, by id."""
    containers = (ask("docker", "ps", "-aq", "--filter", f"label={label}") or "").split()
    if containers:
        ask("docker", "rm", "--force", "--volumes", *containers)
    networks = (ask("docker", "network", "ls", "-q", "--filter", f"label={label}") or "").split()
    if networks:
        ask("docker", "network", "rm", *networks)
    volumes = (ask("docker", "volume", "ls", "-q", "--filter", f"label={label}") or "").split()
    if volumes:
        ask("docker", "volume", "rm", *volumes)


def list_left(prefix: str) -> list[str]:
    """Return the names of containers, networks and volumes that begin with a prefix, whoever named them."""
    commands = (
        ("docker", "ps", "-a", "--format", "{{.Names}}"),
        ("docker", "network", "ls", "--format", "{{.Name}}"),
        ("docker", "volume", "ls", "--format", "{{.Name}}"),
    )
    names = [name for command in commands for name in (ask(*command, "--filter", f"name={prefix}") or "").split()]
    return sorted(names)
