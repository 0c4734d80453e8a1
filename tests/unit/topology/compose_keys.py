"""Every key of the Compose specification: where it stands, an example, and what envspin does with it.

The paths are those of the specification's JSON Schema; ``*`` is a name that the file chooses, ``[]`` an item of a
list. Plain data: ``test_keys.py`` walks it. A mapping that is refused or replaced as a whole has one example that
holds all keys below it. Hooks and jobs repeat the keys of a service; they are refused as a whole too.
"""

# ruff: noqa: FBT003 - an example may be a boolean

from __future__ import annotations

from .compose_service_keys import DEVICES, GRANT, SERVICE, UPDATE
from .key_examples import Place, honoured, idle, refused, replaced

FILES = {
    "other.yaml": "services: {x: {image: 'i:${TAG:-1}', build: here, command: [sing]}}\n",
    "more.yaml": "services: {y: {image: i}}\n",
    "base.yaml": "services: {b: {image: j}}\n",
    "inc.env": "TAG=2\n",
    "a.env": "A=1\n",
    "b.env": "B='2'\n",
}
BASE = {
    "services": {
        "a": {"image": "i"},
        "b": {"image": "i", "command": ["run"]},
        "c": {"image": "i", "command": ["walk"]},
    },
    "networks": {"n": {}, "m": {}},
    "volumes": {"data": {}},
    "secrets": {"s": {"environment": "HOME"}, "t": {"environment": "HOME"}},
    "configs": {"c": {"content": "x"}, "d": {"content": "y"}},
}
NAMES = {
    "services": "a",
    "networks": "n",
    "volumes": "data",
    "secrets": "s",
    "configs": "c",
    "depends_on": "b",
    "ulimits": "nofile",
}

TOP_LEVEL = Place(
    "",
    {
        "version": replaced("3.8", "obsolete-key"),
        "name": honoured("other"),
        "include": honoured(["other.yaml"]),
        "services": honoured({"z": {"image": "j"}}, instead={"z": {"image": "k"}}),
        "networks": honoured({"z": {}}),
        "volumes": honoured({"z": {}}),
        "secrets": honoured({"z": {"file": "z"}}),
        "configs": honoured({"z": {"file": "z"}}),
        "models": refused({"z": {"model": "m", "name": "n", "context_size": 1, "runtime_flags": ["x"]}}),
        "jobs": refused({"z": {"image": "i", "triggers": {"manual": True}}}),
    },
)
INCLUDE = Place(
    "include[]",
    {
        "path": honoured("more.yaml", instead="other.yaml"),
        "env_file": honoured("inc.env"),
        "project_directory": honoured("sub"),
    },
    beside={"path": "other.yaml"},
    is_extensible=False,
)
BUILD = Place(
    "services.*.build",
    {
        "additional_contexts": refused({"more": "sub"}),
        "args": honoured({"A": "1"}),
        "cache_from": replaced(["i"]),
        "cache_to": replaced(["i"]),
        "context": honoured("sub", instead="."),
        "dockerfile": honoured("Other"),
        "dockerfile_inline": honoured("FROM scratch"),
        "entitlements": refused(["network.host"]),
        "extra_hosts": honoured(["somewhere=10.0.0.1"]),
        "isolation": refused("hyperv"),
        "labels": honoured({"a": "b"}),
        "network": honoured("none"),
        "no_cache": honoured(True),
        "no_cache_filter": replaced(["stage"]),
        "platforms": honoured(["linux/amd64"]),
        "privileged": refused(True),
        "provenance": replaced(True),
        "pull": honoured(True),
        "sbom": replaced(True),
        "secrets": refused([GRANT]),
        "shm_size": honoured("8m"),
        "ssh": refused(["default"]),
        "tags": replaced(["i:2"]),
        "target": honoured("stage"),
        "ulimits": refused({"nofile": {"soft": 1, "hard": 2}}),
    },
    beside={"context": "."},
)
DEPENDENCY = Place(
    "services.*.depends_on.*",
    {
        "condition": honoured("service_healthy", instead="service_started"),
        "required": honoured(False),
        "restart": idle(True),  # envspin restarts nothing by itself, and Compose only on its own commands
    },
    beside={"condition": "service_started"},
)
DEPLOY = Place(
    "services.*.deploy",
    {
        "endpoint_mode": replaced("vip"),
        "labels": replaced({"a": "b"}),
        "mode": idle("replicated"),  # the default
        "placement": replaced(
            {"constraints": ["node.role==manager"], "preferences": [{"spread": "x"}], "max_replicas_per_node": 1}
        ),
        "replicas": honoured(2),
        "resources": honoured({"limits": {"pids": 10}}),
        "restart_policy": replaced({"condition": "any", "delay": "1s", "max_attempts": 1, "window": "1s"}),
        "rollback_config": replaced(UPDATE),
        "update_config": replaced(UPDATE),
    },
)
RESOURCES = [
    Place(
        "services.*.deploy.resources",
        {"limits": honoured({"memory": "64m"}), "reservations": honoured({"memory": "32m"})},
    ),
    Place(
        "services.*.deploy.resources.limits",
        {"cpus": honoured("0.5"), "memory": honoured("64m"), "pids": honoured(10)},
    ),
    Place(
        "services.*.deploy.resources.reservations",
        {
            "cpus": replaced("0.25"),
            "memory": honoured("32m"),
            "devices": refused(DEVICES),
            "generic_resources": refused([{"discrete_resource_spec": {"kind": "gpu", "value": 2}}]),
        },
    ),
]
ENV_FILE = Place(
    "services.*.env_file[]",
    {"path": honoured("a.env", instead="b.env"), "format": honoured("raw")},
    beside={"path": "b.env"},
    is_extensible=False,
)
MISSING_ENV_FILE = Place(
    "services.*.env_file[]", {"required": honoured(False)}, beside={"path": "missing.env"}, is_extensible=False
)
EXTENDS = Place(
    "services.*.extends",
    {"service": honoured("c", instead="b"), "file": honoured("base.yaml")},
    beside={"service": "b"},
    is_extensible=False,
)
HEALTHCHECK = Place(
    "services.*.healthcheck",
    {
        "disable": honoured(True),
        "interval": honoured("2s"),
        "retries": honoured(5),
        "start_interval": honoured("3s"),
        "start_period": honoured("4s"),
        "test": honoured(["CMD", "false"], instead=["CMD", "true"]),
        "timeout": honoured("5s"),
    },
    beside={"test": ["CMD", "true"]},
)
ATTACHMENT = Place(
    "services.*.networks.*",
    {
        "aliases": honoured(["x"]),
        "driver_opts": refused({"a": "b"}),
        "gw_priority": replaced(1),
        "interface_name": refused("eth7"),
        "ipv4_address": refused("172.16.238.10"),
        "ipv6_address": refused("2001:3984:3989::10"),
        "link_local_ips": refused(["57.123.22.11"]),
        "mac_address": refused("02:42:ac:11:65:43"),
        "priority": honoured(10),
        "use_service_name_alias": refused(True),
    },
    around={"services.*.networks": {"m": {}, "n": {}}},
)
PORT = Place(
    "services.*.ports[]",
    {
        "target": honoured(81, instead=80),
        "protocol": honoured("udp"),
        "published": replaced("8080", "replaced-port"),
        "host_ip": replaced("0.0.0.0", "replaced-port"),
        "mode": idle("host"),  # a swarm's load balancing; on one machine Compose publishes the same either way
        "name": idle("web"),  # documentation
        "app_protocol": idle("http"),  # documentation
    },
    beside={"target": 80},
)
GRANTS = [
    Place(
        f"services.*.{kind}[]",
        {
            "source": honoured(other, instead=one),
            "target": honoured("/etc/x"),
            "uid": honoured("7"),
            "gid": honoured("7"),
            "mode": honoured("0400"),
        },
        beside={"source": one},
    )
    for kind, one, other in (("secrets", "s", "t"), ("configs", "c", "d"))
]
ULIMIT = Place(
    "services.*.ulimits.*",
    {"soft": honoured(1, instead=10), "hard": honoured(30, instead=20)},
    beside={"soft": 10, "hard": 20},
)
MOUNTS = [
    Place(
        "services.*.volumes[]",
        {
            "type": honoured("tmpfs", instead="volume"),
            "target": honoured("/y", instead="/x"),
            "read_only": honoured(True),
            "consistency": replaced("cached"),
            "volume": honoured({"nocopy": True}),
        },
        beside={"type": "volume", "target": "/x"},
    ),
    Place("services.*.volumes[]", {"source": honoured("data")}, beside={"type": "volume", "target": "/x"}),
    Place(
        "services.*.volumes[]",
        {"bind": honoured({"create_host_path": False})},
        beside={"type": "bind", "source": "./here", "target": "/x"},
    ),
    Place(
        "services.*.volumes[]",
        {"tmpfs": honoured({"size": "1m"})},
        beside={"type": "tmpfs", "target": "/x"},
    ),
    Place(
        "services.*.volumes[]",
        {"type": refused("image", "unsupported-value")},
        beside={"source": "i", "target": "/x"},
    ),
    Place(
        "services.*.volumes[]",
        {"image": refused({"subpath": "x"})},
        beside={"type": "image", "source": "i", "target": "/x"},
    ),
    Place(
        "services.*.volumes[].bind",
        {
            "create_host_path": honoured(False),
            "propagation": refused("rshared"),
            "recursive": refused("disabled"),
            "selinux": replaced("z"),
        },
        around={"services.*.volumes[]": {"type": "bind", "source": "./here", "target": "/x"}},
    ),
    Place(
        "services.*.volumes[].volume",
        {"labels": refused({"a": "b"}), "nocopy": honoured(True), "subpath": refused("x")},
        around={"services.*.volumes[]": {"type": "volume", "source": "data", "target": "/x"}},
    ),
    Place(
        "services.*.volumes[].tmpfs",
        {"mode": honoured("0700"), "size": honoured("1m")},
        around={"services.*.volumes[]": {"type": "tmpfs", "target": "/x"}},
    ),
]
NETWORK = Place(
    "networks.*",
    {
        "attachable": replaced(True),
        "driver": refused("overlay", "unsupported-value"),
        "driver_opts": honoured({"a": "b"}),
        "enable_ipv4": replaced(True),
        "enable_ipv6": replaced(True),
        "external": refused({"name": "x"}, "unsafe-external"),
        "internal": honoured(True),
        "ipam": replaced(
            {
                "driver": "default",
                "options": {"a": "b"},
                "config": [
                    {
                        "subnet": "172.28.0.0/16",
                        "ip_range": "172.28.5.0/24",
                        "gateway": "172.28.5.254",
                        "aux_addresses": {"x": "172.28.1.5"},
                    }
                ],
            }
        ),
        "labels": honoured({"a": "b"}),
        "name": replaced("fixed", "replaced-name"),
    },
)
BRIDGE = Place("networks.*", {"driver": idle("bridge")})  # what networks are
VOLUME = Place(
    "volumes.*",
    {
        "driver": honoured("local"),
        "driver_opts": honoured({"a": "b"}),
        "external": refused({"name": "x"}, "unsafe-external"),
        "labels": honoured({"a": "b"}),
        "name": replaced("fixed", "replaced-name"),
    },
)
SECRET = Place(
    "secrets.*",
    {
        "driver": refused("x"),
        "driver_opts": refused({"a": "b"}),
        "external": refused({"name": "x"}, "unsupported-value"),
        "labels": replaced({"a": "b"}),
        "name": replaced("fixed", "replaced-name"),
        "template_driver": refused("golang"),
    },
    beside={"environment": "HOME"},
)
CONFIG = Place(
    "configs.*",
    {
        "external": refused({"name": "x"}, "unsupported-value"),
        "labels": replaced({"a": "b"}),
        "name": replaced("fixed", "replaced-name"),
        "template_driver": refused("golang"),
    },
    beside={"content": "x"},
)
SOURCES = [
    Place("secrets.*", {"environment": honoured("USER", instead="HOME")}),
    Place("secrets.*", {"file": honoured("y", instead="x")}),
    Place("configs.*", {"environment": honoured("USER", instead="HOME")}),
    Place("configs.*", {"file": honoured("y", instead="x")}),
    Place("configs.*", {"content": honoured("y", instead="x")}),
]
UNSAFE = [
    Place(
        "services.*",
        {"ipc": refused("host", "unsafe-host-ipc"), "network_mode": refused("host", "unsafe-host-network")},
        beside={"image": "i"},
    ),
]

PLACES = [
    TOP_LEVEL,
    INCLUDE,
    SERVICE,
    BUILD,
    DEPENDENCY,
    DEPLOY,
    *RESOURCES,
    ENV_FILE,
    MISSING_ENV_FILE,
    EXTENDS,
    HEALTHCHECK,
    ATTACHMENT,
    PORT,
    *GRANTS,
    ULIMIT,
    *MOUNTS,
    NETWORK,
    BRIDGE,
    VOLUME,
    SECRET,
    CONFIG,
    *SOURCES,
    *UNSAFE,
]
