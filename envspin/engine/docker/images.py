"""Pulls and builds: streams of progress documents."""

from __future__ import annotations

import queue
import re
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from docker.utils import parse_repository_tag

from envspin.engine.docker.context import pack_context
from envspin.errors import ImageError, Interrupted, UnansweredError
from envspin.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import docker
    import requests

    from envspin.engine.base import BuildRequest

CANCEL_SECONDS = 0.05
"""How often a silent pull or build is asked whether it was cancelled."""


def pull(
    client: docker.APIClient,
    reference: str,
    *,
    platform: str | None,
    on_progress: Callable[[str, float | None], None],
    is_cancelled: Callable[[], bool],
) -> None:
    """Pull an image, telling how much of its layers' bytes has come."""
    from envspin.registry.credentials import find_auth_config  # noqa: PLC0415 - only for who pulls

    repository, tag = parse_repository_tag(reference)
    layers: dict[str, tuple[int, int]] = {}
    open_documents = partial(
        client.pull,
        repository,
        tag=tag or "latest",
        stream=True,
        decode=True,
        platform=platform,
        auth_config=find_auth_config(Reference.parse(reference).registry),
    )
    for document in read_in_background(client, open_documents, is_cancelled, f"pull of {reference}"):
        _raise_for_error(document, f"cannot pull {reference}")
        detail = document.get("progressDetail") or {}
        if document.get("id") and detail.get("total"):
            layers[document["id"]] = (int(detail.get("current", 0)), int(detail["total"]))
        total = sum(size for _, size in layers.values())
        done = sum(current for current, _ in layers.values())
        on_progress(str(document.get("status", "")), done / total if total else None)


def read_in_background(
    client: docker.APIClient,
    open_documents: Callable[[], Iterable[dict[str, Any]]],
    is_cancelled: Callable[[], bool],
    doing: str,
) -> Iterator[dict[str, Any]]:
    """Yield progress documents; raise Interrupted soon after a cancel, even while the engine says nothing.

    A thread of its own reads, because a call that waits for its first byte cannot be woken. It owns ``client`` and
    closes it, and with the connection the engine's work, as soon as it gets a word after the cancel. Raises
    UnansweredError once the engine has been silent for the client's time limit.
    """
    inbox: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
    abandoned = threading.Event()
    arguments = (client, open_documents, inbox, abandoned)
    threading.Thread(target=_feed, args=arguments, name="envspin-image", daemon=True).start()
    heard = time.monotonic()
    try:
        while True:
            if is_cancelled():
                raise Interrupted(f"{doing} was interrupted")
            if time.monotonic() - heard > client.timeout:
                raise UnansweredError(f"the engine has said nothing for {client.timeout:g} s (during the {doing})")
            with suppress(queue.Empty):
                word = inbox.get(timeout=CANCEL_SECONDS)
                if word is None:
                    return
                if isinstance(word, Exception):
                    raise word
                yield word
                heard = time.monotonic()
    finally:
        abandoned.set()


def _feed(
    client: docker.APIClient,
    open_documents: Callable[[], Iterable[dict[str, Any]]],
    inbox: queue.SimpleQueue[dict[str, Any] | Exception | None],
    abandoned: threading.Event,
) -> None:
    responses: list[requests.Response] = []
    client.hooks["response"].append(lambda response, **_: responses.append(response))
    try:
        for document in open_documents():
            if abandoned.is_set():
                break
            inbox.put(document)
        inbox.put(None)
    except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
        inbox.put(error)
    finally:
        for response in responses:
            response.close()
        client.close()


def build(
    client: docker.APIClient,
    request: BuildRequest,
    *,
    on_progress: Callable[[str, float | None], None],
    is_cancelled: Callable[[], bool],
) -> None:
    """Build an image with the engine's builder, telling each step."""
    tail: list[str] = []
    open_documents = partial(_open_build, client, request)
    documents = read_in_background(client, open_documents, is_cancelled, f"build of {request.tag}")
    _follow_build(documents, request, tail, on_progress)


def _open_build(client: docker.APIClient, request: BuildRequest) -> Iterator[dict[str, Any]]:
    archive, dockerfile = pack_context(request)
    with archive:
        yield from client.build(
            fileobj=archive,
            custom_context=True,
            dockerfile=dockerfile,
            tag=request.tag,
            buildargs=dict(request.args),
            target=request.target,
            labels=dict(request.labels),
            network_mode=request.network,
            extra_hosts=dict(entry.split(":", 1) for entry in request.extra_hosts) or None,
            platform=request.platform,
            nocache=request.no_cache,
            pull=request.pull and not request.bases,  # the engine looks for ids, too, at Docker Hub when told to pull
            shmsize=request.shm_size,
            rm=True,
            forcerm=True,
            decode=True,
            timeout=client.timeout,
        )


def _follow_build(
    documents: Iterable[dict[str, Any]],
    request: BuildRequest,
    tail: list[str],
    on_progress: Callable[[str, float | None], None],
) -> None:
    for document in documents:
        text = str(document.get("stream", "")).strip()
        if text:
            tail.append(text)
            del tail[:-20]
            on_progress(text.splitlines()[-1], _read_step(text))
        _raise_for_error(document, f"cannot build {request.context}", tail)


def _read_step(text: str) -> float | None:
    step = re.match(r"Step (\d+)/(\d+)", text)
    return (int(step[1]) - 1) / int(step[2]) if step else None


def _raise_for_error(document: dict[str, Any], doing: str, tail: Iterable[str] = ()) -> None:
    error = document.get("error")
    if error:
        raise ImageError(f"{doing}: {str(error).strip()}", context=tuple(tail), hint=suggest_for_image(str(error)))


def suggest_for_image(text: str) -> str | None:
    """Say what usually helps when a pull or build failed with this text."""
    lowered = text.lower()
    if any(phrase in lowered for phrase in ("not found", "manifest unknown", "does not exist", "access denied")):
        return "check the image's name and tag, and `docker login` if the repository is private"
    if "toomanyrequests" in lowered or "rate limit" in lowered:
        return "the registry limits anonymous pulls: `docker login`, or use a mirror"
    if any(phrase in lowered for phrase in ("no such host", "timeout", "connection refused", "lookup")):
        return "the registry does not answer: check the network, or `--pull never` with images that are there"
    return None
