"""Every call has a time limit, and one that may be repeated is repeated, but not for ever."""

from __future__ import annotations

import typing

import pytest

from envspin.engine.docker.calls import CALLS, REPEATS, Limits, Repeat, Verb, repeat
from envspin.errors import ConflictError, EngineError, EngineUnreachableError, UnansweredError, UsageError


def test_every_kind_of_call_has_a_limit():
    assert set(CALLS) == set(typing.get_args(Verb))
    assert all(0 < call.seconds <= 900 for call in CALLS.values())


def test_what_has_effects_of_its_own_is_never_simply_repeated():
    careful = {verb for verb, call in CALLS.items() if call.repeat is not Repeat.AGAIN}
    assert careful >= {"create container", "create network", "start", "kill", "start exec", "build", "remove"}


def test_the_variable_lowers_limits_and_raises_none():
    limits = Limits.read({"ENVSPIN_ENGINE_TIMEOUT": "20.5"})
    assert (limits.of("list"), limits.of("start"), limits.of("build")) == (15, 20.5, 20.5)
    assert Limits.read({}).of("start") == Limits.read({"ENVSPIN_ENGINE_TIMEOUT": " "}).of("start") == 60


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf", "5s"])
def test_a_limit_that_is_no_positive_number_is_a_usage_error(text):
    with pytest.raises(UsageError, match="ENVSPIN_ENGINE_TIMEOUT") as caught:
        Limits.read({"ENVSPIN_ENGINE_TIMEOUT": text})
    assert caught.value.hint


class Attempts:
    """Fails in turn, then succeeds; remembers the seconds that it was given."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> str:
        self.seconds.append(seconds)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def refused() -> EngineUnreachableError:
    error = EngineUnreachableError("no container engine answers")
    error.__cause__ = OSError("wrapped", ConnectionRefusedError(111, "Connection refused"))
    return error


LOST = UnansweredError("lost")


def test_a_lost_answer_leads_to_the_same_call_again():
    attempts = Attempts(LOST)
    assert repeat(attempts, 10, once_lost=True) == "done"
    assert len(attempts.seconds) == 2


def test_a_call_is_repeated_only_so_often():
    attempts = Attempts(*[LOST] * 10)
    with pytest.raises(UnansweredError):
        repeat(attempts, 10, once_lost=True)
    assert len(attempts.seconds) == 1 + REPEATS


def test_all_attempts_share_one_deadline():
    attempts = Attempts(*[LOST] * 10)
    with pytest.raises(UnansweredError):
        repeat(attempts, 0.01, once_lost=True)
    assert len(attempts.seconds) < 1 + REPEATS


def test_a_lost_answer_is_told_where_a_repeat_may_do_harm():
    attempts = Attempts(LOST)
    with pytest.raises(UnansweredError):
        repeat(attempts, 10, once_lost=False)
    assert len(attempts.seconds) == 1


def test_a_refused_connection_is_tried_again_whatever_the_call_is():
    attempts = Attempts(refused(), refused())
    assert repeat(attempts, 10, once_lost=False) == "done"


def test_an_engine_that_keeps_refusing_is_away():
    attempts = Attempts(*[refused() for _ in range(1000)])
    with pytest.raises(EngineUnreachableError):
        repeat(attempts, 10, once_lost=True)
    assert 2 < len(attempts.seconds) < 50


@pytest.mark.parametrize("error", [ConflictError("taken"), EngineUnreachableError("no such socket"), EngineError("no")])
def test_other_errors_are_told_at_once(error):
    attempts = Attempts(error)
    with pytest.raises(type(error)):
        repeat(attempts, 10, once_lost=True)
    assert len(attempts.seconds) == 1
