"""The archive that a build sends: the context's files, and a Dockerfile of its own only where one is needed."""

from __future__ import annotations

import tarfile

import pytest

from envspin.engine.base import BuildRequest
from envspin.engine.docker.context import pack_context
from envspin.errors import ImageError

PINS = {"bases": {"base:1": "base@sha256:2"}}


@pytest.fixture
def context(tmp_path):
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_bytes(b"FROM base:1\r\nCOPY . .\n# \xff\n")
    (folder / "file").write_text("one")
    return folder


def unpack(context, **fields) -> tuple[dict[str, bytes], str]:
    """Return the files of the archive, and the Dockerfile's name."""
    archive, name = pack_context(BuildRequest("tag:1", context, **fields))
    with archive, tarfile.open(fileobj=archive) as tar:
        members = [member for member in tar if member.isfile()]
        assert len({member.name for member in members}) == len(members)
        return {member.name: tar.extractfile(member).read() for member in members}, name


def test_a_dockerfile_of_the_context_is_used_as_it_is(context):
    files, name = unpack(context)
    assert name == "Dockerfile"
    assert files == {each.name: each.read_bytes() for each in context.iterdir()}


def test_a_dockerfile_is_found_in_a_folder_of_the_context_and_through_dots(context):
    (context / "docker").mkdir()
    (context / "docker" / "prod").write_text("FROM other:1\n")
    assert unpack(context, dockerfile="docker/../docker/prod")[1] == "docker/prod"


def test_a_pinned_dockerfile_comes_under_a_name_that_is_ignored(context):
    files, name = unpack(context, **PINS)
    assert files.pop(name) == b"FROM base@sha256:2\r\nCOPY . .\n# \xff\n"
    assert files.pop(".dockerignore").decode().split() == [".dockerignore", name]
    assert files == {each.name: each.read_bytes() for each in context.iterdir()}


def test_pins_of_other_images_leave_the_context_alone(context):
    assert unpack(context, bases={"other:1": "other@sha256:2"}) == unpack(context)


def test_what_is_ignored_stays_ignored_beside_a_pinned_dockerfile(context):
    (context / ".dockerignore").write_bytes(b"# why\nfile\nDockerfile\n*.log\n!keep.log")
    (context / "keep.log").write_text("kept")
    (context / "drop.log").write_text("dropped")
    plain, _ = unpack(context)
    assert set(plain) == {".dockerignore", "Dockerfile", "keep.log"}  # the engine needs the Dockerfile, then drops it
    files, name = unpack(context, **PINS)
    assert set(files) == {".dockerignore", name, "keep.log"}
    assert files[".dockerignore"] == b"# why\nfile\nDockerfile\n*.log\n!keep.log\n" + name.encode() + b"\n"


def test_the_name_follows_the_content_so_that_a_cache_holds(context):
    first, again = unpack(context, **PINS)[1], unpack(context, **PINS)[1]
    assert first == again
    assert unpack(context, bases={"base:1": "base@sha256:3"})[1] != first


@pytest.mark.parametrize("where", ["inline", "outside"])
def test_a_dockerfile_from_elsewhere_is_added_and_pinned(context, where):
    (context.parent / "Elsewhere").write_text("FROM base:1\n")
    fields = {"dockerfile_inline": "FROM base:1\n"} if where == "inline" else {"dockerfile": "../Elsewhere"}
    files, name = unpack(context, **fields)
    assert files[name] == b"FROM base:1\n"
    assert files["Dockerfile"] == (context / "Dockerfile").read_bytes()
    files, name = unpack(context, **fields, **PINS)
    assert files[name] == b"FROM base@sha256:2\n"


@pytest.mark.parametrize("fields", [{}, {"dockerfile_inline": "FROM base:1\n"}])
def test_a_context_that_is_not_there_is_told(tmp_path, fields):
    with pytest.raises(ImageError, match="gone"):
        pack_context(BuildRequest("tag:1", tmp_path / "gone", **fields))
