"""Every kind of probe can be made and described, lazily and without telling a password."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from envspin import model
from envspin.model import Probe
from envspin.run.probes import describe, make_prober

from .support import MakeTarget

SECRET = "c4nary-s3cret"
EXAMPLES: list[tuple[Probe, str]] = [
    (model.TcpProbe(port=5432), "port 5432 to accept connections"),
    (model.HttpProbe(port=80, path="/health"), "http GET /health on port 80 to answer 2xx or 3xx"),
    (
        model.HttpProbe(port=443, status=(200, 401), body="up", tls=True, method="HEAD"),
        ("https HEAD / on port 443 to answer 200 or 401 and a body matching /up/"),
    ),
    (model.LogProbe("ready"), "a log line matching /ready/"),
    (model.LogProbe("ready", times=2), "2 log lines matching /ready/"),
    (model.ExecProbe(("test", "-f", "/my file")), "`test -f '/my file'` to exit with 0"),
    (model.HealthcheckProbe(), "the healthcheck to pass"),
    (model.PostgresProbe(user="shop", password=SECRET), "postgres to answer SELECT 1 on port 5432 as shop"),
    (model.PostgresProbe(user="shop", database="orders"), "postgres to answer SELECT 1 on port 5432 as shop in orders"),
    (model.MysqlProbe(), "mysql to greet on port 3306"),
    (model.RedisProbe(password=SECRET), "redis to answer PING on port 6379"),
    (model.AmqpProbe(user="shop", password=SECRET), "amqp to open vhost / on port 5672 as shop"),
    (model.GrpcProbe(port=50051), "the gRPC health on port 50051 to be SERVING"),
    (model.GrpcProbe(port=50051, service="shop"), "the gRPC health of shop on port 50051 to be SERVING"),
    (model.RunningProbe(seconds=0.3), "the container to run for 0.3 s"),
    (model.CompletedProbe(), "the job to exit with 0"),
]


@pytest.mark.parametrize(("spec", "text"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_a_description_reads_after_waiting_for(spec: Probe, text: str, make_target: MakeTarget) -> None:
    assert describe(spec) == text
    prober = make_prober(spec, make_target())
    assert prober.describe() == text
    assert prober.pace.shortest < prober.pace.longest
    prober.close()


def test_every_kind_of_the_model_is_covered() -> None:
    assert {type(spec) for spec, _ in EXAMPLES} == set(get_args(model.Probe))


def test_no_password_is_part_of_a_description() -> None:
    assert not [spec for spec, _ in EXAMPLES if SECRET in describe(spec)]


def test_a_long_command_is_shortened() -> None:
    spec = model.ExecProbe(("sh", "-c", "echo " * 100 + "\n"))
    assert len(describe(spec)) < 120
    assert "\n" not in describe(spec)


def test_what_one_kind_needs_is_not_imported_for_another() -> None:
    code = """
import sys
from envspin.model import TcpProbe
from envspin.run.probes import describe, make_prober
make_prober(TcpProbe(port=1), None)
print(sorted({"h2", "http.client", "ssl", "concurrent.futures"} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
