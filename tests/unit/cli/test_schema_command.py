"""``schema``: the JSON Schema, on stdout or in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from envspin.cli import context as cli_context
from envspin.topology.schema import make_schema


@pytest.fixture(autouse=True)
def no_engine(monkeypatch) -> None:
    def refuse():
        raise AssertionError("the engine was asked")

    monkeypatch.setattr(cli_context, "connect_engine", refuse)


def test_the_schema_goes_to_stdout_as_indented_json(invoke):
    result = invoke("schema")
    assert json.loads(result.stdout) == make_schema()
    assert result.stdout.splitlines()[1].startswith('  "$schema": "http://json-schema.org/draft-07/schema#"')
    assert result.stderr == ""


def test_keys_stand_in_one_order(invoke):
    first = invoke("schema").stdout
    assert invoke("schema").stdout == first
    assert list(json.loads(first)["properties"])[:2] == ["name", "services"]


def test_the_schema_goes_to_a_file(invoke):
    assert invoke("schema", "-o", "envspin.schema.json").output == ""
    text = Path("envspin.schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == make_schema()
    assert text.endswith("}\n")


def test_a_file_that_cannot_be_written_is_a_usage_error(invoke):
    assert "nowhere/a.json cannot be written" in invoke("schema", "--output", "nowhere/a.json", code=2).stderr


def test_the_help_says_how_an_editor_finds_it(invoke):
    assert "# yaml-language-server: $schema=./envspin.schema.json" in invoke("schema", "--help").stdout


def test_the_command_is_offered(invoke):
    assert "schema" in invoke("--help").stdout.split()
