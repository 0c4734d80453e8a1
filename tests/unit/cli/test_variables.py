"""Variables survive the way through dotenv and shell, whatever they hold."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from envspin.cli.variables import render_variables
from envspin.topology import load_topology

VALUES = ["", "plain", "a b", "it's", 'say "hi"', "$HOME `id` $(id)", "a\\b", "#no comment", "x=y&z;w", "ä ö", "'\"$\\"]


def read_back(text: str) -> str:
    run = subprocess.run(["sh", "-c", f'{text}\nprintf %s "$NAME"'], env={}, capture_output=True, text=True, check=True)
    return run.stdout


@pytest.mark.parametrize("value", [*VALUES, "two\nlines"])
def test_a_shell_reads_its_form_back(value):
    assert read_back(render_variables({"NAME": value}, "shell")) == value


@pytest.mark.parametrize("value", VALUES)
def test_a_shell_reads_dotenv_back_where_it_is_one_line(value):
    assert read_back(render_variables({"NAME": value}, "dotenv")) == value


@pytest.mark.parametrize("value", ["it's `id`", "a\\`id`", "\n`id`"])
def test_a_shell_never_runs_what_stands_between_backticks(value):
    assert read_back(render_variables({"NAME": value}, "dotenv")).count("id") == 1


@example("\n`")
@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=40))
def test_compose_reads_dotenv_back(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("dotenv")
    (folder / "vars.env").write_text(render_variables({"NAME": value, "AFTER": "1"}, "dotenv") + "\n")
    (folder / "compose.yaml").write_text("services: {a: {image: a, env_file: vars.env}}\n")
    read = load_topology([folder / "compose.yaml"], environ={}).services["a"].environment
    assert read == {"NAME": value, "AFTER": "1"}
