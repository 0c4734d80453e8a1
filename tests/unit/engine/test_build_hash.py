"""What a build depends on, read off its Dockerfile and context, and hashed alike on every machine."""

from __future__ import annotations

import os
import shutil

import pytest

from envspin.engine.base import BuildRequest, ImageInfo
from envspin.engine.docker.context import hash_build, hash_content, list_bases
from envspin.errors import ImageError


@pytest.fixture
def context(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM base:1\nCOPY . .\n")
    (tmp_path / "file").write_text("one")
    (tmp_path / "folder").mkdir()
    return tmp_path


def make_hash(context, *, base="sha256:1", **fields) -> str:
    held = ImageInfo(base) if base is not None else None
    return hash_build(BuildRequest("tag:1", context, **fields), lambda _reference: held).whole


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


@pytest.mark.parametrize(
    "fields",
    [
        {"args": {"A": "1"}},
        {"target": "x"},
        {"platform": "linux/arm64"},
        {"labels": {"a": "b"}},
        {"network": "host"},
        {"extra_hosts": ("db:10.0.0.1",)},
        {"dockerfile_inline": "FROM base:2\n"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_every_option_of_a_build_counts_in_its_content(context, fields):
    plain, changed = BuildRequest("tag:1", context), BuildRequest("tag:1", context, **fields)
    assert hash_content(plain) != hash_content(changed)


@pytest.mark.parametrize("fields", [{"bases": {"base:1": "sha256:2"}}, {"no_cache": True}, {"pull": True}])
def test_bases_and_how_the_engine_goes_about_it_are_no_content(context, fields):
    plain, changed = BuildRequest("tag:1", context), BuildRequest("other:1", context, **fields)
    assert hash_content(plain) == hash_content(changed)


def test_the_content_hash_of_known_files_is_the_same_everywhere_and_for_ever(tmp_path):
    context = tmp_path / "context"
    (context / "src" / "empty").mkdir(parents=True)
    (context / "Dockerfile").write_bytes(b"FROM base:1\nCOPY . .\n")
    (context / "src" / "run.sh").write_bytes(b"#!/bin/sh\n")
    (context / "src" / "run.sh").chmod(0o755)
    (context / "src.txt").write_bytes(b"text\xff")
    (context / "link").symlink_to("src/run.sh")
    request = BuildRequest("tag:1", context, args={"B": "2", "A": "1"})
    assert hash_content(request) == "90a83720c99bea44ef3c62bf0f9c93ed870699e5ee06ae4511e0b2e1652949bc"


def test_a_copy_elsewhere_with_other_times_and_rights_has_the_same_hash(context, tmp_path):
    copy = tmp_path / "copy"
    before = make_hash(context)
    shutil.copytree(context, copy, ignore=lambda folder, names: {"copy"} & set(names))
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
    (copy / "file").chmod(0o600)
    (copy / "folder").rmdir()
    assert make_hash(copy) == before


def test_names_and_contents_of_files_are_kept_apart(context):
    (context / "file").write_text("")
    (context / "a").write_text("bc")
    first = make_hash(context)
    (context / "a").unlink()
    (context / "ab").write_text("c")
    assert make_hash(context) != first


def test_a_pinned_base_counts_by_its_pin_whatever_the_engine_holds(context):
    pinned = {"bases": {"base:1": "base@sha256:2"}}
    assert make_hash(context, base="sha256:1", **pinned) == make_hash(context, base=None, **pinned)
    assert make_hash(context, **pinned) != make_hash(context, bases={"base:1": "base@sha256:3"})
    assert make_hash(context, bases={"other:1": "base@sha256:2"}) == make_hash(context)


def test_bases_are_those_of_the_dockerfile_as_it_is_built(context):
    (context / "Dockerfile").write_text("ARG V=1\nFROM base:$V AS one\nFROM other:1\nCOPY --from=tools:1 /a /a\n")
    assert list_bases(BuildRequest("tag:1", context)) == ("base:1", "other:1", "tools:1")
    assert list_bases(BuildRequest("tag:1", context, args={"V": "2"}, target="one")) == ("base:2",)
    assert list_bases(BuildRequest("tag:1", context, dockerfile_inline="FROM inline:1\n")) == ("inline:1",)


def test_a_context_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ImageError, match=r"cannot read the build context .*gone"):
        make_hash(tmp_path / "gone", dockerfile_inline="FROM base:1\n")


def test_a_link_counts_by_where_it_points_and_is_not_followed(context):
    (context / "link").symlink_to("link")
    loop = make_hash(context)
    (context / "link").unlink()
    (context / "link").symlink_to("/nowhere")
    assert make_hash(context) != loop
