"""``envspin bundle``: images for engines that reach no registry."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from envspin.cli import context as cli_context
from envspin.cli.forking import Fork, ForkingCommand
from envspin.cli.options import json_option, topology_options
from envspin.cli.output import count_nouns, print_json
from envspin.errors import UsageError

if TYPE_CHECKING:
    from envspin.cli.context import TopologyRequest
    from envspin.run.bundles import Bundle

LOAD = Fork("load", "envspin.cli.commands.bundle_load", "Bring the images of a bundle into the engine.")


@click.command("bundle", cls=ForkingCommand, fork=LOAD)
@topology_options(selects=False, sets=False, complete_file=LOAD.complete)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Where to write the bundle."
)
@json_option
def command(request: TopologyRequest, *, output: Path, as_json: bool) -> None:
    """Save all locked images in one file; `bundle load` reads it.

    What the engine does not hold is pulled or built first. `envspin bundle load FILE` brings the images into another
    engine, where `envspin up --locked --pull never` then needs no registry. A folder called load is written ./load.
    """
    from envspin.cli.progress.plain import PlainProgress  # noqa: PLC0415 - not needed for a help
    from envspin.events import ImageProgress  # noqa: PLC0415
    from envspin.run.bundles import save_bundle  # noqa: PLC0415
    from envspin.run.images import ImageRules  # noqa: PLC0415
    from envspin.run.locks import find_lock  # noqa: PLC0415
    from envspin.run.signals import terminable  # noqa: PLC0415

    check_output(output)
    topology = request.load()
    began, progress = time.monotonic(), PlainProgress()
    with terminable(), cli_context.open_engine() as engine:
        rules = ImageRules(
            topology=topology.name,
            lock=find_lock(topology),
            policy="missing",
            platform=engine.info().platform,
            on_progress=lambda image, action, status, fraction: progress.handle(
                ImageProgress(image, action, status, fraction, time.monotonic() - began)
            ),
            is_cancelled=lambda: False,
        )
        bundle = save_bundle(engine, topology, output, rules)
    show(bundle, "wrote", output, as_json=as_json)


def check_output(output: Path) -> None:
    """Raise UsageError for what no bundle can be written to, before images are pulled in vain."""
    if str(output) == "-":
        raise UsageError("a bundle goes to a file, not to standard output", hint="name a file: `-o shop.tar`")
    folder, choose = os.path.dirname(os.path.realpath(output)), "choose another --output"  # noqa: PTH120
    if not os.path.isdir(folder):  # noqa: PTH112 - unlike pathlib, it raises nothing for impossible names
        raise UsageError(f"there is no folder {output.parent}", hint=choose)
    if os.path.exists(output) and not os.path.isfile(output):  # noqa: PTH110, PTH113
        raise UsageError(f"{output} cannot be written: it is no regular file", hint=choose)
    if not os.access(folder, os.W_OK):
        raise UsageError(f"nothing can be written in the folder {folder}", hint=choose)


def show(bundle: Bundle, verb: str, path: Path, *, as_json: bool) -> None:
    """Print what a bundle holds."""
    size = path.stat().st_size
    if as_json:
        images = [{"name": each.name, "id": each.id, "built": each.built} for each in bundle.images]
        document = {"topology": bundle.topology, "platform": bundle.platform, "file": str(path), "bytes": size}
        print_json({**document, "images": images})
        return
    built = sum(each.built for each in bundle.images)
    counted = count_nouns({"image": len(bundle.images) - built, "build": built})
    click.echo(f"{verb} {path}: {counted} of {bundle.topology} for {bundle.platform}, {size / 1e6:.1f} MB")
