"""`x-envspin`: probes, stubs, resets, exports, matrix."""

from __future__ import annotations

import pytest

from envspin.model import (
    AmqpProbe,
    ExecProbe,
    GrpcProbe,
    HealthcheckProbe,
    HttpProbe,
    LogProbe,
    MysqlProbe,
    NetworkAttachment,
    Port,
    PostgresProbe,
    RedisProbe,
    ResetStrategy,
    TcpProbe,
)


@pytest.mark.parametrize(
    ("ready", "expected"),
    [
        ("{tcp: 5432}", TcpProbe(5432)),
        ("{tcp: {port: 5432}}", TcpProbe(5432)),
        ("{tcp: {}}", TcpProbe(8000)),
        ("{tcp: }", TcpProbe(8000)),
        ("tcp", TcpProbe(8000)),
        ("{http: {}}", HttpProbe(8000)),
        ("{http: /health}", HttpProbe(8000, "/health")),
        ("{http: 81}", HttpProbe(81)),
        (
            "{http: {port: 80, path: /h, status: [200, 204], body: ok.*, headers: {A: b}, method: post, tls: true}}",
            HttpProbe(80, "/h", (200, 204), "ok.*", {"A": "b"}, "POST", tls=True),
        ),
        ("{http: {status: 200}}", HttpProbe(8000, status=(200,))),
        ("{http: {status: 3xx}}", HttpProbe(8000, status=tuple(range(300, 400)))),
        ("{log: 'ready to .* connections'}", LogProbe("ready to .* connections")),
        ("{log: {pattern: ready, times: 2}}", LogProbe("ready", 2)),
        ("{exec: [pg_isready, -q]}", ExecProbe(("pg_isready", "-q"))),
        ("{exec: 'test -f /x && true'}", ExecProbe(("/bin/sh", "-c", "test -f /x && true"))),
        ("{healthcheck: {}}", HealthcheckProbe()),
        ("{postgres: {}}", PostgresProbe(5432, "app", "shop", "pw")),
        ("{postgres: {port: 5433, user: u, database: d, password: p}}", PostgresProbe(5433, "u", "d", "p")),
        ("{redis: {}}", RedisProbe()),
        ("{redis: {port: 1, password: p}}", RedisProbe(1, "p")),
        ("{redis: 6380}", RedisProbe(6380)),
        ("{mysql: {}}", MysqlProbe()),
        ("{amqp: {}}", AmqpProbe(5672, "rabbit", "rpw", "/v")),
        ("{amqp: {user: u, password: p, vhost: w}}", AmqpProbe(5672, "u", "p", "w")),
        ("{grpc: {}}", GrpcProbe(8000)),
        ("{grpc: {port: 9, service: s}}", GrpcProbe(9, "s")),
        ("{grpc: 9}", GrpcProbe(9)),
    ],
)
def test_each_probe(bench, ready, expected):
    environment = (
        "{POSTGRES_USER: app, POSTGRES_DB: shop, POSTGRES_PASSWORD: pw, RABBITMQ_DEFAULT_USER: rabbit, "
        "RABBITMQ_DEFAULT_PASS: rpw, RABBITMQ_DEFAULT_VHOST: /v}"
    )
    service = bench.service(f"x-envspin: {{ready: {ready}}}\nenvironment: {environment}\nexpose: [8000]")
    assert service.ready == (expected,)


def test_without_variables_the_probes_have_the_images_defaults(bench):
    service = bench.service("x-envspin: {ready: [{postgres: {}}, {amqp: {}}]}")
    assert service.ready == (PostgresProbe(), AmqpProbe())


def test_several_probes_keep_their_order(bench):
    assert bench.service("x-envspin: {ready: [{log: x}, {tcp: 1}]}").ready == (LogProbe("x"), TcpProbe(1))


def test_no_probe_is_an_empty_tuple(bench):
    assert bench.service("x-envspin: {timeout: 5s, job: true, snapshot: true}").ready == ()


def test_a_password_is_not_in_the_representation_of_a_probe(bench):
    assert "canary" not in repr(bench.service("x-envspin: {ready: {redis: {password: canary}}}"))


def test_scalars_of_the_service(bench):
    service = bench.service("x-envspin: {timeout: 1m30s, job: true, snapshot: true}")
    assert (service.timeout, service.job, service.snapshot) == (90.0, True, True)


@pytest.mark.parametrize(
    ("reset", "expected"),
    [
        ("{postgres: {databases: [a, b]}}", ResetStrategy("postgres", {"databases": ("a", "b")})),
        ("{postgres: {}}", ResetStrategy("postgres")),
        ("{redis: {}}", ResetStrategy("redis")),
        ("{redis: }", ResetStrategy("redis")),
        ("{exec: [a, b]}", ResetStrategy("exec", {"command": ("a", "b")})),
        ("{exec: a b}", ResetStrategy("exec", {"command": ("/bin/sh", "-c", "a b")})),
        ("{restart: {}}", ResetStrategy("restart")),
        ("recreate", ResetStrategy("recreate")),
    ],
)
def test_each_reset(bench, reset, expected):
    assert bench.service(f"x-envspin: {{reset: {reset}}}").reset == expected


def test_a_stub_is_a_service_of_its_own_with_the_networks_and_ports_of_the_original(bench):
    service = bench.service(
        "ports: [80]\nnetworks: {front: {aliases: [pay]}}\nenvironment: {A: 1}\ndepends_on: [b]\n"
        "x-envspin:\n  ready: {tcp: 80}\n  stub: {image: stub, command: serve, ready: {http: /}}"
    )
    assert service.stub.image == "stub"
    assert service.stub.command == ("serve",)
    assert service.stub.ports == (Port(80),)
    assert service.stub.networks == (NetworkAttachment("front", ("pay",)),)
    assert service.stub.ready == (HttpProbe(80),)
    assert service.stub.environment == {}
    assert service.stub.depends_on == ()


def test_a_stub_may_have_its_own_ports_and_its_probes_under_x_envspin(bench):
    service = bench.service(
        "ports: [80]\nx-envspin: {stub: {image: s, ports: [81], networks: [back], x-envspin: {ready: {tcp: }}}}"
    )
    assert service.stub.ports == (Port(81),)
    assert service.stub.networks == (NetworkAttachment("back"),)
    assert service.stub.ready == (TcpProbe(81),)


FILE = """
services:
  db: {image: d}
  my-api.v1: {image: a}
secrets: {pw: {x-envspin: {generate: 12}}}
x-envspin:
"""


def test_the_topologys_own_keys(bench):
    topology = bench.load(
        FILE
        + """
  timeout: 5m
  hermetic: true
  exports:
    URL: pg://u:{secret.pw}@{db.host}:{db.port.5432}/x?{{}}
    API: "{my-api.v1.url}"
    MODE: ${MODE:-fast}
"""
    )
    assert topology.timeout == 300
    assert topology.hermetic
    assert topology.exports == {
        "URL": "pg://u:{secret.pw}@{db.host}:{db.port.5432}/x?{{}}",
        "API": "{my-api.v1.url}",
        "MODE": "fast",
    }
    assert topology.sources["secret:pw"].generate == 12


def test_matrix_axes_stand_beside_the_options_or_under_axes(bench):
    rest = "include: [{db: d:9, X: y}], exclude: [{db: d:1}], strategy: pairwise"
    flat = bench.load(FILE + f"  matrix: {{db: [d:1, d:2], PYTHON: [3.10, 3.11], {rest}}}\n").matrix
    nested = bench.load(FILE + f"  matrix: {{axes: {{db: [d:1, d:2], PYTHON: [3.10, 3.11]}}, {rest}}}\n").matrix
    assert flat == nested
    assert flat == {
        "axes": {"db": ["d:1", "d:2"], "PYTHON": ["3.10", "3.11"]},
        "include": [{"db": "d:9", "X": "y"}],
        "exclude": [{"db": "d:1"}],
        "strategy": "pairwise",
    }
