"""The group ``envspin``: finds commands by name, loads only the one that is asked for, and renders errors."""

from __future__ import annotations

import os
from difflib import get_close_matches
from importlib import import_module

import click

from envspin import __version__
from envspin.cli.catalog import COMMANDS, MODULES, render_help
from envspin.cli.failures import INTERNAL_ERROR, INTERRUPTED, show_error, show_internal_error
from envspin.errors import EnvspinError


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return all names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command; None where there is none of this name."""
        module = MODULES.get(cmd_name)
        if module is None:
            return None
        command = import_module(module).command
        assert isinstance(command, click.Command)  # noqa: S101 - tells mypy; a test proves it for every command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the call; fail with the nearest name there is."""
        if args and args[0] not in MODULES and not ctx.resilient_parsing and not args[0].startswith("-"):
            near = get_close_matches(args[0], MODULES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "see `envspin --help`"
            ctx.fail(f"there is no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the same text that ``main`` writes without click."""
        formatter.write(render_help().rstrip("\n"))

    def invoke(self, ctx: click.Context) -> None:
        """Run the command; turn what it raises into a message on stderr and an exit code."""
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            ctx.color = False
        try:
            super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise  # click knows what to do with these
        except EnvspinError as error:
            show_error(error)
            ctx.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - users get a line that says how to report it, never a traceback
            show_internal_error(error)
            ctx.exit(INTERNAL_ERROR)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="envspin", message="%(prog)s %(version)s")
def cli() -> None:
    """Ephemeral test environments from Compose files."""
