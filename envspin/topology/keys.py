"""Compose keys that envspin knows and does not honour: what happens instead, or why they are errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envspin.topology.nodes import Mapping, Scalar, is_null

if TYPE_CHECKING:
    from envspin.topology.nodes import Node

_NOTHING = frozenset(("", "false", "False", "FALSE"))

REPLACED_SERVICE_KEYS: dict[str, str] = {
    "container_name": "is replaced: containers are named after their environment, so that many can run at once",
    "restart": "has no effect: a service that stops during a test is a finding",
    "logging": "has no effect: envspin reads the logs itself",
    "pull_policy": "has no effect: `--pull` decides when images are pulled",
    "pull_refresh_after": "has no effect: `--pull` decides when images are pulled",
    "attach": "has no effect: the logs of every service are kept",
    "develop": "has no effect: envspin does not watch files",
    "annotations": "has no effect: annotations reach no program in a container",
    "blkio_config": "has no effect: test environments do not weigh disk access",
    "cpu_shares": "has no effect: test environments do not weigh processors",
    "cpu_count": "has no effect: it exists on Windows only",
    "cpu_percent": "has no effect: it exists on Windows only",
    "memswap_limit": "has no effect: limit the memory with `mem_limit`",
    "mem_swappiness": "has no effect: limit the memory with `mem_limit`",
    "oom_score_adj": "has no effect: the engine's order of killing stays",
    "mac_address": "has no effect: each environment has addresses of its own",
}
"""A warning tells what happens instead."""

UNSUPPORTED_SERVICE_KEYS: dict[str, str] = {
    "cgroup": "a container gets a control group of its own",
    "cgroup_parent": "a container gets a control group of its own",
    "cpu_period": "use `cpus`",
    "cpu_quota": "use `cpus`",
    "cpu_rt_period": "real-time scheduling needs a prepared host",
    "cpu_rt_runtime": "real-time scheduling needs a prepared host",
    "cpuset": "the processors of a test machine are not known beforehand; use `cpus`",
    "credential_spec": "it exists on Windows only",
    "device_cgroup_rules": "containers get no devices of the host",
    "devices": "containers get no devices of the host",
    "external_links": "an environment has no neighbours outside itself",
    "gpus": "containers get no devices of the host",
    "isolation": "it exists on Windows only",
    "label_file": "write the labels under `labels`",
    "models": "envspin runs no models",
    "oom_kill_disable": "a container without memory must fail, not hang",
    "post_start": "write a service with `x-envspin: {job: true}` instead",
    "pre_start": "write a service with `x-envspin: {job: true}` instead",
    "pre_stop": "containers are removed without ceremony",
    "provider": "envspin runs containers only",
    "runtime": "the engine's default runtime is used",
    "storage_opt": "the engine's storage is used as it is",
    "umask": "the image's own file mode mask stays",
    "use_api_socket": "containers get no access to the engine",
    "userns_mode": "containers keep the engine's user namespace",
    "uts": "containers keep a host name of their own",
    "volumes_from": "name the volumes in both services",
}
"""Each is an error that gives this reason."""

SERVICE_EXTENSION_KEYS = ("ready", "timeout", "job", "stub", "reset", "snapshot")
TOP_LEVEL_EXTENSION_KEYS = ("exports", "timeout", "hermetic", "matrix")
"""What stands under `x-envspin`, in a service and at the top level."""

UNSUPPORTED_TOP_LEVEL_KEYS: dict[str, str] = {
    "jobs": "write a service with `x-envspin: {job: true}` instead",
    "models": "envspin runs no models",
}


def asks_for_nothing(node: Node) -> bool:
    """Tell whether a value leaves its key without effect: null, false, or empty; no such key needs to be refused."""
    if is_null(node):
        return True
    if isinstance(node, Scalar):
        return node.text in _NOTHING
    return not (node.entries if isinstance(node, Mapping) else node.items)
