"""Arguments and options that several commands share, and the types of their values."""

from __future__ import annotations

import functools
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from envspin.cli.completing import complete_environments, complete_pins, complete_topology_services
from envspin.cli.context import TopologyRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from click.shell_completion import CompletionItem

    Function = TypeVar("Function", bound=Callable[..., object])
    Completion = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

DAY_SECONDS = 86400
PROGRESS_STYLES = ("auto", "tty", "plain", "json", "quiet")


def read_duration(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Return seconds from Compose's notation (``90s``, ``1m30s``, ``8h``), days before it, or from a plain number."""
    from envspin.topology.values import to_duration, to_number  # noqa: PLC0415 - its package imports yaml

    if value is None:
        return None
    try:
        with suppress(ValueError):
            return _require_positive(to_number(value))
        days, rest = _cut_days(value)
        return _require_positive(days * DAY_SECONDS + (to_duration(rest) if rest else 0))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}") from None


def _cut_days(text: str) -> tuple[int, str]:
    """Return the days that a duration begins with (Go's notation has none, people do), and what comes after them."""
    days = re.match(r"([0-9]{1,6})d", text)
    return (int(days[1]), text[days.end() :]) if days else (0, text)


def _require_positive(seconds: float) -> float:
    if seconds <= 0:
        raise click.BadParameter("it must be more than 0")
    return seconds


def read_pins(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Return images by service from ``SERVICE=IMAGE`` words; fail where a part is missing or two disagree."""
    pins: dict[str, str] = {}
    for value in values:
        service, _, image = (part.strip() for part in value.partition("="))
        if not service or not image:
            raise click.BadParameter(f"{value!r} is not SERVICE=IMAGE, as in db=postgres:16.4")
        if pins.setdefault(service, image) != image:
            raise click.BadParameter(f"two images are named for {service!r}")
    return pins


class TailCommand(click.Command):
    """A command that ends in ``-- CMD ...``: what follows the first ``--`` becomes the parameter ``tail``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before ``--`` as usual; fail where nothing follows it."""
        cut = args.index("--") if "--" in args else len(args)
        tail = tuple(args[cut + 1 :])
        try:
            rest = super().parse_args(ctx, args[:cut])
        except click.UsageError as error:
            if "--" in args:
                raise
            said = error.message.rstrip(".")
            ctx.fail(f"{said}; the command stands after two dashes: `{ctx.command_path} ... -- CMD`")
        if not tail and not ctx.resilient_parsing:
            ctx.fail(f"say what to run, after two dashes: `{ctx.command_path} ... -- CMD`")
        ctx.params["tail"] = tail
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show the tail in the usage line."""
        return [*super().collect_usage_pieces(ctx), "-- CMD [ARG]..."]


def duration_option(name: str, text: str) -> Callable[[Function], Function]:
    """Make an option that takes a duration and gives seconds."""
    return click.option(name, metavar="DURATION", callback=read_duration, help=text)


def json_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def progress_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--progress``, which all renderers of progress and errors look at."""

    def note(context: click.Context, _parameter: click.Parameter, value: str) -> str:
        context.meta["envspin.progress"] = value
        return value

    option = click.option(
        "--progress",
        type=click.Choice(PROGRESS_STYLES),
        default="auto",
        show_default=True,
        callback=note,
        help="How to show progress on stderr.",
    )
    return option(function)


def topology_options(
    *, selects: bool = True, sets: bool = True, complete_file: Completion | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add FILE and the options that say what to make of it; the function gets one ``TopologyRequest`` for them.

    ``selects`` adds ``--only`` and ``--stub``, ``sets`` adds ``--set``; ``complete_file`` offers something else than
    files for FILE.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def wrapper(
            *,
            file: Path | None,
            files: tuple[Path, ...],
            profiles: tuple[str, ...],
            env_files: tuple[Path, ...],
            allow_unsafe: bool,
            pins: Mapping[str, str] | None = None,
            only: tuple[str, ...] = (),
            stub: tuple[str, ...] = (),
            **others: object,
        ) -> None:
            request = TopologyRequest(
                paths=_choose_paths(file, files),
                profiles=profiles,
                env_files=env_files,
                pins=pins or {},
                only=only,
                stub=stub,
                allow_unsafe=allow_unsafe,
            )
            function(request, **others)

        return _add_parameters(wrapper, selects=selects, sets=sets, complete_file=complete_file)

    return decorate


def _add_parameters(
    function: Callable[..., None], *, selects: bool, sets: bool, complete_file: Completion | None
) -> Callable[..., None]:
    path = click.Path(path_type=Path)
    setting = click.option(
        "--set",
        "pins",
        multiple=True,
        callback=read_pins,
        metavar="SERVICE=IMAGE",
        shell_complete=complete_pins,
        help="Run a service with this image (repeatable).",
    )
    selecting = [
        click.option(
            "--only",
            multiple=True,
            metavar="SERVICE",
            shell_complete=complete_topology_services,
            help="Take only this service and what it needs (repeatable).",
        ),
        click.option(
            "--stub",
            multiple=True,
            metavar="SERVICE",
            shell_complete=complete_topology_services,
            help="Put the service's declared stub in its place (repeatable).",
        ),
    ]
    decorators = [
        click.argument("file", type=path, required=False, shell_complete=complete_file),
        click.option(
            "-f",
            "--file",
            "files",
            type=path,
            multiple=True,
            help="A Compose file, laid over FILE and those before it (repeatable).",
        ),
        *([setting] if sets else []),
        *(selecting if selects else []),
        click.option("--profile", "profiles", multiple=True, help="Activate a Compose profile (repeatable)."),
        click.option(
            "--env-file", "env_files", type=path, multiple=True, help="Read variables from here, not from .env."
        ),
        click.option("--allow-unsafe", is_flag=True, help="Let the topology reach out of its containers."),
    ]
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def _choose_paths(file: Path | None, files: Sequence[Path]) -> tuple[Path, ...]:
    """Return FILE and then every ``-f``; the current folder where neither is given."""
    chosen = ([file] if file else []) + list(files)
    return tuple(chosen) or (Path(),)


def platforms_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--platform``, repeatable, in the words of registries."""
    option = click.option(
        "--platform",
        "platforms",
        multiple=True,
        callback=read_platforms,
        metavar="OS/ARCH",
        help="A platform to lock images for, such as linux/arm64 (repeatable).",
    )
    return option(function)


def read_platforms(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return platforms as registries call them; fail for what is none."""
    from envspin.reference import normalize_platform  # noqa: PLC0415 - not needed for a help
    from envspin.topology.formats import to_platform  # noqa: PLC0415

    try:
        return tuple(dict.fromkeys(normalize_platform(to_platform(value)) for value in values))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def environment_argument(function: Callable[..., None]) -> Callable[..., None]:
    """Add the optional argument ENV."""
    argument = click.argument("env", required=False, shell_complete=complete_environments)
    return argument(function)
