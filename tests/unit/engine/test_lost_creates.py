"""A create whose answer is lost never makes a second object: what is there is adopted, by name and labels."""

from __future__ import annotations

import gc
import json

import pytest

from envspin.engine.base import AttachmentSpec, ContainerSpec, NetworkSpec, VolumeSpec
from envspin.errors import (
    ConflictError,
    EngineError,
    EngineUnreachableError,
    ExhaustedError,
    ImageError,
    UnansweredError,
)

from .wire import CUT, CUT_DOCUMENT, DROPPED, FAILED, HANG, NOTHING, Reply, refuse

LABELS = {"envspin.env": "e", "envspin.run": "1"}
CONTAINER = ContainerSpec("envspin-e-db", "db:1", LABELS, attachments=(AttachmentSpec("one"), AttachmentSpec("two")))
NETWORK = NetworkSpec("envspin-e-net", LABELS, subnet="10.1.2.0/28")
MADE, OTHER, THIRD = "a" * 64, "b" * 64, "c" * 64

CREATE, LIST = "POST /containers/create", "GET /containers/json"
CONNECT = "POST /networks/two/connect"
CREATE_NETWORK, LIST_NETWORKS = "POST /networks/create", "GET /networks"

TAKEN = refuse(409, f'Conflict. The container name "/envspin-e-db" is already in use by container "{OTHER}"')
TAKEN_NETWORK = refuse(409, "network with name envspin-e-net already exists")
OVERLAP = refuse(403, "Pool overlaps with other one on this address space")

LOST = pytest.mark.parametrize("fault", [DROPPED, CUT, CUT_DOCUMENT], ids=["dropped", "cut", "cut json"])


def container(identity=MADE, name="/envspin-e-db", **labels):
    return {"Id": identity, "Names": [name], "Labels": {**LABELS, "of.the": "image", **labels}, "State": "created"}


def network(identity=MADE, name="envspin-e-net", created="2026-01-01T00:00:00Z", **labels):
    return {"Id": identity, "Name": name, "Labels": {**LABELS, **labels}, "Created": created}


@pytest.fixture(autouse=True)
def connecting_works(wire):
    wire.on(CONNECT, Reply(200))


CREATES = {
    "container": (CREATE, LIST, lambda engine, **told: engine.create_container(CONTAINER, **told)),
    "network": (CREATE_NETWORK, LIST_NETWORKS, lambda engine, **told: engine.create_network(NETWORK, **told)),
    "volume": (
        "POST /volumes/create",
        "GET /volumes",
        lambda engine, **told: engine.create_volume(VolumeSpec("v", LABELS), **told),
    ),
}


@pytest.mark.parametrize("kind", CREATES)
def test_each_time_that_a_create_leaves_is_told_before(wire, engine, kind):
    request, listing, create = CREATES[kind]
    wire.on(request, DROPPED, Reply(201, {"Id": MADE, "Labels": LABELS}))
    wire.on(listing, Reply(200, {"Volumes": None} if kind == "volume" else []))
    seen = []
    create(engine, on_send=lambda: seen.append(wire.count(request)))
    assert seen == [0, 1]
    bodies = [body for asked, body in zip(wire.requests, wire.bodies, strict=True) if asked == request]
    assert bodies[0] == bodies[1]
    assert json.loads(bodies[0])["Labels"] == LABELS


@pytest.mark.parametrize("kind", CREATES)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_create_that_nobody_takes_does_not_leave(wire, engine, kind):
    wire.close()
    with pytest.raises(EngineUnreachableError):
        CREATES[kind][2](engine, on_send=lambda: pytest.fail("it left"))
    gc.collect()  # the SDK leaves the socket that could not connect to the collector: warn here, not in a later test


def test_other_calls_say_nothing_when_they_leave(wire, engine):
    wire.on(CREATE, Reply(201, {"Id": MADE}))
    told = []
    engine.create_container(CONTAINER, on_send=lambda: told.append("create"))
    assert wire.requests == [CREATE, CONNECT]
    assert told == ["create"]


@LOST
def test_a_container_that_was_made_is_adopted_and_connected(wire, engine, fault):
    wire.on(CREATE, fault)
    wire.on(LIST, Reply(200, [container()]))
    assert engine.create_container(CONTAINER) == MADE
    assert wire.requests == [CREATE, LIST, CONNECT]
    assert json.loads(wire.bodies[-1])["Container"] == MADE


@LOST
def test_a_container_that_was_not_made_is_made(wire, engine, fault):
    wire.on(CREATE, fault, Reply(201, {"Id": MADE}))
    wire.on(LIST, Reply(200, []))
    assert engine.create_container(CONTAINER) == MADE
    assert wire.requests == [CREATE, LIST, CREATE, LIST, CONNECT]


def test_a_create_that_hangs_is_looked_for_after_its_limit(wire, connect):
    engine = connect(limit=0.3)
    wire.on(CREATE, HANG)
    wire.on(LIST, Reply(200, [container()]))
    assert engine.create_container(CONTAINER) == MADE
    assert wire.requests == [CREATE, LIST, CONNECT]


def test_a_create_that_hangs_again_is_given_up(wire, connect):
    engine = connect(limit=0.2)
    wire.on(CREATE, HANG)
    wire.on(LIST, Reply(200, []))
    with pytest.raises(UnansweredError, match="creating container envspin-e-db"):
        engine.create_container(CONTAINER)
    assert wire.requests == [CREATE, LIST, CREATE, LIST]


def test_a_container_that_comes_late_is_adopted(wire, engine):
    wire.on(CREATE, DROPPED, TAKEN)
    wire.on(LIST, Reply(200, []), Reply(200, []), Reply(200, [container()]))
    assert engine.create_container(CONTAINER) == MADE
    assert wire.requests == [CREATE, LIST, CREATE, LIST, CREATE, LIST, CONNECT]


@pytest.mark.parametrize(
    "found",
    [container(**{"envspin.run": "2"}), container(name="/envspin-e-db-2"), {**container(), "Labels": None}],
    ids=["another run", "another name", "no labels"],
)
def test_a_container_that_is_not_ours_is_not_taken(wire, engine, found):
    wire.on(CREATE, DROPPED, TAKEN)
    wire.on(LIST, Reply(200, [found]))
    with pytest.raises(UnansweredError, match="already in use"):
        engine.create_container(CONTAINER)
    assert set(wire.requests) == {CREATE, LIST}


@pytest.mark.parametrize("answer", [TAKEN, FAILED, refuse(404, "No such image: db:1")], ids=["taken", "500", "404"])
@pytest.mark.parametrize("kind", CREATES)
def test_whatever_a_second_create_is_told_the_first_may_still_come(wire, engine, kind, answer):
    request, listing, create = CREATES[kind]
    wire.on(request, DROPPED, answer)
    wire.on(listing, Reply(200, {"Volumes": None} if kind == "volume" else []))
    with pytest.raises(UnansweredError, match=r"broke off while .* asked once more"):
        create(engine)


def test_a_lost_network_whose_subnet_is_held_is_not_taken_for_a_strangers_overlap(wire, engine):
    wire.on(CREATE_NETWORK, DROPPED, OVERLAP)
    wire.on(LIST_NETWORKS, Reply(200, []))
    with pytest.raises(UnansweredError):
        engine.create_network(NETWORK)


def volume(name="v", **labels):
    return {"Name": name, "Labels": {**LABELS, **labels}}


@LOST
def test_a_volume_that_was_made_is_adopted(wire, engine, fault):
    wire.on("POST /volumes/create", fault)
    wire.on("GET /volumes", Reply(200, {"Volumes": [volume("v2"), volume()]}))
    assert CREATES["volume"][2](engine) == "v"
    assert wire.requests == ["POST /volumes/create", "GET /volumes"]


@pytest.mark.parametrize("there", [None, [], [volume(more="labels")], [volume("vv")]])
def test_a_volume_that_was_not_made_is_made(wire, engine, there):
    wire.on("POST /volumes/create", DROPPED, Reply(201, volume()))
    wire.on("GET /volumes", Reply(200, {"Volumes": there}), Reply(200, {"Volumes": [volume()]}))
    assert CREATES["volume"][2](engine) == "v"
    assert wire.requests == ["POST /volumes/create", "GET /volumes"] * 2


def test_a_name_that_is_taken_is_a_conflict_at_once(wire, engine):
    wire.on(CREATE, TAKEN)
    with pytest.raises(ConflictError):
        engine.create_container(CONTAINER)
    assert wire.requests == [CREATE]


def test_an_image_that_is_missing_is_told_at_once(wire, engine):
    wire.on(CREATE, refuse(404, "No such image: db:1"))
    with pytest.raises(ImageError):
        engine.create_container(CONTAINER)
    assert wire.requests == [CREATE]


def test_an_engine_that_failed_after_making_it_has_made_it(wire, engine):
    wire.on(CREATE, FAILED)
    wire.on(LIST, Reply(200, [container()]))
    assert engine.create_container(CONTAINER) == MADE
    assert wire.requests == [CREATE, LIST, CONNECT]


@pytest.mark.parametrize(
    ("fault", "hint"), [(FAILED, None), (refuse(500, "write /x: no space left on device"), "docker system df")]
)
def test_an_engine_that_failed_to_make_it_is_not_asked_again(wire, engine, fault, hint):
    wire.on(CREATE, fault)
    wire.on(LIST, Reply(200, []))
    with pytest.raises(EngineError) as caught:
        engine.create_container(CONTAINER)
    assert wire.requests == [CREATE, LIST]
    assert (caught.value.hint or "").endswith(f"`{hint}`" if hint else "")


@pytest.mark.parametrize(
    "after", [Reply(200), refuse(403, "endpoint with name envspin-e-db already exists in network two")]
)
def test_a_connection_that_was_lost_is_made_again(wire, engine, after):
    wire.on(CREATE, Reply(201, {"Id": MADE}))
    wire.on(CONNECT, DROPPED, after)
    assert engine.create_container(CONTAINER) == MADE
    assert wire.requests == [CREATE, CONNECT, CONNECT]


def test_a_connection_that_fails_does_not_make_the_container_again(wire, engine):
    wire.on(CREATE, Reply(201, {"Id": MADE}))
    wire.on(CONNECT, refuse(404, "network two not found"))
    with pytest.raises(EngineError, match="network two not found"):
        engine.create_container(CONTAINER)
    assert wire.requests == [CREATE, CONNECT]


@LOST
def test_a_network_that_was_made_is_adopted(wire, engine, fault):
    wire.on(CREATE_NETWORK, fault)
    wire.on(LIST_NETWORKS, Reply(200, [network()]))
    assert engine.create_network(NETWORK) == MADE
    assert wire.requests == [CREATE_NETWORK, LIST_NETWORKS]


@LOST
def test_a_network_that_was_not_made_is_made(wire, engine, fault):
    wire.on(CREATE_NETWORK, fault, Reply(201, {"Id": MADE}))
    wire.on(LIST_NETWORKS, Reply(200, []), Reply(200, [network()]))
    assert engine.create_network(NETWORK) == MADE
    assert wire.requests == [CREATE_NETWORK, LIST_NETWORKS, CREATE_NETWORK, LIST_NETWORKS]


@pytest.mark.parametrize("conflict", [TAKEN_NETWORK, OVERLAP], ids=["name", "subnet"])
def test_a_network_that_comes_late_is_adopted(wire, engine, conflict):
    wire.on(CREATE_NETWORK, DROPPED, conflict)
    wire.on(LIST_NETWORKS, Reply(200, []), Reply(200, [network()]))
    assert engine.create_network(NETWORK) == MADE
    assert wire.requests == [CREATE_NETWORK, LIST_NETWORKS, CREATE_NETWORK, LIST_NETWORKS]


def test_of_several_networks_the_oldest_is_kept_and_the_others_are_removed(wire, engine):
    early, late = "2026-01-01T00:00:01.1Z", "2026-01-01T00:00:01.2Z"
    listed = [
        network(THIRD, created=late),
        network(OTHER, created=early),
        network(MADE, created=early),
        network("d" * 64, created="2025-01-01T00:00:00Z", **{"envspin.run": "2"}),
        network("e" * 64, created="2025-01-01T00:00:00Z", name="envspin-e-net-2"),
    ]
    wire.on(CREATE_NETWORK, DROPPED)
    wire.on(LIST_NETWORKS, Reply(200, listed))
    wire.on(f"DELETE /networks/{OTHER}", NOTHING)
    wire.on(f"DELETE /networks/{THIRD}", refuse(404, "network not found"))
    assert engine.create_network(NETWORK) == MADE
    assert wire.requests == [
        CREATE_NETWORK,
        LIST_NETWORKS,
        f"DELETE /networks/{OTHER}",
        f"DELETE /networks/{THIRD}",
    ]


def test_two_networks_that_one_lost_create_has_led_to_become_one(wire, engine):
    wire.on(CREATE_NETWORK, DROPPED, Reply(201, {"Id": OTHER}))
    both = [network(OTHER, created="2026-01-02T00:00:00Z"), network(MADE)]
    wire.on(LIST_NETWORKS, Reply(200, []), Reply(200, both))
    wire.on(f"DELETE /networks/{OTHER}", NOTHING)
    assert engine.create_network(NETWORK) == MADE
    assert wire.requests[-1] == f"DELETE /networks/{OTHER}"


@pytest.mark.parametrize("conflict", [TAKEN_NETWORK, OVERLAP], ids=["name", "subnet"])
def test_a_network_whose_name_or_subnet_is_taken_is_a_conflict_at_once(wire, engine, conflict):
    wire.on(CREATE_NETWORK, conflict)
    with pytest.raises(ConflictError):
        engine.create_network(NETWORK)
    assert wire.requests == [CREATE_NETWORK]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (
            404,
            "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the net",
        ),
        (400, "all predefined address pools have been fully subnetted"),
        (500, "could not find free subnet from subnet pools"),
    ],
)
def test_an_engine_without_subnets_has_run_out(wire, engine, status, message):
    wire.on(CREATE_NETWORK, refuse(status, message))
    with pytest.raises(ExhaustedError) as caught:
        engine.create_network(NetworkSpec("n", LABELS))
    assert caught.value.hint
    assert wire.requests == [CREATE_NETWORK]
