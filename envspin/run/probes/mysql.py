"""Ready when MySQL or MariaDB greets over TCP with its handshake (protocol version 10).

Images run their temporary set-up server without networking, so a greeting comes from the final server. No login
follows: a failed one would fill the server's log, and roles may not exist yet.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from envspin.run.probes.base import Refused
from envspin.run.probes.descriptions import decode, describe
from envspin.run.probes.wire import Conversation

if TYPE_CHECKING:
    from envspin.model import MysqlProbe
    from envspin.run.probes.base import Target
    from envspin.run.probes.wire import Connection

HANDSHAKE_V10 = 10
ERROR = 0xFF
LARGEST_GREETING = 4096


class MysqlProber(Conversation):
    """Connects and reads the packet with which the server begins."""

    protocol = "MySQL's protocol"

    def __init__(self, probe: MysqlProbe, target: Target) -> None:
        super().__init__(target, probe.port)
        self._probe = probe

    def describe(self) -> str:
        """Say what is awaited."""
        return describe(self._probe)

    def converse(self, connection: Connection) -> None:
        """Return if the packet is a handshake; an error packet's text is the reason why not."""
        header = connection.receive_exactly(4)
        length = int.from_bytes(header[:3], "little")
        if not 0 < length <= LARGEST_GREETING or header[3] != 0:
            raise ValueError("no greeting is that long, and the first packet has number 0")
        packet = connection.receive_exactly(length)
        if packet[0] == ERROR:
            (code,) = struct.unpack_from("<H", packet, 1)
            raise Refused(f"{decode(packet[3:])} ({code})")
        if packet[0] != HANDSHAKE_V10 or b"\0" not in packet[1:]:
            raise ValueError("not a handshake of version 10")
