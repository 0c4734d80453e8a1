"""A file is replaced whole or not at all, whatever fails on the way."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from envspin.run.replacing import replacing

OLD, NEW = b"old", b"new and longer"


@pytest.fixture
def path(tmp_path) -> Path:
    """A file of a folder in which there is nothing else."""
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


def refuse(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def list_names(path: Path) -> list[str]:
    return [each.name for each in path.parent.iterdir()]


def test_the_new_content_takes_the_place_of_the_old(path):
    with replacing(path) as file:
        file.write(NEW)
        assert path.read_bytes() == OLD
    assert path.read_bytes() == NEW
    assert list_names(path) == ["file"]


def test_whoever_reads_meanwhile_sees_the_old_one_to_its_end(path):
    with path.open("rb") as reading:
        with replacing(path) as file:
            file.write(NEW)
        assert reading.read() == OLD


def test_a_link_stays_and_what_it_leads_to_is_replaced(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    with replacing(link) as file:
        file.write(NEW)
    assert link.is_symlink()
    assert path.read_bytes() == NEW


def test_a_new_file_is_made(path):
    path.unlink()
    with replacing(path) as file:
        file.write(NEW)
    assert path.read_bytes() == NEW


def test_what_was_written_can_be_read_before_it_counts(path):
    with replacing(path) as file:
        file.write(NEW)
        file.seek(0)
        assert file.read() == NEW


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o755])
def test_permissions_stay(path, mode):
    path.chmod(mode)
    with replacing(path) as file:
        file.write(NEW)
    assert read_mode(path) == mode


def test_a_new_file_gets_the_permissions_of_new_files(path):
    path.unlink()
    mask = os.umask(0o027)
    try:
        with replacing(path) as file:
            file.write(NEW)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)
    assert read_mode(path) == 0o640


def write_and_raise(path: Path, error: BaseException) -> None:
    with replacing(path) as file:
        file.write(NEW)
        raise error


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_what_is_raised_meanwhile_leaves_the_old_content_and_nothing_else(path, error):
    with pytest.raises(type(error)) as caught:
        write_and_raise(path, error)
    assert caught.value is error
    assert path.read_bytes() == OLD
    assert list_names(path) == ["file"]


@pytest.mark.parametrize("call", ["fsync", "fchmod", "replace"])
def test_a_disk_that_is_full_leaves_the_old_content_and_nothing_else(path, monkeypatch, call):
    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OSError, match="No space left"), replacing(path) as file:
        file.write(NEW)
    assert path.read_bytes() == OLD
    assert list_names(path) == ["file"]


def test_content_is_on_the_disk_before_it_takes_the_place_of_the_old(path, monkeypatch):
    calls = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda old, new: (calls.append("replace"), rename(old, new)))
    with replacing(path) as file:
        file.write(NEW)
    assert calls == ["fsync", "replace"]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "missing" / "file"):
        raise AssertionError("nothing can be written")
