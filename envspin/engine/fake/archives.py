"""Archives of images, in the form of ``docker save``: metadata only, for images in memory have no files."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any, NamedTuple

from envspin.engine.docker.reading import NANO, read_image
from envspin.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import BinaryIO

    from envspin.engine.base import ImageInfo
    from envspin.model import Healthcheck

MANIFEST = "manifest.json"


class Saved(NamedTuple):
    """An image of an archive, with the tags that it has there."""

    image: ImageInfo
    tags: tuple[str, ...]


def write_archive(images: Iterable[Saved], sink: Callable[[bytes], object]) -> None:
    """Write an archive: a list of the images, and for each its configuration under the name of its id."""
    written = list(images)
    listed = [{"Config": _name_config(saved.image.id), "RepoTags": list(saved.tags), "Layers": []} for saved in written]
    files = {_name_config(saved.image.id): _describe(saved.image) for saved in written}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, document in {**files, MANIFEST: listed}.items():
            content = json.dumps(document).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    sink(buffer.getvalue())


def read_archive(source: BinaryIO) -> list[Saved]:
    """Read an archive; raise ImageError where it is damaged or holds no images."""
    try:
        with tarfile.open(fileobj=source, mode="r|*") as tar:
            files = {
                each.name: _read(tar, each) for each in tar if "/" not in each.name and each.name.endswith(".json")
            }
        listed = json.loads(files[MANIFEST])
        found = [_read_saved(entry, json.loads(files[entry["Config"]])) for entry in listed]
    except KeyError as error:
        raise ImageError(f"cannot load the archive of images: it holds no {error}") from error
    except (tarfile.TarError, EOFError, ValueError, TypeError) as error:
        raise ImageError(f"cannot load the archive of images: {error}") from error
    if not found:
        raise ImageError("cannot load the archive of images: it holds no images")
    return found


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file is not None else b""


def _read_saved(entry: dict[str, Any], document: dict[str, Any]) -> Saved:
    image_id = f"sha256:{entry['Config'].removesuffix('.json')}"
    inspected = {
        "Id": image_id,
        "Os": document["os"],
        "Architecture": document["architecture"],
        "Config": document["config"],
    }
    return Saved(read_image(inspected, image_id), tuple(entry.get("RepoTags") or ()))


def _name_config(image_id: str) -> str:
    return f"{image_id.removeprefix('sha256:')}.json"


def _describe(image: ImageInfo) -> dict[str, Any]:
    system, _, architecture = image.platform.partition("/")
    config: dict[str, Any] = {
        "Labels": dict(image.labels),
        "Env": [f"{name}={value}" for name, value in image.environment.items()],
        "ExposedPorts": {str(port): {} for port in image.ports},
        "Volumes": {path: {} for path in image.volumes},
        "Healthcheck": _describe_healthcheck(image.healthcheck) if image.healthcheck else None,
    }
    return {"os": system, "architecture": architecture, "config": config}


def _describe_healthcheck(check: Healthcheck) -> dict[str, Any]:
    def nanoseconds(seconds: float | None) -> int:
        return round((seconds or 0) * NANO)

    return {
        "Test": list(check.test or ()),
        "Interval": nanoseconds(check.interval),
        "Timeout": nanoseconds(check.timeout),
        "Retries": check.retries,
        "StartPeriod": nanoseconds(check.start_period),
        "StartInterval": nanoseconds(check.start_interval),
    }
