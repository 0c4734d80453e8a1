"""The result of a long run as a page of the documentation."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import yaml

from envspin.topology.codes import CODES

from .generators import SHARES, generator_of
from .run import MAX_GROWTH, MAX_SECONDS, MIB

if TYPE_CHECKING:
    from .run import Tally

HEAD = """# Fuzzing the loader

Written by `make fuzz`. The fuzzer (`tests/fuzz/`) makes files from a seed, loads each, and checks that

- it loads or is refused with `TopologyError`, and nothing else happens;
- every problem has a documented code and a place that exists in the file;
- no message holds the value of a variable or a planted secret;
- what loads plans (or says why not), and renders to a file that means the same;
- loading takes at most {seconds:g} s of processor time, and a refusal at most {growth} MiB.

`pytest tests/fuzz` runs 5,000 files of a fixed seed, and `python -m tests.fuzz --seed SEED --case NUMBER` writes the
files of one case again. The last long run:
"""
_DESCRIPTIONS = {
    "random_bytes": "bytes without any sense",
    "random_words": "soups of YAML's signs and Compose's words",
    "damaged_bytes": "valid files after injuries: bits flipped, pieces cut, doubled, moved, spliced",
    "changed_structure": "valid files with a changed tree: other kinds, keys, anchors, merge keys, tags",
    "grammar_file": "whole files from the tables of keys, right or nearly so",
    "variables_soup": "soups of `${`, operators and quotes in values and in files of variables",
    "several_files": "overlays, `include` and `extends` over up to five files",
    "bomb": "YAML and Compose bombs of every kind that we know",
}


def describe(tally: Tally, seed: int, jobs: int, seconds: float) -> str:
    """Return the page."""
    assert set(_DESCRIPTIONS) == {generator.__name__ for generator in SHARES}
    total, loaded = sum(tally.cases.values()), sum(tally.loaded.values())
    versions = f"envspin {version('envspin')}, Python {platform.python_version()}, PyYAML {version('pyyaml')} "
    versions += "with libyaml" if hasattr(yaml, "CSafeLoader") else "without libyaml"
    slow, large = tally.slowest, tally.largest
    lines = [
        HEAD.format(seconds=MAX_SECONDS, growth=MAX_GROWTH // MIB),
        "| | |",
        "|---|---|",
        f"| date | {datetime.now(UTC):%Y-%m-%d} |",
        f"| versions | {versions} |",
        f"| seed | {seed} |",
        f"| files | {total:,}: {loaded:,} loaded, {total - loaded:,} refused |",
        f"| time | {seconds / 60:.1f} min in {jobs} processes |",
        f"| slowest file | {slow[0]:.2f} s (`{_name(slow[1])}`, case {slow[1]}) |",
        f"| largest refusal | {large[0] / MIB:.0f} MiB (`{_name(large[1])}`, case {large[1]}) |",
        f"| largest file that loads | {tally.largest_loaded[0] / MIB:.0f} MiB |",
        f"| findings | {len(tally.findings)} kinds |",
        "",
        "| generator | files | loaded | what it makes |",
        "|---|---|---|---|",
        *(
            f"| `{name}` | {tally.cases[name]:,} | {tally.loaded[name]:,} | {text} |"
            for name, text in _DESCRIPTIONS.items()
        ),
        "",
        *_describe_codes(tally),
        *_describe_findings(tally),
    ]
    return "\n".join(lines) + "\n"


def _name(index: int) -> str:
    return generator_of(index).__name__ if index >= 0 else "none"


def _describe_codes(tally: Tally) -> list[str]:
    never = sorted(set(CODES) - set(tally.codes))
    told = ", ".join(f"`{code}` {count:,}" for code, count in sorted(tally.codes.items()))
    missing = ", ".join(f"`{code}`" for code in never) or "none"
    return [
        f"Codes by the number of files that they were told of: {told}.",
        "",
        f"Codes that no file met: {missing}.",
        "",
    ]


def _describe_findings(tally: Tally) -> list[str]:
    if not tally.findings:
        return ["Nothing was found that must not be."]
    lines = ["Findings:", ""]
    for finding in tally.findings.values():
        first = finding.detail.strip().splitlines()[-1] if finding.detail.strip() else ""
        lines.append(f"- {finding.kind}: {finding.count:,} files, first case {finding.index}: `{first[:160]}`")
    return lines
