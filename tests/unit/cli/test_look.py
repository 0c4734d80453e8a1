"""``ls``, ``ps``, ``logs``, ``exec``, ``port`` and ``env``, and how they find the environment that is meant."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from envspin.engine.fake import ExecCall, ExecReply, Line, Script


def test_ls_lists_environments_and_what_holds_them(invoke, engine, up):
    up("mine")
    lines = invoke("ls").stdout.splitlines()
    assert lines[0].split() == ["ENV", "TOPOLOGY", "STATE", "HELD", "BY", "EXPIRES", "IN", "SERVICES"]
    assert lines[1].split("  ")[0] == "mine"
    assert "lease" in lines[1]
    assert "7 h 59 m" in lines[1] or "8 h 00 m" in lines[1]
    (entry,) = json.loads(invoke("ls", "--json").stdout)
    assert entry.keys() == {"env", "topology", "state", "owner_alive", "expires", "services"}


def test_an_empty_ls_prints_no_data(invoke, engine):
    result = invoke("ls")
    assert result.stdout == ""
    assert "no environment" in result.stderr
    assert json.loads(invoke("ls", "--json").stdout) == []


def test_ps_shows_each_service(invoke, engine, up):
    up("mine")
    rows = {line.split()[0]: line.split() for line in invoke("ps").stdout.splitlines()[1:]}
    assert rows["db"][1] == "ready"
    assert rows["migrate"][1] == "completed"
    assert rows["db"][3].endswith("->5432/tcp")
    documents = {each.pop("service"): each for each in json.loads(invoke("ps", "mine", "--json").stdout)}
    assert documents["db"].keys() == {
        "state", "replica_of", "image", "digest", "pin", "container", "endpoints", "seconds", "started_at", "ready_at",
    }  # fmt: skip
    assert documents["db"]["started_at"] < documents["db"]["ready_at"] < documents["api"]["ready_at"]


def test_logs_of_several_services_stand_in_the_order_of_their_writing(invoke, engine, up):
    engine.behave("db", Script(lines=(Line("up"), Line("later", at=0.4))))
    engine.behave("api", Script(lines=(Line("up", at=0.05),)))
    up("mine")
    engine.advance(1)
    assert invoke("logs").stdout.splitlines() == [
        "db      | up",
        "migrate | migrating",
        "api     | up",
        "db      | later",
    ]


def test_logs_of_one_service_are_its_own_words(invoke, engine, up):
    up("mine")
    assert invoke("logs", "db").stdout == "up\nserving\n"
    assert invoke("logs", "mine", "db", "-n", "1").stdout == "serving\n"
    assert "did you mean 'migrate'?" in invoke("logs", "mine", "migrat", code=2).stderr


def test_logs_follow_until_all_have_ended(invoke, engine, up):
    up("mine")
    assert invoke("logs", "-f", "migrate").stdout == "migrating\n"


def test_ctrl_c_ends_following_without_a_word(invoke, engine, up, monkeypatch):
    up("mine")

    def interrupt(_service, _line):
        raise KeyboardInterrupt

    monkeypatch.setattr("envspin.cli.commands.logs.make_printer", lambda _services: interrupt)
    assert invoke("logs", "-f", code=130).output == ""
    assert "envspin-mine-db" in engine.names()


@pytest.mark.parametrize("word", ["mine", "mi", "shop", "./shop", "shop/compose.yaml"])
def test_the_first_word_may_name_the_environment(invoke, engine, up, word):
    up("mine")
    assert invoke("logs", word, "db").stdout == "up\nserving\n"
    assert invoke("port", word, "db", "5432").stdout == invoke("port", "db").stdout


def test_a_folder_of_a_services_name_does_not_hide_the_service(invoke, engine, up):
    up("mine")
    Path("db").mkdir()
    assert invoke("logs", "db").stdout == "up\nserving\n"


def test_with_several_environments_one_must_be_named(invoke, engine, up):
    up("one"), up("two")
    assert "several environments" in invoke("logs", "db", code=2).stderr
    assert "several environments" in invoke("ps", code=2).stderr
    assert invoke("logs", "two", "db").stdout == "up\nserving\n"


def test_without_any_environment_that_is_told(invoke, engine):
    for words in (["ps"], ["logs"], ["env"], ["port", "db"], ["exec", "db", "--", "whoami"]):
        assert "no environment is running" in invoke(*words, code=2).stderr


def test_exec_passes_output_and_code_through(invoke, engine, up):
    up("mine")
    assert invoke("exec", "db", "--", "whoami").stdout == "app\n"
    assert invoke("exec", "mine", "db", "--", "false", code=3).stdout == "no\n"
    assert "no service" in invoke("exec", "dbx", "--", "whoami", code=2).stderr


@pytest.mark.parametrize("words", [("exec", "db", "psql", "-U", "notes"), ("exec", "db", "ls"), ("run", ".", "ls")])
def test_a_command_without_its_dashes_is_told_where_it_stands(invoke, words):
    assert f"after two dashes: `envspin {words[0]} ... -- CMD`" in invoke(*words, code=2).stderr


def test_exec_hands_over_the_user_and_every_word(invoke, engine, up):
    def repeat(call: ExecCall) -> ExecReply:
        return ExecReply(0, f"{call.user} {shlex.join(call.command)}\n")

    engine.behave("db", Script(lines=(Line("up"),), execs={"say": repeat}))
    up("mine")
    said = invoke("exec", "-u", "nobody", "db", "--", "say", "-u", "a b", "--", "--json").stdout
    assert said == "nobody say -u 'a b' -- --json\n"


def test_port_prints_where_a_port_is_reached(invoke, engine, up):
    up("mine")
    endpoints = {each["service"]: each["endpoints"] for each in json.loads(invoke("ps", "--json").stdout)}["api"]
    assert invoke("port", "api").stdout == f"127.0.0.1:{endpoints['8000/tcp']['port']}\n"
    assert invoke("port", "api", "9000").stdout == f"127.0.0.1:{endpoints['9000/tcp']['port']}\n"
    assert invoke("port", "mine", "api", "9000/tcp").stdout == f"127.0.0.1:{endpoints['9000/tcp']['port']}\n"
    assert json.loads(invoke("port", "api", "--json").stdout) == endpoints["8000/tcp"]


def test_a_port_that_is_not_there_is_a_usage_error(invoke, engine, up):
    up("mine")
    assert "it has: 8000/tcp, 9000/tcp" in invoke("port", "api", "81", code=2).stderr
    assert "no port" in invoke("port", "migrate", code=2).stderr
    assert "is no port" in invoke("port", "mine", "api", "http", code=2).stderr


def test_env_prints_variables_that_a_shell_reads_back(invoke, engine, up):
    up("mine")
    expected = json.loads(invoke("env", "--format", "json").stdout)
    assert expected["DATABASE_URL"].startswith("postgres://app:s3 cret@127.0.0.1:")
    assert json.loads(invoke("env", "mine", "--json").stdout) == expected
    for style in ("shell", "dotenv"):
        Path("vars").write_text(invoke("env", "--format", style).stdout)
        line = f"set -a; . ./vars; exec env -0 -u _ {' '.join(f'--unset={name}' for name in ('PWD', 'OLDPWD'))}"
        run = subprocess.run(["sh", "-c", line], env={}, capture_output=True, text=True, check=True)
        seen = dict(entry.split("=", 1) for entry in run.stdout.split("\0") if entry)
        assert {name: seen[name] for name in expected} == expected
