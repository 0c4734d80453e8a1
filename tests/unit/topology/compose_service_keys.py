"""The keys of a service itself, each with an example; ``compose_keys.py`` has all others."""

# ruff: noqa: FBT003 - an example may be a boolean

from __future__ import annotations

from .key_examples import Place, honoured, refused, replaced

HOOK = {"command": ["x"], "user": "root", "privileged": True, "working_dir": "/", "environment": {"A": "1"}}
UPDATE = {
    "parallelism": 1,
    "delay": "1s",
    "failure_action": "continue",
    "monitor": "1s",
    "max_failure_ratio": 0.1,
    "order": "stop-first",
}
RATES = [{"path": "/dev/sda", "rate": "1mb"}]
DEVICES = [{"capabilities": ["gpu"], "count": 1, "device_ids": ["0"], "driver": "nvidia", "options": {"a": "b"}}]
GRANT = {"source": "s", "target": "t", "uid": "1", "gid": "1", "mode": 256}


SERVICE = Place(
    "services.*",
    {
        "annotations": replaced({"a": "b"}),
        "attach": replaced(False),
        "blkio_config": replaced(
            {
                "weight": 300,
                "weight_device": [{"path": "/dev/sda", "weight": 400}],
                "device_read_bps": RATES,
                "device_read_iops": RATES,
                "device_write_bps": RATES,
                "device_write_iops": RATES,
            }
        ),
        "build": honoured("."),
        "cap_add": honoured(["NET_ADMIN"]),
        "cap_drop": honoured(["ALL"]),
        "cgroup": refused("private"),
        "cgroup_parent": refused("m-executor-abcd"),
        "command": honoured("run it"),
        "configs": honoured(["c"]),
        "container_name": replaced("fixed"),
        "cpu_count": replaced(1),
        "cpu_percent": replaced(50),
        "cpu_period": refused(100000),
        "cpu_quota": refused(50000),
        "cpu_rt_period": refused("1400us"),
        "cpu_rt_runtime": refused("400us"),
        "cpu_shares": replaced(512),
        "cpus": honoured("0.5"),
        "cpuset": refused("0,1"),
        "credential_spec": refused({"config": "x", "file": "y", "registry": "z"}),
        "depends_on": honoured(["b"]),
        "deploy": honoured({"resources": {"limits": {"cpus": "0.5"}}}),
        "develop": replaced(
            {
                "watch": [
                    {
                        "path": ".",
                        "action": "sync+exec",
                        "target": "/app",
                        "ignore": ["x"],
                        "include": ["y"],
                        "initial_sync": True,
                        "exec": HOOK,
                    }
                ]
            }
        ),
        "device_cgroup_rules": refused(["c 1:3 mr"]),
        "devices": refused([{"source": "/dev/fuse", "target": "/dev/fuse", "permissions": "rwm"}]),
        "dns": honoured("9.9.9.9"),
        "dns_opt": honoured(["use-vc"]),
        "dns_search": honoured("example.test"),
        "domainname": honoured("example.test"),
        "entrypoint": honoured(["run"]),
        "env_file": honoured("a.env"),
        "environment": honoured({"A": "1"}),
        "expose": honoured(["80"]),
        "extends": honoured("b"),
        "external_links": refused(["redis"]),
        "extra_hosts": honoured({"somewhere": "10.0.0.1"}),
        "gpus": refused(DEVICES),
        "group_add": honoured(["mail"]),
        "healthcheck": honoured({"test": "true"}),
        "hostname": honoured("box"),
        "image": honoured("j", instead="i"),
        "init": honoured(True),
        "ipc": honoured("shareable"),
        "isolation": refused("hyperv"),
        "label_file": refused("a.env"),
        "labels": honoured({"a": "b"}),
        "links": replaced(["b:database"], "replaced-links"),
        "logging": replaced({"driver": "syslog", "options": {"tag": "x"}}),
        "mac_address": replaced("02:42:ac:11:65:43"),
        "mem_limit": honoured("64m"),
        "mem_reservation": honoured("32m"),
        "mem_swappiness": replaced(60),
        "memswap_limit": replaced("128m"),
        "models": refused({"z": {"endpoint_var": "A", "model_var": "B"}}),
        "network_mode": honoured("none"),
        "networks": honoured(["n"]),
        "oom_kill_disable": refused(True),
        "oom_score_adj": replaced(100),
        "pid": refused("host", "unsafe-host-pid"),
        "pids_limit": honoured(10),
        "platform": honoured("linux/amd64"),
        "ports": honoured(["80"]),
        "post_start": refused([HOOK]),
        "pre_start": refused([{"image": "i", "command": ["x"], "per_replica": True}]),
        "pre_stop": refused([HOOK]),
        "privileged": refused(True, "unsafe-privileged"),
        "profiles": honoured(["extra"]),
        "provider": refused({"type": "x", "options": {"a": "b"}}),
        "pull_policy": replaced("always"),
        "pull_refresh_after": replaced("1h"),
        "read_only": honoured(True),
        "restart": replaced("always"),
        "runtime": refused("runc"),
        "scale": honoured(2),
        "secrets": honoured(["s"]),
        "security_opt": honoured(["seccomp=unconfined"]),
        "shm_size": honoured("8m"),
        "stdin_open": honoured(True),
        "stop_grace_period": honoured("1s"),
        "stop_signal": honoured("SIGINT"),
        "storage_opt": refused({"size": "1G"}),
        "sysctls": honoured({"net.core.somaxconn": 100}),
        "tmpfs": honoured("/run"),
        "tty": honoured(True),
        "ulimits": honoured({"nproc": 10}),
        "umask": refused("0027"),
        "use_api_socket": refused(True),
        "user": honoured("1000"),
        "userns_mode": refused("host"),
        "uts": refused("host"),
        "volumes": honoured(["data:/data"]),
        "volumes_from": refused(["b"]),
        "working_dir": honoured("/tmp"),
    },
    beside={"image": "i"},
)
