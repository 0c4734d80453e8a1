from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from envspin.errors import EngineError, EngineUnreachableError, ObjectNotFoundError
from envspin.model import LogProbe
from envspin.run.probes import Hopeless, NotReady, WaitCancelled, wait_until_ready
from envspin.run.probes.log import LogProber

from .support import FakeLog, FakeTarget, MakeTarget

Watch = Callable[..., tuple[LogProber, FakeTarget, FakeLog]]


@pytest.fixture
def watch(make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Return a function that makes a prober whose log is open; gives prober, target and log."""
    probers: list[LogProber] = []

    def start(pattern: str = "ready to accept", times: int = 1) -> tuple[LogProber, FakeTarget, FakeLog]:
        target = make_target()
        opened = threading.Event()
        open_log = target.log_lines

        def open_and_tell() -> FakeLog:
            stream = open_log()
            opened.set()
            return stream

        monkeypatch.setattr(target, "log_lines", open_and_tell)
        prober = LogProber(LogProbe(pattern, times), target)
        probers.append(prober)
        with pytest.raises(NotReady):
            prober.check()
        assert opened.wait(20)
        return prober, target, target.streams[0]

    yield start
    for prober in probers:
        prober.close()


def await_end(prober: LogProber) -> None:
    """Wait until the reading thread has seen the end of the log."""
    assert prober._reader is not None
    prober._reader.join(20)


def test_a_matching_line_is_ready(watch: Watch) -> None:
    prober, _, log = watch()
    log.write("starting", "now ready to accept connections")
    prober.check()


def test_until_then_the_last_line_is_the_reason(watch: Watch) -> None:
    prober, _, log = watch()
    log.write("starting", "\x1b[31mloading\tdata\x1b[0m", "  ")
    with pytest.raises(NotReady, match=r"^none seen in 3 lines; last line: \[31mloading data \[0m$"):
        prober.check()


def test_as_many_lines_must_match_as_asked(watch: Watch) -> None:
    """PostgreSQL's images say it twice: once for the temporary server."""
    prober, _, log = watch(times=2)
    log.write("ready to accept", "shutting down")
    with pytest.raises(NotReady, match="1 of 2 seen in 2 lines"):
        prober.check()
    log.write("ready to accept")
    prober.check()


def test_the_log_is_opened_once_and_closed_in_the_end(watch: Watch) -> None:
    prober, target, log = watch()
    for _ in range(5):
        log.write("still nothing")
        with pytest.raises(NotReady):
            prober.check()
    assert target.streams == [log]
    prober.close()
    await_end(prober)
    assert log.is_closed


def test_a_match_stays_even_when_the_log_ends(watch: Watch) -> None:
    prober, target, log = watch()
    log.write("ready to accept")
    target.status, target.exit_code = "exited", 0
    log.end()
    await_end(prober)
    prober.check()


def test_a_log_that_ends_with_its_container_is_hopeless(watch: Watch) -> None:
    prober, target, log = watch()
    log.write("cannot open the data directory")
    target.status, target.exit_code = "exited", 3
    log.end()
    await_end(prober)
    expected = "the container exited with code 3; none seen in 1 lines; last line: cannot open the data directory"
    with pytest.raises(Hopeless, match=f"^{expected}$"):
        prober.check()


def test_a_log_that_breaks_off_while_the_container_runs_is_read_anew(watch: Watch) -> None:
    prober, target, log = watch(times=2)
    log.write("ready to accept")
    log.end()
    await_end(prober)
    with pytest.raises(NotReady, match="1 of 2"):
        prober.check()
    with pytest.raises(NotReady, match="0 of 2"):
        prober.check()
    assert log is not target.streams[-1]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ObjectNotFoundError("no such container"), Hopeless),
        (EngineUnreachableError("no engine answers"), EngineUnreachableError),
        (EngineError("the logging driver cannot be read"), WaitCancelled),
    ],
)
def test_what_the_engine_says_of_the_log(
    error: EngineError, expected: type[Exception], make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make_target()

    def refuse() -> FakeLog:
        raise error

    monkeypatch.setattr(target, "log_lines", refuse)
    prober = LogProber(LogProbe("x"), target)
    told = threading.Event()

    def note(_: str, reason: str) -> None:
        if "cannot be read" in reason:
            told.set()

    with pytest.raises(expected, match=error.message.replace("no such container", "the container is gone")):
        wait_until_ready([prober], deadline=time.monotonic() + 20, clock=time.monotonic, cancelled=told, on_reason=note)


def test_a_pattern_that_is_none_is_hopeless_before_anything_is_opened(make_target: MakeTarget) -> None:
    target = make_target()
    with pytest.raises(Hopeless, match="no regular expression"):
        LogProber(LogProbe("("), target).check()
    assert target.streams == []


def test_a_close_while_the_log_is_being_opened_closes_it(
    make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make_target()
    opening, go_on = threading.Event(), threading.Event()
    open_log = target.log_lines

    def open_slowly() -> FakeLog:
        opening.set()
        assert go_on.wait(20)
        return open_log()

    monkeypatch.setattr(target, "log_lines", open_slowly)
    prober = LogProber(LogProbe("x"), target)
    with pytest.raises(NotReady):
        prober.check()
    assert opening.wait(20)
    prober.close()
    go_on.set()
    await_end(prober)
    assert target.streams[0].is_closed


def test_a_prober_that_never_checked_has_nothing_to_close(make_target: MakeTarget) -> None:
    LogProber(LogProbe("x"), make_target()).close()
