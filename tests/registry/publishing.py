"""Images made from nothing or from others, and put into a registry by its HTTP API: no engine takes part."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from .server import RegistryServer

_OCI, _DOCKER = "application/vnd.oci.image", "application/vnd.docker"
OCI_MANIFEST, OCI_INDEX = f"{_OCI}.manifest.v1+json", f"{_OCI}.index.v1+json"
DOCKER_MANIFEST = f"{_DOCKER}.distribution.manifest.v2+json"
DOCKER_INDEX = f"{_DOCKER}.distribution.manifest.list.v2+json"
MANIFEST_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX)
"""What a client accepts that can read every kind of manifest."""

_CONFIG_TYPES = {False: f"{_OCI}.config.v1+json", True: f"{_DOCKER}.container.image.v1+json"}
_LAYER_TYPES = {False: f"{_OCI}.layer.v1.tar+gzip", True: f"{_DOCKER}.image.rootfs.diff.tar.gzip"}
_STATEMENT_TYPE = "application/vnd.in-toto+json"
_EXECUTABLE = 0o755


def digest_of(content: bytes) -> str:
    """Return the name that a registry gives to content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Layer:
    """A layer as the registry stores it: a compressed archive, and the digest of the archive without compression."""

    blob: bytes = field(repr=False)
    diff_id: str

    @classmethod
    def pack(cls, files: Mapping[str, bytes]) -> Layer:
        """Make the layer that adds files by absolute path, all of them executable; the same files, the same bytes."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path, content in sorted(files.items()):
                member = tarfile.TarInfo(path.lstrip("/"))
                member.size, member.mode = len(content), _EXECUTABLE
                archive.addfile(member, io.BytesIO(content))
        return cls.compress(buffer.getvalue())

    @classmethod
    def compress(cls, archive: bytes) -> Layer:
        """Make a layer of an archive, quickly rather than well."""
        return cls(gzip.compress(archive, compresslevel=1, mtime=0), digest_of(archive))


@dataclass(frozen=True)
class Image:
    """An image for one platform: its configuration, its layers, and the manifest that holds them together."""

    config: bytes = field(repr=False)
    layers: tuple[Layer, ...]
    docker: bool = False
    """Whether the manifest is Docker's (version 2, schema 2) rather than OCI's."""

    @property
    def manifest(self) -> bytes:
        """The manifest as it is stored."""
        document = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": describe_blob(_CONFIG_TYPES[self.docker], self.config),
            "layers": [describe_blob(_LAYER_TYPES[self.docker], layer.blob) for layer in self.layers],
        }
        return json.dumps(document, indent=2).encode()

    @property
    def media_type(self) -> str:
        """The manifest's media type."""
        return DOCKER_MANIFEST if self.docker else OCI_MANIFEST

    @property
    def digest(self) -> str:
        """The manifest's digest: what ``repository@digest`` names."""
        return digest_of(self.manifest)

    @property
    def config_digest(self) -> str:
        """The configuration's digest: what classic engines call the image's id."""
        return digest_of(self.config)

    @property
    def size(self) -> int:
        """Bytes of the configuration and of the compressed layers: what a pull transfers."""
        return len(self.config) + sum(len(layer.blob) for layer in self.layers)

    @property
    def platform(self) -> str:
        """What the configuration says: ``os/architecture[/variant]``."""
        document = json.loads(self.config)
        parts = (document["os"], document["architecture"], document.get("variant", ""))
        return "/".join(part for part in parts if part)


def describe_blob(media_type: str, content: bytes) -> dict[str, Any]:
    """Return what points at content in a manifest or an index."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def describe_platform(platform: str) -> dict[str, str]:
    """Return a platform's parts by the names that they have in indexes and configurations."""
    return dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))


def make_image(
    *,
    files: Mapping[str, bytes] | None = None,
    command: Sequence[str] = (),
    platform: str = "linux/amd64",
    labels: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    base_layers: Iterable[Layer] = (),
    docker: bool = False,
) -> Image:
    """Make an image: the same arguments, the same digests.

    ``settings`` are more keys of the configuration's ``config``, as Docker spells them (``Env``, ``ExposedPorts``,
    ``Healthcheck``). ``files`` are one layer on top of ``base_layers``; an image without either has an empty one.
    """
    layers = tuple(base_layers)
    if files or not layers:
        layers = (*layers, Layer.pack(files or {}))
    document = {
        "created": "2020-01-01T00:00:00Z",
        **describe_platform(platform),
        "config": {**(settings or {}), "Cmd": list(command), "Labels": dict(labels or {})},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    return Image(json.dumps(document).encode(), layers, docker)


def variant(
    image: Image,
    *,
    files: Mapping[str, bytes] | None = None,
    command: Sequence[str] | None = None,
    platform: str | None = None,
    labels: Mapping[str, str] | None = None,
    docker: bool | None = None,
) -> Image:
    """Return the image with one layer more, other labels besides its own, another command, platform or form."""
    document = json.loads(image.config)
    config = document.setdefault("config", {})
    layers = image.layers
    if files:
        layers = (*layers, Layer.pack(files))
        document["rootfs"]["diff_ids"].append(layers[-1].diff_id)
        document.pop("history", None)  # one entry a layer, or none at all
    if command is not None:
        config["Cmd"] = list(command)
    if platform is not None:
        document = {key: value for key, value in document.items() if key != "variant"} | describe_platform(platform)
    if labels is not None:
        config["Labels"] = {**(config.get("Labels") or {}), **labels}
    return Image(json.dumps(document).encode(), layers, image.docker if docker is None else docker)


def push(server: RegistryServer, repository: str, image: Image, tag: str | None = None) -> str:
    """Put an image into a repository, under a tag or only by its digest; return the manifest's digest."""
    for blob in (image.config, *(layer.blob for layer in image.layers)):
        push_blob(server, repository, blob)
    return put_manifest(server, repository, image.media_type, image.manifest, tag)


def push_index(
    server: RegistryServer,
    repository: str,
    images: Mapping[str, Image],
    *,
    tag: str | None = None,
    attestations: bool = False,
    docker: bool = False,
) -> str:
    """Put images and an index of them by platform into a repository; return the index's digest.

    With ``attestations`` each image has, as BuildKit writes it, an entry of the platform ``unknown/unknown`` beside
    it. ``docker`` makes it Docker's manifest list.
    """
    entries = []
    for platform, image in images.items():
        push(server, repository, image)
        entries.append(
            {**describe_blob(image.media_type, image.manifest), "platform": describe_platform(platform)},
        )
    if attestations:
        entries += [_push_attestation(server, repository, image) for image in images.values()]
    media_type = DOCKER_INDEX if docker else OCI_INDEX
    index = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}, indent=2).encode()
    return put_manifest(server, repository, media_type, index, tag)


def move_tag(server: RegistryServer, repository: str, tag: str, digest: str) -> None:
    """Let a tag, new or not, lead to a manifest or an index of its repository."""
    accept = {"Accept": ", ".join(MANIFEST_TYPES)}
    held = server.ask("GET", f"/v2/{repository}/manifests/{digest}", headers=accept)
    put_manifest(server, repository, held.headers["Content-Type"], held.content, tag)


def put_manifest(server: RegistryServer, repository: str, media_type: str, content: bytes, tag: str | None) -> str:
    """Store a manifest whose parts are there already; return its digest."""
    digest = digest_of(content)
    server.ask(
        "PUT",
        f"/v2/{repository}/manifests/{tag or digest}",
        data=content,
        headers={"Content-Type": media_type},
        expect=(HTTPStatus.CREATED,),
    )
    return digest


def push_blob(server: RegistryServer, repository: str, content: bytes) -> None:
    """Store a blob unless the repository has it, from another repository where one is known to have it."""
    digest = digest_of(content)
    found = (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
    if server.ask("HEAD", f"/v2/{repository}/blobs/{digest}", expect=found).ok:
        return
    home = server.blob_homes.setdefault(digest, repository)
    mount = {} if home == repository else {"mount": digest, "from": home}
    begun = (HTTPStatus.ACCEPTED, HTTPStatus.CREATED)
    answer = server.ask("POST", f"/v2/{repository}/blobs/uploads/", params=mount, expect=begun)
    if answer.status_code == HTTPStatus.ACCEPTED:
        server.ask(
            "PUT",
            answer.headers["Location"],
            params={"digest": digest},
            data=content,
            headers={"Content-Type": "application/octet-stream"},
            expect=(HTTPStatus.CREATED,),
        )


def _push_attestation(server: RegistryServer, repository: str, image: Image) -> dict[str, Any]:
    """Put a statement about an image beside it; return its entry in the index."""
    statement = json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://slsa.dev/provenance/v0.2",
            "subject": [{"name": repository, "digest": {"sha256": image.digest.removeprefix("sha256:")}}],
            "predicate": {},
        }
    ).encode()
    rootfs = {"type": "layers", "diff_ids": [digest_of(statement)]}
    config = json.dumps({**describe_platform("unknown/unknown"), "config": {}, "rootfs": rootfs}).encode()
    for blob in (statement, config):
        push_blob(server, repository, blob)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": describe_blob(_CONFIG_TYPES[False], config),
        "layers": [describe_blob(_STATEMENT_TYPE, statement)],
    }
    manifest = json.dumps(document).encode()
    put_manifest(server, repository, OCI_MANIFEST, manifest, None)
    return {
        **describe_blob(OCI_MANIFEST, manifest),
        "platform": describe_platform("unknown/unknown"),
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image.digest,
        },
    }
