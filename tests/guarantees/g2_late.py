"""G2: creates that the engine carries out long after the owner's death."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from .exposure import watching_exposure
from .lab import CLEAN_SECONDS, Lab
from .owners import OWNER_KINDS, Case, Owner, finish_case, split, start_owner, summarise_times
from .proxy import Call, Fault, FaultProxy
from .suites import suite
from .tally import Tally, Trial

LONGEST = 60.0
"""How many seconds after its owner's death a create may still happen."""
LONGEST_OF_PART = 4.0
SIDE_BY_SIDE = 25
STARTS_AT_ONCE = 4
START_SECONDS = 1.0
"""What one owner of those that start side by side may take until its create is held; they are killed together."""
LEAVE_SECONDS = 35.0
"""How long after the create the watcher may stay."""
CREATES = (("/networks/create", 1), ("/volumes/create", 2), ("/containers/create", 2))
"""The calls that make objects, and how often the topology needs each."""


@dataclass
class Batch:
    """Owners that are killed at the same moment: the start of a later one would sweep after the earlier ones."""

    size: int
    longest: float
    starting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(STARTS_AT_ONCE))
    kinds: Counter[str] = field(default_factory=Counter)
    late: list[float] = field(default_factory=list)
    """Seconds from an owner's death to the create."""
    seconds: list[float] = field(default_factory=list)
    """Seconds from the create to its removal."""
    stays: list[float] = field(default_factory=list)
    """Seconds from the create to the end of the watcher."""

    def __post_init__(self) -> None:
        self.all_held = threading.Barrier(self.size)

    @property
    def start_seconds(self) -> float:
        """How long it may take until all creates are held."""
        return START_SECONDS * self.size


def try_late_create(lab: Lab, trial: Trial, batch: Batch) -> None:
    """Hold a create back, kill its owner meanwhile, and see what becomes of what is made then."""
    chance = trial.random
    pattern, times = chance.choice(CREATES)
    held = batch.start_seconds + chance.uniform(0, batch.longest)
    fault = Fault("delay", "POST", pattern, chance.randint(1, times), seconds=held)
    case = Case(lab, "g2", trial.index)
    with FaultProxy(faults=[fault]) as proxy:
        with batch.starting:
            owner = start_owner(case, chance.choice(OWNER_KINDS), DOCKER_HOST=proxy.address)
            owner.await_that(lambda: proxy.hits > 0)
        try:
            with suppress(threading.BrokenBarrierError):
                batch.all_held.wait(batch.start_seconds + START_SECONDS)
            call = _find_held(proxy)
            if trial.check(
                call is not None and owner.process.poll() is None, "no create was held while its owner lived"
            ):
                assert call is not None
                batch.kinds[call.made[0] if call.made else pattern.split("/")[1].rstrip("s")] += 1
                _watch_end(trial, case, owner, call, batch)
        finally:
            finish_case(trial, case, [owner])


def _find_held(proxy: FaultProxy) -> Call | None:
    return next((call for call in proxy.list_calls() if call.fault), None)


def _watch_end(trial: Trial, case: Case, owner: Owner, call: Call, batch: Batch) -> None:
    owner.end()
    died = time.monotonic()
    while not call.ended and time.monotonic() < died + batch.start_seconds + batch.longest + CLEAN_SECONDS:
        time.sleep(0.05)
    happened = max(call.ended, died)
    what = f"{call.kind}, held back, came {happened - died:.1f} s after its owner's death"
    if not trial.check(call.made is not None, f"{what} and made nothing: status {call.status}"):
        return
    left, gone = case.await_clean((), until=happened + CLEAN_SECONDS)
    trial.check(not left, f"{what}; {CLEAN_SECONDS:g} s later there is {'; '.join(left)}")
    left, ended = case.await_clean([owner.label], until=happened + LEAVE_SECONDS)
    trial.check(not left, f"{what}; {LEAVE_SECONDS:g} s later there is {'; '.join(left)}")
    batch.late.append(happened - died)
    batch.seconds.append(gone - happened)
    batch.stays.append(ended - happened)


@suite("G2", "what the engine makes after its owner's death is removed, too", full=50, part=4)
def run_late_creates(lab: Lab, *, count: int, seed: int) -> Tally:
    """Hold so many creates back, many at a time."""
    tally = Tally("G2", "late creates", seed)
    longest = LONGEST if count > SIDE_BY_SIDE else LONGEST_OF_PART
    batches = [Batch(len(part), longest) for part in split(lab.indices(count), SIDE_BY_SIDE)]
    with watching_exposure(lab, tally):
        for batch, part in zip(batches, split(lab.indices(count), SIDE_BY_SIDE), strict=True):
            tally.run(part, lambda trial, batch=batch: try_late_create(lab, trial, batch), workers=SIDE_BY_SIDE)
    _describe(tally, batches)
    return tally


def _describe(tally: Tally, batches: Sequence[Batch]) -> None:
    kinds = sum((batch.kinds for batch in batches), Counter[str]())
    tally.notes["made late"] = ", ".join(f"{kind}s {number}" for kind, number in kinds.most_common())
    for name, of in {"late by": "late", "removed after": "seconds", "watcher left after": "stays"}.items():
        tally.notes[name] = summarise_times([each for batch in batches for each in getattr(batch, of)])
