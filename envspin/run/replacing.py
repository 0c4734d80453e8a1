"""Files that are written whole or not at all: whoever reads one meanwhile sees the old one."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write and read that takes the place of ``path`` where nothing is raised, and else is removed.

    It lies beside ``path``, because only there can it be renamed at once, and gets the permissions of what it replaces.
    Raises OSError as writing does; then, too, ``path`` is as it was.
    """
    target = Path(os.path.realpath(path))  # a link stays, and what it leads to is replaced
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "it is no regular file", str(target))
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), _choose_mode(path))
            os.fsync(file.fileno())
        os.replace(temporary, target)  # noqa: PTH105 - one call, and the name says that it is atomic
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _choose_mode(path: Path) -> int:
    """Return the permissions of the file that is replaced, or those that a new file would get."""
    with suppress(OSError):
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
