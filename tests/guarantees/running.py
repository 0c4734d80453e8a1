"""Running a suite among its bystanders, with a seed that can be given again."""

from __future__ import annotations

import os
import random
import sys
import time
from datetime import UTC, datetime

from .bystanders import EACH
from .document import BYSTANDERS, Result, describe_machine
from .lab import CLEAN_SECONDS, POLL_SECONDS, Lab
from .suites import Suite
from .tally import Tally

SEED = "ENVSPIN_SEED"
"""The variable that gives a seed to the parts that ``make test`` runs."""
DEFAULT_SEED = 20261123


def read_seed() -> int:
    """Return the seed for the parts: the variable's, else a fixed one."""
    return int(os.environ.get(SEED, DEFAULT_SEED))


def make_seed() -> int:
    """Return a new seed for a full run."""
    return random.SystemRandom().randrange(2**32)


def run_suite(suite: Suite, lab: Lab, *, count: int, seed: int) -> Result:
    """Run one suite and return its result; a bystander that does not survive it is a failure."""
    began = time.monotonic()
    lost: list[str] = []
    with lab.bystanders.watching(lost.append):
        try:
            tally = suite.run(lab, count=count, seed=seed)
        except Exception as error:  # noqa: BLE001 - one suite that breaks must not keep the others from running
            tally = Tally(suite.id, suite.title, seed)
            tally.fail(f"the suite broke: {type(error).__name__}: {error}")
    for problem in (*lost, *_take_leftovers(lab)):
        tally.fail(problem)
    return Result(
        guarantee=suite.id,
        title=suite.title,
        tried=tally.tried,
        failures=sorted(tally.failures),
        notes={**tally.notes, BYSTANDERS: f"{len(lost)} of {3 * EACH}"},
        seed=seed,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        seconds=round(time.monotonic() - began, 1),
        machine=describe_machine(lab.engine),
    )


def _take_leftovers(lab: Lab) -> list[str]:
    """Say what is left of all the environments of a suite that has ended, and remove it."""
    until = time.monotonic() + CLEAN_SECONDS
    while (left := lab.list_left(None)) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    lab.clean()
    return [f"left after the suite: {each.kind} {each.name}, labels {dict(each.labels) or 'none'}" for each in left]


def check_part(suite: Suite, lab: Lab, count: int | None = None) -> Result:
    """Run the part of a suite that ``make test`` runs, say what it did, and fail on any failure."""
    result = run_suite(suite, lab, count=suite.part_count if count is None else count, seed=read_seed())
    sys.stdout.write(f"{result.summary()}\n")
    assert result.tried, f"{suite.id} tried nothing"
    assert not result.failures, "\n".join([result.summary(), *result.failures])
    return result
