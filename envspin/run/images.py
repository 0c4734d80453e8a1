"""Having an image: looked up, pulled with progress, or built once for each content of its context."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from envspin.engine.base import BuildRequest
from envspin.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from envspin.engine.base import Engine, ImageInfo
    from envspin.plan.planning import ImageSource

PullPolicy = Literal["missing", "always", "never"]
HASH_CHARACTERS = 16


def ensure_image(
    engine: Engine,
    source: ImageSource,
    *,
    topology: str,
    policy: PullPolicy,
    on_progress: Callable[[Literal["pull", "build"], str, float | None], None],
    is_cancelled: Callable[[], bool],
) -> ImageInfo:
    """Return the image of a source, fetching or building it where the engine does not hold it.

    Raises ImageError where it cannot be had, Interrupted soon after ``is_cancelled`` turns true.
    """
    if source.build is not None:
        return _ensure_built(engine, source, topology, on_progress, is_cancelled)
    reference = str(source.reference)
    found = engine.find_image(reference) if policy != "always" else None
    if found is not None and _fits(found, source.platform):
        return found
    if policy == "never":
        raise ImageError(f"image {reference} is not in the engine's store", hint="run without `--pull never` once")
    return engine.pull(
        reference,
        platform=source.platform,
        on_progress=lambda status, fraction: on_progress("pull", status, fraction),
        is_cancelled=is_cancelled,
    )


def _fits(image: ImageInfo, platform: str | None) -> bool:
    return platform is None or image.platform in {platform, ""} or platform.startswith(f"{image.platform}/")


def _ensure_built(
    engine: Engine,
    source: ImageSource,
    topology: str,
    on_progress: Callable[[Literal["pull", "build"], str, float | None], None],
    is_cancelled: Callable[[], bool],
) -> ImageInfo:
    request = make_build_request(source, topology, "unhashed")
    content = engine.hash_build(request)[:HASH_CHARACTERS]
    request = make_build_request(source, topology, content)
    found = engine.find_image(request.tag) if not request.no_cache else None
    if found is not None:
        return found
    return engine.build(
        request,
        on_progress=lambda status, fraction: on_progress("build", status, fraction),
        is_cancelled=is_cancelled,
    )


def make_build_request(source: ImageSource, topology: str, content: str) -> BuildRequest:
    """Describe the build of a source; its tag names the hash of what goes in, so equal contexts share an image.

    Of several ``platforms`` the engine takes its own, as with ``docker compose up``.
    """
    build = source.build
    if build is None:
        raise ValueError(f"{source.key} is pulled, not built")
    name = re.sub(r"[^a-z0-9]+", "-", f"{topology}-{source.key}".lower()).strip("-")
    return BuildRequest(
        tag=f"envspin-build/{name}:{content}",
        context=build.context,
        dockerfile=build.dockerfile,
        dockerfile_inline=build.dockerfile_inline,
        args=build.args,
        target=build.target,
        labels=build.labels,
        network=build.network,
        extra_hosts=build.extra_hosts,
        platform=source.platform or (build.platforms[0] if len(build.platforms) == 1 else None),
        no_cache=build.no_cache,
        pull=build.pull,
        shm_size=build.shm_size,
    )
