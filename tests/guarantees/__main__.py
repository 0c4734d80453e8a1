"""Run the full suites and write docs/guarantees.md: ``python -m tests.guarantees [--only G1,G6] [--count N]``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict

from .document import PAGE, Result, Results, sort_out
from .lab import PROJECT, Lab
from .mutations import run_mutations
from .running import make_seed, run_suite
from .suites import Suite, load_suites


def main() -> int:
    """Run what was asked for, say and keep what it came to, and return 1 if anything failed."""
    options = _parse()
    heed_signals()
    only = set(filter(None, (options.only or "").split(",")))
    if options.mutations:
        return run_mutations(only, _say)
    failed = False
    with Lab(only_index=options.index, match=options.match) as lab:
        for suite in load_suites(only).values():
            result = _run(suite, lab, options)
            failed = failed or bool(result.failures)
    return 1 if failed else 0


def heed_signals() -> None:
    """Undo what may have been inherited: owners started under nohup, or in a shell's background, ignore signals."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.guarantees", description=__doc__)
    parser.add_argument("--only", help="guarantees by comma; all by default")
    parser.add_argument("--count", type=int, help="how many tries of each; the full count by default")
    parser.add_argument("--part", action="store_true", help="try as many as `make test` does")
    parser.add_argument("--seed", type=int, default=make_seed(), help="a new one by default")
    parser.add_argument("--index", type=int, help="try this number of the seed alone")
    parser.add_argument("--match", default="", help="a regular expression for the cases of suites that list theirs")
    parser.add_argument("--mutations", action="store_true", help="break a copy of the code and see the suites fail")
    parser.add_argument("--no-report", action="store_true", help=f"leave {PAGE.relative_to(PROJECT)} as it is")
    parser.add_argument("--json", action="store_true", help="print the results as lines of JSON")
    return parser.parse_args()


def _run(suite: Suite, lab: Lab, options: argparse.Namespace) -> Result:
    count = options.count or (suite.part_count if options.part else suite.full_count)
    _say(f"{suite.id} {suite.title}: {count:,} to try, seed {options.seed}", to_stderr=options.json)
    result = run_suite(suite, lab, count=count, seed=options.seed)
    for failure in result.failures:
        _say(f"  {failure}", to_stderr=options.json)
    _say(json.dumps(asdict(result)) if options.json else result.summary())
    if not options.no_report and options.index is None and not options.match:
        results = Results.read()  # read again each time: another run may have written meanwhile
        cleaned = sort_out(result.failures, [str(lab.folder), str(PROJECT)])
        results.suites[suite.id] = Result(**{**asdict(result), "failures": cleaned})
        results.write()
    return result


def _say(text: str, *, to_stderr: bool = False) -> None:
    stream = sys.stderr if to_stderr else sys.stdout
    stream.write(text + "\n")
    stream.flush()


if __name__ == "__main__":
    raise SystemExit(main())
