"""Measure envspin and its peers side by side: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import peers
from benchmarks.commands import measure_commands
from benchmarks.drivers import ComposeDriver, Driver, PytestDockerDriver, RunError, TestcontainersDriver, list_left
from benchmarks.envspin_driver import EnvspinDriver, find_command
from benchmarks.images import build_images
from benchmarks.measure import ask, undisturbed
from benchmarks.oracle import make_knocker
from benchmarks.report import TITLES, render_tables, render_verdicts, write_json
from benchmarks.targets import judge, judge_topologies, judge_watcher
from benchmarks.topologies import measure_topologies
from benchmarks.watcher import measure_watcher
from benchmarks.workloads import PLANS, load_workloads

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from benchmarks.drivers import Timing
    from benchmarks.targets import Sample, Verdict
    from benchmarks.workloads import Workload

RESULTS = Path(__file__).parent / "results"
SETTLE_SECONDS = 0.3
"""Between two runs, for what the kernel still takes down."""

PYTEST_DOCKER_EVERY = 3
"""In which rounds pytest-docker takes part; it brings Compose up beneath and tells little that is new."""

BUSY_LOAD_PER_CORE = 0.5
INTERRUPTED = 130

TOPOLOGY = "topology"
"""Among the workloads, what needs no engine: loading, ordering and refusing files."""

WATCHER = "watcher"
"""Among the workloads, what no peer has; measured only where asked for, for the pauses that it consists of."""

APART = {TOPOLOGY: (measure_topologies, judge_topologies), WATCHER: (measure_watcher, judge_watcher)}
"""What is measured without peers, and written to a file of its own where nothing else is asked for."""

NOTES = [
    "Compose and pytest-docker poll healthchecks of 1 s, the shortest that engines before 25 take.",
    "testcontainers starts one service after the other and polls every 0.1 s (its default is 1 s); its reaper is off.",
    "pytest-docker's and testcontainers' removal is in their own process, so it has no start of a command to pay for.",
    "pytest-docker brings Compose up beneath; it takes part in every third round.",
    "A job (`exit`) was really ready when its process ended; the engine tells that tens of milliseconds later.",
]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of each: shows that it works, measures little")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of every workload, instead of its own number")
    names = [*PLANS, *APART]
    parser.add_argument("--only", type=split(names), default=[*PLANS, TOPOLOGY], metavar="A,B", help=", ".join(names))
    parser.add_argument("--peers", type=split(TITLES), default=list(TITLES), metavar="A,B", help=", ".join(TITLES))
    parser.add_argument("--no-fetch", action="store_true", help="do not fetch Compose where it is missing")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where to write")
    return parser.parse_args(arguments)


def split(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return a parser of comma-separated names, in the order in which they are known."""

    def parse_names(text: str) -> list[str]:
        names = {name.strip() for name in text.split(",")}
        if unknown := names - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join(known)}")
        return [name for name in known if name in names]

    return parse_names


def find_drivers(names: Sequence[str], compose: list[str] | None, folder: Path) -> tuple[list[Driver], list[str]]:
    """Return the drivers of the wanted peers, and what to say about those that are missing."""
    drivers: list[Driver] = []
    missing = []
    for name in names:
        if name == "envspin":
            drivers.append(EnvspinDriver(make_knocker(folder)))
        elif name in {"compose", "pytest-docker"} and compose is None:
            missing.append(f"{TITLES[name]} was not measured: Docker Compose is not on this machine.")
        elif name == "compose" and compose is not None:
            drivers.append(ComposeDriver(compose))
        elif peers.find_version(name) is None:
            missing.append(f"{TITLES[name]} was not measured: it is not installed (extra `bench`).")
        elif name == "pytest-docker" and compose is not None:
            drivers.append(PytestDockerDriver(compose))
        else:
            drivers.append(TestcontainersDriver())
    return drivers, missing


class Bench:
    """Runs and keeps samples; whatever breaks a run off, its environment is removed before going on."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._runs = 0
        self.prefix = f"bench{os.getpid()}-"

    def measure_all(self, workload: Workload, drivers: Sequence[Driver]) -> None:
        """Measure a workload: envspin once for nothing, then everybody by turns, then envspin with the oracle."""
        ours = [driver for driver in drivers if isinstance(driver, EnvspinDriver)]
        for driver in ours:
            self.attempt(driver.measure, driver, workload, None)
        for number in range(workload.rounds):
            for peer in drivers:
                if peer.name != "pytest-docker" or number % PYTEST_DOCKER_EVERY == 0:
                    self.attempt(peer.measure, peer, workload, number)
        for number in range(workload.watched):
            for driver in ours:
                self.attempt(driver.watch, driver, workload, number, watched=True)

    def attempt(
        self,
        action: Callable[[Workload, str], Timing],
        driver: Driver,
        workload: Workload,
        number: int | None,
        *,
        watched: bool = False,
    ) -> None:
        """Run once and keep the sample, unless it is a warm-up (``number`` is None)."""
        self._runs += 1
        label = f"{self.prefix}{self._runs}-{workload.name}"
        sample: Sample = {"workload": workload.name, "peer": driver.name, "round": number, "watched": watched}
        try:
            timing = action(workload, label)
        except RunError as error:
            driver.clean(workload, label)
            sample["error"] = str(error)
            tell(f"{workload.name} {driver.name}: FAILED: {error}")
        except BaseException:
            driver.clean(workload, label)
            raise
        else:
            values = asdict(timing)
            sample.update(values.pop("details"), **values)
            kind = "warm-up" if number is None else f"{'watched ' if watched else ''}round {number + 1}"
            tell(f"{workload.name} {driver.name} {kind}: ready {timing.ready:.2f} s, down {timing.down:.2f} s")
        if number is not None:
            self.samples.append(sample)
        time.sleep(SETTLE_SECONDS)


def tell(text: str) -> None:
    """Say on stderr what is going on."""
    print(text, file=sys.stderr, flush=True)


def measure_apart(name: str, options: argparse.Namespace, folder: Path) -> int:
    """Measure what has no peers, and write it to a file of its own."""
    machine = peers.describe_machine(None)
    measure_part, judge_part = APART[name]
    figures = measure_part(folder, quick=options.quick, tell=tell)
    verdicts = judge_part(figures)
    targets = [verdict.describe() for verdict in verdicts]
    publish(options.results / f"{name}.json", {"machine": machine, name: figures, "targets": targets}, verdicts)
    return 0


def measure(options: argparse.Namespace, folder: Path) -> int:
    """Measure and write; return the exit code."""
    if len(options.only) == 1 and options.only[0] in APART:
        return measure_apart(options.only[0], options, folder)
    if ask("docker", "version") is None:
        tell("no container engine answers; `envspin doctor` says what to do")
        return 4
    compose = peers.find_compose(fetch=not options.no_fetch)
    machine = peers.describe_machine(compose)
    drivers, notes = find_drivers(options.peers, compose, folder)
    if machine["load"] > BUSY_LOAD_PER_CORE * machine["cores"]:
        notes.append(f"The machine was busy (load {machine['load']}): the numbers mean little.")
    if len(find_command()) > 1:
        notes.append("There is no console script beside this Python: envspin ran as `python -m envspin`.")
    names = [name for name in options.only if name not in APART]
    workloads = load_workloads(names, folder, rounds=options.rounds, quick=options.quick)
    tell("building images")
    build_images(workloads)
    bench = Bench()
    commands: dict[str, list[float]] = {}
    if "envspin" in options.peers:
        commands = measure_commands(folder, quick=options.quick, tell=tell)
    apart = {
        name: measure_part(folder, quick=options.quick, tell=tell)
        for name, (measure_part, _) in APART.items()
        if name in options.only
    }
    left = measure_workloads(bench, workloads, drivers)
    notes += [f"Left behind by a peer: {', '.join(left)}."] if left else []
    verdicts = judge(bench.samples, commands, workloads)
    verdicts += [verdict for name, figures in apart.items() for verdict in APART[name][1](figures)]
    document = {
        "machine": machine,
        "options": {"quick": options.quick, "rounds": {workload.name: workload.rounds for workload in workloads}},
        "samples": bench.samples,
        "commands": commands,
        **apart,
        "targets": [verdict.describe() for verdict in verdicts],
        "notes": [*NOTES, *notes],
    }
    tables = render_tables(machine, bench.samples, names, verdicts, [*NOTES, *notes])
    (options.results / "README-table.md").write_text(tables)
    publish(options.results / "latest.json", document, verdicts)
    return 0


def measure_workloads(bench: Bench, workloads: Sequence[Workload], drivers: Sequence[Driver]) -> list[str]:
    """Measure them one after the other; return what is left behind, and say so however it ends."""
    left: list[str] = []
    try:
        for workload in workloads:
            bench.measure_all(workload, drivers)
    finally:
        with undisturbed():
            left += list_left(bench.prefix)
        tell(f"left behind: {', '.join(left)}" if left else "nothing was left behind")
    return left


def publish(path: Path, document: dict[str, object], verdicts: Sequence[Verdict]) -> None:
    """Write the figures and say how they compare with the targets."""
    write_json(path, document)
    print("\n".join(render_verdicts(verdicts)))
    tell(f"written to {path.parent}")


def main() -> int:
    """Run the benchmark; Ctrl-C and SIGTERM remove what is running and end it."""
    options = parse(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM):  # the first is ignored where a shell runs this in the background
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="envspin-bench-") as folder:
        try:
            return measure(options, Path(folder))
        except KeyboardInterrupt:
            tell("interrupted")
            return INTERRUPTED
        except RuntimeError as error:
            tell(str(error))
            return 4


if __name__ == "__main__":
    sys.exit(main())
