"""Feed the loader with generated files and say what broke: ``python -m tests.fuzz --count 200000 --jobs 2``."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .cases import PROJECT
from .generators import make_case
from .report import describe
from .run import Finding, Tally, minimise, run_many

if TYPE_CHECKING:
    from .cases import Case

REPORT = PROJECT / "docs" / "fuzzing.md"
_NO_CASE = "worker: died"


def main() -> int:
    """Run, report, and return 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=200_000, help="how many files (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="a new one by default")
    parser.add_argument("--case", type=int, help="write the files of this case of the seed, and end")
    parser.add_argument("--no-report", action="store_true", help=f"leave {REPORT.relative_to(PROJECT)} as it is")
    options = parser.parse_args()
    if options.case is not None:
        folder = Path(tempfile.mkdtemp(prefix="envspin-fuzz-case-"))
        make_case(options.seed, options.case).write(folder)
        _say(f"case {options.case} of seed {options.seed} is in {folder}")
        return 0
    start = time.monotonic()
    tally = run_many(options.seed, options.count, options.jobs, _progress(options.count, start))
    text = describe(tally, options.seed, options.jobs, time.monotonic() - start)
    _say("\n" + text)
    if tally.findings:
        _save(tally, options.seed)
    if not options.no_report:
        REPORT.write_text(text, encoding="utf-8")
    return 1 if tally.findings else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _progress(count: int, start: float):
    last = [0.0]

    def show(done: int, tally: Tally) -> None:
        now = time.monotonic()
        if now - last[0] > 2 or done == count:
            last[0] = now
            rate = done / (now - start)
            found = len(tally.findings)
            sys.stdout.write(f"\r{done:,} of {count:,} files, {rate:,.0f} a second, {found} kinds of findings  ")
            sys.stdout.flush()

    return show


def _save(tally: Tally, seed: int) -> None:
    """Write each finding's files, made small, into a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="envspin-fuzz-findings-"))
    scratch = Path(tempfile.mkdtemp(prefix="envspin-fuzz-"))
    for number, finding in enumerate(tally.findings.values()):
        case = make_case(seed, finding.index)
        os.chdir(scratch)
        _write(
            folder / f"{number:02}",
            finding,
            case if finding.kind == _NO_CASE else minimise(case, finding.kind, scratch),
        )
    _say(f"the files of {len(tally.findings)} findings are in {folder}")


def _write(folder: Path, finding: Finding, case: Case) -> None:
    folder.mkdir()
    case.write(folder)
    text = f"{finding.kind}\ncase {finding.index}, {finding.count} alike, allow_unsafe={case.allow_unsafe}\n"
    (folder / "FINDING.txt").write_text(f"{text}paths: {' '.join(case.paths)}\n\n{finding.detail}", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
