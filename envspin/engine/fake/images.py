"""The images of the in-memory engine: those in its store, and those that a pull or build can bring."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.engine.base import ImageInfo
from envspin.engine.fake.script import FakeImage
from envspin.errors import ImageError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from envspin.engine.base import BuildRequest
    from envspin.engine.fake.world import World

    Progress = Callable[[str, float | None], None] | None
    Cancelled = Callable[[], bool] | None

_POLL = 0.02
"""Real seconds between two looks at ``is_cancelled``, which cannot wake anybody."""


class ImageStore:
    """Finds, pulls and builds; the world's condition guards the store."""

    def __init__(
        self, world: World, images: Mapping[str, FakeImage] | Sequence[str], default: FakeImage | None
    ) -> None:
        known = {name: FakeImage() for name in images} if not hasattr(images, "items") else dict(images.items())
        self._world = world
        self._default = default
        self._registry: dict[str, FakeImage] = {normalise(name): image for name, image in known.items()}
        self._store = {name: image for name, image in self._registry.items() if image.stored}

    def find(self, reference: str) -> tuple[str, FakeImage] | None:
        """Look in the store by name, digest or image id; return the image's name with it."""
        with self._world.changed:
            name = normalise(reference)
            if name in self._store:
                return name, self._store[name]
            found = _find_by_digest(reference, self._store)
            if found is None and self._default is not None and self._default.stored:
                return name, self._default
            return found

    def pull(self, reference: str, platform: str | None, progress: Progress, is_cancelled: Cancelled) -> ImageInfo:
        """Bring an image from the registry into the store."""
        name = normalise(reference)
        found = (name, self._registry[name]) if name in self._registry else None
        found = found or _find_by_digest(reference, self._registry)
        name, image = found or (name, self._make_default(name))
        if image is None or (platform is not None and not image.platform.startswith(platform)):
            wanted = f" for {platform}" if platform else ""
            raise ImageError(
                f"image {reference} does not exist{wanted}",
                hint="check the image's name and tag, and whether its registry wants a login",
            )
        self._fetch(reference, image, progress, is_cancelled)
        return self._keep(name, image)

    def _make_default(self, name: str) -> FakeImage | None:
        digest = name.partition("@")[2]
        return replace(self._default, digest=digest) if self._default and digest else self._default

    def build(self, request: BuildRequest, progress: Progress, is_cancelled: Cancelled) -> ImageInfo:
        """Put the image that is known by the request's tag, else an empty one, into the store."""
        hash_request(request)
        name = normalise(request.tag)
        image = self._registry.get(name, self._default or FakeImage())
        self._fetch(request.tag, image, progress, is_cancelled)
        return self._keep(name, replace(image, labels={**image.labels, **request.labels}))

    def _fetch(self, reference: str, image: FakeImage, progress: Progress, is_cancelled: Cancelled) -> None:
        begun = self._world.now()
        fraction = 0.0
        while fraction < 1.0:
            if is_cancelled is not None and is_cancelled():
                raise Interrupted(f"fetching {reference} was interrupted")
            passed = self._world.now() - begun
            fraction = 1.0 if passed >= image.pull_seconds else passed / image.pull_seconds
            if progress is not None:
                progress("done" if fraction == 1.0 else "fetching", fraction)
            if fraction < 1.0:
                with self._world.changed:
                    self._world.changed.wait(_POLL)
        if image.pull_error is not None:
            raise ImageError(f"image {reference}: {image.pull_error}", hint="see what the registry or builder said")

    def _keep(self, name: str, image: FakeImage) -> ImageInfo:
        with self._world.changed:
            self._store[name] = image
        return describe(name, image)


def normalise(reference: str) -> str:
    """Return a reference as the store keeps it: with a tag, without the default registry's name."""
    name = reference.removeprefix("docker.io/").removeprefix("library/")
    if "@" in name or name.startswith("sha256:") or ":" in name.rpartition("/")[2]:
        return name
    return f"{name}:latest"


def hash_request(request: BuildRequest) -> str:
    """Hash a build's Dockerfile, options and context; raise ImageError when they cannot be read."""
    digest = hashlib.sha256(repr(replace(request, context=Path(), args=dict(sorted(request.args.items())))).encode())
    paths = sorted(path for path in request.context.rglob("*") if path.is_file())
    if request.dockerfile_inline is None and request.context / request.dockerfile not in paths:
        raise ImageError(f"cannot build {request.tag}: there is no {request.dockerfile} in {request.context}")
    for path in paths:
        digest.update(f"{path.relative_to(request.context)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def make_image_id(name: str) -> str:
    """Return the id of the image that has this normalised name."""
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def describe(name: str, image: FakeImage) -> ImageInfo:
    """Return what an engine tells of an image."""
    return ImageInfo(
        id=make_image_id(name),
        name="" if "@" in name else name,
        digest=image.digest,
        ports=image.ports,
        volumes=image.volumes,
        healthcheck=image.healthcheck,
        environment=dict(image.environment),
        labels=dict(image.labels),
        platform=image.platform,
    )


def _find_by_digest(reference: str, images: Mapping[str, FakeImage]) -> tuple[str, FakeImage] | None:
    repository, _, digest = normalise(reference).partition("@")
    for name, image in images.items():
        same_repository = _strip_tag(name) == _strip_tag(repository)
        if reference == make_image_id(name) or (digest and digest == image.digest and same_repository):
            return name, image
    return None


def _strip_tag(name: str) -> str:
    path, slash, last = name.rpartition("/")
    return f"{path}{slash}{last.partition(':')[0]}"
