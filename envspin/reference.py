"""Names of images and platforms: how they are written, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass, replace

DOCKER_HUB = "docker.io"
OFFICIAL = "library/"
"""The folder of Docker Hub whose images are written without a folder."""
DEFAULT_TAG = "latest"
SHORT_DIGEST = len("sha256:") + 12
"""Characters of a digest that people are shown."""

_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386"}
_ARM_VARIANTS = {"armv5l": "v5", "armv6l": "v6", "armv7l": "v7", "armhf": "v7", "armel": "v6"}
_KNOWN_ARCHITECTURES = {
    *_ARCHITECTURES, *_ARCHITECTURES.values(), *_ARM_VARIANTS, "arm", "ppc64le", "s390x", "riscv64", "mips64le",
}  # fmt: skip
_SYSTEMS = {"linux", "windows", "darwin"}
_LEAST_VARIANT, _USUAL_ARM = 5, 7


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an image is: ``[REGISTRY/]REPOSITORY[:TAG][@DIGEST]``, completed as the docker command line does it."""

    registry: str
    """Its host, with a port where one is written; ``docker.io`` where none is written."""
    repository: str
    """Its full path there: ``library/postgres`` for ``postgres``."""
    tag: str | None = None
    """None only where a digest is written without a tag."""
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference whose form is known to be right (``topology.formats.to_image`` checks it)."""
        named, _, digest = text.partition("@")
        path, colon, tag = named.rpartition(":")
        if not colon or "/" in tag:
            path, tag = named, "" if digest else DEFAULT_TAG
        first, slash, rest = path.partition("/")
        if slash and (first == "localhost" or "." in first or ":" in first or first != first.lower()):
            registry, repository = first, rest
        else:
            registry, repository = DOCKER_HUB, path
        if registry in {"index.docker.io", "registry-1.docker.io"}:
            registry = DOCKER_HUB
        if registry == DOCKER_HUB and "/" not in repository:
            repository = OFFICIAL + repository
        return cls(registry, repository, tag or None, digest or None)

    @property
    def name(self) -> str:
        """The repository as people write it: without Docker Hub's host and its folder of official images."""
        if self.registry != DOCKER_HUB:
            return f"{self.registry}/{self.repository}"
        return self.repository.removeprefix(OFFICIAL)

    def at(self, digest: str) -> Reference:
        """Return the reference of exactly this content, whatever tag leads to it now."""
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}{f'@{self.digest}' if self.digest else ''}"


def normalize_platform(text: str) -> str:
    """Return ``os/architecture[/variant]`` in the registries' words: ``linux/aarch64`` is ``linux/arm64``.

    Variants that mean nothing (``amd64/v1``, ``arm64/v8``) are left out, as containerd does; ``arm`` is ``arm/v7``.
    """
    system, _, rest = text.lower().partition("/")
    if system not in _SYSTEMS and system in _KNOWN_ARCHITECTURES:  # an architecture alone is one of Linux
        system, rest = "linux", text.lower()
    architecture, _, variant = rest.partition("/")
    architecture = architecture or "amd64"
    if architecture in _ARM_VARIANTS:
        architecture, variant = "arm", variant or _ARM_VARIANTS[architecture]
    architecture = _ARCHITECTURES.get(architecture, architecture)
    if architecture == "arm":
        variant = variant or f"v{_USUAL_ARM}"
    if (architecture, variant) in {("amd64", "v1"), ("arm64", "v8")}:
        variant = ""
    return "/".join(part for part in (system, architecture, variant) if part)


def list_fitting_platforms(platform: str) -> list[str]:
    """Return the platforms whose images run on this one, the best first: a newer ARM runs what older ones run."""
    wanted = normalize_platform(platform)
    system, architecture, variant = (*wanted.split("/"), "")[:3]
    if architecture != "arm" or not variant.removeprefix("v").isdigit():
        return [wanted]
    newest = int(variant.removeprefix("v"))
    return [f"{system}/arm/v{number}" for number in range(newest, _LEAST_VARIANT - 1, -1)]
