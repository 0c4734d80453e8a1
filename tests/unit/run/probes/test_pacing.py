"""When is asked, what ends the waiting, and what a failure says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from envspin.run.probes import (
    DeadlinePassed,
    Hopeless,
    InProgress,
    NotReady,
    Prober,
    Refused,
    WaitCancelled,
    wait_until_ready,
)
from envspin.run.probes.base import CHEAP, FOREVER, GENTLE, Pace
from envspin.run.probes.pacing import choose_pause

from .support import FakeClock

Wait = Callable[..., None]


class Scripted:
    """A prober that does what its script says at each check, the last entry for ever; None means ready."""

    def __init__(
        self,
        *script: Exception | None,
        clock: FakeClock,
        pace: Pace = CHEAP,
        takes: float = 0.0,
        name: str = "the service",
    ) -> None:
        self.script = list(script)
        self.clock = clock
        self.pace = pace
        self.takes = takes
        self.name = name
        self.asked_at: list[float] = []
        self.remaining: list[float] = []
        self.closed = 0

    def describe(self) -> str:
        return self.name

    def check(self, remaining: float = FOREVER) -> None:
        self.asked_at.append(self.clock())
        self.remaining.append(remaining)
        self.clock.now += self.takes
        outcome = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if outcome is not None:
            raise outcome

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def wait(clock: FakeClock) -> Wait:
    """Return a function that waits for probers for ``seconds`` of the fake clock."""

    def run(*probers: Prober, seconds: float = 60.0, on_reason: Callable[[str, str], object] | None = None) -> None:
        wait_until_ready(probers, deadline=clock() + seconds, clock=clock, cancelled=clock, on_reason=on_reason)

    return run


def test_a_ready_service_costs_no_pause(wait: Wait, clock: FakeClock) -> None:
    prober = Scripted(None, clock=clock)
    wait(prober)
    assert clock.pauses == []
    assert len(prober.asked_at) == 1


def test_cheap_pauses_stay_a_hundredth_of_the_waited_time(wait: Wait, clock: FakeClock) -> None:
    prober = Scripted(NotReady("no"), clock=clock)
    with pytest.raises(DeadlinePassed):
        wait(prober, seconds=30.0)
    start = prober.asked_at[0]
    pauses = dict(zip(prober.asked_at, clock.pauses, strict=False))
    assert clock.pauses[0] == pytest.approx(0.004)
    for asked_at, pause in list(pauses.items())[:-2]:
        assert pause == pytest.approx(min(max((asked_at - start) * 0.01, 0.004), 0.05))


@pytest.mark.parametrize(
    ("took", "waited", "expected"),
    [(0.0, 0.0, 0.02), (0.1, 0.1, 0.1), (3.0, 3.0, 0.25), (0.05, 20.0, 0.2), (0.05, 600.0, 0.25)],
)
def test_gentle_probes_rest_as_long_as_they_took(took: float, waited: float, expected: float) -> None:
    assert choose_pause(GENTLE, waited=waited, took=took) == pytest.approx(expected)


def test_a_refusal_is_followed_by_a_long_pause(wait: Wait, clock: FakeClock) -> None:
    wait(Scripted(NotReady("starting"), Refused("wrong password"), None, clock=clock))
    assert clock.pauses == pytest.approx([0.004, 0.1])


def test_a_check_in_progress_is_asked_again_without_pause_and_its_whole_time_counts(
    wait: Wait, clock: FakeClock
) -> None:
    running = InProgress("still running")
    wait(Scripted(running, running, NotReady("failed"), None, clock=clock, pace=GENTLE, takes=0.05))
    assert clock.pauses == pytest.approx([0.0, 0.0, 0.15])


def test_the_deadline_says_what_was_awaited_and_why_it_is_not_there(wait: Wait, clock: FakeClock) -> None:
    late = Scripted(NotReady("refused"), NotReady("starting up"), clock=clock, name="postgres to answer")
    fine = Scripted(None, clock=clock, pace=GENTLE, name="the healthcheck")
    with pytest.raises(DeadlinePassed) as caught:
        wait(late, fine, seconds=5.0)
    assert [(one.description, one.reason) for one in caught.value.unmet] == [("postgres to answer", "starting up")]
    assert str(caught.value) == "postgres to answer: starting up"
    assert caught.value.waited == pytest.approx(5.0)
    assert clock() == pytest.approx(1005.0)


def test_checks_are_told_how_much_time_remains(wait: Wait, clock: FakeClock) -> None:
    prober = Scripted(NotReady("no"), clock=clock, takes=1.0)
    with pytest.raises(DeadlinePassed):
        wait(prober, seconds=2.0)
    assert prober.remaining[0] == pytest.approx(2.0)
    assert prober.remaining[1] == pytest.approx(1.0 - 0.01)


def test_a_deadline_in_the_past_still_allows_one_check(wait: Wait, clock: FakeClock) -> None:
    ready = Scripted(None, clock=clock)
    wait(ready, seconds=-1.0)
    assert ready.remaining[0] > 0
    with pytest.raises(DeadlinePassed):
        wait(Scripted(NotReady("no"), clock=clock), seconds=-1.0)


def test_all_probers_must_pass_and_a_passed_one_is_left_alone(wait: Wait, clock: FakeClock) -> None:
    costly = Scripted(None, clock=clock, pace=GENTLE)
    late = Scripted(NotReady("no"), NotReady("no"), None, clock=clock)
    wait(costly, late)
    assert len(costly.asked_at) == 1
    assert len(late.asked_at) == 3


def test_an_early_cheap_pass_is_confirmed_at_the_end(wait: Wait, clock: FakeClock) -> None:
    early = Scripted(None, NotReady("restarting"), None, clock=clock)
    late = Scripted(NotReady("no"), None, clock=clock)
    wait(early, late)
    assert len(early.asked_at) == 3
    assert early.asked_at[-1] >= late.asked_at[-1]


def test_an_early_pass_that_does_not_last_is_no_pass(wait: Wait, clock: FakeClock) -> None:
    early = Scripted(None, NotReady("gone again"), clock=clock, name="the port")
    late = Scripted(NotReady("no"), None, clock=clock, name="the log")
    with pytest.raises(DeadlinePassed, match="the port: gone again"):
        wait(early, late, seconds=1.0)


def test_probers_that_pass_in_one_round_are_not_confirmed(wait: Wait, clock: FakeClock) -> None:
    probers = [Scripted(NotReady("no"), None, clock=clock) for _ in range(3)]
    wait(*probers)
    assert [len(prober.asked_at) for prober in probers] == [2, 2, 2]


def test_each_prober_keeps_its_own_pace(wait: Wait, clock: FakeClock) -> None:
    slow = Scripted(NotReady("no"), clock=clock, pace=GENTLE)
    fast = Scripted(NotReady("no"), clock=clock)
    with pytest.raises(DeadlinePassed):
        wait(slow, fast, seconds=0.2)
    assert len(slow.asked_at) < len(fast.asked_at) / 3


def test_cancelling_ends_a_pause(wait: Wait, clock: FakeClock) -> None:
    clock.cancel_at = 1003.21
    prober = Scripted(NotReady("no"), clock=clock)
    with pytest.raises(WaitCancelled, match="the service: no"):
        wait(prober)
    assert clock() == pytest.approx(1003.21)
    assert prober.closed == 1


def test_cancelling_during_a_check_keeps_the_next_one_from_starting(wait: Wait, clock: FakeClock) -> None:
    clock.cancel_at = 1000.5
    first = Scripted(NotReady("no"), clock=clock, takes=1.0)
    second = Scripted(None, clock=clock)
    with pytest.raises(WaitCancelled):
        wait(first, second)
    assert second.asked_at == []


def test_a_real_event_ends_the_waiting(clock: FakeClock) -> None:
    event = threading.Event()

    class Cancelling(Scripted):
        def check(self, remaining: float = FOREVER) -> None:
            event.set()
            raise NotReady("no")

    with pytest.raises(WaitCancelled):
        wait_until_ready(
            [Cancelling(None, clock=clock)], deadline=time.monotonic() + 60, clock=time.monotonic, cancelled=event
        )


def test_hopeless_ends_the_waiting_and_says_which_prober_gave_up(wait: Wait, clock: FakeClock) -> None:
    first = Scripted(NotReady("no"), clock=clock)
    second = Scripted(NotReady("no"), Hopeless("exited with code 1"), clock=clock, name="the job")
    with pytest.raises(Hopeless) as caught:
        wait(first, second)
    assert caught.value.awaited == "the job"
    assert (first.closed, second.closed) == (1, 1)


def test_every_way_out_closes_each_prober_once(wait: Wait, clock: FakeClock) -> None:
    ready = Scripted(None, clock=clock)
    wait(ready)
    never = Scripted(NotReady("no"), clock=clock)
    with pytest.raises(DeadlinePassed):
        wait(never, seconds=0.1)
    assert (ready.closed, never.closed) == (1, 1)


def test_reasons_are_told_when_they_change(wait: Wait, clock: FakeClock) -> None:
    told: list[tuple[str, str]] = []
    script = [NotReady("a"), NotReady("a"), NotReady("b"), NotReady("a"), None]
    wait(Scripted(*script, clock=clock), on_reason=lambda *change: told.append(change))
    assert told == [("the service", "a"), ("the service", "b"), ("the service", "a")]


def test_no_probers_are_ready(wait: Wait) -> None:
    wait()
