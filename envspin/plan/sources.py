"""How each image of a plan is had: pulled, as the lock says where there is one, or built."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from envspin.plan.lock import name_stub
from envspin.reference import SHORT_DIGEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envspin.model import Build, Service, Topology
    from envspin.plan.lock import Lock, LockedImage
    from envspin.plan.selection import Selection


@dataclass(frozen=True, slots=True)
class ImageSource:
    """One image to have before containers are created: pulled by reference, or built."""

    key: str
    reference: str | None
    build: Build | None
    platform: str | None
    services: tuple[str, ...]
    locked: LockedImage | None = None
    """What the lock says that the reference stands for."""
    lock_name: str = ""
    """What the lock calls a build."""
    bases: Mapping[str, LockedImage] = field(default_factory=dict)
    """The locked images that a build begins with, by what its Dockerfile calls them."""
    base_platforms: Mapping[str, str] = field(default_factory=dict)
    """The platforms of those for which the Dockerfile names one itself."""

    def find_platform(self, usual: str) -> str:
        """Return the platform that it is for, ``usual`` where nothing names one."""
        only = self.build.only_platform if self.build is not None else None
        return self.platform or only or usual

    def find_base_platform(self, base: str, usual: str) -> str:
        """Return the platform that a base is taken for."""
        return self.base_platforms.get(base, self.find_platform(usual))

    def describe(self) -> str:
        """Say in a few words how the image is had."""
        if self.build is not None:
            base = " on its locked base" if self.bases else ""
            return f"built{base} from {self.build.context} unless that is unchanged"
        if self.locked is not None:
            if self.locked.digest is None:
                manifest = next(iter(self.locked.platforms.values()))
                return f"held by the engine as locked ({manifest.config[:SHORT_DIGEST]})"
            return f"pulled as locked ({self.locked.digest[:SHORT_DIGEST]}) unless the engine holds it"
        return "pulled unless the engine holds it"


def find_makers(topology: Topology) -> dict[str, Service]:
    """Return who builds each image that a service of the topology, whether it takes part or not, builds by name."""
    return {service.image: service for service in topology.services.values() if service.build and service.image}


def collect_images(topology: Topology, services: Mapping[str, Service]) -> dict[str, ImageSource]:
    """Gather each distinct image once: services with the same build or reference share it.

    A service that only names an image which another one builds (its `image` beside `build`) runs what is built.
    """
    makers = find_makers(topology)
    users: dict[tuple[str | None, str, str | None], list[tuple[Service, Service]]] = {}
    for service in services.values():
        maker = service if service.build else makers.get(str(service.image), service)
        identity = (None if maker.build else service.image, repr(maker.build), maker.platform)
        users.setdefault(identity, []).append((maker, service))
    sources: dict[str, ImageSource] = {}
    for group in users.values():
        group.sort(key=lambda pair: pair[1].build is None)  # who builds comes before who only names what is built
        maker, first = group[0]
        key = maker.name if maker.build else str(first.image)
        if key in sources:  # one reference for two platforms
            key = f"{key} for {maker.platform or 'this platform'}"
        reference = None if maker.build else first.image
        names = tuple(service.name for _, service in group)
        sources[key] = ImageSource(key, reference, maker.build, maker.platform, names)
    return sources


def lock_source(source: ImageSource, lock: Lock, selection: Selection) -> ImageSource:
    """Return the source with what the lock says of it."""
    if source.build is None:
        return replace(source, locked=lock.images.get(str(source.reference)))
    first = source.services[0]
    return lock_build(source, lock, name_stub(first) if first in selection.stub else first)


def lock_build(source: ImageSource, lock: Lock, name: str) -> ImageSource:
    """Return a build with what the lock says of it under this name."""
    build = lock.builds.get(name)
    if build is None:
        return replace(source, lock_name=name)
    bases = {base: lock.images[base] for base in build.bases}
    return replace(source, lock_name=name, bases=bases, base_platforms=build.platforms)


def find_unlocked(images: Mapping[str, ImageSource], lock: Lock, selection: Selection) -> Iterator[str]:
    """Yield the images that the lock does not hold, but those that were chosen for this run by a digest."""
    for key, source in images.items():
        if source.build is not None:
            if source.lock_name not in lock.builds:
                yield key
        elif source.locked is None and not ("@" in key and selection.pins.keys() & set(source.services)):
            yield key
