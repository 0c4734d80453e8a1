"""Each probe against the real server that it is for, in a container of the real engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from envspin.engine.base import BuildRequest, ContainerInfo, Engine, ExecResult, LogStream
from envspin.engine.docker.context import hash_build
from envspin.model import (
    AmqpProbe,
    CompletedProbe,
    ExecProbe,
    Healthcheck,
    HealthcheckProbe,
    HttpProbe,
    LogProbe,
    MysqlProbe,
    Port,
    PostgresProbe,
    Probe,
    RedisProbe,
    RunningProbe,
    TcpProbe,
)
from envspin.run.probes import Hopeless, NotReady, make_prober, wait_until_ready

from .images import HASH_LABEL
from .lab import Lab

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
SERVERS = BuildRequest("envspin-testservers:1", ROOT / "tests" / "images" / "servers")
BROKER = BuildRequest("envspin-testbroker:1", ROOT / "topologies" / "shop" / "mq")
PATIENCE = 60.0
"""Seconds that a server gets to start: far more than it needs."""

SHOP = PostgresProbe(user="shop", password="s3cret")


class ContainerTarget:
    """A container of the engine as probes see it."""

    def __init__(self, engine: Engine, container: str, published: Port | None = None) -> None:
        self.engine = engine
        self.container = container
        self.published = published
        self.is_direct = published is None
        self.effective_healthcheck: Healthcheck | None = None

    def address(self, port: int) -> tuple[str, int]:
        info = self.state()
        if self.published is not None:
            return "127.0.0.1", info.published[str(self.published)]
        return next(iter(info.addresses.values())), port

    def execute(self, command: Sequence[str], timeout: float) -> ExecResult:
        return self.engine.execute(self.container, command, timeout=timeout)

    def healthcheck(self) -> Healthcheck | None:
        return self.effective_healthcheck

    def state(self) -> ContainerInfo:
        return self.engine.inspect(self.container)

    def log_lines(self) -> LogStream:
        return self.engine.logs(self.container, follow=True)


Start = Callable[..., ContainerTarget]


def build(engine: Engine, request: BuildRequest) -> str:
    """Build an image unless the engine holds it as its files say now; return its name."""
    wanted = hash_build(request, engine.find_image).whole
    held = engine.find_image(request.tag)
    if held is None or held.labels.get(HASH_LABEL) != wanted:
        engine.build(replace(request, labels={HASH_LABEL: wanted}))
    return request.tag


@pytest.fixture(scope="module")
def servers(docker_connection: Engine) -> str:
    return build(docker_connection, SERVERS)


@pytest.fixture
def box(docker_lab: Lab) -> Start:
    """Return a function that runs the testbox on a network of its own."""
    network = docker_lab.network()

    def run(*command: str, published: Port | None = None) -> ContainerTarget:
        ports = (published,) if published else ()
        container = docker_lab.run(*command, networks=(network,), published=ports)
        return ContainerTarget(docker_lab.engine, container, published)

    return run


@pytest.fixture
def start(docker_lab: Lab, servers: str) -> Start:
    """Return a function that runs one of the servers on a network of its own."""
    network = docker_lab.network()

    def run(*command: str, image: str = servers, environment: dict[str, str] | None = None) -> ContainerTarget:
        container = docker_lab.run(*command, image=image, networks=(network,), environment=environment or {})
        return ContainerTarget(docker_lab.engine, container)

    return run


def wait(target: ContainerTarget, *specs: Probe, meanwhile: Callable[[str], object] = lambda _: None) -> list[str]:
    """Wait until all probes pass; return the reasons why they did not at first. ``meanwhile`` is told each one."""
    reasons: list[str] = []

    def note(_: str, reason: str) -> None:
        reasons.append(reason)
        meanwhile(reason)

    wait_until_ready(
        [make_prober(spec, target) for spec in specs],
        deadline=time.monotonic() + PATIENCE,
        clock=time.monotonic,
        cancelled=threading.Event(),
        on_reason=note,
    )
    return reasons


def find_reason(target: ContainerTarget, spec: Probe) -> str:
    """Return why a probe of a running server does not pass."""
    with pytest.raises(NotReady) as caught:
        make_prober(spec, target).check()
    return str(caught.value)


@pytest.mark.parametrize("method", ["scram-sha-256", "md5", "password"])
def test_postgres_in_each_way_to_log_in(method: str, start: Start) -> None:
    """The temporary server of the set-up is not taken for the final one: the role exists when the probe passes."""
    target = start("serve-postgres", method)
    reasons = wait(target, SHOP)
    assert "port 5432 refuses connections" in reasons
    assert not [reason for reason in reasons if "28P01" in reason or "3D000" in reason]
    refused = 'password authentication failed for user "shop" (28P01)'
    assert find_reason(target, replace(SHOP, password="wrong")) == refused
    assert find_reason(target, replace(SHOP, database="nope")) == 'database "nope" does not exist (3D000)'
    wait(target, replace(SHOP, password=None))


def test_postgres_that_trusts_everybody(start: Start) -> None:
    target = start("serve-postgres", "trust")
    wait(target, replace(SHOP, password="any"), replace(SHOP, password=None))
    assert find_reason(target, replace(SHOP, user="ghost")) == 'role "ghost" does not exist (28000)'


def test_postgres_that_starts_up(start: Start) -> None:
    """A standby answers every login with 57P03 until it is promoted."""
    target = start("serve-postgres", "scram-sha-256", "standby")

    def promote(reason: str) -> None:
        if "not accepting connections" in reason:
            command = "setpriv --reuid postgres --regid postgres --clear-groups pg_ctl -D /data/postgres promote"
            assert target.execute(command.split(), PATIENCE).exit_code == 0

    assert "the database system is not accepting connections (57P03)" in wait(target, SHOP, meanwhile=promote)


def test_redis_without_a_password(start: Start) -> None:
    target = start("redis-server", "--bind", "0.0.0.0", "--protected-mode", "no")
    wait(target, RedisProbe(), RedisProbe(password="not asked for"))
    assert find_reason(target, MysqlProbe(port=6379))
    assert find_reason(target, AmqpProbe(port=6379))
    assert find_reason(target, PostgresProbe(port=6379))
    assert find_reason(target, HttpProbe(port=6379))


def test_redis_with_a_password(start: Start) -> None:
    target = start("redis-server", "--bind", "0.0.0.0", "--requirepass", "s3cret")
    wait(target, RedisProbe(password="s3cret"), RedisProbe())
    assert find_reason(target, RedisProbe(password="wrong")).startswith("WRONGPASS")


def test_redis_that_refuses_other_machines(start: Start) -> None:
    target = start("redis-server", "--bind", "0.0.0.0")
    wait(target, TcpProbe(port=6379))
    assert find_reason(target, RedisProbe()).startswith("DENIED")


def test_redis_that_loads(start: Start) -> None:
    """It listens and answers long before its data is there."""
    assert "LOADING Redis is loading the dataset in memory" in wait(start("serve-redis-slowly"), RedisProbe())


MARIADB = "exec mariadbd --user=mysql --datadir=/data/mariadb --bind-address=0.0.0.0"


def test_mariadb_greets(start: Start) -> None:
    create_user = "echo \"CREATE USER shop@'%' IDENTIFIED BY 's3cret';\" > /tmp/users.sql"
    wait(start("sh", "-c", f"{create_user}; {MARIADB} --init-file=/tmp/users.sql"), MysqlProbe())


def test_mariadb_that_nobody_may_log_in_to(start: Start) -> None:
    target = start("sh", "-c", MARIADB)
    wait(target, TcpProbe(port=3306))
    assert find_reason(target, MysqlProbe()).endswith("is not allowed to connect to this MariaDB server (1130)")


@pytest.mark.skipif(not BROKER.context.is_dir(), reason="the demo topology has no broker")
def test_rabbitmq(start: Start, docker_connection: Engine) -> None:
    environment = {"RABBITMQ_DEFAULT_USER": "shop", "RABBITMQ_DEFAULT_PASS": "s3cret", "RABBITMQ_DEFAULT_VHOST": "shop"}
    image = build(docker_connection, BROKER)
    probe = AmqpProbe(user="shop", password="s3cret", vhost="shop")
    target = start("/usr/lib/rabbitmq/bin/rabbitmq-server", image=image, environment=environment)
    assert not [reason for reason in wait(target, probe) if "(" in reason]
    assert find_reason(target, replace(probe, password="wrong")).startswith("ACCESS_REFUSED - Login was refused")
    assert find_reason(target, replace(probe, vhost="nope")) == "NOT_ALLOWED - vhost nope not found (530)"


def test_the_engines_port_proxy_is_not_taken_for_the_service(box: Start) -> None:
    """It accepts from the container's start on."""
    target = box("--listen", "8000", "--listen-after", "2", published=Port(8000))
    assert wait(target, TcpProbe(port=8000)) == [
        "port 8000 closes connections at once: nothing listens behind it yet",
    ]
    wait(target, HttpProbe(port=8000, body="^ok"))


def test_the_containers_own_address(box: Start) -> None:
    target = box("--listen", "8000", "--status", "503")
    wait(target, TcpProbe(port=8000), HttpProbe(port=8000, status=(503,)))
    assert find_reason(target, HttpProbe(port=8000)).startswith("HTTP 503")


def test_log_lines_as_they_come(box: Start) -> None:
    target = box("--line", "starting", "--line-at", "0.3:ready", "--line-at", "0.6:ready")
    wait(target, LogProbe("^ready$", times=2))


def test_a_log_that_ends_with_its_container(box: Start) -> None:
    target = box("--line", "cannot start", "--exit", "3")
    with pytest.raises(Hopeless, match="exited with code 3; none seen in 1 lines; last line: cannot start"):
        wait(target, LogProbe("ready"))


def test_commands_inside(box: Start) -> None:
    target = box("--listen", "8000")
    target.effective_healthcheck = Healthcheck(("CMD-SHELL", "test -f /tmp/up || { echo no file yet; exit 4; }"))

    def create_file(reason: str) -> None:
        if "no file yet" in reason:
            assert target.execute(["touch", "/tmp/up"], PATIENCE).exit_code == 0

    reasons = wait(target, HealthcheckProbe(), meanwhile=create_file)
    assert [reason for reason in reasons if reason.endswith("exited with 4: no file yet")]
    wait(target, ExecProbe(("test", "-f", "/tmp/up")))


def test_a_command_that_is_not_there(box: Start) -> None:
    target = box("--listen", "8000")
    result = target.execute(["no-such-command"], PATIENCE)
    assert result.exit_code in {126, 127}
    target.effective_healthcheck = Healthcheck(("CMD-SHELL", "true"))
    moved = target.execute(["python3", "-c", "import os; os.remove('/bin/sh')"], PATIENCE)
    assert moved.exit_code == 0
    with pytest.raises(Hopeless, match="the image has no /bin/sh"):
        wait(target, HealthcheckProbe())


def test_staying_up(box: Start) -> None:
    wait(box("--listen", "8000"), RunningProbe(seconds=0.2))
    with pytest.raises(Hopeless, match="exited with code 5"):
        wait(box("--exit", "5", "--exit-after", "0.2"), RunningProbe(seconds=PATIENCE))


def test_jobs(box: Start) -> None:
    wait(box("--exit", "0", "--exit-after", "0.2"), CompletedProbe())
    with pytest.raises(Hopeless, match="exited with code 5"):
        wait(box("--exit", "5"), CompletedProbe())
