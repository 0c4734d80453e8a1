"""Whatever the SDK raises, as the most specific error of ours.

What matters most is whether a call was sent: a refused one did not happen, but one without a whole answer may have.
"""

from __future__ import annotations

import http.client
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests
import urllib3
from docker import errors as docker_errors

from envspin.errors import (
    ConflictError,
    EngineError,
    EngineUnreachableError,
    EnvspinError,
    ExhaustedError,
    ImageError,
    ObjectNotFoundError,
    UnansweredError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME_TAKEN = ("already in use", "already exists")
_TAKEN = (*_NAME_TAKEN, "overlaps with", "is in use by")
NAME_HINT = "remove it if nobody needs it, or give the environment another name with --name"
_NOT_RUNNING = ("is not running",)
"""What an exec in a container that just ended is answered with: 500 instead of 409."""

_NO_SUBNET_LEFT = (
    "could not find an available, non-overlapping ipv",  # Docker before 27, with 404
    "all predefined address pools have been fully subnetted",
    "no available network",
    "could not find free subnet from subnet pools",  # Podman
)
_NO_PORT_LEFT = ("all ports are allocated", "port is already allocated", "bind: address already in use")
"""Ports are always the engine's choice, so one that is taken means that it found no other."""

_NOT_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.SSLError,
    requests.exceptions.ConnectTimeout,
    requests.exceptions.SSLError,
    ConnectionRefusedError,
    FileNotFoundError,
    NotADirectoryError,
    PermissionError,
    BlockingIOError,
)
_NOT_ANSWERED = (
    urllib3.exceptions.ReadTimeoutError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.DecodeError,
    requests.exceptions.ReadTimeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    requests.exceptions.JSONDecodeError,
    docker_errors.StreamParseError,
    http.client.HTTPException,
    json.JSONDecodeError,
    UnicodeDecodeError,
    TimeoutError,
    ConnectionError,
)
_TOO_LATE = (urllib3.exceptions.ReadTimeoutError, requests.exceptions.ReadTimeout, TimeoutError)


def raise_for_status(response: requests.Response) -> None:
    """Raise the SDK's own errors for a call that we made past it."""
    try:
        response.raise_for_status()
    except requests.exceptions.HTTPError as error:
        raise docker_errors.create_api_error_from_http_exception(error) from error


def was_refused(error: BaseException) -> bool:
    """Tell whether an engine that seems to be there refused the connection, so that nothing was sent."""
    if not isinstance(error, EngineUnreachableError) or error.__cause__ is None:
        return False
    return any(isinstance(each, ConnectionRefusedError | BlockingIOError) for each in _unwrap(error.__cause__))


def was_server_error(error: BaseException) -> bool:
    """Tell whether the engine said that it failed (5xx), rather than that the call was wrong."""
    if type(error) is not EngineError or error.__cause__ is None:
        return False
    said = _find_said(error.__cause__)
    return said is not None and bool(said.is_server_error())


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn whatever the SDK raises into the most specific error of ours; ``doing`` reads after "while"."""
    try:
        yield
    except EnvspinError:
        raise
    except (docker_errors.DockerException, requests.exceptions.RequestException) as error:
        said = _find_said(error)
        if said is not None:
            raise _translate_api_error(said, doing) from error
        raise _translate_transport_error(error, doing) from error
    except (urllib3.exceptions.HTTPError, docker_errors.StreamParseError, OSError, ValueError) as error:
        if isinstance(error, _NOT_ANSWERED):
            raise _translate_lost_answer(error, doing) from error
        raise EngineError(f"{error} (while {doing})") from error


def _find_said(error: BaseException) -> docker_errors.APIError | None:
    # The SDK wraps what is said to its first question, the engine's version.
    return next((each for each in _unwrap(error) if isinstance(each, docker_errors.APIError)), None)


def _say(error: docker_errors.APIError, doing: str) -> str:
    explanation = error.explanation
    text = explanation.decode(errors="replace") if isinstance(explanation, bytes) else str(explanation or error)
    return f"{text.strip().rstrip('.')} (while {doing})"


def _translate_api_error(error: docker_errors.APIError, doing: str) -> EngineError:
    text = _say(error, doing)
    lowered = text.lower()
    if _says(lowered, _NO_SUBNET_LEFT):
        return ExhaustedError(text, hint="remove networks that nobody uses: `docker network ls` lists them")
    if _says(lowered, _NO_PORT_LEFT):
        return ExhaustedError(text, hint="end containers that publish ports: `docker ps` lists them")
    if isinstance(error, docker_errors.ImageNotFound) or "no such image" in lowered:
        return ImageError(text)
    if isinstance(error, docker_errors.NotFound):
        return ObjectNotFoundError(text)
    # Podman answers 500 where Docker answers 409, and Docker answers 403 to an overlapping subnet.
    if error.status_code == requests.codes.conflict or _says(lowered, (*_TAKEN, *_NOT_RUNNING)):
        is_name_taken = doing.startswith("creating") and _says(lowered, _NAME_TAKEN)
        return ConflictError(text, hint=NAME_HINT if is_name_taken else None)
    is_full = "no space left on device" in lowered
    return EngineError(text, hint="the engine's disk is full: see `docker system df`" if is_full else None)


def _says(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in text for phrase in phrases)


def _translate_transport_error(error: Exception, doing: str) -> EngineError:
    causes = list(_unwrap(error))
    was_sent = not any(isinstance(each, _NOT_SENT) for each in causes)
    if was_sent and any(isinstance(each, _NOT_ANSWERED) for each in causes):
        return _translate_lost_answer(error, doing)
    cause = next((each for each in causes if isinstance(each, OSError) and each.errno is not None), causes[-1])
    if isinstance(cause, PermissionError):
        return EngineUnreachableError(
            f"no permission to use the container engine (while {doing})",
            hint="add yourself to its group: `sudo usermod -aG docker $USER`, then log in again",
        )
    return EngineUnreachableError(
        f"no container engine answers ({cause}, while {doing})",
        hint="run `envspin doctor`; `envspin engine start` starts one where it is installed",
    )


def _translate_lost_answer(error: BaseException, doing: str) -> UnansweredError:
    causes = list(_unwrap(error))
    if any(isinstance(each, _TOO_LATE) for each in causes):
        return UnansweredError(f"the engine did not answer in time while {doing}", hint="see `envspin doctor`")
    return UnansweredError(f"the engine's answer broke off while {doing}: {causes[-1]}", hint="see `envspin doctor`")


def _unwrap(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what requests', urllib3's and docker's wrappings hold, outermost first.

    Stops at an error of ours: from there on it is the story of an earlier call, during whose handling this one was
    made.
    """
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen and not isinstance(following, EnvspinError):
        yield following
        seen.add(id(following))
        inner = [argument for argument in following.args if isinstance(argument, BaseException)]
        following = following.__cause__ or following.__context__ or (inner[0] if inner else None)
