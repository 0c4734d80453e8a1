"""Help: complete, the same with and without click, and cheap."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import click
import pytest

from envspin import __version__
from envspin.cli import find_quick_answer
from envspin.cli.app import cli
from envspin.cli.catalog import COMMANDS

SLOW = {"docker", "networkx", "pydantic", "rich", "testcontainers", "yaml", "pytest", "jinja2", "requests"}


def load(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert isinstance(command, click.Command)
    return command


def walk() -> list[tuple[str, click.Command]]:
    found = []
    for name in COMMANDS:
        command = load(name)
        found.append((name, command))
        if isinstance(command, click.Group):
            found.extend((f"{name} {sub}", each) for sub, each in command.commands.items())
    return found


@pytest.mark.parametrize("option", ["--help", "-h", "--version"])
def test_the_quick_answer_is_what_click_says(invoke, option):
    assert find_quick_answer([option]) == invoke(option).stdout


def test_every_other_call_goes_through_click(monkeypatch):
    assert find_quick_answer(["up", "--help"]) is None
    assert find_quick_answer([]) is None
    monkeypatch.setenv("_ENVSPIN_COMPLETE", "bash_source")
    assert find_quick_answer(["--help"]) is None


def test_the_version_is_told(invoke):
    assert invoke("--version").stdout == f"envspin {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_alike_in_both_places(invoke, name):
    text = invoke(name, "--help").stdout
    assert " ".join(text.split()).startswith(f"Usage: envspin {name}")
    assert load(name).get_short_help_str(limit=200).rstrip(".") == COMMANDS[name].rstrip(".").rstrip()


@pytest.mark.parametrize(("name", "command"), walk(), ids=[name for name, _ in walk()])
def test_every_option_has_help(name, command):
    assert command.help
    undocumented = [
        parameter.name
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help and not isinstance(parameter.type, click.Choice)
    ]
    assert undocumented == []


@pytest.mark.parametrize("name", ["completion", "env", "exec", "graph", "run"])
def test_examples_keep_their_lines(invoke, name):
    text = invoke(name, "--help").stdout
    assert "\\b" not in text
    assert re.search(rf"^  [^\n]+:\n    .*envspin {name}", text, re.MULTILINE)


def test_help_fits_into_eighty_columns(invoke):
    wide = [line for name in COMMANDS for line in invoke(name, "--help").stdout.splitlines() if len(line) > 80]
    wide += [line for line in str(find_quick_answer(["--help"])).splitlines() if len(line) > 80]
    assert wide == []


def list_imports(*words: str) -> set[str]:
    script = (
        "import sys, json\n"
        f"sys.argv = ['envspin', *{list(words)!r}]\n"
        "from envspin.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(run.stderr.splitlines()[-1]))


def test_the_help_does_not_even_import_click():
    assert not (SLOW | {"click"}) & list_imports("--help")
    assert not (SLOW | {"click"}) & list_imports("--version")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_imports_nothing_slow(name):
    assert not SLOW & list_imports(name, "--help")


@pytest.mark.parametrize("words", [["ls"], ["down", "--all"]], ids=["ls", "down"])
def test_commands_that_only_look_import_only_what_they_need(words, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    imported = list_imports(*words)
    assert "docker" in imported
    assert not {"networkx", "pydantic", "testcontainers", "rich", "pytest"} & imported


def test_an_unknown_command_is_met_with_the_nearest_one(invoke):
    assert "did you mean 'logs'?" in invoke("logz", code=2).stderr
    assert "see `envspin --help`" in invoke("frobnicate", code=2).stderr


def test_python_m_envspin_is_the_same():
    run = subprocess.run([sys.executable, "-m", "envspin", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"envspin {__version__}\n"


def test_a_closed_pipe_is_no_drama():
    read = "import os, sys; os.close(0)"
    line = f"{sys.executable} -m envspin --help | {sys.executable} -c '{read}'"
    run = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert run.stderr == ""
