"""Probes that look from inside: exec and the healthcheck."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from envspin.engine.base import ExecResult
from envspin.errors import ConflictError, EngineError, EngineUnreachableError, EnvspinTimeout, ObjectNotFoundError
from envspin.model import ExecProbe, Healthcheck, HealthcheckProbe, Probe
from envspin.run.probes import (
    DeadlinePassed,
    Hopeless,
    InProgress,
    WaitCancelled,
    make_prober,
    wait_until_ready,
)
from envspin.run.probes.command import DEFAULT_TIMEOUT
from envspin.run.probes.healthcheck import find_command

from .support import Check, Execution, FakeTarget, MakeTarget

Wait = Callable[..., None]

COMMAND = ("pg_isready", "-d", "my shop")


@pytest.fixture
def wait() -> Wait:
    """Return a function that waits for one probe."""

    def run(
        spec: Probe,
        target: FakeTarget,
        *,
        seconds: float = 20.0,
        cancelled: threading.Event | None = None,
        on_reason: Callable[[str, str], object] | None = None,
    ) -> None:
        wait_until_ready(
            [make_prober(spec, target)],
            deadline=time.monotonic() + seconds,
            clock=time.monotonic,
            cancelled=cancelled or threading.Event(),
            on_reason=on_reason,
        )

    return run


def answer(*results: ExecResult | EngineError | EnvspinTimeout) -> Execution:
    """Return an execution that gives these results in turn, the last one for ever; errors are raised."""
    left = list(results)

    def execute(command: Sequence[str], timeout: float) -> ExecResult:
        result = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(result, Exception):
            raise result
        return result

    return execute


def test_exit_code_0_is_ready(wait: Wait, make_target: MakeTarget) -> None:
    target = make_target()
    wait(ExecProbe(COMMAND), target)
    assert target.executed == [(COMMAND, DEFAULT_TIMEOUT)]


def test_the_last_line_of_a_failure_is_the_reason(wait: Wait, make_target: MakeTarget) -> None:
    target = make_target()
    target.execution = answer(ExecResult(2, "first\nno response \x07\n\n"), ExecResult(1, ""), ExecResult(0, "fine"))
    reasons: list[str] = []
    wait(ExecProbe(COMMAND), target, on_reason=lambda _, text: reasons.append(text))
    reasons = [reason for reason in reasons if "still running" not in reason]
    assert reasons == [
        "`pg_isready -d 'my shop'` exited with 2: no response",
        "`pg_isready -d 'my shop'` exited with 1",
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EnvspinTimeout("too long"), "`pg_isready -d 'my shop'` did not end within 30 s"),
        (ConflictError("is not running"), "the container is not running"),
        (EngineError("OCI runtime exec failed"), "OCI runtime exec failed"),
    ],
)
def test_an_exec_that_the_engine_refuses_may_work_later(
    error: EngineError | EnvspinTimeout, reason: str, wait: Wait, make_target: MakeTarget
) -> None:
    target = make_target()
    target.execution = answer(error, ExecResult(0, ""))
    reasons: list[str] = []
    wait(ExecProbe(COMMAND), target, on_reason=lambda _, text: reasons.append(text))
    assert reason in reasons


def test_a_container_that_is_gone_is_hopeless(wait: Wait, make_target: MakeTarget) -> None:
    target = make_target()
    target.execution = answer(ObjectNotFoundError("no such container"))
    with pytest.raises(Hopeless, match="the container is gone"):
        wait(ExecProbe(COMMAND), target)


def test_an_engine_that_is_gone_is_no_matter_of_readiness(wait: Wait, make_target: MakeTarget) -> None:
    target = make_target()
    target.execution = answer(EngineUnreachableError("no engine answers"))
    with pytest.raises(EngineUnreachableError):
        wait(ExecProbe(COMMAND), target)


def test_a_command_that_is_not_found_may_still_be_installed(wait: Wait, make_target: MakeTarget) -> None:
    target = make_target()
    target.execution = answer(ExecResult(127, "sh: 1: curl: not found"), ExecResult(0, ""))
    wait(ExecProbe(("sh", "-c", "curl -f localhost")), target)


def test_an_image_without_a_shell_is_hopeless(wait: Wait, make_target: MakeTarget) -> None:
    target = make_target()
    target.effective_healthcheck = Healthcheck(("CMD-SHELL", "curl -f localhost"))
    target.execution = answer(
        ExecResult(127, 'OCI runtime exec failed: exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown')
    )
    with pytest.raises(Hopeless, match="the image has no /bin/sh"):
        wait(HealthcheckProbe(), target)


def test_a_shell_that_misses_a_command_is_not_hopeless(wait: Wait, make_target: MakeTarget) -> None:
    target = make_target()
    target.effective_healthcheck = Healthcheck(("CMD-SHELL", "curl -f localhost"))
    target.execution = answer(ExecResult(127, "/bin/sh: 1: curl: not found"), ExecResult(0, ""))
    wait(HealthcheckProbe(), target)


@pytest.fixture
def hanging(make_target: MakeTarget) -> Iterator[FakeTarget]:
    """Give a container in which commands hang until the test ends."""
    target = make_target()
    release = threading.Event()

    def hang(command: Sequence[str], timeout: float) -> ExecResult:
        assert release.wait(20)
        return ExecResult(0, "")

    target.execution = hang
    yield target
    release.set()


def test_a_command_that_hangs_is_started_once_and_does_not_hold_a_check(hanging: FakeTarget) -> None:
    prober = make_prober(ExecProbe(COMMAND), hanging)
    for _ in range(3):
        with pytest.raises(InProgress, match="`pg_isready -d 'my shop'` is still running"):
            prober.check()
    assert len(hanging.executed) == 1


def test_a_command_that_hangs_does_not_hold_the_deadline(hanging: FakeTarget, wait: Wait) -> None:
    with pytest.raises(DeadlinePassed, match="is still running"):
        wait(ExecProbe(COMMAND), hanging, seconds=0.1)


def test_a_command_that_hangs_does_not_hold_a_cancelled_wait(hanging: FakeTarget, wait: Wait) -> None:
    cancelled = threading.Event()
    with pytest.raises(WaitCancelled, match="is still running"):
        wait(ExecProbe(COMMAND), hanging, cancelled=cancelled, on_reason=lambda *_: cancelled.set())


@pytest.mark.parametrize(
    ("healthcheck", "expected"),
    [
        (Healthcheck(("CMD", "pg_isready", "-q"), timeout=3.0), (("pg_isready", "-q"), 3.0)),
        (Healthcheck(("CMD-SHELL", "a && b"), timeout=0.5), (("/bin/sh", "-c", "a && b"), 0.5)),
        (Healthcheck(("CMD", "true")), (("true",), DEFAULT_TIMEOUT)),
        (Healthcheck(("CMD", "true"), timeout=0.0), (("true",), DEFAULT_TIMEOUT)),
    ],
)
def test_a_healthcheck_is_a_command_with_a_time_limit(
    healthcheck: Healthcheck | None, expected: tuple[tuple[str, ...], float]
) -> None:
    assert find_command(healthcheck) == expected


@pytest.mark.parametrize(
    "healthcheck",
    [
        None,
        Healthcheck(),
        Healthcheck(("NONE",)),
        Healthcheck(("CMD", "true"), disable=True),
        Healthcheck(("CMD",)),
        Healthcheck(("CMD-SHELL",)),
        Healthcheck(("curl", "-f")),
    ],
)
def test_no_healthcheck_is_hopeless(healthcheck: Healthcheck | None, make_target: MakeTarget, check: Check) -> None:
    target = make_target()
    target.effective_healthcheck = healthcheck
    with pytest.raises(Hopeless, match="healthcheck"):
        check(HealthcheckProbe(), target)
    assert target.executed == []


def test_a_healthcheck_passes_at_its_first_success_whatever_its_timings(wait: Wait, make_target: MakeTarget) -> None:
    """Neither the interval nor the start period delays it, and failures do not count."""
    target = make_target()
    target.effective_healthcheck = Healthcheck(
        ("CMD", "check"), interval=3600.0, timeout=2.0, retries=1, start_period=3600.0
    )
    target.execution = answer(ExecResult(1, ""), ExecResult(1, ""), ExecResult(0, ""))
    wait(HealthcheckProbe(), target)
    assert target.executed == [(("check",), 2.0)] * 3
