"""How long each service took in earlier runs, so that the longest path can go first next time."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from envspin.run.record import state_directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from envspin.plan.planning import Plan

KEPT = 500
"""Services remembered; the longest unused go first."""

GUESSES = {"network": 0.1, "volume": 0.02, "image": 0.02, "create": 0.05, "start": 0.35, "ready": 1.0}
"""Seconds assumed for an operation that was never measured."""

WEIGHT_OF_LAST = 0.5
"""How much the last run counts against all before."""

LOCK_SECONDS = 1.0


def estimate_weights(plan: Plan) -> dict[str, float]:
    """Return the expected seconds of each operation by id."""
    remembered = _read()
    weights = {}
    for operation in plan.operations:
        known = remembered.get(_key(plan, operation.subject), {}) if operation.kind in {"start", "ready"} else {}
        weights[operation.id] = known.get(operation.kind, GUESSES[operation.kind])
    return weights


def remember(plan: Plan, seconds: Mapping[str, Mapping[str, float]]) -> None:
    """Note the seconds of ``start`` and ``ready`` of each service; failing to is no error, the next run guesses."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 - 12 ms that a start need not wait for

    path = _find_path()
    with suppress(OSError, Timeout):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
            known = _read()
            for service, measured in seconds.items():
                key = _key(plan, service)
                before = known.pop(key, measured)  # taken out and put back, so that the order tells the age
                known[key] = {kind: _blend(before.get(kind, value), value) for kind, value in measured.items()}
            _write(path, dict(list(known.items())[-KEPT:]))


def _blend(before: float, now: float) -> float:
    return round(before + (now - before) * WEIGHT_OF_LAST, 4)


def _key(plan: Plan, service: str) -> str:
    known = plan.services.get(service)
    return f"{plan.topology.name}/{service}/{known.image or 'build'}" if known else service


def _find_path() -> Path:
    return state_directory() / "timings.json"


def _read() -> dict[str, dict[str, float]]:
    try:
        document = json.loads(_find_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {key: value for key, value in document.items() if isinstance(value, dict) and _are_numbers(value)}


def _are_numbers(value: Mapping[str, object]) -> bool:
    return all(isinstance(number, int | float) for number in value.values())


def _write(path: Path, document: Mapping[str, object]) -> None:
    # By the same name each time: there is one writer, the lock's holder, and what a killed one leaves is used again.
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(json.dumps(document), encoding="utf-8")
    draft.replace(path)
