"""Locks in few words, for tests of what makes and uses them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from envspin.plan.lock import Lock, LockedBuild, LockedImage, Manifest

AMD, ARM = "linux/amd64", "linux/arm64"
TIME, LATER = "2025-01-02T03:04:05Z", "2025-06-07T08:09:10Z"


def sha(text: str) -> str:
    """Return the digest that stands for a text."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


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
