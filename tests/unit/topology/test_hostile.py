"""Hostile and broken files: errors, never tracebacks, hangs or floods; values of variables stay hidden."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envspin.errors import TopologyError
from envspin.topology import load_topology
from envspin.topology.report import MAX_PROBLEMS


def load_or_refuse(folder, content):
    """Return the problems of a file; anything but a topology or a `TopologyError` fails the test."""
    path = folder / "compose.yaml"
    path.write_bytes(content)
    try:
        load_topology([path], environ={"HOMEX": "x"})
    except TopologyError as error:
        return [problem.render() for problem in error.problems]
    return []


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_loaded_or_refused(tmp_path, content):
    load_or_refuse(tmp_path, content)


DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    "image",
    "build",
    "command",
    "environment",
    "env_file",
    "ports",
    "expose",
    "depends_on",
    "healthcheck",
    "volumes",
]
KEYS += ["tmpfs", "networks", "secrets", "configs", "profiles", "init", "labels", "extra_hosts", "ulimits", "deploy"]
KEYS += ["extends", "links", "x-envspin", "network_mode", "sysctls", "dns", "scale", "stop_grace_period", "mem_limit"]


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(KEYS), DATA, st.sampled_from(["", "ready", "stub", "reset", "limits"]))
def test_any_shape_under_any_key_is_loaded_or_refused(tmp_path, key, value, inner):
    value = {inner: value} if inner else value
    services = {"a": {"image": "i", key: value}, "b": {"image": "i"}}
    load_or_refuse(tmp_path, json.dumps({"services": services}).encode())
    load_or_refuse(tmp_path, json.dumps({"services": {"a": {"image": "i"}}, key: value}).encode())
    for section in ("networks", "volumes", "secrets", "configs", "x-envspin", "include"):
        load_or_refuse(tmp_path, json.dumps({"services": services, section: {inner or "x": value}}).encode())


def lines(template, count):
    return "".join(template.format(n=n) for n in range(count))


FLOODS = {
    "unknown keys": "services:\n  a:\n    image: i\n" + lines("    key{n}: x\n", 20_000),
    "undefined networks": "services:\n" + lines("  s{n}: {{image: i, networks: [n{n}]}}\n", 5_000),
    "circles": "services:\n  s0: {image: i}\n" + lines("  t{n}: {{image: i, depends_on: [t0, t1, t2, t3]}}\n", 3_000),
    "a long circle": "services:\n  t0: {image: i, depends_on: [s2999]}\n  s0: {image: i, depends_on: [t0]}\n"
    + "".join(f"  s{n}: {{image: i, depends_on: [s{n - 1}]}}\n" for n in range(1, 3_000)),
    "extends upon extends": "services:\n  s0: {image: i}\n"
    + "".join(f"  s{n}: {{extends: s{n - 1}}}\n" for n in range(1, 1_000)),
    "port ranges": "services:\n  a:\n    image: i\n    ports:\n" + lines("      - 1-1000/udp\n", 20_000),
    "many mounts": "services:\n  a:\n    image: i\n    privileged: true\n    volumes:\n"
    + lines("      - /v{n}\n", 20_000),
    "many links": "services:\n  b: {image: i, privileged: true}\n  a:\n    image: i\n    links:\n"
    + lines("      - b:x{n}\n", 20_000),
    "variables in masses": "x-a:\n" + lines("  - ${{BIG}}\n", 1_000) + "services: {a: {image: i}}\n",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", FLOODS)
def test_floods_are_refused_with_a_bounded_answer(tmp_path, name):
    path = tmp_path / "compose.yaml"
    path.write_text(FLOODS[name])
    with pytest.raises(TopologyError) as caught:
        load_topology([path], environ={"BIG": "x" * 100_000})
    assert 0 < len(caught.value.problems) <= MAX_PROBLEMS


IMPOSSIBLE = ["x" * 300, "a/" * 5_000 + "b", "a\0b"]


@pytest.mark.parametrize("name", IMPOSSIBLE)
@pytest.mark.parametrize(
    "text",
    [
        "include: [{name}]",
        "include: [{{path: {name}, env_file: {name}}}]",
        "services: {{a: {{extends: {{file: {name}, service: x}}}}}}",
        "services: {{a: {{image: i, env_file: {name}}}}}",
        "services: {{a: {{image: i, volumes: ['/{name}:/x']}}}}",
    ],
)
def test_names_that_no_file_can_have_are_refused(tmp_path, text, name):
    quoted = json.dumps(name) if "'" not in text else name.replace("\0", "")
    assert load_or_refuse(tmp_path, text.format(name=quoted).encode())


def test_a_mount_of_too_many_folders_counts_as_outside(tmp_path):
    text = f"services: {{a: {{image: i, volumes: ['./{'a/' * 5_000}:/x']}}}}"
    (problem,) = load_or_refuse(tmp_path, text.encode())
    assert "error[unsafe-bind-mount]" in problem


def test_a_folder_whose_name_is_impossible_holds_no_topology(tmp_path):
    with pytest.raises(TopologyError, match="there is no file or folder"):
        load_topology([tmp_path / ("x" * 300)], environ={})


@pytest.mark.parametrize("text", ["include: ['${CANARY}.yaml']", "include: [{path: ['${CANARY}.yaml']}]"])
def test_files_that_variables_name_are_shown_as_written(tmp_path, text):
    path = tmp_path / "compose.yaml"
    path.write_text(f"{text}\nservices: {{a: {{image: i}}}}\n")
    with pytest.raises(TopologyError, match="does not exist") as caught:
        load_topology([path], environ={"CANARY": "s3cr3t"})
    assert "s3cr3t" not in str(caught.value)


def test_files_that_are_no_files_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for text in (
        "include: [pipe]",
        "services: {a: {extends: {file: pipe, service: x}}}",
        "services: {a: {image: i, env_file: pipe}}",
    ):
        assert load_or_refuse(tmp_path, text.encode())
    (tmp_path / "compose.yaml").unlink()
    (tmp_path / "compose.yaml").mkdir()
    with pytest.raises(TopologyError):
        load_topology([tmp_path], environ={})


SECRET_PLACES = [
    "image: ${CANARY}",
    "command: ${CANARY}'",
    "user: [${CANARY}]",
    "ports: ['${CANARY}']",
    "ports: [{target: '${CANARY}'}]",
    "ports: [{target: 1, protocol: '${CANARY}'}]",
    "ports: [{target: 1, published: '${CANARY}'}]",
    "expose: ['${CANARY}']",
    "depends_on: ['${CANARY}']",
    "depends_on: {b: {condition: '${CANARY}'}}",
    "networks: ['${CANARY}']",
    "init: '${CANARY}'",
    "volumes: ['${CANARY}:/x']",
    "volumes: ['/${CANARY}:/x']",
    "volumes: ['/x:${CANARY}']",
    "volumes: ['./x:/x:${CANARY}']",
    "volumes: [{type: '${CANARY}', target: /x}]",
    "volumes: [{type: '${CANARY}', target: /x, bind: {}}]",
    "tmpfs: '${CANARY}'",
    "tmpfs: '/x:${CANARY}'",
    "tmpfs: '/x:size=${CANARY}'",
    "secrets: ['${CANARY}']",
    "configs: [{source: '${CANARY}'}]",
    "configs: [{source: c, mode: '${CANARY}'}]",
    "healthcheck: {test: ['${CANARY}']}",
    "healthcheck: {interval: '${CANARY}'}",
    "shm_size: '${CANARY}'",
    "cpus: '${CANARY}'",
    "ulimits: {nofile: '${CANARY}'}",
    "extra_hosts: ['${CANARY}']",
    "network_mode: '${CANARY}'",
    "pid: '${CANARY}'",
    "links: ['${CANARY}']",
    "extends: '${CANARY}'",
    "env_file: ['${CANARY}']",
    "deploy: {replicas: '${CANARY}'}",
    "environment: ['${CANARY}', '=${CANARY}']",
    "build: 'https://${CANARY}'",
    "stop_grace_period: '${CANARY}'",
    "x-envspin: {ready: {tcp: '${CANARY}'}}",
    "x-envspin: {ready: '${CANARY}'}",
    "x-envspin: {ready: {log: '(${CANARY}'}}",
    "x-envspin: {ready: {http: {path: '${CANARY}', status: '${CANARY}', method: ' ${CANARY}'}}}",
    "x-envspin: {reset: '${CANARY}'}",
    "x-envspin: {timeout: '${CANARY}'}",
    "x-envspin: {ready: {log: '(?P<${CANARY}!>x)'}}",
]


@pytest.mark.parametrize("text", SECRET_PLACES)
def test_no_value_of_a_variable_is_ever_shown(tmp_path, text):
    path = tmp_path / "compose.yaml"
    path.write_text(
        f"services:\n  a:\n    image: i\n    {text}\n  b: {{image: i}}\nconfigs: {{c: {{content: x}}}}\n"
        "x-envspin: {exports: {A: '{${CANARY}.host}', B: '{${CANARY}'}, matrix: {strategy: '${CANARY}'}}\n"
    )
    with pytest.raises(TopologyError) as caught:
        load_topology([path], environ={"CANARY": "s3cr3t"})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "secrets: {db: {content: hunter2, contents: x}}",
        'secrets: {db: {"content": "hunter2", file: x}}',
        "secrets:\n  db:\n    content: hunter2 ${\n",
        "services: {b: {image: i, ulimits: {api_token: hunter2}}}",
    ],
)
def test_no_secret_of_the_file_itself_is_shown(tmp_path, text):
    services = "" if text.startswith("services") else "services: {a: {image: i}}\n"
    problems = load_or_refuse(tmp_path, f"{services}{text}".encode())
    assert "***" in problems[0]
    assert "hunter2" not in "".join(problems)
