"""``envspin completion``."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_ENVSPIN_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.pass_context
def command(context: click.Context, shell: str | None) -> None:
    """Print the completion script for bash, zsh or fish.

    SHELL is the one you are using ($SHELL) if omitted. Commands, options, environments and services are completed.

    \b
    Put this into your shell's start-up file:
      bash:  eval "$(envspin completion bash)"
      zsh:   eval "$(envspin completion zsh)"
      fish:  envspin completion fish | source
    """  # noqa: D301 - click's mark, not a raw backslash
    chosen = shell or PurePath(os.environ.get("SHELL", "")).name
    if chosen not in SHELLS:
        raise click.UsageError(f"name your shell: {', '.join(SHELLS)}")
    click.echo(_make(chosen, context.find_root().command).source())


def _make(shell: str, root: click.Command) -> ShellComplete:
    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    return completion(root, {}, "envspin", VARIABLE)
