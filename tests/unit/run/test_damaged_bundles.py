"""What only claims to be a bundle is refused before an engine gets it, costs no memory, and is never printed."""

from __future__ import annotations

import io
import json
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from envspin.engine.fake import FakeEngine
from envspin.errors import ImageError, UsageError
from envspin.run.bundles import CONTENTS_NAME, MAX_CONTENTS, BundledImage, load_bundle, read_bundle

from ..lock_builders import AMD, sha

ID = sha("config")
DOCUMENT = {
    "format": 1,
    "topology": "shop",
    "platform": AMD,
    "images": [{"name": "postgres:16", "id": ID, "built": False}],
}
TITLE = "\x1b]0;x\x07"


def make_archive(contents: bytes | None, *, before: bytes = b"") -> bytes:
    """Return an archive with a list of what is in it, behind other bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        if contents is not None:
            member = tarfile.TarInfo(CONTENTS_NAME)
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))
    return before + buffer.getvalue()


def refuse(path: Path) -> UsageError:
    """Load what is no bundle and return the error; the engine must not have been asked for anything."""
    engine = FakeEngine()
    with pytest.raises(UsageError) as caught:
        load_bundle(engine, path)
    assert engine.calls == []
    assert str(caught.value).replace("\n", "").isprintable()
    return caught.value


def change(**fields: object) -> bytes:
    return json.dumps({**DOCUMENT, **fields}).encode()


def change_image(**fields: object) -> bytes:
    return change(images=[{**DOCUMENT["images"][0], **fields}])


NO_CONTENTS = {
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe{}",
    "a list": b"[]",
    "a word": b'"format"',
    "an empty object": b"{}",
    "deep": b"[" * 1_000_000,
    "a long number": b'{"format": ' + b"1" * 10_000 + b"}",
    "too much": b" " * MAX_CONTENTS + change(),
    "images that are a number": change(images=1),
    "images that are words": change(images=["postgres:16"]),
    "images that are null": change(images=[None]),
    "no topology": change(topology=None),
    "a format of nothing": change(format=None),
    "an earlier format": change(format=0),
    "a title in the topology": change(topology=f"shop{TITLE}"),
    "a title in the platform": change(platform=TITLE),
    "a title in a name": change_image(name=f"postgres:16{TITLE}"),
    "a title in an id": change_image(id=f"{ID}{TITLE}"),
    "lines in the topology": change(topology="shop\nloaded"),
    "half a character": change(topology="\ud800"),
    "letters from right to left": change(topology="\u202eshop"),
    "a long topology": change(topology="s" * 100_000),
    "a name that is none": change_image(name="Not A Name"),
    "a name in place of an id": change_image(id="postgres:16"),
    "an image without an id": change(images=[{"name": "postgres:16", "built": False}]),
}


@pytest.mark.parametrize("contents", NO_CONTENTS.values(), ids=NO_CONTENTS.keys())
def test_a_list_of_contents_that_is_wrong_is_refused_and_never_printed(tmp_path, contents):
    path = tmp_path / "shop.tar"
    path.write_bytes(make_archive(contents))
    assert refuse(path).message == f"{path} is no bundle, or not all of one"


def test_a_later_format_asks_for_a_later_envspin(tmp_path):
    path = tmp_path / "shop.tar"
    path.write_bytes(make_archive(b'{"format": 2, "pictures": []}'))
    error = refuse(path)
    assert (error.message, error.hint) == (f"{path} was written by a later envspin", "upgrade envspin")


NO_ARCHIVES = {
    "nothing": b"",
    "garbage": bytes(range(256)) * 100,
    "text": b"no bundle at all\n" * 100,
    "zeros": bytes(10_240),
    "no contents": make_archive(None),
    "no tar behind the contents": make_archive(change()).rstrip(b"\0") + b"x" * 1024,
    "compressed": b"\x1f\x8b\x08" + bytes(1000),
}


@pytest.mark.parametrize("content", NO_ARCHIVES.values(), ids=NO_ARCHIVES.keys())
def test_what_is_no_archive_of_a_bundle_is_refused(tmp_path, content):
    path = tmp_path / "shop.tar"
    path.write_bytes(content)
    assert "is no bundle" in refuse(path).message


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_contents_that_are_no_file_are_refused(tmp_path, kind):
    path = tmp_path / "shop.tar"
    member = tarfile.TarInfo(CONTENTS_NAME)
    member.type, member.linkname = kind, CONTENTS_NAME
    with tarfile.open(path, "w") as tar:
        tar.addfile(member)
    assert "is no bundle" in refuse(path).message


def make_header(kind: bytes, size: int, name: str = "extended") -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_an_extended_header_is_not_read_whatever_size_it_claims(tmp_path, kind):
    path, size = tmp_path / "shop.tar", 4 << 30
    with path.open("wb") as file:
        file.write(make_header(kind, size))
        file.seek(size, os.SEEK_CUR)
        file.write(make_archive(change()))
    tracemalloc.start()
    try:
        assert "is no bundle" in refuse(path).message
        assert tracemalloc.get_traced_memory()[1] < MAX_CONTENTS
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [-512, -1, 1 << 62, 1 << 80])
@pytest.mark.parametrize("kind", [b"0", b"x"])
def test_a_size_that_cannot_be_is_refused(tmp_path, size, kind):
    path = tmp_path / "shop.tar"
    path.write_bytes(make_archive(change(), before=make_header(kind, size)))
    assert "is no bundle" in refuse(path).message


def test_a_layer_of_more_than_8_gib_is_passed_over(tmp_path):
    path, layer = tmp_path / "shop.tar", tarfile.TarInfo("layer.tar")
    layer.size = 9 << 30
    with path.open("wb") as file:
        file.write(layer.tobuf(tarfile.PAX_FORMAT))
        file.seek(layer.size, os.SEEK_CUR)
        file.write(make_archive(change()))
    assert read_bundle(path).images == (BundledImage("postgres:16", ID),)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert refuse(path).message == f"{path} is no regular file"


def test_a_file_that_is_not_there_is_told(tmp_path):
    assert refuse(tmp_path / "shop.tar").message == f"{tmp_path / 'shop.tar'} cannot be read: No such file or directory"


def test_an_archive_whose_images_are_damaged_is_an_image_error(tmp_path):
    path = tmp_path / "shop.tar"
    path.write_bytes(make_archive(change()))
    with pytest.raises(ImageError, match="cannot load the archive of images"):
        load_bundle(FakeEngine(), path)
