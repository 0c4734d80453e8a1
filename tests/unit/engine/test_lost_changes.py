"""Starts, stops, pauses and removals whose answer is lost: the engine is looked at before anything is done again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from envspin.engine.base import Resource
from envspin.engine.docker import removing
from envspin.errors import ConflictError, EngineError, ExhaustedError, UnansweredError

from .wire import DROPPED, FAILED, HANG, NOTHING, Reply, refuse

ID = "c" * 64
LABELS = {"envspin.env": "e", "envspin.run": "1"}
INSPECT, START, STOP = f"GET /containers/{ID}/json", f"POST /containers/{ID}/start", f"POST /containers/{ID}/stop"
PAUSE, UNPAUSE = f"POST /containers/{ID}/pause", f"POST /containers/{ID}/unpause"
DELETE = f"DELETE /containers/{ID}"
LIST = "GET /containers/json"
NETWORK, DELETE_NETWORK = f"GET /networks/{ID}", f"DELETE /networks/{ID}"
DISCONNECT = f"POST /networks/{ID}/disconnect"
VOLUME, DELETE_VOLUME = "GET /volumes/v", "DELETE /volumes/v"
NEVER = "0001-01-01T00:00:00Z"
GONE = refuse(404, "No such object")


def state(status, started=NEVER, *, labels=LABELS, **config):
    running = status in {"running", "paused"}
    said = {"Status": status, "Running": running, "Paused": status == "paused", "StartedAt": started}
    return Reply(200, {"Id": ID, "State": said, "Config": {"Labels": labels, **config}})


def moment(seconds=0.0):
    """Return a time as the engine writes it, in nanoseconds."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "123Z")


@pytest.mark.parametrize(("status", "after"), [("running", 0), ("paused", 0), ("exited", 0), ("exited", 3600)])
def test_a_container_that_was_started_is_not_started_again(wire, engine, status, after):
    wire.on(START, DROPPED)
    wire.on(INSPECT, state(status, moment(after)))
    engine.start(ID)
    assert wire.requests == [START, INSPECT]


def test_a_start_that_takes_effect_late_is_not_repeated(wire, engine):
    wire.on(START, DROPPED)
    wire.on(INSPECT, state("created"), state("running", moment()))
    engine.start(ID)
    assert wire.requests == [START, INSPECT, INSPECT]


def test_a_container_that_was_never_started_is_started(wire, engine):
    wire.on(START, DROPPED, NOTHING)
    wire.on(INSPECT, state("created"))
    engine.start(ID)
    assert wire.story == [START, INSPECT, START]


def test_a_container_that_ran_before_is_not_started_on_a_guess(wire, engine):
    wire.on(START, DROPPED)
    wire.on(INSPECT, state("exited", moment(-60)))
    with pytest.raises(UnansweredError, match="cannot be seen"):
        engine.start(ID)
    assert wire.requests == [START, INSPECT]


def test_a_start_that_is_lost_twice_is_told(wire, engine):
    wire.on(START, DROPPED)
    wire.on(INSPECT, state("created"))
    with pytest.raises(UnansweredError, match="starting a container"):
        engine.start(ID)
    assert wire.story == [START, INSPECT, START, INSPECT]


def test_a_start_that_hangs_is_looked_at_after_its_limit(wire, connect):
    engine = connect(limit=0.3)
    wire.on(START, HANG)
    wire.on(INSPECT, state("running", moment()))
    engine.start(ID)
    assert wire.requests == [START, INSPECT]


@pytest.mark.parametrize(
    "message",
    [
        "driver failed programming external connectivity on endpoint x: all ports are allocated",
        "Bind for 127.0.0.1:49153 failed: port is already allocated",
        "Error starting userland proxy: listen tcp4 127.0.0.1:49153: bind: address already in use",
    ],
)
def test_an_engine_without_ports_has_run_out(wire, engine, message):
    wire.on(START, refuse(500, message))
    with pytest.raises(ExhaustedError) as caught:
        engine.start(ID)
    assert caught.value.hint
    assert wire.requests == [START]


def test_a_failed_start_is_not_repeated(wire, engine):
    wire.on(START, FAILED)
    with pytest.raises(EngineError, match="stumbled"):
        engine.start(ID)
    assert wire.requests == [START]


@pytest.mark.parametrize(
    ("request_line", "lost", "wanted", "call"),
    [
        (STOP, "running", "exited", lambda engine: engine.stop(ID, grace_seconds=1)),
        (PAUSE, "running", "paused", lambda engine: engine.pause(ID)),
        (UNPAUSE, "paused", "running", lambda engine: engine.unpause(ID)),
    ],
    ids=["stop", "pause", "unpause"],
)
class TestEachChange:
    def test_what_took_effect_is_not_repeated(self, wire, engine, request_line, lost, wanted, call):
        wire.on(request_line, DROPPED)
        wire.on(INSPECT, state(wanted))
        call(engine)
        assert wire.requests == [request_line, INSPECT]

    def test_what_did_not_take_effect_is_repeated(self, wire, engine, request_line, lost, wanted, call):
        wire.on(request_line, DROPPED, NOTHING)
        wire.on(INSPECT, state(lost))
        call(engine)
        assert wire.story == [request_line, INSPECT, request_line]

    def test_a_repeat_that_came_too_late_is_fine(self, wire, connect, monkeypatch, request_line, lost, wanted, call):
        monkeypatch.setattr("envspin.engine.docker.states._becomes_true", lambda look: look())
        engine = connect()
        wire.on(request_line, DROPPED, refuse(409, "it is so already"))
        wire.on(INSPECT, state(lost), state(wanted))
        call(engine)
        assert wire.requests == [request_line, INSPECT, request_line, INSPECT]

    def test_a_conflict_is_told_at_once(self, wire, engine, request_line, lost, wanted, call):
        wire.on(request_line, refuse(409, "it is so already"))
        with pytest.raises(ConflictError):
            call(engine)
        assert wire.requests == [request_line]


@pytest.mark.parametrize("config", [{"StopTimeout": 1}, {"StopTimeout": None}, {}])
def test_a_stop_asks_for_the_containers_own_grace_period(wire, engine, config):
    wire.on(INSPECT, state("running", **config))
    wire.on(STOP, NOTHING)
    engine.stop(ID)
    assert wire.requests == [INSPECT, STOP]


def resource(kind, **labels):
    return Resource(kind, "v" if kind == "volume" else ID, "envspin-e-x", {**LABELS, **labels})


def test_a_removal_looks_at_the_labels_first(wire, engine):
    wire.on(INSPECT, state("running", labels={**LABELS, "of.the": "image"}))
    wire.on(DELETE, NOTHING)
    engine.remove(resource("container"))
    assert wire.requests == [INSPECT, DELETE]


@pytest.mark.parametrize(
    ("kind", "look", "document"),
    [
        ("container", INSPECT, {"Id": ID, "Config": {"Labels": {**LABELS, "envspin.run": "2"}}}),
        ("container", INSPECT, {"Id": "d" * 64, "Config": {"Labels": LABELS}}),
        ("network", NETWORK, {"Id": ID, "Labels": {"envspin.env": "e"}}),
        ("network", NETWORK, {"Id": "d" * 64, "Labels": LABELS}),
        ("volume", VOLUME, {"Name": "v", "Labels": {**LABELS, "more": "labels"}}),
        ("volume", VOLUME, {"Name": "v", "Labels": None}),
    ],
)
def test_what_is_no_longer_what_was_listed_stays(wire, engine, kind, look, document):
    wire.on(look, Reply(200, document))
    engine.remove(resource(kind))
    assert wire.requests == [look]


@pytest.mark.parametrize(
    ("kind", "look", "document", "delete"),
    [
        ("container", INSPECT, {"Id": ID, "Config": {"Labels": LABELS}}, DELETE),
        ("network", NETWORK, {"Id": ID, "Labels": LABELS}, DELETE_NETWORK),
        ("volume", VOLUME, {"Name": "v", "Labels": LABELS}, DELETE_VOLUME),
    ],
    ids=["container", "network", "volume"],
)
class TestEachRemoval:
    def test_what_is_gone_is_fine(self, wire, engine, kind, look, document, delete):
        wire.on(look, GONE)
        engine.remove(resource(kind))
        assert wire.requests == [look]

    def test_what_goes_meanwhile_is_fine(self, wire, engine, kind, look, document, delete):
        wire.on(look, Reply(200, document))
        wire.on(delete, GONE)
        engine.remove(resource(kind))
        assert wire.requests == [look, delete]

    @pytest.mark.parametrize("fault", [DROPPED, FAILED], ids=["dropped", "500"])
    def test_it_is_looked_at_again_after_a_fault(self, wire, engine, kind, look, document, delete, fault):
        wire.on(look, Reply(200, document))
        wire.on(delete, fault, NOTHING)
        engine.remove(resource(kind))
        assert wire.requests == [look, delete, look, delete]

    def test_one_that_went_with_the_lost_answer_is_gone(self, wire, engine, kind, look, document, delete):
        wire.on(look, Reply(200, document), GONE)
        wire.on(delete, DROPPED)
        engine.remove(resource(kind))
        assert wire.requests == [look, delete, look]

    def test_an_engine_that_hangs_is_given_up(self, wire, connect, kind, look, document, delete):
        engine = connect(limit=0.2)
        wire.on(look, Reply(200, document))
        wire.on(delete, HANG)
        with pytest.raises(UnansweredError, match=f"removing {kind}"):
            engine.remove(resource(kind))
        assert wire.requests == [look, delete, look, delete]


def test_a_name_that_somebody_took_meanwhile_is_theirs(wire, engine):
    wire.on(VOLUME, Reply(200, {"Labels": LABELS}), Reply(200, {"Labels": {"somebody": "else"}}))
    wire.on(DELETE_VOLUME, DROPPED)
    engine.remove(resource("volume"))
    assert wire.requests == [VOLUME, DELETE_VOLUME, VOLUME]


def test_a_removal_under_way_is_waited_for(wire, engine):
    wire.on(INSPECT, state("exited"), state("exited"), GONE)
    wire.on(DELETE, refuse(409, f"removal of container {ID} is already in progress"))
    engine.remove(resource("container"))
    assert wire.requests == [INSPECT, DELETE, INSPECT, DELETE, INSPECT]


def test_a_volume_that_stays_in_use_is_a_conflict(wire, engine, monkeypatch):
    monkeypatch.setattr(removing._remove_repeatedly.retry, "stop", lambda tried: tried.attempt_number == 3)
    wire.on(VOLUME, Reply(200, {"Labels": LABELS}))
    wire.on(DELETE_VOLUME, refuse(409, "remove v: volume is in use"))
    ours = {"Id": ID, "Names": ["/envspin-e-db"], "Labels": {**LABELS, "more": "labels"}, "State": "removing"}
    wire.on(LIST, Reply(200, [ours]))
    with pytest.raises(ConflictError):
        engine.remove(resource("volume"))
    assert wire.requests == [VOLUME, DELETE_VOLUME, LIST] * 3


def test_a_volume_that_somebody_elses_container_uses_is_not_waited_for(wire, engine):
    wire.on(VOLUME, Reply(200, {"Labels": LABELS}))
    wire.on(DELETE_VOLUME, refuse(409, "remove v: volume is in use"))
    wire.on(LIST, Reply(200, [{"Id": ID, "Names": ["/mine"], "Labels": {"envspin.env": "other"}, "State": "exited"}]))
    with pytest.raises(EngineError, match="used by mine") as caught:
        engine.remove(resource("volume"))
    assert not isinstance(caught.value, ConflictError)
    assert "docker rm -f mine" in (caught.value.hint or "")
    assert wire.requests == [VOLUME, DELETE_VOLUME, LIST]


def test_stuck_endpoints_are_disconnected_and_the_removal_repeated(wire, engine):
    document = {"Id": ID, "Labels": LABELS, "Containers": {"one": {}, "two": {}}}
    wire.on(NETWORK, Reply(200, document))
    wire.on(DELETE_NETWORK, refuse(403, "error while removing network: network x has active endpoints"), NOTHING)
    wire.on(DISCONNECT, refuse(404, "no such container"), Reply(200))
    engine.remove(resource("network"))
    assert wire.requests == [NETWORK, DELETE_NETWORK, NETWORK, DISCONNECT, DISCONNECT, NETWORK, DELETE_NETWORK]
