"""All locked images of a topology in one file, for engines that reach no registry.

A bundle is an archive of `docker save` to which two members were added: what is in it, and the lock. So `docker load`
reads it, too.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO

from envspin.errors import LockError, UsageError
from envspin.plan.lock import LOCK_NAME
from envspin.plan.lock_text import dump_lock
from envspin.plan.pinning import compare_with_topology, list_builds
from envspin.plan.sources import ImageSource, lock_build
from envspin.run.images import ensure_image, ensure_locked
from envspin.run.locks import require_lock, suggest_locking, survey
from envspin.run.replacing import replacing
from envspin.topology.files import is_file
from envspin.topology.formats import to_image

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
MAX_MEMBERS = 200_000
"""Files in an archive: each layer of an image makes two to four."""
MAX_EXTENSION = 1024 * 1024
"""Bytes of the extended header of a file; in archives of images it holds times and sizes."""
MAX_WORD = 1024
_BLOCK = tarfile.BLOCKSIZE
_EXTENSIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_SIZE = re.compile(rb"^\d{1,9} size=(\d{1,18})$", re.MULTILINE)
_ID = re.compile(r"sha256:[0-9a-f]{64}")


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
    difference = compare_with_topology(lock, wanted)
    if difference:
        raise LockError(
            f"the lock of {topology.name} does not fit it any more",
            context=difference.splitlines(),
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
        platforms = needs[reference].list_platforms([rules.platform])
        # The engine's own first: where they are loaded, the first one that is called so gets the name.
        for platform in sorted(platforms, key=lambda each: each != rules.platform):
            yield BundledImage(reference, ensure_locked(engine, image, platform, rules, key=reference).id)
    for name, service in list_builds(topology).items():
        source = ImageSource(service.name, None, service.build, service.platform, (service.name,))
        built = ensure_image(engine, lock_build(source, lock, name), rules)
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
    try:
        with _open(path) as file:
            bundle = _read(file, path)
            file.seek(0)
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
        with _open(path) as file:
            return _read(file, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _open(path: Path) -> BinaryIO:
    if path.exists() and not is_file(path):  # to open a pipe would wait for whoever writes it
        raise UsageError(f"{path} is no regular file", hint="a bundle is read twice: store it in a file")
    return path.open("rb")


def _read(file: BinaryIO, path: Path) -> Bundle:
    try:
        return _parse(json.loads(_find_contents(file)), path)
    except (tarfile.TarError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{path} is no bundle, or not all of one", hint="`envspin bundle FILE -o shop.tar` writes one"
        ) from error


def _find_contents(file: BinaryIO) -> bytes:
    """Return the list of what is in a bundle, having seen that the archive goes on to its end.

    Only the headers are looked at, for ``tarfile`` reads extended ones (POSIX.1-2001, pax) whatever size they claim.
    """
    total, found, extended = os.fstat(file.fileno()).st_size, None, None
    for _ in range(MAX_MEMBERS):
        block = file.read(_BLOCK)
        if block == bytes(_BLOCK):
            break
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        size, begin = member.size if extended is None else extended, file.tell()
        if not 0 <= size <= total - begin:
            raise tarfile.ReadError(f"{size} bytes at {begin} of {total}")
        extended = _read_size(file, member) if member.type in _EXTENSIONS else None
        if member.name == CONTENTS_NAME:
            found = _read_content(file, member)
        file.seek(begin + -(-size // _BLOCK) * _BLOCK)
    else:
        raise tarfile.ReadError(f"more than {MAX_MEMBERS} files")
    if found is None:
        raise KeyError(CONTENTS_NAME)
    return found


def _read_size(file: BinaryIO, member: tarfile.TarInfo) -> int | None:
    """Return the size that an extended header gives to the next file: that of more than 8 GiB fits in no other."""
    if member.size > MAX_EXTENSION:
        raise tarfile.ReadError(f"an extended header of {member.size} bytes")
    sizes = _SIZE.findall(file.read(member.size)) if member.type == tarfile.XHDTYPE else []
    return int(sizes[-1]) if sizes else None


def _read_content(file: BinaryIO, member: tarfile.TarInfo) -> bytes:
    if not member.isreg() or member.size > MAX_CONTENTS:
        raise tarfile.ReadError(f"{member.name} is no small file")
    return file.read(member.size)


def _parse(document: dict[str, object], path: Path) -> Bundle:
    written = document["format"]
    if isinstance(written, int) and written > FORMAT:
        raise UsageError(f"{path} was written by a later envspin", hint="upgrade envspin")
    images = document["images"]
    if written != FORMAT or not isinstance(images, list):
        raise ValueError(document)
    found = tuple(_parse_image(each) for each in images)
    return Bundle(_to_word(document["topology"]), _to_word(document["platform"]), found)


def _parse_image(document: dict[str, object]) -> BundledImage:
    name, found = to_image(_to_word(document["name"])), _to_word(document["id"])
    if not _ID.fullmatch(found):  # a name in its place would be looked up, whatever has that here
        raise ValueError(found)
    return BundledImage(name, found, bool(document["built"]))


def _to_word(text: object) -> str:
    """Return what may be printed of a file that came from elsewhere."""
    if not isinstance(text, str) or not text.isprintable() or len(text) > MAX_WORD:
        raise TypeError(text)
    return text
