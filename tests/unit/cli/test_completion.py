"""Completion: scripts for three shells, names from the engine and from files, silence where there are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from envspin.cli import context as cli_context
from envspin.cli.app import cli
from envspin.errors import EngineUnreachableError


def complete(*words: str) -> list[str]:
    return [value for value, _ in complete_types(*words)]


def complete_types(*words: str) -> list[tuple[str, str]]:
    """Return what is offered, and how a shell is to take it."""
    *before, incomplete = words
    completion = ShellComplete(cli, {}, "envspin", "_ENVSPIN_COMPLETE")
    return [(item.value, item.type) for item in completion.get_completions(list(before), incomplete)]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(invoke, shell):
    script = invoke("completion", shell).stdout
    assert "_ENVSPIN_COMPLETE" in script
    assert f"{shell}_complete" in script


def test_the_shell_is_the_users_own_if_none_is_named(invoke, monkeypatch):
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert "fish_complete" in invoke("completion").stdout
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert "bash, zsh, fish" in invoke("completion", code=2).stderr


def test_bash_reads_its_script(invoke):
    script = invoke("completion", "bash").stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_commands_are_offered():
    assert complete("do") == ["down", "doctor"]
    assert "start" in complete("engine", "")


def test_environments_are_offered(engine, up):
    up("one"), up("two")
    assert complete("ps", "") == ["one", "two"]
    assert complete("down", "one", "t") == ["two"]
    assert complete("env", "tw") == ["two"]


def test_words_begin_with_environments_or_services(engine, up):
    up("mine")
    assert complete("logs", "") == ["mine", "api", "db", "migrate"]
    assert complete("logs", "mine", "") == ["api", "db", "migrate"]
    assert complete("exec", "d") == ["db"]
    assert complete("port", "mine", "api", "") == []


def test_services_come_from_the_file(shop):
    assert complete("plan", "shop", "--only", "") == ["db", "migrate", "api"]
    assert complete("up", "-f", "shop/compose.yaml", "--stub", "a") == ["api"]
    assert complete("config", "shop", "--set", "d") == ["db="]


def test_services_to_lock_anew_come_from_the_file(shop):
    assert complete("lock", "shop", "--upgrade", "") == ["db", "migrate", "api"]
    assert complete("lock", "-f", "shop/compose.yaml", "--upgrade", "m") == ["migrate"]


def test_drift_is_against_registries_environments_and_files(engine, up):
    up("one")
    Path("other.yaml").touch()
    assert complete("drift", "shop", "--against", "") == ["registry", "one", "other.yaml", "shop/"]
    assert complete("drift", "shop", "--against", "o") == ["one", "other.yaml"]
    assert complete_types("drift", "shop", "--against", "s") == [("s", "file")]
    assert complete_types("drift", "shop", "--against", "shop/") == [("shop/", "file")]


@pytest.mark.parametrize(("command", "word"), [("bundle", "load"), ("config", "diff")])
def test_a_command_in_a_command_is_offered_beside_files(shop, command, word):
    for name in (".hidden", "two words", "$(reboot)", f"{word}.yaml"):
        Path(name).touch()
    assert complete(command, "") == [word, *sorted([f"{word}.yaml", "shop/"])]
    assert complete(command, word[0]) == [word, f"{word}.yaml"]
    assert complete_types(command, "s") == [("s", "file")]


@pytest.mark.parametrize(("command", "word"), [("bundle", "load"), ("config", "diff")])
def test_bash_offers_a_command_in_a_command(invoke, shop, command, word):
    """Click's script for bash forgets the words before what is to be completed as a file."""
    script = invoke("completion", "bash").stdout
    asked = f"""{script}
compopt() {{ :; }}
COMP_WORDS=(envspin {command} '') COMP_CWORD=2
_envspin_completion "$1"
printf '%s\n' "${{COMPREPLY[@]}}"
"""
    program = Path(sys.executable).with_name("envspin")
    done = subprocess.run(
        ["bash", "-c", asked, "bash", program], text=True, check=True, capture_output=True, stdin=subprocess.DEVNULL
    )
    assert done.stdout.split() == [word, "shop/"]


def test_without_an_engine_or_a_file_nothing_is_offered_and_nothing_said(monkeypatch, capfd):
    def refuse():
        raise EngineUnreachableError("no container engine answers")

    monkeypatch.setattr(cli_context, "connect_engine", refuse)
    assert complete("ps", "") == []
    assert complete("logs", "") == []
    assert complete("plan", "--only", "") == []
    Path("compose.yaml").write_text("services: [")
    assert complete("plan", "--only", "") == []
    assert capfd.readouterr() == ("", "")


def test_completion_does_not_run_commands(monkeypatch):
    monkeypatch.setattr(click.Command, "invoke", lambda *_: pytest.fail("a command was run"))
    complete("up", "")
