"""A topology's name is found even where the rest of it cannot be loaded."""

from __future__ import annotations

import pytest

from envspin.errors import TopologyError
from envspin.topology import read_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("name: shop\nservices: {a: {image: '${UNSET:?}'}}", "shop"),
        ("name: ${TEAM}-shop\nservices: {}", "blue-shop"),
        ("services: {a: {unknown: 1}}", "my-folder"),
    ],
)
def test_the_name_is_read_alone(tmp_path, text, name):
    folder = tmp_path / "my-folder"
    folder.mkdir()
    (folder / "compose.yaml").write_text(text)
    assert read_name(folder, environ={"TEAM": "blue"}) == name


def test_without_a_file_there_is_no_name(tmp_path):
    with pytest.raises(TopologyError):
        read_name(tmp_path, environ={})
