"""Locks in few words, for tests of what differs from them."""

from __future__ import annotations

from envspin.plan.drift import Running
from envspin.plan.lock import Lock, LockedBuild, LockedImage, Manifest
from envspin.topology.kubernetes import Workload

AMD, ARM = "linux/amd64", "linux/arm64"
TIME = "2025-01-02T03:04:05Z"


def sha(text):
    """Return a digest in which its name can be read."""
    return "sha256:" + text.encode().hex().ljust(64, "0")[:64]


def image(reference, name=None, *, platforms=(AMD, ARM), local=False):
    """Lock an image whose digests are made of ``name``."""
    name = name or reference
    manifests = {
        each: Manifest(None if local else sha(f"{each[6:]}.{name}"), sha(f"c{each[6:]}.{name}"), 10)
        for each in platforms
    }
    return LockedImage(reference, None if local else sha(name), TIME, manifests)


def build(name, *bases):
    return LockedBuild(sha(name), bases)


def lock(services, *further, stubs=None):
    """Make a lock from services with what each is locked to; bases and images of others follow."""
    images = [*(each for each in services.values() if isinstance(each, LockedImage)), *further]
    builds = {name: each for name, each in services.items() if isinstance(each, LockedBuild)}
    return Lock(
        "shop",
        sha("topology"),
        {name: each.reference if isinstance(each, LockedImage) else None for name, each in services.items()},
        {each.reference: each for each in images},
        {**builds, **(stubs or {})},
    )


DB, CACHE, PYTHON = image("postgres:16.4", "pg"), image("redis", "redis"), image("python:3.12", "py")
WEB = build("web", "python:3.12")
SHOP = lock({"db": DB, "cache": CACHE, "web": WEB}, PYTHON)
DB_PIN, CACHE_PIN, WEB_PIN = f"postgres:16.4@{sha('pg')}", f"redis:latest@{sha('redis')}", f"build {sha('web')}"
PYTHON_PIN = f"python:3.12@{sha('py')}"
LOCAL = lock({"a": image("mine:1", "m", local=True)})


def said(findings):
    return [(each.service, each.kind, each.locked, each.found) for each in findings]


EXACTLY = {
    "db": Running("postgres:16.4", AMD, (sha("pg"),)),
    "cache": Running("redis", AMD, (sha("camd64.redis"),)),
    "web": Running("shop-web", AMD, (sha("built"),), sha("web")),
}


def workload(container, written, owner="Deployment a"):
    return Workload(container, written, owner)
