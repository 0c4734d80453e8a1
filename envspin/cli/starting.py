"""What ``up`` and ``run`` share: their options, and bringing an environment up for them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from envspin.cli.options import duration_option
from envspin.cli.variables import check_writable, write_dotenv
from envspin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from envspin.cli.context import TopologyRequest
    from envspin.cli.progress import Progress
    from envspin.engine.base import Engine
    from envspin.events import Listener
    from envspin.plan.planning import Plan
    from envspin.run.environment import Environment


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How to start, beyond what the topology says; times in seconds."""

    name: str | None = None
    timeout: float | None = None
    ttl: float | None = None
    locked: bool = False
    pull: Literal["missing", "always", "never"] = "missing"
    keep_on_failure: bool = False
    no_wait: bool = False
    env_out: Path | None = None


def start_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of ``up`` and ``run``; the function gets them as one ``StartOptions`` called ``start``."""

    @functools.wraps(function)
    def wrapper(*arguments: object, **others: Any) -> None:  # noqa: ANN401 - passed on as they are
        names = StartOptions.__dataclass_fields__
        start = StartOptions(**{name: others.pop(name) for name in names})
        function(*arguments, start=start, **others)

    decorators = [
        click.option("--name", metavar="NAME", help="Name the environment; <topology>-<8 hex digits> by default."),
        duration_option("--timeout", "Give up if not everything is ready by then."),
        duration_option("--ttl", "How long it may live where no process owns it any more.  [default: 8h]"),
        click.option("--locked", is_flag=True, help="Fail unless envspin.lock holds every image and build as it is."),
        click.option(
            "--pull",
            type=click.Choice(("missing", "always", "never")),
            default="missing",
            show_default=True,
            help="When to fetch images.",
        ),
        click.option("--keep-on-failure", is_flag=True, help="Leave everything in place for a look if a start fails."),
        click.option("--no-wait", is_flag=True, help="Fail at once if no subnet or port is free; wait by default."),
        click.option(
            "--env-out",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write the variables that lead to the environment here, as dotenv.",
        ),
    ]
    decorated: Callable[..., None] = wrapper
    for decorator in reversed(decorators):
        decorated = decorator(decorated)
    return decorated


def bring_up(plan: Plan, start: StartOptions, engine: Engine, progress: Progress) -> Environment:
    """Bring the environment up and write its variables where that was asked for."""
    from envspin.run.clearing import UpOptions  # noqa: PLC0415 - not needed for a help
    from envspin.run.environment import Environment  # noqa: PLC0415

    options = UpOptions(start.name, start.timeout, start.ttl, start.pull, start.keep_on_failure, start.no_wait)
    environment = Environment.bring_up(engine, plan, options, cast("Listener", progress))  # every Progress is one
    if start.env_out is not None:
        try:
            write_dotenv(start.env_out, environment.variables())
        except UsageError:
            environment.close()
            raise
    return environment


def check_start(request: TopologyRequest, start: StartOptions) -> Plan:
    """Find what is wrong with a call before the engine is asked for anything; return the plan."""
    plan = request.plan(locked=start.locked)
    if start.env_out is not None:
        check_writable(start.env_out)
    return plan
