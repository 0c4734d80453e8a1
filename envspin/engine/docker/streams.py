"""What an engine sends bit by bit: log lines, events, the output of a command."""

from __future__ import annotations

import codecs
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import requests
import urllib3
from docker import errors as docker_errors
from docker.types import CancellableStream
from docker.utils import convert_filters
from docker.utils.json_stream import json_stream

from envspin.engine.base import ContainerEvent
from envspin.engine.docker.failures import raise_for_status
from envspin.errors import ConflictError, UnansweredError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import docker

HEADER_BYTES = 8
"""Each frame of a multiplexed stream begins with its kind, three zero bytes and its length (Engine API, attach)."""

EXIT_CODE_SECONDS = 1.0
"""How long to wait for the exit code of a command after the end of its output."""

KILLED = 137

_BROKEN = (
    OSError,
    ValueError,
    AttributeError,
    urllib3.exceptions.HTTPError,
    requests.exceptions.RequestException,
    docker_errors.StreamParseError,
)
"""What reading raises once another thread has shut the socket, or something between cut an event in two.

AttributeError is http.client's, of a closed file.
"""


class ClosableStream:
    """What comes in an answer bit by bit; any thread may close it, and iteration then just ends.

    So it does where the engine hangs up, unless the answer ``has_end``: then what is missing raises UnansweredError.
    """

    def __init__(self, chunks: Iterator[Any], response: requests.Response, *, has_end: bool = False) -> None:
        self._chunks = chunks
        self._response = response
        self._has_end = has_end
        self.is_closed = False

    def close(self) -> None:
        """Shut the connection; the reader sees an end."""
        self.is_closed = True
        with suppress(*_BROKEN):
            CancellableStream(self._chunks, self._response).close()
        with suppress(*_BROKEN):
            # The SDK shuts the socket but keeps the response's file on it open.
            self._response.close()

    def chunks(self) -> Iterator[Any]:
        """Yield what comes, until the end or until closed."""
        while True:
            try:
                chunk = next(self._chunks)
            except StopIteration:
                return
            except _BROKEN as error:
                if self._has_end and not self.is_closed:
                    raise UnansweredError(f"the engine broke off what it was sending: {error}") from error
                return  # closed by us, or the engine hung up: the consumer looks again either way
            yield chunk


class DockerLogStream(ClosableStream):
    """Lines of a container's output."""

    def __iter__(self) -> Iterator[str]:
        """Yield whole lines; an unfinished last one too."""
        return join_lines(cast("Iterator[bytes]", self.chunks()))


class DockerEventStream(ClosableStream):
    """Container events."""

    def __iter__(self) -> Iterator[ContainerEvent]:
        """Yield each event that we know."""
        for document in self.chunks():
            event = read_event(document)
            if event is not None:
                yield event


def join_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Join chunks of bytes and split them at line ends, whatever the chunks' borders."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from (line.rstrip("\r") for line in lines)
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


def read_event(document: dict[str, Any]) -> ContainerEvent | None:
    """Read one event document; None for actions that envspin does not use."""
    action = str(document.get("Action", ""))
    if action == "remove":  # Podman's word for destroy
        action = "destroy"
    if action not in {"start", "kill", "die", "oom", "destroy", "pause", "unpause"}:
        return None
    actor = document.get("Actor", {})
    attributes = dict(actor.get("Attributes") or {})
    code = attributes.get("exitCode", attributes.get("containerExitCode"))
    return ContainerEvent(
        action=action,  # type: ignore[arg-type]  # checked against the literals above
        container_id=str(actor.get("ID", document.get("id", ""))),
        labels=attributes,
        exit_code=int(code) if code is not None and action == "die" else None,
    )


def open_log(client: docker.APIClient, container_id: str, params: Mapping[str, Any]) -> DockerLogStream:
    """Begin to read a container's output; one that is followed may then be silent for ever, another may not."""
    has_terminal = bool(client.inspect_container(container_id)["Config"]["Tty"])
    response = _open_stream(client, f"/containers/{container_id}/logs", {"stdout": 1, "stderr": 1, **params})
    if params.get("follow"):
        _wait_for_ever(client, response)
    chunks = _read_raw(response) if has_terminal else _demultiplex(response)
    return DockerLogStream(chunks, response, has_end=not params.get("follow"))


def open_events(client: docker.APIClient, since: str, filters: Mapping[str, Any]) -> DockerEventStream:
    """Subscribe to events from the time ``since`` on."""
    response = _open_stream(client, "/events", {"since": since, "filters": convert_filters(filters)})
    _wait_for_ever(client, response)
    # The SDK's own call sets no time limit for the beginning.
    documents = cast("Any", client)._stream_helper(response, decode=True)  # noqa: SLF001 - see above
    return DockerEventStream(documents, response)


def read_events(client: docker.APIClient, since: float, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read what the engine remembers of the events from a Unix time until now."""
    span = {"since": f"{since:.9f}", "until": f"{time.time():.9f}", "filters": convert_filters(filters)}
    response = client.get(f"{client.base_url}/v{client.api_version}/events", params=span, timeout=client.timeout)
    raise_for_status(response)
    return [document for document in json_stream(iter([response.text])) if isinstance(document, dict)]


def _open_stream(client: docker.APIClient, path: str, params: Mapping[str, Any]) -> requests.Response:
    url = f"{client.base_url}/v{client.api_version}{path}"
    response = client.get(url, params=dict(params), stream=True, timeout=client.timeout)
    raise_for_status(response)
    return response


def _wait_for_ever(client: docker.APIClient, response: requests.Response) -> None:
    # The limit was for the beginning; requests knows only one for both, and the SDK how to take it away again. An
    # answer that came whole has no socket any more.
    sdk = cast("Any", client)
    with suppress(AttributeError):
        sdk._disable_socket_timeout(sdk._get_raw_response_socket(response))  # noqa: SLF001 - see above


def start_exec(client: docker.APIClient, exec_id: str, timeout: float | None) -> tuple[str, bool]:
    """Start a prepared exec and read its output to the end; return it and whether the time ran out.

    The output comes as a plain answer: asking for a hijacked connection instead, as the SDK's own call does, can lose
    what arrives together with the headers.
    """
    url = f"{client.base_url}/v{client.api_version}/exec/{exec_id}/start"
    response = client.post(url, json={"Detach": False, "Tty": False}, stream=True, timeout=client.timeout)
    if response.status_code == HTTPStatus.NOT_FOUND:
        response.close()
        raise ConflictError("the container ended before the command began")
    raise_for_status(response)
    _wait_for_ever(client, response)
    reader = ClosableStream(_demultiplex(response), response, has_end=True)
    alarm = threading.Timer(timeout, reader.close) if timeout is not None else None
    if alarm is not None:
        alarm.daemon = True
        alarm.start()
    try:
        output = b"".join(reader.chunks()).decode(errors="replace")
    finally:
        if alarm is not None:
            alarm.cancel()
        response.close()
    return output, reader.is_closed


def read_exit_code(client: docker.APIClient, exec_id: str) -> int:
    """Return the exit code of a command whose output has ended.

    The engine may close the output a moment before it knows the code. A command whose container was killed under it
    has none for good, and did not succeed. One that still runs has lost its output on the way: UnansweredError.
    """
    deadline = time.monotonic() + EXIT_CODE_SECONDS
    while True:
        try:
            document = client.exec_inspect(exec_id)
        except docker_errors.NotFound:  # the engine forgets what ran in a container soon after its end
            return KILLED
        code = document.get("ExitCode")
        if code is not None:
            return int(code)
        if time.monotonic() > deadline:
            if document.get("Running") and _is_running(client, str(document.get("ContainerID"))):
                raise UnansweredError("the output of a command broke off while the command goes on")
            return KILLED
        time.sleep(EXIT_CODE_SECONDS / 100)


def _is_running(client: docker.APIClient, container_id: str) -> bool:
    try:
        return bool(client.inspect_container(container_id)["State"]["Running"])
    except docker_errors.NotFound:
        return False


def _read_raw(response: requests.Response) -> Iterator[bytes]:
    while chunk := response.raw.read1(65536):
        yield chunk


def _demultiplex(response: requests.Response) -> Iterator[bytes]:
    buffer = bytearray()
    for chunk in _read_raw(response):
        buffer += chunk
        while len(buffer) >= HEADER_BYTES:
            end = HEADER_BYTES + int.from_bytes(buffer[4:HEADER_BYTES], "big")
            if len(buffer) < end:
                break
            yield bytes(buffer[HEADER_BYTES:end])
            del buffer[:end]
    if buffer:
        raise urllib3.exceptions.ProtocolError("it ends within a frame")
