"""The text of a lock: sorted YAML in which one change is one line, and back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.errors import LockError, TopologyError
from envspin.plan.lock import LOCK_VERSION, Lock, LockedBuild, LockedImage, Manifest, is_stub
from envspin.reference import normalize_platform
from envspin.topology.formats import to_image, to_platform
from envspin.topology.nodes import Document, Mapping
from envspin.topology.reader import Reader
from envspin.topology.report import Report
from envspin.topology.source import dump_yaml, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from envspin.topology.nodes import Entry, Node

    Value = TypeVar("Value")

HEADING = """\
# What the images of this topology were when they were locked: tags move, these digests do not.
# Written by `envspin lock`, to be committed; `envspin lock --upgrade` asks the registries again.
"""
REMEDY = "restore it from version control, or remove it and run `envspin lock` again"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_NUMBER = re.compile("[0-9]{1,18}")
_SIGNATURE = re.compile(r"(?m)^version: \d+\s+^topology:$")
_CONFLICT = re.compile(r"(?m)^(?:<{7}|>{7}) ")
_PARTS = ("version", "topology", "platforms", "services", "images", "builds")


def dump_lock(lock: Lock) -> str:
    """Return the text of a lock."""
    document = {
        "version": LOCK_VERSION,
        "topology": {"name": lock.topology, **({"file": lock.file} if lock.file else {}), "hash": lock.hash},
        "platforms": sorted(lock.platforms),
        "services": {name: image for name, image in sorted(lock.services.items()) if image is not None},
        "images": {reference: _describe_image(image) for reference, image in sorted(lock.images.items())},
        "builds": {name: _describe_build(build) for name, build in sorted(lock.builds.items())},
    }
    return HEADING + dump_yaml({key: value for key, value in document.items() if value})


def _describe_image(image: LockedImage) -> dict[str, object]:
    return {
        **({"digest": image.digest} if image.digest is not None else {}),
        "resolved": image.resolved,
        "platforms": {name: _describe_manifest(each) for name, each in sorted(image.platforms.items())},
    }


def _describe_build(build: LockedBuild) -> dict[str, object]:
    platforms = {"platforms": dict(sorted(build.platforms.items()))} if build.platforms else {}
    return {"content": build.content, "bases": sorted(build.bases), **platforms}


def _describe_manifest(manifest: Manifest) -> dict[str, object]:
    digest = {"digest": manifest.digest} if manifest.digest is not None else {}
    return {**digest, "config": manifest.config, "size": manifest.size}


def looks_like_lock(text: str) -> bool:
    """Tell whether a text is meant to be a lock, whatever its file is called."""
    return bool(_SIGNATURE.search(text))


def parse_lock(text: str, name: str) -> Lock:
    """Read the text of a lock; ``name`` is what messages call its file.

    Raises LockError with every line that no envspin wrote, or when a newer one wrote it.
    """
    conflict = _CONFLICT.search(text)
    if conflict is not None:
        line = text.count("\n", 0, conflict.start()) + 1
        raise LockError(
            f"{name}:{line}: here is a merge conflict that was not resolved",
            hint="take either side as it is, then `envspin lock` puts in what the topology needs beyond that",
        )
    report = Report()
    reader = Reader(report, directory=Path())
    try:
        parsed = parse_yaml(Document(name, text, Path()), report)
        report.raise_if_failed()
        if len(parsed.roots) > 1:
            reader.error("wrong-type", "a lock is one YAML document: here begins another", parsed.roots[1])
        root = reader.mapping(parsed.roots[0], "the lock") if parsed.roots else None
        report.raise_if_failed()
        if root is None:
            raise LockError(f"{name} is empty", hint=REMEDY)
        _check_version(reader, root, name)
        lock = _read_lock(reader, root)
        report.raise_if_failed()
    except TopologyError as error:
        lines = [line for problem in error.problems for line in problem.render().splitlines()]
        raise LockError(f"{name} is no lock that envspin wrote", context=lines, hint=REMEDY) from None
    return lock


def _check_version(reader: Reader, root: Mapping, name: str) -> None:
    node = root.get("version")
    version = getattr(node, "text", "")
    if _NUMBER.fullmatch(version) and int(version) > LOCK_VERSION:
        raise LockError(
            f"{name} was written by a later envspin (version {version} of the format; this one reads {LOCK_VERSION})",
            hint="upgrade envspin, or remove it and lock again with this one",
        )
    if version != str(LOCK_VERSION):
        reader.error("bad-value", f"a lock says `version: {LOCK_VERSION}`", node or root)
        reader.report.raise_if_failed()


def _read_lock(reader: Reader, root: Mapping) -> Lock:
    parts = {key: entry.value for key, entry in reader.keys(root, "", _PARTS)}
    heading = _read_all(reader, parts.get("topology"), "topology", "topology")
    images = {
        reference: _read_image(reader, reference, entry)
        for reference, entry in _each(reader, parts.get("images"), "images")
    }
    builds = {name: _read_build(reader, name, entry) for name, entry in _each(reader, parts.get("builds"), "builds")}
    services = {}
    for name, entry in _each(reader, parts.get("services"), "services"):
        services[name] = _convert(reader, entry.value, f"services.{name}", to_image)
        _check_known(reader, services[name], images, f"services.{name}", entry.value)
    for name, entry in _each(reader, parts.get("builds"), "builds"):
        for base in builds[name].bases:
            _check_known(reader, base, images, f"builds.{name}.bases", entry.key)
    platforms = parts.get("platforms")
    return Lock(
        topology=_require(reader, heading, root, "topology", "name", str),
        hash=_require(reader, heading, root, "topology", "hash", _to_digest),
        file=(reader.text(heading["file"], "topology.file") or "") if "file" in heading else "",
        services={**services, **{name: None for name in builds if not is_stub(name)}},
        images=images,
        builds=builds,
        platforms=tuple(sorted(reader.strings(platforms, "platforms") or ())) if platforms is not None else (),
    )


def _check_known(reader: Reader, reference: str, images: dict[str, LockedImage], what: str, at: Node) -> None:
    if reference is not None and reference not in images:
        reader.error("bad-value", f"`{what}` names `{reference}`, which is not among `images`", at)


def _read_image(reader: Reader, reference: str, entry: Entry) -> LockedImage:
    where = f"images.{reference}"
    reader.convert(entry.key, where, to_image)
    parts = _read_all(reader, entry.value, where, "images")
    digest = parts.get("digest")
    platforms = {}
    for name, platform in _each(reader, parts.get("platforms"), f"{where}.platforms"):
        if normalize_platform(name) != name:
            reader.error("bad-value", f"`{name}` is not a platform as registries call it", platform.key)
        platforms[name] = _read_manifest(reader, f"{where}.platforms.{name}", platform, needs_digest=digest is not None)
    if not platforms:
        reader.error("missing-key", f"`{where}` has no `platforms`", entry.key)
    return LockedImage(
        reference=reference,
        digest=None if digest is None else _convert(reader, digest, f"{where}.digest", _to_digest),
        resolved=_require(reader, parts, entry.key, where, "resolved", _to_moment),
        platforms=platforms,
    )


def _read_manifest(reader: Reader, where: str, entry: Entry, *, needs_digest: bool) -> Manifest:
    parts = _read_all(reader, entry.value, where, "platforms")
    digest = None
    if needs_digest or "digest" in parts:
        digest = _require(reader, parts, entry.key, where, "digest", _to_digest)
    config = _require(reader, parts, entry.key, where, "config", _to_digest)
    return Manifest(digest, config, _require(reader, parts, entry.key, where, "size", _to_count))


def _read_build(reader: Reader, name: str, entry: Entry) -> LockedBuild:
    where = f"builds.{name}"
    parts = _read_all(reader, entry.value, where, "builds")
    bases = parts.get("bases")
    return LockedBuild(
        content=_require(reader, parts, entry.key, where, "content", _to_digest),
        bases=tuple(sorted(reader.strings(bases, f"{where}.bases") or ())) if bases is not None else (),
        platforms={
            name: _convert(reader, platform.value, f"{where}.platforms", to_platform)
            for name, platform in _each(reader, parts.get("platforms"), f"{where}.platforms")
        },
    )


def _each(reader: Reader, node: Node | None, what: str) -> Iterator[tuple[str, Entry]]:
    mapping = reader.mapping(node, what) if node is not None else None
    yield from mapping.entries.items() if mapping else ()


_KNOWN = {
    "topology": ("name", "file", "hash"),
    "images": ("digest", "resolved", "platforms"),
    "platforms": ("digest", "config", "size"),
    "builds": ("content", "bases", "platforms"),
}


def _read_all(reader: Reader, node: Node | None, what: str, kind: str) -> dict[str, Node]:
    """Return the entries of a part whose keys are fixed; others are errors."""
    return {} if node is None else {key: entry.value for key, entry in reader.keys(node, what, _KNOWN[kind])}


def _require(
    reader: Reader, parts: dict[str, Node], at: Node, what: str, key: str, convert: Callable[[str], Value]
) -> Value:
    node = parts.get(key)
    if node is None:
        reader.error("missing-key", f"`{what}` needs `{key}`", at)
        return None  # type: ignore[return-value]  # the report has failed: nobody gets to see it
    return _convert(reader, node, f"{what}.{key}", convert)


def _convert(reader: Reader, node: Node, what: str, convert: Callable[[str], Value]) -> Value:
    return reader.convert(node, what, convert)  # type: ignore[return-value]  # None only where the report has failed


def _to_digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise ValueError("is not a digest: sha256: with 64 digits 0-9 and a-f")
    return text


def _to_moment(text: str) -> str:
    if not _MOMENT.fullmatch(text):
        raise ValueError("is not a moment such as 2026-11-23T20:50:00Z")
    return text


def _to_count(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError("is not a number of bytes")
    return int(text)
