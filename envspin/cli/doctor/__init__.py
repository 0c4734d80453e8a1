"""What this machine needs to run environments: checks, each with the command that mends what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envspin.cli import context as cli_context
from envspin.cli.doctor import engine as engine_checks
from envspin.cli.doctor import machine as machine_checks
from envspin.cli.doctor.finding import Finding
from envspin.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envspin.engine.base import Engine

__all__ = ["Finding", "examine"]


def examine() -> Iterator[Finding]:
    """Yield the findings one by one, as soon as each is known."""
    yield machine_checks.check_python()
    yield machine_checks.check_pytest_plugin()
    yield machine_checks.check_docker_command()
    yield machine_checks.check_watchers()
    try:
        address = engine_checks.check_address()
        yield address
        engine = cli_context.connect_engine()
    except EngineError as error:
        yield engine_checks.explain_unreachable(error)
        return
    try:
        yield from _examine_engine(engine)
    finally:
        engine.close()


def _examine_engine(engine: Engine) -> Iterator[Finding]:
    try:
        info = engine.info()
        yield engine_checks.describe_engine(info)
        yield engine_checks.check_ports(info, engine)
        yield engine_checks.check_direct_access(info, engine.list_subnets())
        yield engine_checks.check_subnets(info, engine.list_subnets())
        yield engine_checks.check_leftovers(engine, info)
        if info.is_local:
            yield machine_checks.check_disk(machine_checks.find_data_root())
    except EngineError as error:
        yield engine_checks.explain_unreachable(error)
