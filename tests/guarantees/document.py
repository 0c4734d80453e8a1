"""The results of full runs: kept as data beside the page of the documentation that is written from them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from envspin.engine.base import Engine

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "guarantees.md"
DATA = DOCS / "guarantees.json"
BYSTANDERS = "bystanders lost"
"""The note in which each suite says what became of them."""
_MOST_FAILURES = 50
_GIB = 1 << 30
_HEAD = """# What must hold, and what was tried

Written by `make guarantees` from the suites in `tests/guarantees/`. Each row is the last full run of one guarantee.
While a suite ran, 20 containers, 20 networks and 20 volumes of somebody else with labels and names that are nearly
ours stood by; one that does not survive unchanged is a failure. `make test` runs a part of each suite with a fixed
seed (`ENVSPIN_SEED` gives another), and `python -m tests.guarantees --only ID --seed SEED --index NUMBER` tries one
case again.
"""


@dataclass(frozen=True)
class Result:
    """What a run of one suite came to."""

    guarantee: str
    title: str
    tried: int
    failures: list[str]
    notes: dict[str, str]
    seed: int
    date: str
    seconds: float
    machine: dict[str, str]
    """What it ran on, in general words."""

    def summary(self) -> str:
        """Return one line for the terminal."""
        notes = "".join(f", {key} {value}" for key, value in self.notes.items())
        return (
            f"{self.guarantee} {self.title}: {self.tried:,} tried, {len(self.failures)} failed, "
            f"seed {self.seed}, {self.seconds:.0f} s{notes}"
        )


@dataclass(frozen=True)
class MutationResult:
    """What became of one deliberate breakage."""

    name: str
    broken: str
    """What was broken, in words."""
    suite: str
    caught_by: str
    """The first failure that the suite told; empty where it noticed nothing."""
    date: str


@dataclass
class Results:
    """Everything that the page says."""

    suites: dict[str, Result] = field(default_factory=dict)
    mutations: dict[str, MutationResult] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path = DATA) -> Results:
        """Read what earlier runs kept; nothing where there were none."""
        if not path.exists():
            return cls()
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            {each["guarantee"]: Result(**each) for each in document["suites"]},
            {each["name"]: MutationResult(**each) for each in document["mutations"]},
        )

    def write(self, data: Path = DATA, page: Path = PAGE) -> None:
        """Keep the data and write the page, each beside itself first so that it is whole whatever happens."""
        document = {
            "suites": [asdict(each) for each in self._sorted()],
            "mutations": [asdict(each) for each in self.mutations.values()],
        }
        _replace(data, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        _replace(page, self.render())

    def render(self) -> str:
        """Return the page."""
        return "\n".join([_HEAD, *self._render_table(), *self._render_failures(), *self._render_mutations()]) + "\n"

    def _sorted(self) -> list[Result]:
        return sorted(self.suites.values(), key=lambda each: (_number(each.guarantee), each.guarantee))

    def _render_table(self) -> list[str]:
        results = self._sorted()
        machines = list(dict.fromkeys(json.dumps(each.machine) for each in results))
        rows = {
            each.guarantee: f"| {each.guarantee} | {each.title} | {each.tried:,} | {len(each.failures)} | {each.seed} "
            f"| {each.date} | {each.seconds / 60:.1f} | {machines.index(json.dumps(each.machine)) + 1} |"
            for each in results
        } | _render_bystanders(results)
        lines = ["| | guarantee | tried | failures | seed | date | minutes | on |", "|---|---|---|---|---|---|---|---|"]
        lines += [rows[key] for key in sorted(rows, key=lambda key: (_number(key), key))]
        lines.append("")
        for number, machine in enumerate(machines, 1):
            lines.append(f"{number}. " + ", ".join(f"{key} {value}" for key, value in json.loads(machine).items()))
        notes = [f"- {each.guarantee}: {_join(each.notes)}" for each in results if each.notes]
        return [*lines, "", *notes, ""]

    def _render_failures(self) -> list[str]:
        failures = [failure for each in self._sorted() for failure in each.failures[:_MOST_FAILURES]]
        hidden = sum(max(0, len(each.failures) - _MOST_FAILURES) for each in self.suites.values())
        if not failures:
            return ["No failure was met in these runs."]
        more = [f"- and {hidden} more of the same suites"] if hidden else []
        return ["Failures of these runs:", "", *(f"- {_escape(each)}" for each in failures), *more]

    def _render_mutations(self) -> list[str]:
        if not self.mutations:
            return []
        return [
            "",
            "## Suites that can fail",
            "",
            "`python -m tests.guarantees --mutations` breaks a copy of the code on purpose, once for each row, and",
            "demands that the suite's part fails.",
            "",
            "| broken | suite | caught by | date |",
            "|---|---|---|---|",
            *(
                f"| {each.broken} | {each.suite} | {_escape(each.caught_by) or '**nothing**'} | {each.date} |"
                for each in self.mutations.values()
            ),
        ]


def _render_bystanders(results: Iterable[Result]) -> dict[str, str]:
    """Put G4 together from what all suites say of the bystanders: lost ones, of how many."""
    told = [(each.notes[BYSTANDERS].split(" of "), each.date) for each in results if BYSTANDERS in each.notes]
    if not told:
        return {}
    lost, of = (sum(int(counts[place]) for counts, _ in told) for place in (0, 1))
    title = f"only what is ours goes: bystanders beside the {len(told)} suites of this page"
    return {"G4": f"| G4 | {title} | {of:,} | {lost} | | {max(date for _, date in told)} | | |"}


def describe_machine(engine: Engine) -> dict[str, str]:
    """Say what the suites run on, in general words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "envspin": version("envspin"),
        "engine": engine.info().version,
        "kernel": ".".join(platform.release().split(".")[:2]),
        "Python": platform.python_version(),
        "cores": str(os.cpu_count()),
        "memory": f"{round(memory / _GIB)} GiB",
    }


def _join(notes: dict[str, str]) -> str:
    return "; ".join(f"{key} {value}" for key, value in notes.items())


def _number(guarantee: str) -> int:
    return int("".join(filter(str.isdigit, guarantee)) or 0)


def _escape(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())[:400]


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def sort_out(lines: Iterable[str], secrets: Iterable[str]) -> list[str]:
    """Return failures without what does not belong into a published page: paths of this machine."""
    cleaned = list(lines)
    for secret in secrets:
        cleaned = [line.replace(secret, "...") for line in cleaned]
    return cleaned
