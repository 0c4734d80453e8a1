"""Locking a topology: what it needs, asked of registries (or of the engine) all at once, and written."""

from __future__ import annotations

import platform as host_platform
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from envspin.engine.base import RegistrySettings
from envspin.errors import EnvspinError, LockError, PlatformMissingError, RegistryError
from envspin.plan.lock import LockedImage, Manifest
from envspin.plan.pinning import list_questions, make_lock
from envspin.reference import Reference, list_fitting_platforms, normalize_platform
from envspin.registry import RegistryClient
from envspin.run.locks import check_file, find_lock, hold_lock_file, read_lock, survey, write_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from envspin.engine.base import Engine, ImageInfo
    from envspin.model import Topology
    from envspin.plan.lock import Lock
    from envspin.plan.pinning import Question


QUESTIONS_AT_ONCE = 8

Question_ = TypeVar("Question_")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Locking:
    """What a call of `lock` did."""

    path: Path
    before: Lock | None
    after: Lock
    changed: bool
    """Whether the file was written."""
    asked: int
    """How many images were asked for."""


def lock_topology(
    topology: Topology,
    *,
    engine: Engine | None,
    platforms: Iterable[str] = (),
    upgrade: Collection[str] = (),
    local: bool = False,
    on_ask: Callable[[int], None] = lambda _count: None,
) -> Locking:
    """Bring a topology's lock up to date and return what that changed.

    What still fits stays as it is, but for the images of the services in ``upgrade``. Images are locked for the
    platforms that the lock names already and for those of ``platforms``. A new lock is for the engine's own, too (this
    machine's where there is no engine), which an image may lack if ``platforms`` names others. With ``local``, an image
    that the engine holds and no registry has is locked by its id. ``on_ask`` is told how many images are asked for.

    Raises RegistryError where images cannot be resolved, with all of them; LockError where the lock cannot be read or
    written. In either case the old lock is unchanged.
    """
    with hold_lock_file(topology):
        wanted, before = survey(topology), read_lock(topology)
        check_file(topology, before)
        needed = {*map(normalize_platform, platforms), *(before.platforms if before is not None else ())}
        own = None if before is not None and before.platforms else _find_own_platform(engine)
        asked = {*needed, *([own] if own is not None else [])}
        questions = list_questions(wanted, before, asked, upgrade=upgrade)
        if questions:
            on_ask(len(questions))
        spare = own if needed and own not in needed else None
        answers = ask(questions, engine, local=local, spare=spare) if questions else []
        if any(wanted.images[each.reference].usual and not each.find_manifest(own or "") for each in answers if spare):
            asked = needed
        after = make_lock(wanted, before, asked, {each.reference: each for each in answers})
        path = find_lock(topology)
        return Locking(path, before, after, write_lock(path, after), len(questions))


def _find_own_platform(engine: Engine | None) -> str:
    return engine.info().platform if engine is not None else name_own_platform()


def name_own_platform() -> str:
    """Return the platform whose containers this machine would run: Linux on its own architecture."""
    return normalize_platform(f"linux/{host_platform.machine()}")


def open_registries(engine: Engine | None) -> RegistryClient:
    """Return a client that goes where the engine would go: to its mirrors, and without TLS where it allows that."""
    settings = engine.registry_settings() if engine is not None else RegistrySettings()
    return RegistryClient(mirrors=settings.mirrors, insecure=settings.insecure)


def ask(
    questions: Sequence[Question], engine: Engine | None, *, local: bool, spare: str | None = None
) -> list[LockedImage]:
    """Return the answers to all questions, several asked at once; ``spare`` is a platform that an image may lack.

    Raises RegistryError (LockError for an image that only an engine can have) with everything that failed.
    """
    client = open_registries(engine)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def answer(question: Question) -> LockedImage:
        needed = [each for each in question.platforms if each != spare or each in question.fixed]
        try:
            return _ask_registry(question, client, now, needed)
        except RegistryError as error:
            held = engine.find_image(question.reference) if engine is not None else None
            # What came from this repository has a digest of it; containerd's store gives what was built one: its id.
            if held is not None and held.digest in {None, held.id}:
                if local:
                    return _lock_held(question, held, now, needed)
                error.hint = f"{error.hint or ''}; or lock what this engine holds of that name: `--local`".lstrip("; ")
            error.context += (f"needed by: {', '.join(question.users)}",)
            raise

    try:
        return run_all(answer, questions, "images cannot be resolved")
    finally:
        client.close()


def run_all(work: Callable[[Question_], Answer], questions: Iterable[Question_], failed: str) -> list[Answer]:
    """Return what ``work`` makes of each question, several at once; raise one error for all that failed.

    ``failed`` completes "3 ..." in its message.
    """
    pool = ThreadPoolExecutor(QUESTIONS_AT_ONCE, thread_name_prefix="envspin-registry")
    try:
        futures = [pool.submit(work, question) for question in questions]
        wait(futures)
    finally:  # after an interruption nobody waits: whoever called closes what the workers wait for
        pool.shutdown(wait=False, cancel_futures=True)
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, EnvspinError) or len(errors) == 1:
            raise error
    if errors:
        told = [error for error in errors if isinstance(error, EnvspinError)]
        lines = [line for error in told for line in (error.message, *(f"  {each}" for each in error.context))]
        hints = list(dict.fromkeys(part for error in told if error.hint for part in error.hint.split("; ")))
        kind = RegistryError if any(isinstance(error, RegistryError) for error in told) else LockError
        raise kind(f"{len(told)} {failed}", context=lines, hint="; ".join(hints) or None)
    return [future.result() for future in futures]


def _ask_registry(question: Question, client: RegistryClient, now: str, needed: Sequence[str]) -> LockedImage:
    reference = Reference.parse(question.reference)
    if question.digest is not None:
        reference = reference.at(question.digest)
    try:
        found = client.resolve(reference, question.platforms)
    except PlatformMissingError:
        if len(needed) == len(question.platforms) or not needed:
            raise
        found = client.resolve(reference, needed)
    return LockedImage(question.reference, found.digest, now, dict(found.manifests))


def _lock_held(question: Question, image: ImageInfo, now: str, needed: Sequence[str]) -> LockedImage:
    """Lock an image that only the engine has, by its id; raise LockError where that is not for all platforms."""
    platform = normalize_platform(image.platform)
    missing = [each for each in needed if platform not in list_fitting_platforms(each)]
    if missing:
        raise LockError(
            f"{question.reference} is this engine's own image for {platform}, and not there for {', '.join(missing)}",
            hint="push it to a registry for all platforms, or lock it for this one only",
        )
    return LockedImage(question.reference, None, now, {platform: Manifest(None, image.id, image.size)})
