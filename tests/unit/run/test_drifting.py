"""What a lock is compared with: folders of Kubernetes manifests."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from envspin.errors import TopologyError, UsageError
from envspin.run import drifting
from envspin.run.drifting import compare_with_file

from ..lock_builders import lock_image, make_lock_of

LOCK = make_lock_of(lock_image("postgres:16"), db="postgres:16")


def pod(image: str) -> str:
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  containers: [{{name: db, image: '{image}'}}]\n"


@pytest.fixture
def compare(tmp_path, monkeypatch) -> Callable[[dict[str, str | bytes]], list[tuple[str, str]]]:
    """Write files into a folder, whose own name is hidden, and return what differs there."""
    monkeypatch.chdir(tmp_path)

    def call(files: dict[str, str | bytes]) -> list[tuple[str, str]]:
        for name, content in files.items():
            path = Path(".k8s", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        found = compare_with_file(LOCK, ".k8s")
        return [(each.service, each.kind) for each in found]

    return call


def test_manifests_are_found_in_all_folders_below(compare):
    assert compare({"one/two/db.yml": pod("postgres:16"), "notes.txt": pod("postgres:1")}) == []
    assert compare({"one/other.json": pod("postgres:1")}) == [("db", "image-differs")]


@pytest.mark.parametrize("folder", [".git", ".cache/deep", "node_modules", "base/node_modules/x"])
def test_hidden_folders_and_packages_are_not_looked_at(compare, folder):
    assert compare({"db.yaml": pod("postgres:16"), f"{folder}/db.yaml": pod("postgres:1")}) == []


def test_a_folder_of_too_many_files_is_a_bad_call(compare, monkeypatch):
    monkeypatch.setattr(drifting, "MAX_FILES", 3)
    assert compare({"a/a.yaml": "a: b\n", "b.yml": "", "notes.txt": "", "z.yaml": pod("postgres:16")}) == []
    with pytest.raises(UsageError, match=r"the folder \.k8s holds more than 3 YAML and JSON files") as caught:
        compare({"c.json": "{}"})
    assert caught.value.hint == "name a folder or a file that holds less"


def test_files_are_read_one_after_the_other(compare):
    with pytest.raises(TopologyError, match="Helm"):
        compare({"a.yaml": pod("{{ .Values.image }}"), "b.yaml": b"\xff\xfe"})


def test_what_looks_like_a_file_and_is_none_is_passed_over(compare):
    Path(".k8s/folder.yaml").mkdir(parents=True)
    os.mkfifo(".k8s/pipe.yaml")
    Path(".k8s/broken.yaml").symlink_to("nowhere")
    assert compare({"db.yaml": pod("postgres:16")}) == []


def test_a_folder_that_cannot_be_looked_into_is_a_bad_call(compare, monkeypatch):
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "secret":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UsageError, match=r"\.k8s/secret cannot be read: Permission denied"):
        compare({"db.yaml": pod("postgres:16"), "secret/other.yaml": pod("postgres:1")})
