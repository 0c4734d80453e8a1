"""Ready when a port accepts a connection that stays open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envspin.run.probes.descriptions import describe
from envspin.run.probes.wire import ConnectionLost, Conversation

if TYPE_CHECKING:
    from envspin.model import TcpProbe
    from envspin.run.probes.base import Target
    from envspin.run.probes.wire import Connection

PROXY_PATIENCE = 0.2
"""Seconds for which a connection through an engine's port proxy must stay open.

The proxy accepts first and dials the container then; where nobody listens it hangs up, usually within a millisecond.
"""


class TcpProber(Conversation):
    """Connects and, where a proxy is between, waits whether it hangs up."""

    def __init__(self, probe: TcpProbe, target: Target) -> None:
        super().__init__(target, probe.port)
        self._probe = probe

    def describe(self) -> str:
        """Say what is awaited."""
        return describe(self._probe)

    def converse(self, connection: Connection) -> None:
        """Return if the accepted connection proves a listener."""
        if not self._target.is_direct and not connection.stays_open(PROXY_PATIENCE):
            raise ConnectionLost(f"port {self._port} closes connections at once: nothing listens behind it yet")
