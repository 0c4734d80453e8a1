"""Reading text files, with problems instead of exceptions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from envspin.topology.limits import TEXT
from envspin.topology.nodes import Mapping, Scalar, Sequence

if TYPE_CHECKING:
    from pathlib import Path

    from envspin.topology.nodes import Place
    from envspin.topology.report import Report

MAX_FILE_BYTES = 8 * 1024 * 1024
COMPOSE_FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def display_name(path: Path) -> str:
    """Return ``path`` as messages show it: relative to the current folder where it lies below it."""
    if not path.is_absolute():
        return str(path)
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def holds_compose_file(folder: Path) -> bool:
    """Tell whether a folder is a topology."""
    return any(is_file(folder / name) for name in COMPOSE_FILE_NAMES)


def is_file(path: Path) -> bool:
    """Tell whether ``path`` is a file that can be reached; names that no file can have are none."""
    return os.path.isfile(path)  # noqa: PTH113 - pathlib raises for names that are too long


def _describe(path: Path, at: Place | None) -> str:
    """Return what messages call a file: where variables are in its name, as it is written."""
    if isinstance(at, Scalar) and at.raw is not None:
        return f"the file `{at.shown}`"
    return "the file that is named here" if _holds_variable(at) else f"the file `{display_name(path)}`"


def _holds_variable(at: Place | None) -> bool:
    if isinstance(at, Mapping):
        return any(_holds_variable(entry.value) for entry in at.entries.values())
    if isinstance(at, Sequence):
        return any(_holds_variable(item) for item in at.items)
    return isinstance(at, Scalar) and at.raw is not None


def read_text(path: Path, at: Place | None, report: Report) -> str | None:
    """Return the text of ``path``, or None after reporting why it cannot be read."""
    name = _describe(path, at)
    if at is not None and os.path.exists(path) and not is_file(path):  # noqa: PTH110
        report.error("file-unreadable", f"{name} is not a regular file", at)
        return None
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        report.error("file-missing", f"{name} does not exist", at)
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        report.error("file-unreadable", f"{name} cannot be read: {reason}", at)
        return None
    if len(content) > MAX_FILE_BYTES:
        report.error("yaml-size", f"{name} is larger than {MAX_FILE_BYTES >> 20} MiB", at)
        return None
    report.charge(TEXT, len(content), at)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        report.error("file-unreadable", f"{name} is not UTF-8 text (line {line})", at)
        return None
