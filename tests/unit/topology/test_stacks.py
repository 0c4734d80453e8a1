"""Whole stacks in the shapes that strangers write: a key is honoured, replaced with a warning, or refused by name."""

from __future__ import annotations

import re

import pytest

from envspin.errors import TopologyError
from envspin.topology.compose import TOP_LEVEL_KEYS
from envspin.topology.keys import REPLACED_SERVICE_KEYS
from envspin.topology.service import READERS

from .samples import CORPUS, STACKS, files_of, load

REFUSED = {
    "stack-gitea": {"unsafe-bind-mount"},
    "stack-monitoring": {"unsafe-bind-mount"},
    "stack-portainer": {
        "unsafe-engine-socket",
        "unsafe-external",
        "unsafe-host-network",
        "unsafe-privileged",
    },
    "stack-rails-sidekiq": {"unsafe-bind-mount"},
    "stack-traefik": {"unsafe-engine-socket"},
}
"""Why each of these is refused without `--allow-unsafe`; the others load."""


def refusals(name):
    try:
        load(files_of(name), allow_unsafe=False)
    except TopologyError as error:
        return error.problems
    return []


def test_the_corpus_is_large():
    assert len(STACKS) >= 25
    assert len(list(CORPUS.glob("*.yaml"))) >= 130


@pytest.mark.parametrize("key", [*READERS, *REPLACED_SERVICE_KEYS, *TOP_LEVEL_KEYS])
def test_every_key_that_is_read_is_in_the_corpus(key):
    if key not in {"cpu_count", "cpu_percent", "pull_refresh_after"}:  # of Windows, or newer than most Compose
        used = re.compile(rf"(?:^|[\s{{,]){re.escape(key)}:", re.MULTILINE)
        assert any(used.search(path.read_text(encoding="utf-8")) for path in CORPUS.glob("*.yaml"))


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_loads_or_is_refused_for_what_is_unsafe(name):
    problems = refusals(name)
    assert {problem.code for problem in problems} == REFUSED.get(name, set())
    assert all(problem.mark and "--allow-unsafe" in problem.hint for problem in problems)


@pytest.mark.parametrize("name", STACKS)
def test_what_a_stack_says_in_vain_is_warned_of(name):
    written = {
        key
        for path in files_of(name)
        for key in (*REPLACED_SERVICE_KEYS, "links", "version")
        # `restart: true` belongs to a dependency
        if re.search(rf"^ *{key}:(?! true$)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    messages = [warning.message for warning in load(files_of(name)).warnings]
    assert {key for key in written if not any(f"`{key}`" in message for message in messages)} == set()


@pytest.mark.parametrize("name", STACKS)
def test_a_warning_has_a_place_and_a_known_reason(name):
    for warning in load(files_of(name)).warnings:
        assert warning.mark is not None
        assert warning.code in {"not-yet", "obsolete-key"} or warning.code.startswith("replaced-")


def test_an_unset_variable_and_a_missing_file_are_named(tmp_path):
    (tmp_path / "compose.yaml").write_text(
        "services:\n  a:\n    image: x:${TAG:?say which}\n    env_file: [local.env]\n", encoding="utf-8"
    )
    with pytest.raises(TopologyError) as caught:
        load([tmp_path / "compose.yaml"])
    assert [problem.code for problem in caught.value.problems] == ["interpolation-required", "env-file-missing"]
