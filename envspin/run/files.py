"""Configs and secrets: their bytes, and the archive that puts them into a container."""

from __future__ import annotations

import io
import secrets
import string
import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from envspin.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envspin.model import FileGrant, FileSource

_ALPHABET = string.ascii_letters + string.digits


def read_sources(sources: Mapping[str, FileSource], environ: Mapping[str, str]) -> dict[str, bytes]:
    """Return the bytes of every config and secret by key (``config:NAME``, ``secret:NAME``).

    Their variables must be set. Raises UsageError where a file cannot be read.
    """
    return {key: _read_source(source, environ) for key, source in sources.items()}


def _read_source(source: FileSource, environ: Mapping[str, str]) -> bytes:
    if source.generate is not None:
        return "".join(secrets.choice(_ALPHABET) for _ in range(source.generate)).encode()
    if source.content is not None:
        return source.content.encode()
    if source.environment is not None:
        return environ[source.environment].encode()
    try:
        return source.file.read_bytes() if source.file is not None else b""
    except OSError as error:
        raise UsageError(f"{source.kind} {source.name!r}: cannot read {source.file}: {error.strerror}") from error


def pack_grants(grants: Iterable[FileGrant], contents: Mapping[str, bytes], *, below: str = "/") -> bytes:
    """Return a tar archive, to be unpacked at ``below``, with a service's configs and secrets and their folders."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for grant in grants:
            data = contents[f"{grant.kind}:{grant.source}"]
            entry = tarfile.TarInfo(str(PurePosixPath(grant.target).relative_to(below)))
            entry.size = len(data)
            entry.mode, entry.uid, entry.gid = grant.mode, grant.uid, grant.gid
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
