"""``envspin config diff``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from envspin.cli.context import TopologyRequest
from envspin.cli.options import json_option
from envspin.cli.output import print_json
from envspin.errors import TopologyError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from envspin.model import Topology

SIDES = 2
_SIDE_OPTIONS = ("overlays", "env_files", "profiles")


class Part(NamedTuple):
    """A FILE with the options that follow it."""

    file: str
    options: list[str]


def split_at_files(words: Sequence[str], with_value: Collection[str]) -> tuple[list[str], list[Part]]:
    """Return the options before the first FILE, and each FILE with those after it.

    ``with_value`` names the options that take a value, which may be a word of its own. What follows ``--`` is a FILE.
    """
    common: list[str] = []
    parts: list[Part] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            parts.extend(Part(file, []) for file in left)
            break
        if not word.startswith("-") or word == "-":
            parts.append(Part(word, []))
            continue
        options = parts[-1].options if parts else common
        options.append(word)
        if left and _wants_next(word, with_value):
            options.append(left.pop(0))
    return common, parts


def _wants_next(word: str, with_value: Collection[str]) -> bool:
    """Tell whether the value of an option is the next word: `--file x` and `-f x`, but not `--file=x` and `-fx`."""
    if word.startswith("--"):
        return word in with_value
    for position, letter in enumerate(word[1:], 1):
        if f"-{letter}" in with_value:
            return position == len(word) - 1
    return False


class DiffCommand(click.Command):
    """A command with two FILEs, each with options of its own; its function gets a request for each side."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Check the words as usual, then read them once more for each side."""
        words = list(args)
        rest = super().parse_args(ctx, args)
        if ctx.resilient_parsing:
            return rest
        options = [each for each in self.params if isinstance(each, click.Option) and not each.is_flag]
        common, parts = split_at_files(words, {name for each in options for name in each.opts})
        if len(parts) < SIDES:
            given = f"only {parts[0].file!r} was given" if parts else "none was given"
            ctx.fail(f"name two files to compare, each followed by options of its own; {given}")
        if len(parts) > SIDES:
            names = ", ".join(each.file for each in parts)
            ctx.fail(f"two files are compared, and {len(parts)} were given: {names}; to lay one over another use -f")
        for name in ("files", *_SIDE_OPTIONS):
            ctx.params.pop(name)
        allow_unsafe = ctx.params.pop("allow_unsafe")
        for side, part in zip(("left", "right"), parts, strict=True):
            values = self._read_options(ctx, [*common, *part.options])
            ctx.params[side] = TopologyRequest(
                paths=(Path(part.file), *values["overlays"]),
                profiles=values["profiles"],
                env_files=values["env_files"],
                allow_unsafe=allow_unsafe,
            )
        return rest

    def _read_options(self, ctx: click.Context, words: list[str]) -> dict[str, Any]:
        """Return the values of the options that each side has."""
        given = self.make_parser(ctx).parse_args(words)[0]
        return {
            each.name: each.type_cast_value(ctx, given.get(each.name) or ())
            for each in self.params
            if each.name in _SIDE_OPTIONS
        }


_PATH = click.Path(path_type=Path)


@click.command("diff", cls=DiffCommand)
@click.argument("files", type=_PATH, nargs=-1, metavar="FILE_A [OPTIONS] FILE_B [OPTIONS]")
@click.option("-f", "--file", "overlays", type=_PATH, multiple=True, help="Lay this file over the FILE (repeatable).")
@click.option(
    "--env-file", "env_files", type=_PATH, multiple=True, help="Read variables from here, not from .env (repeatable)."
)
@click.option("--profile", "profiles", multiple=True, help="Activate a Compose profile (repeatable).")
@json_option
@click.option("--allow-unsafe", is_flag=True, help="Compare topologies that reach out of their containers, too.")
@click.pass_context
def command(context: click.Context, left: TopologyRequest, right: TopologyRequest, *, as_json: bool) -> None:
    """Show how two topologies differ; exit with 1 if they do.

    By service: variables, images, builds, ports, resources and all other settings that differ, that only one side
    has, or that are undeclared. The values of secrets are shown as ***.

    Options after a FILE are for that side, options before the first for both:

    \b
      envspin config diff shop --env-file pre.env shop --env-file prod.env

    A variable is undeclared where the text uses it and neither the side's files nor your own environment, which counts
    for both sides, set it. Compared is what `envspin config` prints, and the fixed addresses of ports. What stands in
    files that are mounted, built from or used as secrets is not, nor are keys that envspin replaces (such as restart).

    Exits with 0 if nothing differs, 1 if something does, 2 after every problem of both sides if a file is wrong.
    """  # noqa: D301 - click's mark, not a raw backslash
    from envspin.cli.differences import (  # noqa: PLC0415 - not needed for a help
        describe_difference,
        describe_side,
        render_differences,
        render_sides,
    )
    from envspin.topology.comparison import compare_topologies, find_undeclared  # noqa: PLC0415

    topologies = load_both(left, right)
    differences = compare_topologies(*topologies)
    missing = [find_undeclared(topology) for topology in topologies]
    if as_json:
        sides = {
            side: describe_side(request, topology, names)
            for side, request, topology, names in zip(
                ("left", "right"), (left, right), topologies, missing, strict=True
            )
        }
        print_json({**sides, "differences": [describe_difference(each) for each in differences]})
    else:
        click.echo(render_sides(left, right) + "\n")
        in_both = [each for each in missing[0] if each in missing[1]]
        click.echo(render_differences(differences, in_both))
    context.exit(1 if differences else 0)


def load_both(left: TopologyRequest, right: TopologyRequest) -> tuple[Topology, Topology]:
    """Read both topologies; raise TopologyError with the problems of both, each once."""
    topologies = []
    problems = {}
    for request in (left, right):
        try:
            topologies.append(request.load())
        except TopologyError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        raise TopologyError(list(problems))
    return topologies[0], topologies[1]
