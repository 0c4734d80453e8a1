"""``envspin run``."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import click

from envspin.cli import context as cli_context
from envspin.cli.options import TailCommand, progress_option, topology_options
from envspin.cli.progress import show_progress
from envspin.cli.starting import StartOptions, bring_up, check_start, start_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envspin.cli.context import TopologyRequest

NOT_FOUND = 127
SIGNAL_BASE = 128
PATIENCE = 2
"""How many interrupts the command may take in its own way before it is killed."""


@click.command("run", cls=TailCommand)
@topology_options()
@start_options
@progress_option
@click.pass_context
def command(
    context: click.Context, request: TopologyRequest, *, start: StartOptions, progress: str, tail: tuple[str, ...]
) -> None:
    """Start a topology, run a command against it, remove it.

    CMD finds every export, ENVSPIN_<SERVICE>_HOST, _PORT and _PORT_<CONTAINERPORT> of each service, and ENVSPIN_ENV
    in its environment. Its exit code is passed through (128 + N where signal N ended it); 127 where there is no such
    command. Ctrl-C reaches CMD, too: envspin waits for its end, removes everything and exits with 130.

    \b
    Example:
      envspin run topologies/shop -- pytest -q tests/integration
    """  # noqa: D301 - click's mark, not a raw backslash
    from envspin.cli.summary import render_summary  # noqa: PLC0415 - not needed for a help
    from envspin.run.signals import terminable  # noqa: PLC0415 - not needed for a help

    plan = check_start(request, start)
    if shutil.which(tail[0]) is None:
        click.echo(f"{click.style('error:', fg='red', bold=True)} there is no command {tail[0]!r}", err=True)
        context.exit(NOT_FOUND)
    with (
        terminable(),
        cli_context.open_engine() as engine,
        show_progress(progress, plan) as shown,
        bring_up(plan, start, engine, shown) as environment,
    ):
        if progress not in {"quiet", "json"}:
            click.echo(f"\n{render_summary(environment)}\n", err=True)
        code = run_command(tail, environment.variables())
    context.exit(code)


def run_command(command_line: Sequence[str], variables: Mapping[str, str]) -> int:
    """Run a command with these variables and return its exit code as a shell would.

    Raises KeyboardInterrupt after an interrupt, once the command has ended.
    """
    process = subprocess.Popen(list(command_line), env={**os.environ, **variables})
    try:
        return _translate(process.wait())
    except KeyboardInterrupt as interrupt:
        _wait_for_end(process, interrupt)
        raise


def _wait_for_end(process: subprocess.Popen[bytes], interrupt: KeyboardInterrupt) -> None:
    """Wait until the command has ended: a terminal's Ctrl-C has reached it as well, a SIGTERM only us."""
    from envspin.run.signals import Terminated  # noqa: PLC0415 - loaded by the command already

    interrupts = 1
    if isinstance(interrupt, Terminated):
        process.terminate()
    while process.poll() is None:
        try:
            process.wait()
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts > PATIENCE:
                process.kill()


def _translate(returncode: int) -> int:
    return SIGNAL_BASE - returncode if returncode < 0 else returncode
