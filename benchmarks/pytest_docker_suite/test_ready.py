"""A test suite as users of pytest-docker write it: services from a Compose file, then a wait for what the test calls.

``BENCH_FILE``, ``BENCH_PROJECT`` and ``BENCH_COMPOSE`` say which file, project and command; ``BENCH_ENDS`` lists the
services at the end of the graph as JSON (name -> port and path).
"""

from __future__ import annotations

import json
import os
import time
from typing import Any
from urllib.request import urlopen

import pytest

PAUSE_SECONDS = 0.1
TIMEOUT_SECONDS = 60.0


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    return os.environ["BENCH_FILE"]


@pytest.fixture(scope="session")
def docker_compose_project_name() -> str:
    return os.environ["BENCH_PROJECT"]


@pytest.fixture(scope="session")
def docker_compose_command() -> str:
    return os.environ["BENCH_COMPOSE"]


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    """The plugin's own, without ``--build``: every image exists."""
    return ["up --wait"]


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    """The plugin's own, without a grace period."""
    return ["down -v -t 0"]


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=3) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def test_ready(docker_ip: str, docker_services: Any) -> None:  # noqa: ANN401 - the plugin has no types
    for name, end in json.loads(os.environ["BENCH_ENDS"]).items():
        url = f"http://{docker_ip}:{docker_services.port_for(name, end['port'])}{end['path']}"
        docker_services.wait_until_responsive(
            timeout=TIMEOUT_SECONDS, pause=PAUSE_SECONDS, check=lambda url=url: answers(url)
        )
    print(f"\nready at {time.monotonic():.6f}", flush=True)
