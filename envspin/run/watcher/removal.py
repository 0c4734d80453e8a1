"""What the watcher becomes when its owner has ended: it removes the runs that were still open, then itself.

It sweeps until two sweeps in a row find nothing. A create that had no answer when its owner ended may still happen, so
the sweeps go on until it shows, or the engine tells that it has been: somebody else's sweep may have been quicker.
While the engine is away, it waits for its return.
"""

from __future__ import annotations

import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.engine.docker import DockerEngine
from envspin.engine.docker.client import find_address
from envspin.errors import EngineError, EnvspinError
from envspin.run import naming
from envspin.run.janitor import find_leased, group_by_run, remove_resources
from envspin.run.record import forget_record
from envspin.run.watcher.waiting import Book

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envspin.engine.base import Engine

EMPTY_SWEEPS = 2
"""How many sweeps in a row must find nothing."""

SWEEP_SECONDS = 0.25
LATE_SECONDS = 90.0
"""How long a create without an answer is waited for: past any time limit of ours and of the engine's own calls."""

AWAY_SECONDS = 1.0
PATIENCE_SECONDS = 3600.0
"""How long an engine may be away, or refuse to remove, before what is left is left to the next start of envspin."""


class Log:
    """The log of a clean-up: made when something goes wrong, gone when all went well in the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_written = False

    def write(self, text: str) -> None:
        """Append a line with the time."""
        self._is_written = True
        with suppress(OSError):  # a full disk must not end the clean-up
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")

    def forget(self) -> None:
        """Remove the log, if there is one of ours."""
        if self._is_written:
            self.path.unlink(missing_ok=True)


class Removal:
    """Removes the runs of one dead owner from one engine."""

    def __init__(self, book: Book, connect: Callable[[], Engine], log: Log) -> None:
        self._runs = dict(book.runs)
        self._pending = {run: set(names) for run, names in book.pending.items() if names}
        self._since = {run: min(float(at) for _, at in names.values()) for run, names in book.pending.items() if names}
        """When the first of those creates may have been asked for."""
        self._connect = connect
        self._log = log
        self._engine: Engine | None = None
        self._is_judged = False
        self._last_trouble = ""

    def run(self, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> bool:
        """Sweep until nothing can come any more; tell whether all is gone."""
        began = answered = clock()  # the latter moves while the engine is away: what hung with it may happen then
        empty = 0
        while empty < EMPTY_SWEEPS or (self._pending and clock() - answered < LATE_SECONDS):
            found = self._try_to_sweep()
            if found is None:
                empty, answered, pause = 0, clock(), AWAY_SECONDS
            else:
                empty, pause = 0 if found else empty + 1, AWAY_SECONDS if self._pending else SWEEP_SECONDS
            if found is not False and clock() - began > PATIENCE_SECONDS:
                self._log.write(f"given up; the next start of envspin removes what is left of {self._name_runs()}")
                return False
            sleep(pause)
        return True

    def _try_to_sweep(self) -> bool | None:
        """Sweep and tell whether there was anything; None where that failed, which is in the log."""
        try:
            return self._sweep()
        except EnvspinError as error:
            self._note(error.message)
        except Exception:  # noqa: BLE001 - an answer that nobody expected is no reason to leave things behind
            self._note(traceback.format_exc())
        return None

    def _sweep(self) -> bool:
        """Remove all that is there now of our runs; tell whether there was anything."""
        if self._engine is None:
            self._engine = self._connect()
        try:
            # Asked first: what was created before that, and is not in the list, has gone again.
            created = {run: self._recall(self._engine, run) for run in self._pending}
            groups = group_by_run(self._engine.list_resources({naming.ENV: None}))
            if not self._is_judged:
                self._let_go({run for _, run in find_leased(groups)})
                self._is_judged = True
            found = [each for (_, run), group in groups.items() if run in self._runs for each in group]
            for (_, run), group in groups.items():
                self._settle(run, {each.name for each in group})
            for run, names in created.items():
                self._settle(run, names)
            remove_resources(self._engine, found)
            for run, (env, _) in self._runs.items():
                forget_record(env, run)
        except Exception:
            self._disconnect()
            raise
        return bool(found)

    def _recall(self, engine: Engine, run: str) -> set[str]:
        try:
            return engine.recall_created(self._since[run])
        except EngineError:  # then it remembers nothing: whether it is there at all, the list says
            return set()

    def _disconnect(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _let_go(self, leased: set[str]) -> None:
        """Leave alone what was left running on purpose; a lease that appears later than this came too late."""
        for run in leased:
            self._runs.pop(run, None)
            self._pending.pop(run, None)

    def _settle(self, run: str, names: set[str]) -> None:
        """Note that creates have happened."""
        pending = self._pending.get(run)
        if pending is not None:
            pending -= names
            if not pending:
                del self._pending[run]

    def _note(self, trouble: str) -> None:
        if trouble != self._last_trouble:  # an engine that is away for an hour is one line, not thousands
            self._last_trouble = trouble
            self._log.write(f"while removing {self._name_runs()}: {trouble}")

    def _name_runs(self) -> str:
        return ", ".join(sorted(env for env, _ in self._runs.values())) or "nothing"


def connect_to(address: str) -> Engine:
    """Connect to the engine that a run was made on; its TLS settings are those of the environment."""
    address_of_environment, _ = find_address()
    return DockerEngine.connect(None if address == address_of_environment else address)


def main(arguments: Sequence[str]) -> int:
    """Remove the runs that words tell of, engine by engine; before them stand where to log, and the owner's label.

    The label is there for people who look at processes: what belongs to a run says its own label.
    """
    path, _, *words = arguments
    log, book = Log(Path(path)), Book()
    for word in words:
        book.note(word)
    addresses = {address for _, address in book.runs.values()}
    removals = [Removal(_select(book, each), partial(connect_to, each), log) for each in addresses]
    with ThreadPoolExecutor(len(removals)) as pool:  # an engine that is away must not keep another one waiting
        results = list(pool.map(Removal.run, removals))
    if all(results):
        log.forget()
        return 0
    return 1


def _select(book: Book, address: str) -> Book:
    part = Book()
    for run, (_, used) in book.runs.items():
        if used == address:
            for word in book.list_words(run):
                part.note(word)
    return part
