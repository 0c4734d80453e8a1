"""The files of the in-memory engine's containers: which store a path falls into, and unpacking archives."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from envspin.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envspin.engine.base import MountSpec
    from envspin.engine.fake.world import FakeContainer


def read_file(container: FakeContainer, path: str) -> bytes | None:
    """Return the content of a file of a container, a bind mount being read from the host; None if missing."""
    mount = _find_mount(container, path)
    if mount is not None and mount.kind == "bind" and mount.source is not None:
        source = Path(mount.source).joinpath(*PurePosixPath(path).relative_to(mount.target).parts)
        return source.read_bytes() if source.is_file() else None
    files, key = _find_store(container, path)
    return files.get(key)


def unpack(container: FakeContainer, archive: bytes, path: str) -> None:
    """Put the regular files of a tar archive into a container below ``path``, its volumes included.

    Raises EngineError for an archive that is none, and, as a real engine does, for a path on a read-only root.
    """
    files, _ = _find_store(container, path)
    if container.spec.read_only and files is container.files:
        raise EngineError(f"container {container.spec.name}: rootfs is marked read-only")
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is not None:
                    files, key = _find_store(container, str(PurePosixPath(path, member.name.lstrip("/"))))
                    files[key] = content.read()
    except tarfile.TarError as error:
        raise EngineError(f"container {container.spec.name}: unpacking failed", context=[str(error)]) from error


def _find_mount(container: FakeContainer, path: str) -> MountSpec | None:
    inside = (mount for mount in container.spec.mounts if PurePosixPath(path).is_relative_to(mount.target))
    return max(inside, key=lambda mount: len(mount.target), default=None)


def _find_store(container: FakeContainer, path: str) -> tuple[dict[str, bytes], str]:
    stores: Mapping[str, dict[str, bytes]] = {
        **{target: volume.files for target, volume in container.volumes.items()},
        **container.tmpfs,
    }
    inside = (target for target in stores if PurePosixPath(path).is_relative_to(target))
    target = max(inside, key=len, default=None)
    if target is None:
        return container.files, path
    return stores[target], str(PurePosixPath(path).relative_to(target))
