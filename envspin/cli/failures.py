"""Errors on stderr: what happened, where and why, and what to try."""

from __future__ import annotations

import json
import os
import traceback
from typing import TYPE_CHECKING

import click

from envspin.errors import TopologyError

if TYPE_CHECKING:
    from envspin.errors import EnvspinError
    from envspin.problems import Problem

INTERRUPTED = 130
INTERNAL_ERROR = 70
"""EX_SOFTWARE of sysexits.h: a fault of envspin itself."""

REPORT_HINT = "this is a fault of envspin: please report it with the traceback that ENVSPIN_DEBUG=1 shows"


def show_error(error: EnvspinError) -> None:
    """Write an error to stderr, as one JSON line where progress is JSON, too."""
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().meta.get("envspin.progress") == "json":
        click.echo(json.dumps(describe_error(error)), err=True)
    else:
        click.echo(render_error(error), err=True)
    _show_traceback(error)


def show_internal_error(error: Exception) -> None:
    """Write one line about an exception that nobody expected, and how to report it."""
    text = str(error).splitlines()
    summary = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    click.echo(f"{click.style('internal error:', fg='red', bold=True)} {summary}", err=True)
    click.echo(f"  hint: {REPORT_HINT}", err=True)
    _show_traceback(error)


def render_error(error: EnvspinError) -> str:
    """Return the text of an error: ``error: MESSAGE``, its context lines and its hint, or every problem of a file."""
    if isinstance(error, TopologyError):
        return "\n".join([*(render_problem(each) for each in error.problems), *_render_hint(error.hint)])
    first = f"{click.style('error:', fg='red', bold=True)} {click.style(error.message, bold=True)}"
    return "\n".join([first, *(f"  {line}".rstrip() for line in error.context), *_render_hint(error.hint)])


def render_problem(problem: Problem) -> str:
    """Return the text of a problem with its first line in the colour of its severity."""
    first, _, rest = problem.render().partition("\n")
    label = f"{problem.severity}[{problem.code}]:"
    colour = "red" if problem.severity == "error" else "yellow"
    first = first.replace(label, click.style(label, fg=colour, bold=True), 1)
    return f"{first}\n{rest}" if rest else first


def describe_error(error: EnvspinError) -> dict[str, object]:
    """Return an error as data."""
    document: dict[str, object] = {
        "event": "error",
        "kind": type(error).__name__,
        "message": error.message,
        "context": list(error.context),
        "hint": error.hint,
        "exit_code": error.exit_code,
    }
    if isinstance(error, TopologyError):
        document["problems"] = [describe_problem(each) for each in error.problems]
    return document


def describe_problem(problem: Problem) -> dict[str, object]:
    """Return a problem as data."""
    return {
        "code": problem.code,
        "severity": problem.severity,
        "message": problem.message,
        "at": str(problem.mark) if problem.mark else None,
        "hint": problem.hint,
    }


def _render_hint(hint: str | None) -> list[str]:
    return [f"  {click.style('hint:', fg='cyan')} {hint}"] if hint else []


def _show_traceback(error: BaseException) -> None:
    if os.environ.get("ENVSPIN_DEBUG"):
        click.echo("".join(traceback.format_exception(error)).rstrip(), err=True)
