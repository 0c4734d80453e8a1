"""``config diff``: options belong to the file before them, the answer is a table or JSON, secrets stay hidden."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import click
import pytest

from envspin.cli import context as cli_context
from envspin.cli.commands.config_diff import command, split_at_files
from envspin.cli.differences import render_differences
from envspin.topology.comparison import Difference

from .test_completion import complete
from .test_help import SLOW, list_imports

DRIFT = Path(__file__).with_name("drift")
GOLDEN = DRIFT / "differences.golden"
WITH_VALUE = {"-f", "--file", "--env-file", "--profile"}
PRE = ("compose.yaml", "--env-file", "pre-production.env")
PRODUCTION = ("compose.yaml", "-f", "production.yaml", "--env-file", "production.env")


@pytest.fixture(autouse=True)
def no_engine(monkeypatch) -> None:
    def refuse():
        raise AssertionError("the engine was asked")

    monkeypatch.setattr(cli_context, "connect_engine", refuse)


@pytest.fixture
def drift(monkeypatch) -> None:
    """Stand in a folder with a shop's Compose file, and what pre-production and production lay over it."""
    texts = [path.read_text() for path in (DRIFT / "compose.yaml", *DRIFT.glob("*.env"))]
    for name in re.findall("[A-Z_]+", "".join(texts)):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(DRIFT, "drift")
    monkeypatch.chdir("drift")


@pytest.fixture
def two() -> None:
    """Two files with one variable that differs."""
    Path("a.yaml").write_text("services: {api: {image: api, environment: {LEVEL: info}}}")
    Path("b.yaml").write_text("services: {api: {image: api, environment: {LEVEL: debug}}}")


@pytest.mark.parametrize(
    ("words", "common", "left", "right"),
    [
        ("a b", [], [], []),
        ("a -f x b --env-file y", [], ["-f", "x"], ["--env-file", "y"]),
        ("--profile p a b --json", ["--profile", "p"], [], ["--json"]),
        ("--json a --file=x b", ["--json"], ["--file=x"], []),
        ("a -fx --env-file=y b", [], ["-fx", "--env-file=y"], []),
        ("a -f x -f y b -f -", [], ["-f", "x", "-f", "y"], ["-f", "-"]),
        ("-f x -- a b", ["-f", "x"], [], []),
        ("a -f x -- b", [], ["-f", "x"], []),
        ("a b -f", [], [], ["-f"]),
    ],
)
def test_options_go_with_the_file_before_them(words, common, left, right):
    found, parts = split_at_files(words.split(), WITH_VALUE)
    assert found == common
    assert [part.file for part in parts] == ["a", "b"]
    assert [part.options for part in parts] == [left, right]


def test_words_after_two_dashes_are_files_even_if_they_look_like_options():
    assert [part.file for part in split_at_files(["--", "-f", "--json"], WITH_VALUE)[1]] == ["-f", "--json"]


def test_the_drift_of_two_environments_is_a_table_of_80_columns(invoke, drift):
    text = invoke("config", "diff", *PRE, *PRODUCTION, code=1).stdout
    assert text == GOLDEN.read_text()
    assert max(map(len, text.splitlines())) <= 80


def test_no_secret_of_either_environment_is_printed(invoke, drift):
    for words in (PRE + PRODUCTION, (*PRE, *PRODUCTION, "--json")):
        text = invoke("config", "diff", *words, code=1).output
        assert "hunter2" not in text
        assert "-session" not in text
        assert "***" in text


EVERYWHERE = """
name: shop
services:
  api:
    image: api
    build: {context: ., args: {VERSION: "v-${NAME}", "arg-${NAME}": x}, labels: ["b-${NAME}=1"]}
    environment: ["NOTE=see ${NAME}", "tok-${NAME}=1", "hand-${NAME}", "NAME"]
    command: ["run", "-p", "x=${NAME}"]
    entrypoint: "sh -c 'x ${NAME}'"
    labels: ["tok-${NAME}=1", "plain=see ${NAME}"]
    healthcheck: {test: "ping -a ${NAME}"}
    extra_hosts: ["x-${NAME}=10.0.0.1"]
    volumes: ["./${NAME}:/data", "./x:/d/${NAME}", "vol:/v"]
    tmpfs: ["/t/${NAME}"]
    working_dir: "/w/${NAME}"
    user: "u-${NAME}"
    networks: {default: {aliases: ["a-${NAME}"]}}
    x-envspin:
      ready:
        - redis: {port: 1, password: "${NAME}"}
        - http: {port: 1, headers: {Authorization: "Bearer ${NAME}", "X-${NAME}": y}}
        - exec: ["x", "${NAME}"]
      stub: {image: s, environment: {A: "x ${NAME}"}, labels: ["s-${NAME}=1"]}
volumes: {vol: {labels: ["v-${NAME}=1", "w=${NAME}"]}}
configs: {c: {content: "see ${NAME}"}, d: {environment: NAME}}
secrets: {s: {SOURCE}}
x-envspin: {exports: {SHOWN: "see ${NAME}"}}
"""


@pytest.mark.parametrize(
    ("name", "canary", "source"),
    [
        ("DB_PASSWORD", "Hunter2AAA", "content: other"),
        ("DB_PASSWORD", "correcthorsebattery", "content: other"),
        ("INNOCENT", "Hunter2AAA", "environment: INNOCENT"),
        ("INNOCENT", "zebra", "content: zebra"),
        ("INNOCENT", "zebra", "file: hidden.txt"),
    ],
)
def test_no_secret_is_printed_in_any_place_of_a_service(invoke, name, canary, source):
    Path("a.yaml").write_text(EVERYWHERE.replace("SOURCE", source).replace("NAME", name))
    Path("b.yaml").write_text("services: {api: {image: api, labels: {a: b}}}")
    Path("a.env").write_text(f"{name}={canary}\n")
    Path("hidden.txt").write_text("zebra\n")
    for other, code in ((["b.yaml"], 1), (["a.yaml", "--env-file", "a.env"], 0)):
        words = ("config", "diff", "a.yaml", "--env-file", "a.env", *other)
        for text in (invoke(*words, code=code).output, invoke(*words, "--json", code=code).output):
            assert canary[:5] not in text
            assert "***" in text


def test_the_table_and_the_data_hide_the_same(invoke):
    Path("a.yaml").write_text("services: {api: {image: api, environment: {DB_PASSWORD: Hunter2AAA, X: -pHunter2AAA}}}")
    Path("b.yaml").write_text("services: {api: {image: api}}")
    text = invoke("config", "diff", "a.yaml", "b.yaml", code=1).stdout
    document = json.loads(invoke("config", "diff", "--json", "a.yaml", "b.yaml", code=1).stdout)
    for each in document["differences"]:
        assert f"variable  {each['name']:<11}  only left: {each['left']}\n" in text
    assert [each["left"] for each in document["differences"]] == ["***", "-p***"]


def test_the_drift_as_json(invoke, drift):
    document = json.loads(invoke("config", "diff", "--json", *PRE, *PRODUCTION, code=1).stdout)
    assert document["left"] == {
        "topology": "shop",
        "files": ["compose.yaml"],
        "env_files": ["pre-production.env"],
        "profiles": [],
        "undeclared": [],
    }
    assert document["right"]["files"] == ["compose.yaml", "production.yaml"]
    assert document["right"]["undeclared"] == [
        {"service": "api", "name": "SENTRY_DSN"},
        {"service": "api", "name": "PAYMENT_URL"},
    ]
    assert {
        "service": "api",
        "kind": "variable",
        "name": "PAYMENT_URL",
        "status": "undeclared",
        "left": "https://sandbox.payments.example.com",
        "right": None,
        "undeclared_in": "right",
    } in document["differences"]
    assert {
        "service": "api",
        "kind": "resource",
        "name": "mem_limit",
        "status": "differs",
        "left": "536870912",
        "right": "1073741824",
        "undeclared_in": None,
    } in document["differences"]


def test_an_environment_does_not_differ_from_itself(invoke, drift):
    result = invoke("config", "diff", *PRODUCTION, *PRODUCTION)
    assert result.stdout.splitlines()[-1] == "no difference"
    assert "PAYMENT_URL (api)" in " ".join(result.stdout.split())
    assert json.loads(invoke("config", "diff", *PRE, *PRE, "--json").stdout)["differences"] == []


def test_options_before_the_first_file_are_for_both(invoke, two):
    Path("o.yaml").write_text("services: {api: {environment: {LEVEL: same}}}")
    assert "no difference" in invoke("config", "diff", "-f", "o.yaml", "a.yaml", "b.yaml").stdout
    assert "info -> same" in invoke("config", "diff", "a.yaml", "b.yaml", "-f", "o.yaml", code=1).stdout


def test_a_profile_is_for_its_own_side(invoke):
    Path("a.yaml").write_text("services: {api: {image: api}, debug: {image: d, profiles: [dev]}}")
    result = invoke("config", "diff", "a.yaml", "--profile", "dev", "a.yaml", code=1)
    assert "active -> not active" in result.stdout
    assert result.stdout.startswith("left   a.yaml, with profile dev\nright  a.yaml\n")
    invoke("config", "diff", "--profile=dev", "a.yaml", "a.yaml")


def test_folders_are_compared_by_their_compose_files(invoke, shop):
    shutil.copytree("shop", "other")
    assert "no difference" in invoke("config", "diff", "shop", "other").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "none was given"),
        (["a.yaml"], "only 'a.yaml' was given"),
        (["a.yaml", "b.yaml", "c.yaml"], "3 were given: a.yaml, b.yaml, c.yaml; to lay one over another use -f"),
        (["a.yaml", "b.yaml", "--nonsense"], "No such option"),
        (["a.yaml", "b.yaml", "-f"], "requires an argument"),
    ],
)
def test_a_call_that_makes_no_sense_is_told_what_is_missing(invoke, two, words, message):
    assert message in invoke("config", "diff", *words, code=2).stderr


def test_the_problems_of_both_files_are_told_with_their_places(invoke):
    Path("a.yaml").write_text("services:\n  api:\n    imgae: a\n")
    Path("b.yaml").write_text("services:\n  api:\n    image: a\n    ports: [x]\n")
    stderr = invoke("config", "diff", "a.yaml", "b.yaml", code=2).stderr
    assert "a.yaml:3:5: error[unknown-key]" in stderr
    assert "b.yaml:4:13: error[bad-port]" in stderr


def test_a_problem_that_both_sides_share_is_told_once(invoke):
    Path("a.yaml").write_text("services:\n  api:\n    imgae: a\n    image: a\n")
    assert invoke("config", "diff", "a.yaml", "a.yaml", code=2).stderr.count("error[") == 1


def test_a_missing_file_or_file_of_variables_is_a_bad_file(invoke, two):
    assert "nowhere.yaml" in invoke("config", "diff", "a.yaml", "nowhere.yaml", code=2).stderr
    assert "none.env" in invoke("config", "diff", "a.yaml", "--env-file", "none.env", "b.yaml", code=2).stderr


@pytest.mark.parametrize(
    ("left", "right", "messages"),
    [
        ("nowhere.yaml", "neither.yaml", ["nowhere.yaml", "neither.yaml"]),
        ("nowhere.yaml", "bad.yaml", ["nowhere.yaml", "bad.yaml:1:18: error[unknown-key]"]),
        ("bad.yaml", "nowhere.yaml", ["bad.yaml:1:18: error[unknown-key]", "nowhere.yaml"]),
        ("broken.yaml", "nowhere.yaml", ["broken.yaml:", "nowhere.yaml"]),
        ("folder", "nowhere.yaml", ["folder", "nowhere.yaml"]),
    ],
)
def test_the_problems_of_both_sides_are_told_whatever_they_are(invoke, left, right, messages):
    Path("bad.yaml").write_text("services: {api: {imgae: a}}")
    Path("broken.yaml").write_text("services: {")
    Path("folder").mkdir()
    for words in ((), ("--json",)):
        result = invoke("config", "diff", left, right, *words, code=2)
        assert [message for message in messages if message not in result.stderr] == []
        assert result.stdout == ""


def test_unsafe_topologies_need_the_option(invoke):
    Path("a.yaml").write_text("services: {api: {image: a, privileged: true}}")
    assert "unsafe-privileged" in invoke("config", "diff", "a.yaml", "a.yaml", code=2).stderr
    invoke("config", "diff", "a.yaml", "--allow-unsafe", "a.yaml")


def test_a_folder_that_is_called_diff_can_still_be_shown(invoke, shop):
    shop.rename("diff")
    assert invoke("config", "./diff").stdout.startswith("name: shop\n")
    assert invoke("config", "--", "diff").stdout.startswith("name: shop\n")


def test_the_help_of_both_commands(invoke):
    assert "`envspin config diff FILE_A FILE_B`" in " ".join(invoke("config", "--help").stdout.split())
    text = invoke("config", "diff", "--help").stdout
    assert text.startswith("Usage: envspin config diff [OPTIONS] FILE_A [OPTIONS] FILE_B [OPTIONS]\n")
    assert "\n    envspin config diff shop " in text
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert [each.name for each in command.params if isinstance(each, click.Option) and not each.help] == []


def test_the_help_imports_nothing_slow():
    assert not SLOW & list_imports("config", "diff", "--help")


def test_completion_offers_diff_and_its_options():
    assert complete("config", "d")[0] == "diff"
    assert "diff" not in complete("config", "x")
    assert "--env-file" in complete("config", "diff", "a.yaml", "--e")
    assert "--set" not in complete("config", "diff", "a.yaml", "--")
    assert "--set" in complete("config", "a.yaml", "--")


def test_colours_are_for_terminals(invoke, two, monkeypatch):
    text = render_differences([Difference("api", "variable", "A", "differs", "1", "2")])
    assert "\x1b[31m1" in text
    assert "\x1b[32m2" in text
    assert "\x1b" not in invoke("config", "diff", "a.yaml", "b.yaml", code=1).stdout


def show(*differences):
    return click.unstyle(render_differences(differences)).splitlines()


def test_a_long_value_is_cut_to_where_it_differs():
    left, right = "x" * 200 + "LEFT" + "y" * 200, "x" * 200 + "RIGHT" + "y" * 200
    lines = show(Difference("api", "variable", "A", "differs", left, right))
    assert "LEFT" in lines[2]
    assert "RIGHT" in lines[3]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("status", ["only-left", "only-right", "differs"])
def test_lines_stay_short_whatever_is_in_them(status):
    difference = Difference("api", "setting", "name." * 8, status, "l" * 300, "r" * 300)
    undeclared = Difference("api", "variable", "B", "undeclared", "l" * 300, None, "right")
    assert max(map(len, show(difference, undeclared))) <= 80


def test_a_terminal_obeys_nothing_that_a_file_says():
    evil = "\x1b[2J\u202e\x9b"
    text = "\n".join(show(Difference("api", "variable", evil, "differs", evil, {evil: [evil]})))
    assert not {"\x1b", "\u202e", "\x9b"} & set(text)


def test_what_cannot_be_seen_is_shown_in_quotes():
    lines = show(Difference("api", "variable", "A", "differs", "", " a\n"))
    assert lines[1].endswith('"" -> " a\\n"')


def test_a_value_that_differs_only_in_what_is_hidden_says_so():
    url = "postgres://app:***@db/app"
    assert show(Difference("api", "variable", "URL", "differs", url, url))[1].endswith(f"{url} (*** differs)")
    assert show(Difference("api", "variable", "PASSWORD", "differs", "***", "***"))[1].endswith("*** -> ***")


def test_the_number_of_differences_is_the_last_line():
    one = Difference("api", "variable", "A", "only-left", "1")
    assert show(one)[-1] == "1 difference"
    assert show(one, one)[-1] == "2 differences"
    assert show()[-1] == "no difference"
