"""Progress on a terminal: a table that is redrawn in place and shrinks to one line when all is ready."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from envspin.cli.failures import render_problem
from envspin.cli.output import render_duration
from envspin.cli.progress.board import Board
from envspin.cli.progress.plain import describe_teardown
from envspin.events import (
    Listener,
    RunFailed,
    RunReady,
    RunStarted,
    TeardownFinished,
    TeardownStarted,
    WarningRaised,
    describe_notice,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from envspin.cli.progress.board import Fetch, Row
    from envspin.events import Event

REDRAWS_PER_SECOND = 8
BAR_WIDTH = 24
FRAME_LINES = 3
"""Lines of the display beside the services: its head, its foot and the cursor's."""

LOOKS = {
    "waiting": ("·", "dim", "waits for its turn"),
    "created": ("·", "dim", "waits for its turn"),
    "starting": ("▸", "yellow", "starting"),
    "started": ("▸", "yellow", "waiting until ready"),
    "ready": ("✓", "green", "ready"),
    "failed": ("✗", "bold red", "failed"),
    "skipped": ("-", "dim", "skipped"),
}
PLAIN_GLYPHS = {"·": ".", "▸": ">", "✓": "+", "✗": "x"}


class LiveProgress(Listener):
    """Redraws one row a service while the environment starts; lines that matter afterwards are printed for good."""

    def __init__(self, dependencies: Mapping[str, Sequence[str]], console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._board = Board(dependencies)
        self._lock = threading.Lock()  # guards _board: the display's own thread reads it
        self._live: Live | None = None
        self._removing: str | None = None
        self._unicode = (self._console.encoding or "").lower().startswith("utf")

    def handle(self, event: Event) -> None:
        """Show an event."""
        with self._lock:
            self._board.take(event)
        if isinstance(event, RunStarted):
            self._begin()
        elif isinstance(event, WarningRaised):
            self._console.print(Text.from_ansi(render_problem(event.problem)))
        elif isinstance(event, RunReady):
            self._end(keep=False)
            self._say("✓", "green", self._describe_ready())
        elif isinstance(event, RunFailed):
            self._end(keep=True)
            self._say("✗", "red", f"{event.env} failed: {event.error.message}")
        elif isinstance(event, TeardownStarted):
            self._end(keep=False)
            self._removing = event.env
            self._begin()
        elif isinstance(event, TeardownFinished):
            self._end(keep=False)
            self._say("✓", "green", describe_teardown(event))
        elif notice := describe_notice(event):
            self._say("▸", "yellow", notice)

    def close(self) -> None:
        """Give the terminal back, with nothing half drawn left on it."""
        self._end(keep=False)

    def render(self) -> RenderableType:
        """Return what the terminal shows now."""
        with self._lock:
            if self._removing is not None:
                return Text(f"removing {self._removing} ...", style="dim")
            return self._render_board()

    def _begin(self) -> None:
        self._live = Live(
            console=self._console,
            get_renderable=self.render,
            refresh_per_second=REDRAWS_PER_SECOND,
            transient=True,
            vertical_overflow="crop",
        )
        self._live.start()

    def _end(self, *, keep: bool) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.transient = not keep
            live.stop()
        self._removing = None

    def _say(self, glyph: str, style: str, text: str) -> None:
        self._console.print(Text.assemble((self._glyph(glyph), style), " ", text))

    def _describe_ready(self) -> str:
        count = len(self._board.rows)
        took = render_duration(self._board.ready_seconds or 0.0)
        return f"{self._board.env}: {count} service{'' if count == 1 else 's'} ready in {took}"

    def _render_board(self) -> RenderableType:
        board = self._board
        fetches = list(board.fetches.values())
        limit = self._console.height - FRAME_LINES - len(fetches)
        rows, left_out = board.choose_rows(limit)
        head = Text.assemble((board.env, "bold"), ("  starting", "dim"))
        foot = f"{board.count_ready()} of {len(board.rows)} ready, {board.elapsed():.1f} s"
        if left_out:
            foot += f" ({left_out} not shown)"
        parts: list[RenderableType] = [head]
        if fetches:
            parts.append(self._render_fetches(fetches))
        return Group(*parts, self._render_rows(rows), Text(foot, style="dim"))

    def _render_rows(self, rows: list[Row]) -> Table:
        # Expanded, so that the last column alone gives way on a narrow terminal, and names stay whole.
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(width=1)
        table.add_column(no_wrap=True, min_width=max((len(row.name) for row in rows), default=0))
        table.add_column(justify="right", no_wrap=True, style="dim", min_width=10)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for row in rows:
            glyph, style, _ = LOOKS[row.state]
            words = Text(self._describe(row), style="dim" if row.state in {"waiting", "created"} else "")
            table.add_row(Text(self._glyph(glyph), style=style), row.name, self._tell_time(row), words)
        return table

    def _tell_time(self, row: Row) -> str:
        if row.state in {"starting", "started"}:
            return f"{max(0.0, self._board.elapsed() - row.since):.1f} s"
        return f"at {row.since:.1f} s" if row.state in {"ready", "failed"} else ""

    def _render_fetches(self, fetches: list[Fetch]) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        for _ in range(3):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for fetch in fetches:
            shown = "" if fetch.fraction is None else f"{fetch.fraction:4.0%}"
            bar: RenderableType = ""
            if fetch.fraction is not None:
                bar = ProgressBar(total=1.0, completed=fetch.fraction, width=BAR_WIDTH)
            table.add_row(f"{fetch.action} {fetch.image}", bar, shown, Text(fetch.status, style="dim"))
        return table

    def _glyph(self, glyph: str) -> str:
        return glyph if self._unicode else PLAIN_GLYPHS.get(glyph, glyph)

    def _describe(self, row: Row) -> str:
        if row.state == "started" and row.detail:
            return f"waiting for {row.detail}"
        awaited = self._board.find_awaited(row.name) if row.state in {"waiting", "created"} else []
        if awaited:
            return f"after {', '.join(awaited)}"
        return row.detail or LOOKS[row.state][2]
