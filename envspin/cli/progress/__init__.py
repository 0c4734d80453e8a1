"""Progress on stderr: one listener a style, chosen for where stderr leads."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from envspin.cli.progress.plain import PlainProgress
from envspin.cli.progress.records import JsonProgress
from envspin.events import Event, Listener
from envspin.plan.traversal import find_dependencies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from envspin.plan.planning import Plan


class Progress(Protocol):
    """A listener that holds the terminal until it is closed."""

    def handle(self, event: Event) -> None:
        """Show an event."""
        ...

    def close(self) -> None:
        """Leave the terminal in order; further events are shown again."""
        ...


class QuietProgress(Listener):
    """Shows nothing: errors are not its business."""

    def close(self) -> None:
        """Nothing was begun."""


def choose_style(style: str, environ: Mapping[str, str], *, is_terminal: bool) -> str:
    """Return the style for ``auto``: a live table on a terminal, plain lines in CI, files and dumb terminals."""
    if style != "auto":
        return style
    in_ci = environ.get("CI", "").lower() not in {"", "0", "false", "no"}
    return "tty" if is_terminal and not in_ci and environ.get("TERM") != "dumb" else "plain"


def make_progress(style: str, dependencies: Mapping[str, Sequence[str]]) -> Progress:
    """Make the listener of a style; ``dependencies`` are what each service waits for."""
    chosen = choose_style(style, os.environ, is_terminal=sys.stderr.isatty())
    if chosen == "quiet":
        return QuietProgress()
    if chosen == "json":
        return JsonProgress()
    if chosen == "plain":
        return PlainProgress()
    from envspin.cli.progress.live import LiveProgress  # noqa: PLC0415 - rich is slow to import

    return LiveProgress(dependencies)


@contextmanager
def show_progress(style: str, plan: Plan | None = None) -> Iterator[Progress]:
    """Give a listener for the run of a plan and close it at the end, whatever happens."""
    progress = make_progress(style, find_dependencies(plan.services) if plan is not None else {})
    try:
        yield progress
    finally:
        progress.close()
