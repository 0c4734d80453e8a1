"""A topology becomes a list of operations, each with what it waits for and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from envspin.errors import UsageError
from envspin.model import Build, Mount, Network, NetworkAttachment, Port, TcpProbe, Volume
from envspin.plan.planning import Operation, Plan, make_plan
from envspin.plan.selection import Selection

from ..builders import chain, completed, make_service, make_topology, optional, started


def operations(plan: Plan) -> dict[str, Operation]:
    return {operation.id: operation for operation in plan.operations}


def test_the_plan_reads_as_text():
    topology = make_topology(
        make_service("web", "api", ready=(TcpProbe(80),)),
        make_service("api", "db", completed("migrate")),
        make_service("db"),
        make_service("migrate", "db", job=True),
    )
    assert str(make_plan(topology)).splitlines() == [
        "plan for test: 4 services, 1 network, 0 volumes",
        "   1  network default    joined by web, api, db, migrate",
        "   2  image   web:1      pulled unless the engine holds it, for web",
        "   3  image   api:1      pulled unless the engine holds it, for api",
        "   4  image   db:1       pulled unless the engine holds it, for db",
        "   5  image   migrate:1  pulled unless the engine holds it, for migrate",
        "   6  create  web        created at once; only the start waits",
        "   7  create  api        created at once; only the start waits",
        "   8  create  db         created at once; only the start waits",
        "   9  create  migrate    created at once; only the start waits",
        "  10  start   db         waits for nothing",
        "  11  ready   db         by its image's healthcheck, its ports, or that it stays up",
        "  12  start   migrate    after db is ready",
        "  13  ready   migrate    a job: ready when it has exited with 0",
        "  14  start   api        after db is ready, migrate has completed",
        "  15  ready   api        by its image's healthcheck, its ports, or that it stays up",
        "  16  start   web        after api is ready",
        "  17  ready   web        by its tcp probe",
    ]


def test_the_short_form_waits_for_readiness_and_an_explicit_start_does_not():
    plan = make_plan(make_topology(make_service("a", "b", started("c")), make_service("b"), make_service("c")))
    assert operations(plan)["start:a"].needs == ("create:a", "ready:b", "start:c")


def test_an_optional_dependency_is_wanted_not_needed():
    plan = make_plan(make_topology(make_service("a", optional("b")), make_service("b")))
    assert operations(plan)["start:a"].needs == ("create:a",)
    assert operations(plan)["start:a"].wants == ("ready:b",)
    assert plan.optional == {"b"}


def test_a_service_that_one_dependent_requires_is_not_optional():
    services = make_service("a", optional("b")), make_service("b"), make_service("c", "b")
    assert make_plan(make_topology(*services)).optional == frozenset()


def test_creation_waits_for_image_networks_and_volumes_but_for_no_service():
    service = make_service(
        "a",
        "b",
        networks=(NetworkAttachment("front"), NetworkAttachment("back")),
        mounts=(Mount("volume", "/data", "data"), Mount("volume", "/more", "data"), Mount("tmpfs", "/tmp")),
    )
    topology = make_topology(
        service,
        make_service("b", networks=(NetworkAttachment("back"),)),
        networks={name: Network(name) for name in ("front", "back", "unused")},
        volumes={"data": Volume("data"), "unused": Volume("unused")},
    )
    found = operations(make_plan(topology))
    assert found["create:a"].needs == ("image:a:1", "network:front", "network:back", "volume:data")
    assert not {"network:unused", "volume:unused"} & found.keys()


def test_external_networks_and_volumes_are_not_created():
    topology = make_topology(
        make_service("a", mounts=(Mount("volume", "/data", "data"),)),
        networks={"default": Network("default", external=True)},
        volumes={"data": Volume("data", external=True)},
    )
    assert operations(make_plan(topology))["create:a"].needs == ("image:a:1",)


def test_services_share_an_image_that_is_pulled_or_built_once():
    build = Build(Path("/context"))
    topology = make_topology(
        make_service("a", image="redis:7"),
        make_service("b", image="redis:7"),
        make_service("c", build=build),
        make_service("d", build=build),
        make_service("e", image="redis:7", platform="linux/arm64"),
    )
    plan = make_plan(topology)
    assert {key: source.services for key, source in plan.images.items()} == {
        "redis:7": ("a", "b"),
        "c": ("c", "d"),
        "redis:7 for linux/arm64": ("e",),
    }


def test_an_image_that_another_service_builds_is_not_pulled():
    topology = make_topology(
        make_service("worker", image="app:1"), make_service("api", image="app:1", build=Build(Path("/context")))
    )
    plan = make_plan(topology)
    assert {key: (source.services, source.reference) for key, source in plan.images.items()} == {
        "api": (("api", "worker"), None)
    }
    assert operations(plan)["create:worker"].needs[0] == "image:api"


def test_an_export_of_a_port_that_will_not_be_there_is_told_at_once():
    topology = make_topology(make_service("db", ports=(Port(5432),)), exports={"URL": "{db.host}:{db.port.81}"})
    with pytest.raises(UsageError, match="export URL: service db does not publish port 81"):
        make_plan(topology)
    make_plan(make_topology(make_service("db"), exports={"URL": "{db.port.81}"}))  # its image may have it


def test_every_operation_comes_after_what_it_waits_for():
    needs = {"a": ("b", "c"), "b": ("d",), "c": ("d", "e"), "d": (), "e": ("f",), "f": ()}
    seen: set[str] = set()
    for operation in make_plan(chain(needs)).operations:
        assert seen.issuperset((*operation.needs, *operation.wants))
        seen.add(operation.id)


class TestSelection:
    topology = make_topology(
        make_service("web", "api"),
        make_service("api", "db", "payments"),
        make_service("payments", "ledger", "db", stub=make_service("payments", image="stub:1")),
        make_service("ledger"),
        make_service("db"),
        make_service("tools", profiles=("debug",)),
        inactive=("tools",),
    )

    def test_inactive_profiles_are_left_out_with_the_reason(self):
        plan = make_plan(self.topology)
        assert "tools" not in plan.services
        assert plan.left_out == {"tools": "its profiles are inactive: debug"}

    def test_only_keeps_a_service_and_what_it_needs(self):
        plan = make_plan(self.topology, Selection(only=("payments",)))
        assert list(plan.services) == ["payments", "ledger", "db"]
        assert plan.left_out["web"] == "not needed by payments"

    def test_only_activates_a_service_of_an_inactive_profile(self):
        assert list(make_plan(self.topology, Selection(only=("tools",))).services) == ["tools"]

    def test_a_stub_takes_the_place_and_what_only_the_real_one_needed_goes(self):
        plan = make_plan(self.topology, Selection(stub=("payments",)))
        assert plan.services["payments"].image == "stub:1"
        assert list(plan.services) == ["web", "api", "payments", "db"]
        assert plan.left_out["ledger"] == "only the real payments needs it"

    def test_a_pin_replaces_image_and_build(self):
        topology = make_topology(make_service("a", build=Build(Path("/context"))))
        plan = make_plan(topology, Selection(pins={"a": "a:next"}))
        assert (plan.services["a"].image, plan.services["a"].build) == ("a:next", None)
        assert "pinned: a runs a:next, set for this run" in str(plan)

    @pytest.mark.parametrize("field", ["only", "stub"])
    def test_an_unknown_name_is_answered_with_the_nearest(self, field):
        with pytest.raises(UsageError, match=r"has no service 'paymnts'") as error:
            make_plan(self.topology, Selection(**{field: ("paymnts",)}))
        assert error.value.hint == "did you mean 'payments'?"

    def test_an_unknown_pin_is_an_error(self):
        with pytest.raises(UsageError, match="has no service 'zzz'") as error:
            make_plan(self.topology, Selection(pins={"zzz": "a:1"}))
        assert error.value.hint == "there are: api, db, ledger, payments, tools, web"

    def test_a_pin_that_is_no_image_is_an_error(self):
        with pytest.raises(UsageError, match="the image of 'db': 'postgres:' is not an image: its tag is empty"):
            make_plan(self.topology, Selection(pins={"db": "postgres:"}))

    def test_a_stub_that_is_not_declared_is_an_error(self):
        with pytest.raises(UsageError, match="'db' declares no stub"):
            make_plan(self.topology, Selection(stub=("db",)))

    def test_a_stub_that_closes_a_cycle_is_an_error(self):
        stub = make_service("b", "a")
        topology = make_topology(make_service("a", "b"), make_service("b", stub=stub))
        with pytest.raises(UsageError, match="wait for each other"):
            make_plan(topology, Selection(stub=("b",)))

    def test_nothing_to_start_is_an_error(self):
        with pytest.raises(UsageError, match="no service to start"):
            make_plan(make_topology(make_service("a", profiles=("p",)), inactive=("a",)))
