"""All locked images of a topology in one file, for engines that reach no registry.

A bundle is an archive of `docker save` to which two members were added: what is in it, and the lock. So `docker load`
reads it, too.
"""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from envspin.errors import LockError, UsageError
from envspin.plan.lock import LOCK_NAME
from envspin.plan.lock_text import dump_lock
from envspin.plan.pinning import compare_with_topology, list_builds
from envspin.plan.sources import ImageSource
from envspin.run.images import ensure_image, ensure_locked
from envspin.run.locks import require_lock, suggest_locking, survey
from envspin.run.replacing import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from envspin.engine.base import Engine
    from envspin.model import Topology
    from envspin.plan.lock import Lock
    from envspin.plan.pinning import Need
    from envspin.run.images import ImageRules

CONTENTS_NAME = "envspin-bundle.json"
FORMAT = 1
MAX_CONTENTS = 4 * 1024 * 1024
"""Bytes of the list of what is in a bundle: far more than any topology needs."""


@dataclass(frozen=True, slots=True)
class BundledImage:
    """An image in a bundle."""

    name: str
    """Its reference as the topology writes it; for a build the tag that `up` looks for."""
    id: str
    """What the engine that it came from calls it."""
    built: bool = False


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is in a bundle."""

    topology: str
    platform: str
    images: tuple[BundledImage, ...]


def save_bundle(engine: Engine, topology: Topology, output: Path, rules: ImageRules) -> Bundle:
    """Save every image of a topology's lock to ``output``, pulling and building what the engine does not hold.

    Raises LockError where the lock is missing or does not fit the topology, ImageError where an image cannot be had,
    UsageError where the file cannot be written; what stood there before is unchanged then.
    """
    lock, wanted = require_lock(topology), survey(topology)
    if compare_with_topology(lock, wanted):
        raise LockError(
            f"the lock of {topology.name} does not fit it any more",
            hint=f"`{suggest_locking(topology)}` brings it up to date",
        )
    images = tuple(_gather(engine, topology, lock, wanted.images, rules))
    bundle = Bundle(lock.topology, rules.platform, images)
    try:
        _write(engine, bundle, lock, output)
    except OSError as error:
        raise UsageError(
            f"{output} cannot be written: {error.strerror}", hint="choose another --output, or make room"
        ) from error
    return bundle


def _gather(
    engine: Engine, topology: Topology, lock: Lock, needs: Mapping[str, Need], rules: ImageRules
) -> Iterator[BundledImage]:
    for reference, image in lock.images.items():
        for platform in needs[reference].list_platforms([rules.platform]):
            yield BundledImage(reference, ensure_locked(engine, image, platform, rules, key=reference).id)
    for name, service in list_builds(topology).items():
        bases = {base: lock.images[base] for base in lock.builds[name].bases}
        key, users = service.name, (service.name,)
        source = ImageSource(key, None, service.build, service.platform, users, lock_name=name, bases=bases)
        built = ensure_image(engine, source, rules)
        yield BundledImage(built.name, built.id, built=True)


def _write(engine: Engine, bundle: Bundle, lock: Lock, output: Path) -> None:
    # By id, because loading an image by its tag would take that from whatever has it there; ours for builds are unique.
    names = [each.name if each.built else each.id for each in bundle.images]
    with replacing(output) as file:
        engine.save_images(list(dict.fromkeys(names)), file.write)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="a") as tar:
            _add(tar, CONTENTS_NAME, json.dumps({"format": FORMAT, **asdict(bundle)}, indent=2).encode())
            _add(tar, LOCK_NAME, dump_lock(lock).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


def load_bundle(engine: Engine, path: Path) -> Bundle:
    """Bring all images of a bundle into an engine, and see that they are there as they were saved.

    An image gets its name where no other has that. Raises UsageError for a file that is no bundle, ImageError where
    the engine does not take it, LockError where it holds another image than was saved.
    """
    bundle = read_bundle(path)
    try:
        with path.open("rb") as file:
            engine.load_images(file)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    for image in bundle.images:
        found = engine.find_image(image.id)
        if found is None:
            raise LockError(
                f"{path} was loaded, but the engine does not hold {image.name} as {image.id}",
                hint="a bundle goes from one engine to another with the same kind of image store; or it was damaged",
            )
        if "@" not in image.name and engine.find_image(image.name) is None:
            engine.tag_image(found.id, image.name)
    return bundle


def read_bundle(path: Path) -> Bundle:
    """Return what is in a bundle; raise UsageError for a file that is none."""
    try:
        with tarfile.open(path, "r:") as tar:
            member = tar.getmember(CONTENTS_NAME)
            file = tar.extractfile(member) if member.isreg() else None
            return _parse(json.loads(file.read(MAX_CONTENTS) if file is not None else b""), path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (tarfile.TarError, KeyError, ValueError, TypeError, RecursionError, EOFError) as error:
        raise UsageError(
            f"{path} is no bundle, or not all of one", hint="`envspin bundle FILE -o shop.tar` writes one"
        ) from error


def _parse(document: dict[str, object], path: Path) -> Bundle:
    if document["format"] != FORMAT:
        raise UsageError(f"{path} was written by a later envspin", hint="upgrade envspin")
    images = document["images"]
    if not isinstance(images, list):
        raise TypeError(images)
    found = tuple(BundledImage(_to_word(each["name"]), _to_word(each["id"]), bool(each["built"])) for each in images)
    return Bundle(_to_word(document["topology"]), _to_word(document["platform"]), found)


def _to_word(text: object) -> str:
    """Return what may be printed of a file that came from elsewhere."""
    if not isinstance(text, str) or not text.isprintable():
        raise TypeError(text)
    return text
