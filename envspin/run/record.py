"""What an environment knows of itself beyond its labels: exports and timings, in a private file.

The engine's labels stay the truth of what exists. This file only spares ``env`` and ``ps`` what labels must not hold:
exports, which carry passwords. It is readable by its user alone and goes when the environment goes.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """One service's times (durations, and moments in seconds since the run began) and what it is known by."""

    create: float = 0.0
    start: float = 0.0
    ready: float = 0.0
    started_at: float | None = None
    ready_at: float | None = None
    job: bool = False
    ports: list[str] = field(default_factory=list)
    """Its ports, the main one first, as ``5432/tcp``: an internal network publishes none that could be asked for."""


@dataclass(frozen=True, slots=True)
class Record:
    """An environment's exports and times."""

    env: str
    run_id: str
    ready_seconds: float
    exports: dict[str, str] = field(default_factory=dict, repr=False)
    masked_exports: dict[str, str] = field(default_factory=dict)
    services: dict[str, ServiceRecord] = field(default_factory=dict)
    engine: str = ""
    """The address of the engine that it runs on."""
    host: str = ""
    """Where that address is meant: it leads elsewhere on another machine, and homes may be shared."""


DRAFT = ".new"
"""How the name of a record ends while it is written."""


def state_directory() -> Path:
    """Return the folder of envspin's own small files; ``ENVSPIN_STATE_DIR`` moves it."""
    moved = os.environ.get("ENVSPIN_STATE_DIR")
    if moved:
        return Path(moved)
    import platformdirs  # noqa: PLC0415 - `ls` and others need no folder

    return Path(platformdirs.user_state_dir("envspin"))


def write_record(record: Record) -> None:
    """Write the record, readable by its user alone, whole or not at all; raise OSError."""
    path = _find_path(record.env)
    draft = path.with_suffix(DRAFT)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(record), file)
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def read_record(env: str, run_id: str) -> Record | None:
    """Read the record of exactly this run; None where there is none (another machine, an older run)."""
    try:
        document = json.loads(_find_path(env).read_text(encoding="utf-8"))
        services = {name: ServiceRecord(**times) for name, times in document.pop("services").items()}
        record = Record(services=services, **document)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # a file of another version or damaged
        return None
    return record if record.run_id == run_id else None


def forget_record(env: str, run_id: str | None = None) -> None:
    """Remove the record, with ``run_id`` only that run's, and what a killed writer left; none there is fine."""
    with suppress(OSError):
        _find_path(env).with_suffix(DRAFT).unlink()
    if run_id is not None and read_record(env, run_id) is None:
        return
    with suppress(OSError):
        _find_path(env).unlink()


def _find_path(env: str) -> Path:
    return state_directory() / "environments" / f"{env}.json"
