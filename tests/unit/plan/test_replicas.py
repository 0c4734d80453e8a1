"""Services with several replicas become one service for each container."""

from __future__ import annotations

from envspin.model import NetworkAttachment, Port
from envspin.plan.planning import make_plan
from envspin.plan.selection import Selection

from ..builders import make_service, make_topology, started

TOPOLOGY = make_topology(
    make_service("proxy", "web", started("cache")),
    make_service("web", "db", replicas=3, ports=(Port(80),), networks=(NetworkAttachment("default", ("www",)),)),
    make_service("db"),
    make_service("cache", replicas=2),
    make_service("off", replicas=0),
    inactive=("off",),
)


def test_the_first_keeps_the_name_and_the_others_are_numbered():
    plan = make_plan(TOPOLOGY)
    assert list(plan.services) == ["proxy", "web", "web-2", "web-3", "db", "cache", "cache-2"]
    originals = {name: service.replica_of for name, service in plan.services.items() if service.replica_of}
    assert originals == {"web-2": "web", "web-3": "web", "cache-2": "cache"}
    assert all(plan.services[name].ports == (Port(80),) for name in ("web", "web-2", "web-3"))


def test_all_answer_to_the_services_name_and_each_to_its_own():
    aliases = {name: service.networks[0].aliases for name, service in make_plan(TOPOLOGY).services.items()}
    assert aliases["web"] == ("web", "web-1", "www")
    assert aliases["web-3"] == ("web", "web-3", "www")
    assert aliases["db"] == ()


def test_who_depends_on_it_waits_for_all():
    needs = {operation.id: operation.needs for operation in make_plan(TOPOLOGY).operations}
    assert needs["start:proxy"] == (
        "create:proxy",
        "ready:web",
        "ready:web-2",
        "ready:web-3",
        "start:cache",
        "start:cache-2",
    )
    assert needs["start:web-2"] == ("create:web-2", "ready:db")


def test_they_share_one_image():
    assert make_plan(TOPOLOGY).images["web:1"].services == ("web", "web-2", "web-3")


def test_a_pin_holds_for_all_and_only_takes_all():
    plan = make_plan(TOPOLOGY, Selection(only=("web",), pins={"web": "web:next"}))
    assert [(name, service.image) for name, service in plan.services.items()] == [
        ("web", "web:next"),
        ("web-2", "web:next"),
        ("web-3", "web:next"),
        ("db", "db:1"),
    ]


def test_one_without_replicas_is_left_out_unless_it_is_asked_for():
    assert make_plan(TOPOLOGY).left_out["off"] == "it has no replicas"
    assert list(make_plan(TOPOLOGY, Selection(only=("off",))).services) == ["off"]
