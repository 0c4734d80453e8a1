"""The images of the in-memory engine: those in its store, and those that a pull or build can bring."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from envspin.engine.base import ImageInfo
from envspin.engine.docker.context import hash_content, list_bases
from envspin.engine.fake.archives import Saved, read_archive, write_archive
from envspin.engine.fake.script import FakeImage
from envspin.errors import ImageError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from envspin.engine.base import BuildRequest
    from envspin.engine.fake.world import World

    Progress = Callable[[str, float | None], None] | None
    Cancelled = Callable[[], bool] | None

_TAGGED = re.compile(r"[a-z0-9]+(?:[._/:-]+[a-z0-9]+)*(?::\w[\w.-]*)?")

_POLL = 0.02
"""Real seconds between two looks at ``is_cancelled``, which cannot wake anybody."""


class Held(NamedTuple):
    """An image under one of its names."""

    name: str
    """As :func:`normalise` writes it; its id where it has none."""
    id: str
    image: FakeImage


class ImageStore:
    """Finds, pulls, builds, saves and loads; the world's condition guards the store."""

    def __init__(
        self, world: World, images: Mapping[str, FakeImage] | Sequence[str], default: FakeImage | None
    ) -> None:
        known = {name: FakeImage() for name in images} if not hasattr(images, "items") else dict(images.items())
        self._world = world
        self._default = default
        named = {normalise(name): image for name, image in known.items()}
        self._registry = {name: Held(name, make_image_id(name), image) for name, image in named.items()}
        self._store = {name: held for name, held in self._registry.items() if held.image.stored}

    def find(self, reference: str) -> Held | None:
        """Look in the store by name, digest or image id."""
        with self._world.changed:
            name = normalise(reference)
            found = self._store.get(name) or _find_by_digest(reference, self._store)
            image = self._make_default(name)
            if found is None and image is not None and image.stored:
                return Held(name, make_image_id(name), image)
            return found

    def pull(self, reference: str, platform: str | None, progress: Progress, is_cancelled: Cancelled) -> ImageInfo:
        """Bring an image from the registry into the store."""
        name = normalise(reference)
        found = self._registry.get(name) or _find_by_digest(reference, self._registry)
        image = found.image if found else self._make_default(name)
        if image is None or (platform is not None and not image.platform.startswith(platform)):
            wanted = f" for {platform}" if platform else ""
            raise ImageError(
                f"image {reference} does not exist{wanted}",
                hint="check the image's name and tag, and whether its registry wants a login",
            )
        self._fetch(reference, image, progress, is_cancelled)
        return self._keep(Held(name, found.id if found else make_image_id(name), image))

    def _make_default(self, name: str) -> FakeImage | None:
        digest = name.partition("@")[2]
        return replace(self._default, digest=digest) if self._default and digest else self._default

    def build(self, request: BuildRequest, progress: Progress, is_cancelled: Cancelled) -> ImageInfo:
        """Put the image that is known by the request's tag, else an empty one, into the store."""
        hash_content(request)
        for base in list_bases(request):
            self._check_pin(request.bases.get(base))
        name = normalise(request.tag)
        known = self._registry.get(name)
        image = known.image if known else self._default or FakeImage()
        self._fetch(request.tag, image, progress, is_cancelled)
        labelled = replace(image, labels={**image.labels, **request.labels})
        return self._keep(Held(name, make_image_id(name), labelled))

    def _check_pin(self, pin: str | None) -> None:
        # What stands in a Dockerfile need not be known here; what a caller pins must be held, or be there to be pulled.
        if pin and not self.find(pin) and not _find_by_digest(pin, self._registry) and self._default is None:
            raise ImageError(f"the base image {pin} does not exist", hint="check the image's name and digest")

    def save(self, references: Sequence[str], sink: Callable[[bytes], object]) -> None:
        """Write an archive of images of the store."""
        found = {normalise(reference): held for reference in references if (held := self.find(reference))}
        missing = [reference for reference in references if normalise(reference) not in found]
        if missing or not references:
            raise ImageError(
                f"{', '.join(missing) or 'no image'} is not in the engine's store", hint="pull or build first"
            )
        write_archive(_group(found), sink)

    def load(self, source: BinaryIO) -> tuple[str, ...]:
        """Put the images of an archive into the store; those that this engine was given behave as they do there."""
        loaded: list[str] = []
        for saved in read_archive(source):
            known = next((held.image for held in self._registry.values() if held.id == saved.image.id), None)
            image = _restore(known or self._default or FakeImage(), saved.image)
            is_held = any(held.id == saved.image.id for held in self._store.values())
            names = saved.tags or (saved.image.id,)
            for name in saved.tags if is_held else names:
                self._keep(Held(normalise(name), saved.image.id, image))
            loaded += names
        return tuple(loaded)

    def tag(self, image_id: str, reference: str) -> None:
        """Give an image of the store one more name."""
        with self._world.changed:
            held = self.find(image_id)
            if held is None:
                raise ImageError(f"no such image: {image_id}", hint="pull or build it first")
            if _TAGGED.fullmatch(reference) is None:
                raise ImageError(f"{reference} is no name to give to an image")
            self._store.pop(held.id, None)
            self._keep(held._replace(name=normalise(reference)))

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

    def _keep(self, held: Held) -> ImageInfo:
        with self._world.changed:
            self._store[held.name] = held
        return describe(held)


def normalise(reference: str) -> str:
    """Return a reference as the store keeps it: with a digest or else a tag, without the default registry's name."""
    name = reference.removeprefix("docker.io/").removeprefix("library/")
    if "@" in name:
        repository, _, digest = name.partition("@")
        return f"{_strip_tag(repository)}@{digest}"
    if name.startswith("sha256:") or ":" in name.rpartition("/")[2]:
        return name
    return f"{name}:latest"


def make_image_id(name: str) -> str:
    """Return the id of the image that has this normalised name, or is named by it."""
    if name.startswith("sha256:"):
        return name
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def describe(held: Held) -> ImageInfo:
    """Return what an engine tells of an image."""
    name, image_id, image = held
    return ImageInfo(
        id=image_id,
        name="" if "@" in name or name.startswith("sha256:") else name,
        digest=image.digest,
        digests=(image.digest,) if image.digest else (),
        ports=image.ports,
        volumes=image.volumes,
        healthcheck=image.healthcheck,
        environment=dict(image.environment),
        labels=dict(image.labels),
        platform=image.platform,
    )


def _find_by_digest(reference: str, images: Mapping[str, Held]) -> Held | None:
    repository, _, digest = normalise(reference).partition("@")
    for held in images.values():
        is_same_repository = _strip_tag(held.name.partition("@")[0]) == repository
        if reference == held.id or (digest and digest == held.image.digest and is_same_repository):
            return held
    return None


def _group(found: Mapping[str, Held]) -> list[Saved]:
    """List each image once, with all the tags among the names that it was found by."""
    grouped: dict[str, Saved] = {}
    for name, held in found.items():
        image = describe(held)
        tags = grouped[held.id].tags if held.id in grouped else ()
        grouped[held.id] = Saved(image, (*tags, name) if name == image.name else tags)
    return list(grouped.values())


def _restore(image: FakeImage, saved: ImageInfo) -> FakeImage:
    return replace(
        image,
        ports=saved.ports,
        volumes=saved.volumes,
        healthcheck=saved.healthcheck,
        environment=saved.environment,
        labels=saved.labels,
        digest=None,
        platform=saved.platform,
    )


def _strip_tag(name: str) -> str:
    path, slash, last = name.rpartition("/")
    return f"{path}{slash}{last.partition(':')[0]}"
