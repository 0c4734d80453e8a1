"""Images that run, taken from what the engine of this machine holds, and the removal of what it pulled from a rig."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tarfile
import tempfile
from collections.abc import Iterator
from typing import IO

import docker
from docker.errors import NotFound

from envspin.engine.base import Engine

from .publishing import Image, Layer, digest_of, make_image

_GZIP = b"\x1f\x8b"
_LOADERS = {
    "amd64": ("x86_64-linux-gnu", "/lib64/ld-linux-x86-64.so.2"),
    "arm64": ("aarch64-linux-gnu", "/lib/ld-linux-aarch64.so.1"),
}
"""For each architecture Debian's folder of libraries, and where programs look for their loader."""


@contextlib.contextmanager
def open_client(engine: Engine) -> Iterator[docker.DockerClient]:
    """Connect the docker SDK to an engine, past envspin."""
    with contextlib.closing(docker.DockerClient(base_url=engine.info().address)) as client:
        yield client


def announce(text: str) -> tuple[str, ...]:
    """Return the command of a shell image that says ``text`` and then stays until it is asked to stop."""
    return ("/bin/sh", "-c", f"echo '{text}'; trap 'exit 0' TERM; sleep infinity & wait")


def make_shell_image(engine: Engine, debian: str) -> Image:
    """Make an image of about one megabyte in which ``sh``, ``cat`` and ``sleep`` run, from a Debian image.

    Raises KeyError on architectures other than amd64 and arm64.
    """
    with open_client(engine) as client:
        platform = str(client.images.get(debian).attrs["Architecture"])
        folder, loader = _LOADERS[platform]
        origins = {
            "/bin/sh": "/usr/bin/dash",
            "/bin/cat": "/usr/bin/cat",
            "/bin/sleep": "/usr/bin/sleep",
            f"/lib/{folder}/libc.so.6": f"/usr/lib/{folder}/libc.so.6",
            loader: f"/usr/lib/{folder}/{loader.rpartition('/')[2]}",
        }
        container = client.containers.create(debian)
        try:
            files = {path: _read_file(container.get_archive(origin)[0]) for path, origin in origins.items()}
        finally:
            container.remove(force=True)
    return make_image(files=files, command=announce("ready"), platform=f"linux/{platform}")


def _read_file(chunks: Iterator[bytes]) -> bytes:
    """Return the content of the one file in an archive."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        return _read_member(archive, archive.getnames()[0])


def _read_member(archive: tarfile.TarFile, name: str) -> bytes:
    opened = archive.extractfile(name)
    assert opened is not None, f"{name} is no file"
    with opened:
        return opened.read()


def export_from_engine(engine: Engine, image: str) -> Image:
    """Return an image that the engine holds, with its layers compressed anew: its id and digest here are our own."""
    with open_client(engine) as client, tempfile.TemporaryFile() as file:
        for chunk in client.api.get_image(image):
            file.write(chunk)
        file.seek(0)
        return _read_saved(file)


def _read_saved(file: IO[bytes]) -> Image:
    """Read what ``docker save`` writes; engines before 25 write archives as they are, later ones may compress them."""
    with tarfile.open(fileobj=file) as archive:
        described = json.loads(_read_member(archive, "manifest.json"))[0]
        config = _read_member(archive, described["Config"])
        layers = tuple(_make_layer(_read_member(archive, name)) for name in described["Layers"])
    return Image(config, layers)


def _make_layer(content: bytes) -> Layer:
    if content.startswith(_GZIP):
        return Layer(content, digest_of(gzip.decompress(content)))
    return Layer.compress(content)


def remove_pulled(engine: Engine, address: str) -> None:
    """Remove from the engine every name that begins with a registry's address, and the images that have no other."""
    with open_client(engine) as client:
        names = [
            name
            for image in client.images.list()
            for name in (*(image.attrs["RepoTags"] or ()), *(image.attrs["RepoDigests"] or ()))
        ]
        for name in names:
            if name.startswith(f"{address}/"):
                # The last tag of a repository takes the repository's digests along.
                with contextlib.suppress(NotFound):
                    client.images.remove(name)
