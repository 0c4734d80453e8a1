"""Having an image: looked up, pulled with progress, or built once for each content of its context."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from envspin.engine.base import BuildRequest
from envspin.errors import ImageError, LockError
from envspin.reference import Reference, list_fitting_platforms, normalize_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from envspin.engine.base import Engine, ImageInfo
    from envspin.model import Build
    from envspin.plan.lock import LockedImage
    from envspin.plan.sources import ImageSource

PullPolicy = Literal["missing", "always", "never"]
HASH_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class ImageRules:
    """What holds for all images of one run."""

    topology: str
    """The topology's name."""
    lock: Path
    """Where its lock is, or would be."""
    policy: PullPolicy
    platform: str
    """The engine's own, for what says none."""
    on_progress: Callable[[str, Literal["pull", "build"], str, float | None], None]
    """Takes the key of an image, what is done, a short status and the fraction done."""
    is_cancelled: Callable[[], bool]


def ensure_image(engine: Engine, source: ImageSource, rules: ImageRules) -> ImageInfo:
    """Return the image of a source, fetching or building it where the engine does not hold it.

    A locked one is asked for by its digest, and what the engine then holds is verified. Raises ImageError where it
    cannot be had, LockError where it is not the locked one, Interrupted soon after ``rules.is_cancelled`` turns true.
    """
    if source.build is not None:
        return _ensure_built(engine, source, rules)
    if source.locked is not None:
        return ensure_locked(engine, source.locked, source.find_platform(rules.platform), rules, key=source.key)
    reference = str(source.reference)
    found = engine.find_image(reference) if rules.policy != "always" else None
    if found is not None and _fits(found, source.platform):
        return found
    if rules.policy == "never":
        raise _missing(reference)
    return _pull(engine, reference, source.platform, rules, source.key)


def _missing(reference: str) -> ImageError:
    return ImageError(f"image {reference} is not in the engine's store", hint="run without `--pull never` once")


def _pull(engine: Engine, reference: str, platform: str | None, rules: ImageRules, key: str) -> ImageInfo:
    return engine.pull(
        reference,
        platform=platform,
        on_progress=lambda status, fraction: rules.on_progress(key, "pull", status, fraction),
        is_cancelled=rules.is_cancelled,
    )


def _fits(image: ImageInfo, platform: str | None) -> bool:
    return platform is None or image.platform in {platform, ""} or platform.startswith(f"{image.platform}/")


def ensure_locked(engine: Engine, locked: LockedImage, platform: str, rules: ImageRules, *, key: str) -> ImageInfo:
    """Return the image that a lock names for a platform, pulling exactly that where the engine does not hold it.

    No tag is resolved. Raises LockError where the lock has none for this platform, or the engine got another.
    """
    manifest = locked.find_manifest(platform)
    if manifest is None:
        raise LockError(
            f"{locked.reference} is not locked for {platform}", hint=f"`envspin lock --platform {platform}`"
        )
    found = find_locked(engine, locked, platform) if rules.policy != "always" or manifest.digest is None else None
    if found is None:
        if manifest.digest is None:
            raise LockError(
                f"{locked.reference} was locked as this engine's own image {manifest.config}, which is not there",
                hint="build or load it again, then `envspin lock --local --upgrade`; or push it to a registry",
            )
        exact = str(Reference.parse(locked.reference).at(manifest.digest))
        if rules.policy == "never":
            raise _missing(f"{locked.reference}, locked as {exact},")
        found = _pull_locked(engine, locked, exact, rules, key)
        _verify(found, locked, platform)
    return replace(found, name=found.name or locked.reference, digest=manifest.digest)


def _pull_locked(engine: Engine, locked: LockedImage, exact: str, rules: ImageRules, key: str) -> ImageInfo:
    try:
        return _pull(engine, exact, None, rules, key)
    except ImageError as error:
        raise ImageError(
            f"the locked image of {locked.reference} cannot be had",
            context=(error.message, *error.context),
            hint="if its registry has deleted it, `envspin lock --upgrade SERVICE` locks what the tag leads to now"
            + (f"; else: {error.hint}" if error.hint else ""),
        ) from error


def find_locked(engine: Engine, locked: LockedImage, platform: str) -> ImageInfo | None:
    """Return the locked image where the engine holds it under any of its names; None where it does not.

    Engines with the classic store call an image by the digest of its configuration, those with containerd's by that
    of its manifest or index; a pull by digest, and a loaded bundle, leave no tag.
    """
    manifest = locked.find_manifest(platform)
    if manifest is None:
        return None
    name = Reference.parse(locked.reference).name
    digests = [each for each in (manifest.digest, locked.digest) if each is not None]
    for candidate in [*(f"{name}@{digest}" for digest in digests), manifest.config, *digests]:
        found = engine.find_image(candidate)
        if found is not None and found.id in locked.list_ids(platform) and _runs_on(found, platform):
            return found
    return None


def _runs_on(image: ImageInfo, platform: str) -> bool:
    """Tell whether an image may be of this platform; engines that do not say the variant are believed."""
    said = normalize_platform(image.platform) if image.platform else platform
    return any(each == said or each.startswith(f"{said}/") for each in list_fitting_platforms(platform))


def _verify(image: ImageInfo, locked: LockedImage, platform: str) -> None:
    if image.id not in locked.list_ids(platform):
        expected = sorted(locked.list_ids(platform))
        raise LockError(
            f"the engine holds another image than the lock names for {locked.reference}",
            context=(f"the engine's id: {image.id}", *(f"locked: {each}" for each in expected)),
            hint="the lock may have been edited by hand: `envspin lock --upgrade` writes it anew",
        )


def _ensure_built(engine: Engine, source: ImageSource, rules: ImageRules) -> ImageInfo:
    bases = {
        base: ensure_locked(engine, locked, source.find_base_platform(base, rules.platform), rules, key=source.key).id
        for base, locked in source.bases.items()
    }
    from envspin.engine.docker.context import hash_build, list_bases  # noqa: PLC0415 - the SDK is slow to import

    hashed = hash_build(make_build_request(source, rules, "unhashed", bases=bases), engine.find_image)
    content = f"sha256:{hashed.content}"
    request = make_build_request(source, rules, hashed.whole[:HASH_CHARACTERS], bases=bases)
    found = engine.find_image(request.tag) if not request.no_cache else None
    if found is not None:
        return replace(found, name=request.tag, content=content)  # equal builds share an image, which has a tag of each
    if rules.policy == "never":
        request = replace(request, pull=False)
        for base in list_bases(request):
            if base not in bases and engine.find_image(base) is None:
                raise _missing(f"{base}, which {source.key} is built on,")
    built = engine.build(
        request,
        on_progress=lambda status, fraction: rules.on_progress(source.key, "build", status, fraction),
        is_cancelled=rules.is_cancelled,
    )
    return replace(built, name=request.tag, content=content)


def make_build_request(
    source: ImageSource, rules: ImageRules, content: str, *, bases: Mapping[str, str] | None = None
) -> BuildRequest:
    """Describe the build of a source; its tag names the hash of what goes in, so equal contexts share an image.

    Of several ``platforms`` the engine takes its own, as with ``docker compose up``.
    """
    if source.build is None:
        raise ValueError(f"{source.key} is pulled, not built")
    name = re.sub(r"[^a-z0-9]+", "-", f"{rules.topology}-{source.key}".lower()).strip("-")
    request = describe_build(source.build, source.platform, lock=rules.lock, tag=f"envspin-build/{name}:{content}")
    return replace(request, bases=bases or {})


def describe_build(build: Build, platform: str | None, *, lock: Path, tag: str = "") -> BuildRequest:
    """Return what a `build` section asks of an engine; ``lock`` is where its topology's lock is, or would be."""
    return BuildRequest(
        tag=tag,
        context=build.context,
        dockerfile=build.dockerfile,
        dockerfile_inline=build.dockerfile_inline,
        args=build.args,
        target=build.target,
        labels=build.labels,
        network=build.network,
        extra_hosts=build.extra_hosts,
        platform=platform or build.only_platform,
        no_cache=build.no_cache,
        pull=build.pull,
        shm_size=build.shm_size,
        own_lock=lock,
    )
