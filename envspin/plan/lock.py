"""What a topology's images were when they were locked: plain data, and what of it a topology still fits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envspin.reference import Reference, list_fitting_platforms

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCK_NAME = "envspin.lock"
LOCK_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """One platform's image in a registry."""

    digest: str | None
    """``sha256:...`` of its manifest; None for an image that only an engine holds."""
    config: str
    """``sha256:...`` of its configuration: the image's id in engines with the classic store."""
    size: int
    """Bytes to download: the configuration and the layers as the registry keeps them."""


@dataclass(frozen=True, slots=True)
class LockedImage:
    """What a reference stood for."""

    reference: str
    """As the topology writes it."""
    digest: str | None
    """What the tag pointed to: an index of several platforms or a single manifest; None where only an engine has it."""
    resolved: str
    """When the registry was asked: UTC in ISO 8601, to the second."""
    platforms: Mapping[str, Manifest] = field(default_factory=dict)
    """By platform: ``linux/amd64``, ``linux/arm/v7``."""

    @property
    def is_local(self) -> bool:
        """Whether no registry has it, so that it can be found only in the engine that it was locked from."""
        return self.digest is None

    @property
    def digests(self) -> tuple[str, ...]:
        """Every digest by which its registry knows it: that of the index, then those of its manifests."""
        found = (self.digest, *(manifest.digest for manifest in self.platforms.values()))
        return tuple(dict.fromkeys(each for each in found if each is not None))

    def list_configs(self) -> set[str]:
        """Return the digests of its configurations."""
        return {manifest.config for manifest in self.platforms.values()}

    def find_manifest(self, platform: str) -> Manifest | None:
        """Return the manifest that runs on a platform; None where none was locked."""
        return next((self.platforms[each] for each in list_fitting_platforms(platform) if each in self.platforms), None)

    def list_ids(self, platform: str) -> set[str]:
        """Return what engines may call the image: the digest of its configuration, its manifest or its index."""
        manifest = self.find_manifest(platform)
        found = {self.digest, manifest.digest, manifest.config} if manifest else set()
        return {each for each in found if each}

    def pin(self) -> str:
        """Return the reference with its digest: ``postgres:16.4@sha256:...``."""
        written = Reference.parse(self.reference)
        if self.digest is None or written.digest is not None:
            return self.reference
        return f"{written}@{self.digest}"


@dataclass(frozen=True, slots=True)
class LockedBuild:
    """What a service's build was made of."""

    content: str
    """``sha256:...`` of its context, Dockerfile, arguments and target."""
    bases: tuple[str, ...] = ()
    """The images that it begins with, as its Dockerfile names them; each is locked among the images."""
    platforms: Mapping[str, str] = field(default_factory=dict)
    """The platform of each base for which the Dockerfile names one itself (``FROM --platform``)."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The pins of one topology."""

    topology: str
    """Its name when it was first locked: where the file says none that is its folder's, which may differ elsewhere."""
    hash: str
    """``sha256:...`` of all that decides what has to be locked."""
    services: Mapping[str, str | None] = field(default_factory=dict)
    """Service -> the reference of its image; None for one that is built."""
    images: Mapping[str, LockedImage] = field(default_factory=dict)
    """By reference as written."""
    builds: Mapping[str, LockedBuild] = field(default_factory=dict)
    """By service; the build of a stub is called ``SERVICE (stub)``."""
    platforms: tuple[str, ...] = ()
    """Those that images are locked for, sorted; a service with a ``platform`` of its own has that one instead."""
    file: str = ""
    """The name of the Compose file beside it that it was made from; empty where that is not known."""


_STUB = " (stub)"


def name_stub(service: str) -> str:
    """Return what a service's stub is called among the builds: no service can have such a name."""
    return f"{service}{_STUB}"


def is_stub(name: str) -> bool:
    """Tell whether a build is called as that of a stub."""
    return name.endswith(_STUB)
