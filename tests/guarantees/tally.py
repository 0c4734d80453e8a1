"""What a suite tried and what it met: counts and failures, each failure with the seed and number to try it again."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random


@dataclass
class Trial:
    """One try of a suite: its number, its own randomness, and what went wrong in it."""

    seed: int
    index: int
    failures: list[str] = field(default_factory=list)
    random: Random = field(init=False)
    """Randomness that seed and number decide; one generator, so that no two draws of a try are the same."""

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed}/{self.index}")

    def check(self, condition: object, message: str) -> bool:
        """Note ``message`` as a failure unless ``condition`` holds; return whether it holds."""
        if not condition:
            self.failures.append(message)
        return bool(condition)


@dataclass
class Tally:
    """What one guarantee's suite tried; may be filled from many threads at once."""

    guarantee: str
    title: str
    seed: int
    tried: int = 0
    failures: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    """What else is worth a line in the report: the slowest clean-up, how the tries were spread."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def check(self, condition: object, message: str) -> bool:
        """Note a failure of the suite as a whole (of no single try) unless ``condition`` holds."""
        if not condition:
            self.fail(message)
        return bool(condition)

    def fail(self, message: str, index: int | None = None) -> None:
        """Note a failure with what it takes to try it again."""
        again = f"seed {self.seed}" if index is None else f"seed {self.seed}, index {index}"
        with self._lock:
            self.failures.append(f"[{self.guarantee}: {again}] {message}")

    @contextmanager
    def trial(self, index: int) -> Iterator[Trial]:
        """Count one try; what it fails to hold, and any exception, becomes a failure that names seed and number."""
        trial = Trial(self.seed, index)
        try:
            yield trial
        except Exception as error:  # noqa: BLE001 - whatever breaks in one try must not hide the others
            where = traceback.extract_tb(error.__traceback__)[-1]
            trial.failures.append(f"{type(error).__name__} at {where.name}, line {where.lineno}: {error}")
        finally:
            with self._lock:
                self.tried += 1
            for failure in trial.failures:
                self.fail(failure, index)

    def run(
        self,
        indices: Iterable[int],
        work: Callable[[Trial], None],
        *,
        workers: int = 1,
        seconds: float | None = None,
    ) -> None:
        """Do ``work`` once for each number, ``workers`` at a time; begin no new one after ``seconds``."""
        until = None if seconds is None else time.monotonic() + seconds

        def attempt(index: int) -> None:
            if until is None or time.monotonic() < until:
                with self.trial(index) as trial:
                    work(trial)

        with ThreadPoolExecutor(workers, thread_name_prefix=f"try-{self.guarantee}") as pool:
            try:
                for done in [pool.submit(attempt, index) for index in indices]:
                    done.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
