"""A loaded topology, printed as Compose: the same to us, and the same to Compose."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from envspin.topology import dump_yaml, load_topology, to_compose

CORPUS = Path(__file__).with_name("corpus")
FILES = sorted(path.stem for path in CORPUS.glob("*.yaml"))
ENVIRON = {"HOMEX": "hx", "E": "", "HOME": "/home/u", "PATH": os.environ["PATH"]}


def files_of(name):
    overlay = CORPUS / f"{name}.override"
    return [CORPUS / f"{name}.yaml", *([overlay] if overlay.exists() else [])]


def load(paths):
    return load_topology(paths, environ=ENVIRON, profiles=["*"], allow_unsafe=True)


def write_rendered(topology, folder):
    """Write the rendered text where its absolute paths still lie within the topology's folder."""
    path = folder / "compose.yaml"
    path.write_text(dump_yaml(to_compose(topology)), encoding="utf-8")
    return path


def essence(topology):
    return replace(topology, files=(), warnings=(), directory=Path())


@pytest.mark.parametrize("name", FILES)
def test_the_rendered_text_loads_as_the_same_topology(name, tmp_path):
    topology = load(files_of(name))
    assert essence(load([write_rendered(topology, tmp_path)])) == essence(topology)


EXTENSIONS = """
name: all
services:
  db:
    image: d
    ports: [5432]
    environment: {POSTGRES_PASSWORD: 'a$$b'}
    x-envspin:
      timeout: 1m30s
      snapshot: true
      reset: {postgres: {databases: [x, y]}}
      ready:
        - {postgres: {}}
        - {log: {pattern: 'a$$', times: 2}}
        - {http: {port: 1, path: /x, status: 2xx, body: b, headers: {A: b}, method: put, tls: true}}
        - {tcp: 1}
        - {exec: a b}
        - {healthcheck: {}}
        - {redis: {password: p}}
        - {mysql: {}}
        - {amqp: {vhost: v}}
        - {grpc: {port: 9, service: s}}
      stub: {image: s, ports: [], networks: [n], ready: {tcp: 7}}
  job:
    image: j
    links: [db]
    depends_on: {api: {condition: service_started}}
    x-envspin: {job: true, reset: {exec: [a]}}
  api: {image: a, healthcheck: {interval: 1.5s}, pids_limit: 0, stop_grace_period: 0s}
networks: {n: {internal: true, labels: [a=b], driver_opts: {x: y}}}
volumes: {v: {labels: {a: b}, driver: local, driver_opts: {type: tmpfs}}}
secrets: {s: {x-envspin: {generate: 9}}, e: {environment: HOMEX}, c: {content: "x\\ny $$z"}, f: {file: ./f}}
configs: {k: {content: ''}}
x-envspin:
  hermetic: true
  timeout: 10m
  exports: {U: 'p://{db.host}:{db.port.5432}?{{$$}}{secret.s}'}
  matrix: {db: [d, e], strategy: each, include: [{db: f}], exclude: [{db: e}]}
"""


def test_every_part_of_x_envspin_survives(tmp_path):
    (tmp_path / "in.yaml").write_text(EXTENSIONS)
    topology = load([tmp_path / "in.yaml"])
    assert essence(load([write_rendered(topology, tmp_path)])) == essence(topology)


def test_plain_data_only(tmp_path):
    (tmp_path / "in.yaml").write_text(EXTENSIONS)
    data = to_compose(load([tmp_path / "in.yaml"]))
    assert json.loads(json.dumps(data)) == data


def find_compose():
    """Return the command of Docker Compose v2, or None where it is not installed."""
    for command in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(command[0]):
            shown = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
            if shown.returncode == 0 and not shown.stdout.lstrip("v").startswith("1."):
                return command
    return None


COMPOSE = find_compose()
# the plugin is found by way of the real home, which the files must not see
COMPOSE_ENVIRON = {**ENVIRON, "DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker"))}
DIFFERENT_ON_PURPOSE = {
    "links": "links become aliases",
    "tmpfs": "tmpfs becomes a mount",
    "tmpfs-options": "tmpfs becomes a mount",
    "overlay-dns": "tmpfs becomes a mount",
}


def ask_compose(paths):
    """Return what `docker compose config` makes of files."""
    arguments = [word for path in paths for word in ("-f", str(path))]
    command = [*COMPOSE, *arguments, "--profile", "*", "config", "--format", "json"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=COMPOSE_ENVIRON, cwd=paths[0].parent
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def compared(data):
    """Return the parts of Compose's answer that must agree, in one form."""
    services = {}
    for name, service in data["services"].items():
        kept = {key: service.get(key) or None for key in ("image", "command", "entrypoint", "labels")}
        given = service.get("environment") or {}
        kept["environment"] = {key: value for key, value in given.items() if value is not None}
        kept |= {
            key: service.get(key) for key in ("user", "hostname", "working_dir", "init", "tty", "read_only", "platform")
        }
        kept["ports"] = sorted({(port["target"], port["protocol"]) for port in service.get("ports") or []})
        kept["depends_on"] = {
            key: (value["condition"], value["required"]) for key, value in (service.get("depends_on") or {}).items()
        }
        kept["volumes"] = sorted(
            (each["target"], each["type"], each.get("source"), each.get("read_only"), each.get("tmpfs") or None)
            for each in service.get("volumes") or []
        )
        kept["networks"] = {key: (value or {}).get("aliases") for key, value in (service.get("networks") or {}).items()}
        check = service.get("healthcheck") or {}
        kept["healthcheck"] = {"disable": True} if check.get("test") == ["NONE"] else check
        build = service.get("build")
        kept["build"] = build and {key: value for key, value in build.items() if value}
        kept["hosts"] = sorted(service.get("extra_hosts") or [])
        services[name] = kept
    return {"name": data["name"], "services": services, "volumes": sorted(data.get("volumes") or {})}


@pytest.mark.skipif(COMPOSE is None, reason="Docker Compose v2 is not installed")
@pytest.mark.parametrize("name", [name for name in FILES if name not in DIFFERENT_ON_PURPOSE])
def test_compose_reads_the_rendered_text_as_it_reads_the_files(name, tmp_path):
    rendered = write_rendered(load(files_of(name)), tmp_path)
    assert compared(ask_compose([rendered])) == compared(ask_compose(files_of(name)))
