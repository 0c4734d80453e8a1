"""Real Compose understands what `envspin config` prints as it understands the files themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from envspin.cli.app import cli

from .compose_form import differences, to_form
from .samples import ENVIRON, FILES, files_of, load, write_rendered

PLUGIN_FOLDERS = ("/usr/libexec/docker", "/usr/lib/docker", "/usr/local/lib/docker", "/usr/local/libexec/docker")


def find_compose():
    """Return the command of Docker Compose v2, or None where it is not installed.

    The plugin alone answers in half the time that it takes behind `docker`.
    """
    home = os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker"))
    plugins = [f"{folder}/cli-plugins/docker-compose" for folder in (home, *PLUGIN_FOLDERS)]
    for command in (*([plugin] for plugin in plugins), ["docker-compose"], ["docker", "compose"]):
        if shutil.which(command[0]):
            shown = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
            if shown.returncode == 0 and not shown.stdout.lstrip("v").startswith("1."):
                return command
    return None


COMPOSE = find_compose()
# the plugin is found by way of the real home, which the files must not see
COMPOSE_ENVIRON = {**ENVIRON, "DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker"))}
needs_compose = pytest.mark.skipif(COMPOSE is None, reason="Docker Compose v2 is not installed")


def ask_compose(*projects):
    """Return what `docker compose config` makes of each project's files; all are asked at once."""
    started = [start_compose(paths) for paths in projects]
    answers = [process.communicate() for process in started]
    for process, (_, complaint) in zip(started, answers, strict=True):
        assert process.returncode == 0, complaint
    return [json.loads(answer) for answer, _ in answers]


def start_compose(paths):
    arguments = [word for path in paths for word in ("-f", str(path))]
    command = [*COMPOSE, *arguments, "--profile", "*", "config", "--format", "json"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=COMPOSE_ENVIRON, cwd=paths[0].parent)


NOT_FOR_COMPOSE = {
    "env-file-raw": "`format: raw` came with Compose 2.30",
    "interpolation-unused": "a required variable within a default that is not needed is asked for all the same",
    "null-sections": "some keys without a value are errors, which is merciless towards a key commented out below",
    "numbers-for-texts": "a number where a text is meant is an error, quotes or not",
}
"""What Compose (2.26) refuses and envspin understands, and why; what is rendered of it pleases both."""

ENVSPIN_ONLY = {
    "extension-topology": "a secret that is made anew has no source that Compose knows",
    "secrets-content": "only configs have `content`",
}
"""What Compose cannot say at all."""

DIFFERENT_ON_PURPOSE = {
    "command-operators": (
        # the operators of a shell are words where there is no shell; Compose drops them and what follows
        *(f"services.{name}.command" for name in ("and", "background", "pipe", "redirected", "semicolon")),
    ),
    "env-file-empty-value": (
        # the comment behind an empty value is a comment, not the value
        "services.a.environment.ONLY",
    ),
    "mode-quoted": (
        # quoted permissions are octal, as in later versions of Compose; 2.26 reads them as a decimal number
        "services.a.configs",
    ),
    "numbers-as-written": (
        # a number in the place of a text keeps its spelling
        "services.a.labels.version",
        *(f"services.a.environment.{name}" for name in ("DATE", "EXPONENT", "HEX", "LEADING", "MINUS_ZERO", "OCTAL")),
        *(f"services.a.environment.{name}" for name in ("UNDERSCORES", "VERSION")),
    ),
    "overlay-reset-pair": (
        # `!reset` also removes what the file below says in a list of pairs
        "services.a.environment.A",
        "services.a.labels.a",
    ),
}
"""Where Compose reads the files otherwise than what is rendered of them, with reasons. The paths may differ."""


@needs_compose
@pytest.mark.parametrize("name", [name for name in FILES if name not in {*NOT_FOR_COMPOSE, *ENVSPIN_ONLY}])
def test_compose_reads_the_rendered_text_as_it_reads_the_files(name, tmp_path):
    rendered = write_rendered(load(files_of(name)), tmp_path)
    ours, theirs = ask_compose([rendered], files_of(name))
    allowed = DIFFERENT_ON_PURPOSE.get(name, ())
    assert [line for line in differences(to_form(ours), to_form(theirs)) if not line.startswith(allowed)] == []


@needs_compose
@pytest.mark.parametrize("name", NOT_FOR_COMPOSE)
def test_compose_accepts_what_is_rendered_of_files_that_it_refuses(name, tmp_path):
    topology = load(files_of(name))
    (answer,) = ask_compose([write_rendered(topology, tmp_path)])
    assert set(answer["services"]) == set(topology.services)


@needs_compose
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_compose_reads_what_the_command_prints_for_several_files(options, tmp_path):
    files = files_of("stack-overlay")
    named = [word for path in files for word in ("-f", str(path))]
    result = CliRunner().invoke(cli, ["config", *named, *options], env=ENVIRON)
    assert result.exit_code == 0, result.stderr
    printed = tmp_path / "printed"
    printed.write_text(result.stdout, encoding="utf-8")
    ours, theirs = ask_compose([printed], files)
    assert differences(to_form(ours), to_form(theirs)) == []


def test_the_tables_name_files_of_the_corpus():
    assert {*NOT_FOR_COMPOSE, *ENVSPIN_ONLY, *DIFFERENT_ON_PURPOSE} <= set(FILES)


BASE = {
    "name": "n",
    "services": {
        "a": {
            "image": "x",
            "command": ["a", "b"],
            "environment": {"A": "1", "B": None},
            "ports": [{"target": 80, "protocol": "tcp", "published": "8080", "mode": "ingress"}],
            "depends_on": {"b": {"condition": "service_started", "required": True}},
            "volumes": [{"type": "volume", "source": "v", "target": "/v", "volume": {}}],
            "networks": {"default": None},
            "healthcheck": {"test": ["CMD", "x"], "interval": "1m30s"},
            "mem_limit": "100",
            "tmpfs": ["/run:size=1k"],
            "secrets": [{"source": "s", "target": "/run/secrets/s"}],
        },
        "b": {"image": "y", "networks": {"default": None}},
    },
    "networks": {"default": {"name": "n_default", "ipam": {}}},
    "volumes": {"v": {"name": "n_v"}},
    "secrets": {"s": {"name": "n_s", "file": "/s"}},
}


def changed(**service):
    return {**BASE, "services": {**BASE["services"], "a": {**BASE["services"]["a"], **service}}}


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("image", "z", "image"),
        ("command", ["a"], "command"),
        ("command", None, "command"),
        ("entrypoint", ["e"], "entrypoint"),
        ("environment", {"A": "2"}, "environment.A"),
        ("environment", {}, "environment"),
        ("ports", [{"target": 80, "protocol": "udp"}], "ports"),
        ("depends_on", {"b": {"condition": "service_healthy", "required": True}}, "depends_on.b.condition"),
        ("depends_on", {"b": {"condition": "service_started", "required": False}}, "depends_on.b.required"),
        ("volumes", [{"type": "volume", "source": "v", "target": "/v", "read_only": True}], "volumes./v.read_only"),
        ("volumes", [], "volumes./v"),
        ("networks", {"default": {"aliases": ["x"]}}, "networks.default.aliases"),
        ("networks", {"other": None}, "networks.default"),
        ("healthcheck", {"test": ["CMD", "x"], "interval": "31s"}, "healthcheck.interval"),
        ("mem_limit", "101", "limits.memory"),
        ("tmpfs", ["/run:size=2k"], "volumes./run.tmpfs.size"),
        ("secrets", [{"source": "s", "target": "t"}], "secrets"),
        ("build", {"context": "/x"}, "build"),
        ("labels", {"a": "b"}, "labels"),
        ("profiles", ["p"], "profiles"),
        ("user", "1", "user"),
    ],
)
def test_the_comparison_sees_a_change(key, value, path):
    found = differences(to_form(changed(**{key: value})), to_form(BASE))
    assert any(line.startswith(f"services.a.{path}") for line in found), found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("environment", {"A": "1"}),
        ("ports", [{"target": 80, "protocol": "tcp"}]),
        ("container_name", "fixed"),
        ("healthcheck", {"test": ["CMD", "x"], "interval": "90s"}),
        ("networks", {"default": {"priority": 5}}),
        ("secrets", [{"source": "s", "target": "s", "mode": 0o444}]),
        ("x-note", "n"),
    ],
)
def test_the_comparison_overlooks_what_means_the_same(key, value):
    assert differences(to_form(changed(**{key: value})), to_form(BASE)) == []
