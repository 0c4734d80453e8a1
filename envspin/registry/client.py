"""What a reference stands for, found out from its registry: which content, and whose platform's."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from envspin.errors import RegistryError
from envspin.plan.lock import Manifest
from envspin.reference import normalize_platform
from envspin.registry import credentials, manifests, trust
from envspin.registry.addresses import list_addresses
from envspin.registry.pacing import Deadline, Pace
from envspin.registry.source import Source, located

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from envspin.reference import Reference
    from envspin.registry.addresses import Address
    from envspin.registry.credentials import Credentials
    from envspin.registry.source import Document

    Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference points to."""

    digest: str
    """An index of several platforms, or a single manifest."""
    manifests: Mapping[str, Manifest]
    """By platform as it was asked for, normalised."""


class RegistryClient:
    """Asks registries what references stand for, without pulling, from as many threads as one likes.

    ``mirrors`` are base URLs that are asked before Docker Hub, ``insecure`` the registries and networks that the
    engine asks without TLS, or by TLS without looking at certificates: so are they here, and logins are then sent to
    whoever answers. ``deadline_seconds`` bounds each question with all its retries. Nothing is opened before the first
    one.
    """

    def __init__(
        self,
        *,
        mirrors: Sequence[str] = (),
        insecure: Sequence[str] = (),
        deadline_seconds: float = 30.0,
        find_credentials: Callable[[str], Credentials | None] = credentials.find_credentials,
        certificate_folders: Sequence[Path] | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._mirrors = tuple(mirrors)
        self._insecure = tuple(insecure)
        self._deadline_seconds = deadline_seconds
        self._find_credentials = find_credentials
        self._folders = trust.list_folders() if certificate_folders is None else tuple(certificate_folders)
        self._pace = pace or Pace()
        self._closed = threading.Event()
        self._lock = threading.Lock()  # guards _sources
        self._sources: dict[Address, Source] = {}

    def find_digest(self, reference: Reference) -> str:
        """Return the digest that a reference points to now.

        Raises ManifestNotFoundError where it points to nothing, RegistryError where that cannot be found out.
        """
        found = self._ask_each(reference, lambda source, deadline: source.find(reference, deadline))
        return found if isinstance(found, str) else found.digest

    def resolve(self, reference: Reference, platforms: Sequence[str]) -> Resolved:
        """Return what a reference points to now, and the manifest of it for each platform.

        Raises as ``find_digest`` does, and RegistryError if there is none for one of the platforms.
        """
        wanted = list(dict.fromkeys(normalize_platform(each) for each in platforms))
        return self._ask_each(reference, lambda source, deadline: _resolve(source, reference, wanted, deadline))

    def close(self) -> None:
        """Close the connections and end the waits; what is asked afterwards fails."""
        self._closed.set()
        with self._lock:
            sources = list(self._sources.values())
        for source in sources:
            source.close()

    def _ask_each(self, reference: Reference, ask: Callable[[Source, Deadline], Found]) -> Found:
        """Ask the mirrors in their order, then the registry, whose error is the one that counts."""
        deadline = Deadline(self._deadline_seconds, self._pace.clock)
        addresses = list_addresses(reference.registry, self._mirrors, self._insecure)
        passed: list[str] = []
        for place, address in enumerate(addresses[:-1]):
            try:
                return ask(self._find_source(address), deadline.share(len(addresses) - place))
            except RegistryError as error:
                passed.append(f"mirror {address.name}: {error.message}")
        try:
            return ask(self._find_source(addresses[-1]), deadline)
        except RegistryError as error:
            error.context += tuple(passed)
            raise

    def _find_source(self, address: Address) -> Source:
        with self._lock:
            if self._closed.is_set():
                raise RegistryError(f"{address.name} is not asked any more: the client was closed")
            source = self._sources.get(address)
            if source is None:
                sleep = self._pace.sleep or self._wait
                source = Source(address, self._folders, self._find_credentials, self._pace.clock, sleep)
                self._sources[address] = source
            return source

    def _wait(self, seconds: float) -> None:
        self._closed.wait(seconds)


def _resolve(source: Source, reference: Reference, platforms: Sequence[str], deadline: Deadline) -> Resolved:
    found = _find_document(source, reference, deadline)
    with located(found.tried):
        manifest = manifests.read_manifest(found.body, found.content_type, str(reference))
    if isinstance(manifest, manifests.Image):
        index = manifests.Index({source.get_platform(reference, manifest.config, deadline): found.digest})
        read = {found.digest: Manifest(found.digest, manifest.config, manifest.size)}
    else:
        index, read = manifest, {}
    with located(found.tried):
        chosen = manifests.choose_manifests(index, platforms, str(reference))
    for digest in chosen.values():
        if digest not in read:
            read[digest] = _get_manifest(source, reference, digest, deadline)
    return Resolved(found.digest, {platform: read[digest] for platform, digest in chosen.items()})


def _find_document(source: Source, reference: Reference, deadline: Deadline) -> Document:
    """Return what a reference points to: HEAD for a tag, which registries count less, then GET of exactly that."""
    if reference.digest is not None:
        return source.get_document(reference, deadline)
    found = source.find(reference, deadline)
    return source.get_document(replace(reference, digest=found), deadline) if isinstance(found, str) else found


def _get_manifest(source: Source, reference: Reference, digest: str, deadline: Deadline) -> Manifest:
    found = source.get_document(replace(reference, digest=digest), deadline)
    with located(found.tried):
        manifest = manifests.read_manifest(found.body, found.content_type, str(reference))
        if not isinstance(manifest, manifests.Image):
            raise RegistryError(f"{reference} lists an index where the manifest of a platform should be")
    return Manifest(digest, manifest.config, manifest.size)
