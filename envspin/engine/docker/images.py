"""Pulls and builds: streams of progress documents, and a hash that tells an unchanged build."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import re
import tempfile
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker import auth as docker_auth
from docker.utils import build as docker_build
from docker.utils import parse_repository_tag

from envspin.errors import ImageError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import docker
    import requests

    from envspin.engine.base import BuildRequest

SILENT_SECONDS = 900
"""How long a build step or a layer may stay silent."""

CANCEL_SECONDS = 0.05
"""How often a silent pull or build is asked whether it was cancelled."""

_FROM = re.compile(r"^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(\S+)(?:[ \t]+AS[ \t]+(\S+))?", re.IGNORECASE | re.MULTILINE)
_ARG = re.compile(r"^[ \t]*ARG[ \t]+(\w+)=[\"']?([^\s\"']*)", re.IGNORECASE | re.MULTILINE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))")


def pull(
    client: docker.APIClient,
    reference: str,
    *,
    platform: str | None,
    on_progress: Callable[[str, float | None], None],
    is_cancelled: Callable[[], bool],
) -> None:
    """Pull an image, telling how much of its layers' bytes has come."""
    repository, tag = parse_repository_tag(reference)
    layers: dict[str, tuple[int, int]] = {}
    open_documents = partial(
        client.pull,
        repository,
        tag=tag or "latest",
        stream=True,
        decode=True,
        platform=platform,
        auth_config=_find_credentials(reference),
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
    closes it, and with the connection the engine's work, as soon as it gets a word after the cancel.
    """
    inbox: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
    abandoned = threading.Event()
    arguments = (client, open_documents, inbox, abandoned)
    threading.Thread(target=_feed, args=arguments, name="envspin-image", daemon=True).start()
    try:
        while True:
            if is_cancelled():
                raise Interrupted(f"{doing} was interrupted")
            with suppress(queue.Empty):
                word = inbox.get(timeout=CANCEL_SECONDS)
                if word is None:
                    return
                if isinstance(word, Exception):
                    raise word
                yield word
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


def _find_credentials(reference: str) -> dict[str, Any] | None:
    """Read DOCKER_AUTH_CONFIG (the configuration file's text, as CI systems pass it); None leaves it to the SDK."""
    text = os.environ.get("DOCKER_AUTH_CONFIG")
    if not text:
        return None
    try:
        configuration = docker_auth.AuthConfig(docker_auth.parse_auth(json.loads(text).get("auths", {})))
    except (ValueError, AttributeError) as error:
        raise ImageError("DOCKER_AUTH_CONFIG is not a docker configuration in JSON") from error
    registry, _ = docker_auth.resolve_repository_name(reference)
    found: dict[str, Any] | None = docker_auth.resolve_authconfig(configuration, registry)
    return found


def build(
    client: docker.APIClient,
    request: BuildRequest,
    *,
    on_progress: Callable[[str, float | None], None],
    is_cancelled: Callable[[], bool],
) -> None:
    """Build an image with the engine's builder, telling each step."""
    tail: list[str] = []
    with tempfile.TemporaryDirectory(prefix="envspin-build-") as folder:
        open_documents = partial(
            client.build,
            path=str(request.context),
            dockerfile=str(_dockerfile_path(request, Path(folder))),
            tag=request.tag,
            buildargs=dict(request.args),
            target=request.target,
            labels=dict(request.labels),
            network_mode=request.network,
            extra_hosts=dict(entry.split(":", 1) for entry in request.extra_hosts) or None,
            platform=request.platform,
            nocache=request.no_cache,
            pull=request.pull,
            shmsize=request.shm_size,
            rm=True,
            forcerm=True,
            decode=True,
            timeout=SILENT_SECONDS,
        )
        documents = read_in_background(client, open_documents, is_cancelled, f"build of {request.tag}")
        _follow_build(documents, request, tail, on_progress)


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


def _dockerfile_path(request: BuildRequest, folder: Path) -> Path:
    if request.dockerfile_inline is None:
        return Path(request.dockerfile)
    path = folder / "Dockerfile"
    path.write_text(request.dockerfile_inline, encoding="utf-8")
    return path


def hash_build(request: BuildRequest, find_image_id: Callable[[str], str | None]) -> str:
    """Hash all that a build depends on: context, Dockerfile, arguments, target, and the base images held now."""
    dockerfile = request.dockerfile_inline
    if dockerfile is None:
        path = request.context / request.dockerfile
        try:
            dockerfile = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            message = f"cannot read {path}: {error.strerror}"
            raise ImageError(message, hint="check `build.context` and `build.dockerfile`") from error
    digest = hashlib.sha256()
    options = (sorted(request.args.items()), request.target, sorted(request.labels.items()), request.network)
    digest.update(repr((dockerfile, options, request.platform, request.extra_hosts)).encode())
    for base in find_bases(dockerfile, request.args):
        digest.update(f"{base}={find_image_id(base)}\n".encode())
    for name in _list_context(request):
        _hash_file(digest, request.context / name, name)
    return digest.hexdigest()


def find_bases(dockerfile: str, args: Mapping[str, str]) -> list[str]:
    """Return the images that a Dockerfile builds on, with the build arguments filled in, without its own stages."""
    values = {**dict(_ARG.findall(dockerfile)), **args}
    bases, stages = [], {"scratch"}
    for written, stage in _FROM.findall(dockerfile):
        base = _VARIABLE.sub(lambda match: values.get(match[1] or match[2], ""), written)
        if base and base.lower() not in stages:
            bases.append(base)
        stages.add(stage.lower())
    return bases


def _list_context(request: BuildRequest) -> list[str]:
    ignore = request.context / ".dockerignore"
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return sorted(docker_build.exclude_paths(str(request.context), patterns, dockerfile=request.dockerfile))


def _hash_file(digest: hashlib._Hash, path: Path, name: str) -> None:
    if path.is_symlink():
        digest.update(f"{name} -> {path.readlink()}\n".encode())
    elif path.is_file():
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ImageError(f"cannot read {path} of the build context: {error.strerror}") from error
        digest.update(f"{name} {path.stat().st_mode & 0o111:o} {content}\n".encode())
