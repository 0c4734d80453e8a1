"""An image that takes a moment to pull, from a registry on loopback, so that owners can be killed meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

from tests.contract.images import TESTBOX
from tests.registry.engine_images import announce, make_shell_image, remove_pulled
from tests.registry.publishing import push, variant
from tests.registry.server import RegistryServer, find_registry

from .lab import Lab

LAYERS, LAYER_BYTES = 4, 8 << 20


class PullRig:
    """Serves the image, to one owner at a time: a second one would find what the first has pulled."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._server: RegistryServer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def lend(self) -> Iterator[str]:
        """Lend the image's reference; it is not in the engine's store at first, and removed from there afterwards."""
        with self._lock:
            server = self._server or self._serve()
            try:
                yield server.reference("guarantees/large", "1")
            finally:
                remove_pulled(self._lab.engine, server.address)

    def _serve(self) -> RegistryServer:
        if find_registry() is None:
            raise RuntimeError("there is no docker-registry on this machine: scripts/setup brings it")
        server = self._stack.enter_context(RegistryServer(self._lab.folder / "registry"))
        image = make_shell_image(self._lab.engine, TESTBOX)
        for number in range(LAYERS):
            image = variant(image, files={f"/noise/{number}": random.randbytes(LAYER_BYTES)})
        push(server, "guarantees/large", variant(image, command=announce("ready")), "1")
        self._server = server
        return server
