"""``envspin lock``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from envspin.cli import context as cli_context
from envspin.cli.completing import complete_topology_services
from envspin.cli.options import json_option, platforms_option, topology_options
from envspin.cli.output import count_nouns, print_json
from envspin.errors import LockError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from envspin.cli.context import TopologyRequest
    from envspin.model import Topology
    from envspin.plan.lock import Lock
    from envspin.run.locking import Locking

ALL = "*"
"""What ``--upgrade`` without a service stands for."""


@click.command("lock")
@topology_options(selects=False, sets=False)
@click.option("--check", is_flag=True, help="Change nothing; exit with 5 and a diff if the lock does not fit.")
@click.option(
    "--upgrade",
    multiple=True,
    is_flag=False,
    flag_value=ALL,
    metavar="[SERVICE]",
    shell_complete=complete_topology_services,
    help="Ask again what images stand for: those of SERVICE, or all of them (repeatable).",
)
@platforms_option
@click.option("--local", is_flag=True, help="Lock images that no registry has by their id in the engine here.")
@json_option
def command(
    request: TopologyRequest,
    *,
    check: bool,
    upgrade: tuple[str, ...],
    platforms: tuple[str, ...],
    local: bool,
    as_json: bool,
) -> None:
    """Write envspin.lock: the digests that tags stand for.

    What is locked and still fits stays as it is, so that calling this again changes nothing; --upgrade asks the
    registries anew. Nothing is pulled. Images are locked for the platforms that the lock names and those of --platform;
    a new lock is for this engine's, too.
    """
    request, upgrade = _take_file(request, upgrade)
    topology = request.load()
    services = choose_services(topology, upgrade)
    if check:
        if upgrade or local:
            raise click.UsageError("--check changes nothing: leave out --upgrade and --local")
        check_lock(topology, platforms, as_json=as_json)
        return
    from envspin.run.locking import lock_topology  # noqa: PLC0415 - not needed for a help
    from envspin.run.signals import terminable  # noqa: PLC0415

    with terminable(), cli_context.open_engine_if_any() as engine:
        if local and engine is None:
            raise click.UsageError("--local needs an engine, and none answers: see `envspin doctor`")
        done = lock_topology(
            topology, engine=engine, platforms=platforms, upgrade=services, local=local, on_ask=announce
        )
    if as_json:
        print_json(describe(done))
    else:
        click.echo("\n".join(render(done)))


def _take_file(request: TopologyRequest, upgrade: tuple[str, ...]) -> tuple[TopologyRequest, tuple[str, ...]]:
    """Read ``--upgrade topologies/shop`` as it is meant: all of that topology, not a service of this folder."""
    from envspin.topology.files import holds_compose_file  # noqa: PLC0415 - not needed for a help

    if not upgrade or request.paths != (Path(),):
        return request, upgrade
    last = Path(upgrade[-1])
    is_path = os.path.exists(last)  # noqa: PTH110 - unlike pathlib, it raises nothing for impossible names
    if is_path and ("/" in upgrade[-1] or upgrade[-1] in {".", ".."} or not holds_compose_file(Path())):
        return replace(request, paths=(last,)), (*upgrade[:-1], ALL)
    return request, upgrade


def announce(count: int) -> None:
    """Say on stderr what is waited for."""
    click.echo(click.style(f"asking registries about {count_nouns({'image': count})} ...", dim=True), err=True)


def choose_services(topology: Topology, upgrade: Sequence[str]) -> frozenset[str]:
    """Return the services that ``--upgrade`` names; raise UsageError for one that the topology does not have."""
    from envspin.plan.selection import suggest_name  # noqa: PLC0415 - not needed for a help

    if ALL in upgrade:
        return frozenset(topology.services)
    for name in upgrade:
        if name not in topology.services:
            hint = suggest_name(name, topology.services)
            raise UsageError(f"upgrade: topology {topology.name} has no service {name!r}", hint=hint)
    return frozenset(upgrade)


def check_lock(topology: Topology, platforms: Sequence[str], *, as_json: bool) -> None:
    """Print how the lock would have to change; raise LockError if it would."""
    from envspin.plan.pinning import compare_with_topology  # noqa: PLC0415 - not needed for a help
    from envspin.run.locks import check_file, find_lock, read_lock, suggest_locking, survey  # noqa: PLC0415
    from envspin.topology.files import display_name  # noqa: PLC0415

    lock, name = read_lock(topology), display_name(find_lock(topology))
    check_file(topology, lock)
    diff = compare_with_topology(lock, survey(topology), platforms)
    if as_json:
        print_json({"lock": name, "fits": not diff, "diff": diff})
    elif diff:
        click.echo(diff, nl=False)
    if diff:
        what = "does not fit the topology any more" if lock is not None else "is not there"
        more = "".join(f" --platform {each}" for each in platforms)
        raise LockError(
            f"{name} {what}", hint=f"`{suggest_locking(topology)}{more}` writes it; commit what that changes"
        )
    if not as_json:
        click.echo(f"{name} fits: {_count(lock)}")


def _count(lock: Lock | None) -> str:
    return count_nouns({"image": len(lock.images), "build": len(lock.builds)} if lock is not None else {})


def describe(done: Locking) -> dict[str, object]:
    """Return the document of ``lock --json``."""
    from envspin.topology.files import display_name  # noqa: PLC0415 - not needed for a help

    return {
        "lock": display_name(done.path),
        "changed": done.changed,
        "asked": done.asked,
        "platforms": list(done.after.platforms),
        "images": {
            reference: {
                "digest": image.digest,
                "resolved": image.resolved,
                "platforms": {name: each.digest or each.config for name, each in image.platforms.items()},
            }
            for reference, image in done.after.images.items()
        },
        "builds": {name: build.content for name, build in done.after.builds.items()},
    }


def render(done: Locking) -> Iterator[str]:
    """Yield a line for each pin that changed, then what the lock holds."""
    from envspin.reference import SHORT_DIGEST  # noqa: PLC0415 - not needed for a help
    from envspin.topology.files import display_name  # noqa: PLC0415

    before = _list_pins(done.before) if done.before is not None else {}
    after = _list_pins(done.after)
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            sign = "+" if old is None else "-" if new is None else "~"
            yield f"{sign} {name}  {' -> '.join(each[:SHORT_DIGEST] for each in (old, new) if each)}"
    verb = "wrote" if done.changed else "unchanged:"
    yield f"{verb} {display_name(done.path)}: {_count(done.after)}, for {', '.join(done.after.platforms)}"


def _list_pins(lock: Lock) -> Mapping[str, str]:
    """Return what each name is pinned to: images by reference, builds by service."""
    images = {name: image.digest or next(iter(image.platforms.values())).config for name, image in lock.images.items()}
    return {**images, **{f"build of {name}": build.content for name, build in lock.builds.items()}}
