"""What a lock is compared with: registries, a running environment, or another file; each read, then compared."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from envspin.errors import EngineUnreachableError, LockError, ManifestNotFoundError, UsageError
from envspin.plan.drift import (
    TOPOLOGY,
    Finding,
    Running,
    compare_builds,
    compare_contents,
    compare_environment,
    compare_locks,
    compare_references,
    compare_registry,
    compare_topology,
    list_tagged,
    match_workloads,
)
from envspin.plan.lock import LOCK_NAME, LockedBuild
from envspin.plan.lock_text import looks_like_lock, parse_lock
from envspin.plan.pinning import collect_wanted, list_builds
from envspin.reference import Reference, normalize_platform
from envspin.run.inventory import find_environment
from envspin.run.locking import open_registries, run_all
from envspin.run.locks import load_variants, look_at_builds, require_lock
from envspin.run.opening import load
from envspin.topology import find_compose_file
from envspin.topology.files import MAX_FILE_BYTES, holds_compose_file
from envspin.topology.kubernetes import looks_like_kubernetes, read_workloads

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from envspin.engine.base import Engine, ImageInfo
    from envspin.model import Topology
    from envspin.plan.lock import Lock
    from envspin.plan.planning import Plan
    from envspin.run.environment import Environment
    from envspin.run.service import ServiceHandle
    from envspin.topology.kubernetes import Workload

REGISTRY = "registry"
ENDED = frozenset(("created", "dead", "exited", "gone"))
"""States of a container in which its service does not run; a job that has completed has run."""
STDIN = "-"
STDIN_NAME = "standard input"
MANIFEST_SUFFIXES = frozenset((".yaml", ".yml", ".json"))
MAX_FILES = 2000
"""Files of a folder that are looked at: more of them are hardly what somebody deploys."""
PACKAGES = "node_modules"


def find_drift(topology: Topology, against: str, engine: Engine | None) -> list[Finding]:
    """Return how the lock of a topology differs from what it is held against, and from the topology itself.

    ``against`` is ``registry``, a file (a Compose file or folder, a lock, Kubernetes manifests, ``-`` for those on
    standard input), or else an environment's name, for which an engine is needed. Raises LockError where there is no
    lock, RegistryError where a registry does not answer, UsageError for what is none of these.
    """
    lock = require_lock(topology)
    findings = compare_own_topology(lock, topology)
    if against == REGISTRY:
        return findings + ask_registries(lock, engine)
    if against == STDIN or os.path.exists(against):  # noqa: PTH110 - pathlib raises for names that are too long
        return findings + compare_with_file(lock, against)
    if engine is None:
        message = f"{against!r} is no file, and no engine answers that could know an environment of that name"
        raise UsageError(message, hint="name a file, or see `envspin doctor`")
    running = compare_environment(lock, read_environment(engine, against))
    return findings + [each for each in running if each.kind != "not-running" or each.service in topology.active]


def compare_own_topology(lock: Lock, topology: Topology) -> list[Finding]:
    """Return where a lock does not fit the topology that it was made from any more."""
    contents = look_at_builds(topology)
    # A build that begins with another image has changed, which is told as that: here its locked bases count.
    wanted = collect_wanted(
        topology, {name: lock.builds.get(name, LockedBuild("")) for name in contents}, load_variants(topology)
    )
    stale = compare_topology(lock, wanted.services)
    if not stale and lock.hash != wanted.hash:
        stale = [Finding(TOPOLOGY, "lock-stale", lock.hash, wanted.hash)]
    hashes = {name: build.content if build is not None else None for name, build in contents.items()}
    return stale + compare_builds(lock, hashes)


def ask_registries(lock: Lock, engine: Engine | None) -> list[Finding]:
    """Return what the registries no longer have as it was locked, having asked for every tag and every digest.

    Images that only an engine has are looked for in this one.
    """
    references = list_tagged(lock)
    tagged = [replace(Reference.parse(each), digest=None) for each in references]
    exact = [Reference.parse(image.reference).at(digest) for image in lock.images.values() for digest in image.digests]
    local = [image for image in lock.images.values() if image.is_local]
    if local and engine is None:
        names = ", ".join(image.reference for image in local)
        raise EngineUnreachableError(f"only an engine has {names}, and none answers", hint="see `envspin doctor`")
    client = open_registries(engine)

    def look(reference: Reference) -> str | None:
        try:
            return client.find_digest(reference)
        except ManifestNotFoundError:
            return None

    try:
        found = run_all(look, [*tagged, *exact], "images cannot be looked up")
    finally:
        client.close()
    tags = dict(zip(references, found[: len(tagged)], strict=True))
    gone = {str(each.digest) for each, digest in zip(exact, found[len(tagged) :], strict=True) if digest is None}
    if engine is not None:
        tags |= {image.reference: _find_id(engine, image.reference) for image in local}
        ids = {config for image in local for config in image.list_configs()}
        gone |= {each for each in ids if _find_id(engine, each) is None}
    return compare_registry(lock, tags, gone)


def _find_id(engine: Engine, name: str) -> str | None:
    image = engine.find_image(name)
    return image.id if image is not None else None


def compare_with_file(lock: Lock, against: str) -> list[Finding]:
    """Return where another file runs something else than the lock."""
    path = Path(against)
    if against == STDIN:
        return match_workloads(
            lock, read_workloads(_decode(sys.stdin.buffer.read(MAX_FILE_BYTES + 1), STDIN_NAME), STDIN_NAME)
        )
    if path.is_dir() and not holds_compose_file(path):
        return match_workloads(lock, _read_folder(path))
    file = find_compose_file(path)
    text = _read(file)
    if file.suffix == Path(LOCK_NAME).suffix or looks_like_lock(text):
        return compare_locks(lock, parse_lock(text, against))
    if looks_like_kubernetes(text, against):
        return match_workloads(lock, read_workloads(text, against))
    other = load(file, allow_unsafe=True)
    contents = {name: build.content if build else None for name, build in look_at_builds(other).items()}
    both = {name: content for name, content in contents.items() if name in lock.builds}
    return compare_references(lock, list_references(other)) + compare_contents(lock, both)


def _read_folder(folder: Path) -> list[Workload]:
    """Return the workloads of all manifests in a folder; file by file, as the texts may be large."""
    found: list[Workload] = []
    any_manifests = False
    for path in _list_files(folder):
        text = _read(path)
        if looks_like_kubernetes(text, str(path)):
            any_manifests = True
            found += read_workloads(text, str(path))
    if not any_manifests:
        raise UsageError(f"the folder {folder} holds neither a Compose file nor Kubernetes manifests")
    return found


def _list_files(folder: Path) -> list[Path]:
    """Return the YAML and JSON files below a folder; what hidden folders and installed packages hold is not meant."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders[:] = [each for each in folders if not each.startswith(".") and each != PACKAGES]
        paths = (Path(place, name) for name in names)
        found += [each for each in paths if each.suffix in MANIFEST_SUFFIXES and each.is_file()]
        if len(found) > MAX_FILES:
            message = f"the folder {folder} holds more than {MAX_FILES} YAML and JSON files"
            raise UsageError(message, hint="name a folder or a file that holds less")
    return sorted(found)


def _refuse_folder(error: OSError) -> NoReturn:
    raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _decode(file.read(MAX_FILE_BYTES + 1), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _decode(content: bytes, name: str) -> str:
    """Return a text; one that is too long is left too long, so that whoever parses it refuses it."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text") from error


def list_references(topology: Topology) -> dict[str, str | None]:
    """Return each service's image as written; None for one that is built."""
    built = list_builds(topology)
    return {name: None if name in built else service.image for name, service in topology.services.items()}


def read_environment(engine: Engine, selector: str) -> dict[str, Running]:
    """Return what each service of an environment runs; several containers of one service count as it and others."""
    from envspin.run.environment import Environment  # noqa: PLC0415 - other targets need no environment

    return list_running(Environment.open(find_environment(engine, selector).env, engine=engine))


def list_running(environment: Environment) -> dict[str, Running]:
    """Return what each service of an environment runs."""
    engine = environment.engine
    return dict(_read_services(environment.services, engine, engine.info().platform))


def require_locked(environment: Environment, plan: Plan, *, stubbed: Collection[str] = ()) -> None:
    """Raise LockError where an environment runs something else than the lock says for what is planned.

    Services whose image was chosen for the run, or whose stub was, are as they were asked for.
    """
    lock, chosen = require_lock(plan.topology), {*plan.pins, *stubbed}
    findings = [
        each
        for each in compare_environment(lock, list_running(environment))
        if each.service in plan.services and each.service not in chosen
    ]
    if findings:
        lines = [f"{each.service}: {each.kind}, locked {each.locked}, found {each.found}" for each in findings]
        raise LockError(
            f"{environment.name} does not run what is locked",
            context=lines,
            hint="bring it up anew with `envspin up -d --locked`",
        )


def _read_services(services: Mapping[str, ServiceHandle], engine: Engine, usual: str) -> Iterator[tuple[str, Running]]:
    seen: dict[str, str] = {}  # each service's image as its first container has it
    for name, handle in services.items():
        service = handle.replica_of or name
        if handle.state in ENDED or seen.get(service) == handle.image_id:
            continue
        shown = name if service in seen else service
        seen.setdefault(service, handle.image_id)
        yield shown, _describe_running(handle, engine.find_image(handle.image_id), usual)


def _describe_running(handle: ServiceHandle, image: ImageInfo | None, usual: str) -> Running:
    known = (*image.digests, image.id) if image is not None else (handle.image_id,)
    return Running(
        image=handle.image,
        platform=normalize_platform(image.platform) if image is not None and image.platform else usual,
        ids=tuple(dict.fromkeys(each for each in (handle.digest, *known) if each)),
        content=handle.content,
    )
