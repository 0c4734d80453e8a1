"""Commands that are another one when their first word is a certain one: ``config diff``, ``bundle load``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from envspin.cli.completing import offer_beside_files

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True)
class Fork:
    """The word that means another command, and where that is, as a click command called ``command``."""

    word: str
    module: str
    help: str

    def complete(self, _context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the word beside the files."""
        return offer_beside_files(incomplete, {self.word: self.help})


class ForkingCommand(click.Command):
    """A command with a fork; a folder that is called like its word is written ``./WORD``."""

    def __init__(self, *arguments: Any, fork: Fork, **options: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(*arguments, **options)
        self.fork = fork

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        """Read the words of the call as those of the command that is meant."""
        if args[:1] != [self.fork.word]:
            return super().make_context(info_name, args, parent, **extra)
        other: click.Command = import_module(self.fork.module).command
        return other.make_context(f"{info_name} {self.fork.word}", args[1:], parent, **extra)
