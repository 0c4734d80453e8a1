"""Locks in few words, for tests of what makes and uses them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from envspin.errors import EnvspinError, ManifestNotFoundError, PlatformMissingError
from envspin.plan.lock import Lock, LockedBuild, LockedImage, Manifest
from envspin.reference import Reference
from envspin.registry import Resolved

AMD, ARM = "linux/amd64", "linux/arm64"
TIME, LATER = "2025-01-02T03:04:05Z", "2025-06-07T08:09:10Z"


def sha(text: str) -> str:
    """Return the digest that stands for a text; no image of the in-memory engine has it for an id."""
    return f"sha256:{hashlib.sha256(f'content: {text}'.encode()).hexdigest()}"


def lock_image(
    reference: str,
    content: str | None = None,
    *,
    platforms: Iterable[str] = (AMD,),
    local: bool = False,
    resolved: str = TIME,
) -> LockedImage:
    """Lock an image whose digests are made of ``content``, its reference where none is given."""
    content = content or reference
    manifests = {
        each: Manifest(None if local else sha(f"{content} {each}"), sha(f"{content} {each} config"), 1000)
        for each in platforms
    }
    return LockedImage(reference, None if local else sha(content), resolved, manifests)


def make_lock_of(*images: LockedImage, builds: dict[str, LockedBuild] | None = None, **services: str | None) -> Lock:
    """Lock these services to references among these images."""
    return Lock("test", sha("topology"), services, {each.reference: each for each in images}, builds or {}, (AMD,))


class ScriptedRegistries:
    """Stands in for the class of registry clients: answers at once, notes what it is asked, fails where it is told to.

    What a tag stands for is made of its content, which is its own text unless ``contents`` says otherwise, as
    ``lock_image`` does it.
    """

    def __init__(self) -> None:
        self.contents: dict[str, str] = {}
        self.errors: dict[str, EnvspinError] = {}
        self.gone: set[str] = set()
        """Digests and tags that are there no more."""
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        """The references that were resolved, with the platforms."""
        self.looked: list[str] = []
        """The references whose digest alone was asked for."""
        self.settings: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        """Mirrors and insecure registries of each client that was opened."""
        self.closed = 0
        self.platforms: dict[str, set[str]] = {}
        """What an image is there for; everything where this says nothing."""
        self._of_digests: dict[str, str] = {}

    def __call__(self, *, mirrors: tuple[str, ...], insecure: tuple[str, ...]) -> ScriptedRegistries:
        self.settings.append((mirrors, insecure))
        return self

    def resolve(self, reference: Reference, platforms: tuple[str, ...]) -> Resolved:
        self.asked.append((str(reference), tuple(platforms)))
        content = self._find(reference)
        missing = set(platforms) - self.platforms.get(str(reference), set(platforms))
        if missing:
            raise PlatformMissingError(f"{reference} is not there for {', '.join(missing)}")
        locked = lock_image(str(reference), content, platforms=platforms)
        return Resolved(str(locked.digest), locked.platforms)

    def find_digest(self, reference: Reference) -> str:
        self.looked.append(str(reference))
        return (
            reference.digest if reference.digest and reference.digest not in self.gone else sha(self._find(reference))
        )

    def _find(self, reference: Reference) -> str:
        name = str(reference)
        if name in self.errors:
            raise self.errors[name]
        if {name, reference.digest} & self.gone:
            raise ManifestNotFoundError(f"{name} is gone")
        if reference.digest is not None:
            return self._of_digests[reference.digest]
        content = self.contents.get(name, name)
        self._of_digests[sha(content)] = content
        return content

    def close(self) -> None:
        self.closed += 1
