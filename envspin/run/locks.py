"""A topology's lock as a file: read, held against what the topology needs now, and written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.errors import ImageError, LockError, TopologyError
from envspin.plan.lock import LOCK_NAME, LockedBuild
from envspin.plan.lock_text import dump_lock, parse_lock
from envspin.plan.pinning import collect_wanted, list_builds, list_variable_axes
from envspin.plan.planning import make_plan
from envspin.problems import Problem
from envspin.reference import normalize_platform
from envspin.run.images import describe_build
from envspin.run.preflight import check_builds
from envspin.run.record import state_directory
from envspin.run.replacing import replacing
from envspin.topology import load_topology
from envspin.topology.files import COMPOSE_FILE_NAMES, MAX_FILE_BYTES, display_name, is_file
from envspin.topology.formats import to_image, to_platform

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from envspin.model import Service, Topology
    from envspin.plan.lock import Lock
    from envspin.plan.pinning import Wanted
    from envspin.plan.planning import Plan
    from envspin.plan.selection import Selection

WAIT_SECONDS = 60.0
"""How long a second `lock` of a topology waits for the first."""


def find_lock(topology: Topology) -> Path:
    """Return where a topology's lock is, or would be: beside its first file."""
    return (topology.files[0].parent if topology.files else topology.directory) / LOCK_NAME


def read_lock(topology: Topology) -> Lock | None:
    """Return a topology's lock; None where there is none. Raises LockError for one that cannot be read."""
    path = find_lock(topology)
    name = display_name(path)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1).decode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LockError(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise LockError(f"{name} is not UTF-8 text", hint="restore it from version control") from error
    return parse_lock(text, name)


def require_lock(topology: Topology) -> Lock:
    """Return a topology's lock; raise LockError where there is none."""
    lock = read_lock(topology)
    if lock is None:
        name = display_name(find_lock(topology))
        raise LockError(f"there is no {name}", hint=f"`{suggest_locking(topology)}` writes it; commit it")
    return lock


def suggest_locking(topology: Topology) -> str:
    """Return the command that locks a topology."""
    if not topology.files:
        return "envspin lock"
    file = topology.files[0]
    return f"envspin lock {display_name(file.parent if file.name in COMPOSE_FILE_NAMES else file)}"


def check_file(topology: Topology, lock: Lock | None) -> None:
    """Raise LockError where a lock was made from another Compose file of the same folder, which is still there."""
    if lock is None or not lock.file or not topology.files or lock.file == topology.files[0].name:
        return
    path = find_lock(topology)
    if is_file(path.with_name(lock.file)):
        raise LockError(
            f"{display_name(path)} is the lock of {lock.file}, not of {topology.files[0].name}",
            hint="a folder has one lock: give each of the two topologies a folder of its own",
        )


@contextmanager
def hold_lock_file(topology: Topology) -> Iterator[None]:
    """Keep other processes of this user from locking this topology meanwhile.

    What is held is a file in envspin's own folder, so that nothing is left beside the lock. Raises LockError after
    ``WAIT_SECONDS``.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - only `lock` needs it

    path = find_lock(topology)
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:16]
    holder = FileLock(state_directory() / "locking" / f"{name}.lock", timeout=WAIT_SECONDS)
    try:
        Path(holder.lock_file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        holder.acquire()
    except Timeout:
        raise LockError(
            f"another process has been locking {display_name(path)} for {WAIT_SECONDS:g} s",
            hint="wait for it, or end it",
        ) from None
    except OSError as error:
        raise LockError(
            f"{holder.lock_file}, which keeps others from locking meanwhile, cannot be made: {error.strerror}",
            hint="check the permissions of its folder, or name another one in ENVSPIN_STATE_DIR",
        ) from error
    try:
        yield
    finally:
        holder.release()


def write_lock(path: Path, lock: Lock) -> bool:
    """Write a lock and tell whether that changed it; whoever reads meanwhile sees the old one or the new one.

    Raises LockError where it cannot be written; the old one is left as it was.
    """
    text = dump_lock(lock).encode()
    try:
        with suppress(FileNotFoundError):
            if path.read_bytes() == text:
                return False
        with replacing(path) as file:
            file.write(text)
    except OSError as error:
        raise LockError(
            f"{display_name(path)} cannot be written: {error.strerror}",
            context=("what was there before is unchanged",),
            hint="make room on the disk, or check the permissions of the folder",
        ) from error
    return True


def describe_builds(topology: Topology, only: Container[str] | None = None) -> dict[str, LockedBuild]:
    """Return what the builds of a topology (all, or those named) are made of now, by their names in the lock.

    Raises TopologyError where a folder or Dockerfile is missing.
    """
    builds = {name: each for name, each in list_builds(topology).items() if only is None or name in only}
    check_builds(builds.values())
    known: dict[str, LockedBuild] = {}
    return {name: _describe_once(service, find_lock(topology), known) for name, service in builds.items()}


def look_at_builds(topology: Topology) -> dict[str, LockedBuild | None]:
    """Return what each build is made of now, None where its folder or Dockerfile is gone or cannot be read."""
    found: dict[str, LockedBuild | None] = {}
    known: dict[str, LockedBuild] = {}
    for name, service in list_builds(topology).items():
        found[name] = None
        with suppress(TopologyError, ImageError):
            check_builds([service])
            found[name] = _describe_once(service, find_lock(topology), known)
    return found


def _describe_once(service: Service, lock: Path, known: dict[str, LockedBuild]) -> LockedBuild:
    """Describe a build unless ``known`` has it: services often share one, and a context may be large."""
    identity = f"{service.build} {service.platform}"
    if identity not in known:
        known[identity] = _describe(service, lock)
    return known[identity]


def _describe(service: Service, lock: Path) -> LockedBuild:
    from envspin.engine.docker.context import hash_content, list_base_platforms, list_bases  # noqa: PLC0415 - the SDK is slow to import

    if service.build is None:
        raise ValueError(f"{service.name} is not built")
    request = describe_build(service.build, service.platform, lock=lock)
    bases = tuple(sorted(list_bases(request)))
    for base in bases:
        try:
            to_image(base)
        except ValueError:
            name = ascii(base)[1:-1]
            message = f"`build` of `{service.name}`: the Dockerfile takes `{name}`, which is no image"
            hint = "an argument in `FROM` without a value? Give it a default, or a value under `build.args`"
            raise TopologyError([Problem("bad-value", message, service.mark, hint=hint)]) from None
    platforms = list_base_platforms(request)
    for platform in platforms.values():
        try:
            to_platform(platform)
        except ValueError as error:
            message = f"`build` of `{service.name}`: the platform `{ascii(platform)[1:-1]}` of a `FROM` {error}"
            raise TopologyError([Problem("bad-value", message, service.mark)]) from None
    return LockedBuild(f"sha256:{hash_content(request)}", bases, platforms)


def survey(topology: Topology) -> Wanted:
    """Return what the topology needs locked now; raise TopologyError where a build's folder is missing."""
    return collect_wanted(topology, describe_builds(topology), load_variants(topology))


def load_variants(topology: Topology) -> list[Topology]:
    """Return the topology as its matrix would load it, with each combination of values of variables."""
    origin = topology.origin
    if origin is None:
        return []
    return [
        load_topology(origin.paths, environ={**origin.environ, **values}, env_files=origin.env_files, allow_unsafe=True)
        for values in list_variable_axes(topology)
    ]


def make_locked_plan(topology: Topology, selection: Selection | None = None, *, locked: bool = False) -> Plan:
    """Plan a topology with its images as its lock says, where there is one.

    Raises what ``make_plan`` raises, LockError for a lock that cannot be read and, with ``locked``, where it is missing
    or does not hold what is to run.
    """
    lock = require_lock(topology) if locked else read_lock(topology)
    plan = make_plan(topology, selection, lock)
    if locked and lock is not None:
        check_locked(plan, lock)
    return plan


def warn_of_unlocked(plan: Plan) -> Iterator[Problem]:
    """Yield a warning for each image that the lock should hold and does not, unless it was chosen for this run."""
    for key in plan.unlocked:
        source = plan.images[key]
        if plan.pins.keys() & set(source.services):
            continue
        first = plan.topology.services[source.services[0]]
        what = "what it builds on is" if source.build is not None else f"`{key}` is"
        message = f"`{_join(source.services)}`: {what} not in {LOCK_NAME}, and may be another tomorrow"
        yield Problem(
            "not-locked", message, first.mark, hint=f"`{suggest_locking(plan.topology)}` adds it", severity="warning"
        )


def check_platform(plan: Plan, platform: str) -> None:
    """Raise LockError where the lock holds an image, but not for the platform that it is to run on."""
    lines = {}
    for source in plan.images.values():
        uses = [(image, source.find_base_platform(base, platform)) for base, image in source.bases.items()]
        uses += [(source.locked, source.find_platform(platform))] if source.locked is not None else []
        for image, wanted in uses:
            if image.find_manifest(wanted) is None:
                told = f"{_join(source.services)}: {image.reference} is locked for {_join(image.platforms)}"
                lines[told] = normalize_platform(wanted)
    if lines:
        missing = dict.fromkeys(lines.values())
        options = "".join(f" --platform {each}" for each in missing)
        raise LockError(
            f"{display_name(find_lock(plan.topology))} holds no image for {_join(missing)}",
            context=tuple(lines),
            hint=f"`{suggest_locking(plan.topology)}{options}` adds it and moves no other pin",
        )


def check_locked(plan: Plan, lock: Lock) -> None:
    """Raise LockError unless the lock holds every image of a plan, and every build is what it was."""
    lines = [f"{_join(plan.images[key].services)}: {key} is not locked" for key in plan.unlocked]
    lines += _check_contents(plan, lock)
    chosen = plan.pins.keys() & {name for key in plan.unlocked for name in plan.images[key].services}
    if not lines:
        return
    lock_it = f"`{suggest_locking(plan.topology)}` (with the same -f and --env-file, if any)"
    hint = f"{lock_it} brings it up to date; commit what that changes"
    if chosen:
        hint = (
            f"set {_join(sorted(chosen))} to an image with a digest, or to one that `x-envspin.matrix` lists and locks"
        )
    what = "does not hold all that is to run" if chosen else "does not fit the topology any more"
    raise LockError(f"{display_name(find_lock(plan.topology))} {what}", context=lines, hint=hint)


def _check_contents(plan: Plan, lock: Lock) -> Iterator[str]:
    built = {source.lock_name: source for source in plan.images.values() if source.lock_name in lock.builds}
    contents = describe_builds(plan.topology, built)
    for name, source in built.items():
        if lock.builds[name] != contents[name]:
            yield f"{_join(source.services)}: what it is built from has changed since it was locked"


def _join(names: Iterable[str]) -> str:
    return ", ".join(names)
