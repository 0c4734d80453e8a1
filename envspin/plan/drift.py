"""A lock -> how the rest of the world differs from it, service by service: registry, folders, environments, files.

What the others are is found out elsewhere; here it is only compared. Every function returns its findings by service,
then kind; none means that nothing has drifted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from envspin.plan.lock import LockedBuild, LockedImage
from envspin.reference import OFFICIAL, Reference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from envspin.plan.lock import Lock, Manifest
    from envspin.topology.kubernetes import Workload

Kind: TypeAlias = Literal[
    "base-differs",
    "base-gone",
    "base-moved",
    "built-here",
    "built-there",
    "content-differs",
    "context-changed",
    "context-gone",
    "digest-gone",
    "image-differs",
    "lock-stale",
    "not-locked",
    "not-running",
    "only-here",
    "only-there",
    "registry-differs",
    "tag-gone",
    "tag-moved",
]

KINDS: Mapping[Kind, str] = {
    "base-differs": "the build begins with another image there",
    "base-gone": "the registry no longer has the image that the build begins with",
    "base-moved": "the tag of the image that the build begins with now leads to another image",
    "built-here": "the service is built here and has an image there: they cannot be compared",
    "built-there": "the service has an image here and is built there: they cannot be compared",
    "content-differs": "it is built of other files, arguments or another target",
    "context-changed": "the build's files, arguments or target have changed since they were locked",
    "context-gone": "the build's folder or Dockerfile no longer exists",
    "digest-gone": "the registry no longer has the locked image, so nobody else can pull it",
    "image-differs": "it is another image than the locked one",
    "lock-stale": "the lock does not fit the topology: lock it again",
    "not-locked": "the service runs, and the lock does not know it",
    "not-running": "nothing runs of the service",
    "only-here": "nothing there corresponds to the service",
    "only-there": "no locked service corresponds to it",
    "registry-differs": "the same repository and tag, but in another registry: "
    "write a digest there to prove that it is the same",
    "tag-gone": "the registry no longer has the tag",
    "tag-moved": "the tag now leads to another image",
}
"""Every kind of finding, and what it means."""

OTHERS = "(matrix or stub)"
"""Stands for a service where an image is locked that no service runs by itself; no service can have such a name."""
TOPOLOGY = "(topology)"
"""Stands for a service where a finding is about no single one; no service can have such a name."""
_BUILD = "build"
_KINDS_OF_IMAGES: tuple[Kind, Kind, Kind] = ("tag-moved", "tag-gone", "digest-gone")
_KINDS_OF_BASES: tuple[Kind, Kind, Kind] = ("base-moved", "base-gone", "base-gone")
_Pin: TypeAlias = LockedImage | LockedBuild


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was locked; ``locked`` and ``found`` are None on a side that has nothing."""

    service: str
    """For ``only-there`` of Kubernetes, the name of the container; else ``OTHERS`` or ``TOPOLOGY`` may stand here."""
    kind: Kind
    locked: str | None
    """``postgres:16.4@sha256:...``, or ``build sha256:...``."""
    found: str | None


@dataclass(frozen=True, slots=True)
class Running:
    """What a service of an environment runs."""

    image: str
    """The reference that it was made from."""
    platform: str
    """For which its image was made: ``linux/amd64``."""
    ids: tuple[str, ...] = ()
    """Every ``sha256:...`` by which the engine knows its image; the first is shown, so a registry's should be it."""
    content: str | None = None
    """What its build was made of, as ``LockedBuild.content`` has it; None for an image that was not built here."""

    def describe(self) -> str:
        """Return how a finding names it."""
        if self.content is not None:
            return f"{_BUILD} {self.content}"
        return _add_digest(self.image, self.ids[0]) if self.ids and "@" not in self.image else self.image


def list_tagged(lock: Lock) -> list[str]:
    """Return the locked references whose tag may have moved: those of a registry, with a tag."""
    return sorted(
        reference
        for reference, image in lock.images.items()
        if not image.is_local and Reference.parse(reference).tag is not None
    )


def compare_registry(lock: Lock, tags: Mapping[str, str | None], gone: Collection[str] = ()) -> list[Finding]:
    """Return what the registries, or for images of its own the engine, no longer have as it was locked.

    ``tags``: what the tag of each reference leads to now, None where it is gone; what was not asked for is left out.
    ``gone``: the locked digests, of indexes or of manifests, and the locked ids, that no longer exist.
    """
    found: list[Finding] = []
    tagged = set(list_tagged(lock))
    for service, image, (moved, tag_gone, digest_gone) in _list_uses(lock):
        known = image.list_configs() if image.is_local else {image.digest}
        if image.reference in tags and (image.is_local or image.reference in tagged):
            digest = tags[image.reference]
            if digest is None:
                found.append(Finding(service, tag_gone, image.pin(), None))
            elif digest not in known:
                found.append(Finding(service, moved, image.pin(), _add_digest(image.reference, digest)))
        if not set(gone).isdisjoint({*image.digests, *(image.list_configs() if image.is_local else ())}):
            found.append(Finding(service, digest_gone, image.pin(), None))
    return _in_order(found)


def _list_uses(lock: Lock) -> Iterator[tuple[str, LockedImage, tuple[Kind, Kind, Kind]]]:
    """Yield who uses each image, and how it is called that its tag moved, that this is gone, that the image is gone."""
    for service, reference in lock.services.items():
        if reference is not None and reference in lock.images:
            yield service, lock.images[reference], _KINDS_OF_IMAGES
    for service, build in lock.builds.items():
        for base in build.bases:
            if base in lock.images:
                yield service, lock.images[base], _KINDS_OF_BASES
    for reference in _list_others(lock):
        yield OTHERS, lock.images[reference], _KINDS_OF_IMAGES


def _list_others(lock: Lock) -> list[str]:
    bases = (base for build in lock.builds.values() for base in build.bases)
    return sorted(lock.images.keys() - {*lock.services.values(), *bases})


def compare_contents(lock: Lock, contents: Mapping[str, str | None]) -> list[Finding]:
    """Return the builds that are made of something else in another topology; as ``compare_builds`` takes them."""
    return _in_order(replace(each, kind="content-differs") for each in compare_builds(lock, contents))


def compare_builds(lock: Lock, contents: Mapping[str, str | None]) -> list[Finding]:
    """Return the builds that are not what was locked.

    ``contents``: what each build of the lock is made of now, None where its folder or Dockerfile is gone; those that
    were not looked at are left out.
    """
    found: list[Finding] = []
    for service, build in lock.builds.items():
        content = contents.get(service, build.content)
        if content is None:
            found.append(Finding(service, "context-gone", _describe(build), None))
        elif content != build.content:
            found.append(Finding(service, "context-changed", _describe(build), f"{_BUILD} {content}"))
    return _in_order(found)


def compare_topology(lock: Lock, wanted: Mapping[str, str | None]) -> list[Finding]:
    """Return where the lock does not fit the topology: ``wanted`` has its services, as ``Lock.services`` has them."""
    pins = list_pins(lock)
    found = [
        Finding(service, "lock-stale", _describe(pins[service]) if service in pins else None, reference or _BUILD)
        for service, reference in wanted.items()
        if service not in pins or lock.services[service] != reference
    ]
    unwanted = [Finding(service, "lock-stale", _describe(pins[service]), None) for service in pins.keys() - wanted]
    return _in_order(found + unwanted)


def compare_environment(lock: Lock, running: Mapping[str, Running]) -> list[Finding]:
    """Return where what runs is not what was locked, whatever it is called."""
    found: list[Finding] = []
    pins = list_pins(lock)
    for service, pin in pins.items():
        runs = running.get(service)
        if runs is None:
            found.append(Finding(service, "not-running", _describe(pin), None))
        elif isinstance(pin, LockedImage):
            if pin.list_ids(runs.platform).isdisjoint(runs.ids):
                found.append(Finding(service, "image-differs", _describe(pin), runs.describe()))
        elif runs.content != pin.content:
            found.append(Finding(service, "content-differs", _describe(pin), runs.describe()))
    found += [Finding(service, "not-locked", None, running[service].describe()) for service in running.keys() - pins]
    return _in_order(found)


def compare_references(lock: Lock, other: Mapping[str, str | None]) -> list[Finding]:
    """Return where another Compose file runs something else: ``other`` has its services as ``Lock.services`` has them.

    A digest there decides by itself, wherever the image lies; without one registry, repository and tag do. What is
    built on both sides cannot be compared by its references and is no finding.
    """
    pins = list_pins(lock)
    found = _compare_names(pins, {service: reference or _BUILD for service, reference in other.items()})
    for service in pins.keys() & other:
        pin, reference = pins[service], other[service]
        if isinstance(pin, LockedBuild):
            found += [Finding(service, "built-here", _describe(pin), reference)] if reference is not None else []
        elif reference is None:
            found.append(Finding(service, "built-there", _describe(pin), _BUILD))
        elif not _is_reference_of(pin, Reference.parse(reference)):
            found.append(Finding(service, "image-differs", _describe(pin), reference))
    return _in_order(found)


def _is_reference_of(image: LockedImage, other: Reference) -> bool:
    if other.digest is not None:
        return other.digest in image.digests
    own = Reference.parse(image.reference)
    return (own.registry, own.repository, own.tag) == (other.registry, other.repository, other.tag)


def compare_locks(lock: Lock, other: Lock) -> list[Finding]:
    """Return where another lock pins something else: another image under whatever name, or a build of other content."""
    here, there = list_pins(lock), list_pins(other)
    found = _compare_names(here, {service: _describe(pin) for service, pin in there.items()})
    for service in here.keys() & there:
        found += _compare_pins(service, here[service], there[service])
    for service in lock.builds.keys() & other.builds:  # those of stubs too
        found += _compare_made(service, lock, other)
    for reference in {*_list_others(lock)} & {*_list_others(other)}:
        found += _compare_pins(OTHERS, lock.images[reference], other.images[reference])
    return _in_order(found)


def _compare_pins(service: str, here: _Pin, there: _Pin) -> Iterator[Finding]:
    if isinstance(here, LockedImage) and isinstance(there, LockedImage):
        if not _is_same_image(here, there):
            yield Finding(service, "image-differs", here.pin(), there.pin())
    elif isinstance(here, LockedImage):
        yield Finding(service, "built-there", here.pin(), _describe(there))
    elif isinstance(there, LockedImage):
        yield Finding(service, "built-here", _describe(here), there.pin())


def _compare_made(service: str, lock: Lock, other: Lock) -> Iterator[Finding]:
    """Compare what both build; with the same content they name the same bases, whose images may differ."""
    here, there = lock.builds[service], other.builds[service]
    if here.content != there.content:
        yield Finding(service, "content-differs", _describe(here), _describe(there))
        return
    for base in here.bases:
        image, other_image = lock.images.get(base), other.images.get(base)
        if image is not None and other_image is not None and not _is_same_image(image, other_image):
            yield Finding(service, "base-differs", image.pin(), other_image.pin())


def _is_same_image(here: LockedImage, there: LockedImage) -> bool:
    """Compare what would run, for each platform that both have: an index may be made anew around the same manifests."""
    shared = here.platforms.keys() & there.platforms
    if not shared:
        return here.digest is not None and here.digest == there.digest
    return all(_is_same_manifest(here.platforms[each], there.platforms[each]) for each in shared)


def _is_same_manifest(here: Manifest, there: Manifest) -> bool:
    if here.digest is not None and there.digest is not None:
        return here.digest == there.digest
    return here.config == there.config


def match_workloads(lock: Lock, workloads: Iterable[Workload]) -> list[Finding]:
    """Return where the containers of Kubernetes manifests run something else.

    A container belongs to the service of its name. Under another name it belongs to the services of its repository: in
    the same registry, else in one that may mirror the other, else wherever its digest is the locked one; of several to
    those with exactly its image, else to all of them. What belongs together is the same if the digest is, or without a
    digest registry, repository and tag: who else has a repository of the same path decides alone what lies there.
    """
    pins = list_pins(lock)
    found: list[Finding] = []
    missing = set(pins)
    for workload in workloads:
        shown = f"{workload.image} ({workload.owner})"
        reference = Reference.parse(workload.image)
        services = [workload.container] if workload.container in pins else _find_services(pins, reference)
        missing.difference_update(services)
        if not services:
            found.append(Finding(workload.container, "only-there", None, shown))
        for service in services:
            kind = _compare_container(pins[service], reference)
            if kind is not None:
                found.append(Finding(service, kind, _describe(pins[service]), shown))
    found += [Finding(service, "only-here", _describe(pins[service]), None) for service in missing]
    return _in_order(found)


def _find_services(pins: Mapping[str, _Pin], reference: Reference) -> list[str]:
    images = {service: pin for service, pin in pins.items() if isinstance(pin, LockedImage)}
    written = {service: Reference.parse(image.reference) for service, image in images.items()}
    places = {service: (own.registry, own.repository) for service, own in written.items()}
    found = [service for service, place in places.items() if place == (reference.registry, reference.repository)]
    found = found or [service for service, own in written.items() if _is_mirrored(own, reference)]
    found = found or [service for service, image in images.items() if reference.digest in image.digests]
    return [each for each in found if _compare_container(images[each], reference) != "image-differs"] or found


def _compare_container(pin: _Pin, reference: Reference) -> Kind | None:
    if isinstance(pin, LockedBuild):
        return "built-here"
    if _is_reference_of(pin, reference):
        return None
    own = Reference.parse(pin.reference)
    is_copy = reference.digest is None and own.tag == reference.tag and _is_mirrored(own, reference)
    return "registry-differs" if is_copy else "image-differs"


def _is_mirrored(one: Reference, other: Reference) -> bool:
    """Tell whether one registry may mirror the other: by the same path, or by the whole path below a folder."""
    if one.registry == other.registry:
        return False
    paths = (one.repository, other.repository)
    if paths[0].removeprefix(OFFICIAL) == paths[1].removeprefix(OFFICIAL):
        return True
    short, long = sorted(paths, key=len)
    return "/" in short and long.endswith(f"/{short}")


def list_pins(lock: Lock) -> dict[str, LockedImage | LockedBuild]:
    """Return what each service is locked to; one whose entry is missing is not locked."""
    found: dict[str, LockedImage | LockedBuild] = {}
    for service, reference in lock.services.items():
        pin = lock.builds.get(service) if reference is None else lock.images.get(reference)
        if pin is not None:
            found[service] = pin
    return found


def _describe(pin: _Pin) -> str:
    return pin.pin() if isinstance(pin, LockedImage) else f"{_BUILD} {pin.content}"


def _add_digest(reference: str, digest: str) -> str:
    return str(replace(Reference.parse(reference), digest=digest))


def _compare_names(here: Mapping[str, _Pin], there: Mapping[str, str]) -> list[Finding]:
    only_here = [Finding(service, "only-here", _describe(here[service]), None) for service in here.keys() - there]
    return only_here + [Finding(service, "only-there", None, there[service]) for service in there.keys() - here]


def _in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Sort by service and kind; what is said twice (a base that two steps of a build use) is kept once."""
    return sorted(set(findings), key=lambda each: (each.service, each.kind, each.locked or "", each.found or ""))
