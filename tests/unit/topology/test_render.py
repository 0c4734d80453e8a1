"""A loaded topology, printed as Compose: the same to us, and the same to Compose."""

from __future__ import annotations

import json

import pytest

from envspin.topology import dump_yaml, to_compose

from .samples import FILES, essence, files_of, load, write_rendered


@pytest.mark.parametrize("name", FILES)
def test_the_rendered_text_loads_as_the_same_topology(name, tmp_path):
    topology = load(files_of(name))
    rendered = write_rendered(topology, tmp_path)
    again = load([rendered])
    assert essence(again) == essence(topology)
    assert dump_yaml(to_compose(again)) == rendered.read_text(encoding="utf-8")


FULL = """
services:
  a:
    x-envspin: {timeout: 5s}
    networks: [n]
    cap_drop: [ALL]
    labels: {a: b}
    secrets: [s]
    configs: [c]
    volumes: [data:/data]
    healthcheck: {test: x}
    depends_on: [b]
    expose: [81]
    ports: [80]
    environment: {B: "1", A: ""}
    working_dir: /w
    user: app
    entrypoint: e
    command: c
    profiles: [p]
    scale: 2
    platform: linux/amd64
    build: .
    image: i
  b: {image: b}
networks: {n: }
volumes: {data: }
configs: {c: {content: c}}
secrets: {s: {file: s}}
"""
READ_FIRST = (
    "image build platform scale profiles command entrypoint user working_dir environment ports expose depends_on "
    "healthcheck volumes configs secrets networks"
)


def test_keys_come_in_the_order_in_which_people_read_them(tmp_path):
    (tmp_path / "in.yaml").write_text(FULL)
    service = to_compose(load([tmp_path / "in.yaml"]))["services"]["a"]
    assert list(service)[:-3] == READ_FIRST.split()
    assert set(list(service)[-3:-1]) == {"cap_drop", "labels"}
    assert list(service)[-1] == "x-envspin"
    assert list(service["environment"]) == ["B", "A"]


def test_the_text_is_in_blocks_without_comments_and_anchors(tmp_path):
    (tmp_path / "in.yaml").write_text("# c\nx-a: &a {A: 1}\nservices:\n  a: {image: i, labels: *a, environment: *a}\n")
    lines = write_rendered(load([tmp_path / "in.yaml"]), tmp_path).read_text().splitlines()
    assert lines[1:9] == [
        "services:",
        "  a:",
        "    image: i",
        "    environment:",
        '      A: "1"',
        "    networks:",
        "      default: null",
        "    labels:",
    ]
    assert not any(sign in line for line in lines for sign in "#&*")


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
