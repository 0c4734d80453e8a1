"""Whole topologies on a real engine: what a user would see of each."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import pytest
from testcontainers.core.wait_strategies import (
    ExecWaitStrategy,
    HttpWaitStrategy,
    LogMessageWaitStrategy,
    PortWaitStrategy,
)

from envspin import Environment
from envspin.errors import ImageError, NotReadyError
from envspin.plan.planning import make_plan
from envspin.run.environment import load

HERE = Path(__file__).parent
pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nothing_left")]


def up(scenario: str, engine, **options):
    return Environment.up(HERE / scenario, engine=engine, **options)


@pytest.mark.parametrize("path", sorted(HERE.glob("*/plan.txt")), ids=lambda path: path.parent.name)
def test_the_plan_is_as_written_down(path):
    assert str(make_plan(load(path.parent))) + "\n" == path.read_text()


def read_start(service, text: str = "") -> str:
    """Return the engine's time stamp of the first log line that holds the text."""
    lines = service._engine.logs(service.container_id, timestamps=True)
    return next(line.partition(" ")[0] for line in lines if text in line)


def test_a_diamond_comes_up_in_order_of_readiness(real_engine):
    with up("diamond", real_engine) as env:
        states = {name: service.state for name, service in env.services.items()}
        assert states == {"top": "ready", "left": "ready", "right": "ready", "fill": "completed", "bottom": "ready"}
        moments = {name: (service.started_at, service.ready_at) for name, service in env.services.items()}
        for name, needs in {
            "left": ["bottom"],
            "fill": ["bottom"],
            "right": ["fill"],
            "top": ["left", "right"],
        }.items():
            assert all(moments[need][1] <= moments[name][0] for need in needs)
        assert env.critical_path[0] == "bottom"
        assert env.critical_path[-1] == "top"
        assert env.exports["TOP_URL"] == f"http://127.0.0.1:{env['top'].port}/"


def test_networks_separate_and_names_resolve(real_engine):
    def resolves(service, name: str) -> bool:
        return (
            service.exec(["python3", "-c", f"import socket; socket.create_connection(('{name}', 8000), 2)"]).exit_code
            == 0
        )

    with up("networks", real_engine) as env:
        gateway, front, vault = env["gateway"], env["front"], env["vault"]
        assert all(resolves(gateway, name) for name in ("front", "entrance", "www", "vault", "gateway"))
        assert resolves(vault, "gateway")
        assert not resolves(front, "vault")
        assert not resolves(vault, "front")
        assert vault.port == 8000  # at its own address: an internal network publishes nothing
        assert Environment.open(env.name, engine=real_engine)["vault"].endpoints == vault.endpoints


def test_replicas_stand_behind_one_name(real_engine):
    def resolve(name: str) -> set[str]:
        script = f"import socket; print(*socket.gethostbyname_ex('{name}')[2])"
        return set(env["asking"].exec(["python3", "-c", script]).output.split())

    with up("replicas", real_engine) as env:
        assert [service.name for service in env.replicas("web")] == ["web", "web-2", "web-3"]
        assert {service.state for service in env.replicas("web")} == {"ready"}
        alone = [resolve(f"web-{number}") for number in (1, 2, 3)]
        assert [len(addresses) for addresses in alone] == [1, 1, 1]
        assert resolve("web") == set.union(*alone)
        assert len(resolve("web")) == 3
        assert len({service.port for service in env.replicas("web")}) == 3
        assert env.exports["WEB_URL"] == f"http://127.0.0.1:{env['web'].port}"
        assert max(service.ready_at for service in env.replicas("web")) <= env["asking"].started_at
        assert env.variables()["ENVSPIN_WEB_3_PORT"] == str(env["web-3"].port)
        reopened = Environment.open(env.name, engine=real_engine)
        assert [service.replica_of for service in reopened.replicas("web")] == [None, "web", "web"]


def test_volumes_files_and_secrets_are_in_place(real_engine, monkeypatch):
    monkeypatch.setenv("COLOUR", "green")
    with up("storage", real_engine) as env:
        writer, reader, locked = env["writer"], env["reader"], env["locked"]
        assert (
            writer.exec(["sh", "-c", "echo hello > /data/x && echo 1 > /scratch/x && echo 2 > /quick/x"]).exit_code == 0
        )
        assert reader.exec("cat /data/x").output == "hello\n"
        assert reader.exec("touch /data/y").exit_code != 0
        assert writer.exec("cat /files/note.txt").output == "from the host\n"
        assert writer.exec("touch /files/new").exit_code != 0
        assert writer.exec("cat /etc/app/settings.ini").output == "colour = green\n"
        assert writer.exec(["stat", "-c", "%a", "/etc/app/settings.ini"]).output == "440\n"
        token = env.exports["TOKEN"]
        assert len(token) == 16
        assert writer.exec("cat /run/secrets/token").output == locked.exec("cat /run/secrets/token").output == token
        assert locked.exec("touch /anywhere").exit_code != 0
        assert " /quick tmpfs rw" in writer.exec("cat /proc/mounts").output


def test_settings_reach_the_container_and_defaults_guard_it(real_engine):
    with up("guarded", real_engine) as env:
        plain, strict = env["plain"], env["strict"]
        for service in (plain, strict):
            assert "NoNewPrivs:\t1" in service.exec("cat /proc/1/status").output
        assert plain.exec("cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max").output.splitlines()[0] != "max"
        assert strict.exec(["sh", "-c", "id -u; pwd; hostname; echo $COLOUR-$EMPTY-"]).output.split() == [
            "1000",
            "/tmp",
            "strict-host",
            "green--",
        ]
        assert "CapBnd:\t0000000000000000" in strict.exec("cat /proc/1/status").output
        assert "10.9.8.7\telsewhere" in strict.exec("cat /etc/hosts").output
        assert "0" in strict.exec("cat /proc/sys/net/ipv4/ip_unprivileged_port_start").output
        assert "size=8192k" in strict.exec("cat /proc/mounts").output


def test_nothing_listens_off_loopback_and_fixed_ports_are_freed(real_engine):
    with up("guarded", real_engine) as env:
        assert env["plain"].endpoints.keys() == {"8000/tcp", "9000/tcp"}
        ports = {endpoint.port for endpoint in env["plain"].endpoints.values()}
        assert 18000 not in ports
        assert read_listeners(ports) == {"0100007F"}


def read_listeners(ports: set[int]) -> set[str]:
    """Return the addresses, as the kernel writes them, on which these ports listen."""
    rows = [
        line.split()[1] for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {row.partition(":")[0] for row in rows if int(row.partition(":")[2], 16) in ports}


class TestFailures:
    def fail(self, engine, *only: str, error=NotReadyError, **options):
        began = time.monotonic()
        with pytest.raises(error) as caught:
            up("failing", engine, only=only, **options)
        assert time.monotonic() - began < 60
        return caught.value

    def test_an_end_before_anything_could_be_asked(self, real_engine):
        for _ in range(3):  # its ports and address may be gone before the first probe, or after it
            error = self.fail(real_engine, "instant")
            assert error.message == "service 'instant' exited with code 3"
            assert any("no settings" in line for line in error.context)

    def test_a_crash(self, real_engine):
        error = self.fail(real_engine, "after-that")
        assert error.message == "service 'crash' exited with code 3"
        assert error.context[0].startswith("awaited: port 8000")
        assert error.context[1:] == (
            "exit code: 3",
            "last output:",
            "  | reading settings",
            "  | settings are broken",
            "waiting for it: after-crash -> after-that",
        )

    def test_out_of_memory(self, real_engine):
        error = self.fail(real_engine, "hungry")
        assert error.message == "service 'hungry' was killed because it ran out of memory"
        assert "exit code: 137 (out of memory)" in error.context
        assert error.hint == "raise services.hungry.mem_limit, or give the engine more memory"

    def test_never_listening(self, real_engine):
        error = self.fail(real_engine, "deaf")
        assert error.message == "service 'deaf' was not ready after 1 s"
        assert "refuses connections" in error.context[0]
        assert "  | not listening" in error.context
        assert "timeout" in error.hint

    def test_an_image_that_does_not_exist(self, real_engine):
        error = self.fail(real_engine, "typo", error=ImageError)
        assert "envspin-no-such-image:1" in error.message
        assert "needed by: typo" in error.context
        assert error.hint

    def test_a_program_that_does_not_exist(self, real_engine):
        error = self.fail(real_engine, "lost")
        assert error.message.startswith("service 'lost' could not be started")
        assert "/no/such/program" in error.message
        assert "command" in error.hint

    def test_death_after_readiness(self, real_engine):
        error = self.fail(real_engine, "patient")
        assert error.message == "service 'fickle' exited with code 4 after it had been ready"

    def test_a_task_that_is_not_declared_as_one(self, real_engine):
        error = self.fail(real_engine, "task")
        assert error.message == "service 'task' exited with code 0"
        assert "job: true" in error.hint

    def test_a_failed_run_can_be_kept(self, real_engine):
        name = f"kept-scene-{secrets.token_hex(3)}"  # one kept by a suite that was broken off is not in the way
        self.fail(real_engine, "crash", name=name, keep_on_failure=True, ttl=300)
        environment = Environment.open(name, engine=real_engine)
        try:
            assert environment["crash"].state == "exited"
            assert "settings are broken" in environment["crash"].logs()
        finally:
            environment.close()


def test_a_service_can_be_disturbed_and_proves_ready_again(real_engine):
    with up("diamond", real_engine, only=["bottom"]) as env:
        bottom = env["bottom"]
        bottom.kill()
        assert bottom.state == "exited"
        bottom.start()
        bottom.wait_ready()
        bottom.pause()
        assert bottom.state == "paused"
        bottom.unpause()
        bottom.restart(grace_seconds=1)
        bottom.wait_ready()
        assert bottom.state == "ready"


def test_wait_strategies_of_testcontainers_work_on_a_service(real_engine):
    with up("diamond", real_engine, only=["left"]) as env:
        left = env["left"]
        left.wait_for(LogMessageWaitStrategy("listening on 8000").with_startup_timeout(10))
        left.wait_for(PortWaitStrategy(8000).with_startup_timeout(10))
        left.wait_for(HttpWaitStrategy(8000).for_status_code(200).with_startup_timeout(10))
        left.wait_for(ExecWaitStrategy(["true"]).with_startup_timeout(10))
        with pytest.raises(TimeoutError):
            left.wait_for(LogMessageWaitStrategy("never said").with_startup_timeout(1))
