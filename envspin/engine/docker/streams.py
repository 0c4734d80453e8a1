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

from envspin.engine.base import ContainerEvent
from envspin.engine.docker.client import raise_for_status
from envspin.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import docker

HEADER_BYTES = 8
"""Each frame of a multiplexed stream begins with its kind, three zero bytes and its length (Engine API, attach)."""

EXIT_CODE_SECONDS = 1.0
"""How long to wait for the exit code of a command after the end of its output."""

KILLED = 137

_BROKEN = (OSError, ValueError, AttributeError, urllib3.exceptions.HTTPError, requests.exceptions.RequestException)
"""What reading raises once another thread has shut the socket; AttributeError is http.client's, of a closed fp."""


class ClosableStream:
    """An SDK stream that any thread may close; iteration then just ends."""

    def __init__(self, stream: CancellableStream[Any]) -> None:
        self._stream = stream
        self.is_closed = False

    def close(self) -> None:
        """Shut the connection; the reader sees an end."""
        self.is_closed = True
        with suppress(*_BROKEN):
            self._stream.close()
        with suppress(*_BROKEN):
            # The SDK shuts the socket but keeps the response's file on it open.
            self._stream._response.close()  # type: ignore[attr-defined]  # noqa: SLF001 - see above

    def chunks(self) -> Iterator[Any]:
        """Yield what the SDK yields, until the end or until closed."""
        while True:
            try:
                chunk = next(self._stream)
            except StopIteration:
                return
            except _BROKEN:
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
    if action not in {"start", "die", "oom", "destroy", "pause", "unpause"}:
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


def run_exec(client: docker.APIClient, exec_id: str, timeout: float | None) -> tuple[str, bool]:
    """Start a prepared exec and read its output to the end; return it and whether the time ran out.

    The output comes as a plain chunked answer: asking for a hijacked connection instead, as the SDK's own call does,
    can lose what arrives together with the headers.
    """
    url = f"{client.base_url}/v{client.api_version}/exec/{exec_id}/start"
    response = client.post(url, json={"Detach": False, "Tty": False}, stream=True, timeout=(10, None))
    if response.status_code == HTTPStatus.NOT_FOUND:
        response.close()
        raise ConflictError("the container ended before the command began")
    raise_for_status(response)
    stream = CancellableStream(_demultiplex(response), response)
    reader = ClosableStream(stream)
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
    has none for good, and did not succeed.
    """
    deadline = time.monotonic() + EXIT_CODE_SECONDS
    while True:
        try:
            code = client.exec_inspect(exec_id).get("ExitCode")
        except docker_errors.NotFound:  # the engine forgets what ran in a container soon after its end
            return KILLED
        if code is not None:
            return int(code)
        if time.monotonic() > deadline:
            return KILLED
        time.sleep(EXIT_CODE_SECONDS / 100)


def _demultiplex(response: requests.Response) -> Iterator[bytes]:
    buffer = bytearray()
    while chunk := response.raw.read1(65536):
        buffer += chunk
        while len(buffer) >= HEADER_BYTES:
            end = HEADER_BYTES + int.from_bytes(buffer[4:HEADER_BYTES], "big")
            if len(buffer) < end:
                break
            yield bytes(buffer[HEADER_BYTES:end])
            del buffer[:end]
