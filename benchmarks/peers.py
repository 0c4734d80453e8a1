"""Which peers this machine has, in which versions, and how to get Compose where it is missing.

``python -m benchmarks.peers`` fetches Compose alone. On Debian it comes from the next release, whose package of it is
young enough to know ``--wait`` well and is one file without dependencies: apt fetches just that package, with lists and
a cache of its own, so the machine's own sources and packages stay as they are.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import ask

NEXT_RELEASE = "trixie"
PACKAGE = "docker-compose"
PLUGIN = "cli-plugins/docker-compose"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
GIB = 2**30


def find_compose(*, fetch: bool) -> list[str] | None:
    """Return the command for Compose: docker's plugin, one fetched before, or one fetched now where that is wanted."""
    if ask("docker", "compose", "version") is not None:
        return ["docker", "compose"]
    plugin = find_cache() / "docker-compose"
    if not plugin.exists() and fetch:
        fetch_compose(plugin)
    return [str(plugin)] if plugin.exists() and ask(plugin, "version") is not None else None


def find_cache() -> Path:
    """Return the folder for what was fetched."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "envspin-benchmarks"


def fetch_compose(plugin: Path) -> bool:
    """Fetch Compose with apt and put its binary at ``plugin``; return whether that worked."""
    mirror = find_mirror()
    if mirror is None:
        return False
    work = plugin.parent / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "unpacked"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    (work / "sources.list").write_text(f"deb {signed}{mirror} {NEXT_RELEASE} main\n")
    settings = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::Lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    try:
        if ask("apt-get", *options, "update") is None:
            return False
        # `install --download-only` would bring dependencies; `download` writes to the current folder.
        if ask("sh", "-c", 'cd "$0" && shift 0 && exec apt-get "$@"', work, *options, "download", PACKAGE) is None:
            return False
        package = next(work.glob(f"{PACKAGE}_*.deb"))
        if ask("dpkg-deb", "--extract", package, work / "unpacked") is None:
            return False
        shutil.copy2(next((work / "unpacked").rglob(PLUGIN)), plugin)
    except StopIteration:
        return False
    finally:
        shutil.rmtree(work)
    return True


def find_mirror() -> str | None:
    """Return the address of the Debian mirror that this machine's apt uses; None on other systems."""
    targets = ask("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages") or ""
    for line in targets.splitlines():
        origin, label, address = line.split("|", 2)
        if (origin, label) == ("Debian", "Debian"):
            return address
    return None


def find_version(package: str) -> str | None:
    """Return the version of an installed Python package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe_machine(compose: list[str] | None) -> dict[str, Any]:
    """Return what a reader of the numbers must know."""
    from envspin import __version__  # noqa: PLC0415 - only its number

    compose_version = ask(*compose, "version", "--short") if compose else None
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": len(os.sched_getaffinity(0)),
        "processor": find_processor(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB),
        "kernel": platform.release(),
        "load": round(os.getloadavg()[0], 2),
        "versions": {
            "Docker Engine": ask("docker", "version", "--format", "{{.Server.Version}}"),
            "envspin": __version__,
            "Docker Compose": compose_version,
            "testcontainers": find_version("testcontainers"),
            "pytest-docker": find_version("pytest-docker"),
            "Python": platform.python_version(),
        },
    }


def find_processor() -> str:
    """Return the processor's model as the kernel tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


if __name__ == "__main__":
    found = find_compose(fetch=True)
    print(" ".join(found) if found else "Compose is not here and could not be fetched")
    sys.exit(0 if found else 1)
