"""Which probes must pass, where the topology leaves the choice."""

from __future__ import annotations

from envspin.model import CompletedProbe, Healthcheck, HealthcheckProbe, Port, RedisProbe, RunningProbe, TcpProbe
from envspin.plan.readiness import choose_probes, known_ports, merge_healthchecks

from ..builders import make_service

CHECK = Healthcheck(test=("CMD", "true"), interval=30.0)
EXPOSED = (Port(6379), Port(53, "udp"))


def test_a_job_is_ready_when_it_has_completed_whatever_else_is_written():
    assert choose_probes(make_service("a", job=True, ready=(TcpProbe(1),)), CHECK, EXPOSED) == (CompletedProbe(),)


def test_what_is_written_wins():
    assert choose_probes(make_service("a", ready=(RedisProbe(),)), CHECK, EXPOSED) == (RedisProbe(),)


def test_then_the_healthcheck_of_the_file_or_the_image():
    assert choose_probes(make_service("a", healthcheck=CHECK), None, EXPOSED) == (HealthcheckProbe(),)
    assert choose_probes(make_service("a"), CHECK, EXPOSED) == (HealthcheckProbe(),)


def test_then_tcp_on_each_port():
    service = make_service("a", ports=(Port(80), Port(443)), healthcheck=Healthcheck(disable=True))
    assert choose_probes(service, CHECK, EXPOSED) == (TcpProbe(80), TcpProbe(443))
    assert choose_probes(make_service("a"), None, EXPOSED) == (TcpProbe(6379),)


def test_then_that_it_keeps_running():
    assert choose_probes(make_service("a"), None, (Port(53, "udp"),)) == (RunningProbe(),)


def test_written_timings_go_over_the_images_check():
    merged = merge_healthchecks(Healthcheck(interval=1.0), CHECK)
    assert merged == Healthcheck(test=("CMD", "true"), interval=1.0)


def test_a_disabled_check_is_none():
    assert merge_healthchecks(Healthcheck(disable=True), CHECK) is None
    assert merge_healthchecks(Healthcheck(test=("NONE",)), CHECK) is None
    assert merge_healthchecks(Healthcheck(interval=1.0), None) is None


def test_known_ports_are_the_written_ones_else_the_images():
    service = make_service("a", ports=(Port(8080),), expose=(Port(9090),), ready=(TcpProbe(8080), TcpProbe(7070)))
    assert known_ports(service, EXPOSED) == (Port(8080), Port(9090), Port(7070))
    assert known_ports(make_service("a"), EXPOSED) == EXPOSED
