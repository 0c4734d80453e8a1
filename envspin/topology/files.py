"""Reading text files, with problems instead of exceptions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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


def read_text(path: Path, at: Place | None, report: Report) -> str | None:
    """Return the text of ``path``, or None after reporting why it cannot be read."""
    name = display_name(path)
    if at is not None and path.exists() and not path.is_file():
        report.error("file-unreadable", f"`{name}` is not a file", at)
        return None
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        report.error("file-missing", f"the file `{name}` does not exist", at)
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        report.error("file-unreadable", f"the file `{name}` cannot be read: {reason}", at)
        return None
    if len(content) > MAX_FILE_BYTES:
        report.error("yaml-size", f"the file `{name}` is larger than {MAX_FILE_BYTES >> 20} MiB", at)
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        report.error("file-unreadable", f"the file `{name}` is not UTF-8 text (line {line})", at)
        return None
