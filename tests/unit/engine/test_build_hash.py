"""What a build depends on, read off its Dockerfile and context."""

from __future__ import annotations

import pytest

from envspin.engine.base import BuildRequest
from envspin.engine.docker.images import find_bases, hash_build
from envspin.errors import ImageError


@pytest.mark.parametrize(
    ("dockerfile", "args", "bases"),
    [
        ("FROM debian:12\nRUN true\n", {}, ["debian:12"]),
        ("FROM --platform=linux/amd64 debian:12 AS one\nFROM one\nFROM scratch\n", {}, ["debian:12"]),
        ("FROM go AS Builder\nFROM builder\n", {}, ["go"]),
        ("ARG BASE=debian:12\nFROM ${BASE}\n", {}, ["debian:12"]),
        ("ARG BASE=debian:12\nFROM $BASE\n", {"BASE": "debian:13"}, ["debian:13"]),
        ("ARG BASE\nFROM ${BASE}\n", {}, []),
        ("ARG V='12'\nfrom debian:${V:-11}-slim\n", {}, ["debian:12-slim"]),
    ],
)
def test_bases_are_found_with_arguments_and_without_stages(dockerfile, args, bases):
    assert find_bases(dockerfile, args) == bases


@pytest.fixture
def context(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM base:1\nCOPY . .\n")
    (tmp_path / "file").write_text("one")
    (tmp_path / "folder").mkdir()
    return tmp_path


def make_hash(context, *, base="sha256:1", **fields) -> str:
    return hash_build(BuildRequest("tag:1", context, **fields), lambda _reference: base)


def test_the_hash_changes_with_everything_that_goes_in(context):
    seen = {
        make_hash(context),
        make_hash(context, args={"A": "1"}),
        make_hash(context, target="x"),
        make_hash(context, base=None),
    }
    (context / "file").write_text("two")
    seen.add(make_hash(context))
    (context / "file").chmod(0o755)
    seen.add(make_hash(context))
    (context / "more").symlink_to("file")
    seen.add(make_hash(context))
    (context / "Dockerfile").write_text("FROM base:1\n")
    seen.add(make_hash(context))
    assert len(seen) == 8


def test_the_hash_is_the_same_for_the_same_and_for_ignored_files(context):
    (context / ".dockerignore").write_text("# a comment\nignored\n")
    before = make_hash(context)
    (context / "ignored").write_text("anything")
    assert make_hash(context) == before == make_hash(context)


def test_a_dockerfile_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ImageError, match=r"cannot read .*Dockerfile"):
        make_hash(tmp_path)
