"""Probes that only look at the container's state: running and completed."""

from __future__ import annotations

import pytest

from envspin.model import CompletedProbe, RunningProbe
from envspin.run.probes import Hopeless, NotReady
from envspin.run.probes.completed import CompletedProber
from envspin.run.probes.running import RunningProber

from .support import FakeClock, FakeTarget, MakeTarget


@pytest.fixture
def box(make_target: MakeTarget) -> FakeTarget:
    return make_target()


@pytest.fixture
def running(box: FakeTarget, clock: FakeClock) -> RunningProber:
    return RunningProber(RunningProbe(seconds=0.3), box, clock=clock)


def test_running_counts_from_the_first_look(running: RunningProber, clock: FakeClock) -> None:
    with pytest.raises(NotReady, match=r"run for 0\.0 of 0\.3 s"):
        running.check()
    clock.now += 0.2
    with pytest.raises(NotReady, match=r"run for 0\.2 of 0\.3 s"):
        running.check()
    clock.now += 0.11
    running.check()


@pytest.mark.parametrize("status", ["created", "restarting", "paused"])
def test_a_stop_between_starts_the_count_again(
    status: str, running: RunningProber, box: FakeTarget, clock: FakeClock
) -> None:
    with pytest.raises(NotReady):
        running.check()
    box.status = status
    clock.now += 0.4
    with pytest.raises(NotReady, match=f"the container is {status}"):
        running.check()
    box.status = "running"
    with pytest.raises(NotReady, match=r"run for 0\.0"):
        running.check()


@pytest.mark.parametrize(
    ("exit_code", "reason"),
    [
        (0, "the container exited with code 0"),
        (3, "the container exited with code 3"),
        (None, "the container is exited"),
    ],
)
def test_running_has_no_hope_for_an_ended_container(
    exit_code: int | None, reason: str, running: RunningProber, box: FakeTarget
) -> None:
    box.status, box.exit_code = "exited", exit_code
    with pytest.raises(Hopeless, match=f"^{reason}$"):
        running.check()


@pytest.fixture
def completed(box: FakeTarget) -> CompletedProber:
    return CompletedProber(CompletedProbe(), box)


def test_a_job_is_ready_when_it_has_succeeded(completed: CompletedProber, box: FakeTarget) -> None:
    box.status = "created"
    with pytest.raises(NotReady, match="has not started"):
        completed.check()
    box.status = "running"
    with pytest.raises(NotReady, match="still running"):
        completed.check()
    box.status, box.exit_code = "exited", 0
    completed.check()


@pytest.mark.parametrize(
    ("status", "exit_code", "reason"),
    [
        ("exited", 1, "the container exited with code 1"),
        ("dead", 0, "the container exited with code 0"),
        ("dead", None, "the container is dead"),
    ],
)
def test_a_job_that_failed_is_hopeless(
    status: str, exit_code: int | None, reason: str, completed: CompletedProber, box: FakeTarget
) -> None:
    box.status, box.exit_code = status, exit_code
    with pytest.raises(Hopeless, match=f"^{reason}$"):
        completed.check()


def test_a_lack_of_memory_is_told(running: RunningProber, completed: CompletedProber, box: FakeTarget) -> None:
    box.status, box.exit_code, box.oom_killed = "exited", 137, True
    for prober in (running, completed):
        with pytest.raises(Hopeless, match="killed for using too much memory"):
            prober.check()
