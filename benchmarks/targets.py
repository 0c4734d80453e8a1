"""What was aimed at, and whether the measured numbers reach it."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.topologies import Figures
    from benchmarks.watcher import Figures as WatcherFigures
    from benchmarks.workloads import Workload

Sample = dict[str, Any]
"""One run: workload, peer, round, watched, and either error or ready, down, peak_mb and envspin's details."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target; ``measured`` is None where nothing was measured."""

    what: str
    limit: float
    measured: float | None
    unit: str = ""
    count: int = 0

    @property
    def word(self) -> str:
        if self.measured is None:
            return "not measured"
        return "pass" if self.measured <= self.limit else "miss"

    def describe(self) -> dict[str, object]:
        return {**asdict(self), "verdict": self.word}


def select(samples: Sequence[Sample], workload: str, peer: str, value: str = "ready") -> list[float]:
    """Return one value of the runs that succeeded without the oracle."""
    return [
        each[value]
        for each in samples
        if each["workload"] == workload and each["peer"] == peer and not each["watched"] and "error" not in each
    ]


def find_quantile(values: Sequence[float], percent: int) -> float | None:
    """Return a percentile, interpolated; None of nothing."""
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def divide_medians(over: Sequence[float], under: Sequence[float]) -> float | None:
    """Return the ratio of two medians; None where one is of nothing."""
    return statistics.median(over) / statistics.median(under) if over and under else None


def list_detections(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Return every detection delay that was measured, with its workload."""
    return [{"workload": each["workload"], **detection} for each in samples for detection in each.get("detection", ())]


def judge(
    samples: Sequence[Sample], commands: Mapping[str, Sequence[float]], workloads: Sequence[Workload]
) -> list[Verdict]:
    """Compare all targets with what was measured."""
    return [
        *judge_detection(samples),
        *judge_path(samples),
        *judge_peers(samples, workloads),
        *judge_process(samples, commands),
    ]


def judge_detection(samples: Sequence[Sample]) -> list[Verdict]:
    delays = [each["delay_ms"] for each in list_detections(samples)]
    return [
        Verdict(f"detection delay, p{percent}", limit, find_quantile(delays, percent), " ms", len(delays))
        for percent, limit in ((50, 10.0), (95, 50.0))
    ]


def judge_path(samples: Sequence[Sample]) -> list[Verdict]:
    ratios = [
        each["ready_seconds"] / each["critical_seconds"]
        for each in samples
        if each["peer"] == "envspin" and not each["watched"] and "error" not in each
    ]
    return [
        Verdict(f"time to ready over critical path, p{percent}", limit, find_quantile(ratios, percent), "", len(ratios))
        for percent, limit in ((50, 1.10), (95, 1.25))
    ]


def judge_peers(samples: Sequence[Sample], workloads: Sequence[Workload]) -> list[Verdict]:
    verdicts = []
    for workload in workloads:
        ours, name = select(samples, workload.name, "envspin"), workload.name
        if workload.against_compose is not None:
            ratio = divide_medians(ours, select(samples, name, "compose"))
            verdicts.append(Verdict(f"`{name}`: time to ready over Compose's", workload.against_compose, ratio))
        ratio = divide_medians(ours, select(samples, name, "testcontainers"))
        verdicts.append(Verdict(f"`{name}`: time to ready over testcontainers'", 1.0, ratio))
        downs = [select(samples, name, peer, "down") for peer in ("envspin", "compose")]
        verdicts.append(Verdict(f"`{name}`: time of `down` over Compose's", 1.0, divide_medians(downs[0], downs[1])))
    return verdicts


def judge_process(samples: Sequence[Sample], commands: Mapping[str, Sequence[float]]) -> list[Verdict]:
    peaks = [each["peak_mb"] for each in samples if each["peer"] == "envspin" and "error" not in each]
    plans, helps = commands.get("plan", ()), commands.get("help", ())
    over_python = divide_medians(helps, commands.get("python", ()))
    plan = find_quantile(plans, 50)
    return [
        Verdict("`envspin --help` over `python -c pass`", 2.5, over_python, "", len(helps)),
        Verdict("`envspin plan` of 1,000 services", 1.0, plan, " s", len(plans)),
        Verdict("peak memory of `envspin up`", 120.0, max(peaks, default=None), " MB", len(peaks)),
    ]


def judge_topologies(figures: Figures) -> list[Verdict]:
    """Compare the targets of the pure part with what was measured."""
    loads = [each["load"] + each["plan"] for each in figures["load"]]
    commands = figures["plan_command"]
    orders = [sum(each[part] for part in ("graph", "order", "critical_path")) * 1000 for each in figures["graph"]]
    return [
        *judge_runs("load, validate and plan 1,000 services with anchors", 1.0, loads, " s"),
        *judge_runs("`envspin plan` of that file", 1.0, commands, " s"),
        *judge_runs("graph, order and critical path of 10,000 services", 200.0, orders, " ms"),
        *judge_refusals(figures["refusals"], "seconds", 1.0, " s"),
        *judge_refusals(figures["refusals"], "peak_mb", 100.0, " MB"),
    ]


def judge_watcher(figures: WatcherFigures) -> list[Verdict]:
    """Compare the targets of the watcher with what was measured."""
    idle, ready, kills = figures["idle"], figures["ready"], figures["kills"]
    alone = f"in {idle['seconds']} s without anything to do"
    residents = [idle["resident_mb"], *(each["resident_mb"] for each in kills)]
    shares = [idle["proportional_mb"], *(each["proportional_mb"] for each in kills)]
    peaks = [each["removal_peak_mb"] for each in kills]
    medians = [find_quantile([each["ready_seconds"] for each in ready[switch]], 50) for switch in ("on", "off")]
    cost = (medians[0] - medians[1]) * 1000 if None not in medians else None
    failures = len(figures["failures"])
    tried = len(ready["on"]) + len(ready["off"]) + len(kills) + failures
    return [
        Verdict("idle watcher: largest resident set", 40.0, max(residents), " MB", len(residents)),
        Verdict("idle watcher: largest proportional set", 40.0, max(shares), " MB", len(shares)),
        Verdict("watcher: peak memory while it removes", 40.0, max(peaks, default=None), " MB", len(peaks)),
        Verdict(f"idle watcher: clock ticks of CPU {alone}", 0.0, idle["ticks"], "", 1),
        Verdict(f"idle watcher: wake-ups {alone}", 0.0, idle["wakeups"], "", 1),
        *judge_runs("start of the watcher, alone", 50.0, [each * 1000 for each in figures["starts"]], " ms"),
        Verdict("time to ready, with less without the watcher, p50", 50.0, cost, " ms", len(ready["on"])),
        *judge_runs("SIGKILL until nothing is left", 10.0, [each["gone_seconds"] for each in kills], " s"),
        Verdict("environments that failed", 0.0, failures if tried else None, "", tried),
    ]


def judge_runs(what: str, limit: float, values: Sequence[float], unit: str) -> list[Verdict]:
    """Judge the median and the slowest run."""
    slowest = max(values, default=None)
    return [
        Verdict(f"{what}, p50", limit, find_quantile(values, 50), unit, len(values)),
        Verdict(f"{what}, slowest", limit, slowest, unit, len(values)),
    ]


def judge_refusals(
    refusals: Mapping[str, Sequence[Mapping[str, float]]], value: str, limit: float, unit: str
) -> list[Verdict]:
    """Judge the kind of hostile file that took most by its median, and the one with the worst single run."""
    medians = {kind: statistics.median(each[value] for each in runs) for kind, runs in refusals.items()}
    worsts = {kind: max(each[value] for each in runs) for kind, runs in refusals.items()}
    count = sum(map(len, refusals.values()))
    verdicts = []
    for name, measured in (("p50", medians), ("worst run", worsts)):
        kind = max(measured, key=measured.__getitem__)
        what = f"refusal of the worst of {len(refusals)} hostile files (`{kind}`), {name}"
        verdicts.append(Verdict(what, limit, measured[kind], unit, count))
    return verdicts
