"""``bundle`` and ``bundle load``: what they print, with which exit code, and where no bundle is written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from envspin.run import locking

from ..lock_builders import AMD, ScriptedRegistries

TAR = Path("shop.tar")
NAMES = {"api:1", "migrate:1", "postgres:16"}


@pytest.fixture
def locked(monkeypatch, invoke, engine, shop) -> Path:
    """Lock the shop with digests of no registry."""
    monkeypatch.setattr(locking, "RegistryClient", ScriptedRegistries())
    invoke("lock", "shop")
    engine.calls.clear()
    return shop


def test_bundling_says_what_it_wrote_and_loading_what_it_read(invoke, locked):
    wrote = invoke("bundle", "shop", "-o", TAR).stdout
    told = f"{TAR}: 3 images of shop for {AMD}, {TAR.stat().st_size / 1e6:.1f} MB\n"
    assert wrote == f"wrote {told}"
    assert invoke("bundle", "load", TAR).stdout == f"loaded {told}"


def test_both_print_the_same_document(invoke, locked):
    document = json.loads(invoke("bundle", "shop", "-o", TAR, "--json").stdout)
    assert document.keys() == {"topology", "platform", "file", "bytes", "images"}
    assert (document["topology"], document["platform"], document["file"]) == ("shop", AMD, str(TAR))
    assert document["bytes"] == TAR.stat().st_size
    assert {each["name"] for each in document["images"]} == NAMES
    assert all(each.keys() == {"name", "id", "built"} and each["built"] is False for each in document["images"])
    assert json.loads(invoke("bundle", "load", TAR, "--json").stdout) == document


def test_a_build_is_counted_as_one(invoke, locked):
    text = (locked / "compose.yaml").read_text().replace("image: api:1", "build: api")
    (locked / "compose.yaml").write_text(text)
    (locked / "api").mkdir()
    (locked / "api" / "Dockerfile").write_text("FROM scratch\n")
    invoke("lock", "shop")
    assert "1 build, 2 images of shop" in invoke("bundle", "shop", "-o", TAR).stdout


def test_a_folder_called_load_is_written_with_its_path(invoke, locked):
    locked.rename("load")
    assert "3 images of shop" in invoke("bundle", "./load", "-o", TAR).stdout


def test_an_output_must_be_named(invoke, locked):
    assert "--output" in invoke("bundle", "shop", code=2).stderr


def test_a_bundle_does_not_go_to_standard_output(invoke, engine, locked):
    result = invoke("bundle", "shop", "-o", "-", code=2)
    assert "a bundle goes to a file, not to standard output" in result.stderr
    assert "`-o shop.tar`" in result.stderr
    assert result.stdout == ""
    assert not Path("-").exists()
    assert engine.calls == []


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("pipe", "pipe cannot be written: it is no regular file"),
        ("/dev/null", "/dev/null cannot be written: it is no regular file"),
        ("missing/shop.tar", "there is no folder missing"),
        ("shop/compose.yaml/shop.tar", "there is no folder shop/compose.yaml"),
        (f"{'x' * 300}/shop.tar", "there is no folder"),
        ("x" * 300, "cannot be written: File name too long"),
        ("loop", "cannot be written: Too many levels of symbolic links"),
        ("shop", "is a directory"),
    ],
)
def test_an_output_that_cannot_be_is_told(invoke, locked, output, told):
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    before = {each.name for each in Path().iterdir()}
    assert told in invoke("bundle", "shop", "-o", output, code=2).stderr
    assert {each.name for each in Path().iterdir()} == before
    assert Path("pipe").is_fifo()


def test_a_folder_that_may_not_be_written_is_told_before_anything_is_pulled(invoke, engine, locked, monkeypatch):
    access = os.access
    # Root, as whom tests often run, may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode, **more: mode != os.W_OK and access(path, mode, **more))
    assert "nothing can be written in the folder" in invoke("bundle", "shop", "-o", TAR, code=2).stderr
    assert engine.calls == []


def test_without_a_lock_the_exit_code_is_that_of_locks(invoke, engine, shop):
    assert "there is no shop/envspin.lock" in invoke("bundle", "shop", "-o", TAR, code=5).stderr
    assert not TAR.exists()


def test_a_lock_that_does_not_fit_has_the_exit_code_of_locks(invoke, locked):
    path = locked / "compose.yaml"
    path.write_text(path.read_text().replace("postgres:16", "postgres:17"))
    result = invoke("bundle", "shop", "-o", TAR, code=5)
    assert "the lock of shop does not fit it any more" in result.stderr
    assert "`envspin lock shop`" in result.stderr


def test_what_is_no_bundle_is_bad_usage(invoke, engine):
    TAR.write_text("no bundle")
    result = invoke("bundle", "load", TAR, code=2)
    assert "shop.tar is no bundle, or not all of one" in result.stderr
    assert "`envspin bundle FILE -o shop.tar` writes one" in result.stderr
    assert "No such file" in invoke("bundle", "load", "missing.tar", code=2).stderr
