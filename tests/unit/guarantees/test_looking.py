"""What the suites look with must see: an address that is open to all, an order that is broken, an owner's progress."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.guarantees.exposure import Exposure, parse_sockets
from tests.guarantees.g7_order import Graph, find_disorder
from tests.guarantees.g9_failfast import measure_wait
from tests.guarantees.owners import Owner, split, summarise_times

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0
   2: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0 100 0 0 10 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 21 1
   1: 00000000000000000000000000000000:0051 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 22 1
   2: 0000000000000000FFFF00000100007F:0052 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 23 1
"""


def test_sockets_that_wait_are_read_with_their_addresses():
    assert [(each.address, each.port, each.inode, each.is_local) for each in parse_sockets("tcp", TCP)] == [
        ("127.0.0.1", 8080, "11", True),
        ("0.0.0.0", 80, "12", False),
    ]
    assert [(each.address, each.port, each.is_local) for each in parse_sockets("tcp6", TCP6)] == [
        ("::1", 80, True),
        ("::", 81, False),
        ("::ffff:7f00:1", 82, True),
    ]


@pytest.mark.parametrize(("address", "is_seen"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("", True)])
def test_a_published_port_off_loopback_is_seen(address, is_seen):
    port = {"PrivatePort": 80, "PublicPort": 32768, "IP": address}
    exposure = Exposure("g-")
    exposure.look(FakeClient([{"Labels": {"envspin.env": "g-1"}, "Ports": [port]}]))
    assert bool(exposure.found) == is_seen
    assert exposure.bindings == 1


class FakeClient:
    """Lists these containers."""

    def __init__(self, containers):
        self._containers = containers

    def containers(self, **_filters):
        return self._containers


GRAPH = Graph({"db": {}, "api": {"db": "ready"}}, set(), {"db": 0.0, "api": 0.0})
GOOD = {"db": {"start": 1.0, "kill": 9.0, "gone": 9.1}, "api": {"start": 2.0, "kill": 8.0, "gone": 8.1}}


def test_the_right_order_is_no_disorder():
    assert find_disorder(GRAPH, GOOD, {"db": 1.5, "api": 2.5}) == []


@pytest.mark.parametrize(
    ("events", "ready", "broken"),
    [
        (GOOD, {"db": 2.1}, "api started before db was ready"),
        (GOOD, {}, "api started before db was ready"),
        ({**GOOD, "db": {"start": 1.0, "kill": 8.05, "gone": 8.2}}, {"db": 1.5}, "db was ended before api"),
        ({**GOOD, "api": {"start": 2.0}}, {"db": 1.5}, "db was ended before api"),
    ],
)
def test_a_broken_order_is_seen(events, ready, broken):
    assert any(each.startswith(broken) for each in find_disorder(GRAPH, events, ready))


def test_a_job_must_have_ended_before_what_waits_for_its_end():
    graph = Graph({"job": {}, "api": {"job": "completed"}}, {"job"})
    early = {"job": {"start": 1.0, "die": 3.0}, "api": {"start": 2.0, "gone": 9.0}}
    assert find_disorder(graph, early, {}) == ["api started before job was completed"]
    assert find_disorder(graph, {**early, "api": {"start": 3.5, "gone": 9.0}}, {}) == []


@pytest.fixture
def make_owner(tmp_path: Path):
    """Return a function that makes an owner which has told these lines and is still running."""
    with subprocess.Popen(["sleep", "60"]) as process:

        def make(*lines: str) -> Owner:
            trace = tmp_path / "trace"
            trace.write_text("".join(f"{line}\n" for line in lines) + '{"event": "half')
            return Owner(None, "run", process, "label", trace, 0.0)

        yield make
        process.kill()


@pytest.mark.parametrize(
    ("line", "phase"),
    [
        ("collected 1 item", "begin"),
        ('{"event": "run-started"}', "create"),
        ('{"event": "image"}', "pull"),
        ('{"event": "service", "state": "starting"}', "start"),
        ('{"event": "service", "state": "started"}', "wait"),
        ('test_it.py {"event": "run-ready"}', "test"),
        ('.{"event": "teardown-started"}', "teardown"),
        ('{"event": "teardown-finished"}', "over"),
    ],
)
def test_an_owners_phase_is_read_from_its_last_word(make_owner, line, phase):
    assert make_owner("something else", line).phase() == phase


def test_what_an_owner_tells_later_is_read_too(make_owner):
    owner = make_owner('{"event": "run-started"}')
    assert owner.phase() == "create"
    with owner.trace.open("a") as file:
        file.write('-written"}\n{"event": "run-ready"}\n')
    assert [each["event"] for each in owner.events()] == ["run-started", "half-written", "run-ready"]


def test_a_wait_is_measured_from_its_beginning_to_the_failure(make_owner):
    owner = make_owner(
        '{"event": "run-started"}',
        '{"event": "service", "service": "slow", "state": "started", "at": 0.5}',
        '{"event": "run-failed", "at": 3.0}',
    )
    assert measure_wait(owner, for_all=True) == 3.0
    assert measure_wait(owner, for_all=False) == 2.5


def test_numbers_are_given_out_so_many_at_a_time():
    assert list(split(range(5), 2)) == [(0, 1), (2, 3), (4,)]


def test_times_are_summed_up():
    assert summarise_times([]) == "none"
    assert summarise_times([3.0, 1.0, 2.0]) == "median 2.0 s, 95 % within 3.0 s, longest 3.0 s"
