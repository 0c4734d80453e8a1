"""Every key of the Compose specification is honoured, replaced with a warning, or refused by name."""

from __future__ import annotations

import pytest

from envspin.topology.keys import REPLACED_SERVICE_KEYS, UNSUPPORTED_SERVICE_KEYS
from envspin.topology.service import READERS

COMPOSE_SERVICE_KEYS = [
    "annotations",
    "attach",
    "blkio_config",
    "build",
    "cap_add",
    "cap_drop",
    "cgroup",
    "cgroup_parent",
    "command",
    "configs",
    "container_name",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "cpuset",
    "credential_spec",
    "depends_on",
    "deploy",
    "develop",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "extends",
    "external_links",
    "extra_hosts",
    "gpus",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "ipc",
    "isolation",
    "label_file",
    "labels",
    "links",
    "logging",
    "mac_address",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "models",
    "network_mode",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "post_start",
    "pre_stop",
    "privileged",
    "profiles",
    "provider",
    "pull_policy",
    "pull_refresh_after",
    "read_only",
    "restart",
    "runtime",
    "scale",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "storage_opt",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "use_api_socket",
    "user",
    "userns_mode",
    "uts",
    "volumes",
    "volumes_from",
    "working_dir",
]


@pytest.mark.parametrize("key", COMPOSE_SERVICE_KEYS)
def test_a_key_has_exactly_one_treatment(key):
    assert [key in table for table in (READERS, REPLACED_SERVICE_KEYS, UNSUPPORTED_SERVICE_KEYS)].count(True) == 1


def test_no_key_is_invented():
    assert {*READERS, *REPLACED_SERVICE_KEYS, *UNSUPPORTED_SERVICE_KEYS} == set(COMPOSE_SERVICE_KEYS)


@pytest.mark.parametrize("key", UNSUPPORTED_SERVICE_KEYS)
def test_an_unsupported_key_is_refused_by_name(bench, key):
    (problem,) = bench.problems(f"services:\n  a:\n    image: i\n    {key}: x\n")
    assert problem.startswith(f"compose.yaml:4:5: error[unsupported-key]: `{key}` is not supported: ")


@pytest.mark.parametrize("key", REPLACED_SERVICE_KEYS)
def test_a_replaced_key_is_a_warning(bench, key):
    (warning,) = bench.load(f"services:\n  a:\n    image: i\n    {key}: x\n").warnings
    assert (warning.code, str(warning.mark)) == ("replaced-key", "compose.yaml:4:5")


@pytest.mark.parametrize("key", sorted(set(READERS) - {"extends"}))
def test_a_key_without_a_value_is_as_good_as_absent(bench, key):
    plain = "services:\n  a:\n    build: .\n" if key == "image" else "services:\n  a:\n    image: i\n"
    assert bench.load(f"{plain}    {key}:\n").services["a"] == bench.load(plain).services["a"]


TOP_LEVEL = """
name: n
version: '3'
services: {a: {image: i}}
networks:
  front: {internal: true, attachable: true, name: fixed, labels: [a=b], driver: bridge, driver_opts: {x: 1}}
volumes: {data: {name: fixed, driver: local, labels: {a: b}}}
configs: {c: {content: x}}
secrets: {s: {environment: HOMEX}}
x-mine: [anything, {at: all}]
"""


def test_top_level_sections(bench):
    topology = bench.load(TOP_LEVEL)
    network, volume = topology.networks["front"], topology.volumes["data"]
    assert (network.internal, network.labels, network.driver_opts) == (True, {"a": "b"}, {"x": "1"})
    assert (volume.driver, volume.labels) == ("local", {"a": "b"})
    assert (topology.sources["config:c"].content, topology.sources["secret:s"].environment) == ("x", "HOMEX")
    codes = [warning.code for warning in topology.warnings]
    assert codes == ["obsolete-key", "replaced-key", "replaced-name", "replaced-name", "interpolation-unset"]


def test_the_default_network_exists_only_when_someone_joins_it(bench):
    assert "default" in bench.load("services: {a: {image: i}}").networks
    assert "default" not in bench.load("services: {a: {image: i, network_mode: none}}").networks
    text = "services: {a: {image: i, networks: [n]}}\nnetworks: {n: }\n"
    assert set(bench.load(text).networks) == {"n"}
    text = "services: {a: {image: i, networks: [default]}}\nnetworks: {default: {internal: true}}\n"
    assert bench.load(text).networks["default"].internal


def test_external_parts_are_taken_when_allowed(bench):
    text = "services: {a: {image: i}}\nnetworks: {n: {external: true, name: real}, m: {external: {name: old}}}\n"
    text += "volumes: {v: {external: true}}\n"
    topology = bench.load(text, allow_unsafe=True)
    assert [network.external_name for network in (topology.networks["n"], topology.networks["m"])] == ["real", "old"]
    assert topology.volumes["v"].external_name == "v"
