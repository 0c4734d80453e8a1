"""``envspin engine``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from envspin.cli.options import json_option
from envspin.cli.output import print_json

if TYPE_CHECKING:
    from envspin.cli.private_engine import EngineRecord, PrivateEngine
    from envspin.engine.base import EngineInfo

NO_ENGINE = 4


@click.group("engine")
def command() -> None:
    """Start or stop a private engine where none runs.

    The address is that of the docker command line: DOCKER_HOST, the docker context, else /var/run/docker.sock.
    An engine that envspin did not start is never touched.
    """


@command.command("start")
@json_option
def start(*, as_json: bool) -> None:
    """Start an engine and wait until it answers; do nothing where one answers already.

    As root that is dockerd, else docker's rootless script. At another address than the usual one, its data lies
    below envspin's state directory.
    """
    engine = find_engine()
    started = engine.start()
    if as_json:
        print_json(describe(engine, started.info, started.record))
        return
    version = f"Docker Engine {started.info.version} at {started.info.address}"
    if started.record is None:
        click.echo(f"an engine answers already: {version}; envspin did not start it")
        return
    begun = "started" if started.is_new else "envspin started it before"
    click.echo(f"{begun}: {version}, process {started.record.pid}, log {started.record.log}")


@command.command("stop")
@json_option
def stop(*, as_json: bool) -> None:
    """Stop the engine that envspin started, and its containers with it; any other is left alone.

    Images and volumes stay for the next start.
    """
    engine = find_engine()
    record = engine.stop()
    if as_json:
        print_json({"address": engine.address, "stopped": record is not None, "pid": record.pid if record else None})
    elif record is not None:
        click.echo(f"stopped the engine at {record.address} (process {record.pid})")
    else:
        click.echo(f"nothing to stop: envspin has started no engine at {engine.address}")


@command.command("status")
@json_option
@click.pass_context
def status(context: click.Context, *, as_json: bool) -> None:
    """Say whether an engine answers and who started it; exit with 4 where none answers."""
    engine = find_engine()
    info, record = engine.ask(), engine.find_record()
    if as_json:
        print_json(describe(engine, info, record))
    elif info is None:
        click.echo(f"no engine answers at {engine.address}; `envspin engine start` starts one where it is installed")
    else:
        holder = f"started by envspin, process {record.pid}, log {record.log}" if record else "not started by envspin"
        click.echo(f"Docker Engine {info.version} (API {info.api_version}) at {info.address}: {holder}")
    context.exit(0 if info is not None else NO_ENGINE)


def find_engine() -> PrivateEngine:
    """Return the engine at the address that the docker command line would use."""
    from envspin.cli.private_engine import PrivateEngine  # noqa: PLC0415 - not needed for a help
    from envspin.engine.docker.client import find_address  # noqa: PLC0415

    return PrivateEngine(find_address()[0])


def describe(engine: PrivateEngine, info: EngineInfo | None, record: EngineRecord | None) -> dict[str, object]:
    """Return the document of ``engine status --json``."""
    return {
        "address": engine.address,
        "answers": info is not None,
        "version": info.version if info else None,
        "api_version": info.api_version if info else None,
        "started_by_envspin": record is not None,
        "pid": record.pid if record else None,
        "log": record.log if record else None,
    }
