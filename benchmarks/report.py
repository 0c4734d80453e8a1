"""The raw samples as JSON and the tables as Markdown."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.targets import divide_medians, find_quantile, list_detections, select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.targets import Sample, Verdict

TITLES = {
    "envspin": "envspin",
    "compose": "Compose",
    "testcontainers": "testcontainers",
    "pytest-docker": "pytest-docker",
}


def write_json(file: Path, document: Mapping[str, object]) -> None:
    """Write everything that was measured."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(_round(document), indent=1) + "\n")


def _round(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _round(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_round(each) for each in value]
    return value


def render_tables(
    machine: Mapping[str, Any],
    samples: Sequence[Sample],
    workloads: Sequence[str],
    verdicts: Sequence[Verdict],
    notes: Sequence[str],
) -> str:
    """Return the tables of the README."""
    peers = [peer for peer in TITLES if any(each["peer"] == peer for each in samples)]
    return "\n".join(
        [
            describe_machine(machine),
            "",
            "Seconds until everything is ready, from the start of the command: median (fastest to slowest, runs)",
            "",
            *render_times(samples, workloads, peers, "ready"),
            "",
            "Seconds until everything is removed",
            "",
            *render_times(samples, workloads, peers, "down"),
            "",
            "Detection: milliseconds from really ready to noticed",
            "",
            *render_detections(samples),
            "",
            "Targets",
            "",
            *render_verdicts(verdicts),
            "",
            *(f"- {note}" for note in notes),
            "",
        ]
    )


def describe_machine(machine: Mapping[str, Any]) -> str:
    """Say when and on what it was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    return (
        f"Measured {machine['date']} by `make bench` on {machine['cores']} cores ({machine['processor']}, "
        f"{machine['memory_gb']} GB, Linux {machine['kernel']}), load {machine['load']} at the start. {versions}. "
        "All peers use the same images and take turns in one process tree."
    )


def render_times(samples: Sequence[Sample], workloads: Sequence[str], peers: Sequence[str], value: str) -> list[str]:
    """Return the table of one time: a row for each workload, a column for each peer, and the ratio to Compose."""
    with_ratio = {"envspin", "compose"} <= set(peers)
    heads = ["workload", *(TITLES[peer] for peer in peers), *(["envspin / Compose"] if with_ratio else [])]
    rows = []
    for workload in workloads:
        cells = [describe_cell(samples, workload, peer, value) for peer in peers]
        if with_ratio:
            ours, theirs = (select(samples, workload, peer, value) for peer in ("envspin", "compose"))
            ratio = divide_medians(ours, theirs)
            cells.append("" if ratio is None else f"{ratio:.2f}")
        rows.append([f"`{workload}`", *cells])
    return render_table(heads, rows)


def describe_cell(samples: Sequence[Sample], workload: str, peer: str, value: str) -> str:
    """Return median, range and count, and how many failed."""
    values = select(samples, workload, peer, value)
    failed = sum(
        each["workload"] == workload and each["peer"] == peer and not each["watched"] and "error" in each
        for each in samples
    )
    failures = f"{failed} failed" if failed else ""
    if not values:
        return failures or "not run"
    text = f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}, {len(values)})"
    return f"{text}, {failures}" if failures else text


def render_detections(samples: Sequence[Sample]) -> list[str]:
    """Return the table of detection delays: a row for each kind of probe."""
    found = list_detections(samples)
    rows = []
    for probe in sorted({each["probe"] for each in found}):
        delays = [each["delay_ms"] for each in found if each["probe"] == probe]
        sources = ", ".join(sorted({each["source"] for each in found if each["probe"] == probe}))
        quantiles = [find_quantile(delays, percent) for percent in (50, 95)]
        texts = [f"{value:.1f}" for value in (*quantiles, max(delays)) if value is not None]
        rows.append([probe, sources, str(len(delays)), *texts])
    return render_table(["probe", "truth from", "samples", "p50", "p95", "slowest"], rows)


def render_verdicts(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the table of targets."""
    rows = []
    for verdict in verdicts:
        measured = "" if verdict.measured is None else f"{verdict.measured:.2f}{verdict.unit}"
        rows.append([verdict.what, f"at most {verdict.limit:g}{verdict.unit}", measured, verdict.word])
    return render_table(["target", "limit", "measured", ""], rows)


def render_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [list(heads), ["---"] * len(heads), *(list(row) for row in rows)]
    return [f"| {' | '.join(cells)} |" for cells in lines]
