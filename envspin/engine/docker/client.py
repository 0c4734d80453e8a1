"""Where the engine is, and clients for its many callers."""

from __future__ import annotations

import io
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import docker
import docker.utils
from docker import errors as docker_errors
from docker.context import ContextAPI
from docker.transport.unixconn import UnixHTTPAdapter

from envspin.engine.docker.calls import CALLS, Limits, Repeat, repeat
from envspin.engine.docker.failures import translated
from envspin.engine.docker.sockets import SocketAdapter
from envspin.errors import EngineError, EngineUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker.tls import TLSConfig
    from requests import PreparedRequest, Response
    from requests.adapters import BaseAdapter

    from envspin.engine.docker.calls import Verb

OLDEST_API = (1, 41)

T = TypeVar("T")


class _Told(io.BytesIO):
    """The body of a request, which says when it is taken to be sent."""

    def __init__(self, body: bytes, on_send: Callable[[], None]) -> None:
        super().__init__(body)
        self._on_send = on_send

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on; the engine can do nothing before it has all of it."""
        chunk = super().read(size)
        if chunk:
            self._on_send()
        return chunk


class Client(docker.APIClient):
    """The SDK's client, which can say when the body of a request leaves."""

    on_send: Callable[[], None] | None = None

    def mount(self, prefix: str | bytes, adapter: BaseAdapter) -> None:
        """Use an adapter for addresses that begin so."""
        if isinstance(adapter, UnixHTTPAdapter):
            adapter = SocketAdapter(adapter.socket_path, adapter.timeout, max_pool_size=adapter.max_pool_size)
        super().mount(prefix, adapter)

    def send(self, request: PreparedRequest, **options: Any) -> Response:  # noqa: ANN401 - as those of requests are
        """Send a request, as every call of a session does."""
        if self.on_send is not None and request.body is not None:
            body = request.body.encode() if isinstance(request.body, str) else request.body
            request.body = cast("Any", _Told(body, self.on_send))  # its length is in the headers already
        return super().send(request, **options)


class ClientPool:
    """Lends clients: docker's is not made to be used by many threads at once, and making one for each call is slow."""

    def __init__(self, address: str, tls: TLSConfig | None) -> None:
        self.address = address
        self._tls = tls
        self._lock = threading.Lock()  # guards _idle and _is_closed
        self._idle: list[Client] = []
        self._is_closed = False
        self.limits = Limits.read(os.environ)
        first = repeat(self._connect, self.limits.of("ask"), once_lost=True)
        self.api_version: str = first.api_version
        self._idle.append(first)
        _check_version(self.api_version, address)

    def call(
        self,
        verb: Verb,
        doing: str,
        send: Callable[[docker.APIClient], T],
        *,
        extra_seconds: float = 0.0,
        on_send: Callable[[], None] | None = None,
    ) -> T:
        """Make one call and return what ``send`` returns; errors are translated, and say what was being done.

        It has the time limit of its verb, and ``extra_seconds`` where the engine itself has to wait. Where the verb
        may simply be made again, a lost answer leads to that; everywhere else it raises UnansweredError. ``on_send`` is
        called before the body of the request leaves, each time.
        """

        def attempt(seconds: float) -> T:
            with self.lend(doing, seconds) as client:
                client.on_send = on_send
                try:
                    return send(client)
                finally:
                    client.on_send = None

        once_lost = CALLS[verb].repeat is Repeat.AGAIN
        return repeat(attempt, self.limits.of(verb) + extra_seconds, once_lost=once_lost)

    @contextmanager
    def lend(self, doing: str, seconds: float) -> Iterator[Client]:
        """Lend a client whose calls may stay ``seconds`` without an answer; errors are translated.

        Raises EngineUnreachableError after ``close``. An answer that is still being read when the client is given
        back keeps its own connection; the client opens another one for the next call.
        """
        with translated(doing):
            client = self._take()
            client.timeout = cast("Any", seconds)  # types-docker wants whole seconds, the SDK does not
            try:
                yield client
            finally:
                self._give_back(client)

    def open_private(self, verb: Verb) -> docker.APIClient:
        """Return a client with the time limit of ``verb`` that the caller owns and closes."""
        return self._make(self.api_version, self.limits.of(verb))

    def _connect(self, seconds: float) -> Client:
        with translated(f"connecting to {self.address}"):
            return self._make("auto", seconds)

    def close(self) -> None:
        """Close every client; those that are lent close when they come back."""
        with self._lock:
            self._is_closed = True
            clients, self._idle = self._idle, []
        for client in clients:
            client.close()

    def _take(self) -> Client:
        with self._lock:
            if self._is_closed:
                raise EngineUnreachableError("the connection to the engine was closed")
            if self._idle:
                return self._idle.pop()
        return self._make(self.api_version, self.limits.of("ask"))

    def _give_back(self, client: Client) -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.append(client)
                return
        client.close()

    def _make(self, version: str, seconds: float) -> Client:
        timeout: Any = seconds  # types-docker wants whole ones, the SDK does not
        return Client(base_url=self.address, version=version, timeout=timeout, tls=self._tls or False)


def _check_version(version: str, address: str) -> None:
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_API:
        raise EngineError(
            f"the engine at {address} speaks API {version}; 1.41 is the oldest that envspin uses",
            hint="upgrade to Docker Engine 20.10 or later",
        )


def find_address() -> tuple[str, TLSConfig | None]:
    """Return the engine's address as the docker command line would find it, and its TLS settings.

    ``DOCKER_HOST`` wins, then ``DOCKER_CONTEXT`` and the current docker context, then the usual sockets.
    """
    host = os.environ.get("DOCKER_HOST")
    if host:
        return host, docker.utils.kwargs_from_env().get("tls")
    context = _current_context()
    if context is not None and context.name != "default":
        return str(context.Host), context.TLSConfig or None
    for socket in _usual_sockets():
        if socket.is_socket():
            return f"unix://{socket}", None
    return "unix:///var/run/docker.sock", None


def _current_context() -> docker.Context | None:
    name = os.environ.get("DOCKER_CONTEXT")
    try:
        return ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    except (docker_errors.DockerException, OSError, ValueError) as error:
        raise EngineUnreachableError(
            f"the docker context {name or 'in use'} cannot be read: {error}",
            hint="see `docker context ls`, or set DOCKER_HOST",
        ) from error


def _usual_sockets() -> Iterator[Path]:
    yield Path("/var/run/docker.sock")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        yield Path(runtime) / "docker.sock"
    yield Path.home() / ".docker" / "run" / "docker.sock"
    if runtime:
        yield Path(runtime) / "podman" / "podman.sock"
