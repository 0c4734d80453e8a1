"""What goes into a build: read, hashed and packed from the files of the host alone, without asking any engine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from contextlib import suppress
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from docker.utils import build as docker_build

from envspin.engine.docker.dockerfile import find_bases, find_platforms, pin_bases
from envspin.errors import EngineError, ImageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from envspin.engine.base import BuildRequest, ImageInfo

IGNORE_FILE = ".dockerignore"


def hash_content(request: BuildRequest) -> str:
    """Hash all that a build is made of but its base images: context, Dockerfile and options, as hex text.

    The hash is the same on every machine: of a file it takes its path in the context, its content and whether its owner
    may execute it, of a link where it points to, of an empty folder nothing. Raises ImageError where the context or
    Dockerfile cannot be read.
    """
    options = {
        "args": dict(request.args),
        "target": request.target,
        "platform": request.platform,
        "labels": dict(request.labels),
        "network": request.network,
        "extra_hosts": list(request.extra_hosts),
    }
    digest = hashlib.sha256()
    _feed(digest, json.dumps(options, sort_keys=True).encode(), _read_dockerfile(request))
    for name in _list_context(request, _find_inner_name(request)):
        if request.context / name != request.own_lock:
            _feed_file(digest, request.context / name, name)
    return digest.hexdigest()


class BuildHash(NamedTuple):
    """What tells one build from another, as hex text."""

    content: str
    """Of what :func:`hash_content` says."""
    whole: str
    """Of the content and the base images."""


def hash_build(request: BuildRequest, find_image: Callable[[str], ImageInfo | None]) -> BuildHash:
    """Hash a build, its base images as they are pinned, else as ``find_image`` knows them now.

    Raises ImageError as :func:`hash_content` does.
    """
    content = hash_content(request)
    digest = hashlib.sha256()
    _feed(digest, content.encode())
    for base in list_bases(request):
        held = request.bases.get(base) or _find_id(base, find_image)
        _feed(digest, base.encode(errors="surrogateescape"), str(held).encode())
    return BuildHash(content, digest.hexdigest())


def _find_id(base: str, find_image: Callable[[str], ImageInfo | None]) -> str | None:
    with suppress(EngineError):  # a reference that the engine does not understand fails in the build
        image = find_image(base)
        return image.id if image is not None else None
    return None


def list_bases(request: BuildRequest) -> tuple[str, ...]:
    """Return the images that a build takes, as its Dockerfile names them with the build's arguments put in.

    Raises ImageError where the Dockerfile cannot be read.
    """
    return find_bases(_decode(_read_dockerfile(request)), request.args, request.target)


def list_base_platforms(request: BuildRequest) -> dict[str, str]:
    """Return the platform of each base image for which the Dockerfile itself names one.

    Raises ImageError where the Dockerfile cannot be read.
    """
    return find_platforms(_decode(_read_dockerfile(request)), request.args, request.target)


def pack_context(request: BuildRequest) -> tuple[IO[bytes], str]:
    """Return a build's context as an open tar archive, and the Dockerfile's name in it; the caller closes it.

    A Dockerfile that is not as it stands in the context (pinned, inline, or from elsewhere) comes under a name of its
    own, which its content decides so that the builder's cache is not lost, and which is ignored, as the docker command
    line does it: no instruction copies it into the image. Raises ImageError where something cannot be read.
    """
    written = _read_dockerfile(request)
    pinned = _encode(pin_bases(_decode(written), request.args, request.bases))
    inner = _find_inner_name(request)
    if inner is not None and pinned == written:
        return _pack(request, _list_context(request, inner)), inner
    name = f".dockerfile.{hashlib.sha256(pinned).hexdigest()}"
    names = [each for each in _list_context(request, name) if each != IGNORE_FILE]
    archive = _pack(request, names)
    ignored = (_read_ignore_file(request.context) or IGNORE_FILE.encode()) + f"\n{name}\n".encode()
    with tarfile.open(fileobj=archive, mode="a") as tar:
        for path, content in ((IGNORE_FILE, ignored), (name, pinned)):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    archive.seek(0)
    return archive, name


def _pack(request: BuildRequest, names: list[str]) -> IO[bytes]:
    try:
        return cast("IO[bytes]", docker_build.create_archive(os.path.abspath(request.context), names))  # noqa: PTH100
    except OSError as error:
        raise _explain(request, error) from error


def _read_dockerfile(request: BuildRequest) -> bytes:
    if request.dockerfile_inline is not None:
        return _encode(request.dockerfile_inline)
    path = request.context / request.dockerfile
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise ImageError(message, hint="check `build.context` and `build.dockerfile`") from error


def _decode(content: bytes) -> str:
    return content.decode(errors="surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _find_inner_name(request: BuildRequest) -> str | None:
    """Return the Dockerfile's path in the context; None where it is not one of its files."""
    if request.dockerfile_inline is not None:
        return None
    name = PurePath(os.path.relpath(request.context / request.dockerfile, request.context))
    return None if name.parts[0] == ".." else name.as_posix()


def _read_ignore_file(context: Path) -> bytes:
    path = context / IGNORE_FILE
    return path.read_bytes() if path.is_file() else b""


def _list_context(request: BuildRequest, dockerfile: str | None) -> list[str]:
    try:
        lines = [line.strip() for line in _decode(_read_ignore_file(request.context)).splitlines()]
        patterns = [line for line in lines if line and not line.startswith("#")]
        root = os.path.abspath(request.context)  # noqa: PTH100 - resolving links would change relative ones
        names = docker_build.exclude_paths(root, patterns, dockerfile=dockerfile or IGNORE_FILE)
    except OSError as error:
        raise _explain(request, error) from error
    return sorted(names, key=_encode_name)


def _encode_name(name: str) -> bytes:
    return os.fsencode(name.replace(os.sep, "/"))


def _feed_file(digest: hashlib._Hash, path: Path, name: str) -> None:
    try:
        if path.is_symlink():
            _feed(digest, b"link", _encode_name(name), _encode_name(str(path.readlink())))
        elif path.is_file():
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
            kind = b"program" if path.stat().st_mode & 0o100 else b"file"
            _feed(digest, kind, _encode_name(name), content)
    except OSError as error:
        raise ImageError(f"cannot read {path} of the build context: {error.strerror}") from error


def _feed(digest: hashlib._Hash, *fields: bytes) -> None:
    for content in fields:
        digest.update(len(content).to_bytes(8, "big") + content)  # the length keeps neighbours apart


def _explain(request: BuildRequest, error: OSError) -> ImageError:
    reason = f"{error.filename}: {error.strerror}" if error.strerror else str(error)
    return ImageError(f"cannot read the build context {request.context}: {reason}", hint="check `build.context`")
