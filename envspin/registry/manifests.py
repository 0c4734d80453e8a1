"""What registries keep of an image: indexes, manifests and configurations, read from their text; nothing is asked.

The documents are those of the OCI image specification, and docker's older ones of the same form.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envspin.errors import PlatformMissingError, RegistryError
from envspin.reference import list_fitting_platforms, normalize_platform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MANIFEST_LIMIT = 4 << 20
"""Bytes; the distribution specification lets registries refuse larger manifests."""
CONFIG_LIMIT = 8 << 20

_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = ", ".join(_INDEXES + _MANIFESTS)
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"

_LARGEST_SIZE = 2**53 - 1
"""The largest number that all readers of JSON agree about; the OCI image specification has sizes of 63 bits."""
_MOST_NAMED = 20

DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_PLATFORM_WORD = re.compile(r"[A-Za-z0-9._-]{1,32}")
"""What an operating system, an architecture or a variant may be: it goes into messages and hints as it is."""
_NO_IMAGE = "check that the reference is an image of containers"


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest of one platform's image."""

    config: str
    config_size: int
    size: int
    """Bytes of the configuration and the layers together."""


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests by platform."""

    entries: Mapping[str, str] = field(default_factory=dict)
    """Normalised platform -> digest, in the list's order; what is no image is left out."""
    is_nested: bool = False
    """Whether it also lists other indexes; they are not followed."""


def hash_body(body: bytes) -> str:
    """Return the digest of a document."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def check_body(body: bytes, digest: str, what: str) -> None:
    """Raise RegistryError if a body is not the one that was asked for by its digest."""
    algorithm, _, expected = digest.partition(":")
    found = hashlib.new(algorithm, body).hexdigest()
    if found != expected:
        raise RegistryError(
            f"{what} is not what was asked for: its content has another digest",
            context=(f"asked for {digest}", f"received  {algorithm}:{found}"),
            hint="the registry, or something before it, changed or damaged it: tell who runs it",
        )


def refuse_schema_1(content_type: str, body: bytes, what: str) -> None:
    """Raise RegistryError for a manifest of docker's first form, whose digest no body can be checked against."""
    if not content_type.startswith(_SCHEMA_1):
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return
        if not isinstance(document, dict) or document.get("schemaVersion") != 1:
            return
    raise RegistryError(
        f"{what} is an image of schema 1, which engines of today do not pull",
        hint="pull it with an old engine and push it again, or use a newer image",
    )


def read_manifest(body: bytes, content_type: str, what: str) -> Index | Image:
    """Read a manifest or an index; ``what`` names it in errors. Raises RegistryError if it is neither."""
    document = _read_object(body, what)
    kind = document.get("mediaType") or content_type.partition(";")[0].strip()
    lists, layers = "manifests" in document, "layers" in document or "config" in document
    if lists == layers:  # both would let two readers see two images in one digest: CVE-2021-41190
        raise _refuse(what, "is neither an index nor the manifest of an image")
    if kind in (_MANIFESTS if lists else _INDEXES):
        raise _refuse(what, f"says that it is {kind}, and is not")
    return _read_index(document, what) if lists else _read_image(document, what)


def read_platform(body: bytes, what: str) -> str:
    """Return the normalised platform that the configuration of an image names."""
    platform = _read_platform(_read_object(body, what))
    if platform is None:
        raise _refuse(what, "has a configuration without a platform")
    return platform


def choose_manifests(index: Index, wanted: Sequence[str], reference: str) -> dict[str, str]:
    """Return the digest of the best manifest for each wanted platform.

    Raises RegistryError that says for which there is none, and for which there are.
    """
    chosen, missing = {}, []
    for platform in wanted:
        best = next((each for each in list_fitting_platforms(platform) if each in index.entries), None)
        if best is None:
            missing.append(platform)
        else:
            chosen[platform] = index.entries[best]
    if missing:
        raise _explain_platforms(reference, missing, index)
    return chosen


def _explain_platforms(reference: str, missing: Sequence[str], index: Index) -> PlatformMissingError:
    available = sorted(index.entries)
    more = [f"and {len(available) - _MOST_NAMED} more"] if len(available) > _MOST_NAMED else []
    context = [f"it has: {', '.join([*available[:_MOST_NAMED], *more]) or 'none'}"]
    if index.is_nested:
        context.append("it also lists other indexes, which are not followed")
    hint = _NO_IMAGE
    if available:
        hint = f"give the service `platform: {available[0]}` (one that it has), "
        hint += "or lock for other platforms only: `envspin lock --platform OS/ARCH`"
    return PlatformMissingError(f"{reference} has no image for {', '.join(missing)}", context=context, hint=hint)


def _read_index(document: dict[str, Any], what: str) -> Index:
    entries: dict[str, str] = {}
    is_nested = False
    for each in _read_list(document, "manifests", what):
        digest, _ = _read_descriptor(each, what)
        if each.get("mediaType") in _INDEXES:
            is_nested = True
        elif not each.get("artifactType") and (platform := _read_platform(each.get("platform"))) is not None:
            entries.setdefault(platform, digest)
    return Index(entries, is_nested)


def _read_image(document: dict[str, Any], what: str) -> Image:
    config, config_size = _read_descriptor(document.get("config"), what)
    sizes = [_read_descriptor(each, what)[1] for each in _read_list(document, "layers", what)]
    size = config_size + sum(sizes)
    if size > _LARGEST_SIZE:
        raise _refuse(what, "has layers of a size that nobody can hold")
    return Image(config, config_size, size)


def _read_platform(found: object) -> str | None:
    """Return the platform; None where there is none, as for attestations, whose platform is unknown/unknown.

    Words of other letters than platforms have are none either.
    """
    if not isinstance(found, dict):
        return None
    system, architecture, variant = (found.get(key) or "" for key in ("os", "architecture", "variant"))
    words = (system, architecture, variant)
    if not system or not architecture or "unknown" in words:
        return None
    if not all(isinstance(word, str) and _PLATFORM_WORD.fullmatch(word) for word in words if word):
        return None
    return normalize_platform("/".join(word for word in words if word))


def _read_descriptor(found: object, what: str) -> tuple[str, int]:
    digest, size = (found.get("digest"), found.get("size")) if isinstance(found, dict) else (None, None)
    if not isinstance(digest, str) or DIGEST.fullmatch(digest) is None:
        raise _refuse(what, "names a part without a digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST_SIZE:
        raise _refuse(what, "names a part without a size, or of an impossible one")
    return digest, size


def _read_list(document: dict[str, Any], key: str, what: str) -> list[dict[str, Any]]:
    found = document.get(key)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise _refuse(what, f"has no list of {key}")
    return found


def _read_object(body: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _refuse(what, "is no JSON object")
    return document


def _refuse(what: str, text: str) -> RegistryError:
    return RegistryError(f"{what} {text}", hint=_NO_IMAGE)
