"""What is left of ended runs, on the engine and in files of ours, and its collection."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envspin.errors import EngineError
from envspin.run import naming
from envspin.run.janitor import Reason, group_by_run, list_doomed, remove_doomed
from envspin.run.ownership import read_host
from envspin.run.record import state_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from envspin.engine.base import Engine, EngineInfo
    from envspin.run.janitor import Doomed

KEPT_SECONDS = 7 * 24 * 3600.0
"""How long logs are kept, and records of which nobody can tell whether their environment still exists."""


@dataclass(frozen=True, slots=True)
class Collected:
    """A run that was removed, is to be removed, or could not be."""

    env: str
    run_id: str
    reason: Reason
    counts: Mapping[str, int] = field(default_factory=dict)
    """Objects by kind."""
    error: EngineError | None = None


def collect_environments(engine: Engine, *, older_than: float = 0.0, dry_run: bool = False) -> list[Collected]:
    """Remove every run that nobody wants any more and that was made longer than ``older_than`` seconds ago.

    With ``dry_run`` nothing is removed. What cannot be removed keeps nothing else from going: its error is in the
    list. A run whose labels do not say when it was made (an earlier version's) is of no age: only 0 includes it.
    """
    info, now = engine.info(), time.time()
    found = [each for each in list_doomed(engine, info) if not older_than or _measure_age(each, now) > older_than]
    if dry_run:
        return [_describe(each, Counter(resource.kind for resource in each.resources)) for each in found]
    collected = [_collect(engine, info, each) for each in found]
    return [each for each in collected if each.counts or each.error]  # without both: gone, or kept, since the look


def _collect(engine: Engine, info: EngineInfo, doomed: Doomed) -> Collected:
    try:
        return _describe(doomed, remove_doomed(engine, info, doomed))
    except EngineError as error:
        return _describe(doomed, {}, error)


def _describe(doomed: Doomed, counts: Mapping[str, int], error: EngineError | None = None) -> Collected:
    return Collected(doomed.env, doomed.run_id, doomed.reason, dict(counts), error)


def _measure_age(doomed: Doomed, now: float) -> float:
    known = [created for each in doomed.resources if (created := naming.read_created(each.labels)) is not None]
    return now - min(known) if known else 0.0


def collect_files(engine: Engine, *, older_than: float = 0.0, dry_run: bool = False) -> list[Path]:
    """Remove files of ours that nobody needs any more and that are older than ``older_than`` seconds; return them.

    These are records of runs that this engine does not hold any more, and logs of watchers after a week. A record of
    another engine or machine, or of one that it does not name, is not looked for anywhere: it is kept for a week, too.
    """
    now = time.time()
    records = {path: _read_origin(path) for path in _list_files("environments", "*.json")}  # before the engine is asked
    here = (engine.info().address, read_host())
    living = {run_id for _, run_id in group_by_run(engine.list_resources({naming.ENV: None}))}
    gone = [path for path, (run, origin) in records.items() if run not in living and origin == here]
    unknown = [path for path, (run, origin) in records.items() if run not in living and origin != here]
    old = [path for path in (*unknown, *list_watcher_logs()) if _read_age(path, now) > KEPT_SECONDS]
    stale = [path for path in (*gone, *old) if _read_age(path, now) >= older_than]
    if not dry_run:
        for path in stale:
            with suppress(OSError):
                path.unlink()
    return stale


def list_watcher_logs() -> list[Path]:
    """Return the logs of clean-ups that failed, the newest first."""
    now = time.time()
    return sorted(_list_files("watchers", "*.log"), key=lambda path: _read_age(path, now))


def _list_files(folder: str, pattern: str) -> Iterable[Path]:
    try:
        return sorted((state_directory() / folder).glob(pattern))
    except OSError:  # not ours to read
        return []


def _read_age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except OSError:  # gone meanwhile
        return 0.0


def _read_origin(path: Path) -> tuple[str, tuple[str, str]]:
    """Return a record's run, and its engine and machine; empty where it does not say."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return str(document["run_id"]), (str(document.get("engine", "")), str(document.get("host", "")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # of another version, or damaged
        return "", ("", "")
