"""The SDK's way to an engine's socket, but for what it leaves open where nobody listens at it.

Its connection forgets a socket that could not be connected; the interpreter warns of each, in the user's tests, too.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, cast

from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection, UnixHTTPConnectionPool

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Connection(UnixHTTPConnection):
    def connect(self) -> None:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            found.settimeout(self.timeout)
            found.connect(self.unix_socket)
        except BaseException:
            found.close()
            raise
        self.sock = found


class _Connections(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:  # noqa: ANN401 - the stubs know nothing of what connections have in common
        return _Connection(self.base_url, self.socket_path, cast("Any", self.timeout))


class SocketAdapter(UnixHTTPAdapter):
    """Carries requests to a socket in the file system, and closes each that it opens."""

    def get_connection(self, url: bytes | str, proxies: Mapping[str, str] | None = None) -> UnixHTTPConnectionPool:
        """Return the connections to this engine."""
        with self.pools.lock:
            if self.pools.get(url) is None:
                self.pools[url] = _Connections(str(url), self.socket_path, self.timeout, maxsize=self.max_pool_size)
        return super().get_connection(url, proxies)
