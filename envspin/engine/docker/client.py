"""Where the engine is, clients for its many callers, and the translation of every error at this edge."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import docker.utils
import requests
import urllib3
from docker import errors as docker_errors
from docker.context import ContextAPI

from envspin.errors import (
    ConflictError,
    EngineError,
    EngineUnreachableError,
    EnvspinError,
    ImageError,
    ObjectNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker.tls import TLSConfig

CALL_SECONDS = 60
"""How long one call may stay without an answer; streams and stops set their own."""

OLDEST_API = (1, 41)

_TAKEN = ("already in use", "already exists", "overlaps with", "is in use by", "port is already allocated")
_NOT_RUNNING = ("is not running",)
"""What an exec in a container that just ended is answered with: 500 instead of 409."""


class ClientPool:
    """Lends clients: docker's is not made to be used by many threads at once, and making one for each call is slow."""

    def __init__(self, address: str, tls: TLSConfig | None) -> None:
        self.address = address
        self._tls = tls
        self._lock = threading.Lock()  # guards _idle and _is_closed
        self._idle: list[docker.APIClient] = []
        self._is_closed = False
        with translated(f"connecting to {address}"):
            first = self._make("auto")
        self.api_version: str = first.api_version
        self._idle.append(first)
        _check_version(self.api_version, address)

    @contextmanager
    def lend(self, doing: str) -> Iterator[docker.APIClient]:
        """Lend a client for one call; errors are translated, and say what was being done.

        Raises EngineUnreachableError after ``close``. An answer that is still being read when the client is given
        back keeps its own connection; the client opens another one for the next call.
        """
        with translated(doing):
            client = self._take()
            try:
                yield client
            finally:
                self._give_back(client)

    def open_private(self) -> docker.APIClient:
        """Return a client that the caller owns and closes."""
        return self._make(self.api_version)

    def close(self) -> None:
        """Close every client; those that are lent close when they come back."""
        with self._lock:
            self._is_closed = True
            clients, self._idle = self._idle, []
        for client in clients:
            client.close()

    def _take(self) -> docker.APIClient:
        with self._lock:
            if self._is_closed:
                raise EngineUnreachableError("the connection to the engine was closed")
            if self._idle:
                return self._idle.pop()
        return self._make(self.api_version)

    def _give_back(self, client: docker.APIClient) -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.append(client)
                return
        client.close()

    def _make(self, version: str) -> docker.APIClient:
        return docker.APIClient(base_url=self.address, version=version, timeout=CALL_SECONDS, tls=self._tls or False)


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


def raise_for_status(response: requests.Response) -> None:
    """Raise the SDK's own errors for a call that we made past it."""
    try:
        response.raise_for_status()
    except requests.exceptions.HTTPError as error:
        raise docker_errors.create_api_error_from_http_exception(error) from error


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn whatever the SDK raises into the most specific error of ours; ``doing`` reads after "failed"."""
    try:
        yield
    except EnvspinError:
        raise
    except docker_errors.ImageNotFound as error:
        raise ImageError(_say(error, doing)) from error
    except docker_errors.NotFound as error:
        raise ObjectNotFoundError(_say(error, doing)) from error
    except docker_errors.APIError as error:
        raise _translate_api_error(error, doing) from error
    except (docker_errors.DockerException, requests.exceptions.RequestException) as error:
        raise _translate_transport_error(error, doing) from error
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise EngineError(f"the engine's answer broke off while {doing}: {error}") from error


def _say(error: docker_errors.APIError, doing: str) -> str:
    explanation = error.explanation
    text = explanation.decode(errors="replace") if isinstance(explanation, bytes) else str(explanation or error)
    return f"{text.strip().rstrip('.')} (while {doing})"


def _translate_api_error(error: docker_errors.APIError, doing: str) -> EngineError:
    text = _say(error, doing)
    lowered = text.lower()
    if "no such image" in lowered:
        return ImageError(text)
    # Podman answers 500 where Docker answers 409, and Docker answers 403 to an overlapping subnet.
    if error.status_code == requests.codes.conflict or any(phrase in lowered for phrase in (*_TAKEN, *_NOT_RUNNING)):
        return ConflictError(text)
    if "no space left on device" in lowered:
        return EngineError(text, hint="the engine's disk is full: see `docker system df`")
    return EngineError(text)


def _translate_transport_error(error: Exception, doing: str) -> EngineError:
    if isinstance(error, requests.exceptions.ReadTimeout):
        return EngineError(f"the engine did not answer in time while {doing}", hint="see `envspin doctor`")
    cause = _find_root_cause(error)
    if isinstance(cause, PermissionError):
        return EngineUnreachableError(
            f"no permission to use the container engine (while {doing})",
            hint="add yourself to its group: `sudo usermod -aG docker $USER`, then log in again",
        )
    return EngineUnreachableError(
        f"no container engine answers ({cause}, while {doing})",
        hint="run `envspin doctor`; `envspin engine start` starts one where it is installed",
    )


def _find_root_cause(error: BaseException) -> BaseException:
    """Dig the operating system's error out of requests', urllib3's and docker's wrappings."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = [argument for argument in error.args if isinstance(argument, BaseException)]
        following = error.__cause__ or error.__context__ or (inner[0] if inner else None)
        if isinstance(error, OSError) and error.errno is not None:
            return error
        if following is None:
            return error
        error = following
    return error
