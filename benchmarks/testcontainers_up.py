"""Start a recipe's services with testcontainers, one after the other, and remove them; run as a script of its own.

    python testcontainers_up.py LABEL RECIPE.json

Each service waits as the library's users would write it: HTTP where it serves HTTP, its log where a line says so, else
its healthcheck's command. The poll interval is 0.1 s instead of the library's 1 s. Prints ``ready at N``
(CLOCK_MONOTONIC) between start and removal.
"""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import ExecWaitStrategy, HttpWaitStrategy, LogMessageWaitStrategy

if TYPE_CHECKING:
    from testcontainers.core.waiting_utils import WaitStrategy

POLL_SECONDS = 0.1


def choose_strategy(service: dict[str, Any]) -> WaitStrategy | None:
    """Return how readiness is awaited; None for a job."""
    probe = service["probe"]
    strategy: WaitStrategy
    if probe["kind"] == "exit":
        return None
    if probe["kind"] == "http":
        strategy = HttpWaitStrategy(probe["port"], probe["path"])
    elif probe["kind"] == "log":
        strategy = LogMessageWaitStrategy(re.compile(probe["pattern"], re.MULTILINE))
    elif probe["kind"] == "tcp":
        # Not the port: the engine's proxy accepts before the server listens.
        strategy = LogMessageWaitStrategy("listening at ")
    else:
        strategy = ExecWaitStrategy(service["check"])
    return strategy.with_poll_interval(POLL_SECONDS)


def describe_container(name: str, service: dict[str, Any], network: Network, label: str) -> DockerContainer:
    """Return a service's container, not started yet."""
    container = (
        DockerContainer(service["image"])
        .with_name(f"{label}-{name}")
        .with_network(network)
        .with_network_aliases(name)
        .with_envs(**service["environment"])
        .with_exposed_ports(*service["ports"])
        .with_kwargs(labels={"envspin.bench": label})
    )
    if service["command"] is not None:
        container.with_command(service["command"])
    for target, content in service["files"].items():
        container.with_copy_into_container(content.encode(), target)
    strategy = choose_strategy(service)
    return container if strategy is None else container.waiting_for(strategy)


def main(label: str, file: str) -> None:
    """Start all, say so, remove all in the opposite order."""
    recipe = json.loads(Path(file).read_text())
    with ExitStack() as stack:
        network = stack.enter_context(Network(docker_network_kw={"labels": {"envspin.bench": label}}))
        for name, service in recipe.items():
            container = stack.enter_context(describe_container(name, service, network, label))
            if service["job"] and (code := container.wait()) != 0:
                sys.exit(f"{name} exited with code {code}")
        print(f"ready at {time.monotonic():.6f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
