"""What of a topology has to be locked, which questions that leaves for registries, and the lock made of the answers.

Like other lock files, a lock keeps what still fits: only what is new, or asked to be upgraded, is resolved.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from envspin.plan.lock import LOCK_NAME, Lock, LockedBuild, LockedImage, Manifest, name_stub
from envspin.plan.lock_text import dump_lock
from envspin.plan.sources import find_makers
from envspin.reference import normalize_platform

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from envspin.model import Service, Topology

MOST_COMBINATIONS = 256
"""Of values of variables; beyond, each value is tried by itself."""
UNRESOLVED = "(not resolved yet)"
"""Stands for a digest in the comparison of `lock --check`, which asks no registry."""


@dataclass(frozen=True, slots=True)
class Need:
    """Who uses an image, and for which platforms."""

    users: frozenset[str] = frozenset()
    """Services that run it, build on it, or have it as stub or in the matrix."""
    platforms: frozenset[str] = frozenset()
    """Platforms that its users ask for themselves."""
    usual: bool = False
    """Whether some user leaves the platform to the engine."""

    def list_platforms(self, asked: Iterable[str]) -> list[str]:
        """Return the platforms that it has to be locked for, when ``asked`` are those of the whole lock."""
        return sorted({*self.platforms, *(asked if self.usual else ())})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a topology needs locked now."""

    topology: str
    hash: str
    file: str = ""
    """The name of the first Compose file."""
    services: Mapping[str, str | None] = field(default_factory=dict)
    images: Mapping[str, Need] = field(default_factory=dict)
    builds: Mapping[str, LockedBuild] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask a registry: what a reference stands for, on which platforms."""

    reference: str
    platforms: tuple[str, ...]
    digest: str | None = None
    """Set where only platforms are missing: then this content is asked for, wherever the tag points by now."""
    users: tuple[str, ...] = field(default=(), compare=False)
    """The services that need the answer."""
    fixed: frozenset[str] = field(default=frozenset(), compare=False)
    """Platforms that services ask for themselves."""


def list_builds(topology: Topology) -> dict[str, Service]:
    """Return every build of a topology by its name in the lock, as a service that has it.

    A service that only names the image which another one builds runs what is built.
    """
    makers = find_makers(topology)
    found = {}
    for key, service in _list_services(topology):
        maker = service if service.build is not None else makers.get(str(service.image))
        if maker is not None:
            found[key] = maker
    return found


def _list_services(topology: Topology) -> Iterator[tuple[str, Service]]:
    for name, service in topology.services.items():
        yield name, service
        if service.stub is not None:
            yield name_stub(name), service.stub


def list_variable_axes(topology: Topology) -> list[dict[str, str]]:
    """Return the values of variables with which the matrix runs a topology, one mapping for each combination.

    Of very many combinations each value is taken by itself.
    """
    variables = {name: values for name, values in _list_axes(topology).items() if name not in topology.services}
    if math.prod(map(len, variables.values())) > MOST_COMBINATIONS:
        found = [{name: value} for name, values in variables.items() for value in values]
    else:
        found = [dict(zip(variables, values, strict=True)) for values in itertools.product(*variables.values())]
    excluded = [each for each in _list_entries(topology, "exclude") if not each.keys() & topology.services.keys()]
    found = [each for each in found if not any(entry.items() <= each.items() for entry in excluded)]
    for entry in _list_entries(topology, "include"):
        found.append({name: value for name, value in entry.items() if name not in topology.services})
    return [each for each in found if each]


def _list_axes(topology: Topology) -> dict[str, list[str]]:
    axes = topology.matrix.get("axes")
    return {name: list(map(str, values)) for name, values in axes.items()} if isinstance(axes, dict) else {}


def _list_entries(topology: Topology, name: str) -> list[dict[str, str]]:
    entries = topology.matrix.get(name)
    return entries if isinstance(entries, list) else []


def collect_wanted(topology: Topology, builds: Mapping[str, LockedBuild], variants: Iterable[Topology] = ()) -> Wanted:
    """Gather what has to be locked.

    ``builds`` says what each of ``list_builds`` is made of now, ``variants`` are the topology with other values of
    ``list_variable_axes``, whose images are locked too.
    """
    built = list_builds(topology)
    uses = list(_list_uses(topology, builds))
    for other in variants:
        uses += [use for use in _list_uses(other, {}) if use not in uses]
    images: dict[str, Need] = {}
    for reference, name, platform in uses:
        images[reference] = _add_use(images.get(reference, Need()), name, platform)
    services = {name: None if name in built else service.image for name, service in topology.services.items()}
    file = topology.files[0].name if topology.files else ""
    return Wanted(topology.name, _hash(services, images, built), file, services, images, dict(builds))


def _list_uses(topology: Topology, builds: Mapping[str, LockedBuild]) -> Iterator[tuple[str, str, str | None]]:
    """Yield each image with the service that it is for and the platform that is named there."""
    built = list_builds(topology)
    for name, service in topology.services.items():
        for key, variant in ((name, service), (name_stub(name), service.stub)):
            if variant is not None and key not in built and variant.image is not None:
                yield variant.image, name, variant.platform
            if key in built and key in builds:
                maker, own = built[key], builds[key].platforms
                usual = maker.platform or (maker.build.only_platform if maker.build else None)
                yield from ((base, name, own.get(base, usual)) for base in builds[key].bases)
        yield from ((image, name, service.platform) for image in list_matrix_images(topology, name))


def _add_use(need: Need, user: str, platform: str | None) -> Need:
    users = need.users | {user}
    if platform is None:
        return replace(need, users=users, usual=True)
    return replace(need, users=users, platforms=need.platforms | {normalize_platform(platform)})


def list_matrix_images(topology: Topology, service: str) -> list[str]:
    """Return the images that the matrix of a topology runs a service with."""
    included = [str(entry[service]) for entry in _list_entries(topology, "include") if service in entry]
    return list(dict.fromkeys([*_list_axes(topology).get(service, []), *included]))


def _hash(services: Mapping[str, str | None], images: Mapping[str, Need], built: Iterable[str]) -> str:
    """Hash what decides about pins, and nothing else: a changed port or variable leaves a lock as it is."""
    needs = {name: (sorted(need.users), sorted(need.platforms), need.usual) for name, need in images.items()}
    text = json.dumps([dict(services), needs, sorted(built)], sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def list_questions(
    wanted: Wanted, old: Lock | None, platforms: Iterable[str], *, upgrade: Collection[str] = ()
) -> list[Question]:
    """Return what has to be asked to lock what is wanted for ``platforms``.

    ``upgrade`` names services whose images are asked for anew, although what was locked still fits.
    """
    asked = sorted(platforms)
    questions = []
    for reference, need in sorted(wanted.images.items()):
        needed = tuple(need.list_platforms(asked))
        known = old.images.get(reference) if old is not None else None
        kept = None if known is None or need.users & set(upgrade) else known
        if kept is None or any(kept.find_manifest(each) is None for each in needed):
            digest = kept.digest if kept is not None else None
            questions.append(Question(reference, needed, digest, tuple(sorted(need.users)), need.platforms))
    return questions


def make_lock(wanted: Wanted, old: Lock | None, platforms: Iterable[str], answers: Mapping[str, LockedImage]) -> Lock:
    """Return the lock of what is wanted: answers where there are some, else what was locked before."""
    images = {}
    for reference in wanted.images:
        known = old.images.get(reference) if old is not None else None
        answer = answers.get(reference)
        image = known if answer is None else _keep_time(answer, known)
        if image is not None:
            images[reference] = image
    return Lock(
        topology=wanted.topology if old is None else old.topology,
        file=wanted.file,
        hash=wanted.hash,
        services=wanted.services,
        images=images,
        builds=wanted.builds,
        platforms=tuple(sorted(platforms)),
    )


def _keep_time(answer: LockedImage, known: LockedImage | None) -> LockedImage:
    """Leave the time alone where the answer is the old one, so that locking again changes no line."""
    if known is None or answer.digest != known.digest or (answer.is_local and answer.platforms != known.platforms):
        return answer
    return replace(answer, resolved=known.resolved, platforms={**known.platforms, **answer.platforms})


def _leave_gaps(question: Question, old: Lock | None) -> LockedImage:
    """Return what is known of an answer before the question is asked."""
    if old is None or question.digest is None:
        return LockedImage(question.reference, UNRESOLVED, UNRESOLVED)
    known = old.images[question.reference]
    missing = [each for each in question.platforms if known.find_manifest(each) is None]
    return replace(known, platforms={each: Manifest(UNRESOLVED, UNRESOLVED, 0) for each in missing})


def compare_with_topology(lock: Lock | None, wanted: Wanted, platforms: Iterable[str] = ()) -> str:
    """Return a unified diff from a lock to the lock that the topology needs, with gaps for what is not resolved.

    Empty where the lock fits. ``platforms`` must be locked beside those that the lock names.
    """
    asked = {*(lock.platforms if lock is not None else ()), *platforms}
    questions = list_questions(wanted, lock, asked)
    gaps = {each.reference: _leave_gaps(each, lock) for each in questions}
    needed = make_lock(wanted, lock, asked, gaps)
    if lock is not None:  # like a name, which is often the folder's, the file's says nothing of pins
        needed = replace(needed, file=lock.file)
    if needed == lock:
        return ""
    before = dump_lock(lock).splitlines(keepends=True) if lock is not None else []
    after = dump_lock(needed).splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, LOCK_NAME, f"{LOCK_NAME} as the topology needs it"))
