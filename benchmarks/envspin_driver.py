"""envspin as a peer: the same two times as for the others, and what only its own report can tell.

``up -d --json`` says when it noticed each service's readiness, in seconds since the run began; when that was on the
clock follows from its progress events: each is read a moment after its ``at``, so the smallest difference is the
nearest to the beginning, and errs by making detection look later, not sooner.
"""

from __future__ import annotations

import json
import platform
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.drivers import RunError, Timing, remove_labelled, require
from benchmarks.measure import ask, run, undisturbed
from benchmarks.oracle import find_socket, knocking, read_records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measure import Outcome
    from benchmarks.oracle import Truth
    from benchmarks.recipe import Recipe
    from benchmarks.workloads import Workload


def find_command() -> list[str]:
    """Return the console script beside this Python, or the module where there is none."""
    script = Path(sys.executable).with_name("envspin")
    return [str(script)] if script.exists() else [sys.executable, "-m", "envspin"]


class EnvspinDriver:
    """``envspin up -d --json``, then ``envspin down``."""

    name = "envspin"

    def __init__(self, knocker: list[str]) -> None:
        self._command = find_command()
        self._knocker = knocker
        # Only processes on this kernel share its clock.
        known = ask("docker", "info", "--format", "{{.Name}} {{.KernelVersion}}")
        self._shares_clock = known == f"{socket.gethostname()} {platform.release()}"
        self._socket = find_socket() if self._shares_clock else None

    def measure(self, workload: Workload, label: str) -> Timing:
        up = self._bring_up(workload, label)
        return self._finish(workload, label, up, {})

    def watch(self, workload: Workload, label: str) -> Timing:
        """Measure with the oracle knocking beside; raise RunError where that cannot be."""
        if self._socket is None:
            raise RunError("the engine does not run on this kernel, so nobody can knock")
        with knocking(label, workload.recipe, self._knocker, self._socket) as truth:
            up = self._bring_up(workload, label)
        return self._finish(workload, label, up, truth)

    def clean(self, workload: Workload, label: str) -> None:
        del workload
        with undisturbed():
            if ask(*self._command, "down", label) is None:
                remove_labelled(f"envspin.env={label}")

    def _bring_up(self, workload: Workload, label: str) -> Outcome:
        words = [*self._command, "up", str(workload.file), "-d", "--json", "--progress", "json", "--name", label]
        return require(run(words))

    def _finish(self, workload: Workload, label: str, up: Outcome, knocked: Truth) -> Timing:
        document = json.loads(up.output)
        services: dict[str, Any] = document["services"]
        truth: Truth = {}
        if self._shares_clock:
            containers = {name: service["container"] for name, service in services.items()}
            truth = {**knocked, **read_records(workload.recipe, containers)}
        down = require(run([*self._command, "down", label]))
        detection = compare(truth, services, find_beginning(up), workload.recipe)
        details = {
            "ready_seconds": document["ready_seconds"],
            "critical_seconds": find_critical_seconds(workload.recipe, services, detection),
            "detection": detection,
        }
        return Timing(up.seconds, down.seconds, up.peak_mb, details)


def find_beginning(up: Outcome) -> float:
    """Return the moment at which the run began (CLOCK_MONOTONIC)."""
    differences: list[float] = []
    for moment, line in up.errors:
        event = json.loads(line) if line.startswith("{") else {}
        if "at" in event:
            differences.append(moment - event["at"])
    if not differences:
        raise RunError("`up --progress json` told no event")
    return min(differences)


def compare(truth: Truth, services: Mapping[str, Any], began: float, recipe: Recipe) -> list[dict[str, Any]]:
    """Return for each service whose truth is known how long envspin took to notice it, in milliseconds."""
    return [
        {
            "service": name,
            "probe": recipe[name]["probe"]["kind"],
            "source": source,
            "delay_ms": round((began + services[name]["ready_at"] - moment) * 1000, 3),
        }
        for name, (moment, source) in truth.items()
    ]


def find_critical_seconds(recipe: Recipe, services: Mapping[str, Any], detection: list[dict[str, Any]]) -> float:
    """Return the longest path through the graph, each service weighing its start and its time to ready.

    What detection added is taken off where it is known: the path of a run that notices everything at once.
    """
    late: dict[str, float] = {each["service"]: max(each["delay_ms"], 0.0) / 1000 for each in detection}
    paths: dict[str, float] = {}
    for name, service in recipe.items():
        seconds: dict[str, float] = services[name]["seconds"]
        before = max((paths[need] for need in service["needs"]), default=0.0)
        paths[name] = before + seconds["start"] + max(seconds["ready"] - late.get(name, 0.0), 0.0)
    return max(paths.values())
