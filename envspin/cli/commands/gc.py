"""``envspin gc``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from envspin.cli import context as cli_context
from envspin.cli.options import duration_option, json_option
from envspin.cli.output import count_nouns, print_json, render_duration
from envspin.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from envspin.run.garbage import Collected
    from envspin.run.janitor import Reason

REASONS = {
    "owner dead": "its owner has died",
    "lease over": "its time was up {ago} ago",
    "time over": "its owner cannot be seen from here and its time was up {ago} ago",
}


@click.command("gc")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be removed.")
@duration_option("--older-than", "Leave alone what was made within this time.")
@json_option
def command(*, dry_run: bool, older_than: float | None, as_json: bool) -> None:
    """Remove what ended runs have left behind.

    These are environments whose owner has died or whose time is up, wherever they came from, and files of envspin
    that nobody needs any more. Every start of envspin does it for environments; this says what it does.

    Removed is exactly what carries an environment's labels and name. Exits with 4 if something cannot be removed.
    """
    from envspin.run.garbage import collect_environments, collect_files  # noqa: PLC0415 - not needed for a help

    with cli_context.open_engine() as engine:
        collected = collect_environments(engine, older_than=older_than or 0.0, dry_run=dry_run)
        files = collect_files(engine, older_than=older_than or 0.0, dry_run=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, **_describe(collected, files)})
    else:
        _tell(collected, files, "would remove" if dry_run else "removed", older_than)
    _raise_failures(collected)


def _describe(collected: Sequence[Collected], files: Sequence[Path]) -> dict[str, object]:
    environments = [
        {
            "env": each.env,
            "run_id": each.run_id,
            "reason": each.reason.kind,
            "ended_seconds_ago": None if each.reason.seconds is None else round(each.reason.seconds),
            "removed": dict(each.counts),
            "error": each.error.message if each.error else None,
        }
        for each in collected
    ]
    return {"environments": environments, "files": [str(path) for path in files]}


def _tell(collected: Sequence[Collected], files: Sequence[Path], verb: str, older_than: float | None) -> None:
    for each in collected:
        if each.error is None:
            click.echo(f"{verb} {each.env}: {count_nouns(each.counts)} ({_say_reason(each.reason)})")
    for path in files:
        click.echo(f"{verb} {path}")
    if not collected and not files:
        age = f" that is older than {render_duration(older_than)}" if older_than else ""
        click.echo(f"nothing to remove{age}", err=True)


def _say_reason(reason: Reason) -> str:
    return REASONS[reason.kind].format(ago=render_duration(reason.seconds or 0.0))


def _raise_failures(collected: Sequence[Collected]) -> None:
    failed = [(each.env, each.error) for each in collected if each.error is not None]
    if failed:
        lines = [f"{env}: {error.message}" for env, error in failed]
        hint = next((error.hint for _, error in failed if error.hint), "`envspin gc` tries again")
        what = f"{len(failed)} environment{'s' if len(failed) > 1 else ''}"
        raise EngineError(f"{what} could not be removed", context=lines, hint=hint)
