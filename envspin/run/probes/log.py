"""Ready when a pattern has been seen in enough log lines; the log is read once, as it grows."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from envspin.errors import EngineUnreachableError, EnvspinError, ObjectNotFoundError
from envspin.run.probes.base import CHEAP, FOREVER, Hopeless, NotReady
from envspin.run.probes.descriptions import describe, shorten
from envspin.run.probes.ending import describe_end
from envspin.run.probes.pattern import Pattern

if TYPE_CHECKING:
    from envspin.engine.base import LogStream
    from envspin.model import LogProbe
    from envspin.run.probes.base import Pace, Target


class LogProber:
    """Looks at what a reading thread has counted so far, so that a check costs nothing."""

    pace: Pace = CHEAP

    def __init__(self, probe: LogProbe, target: Target) -> None:
        self._probe = probe
        self._target = target
        self._pattern = Pattern(probe.pattern)
        self._reader: _Reader | None = None

    def describe(self) -> str:
        """Say what is awaited."""
        return describe(self._probe)

    def check(self, remaining: float = FOREVER) -> None:  # noqa: ARG002 - never waits
        """Return if enough lines have matched."""
        if self._reader is None:
            self._pattern.is_in("")
            self._reader = _Reader(self._target, self._pattern)
            self._reader.start()
        reader = self._reader
        has_ended = reader.has_ended
        if reader.matches >= self._probe.times:
            return
        if has_ended:
            self._judge_end(reader)
        raise NotReady(self._count(reader))

    def close(self) -> None:
        """End the stream and with it the reading thread."""
        if self._reader is not None:
            self._reader.close()

    def _count(self, reader: _Reader) -> str:
        seen = f"{reader.matches} of {self._probe.times}" if self._probe.times != 1 else "none"
        last = f"; last line: {shorten(reader.last)}" if reader.last else ""
        return f"{seen} seen in {reader.lines} lines{last}"

    def _judge_end(self, reader: _Reader) -> None:
        """Raise Hopeless if the log ended because the container did; else read it anew at the next check.

        An engine ends a followed log of a running container only by a fault of its own, such as a log rotation. The
        new stream begins at the container's start again, and so does the count.
        """
        if isinstance(reader.error, ObjectNotFoundError):
            raise Hopeless("the container is gone") from reader.error
        if isinstance(reader.error, EngineUnreachableError):
            raise reader.error
        if end := describe_end(self._target.state()):
            raise Hopeless(f"{end}; {self._count(reader)}")
        self._reader = None
        if reader.error is not None:
            raise NotReady(f"the log cannot be read: {reader.error.message}") from reader.error


class _Reader(threading.Thread):
    """Follows the log and counts.

    Only this thread writes the counters and only the prober reads them; ``has_ended`` is written last, so whoever
    reads it first sees final counts. The lock joins ``close`` with the opening of the stream.
    """

    def __init__(self, target: Target, pattern: Pattern) -> None:
        super().__init__(name="envspin-log-probe", daemon=True)
        self.matches = 0
        self.lines = 0
        self.last = ""
        self.error: EnvspinError | None = None
        self.has_ended = False
        self._target = target
        self._pattern = pattern
        self._lock = threading.Lock()
        self._stream: LogStream | None = None
        self._is_closed = False

    def run(self) -> None:
        try:
            stream = self._target.log_lines()
            if self._adopt(stream):
                self._count(stream)
        except EnvspinError as error:
            self.error = error
        finally:
            self.has_ended = True

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            stream = self._stream
        if stream is not None:
            stream.close()

    def _adopt(self, stream: LogStream) -> bool:
        """Keep the stream for ``close``; close it right away if that was called while it opened."""
        with self._lock:
            self._stream = stream
            is_wanted = not self._is_closed
        if not is_wanted:
            stream.close()
        return is_wanted

    def _count(self, stream: LogStream) -> None:
        for line in stream:
            self.lines += 1
            self.last = line.strip() or self.last
            if self._pattern.is_in(line):
                self.matches += 1
