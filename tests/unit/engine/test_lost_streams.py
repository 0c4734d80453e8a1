"""What comes bit by bit and breaks off: told where something is missing, an end where somebody follows."""

from __future__ import annotations

import json

import pytest

from envspin.engine.base import BuildRequest
from envspin.errors import ConflictError, ImageError, Interrupted, UnansweredError

from .wire import DROPPED, FAILED, HANG, Reply, refuse

ID = "c" * 64
INSPECT, LOGS = f"GET /containers/{ID}/json", f"GET /containers/{ID}/logs"
CREATE_EXEC, START_EXEC, INSPECT_EXEC = f"POST /containers/{ID}/exec", "POST /exec/x/start", "GET /exec/x/json"
PULL, IMAGE = "POST /images/create", "GET /images/db:1/json"


def frame(text):
    return b"\x01\x00\x00\x00" + len(text).to_bytes(4, "big") + text.encode()


def container(*, running=True, tty=False):
    return Reply(200, {"Id": ID, "Config": {"Tty": tty}, "State": {"Running": running}})


@pytest.fixture
def logs(wire):
    wire.on(INSPECT, container())


def test_a_log_is_asked_for_again(wire, engine, logs):
    wire.on(LOGS, DROPPED, Reply(200, frame("one\n") + frame("two\n")))
    assert list(engine.logs(ID)) == ["one", "two"]
    assert wire.requests == [INSPECT, LOGS, INSPECT, LOGS]


def test_the_log_of_a_terminal_has_no_frames(wire, engine):
    wire.on(INSPECT, container(tty=True))
    wire.on(LOGS, Reply(200, b"one\r\ntwo"))
    assert list(engine.logs(ID)) == ["one", "two"]


def test_an_empty_log_is_whole(wire, engine, logs):
    wire.on(LOGS, Reply(200, b""))
    assert list(engine.logs(ID)) == []


@pytest.mark.parametrize("cut", [2, 13], ids=["in a frame", "between frames"])
def test_a_log_that_breaks_off_is_told(wire, engine, logs, cut):
    wire.on(LOGS, Reply(200, frame("one\n") + frame("three"), cut=cut))
    lines = iter(engine.logs(ID))
    assert next(lines) == "one"
    with pytest.raises(UnansweredError, match="broke off"):
        next(lines)


def test_a_followed_log_that_breaks_off_ends(wire, engine, logs):
    wire.on(LOGS, Reply(200, frame("one\n") + frame("three"), cut=2))
    assert list(engine.logs(ID, follow=True)) == ["one"]


@pytest.mark.parametrize(
    "open_stream", [lambda engine: engine.logs(ID, follow=True), lambda engine: engine.watch({})], ids=["log", "events"]
)
def test_a_stream_that_does_not_begin_is_given_up(wire, connect, logs, open_stream):
    engine = connect(limit=0.2)
    wire.on(LOGS, HANG)
    wire.on("GET /events", HANG)
    with pytest.raises(UnansweredError, match="in time"):
        open_stream(engine)
    assert len([each for each in wire.requests if each != INSPECT]) == 2


def test_events_are_subscribed_to_again(wire, engine):
    document = {"Action": "start", "Actor": {"ID": ID, "Attributes": {"a": "1"}}}
    wire.on("GET /events", DROPPED, Reply(200, document))
    assert wire.requests == []
    stream = engine.watch({"a": "1"})
    assert wire.requests == ["GET /events"] * 2
    stream.close()


STARTED = {"Action": "start", "Actor": {"ID": ID, "Attributes": {"a": "1"}}}
DIED = {"Action": "die", "Actor": {"ID": ID, "Attributes": {"a": "1", "exitCode": "3"}}}


@pytest.mark.parametrize("left", [2, 10, -2], ids=["a brace", "half", "nearly all"])
def test_events_end_where_one_is_cut_in_two(wire, engine, left):
    """Something between may end what it hands on in order, in the middle of an event."""
    whole, half = (json.dumps(each).encode() for each in (STARTED, DIED))
    wire.on("GET /events", Reply(200, whole + b"\n" + half[:left], is_chunked=True))
    stream = engine.watch({})
    assert [(event.action, event.container_id) for event in stream] == [("start", ID)]
    stream.close()


def test_events_that_are_whole_all_come(wire, engine):
    wire.on("GET /events", Reply(200, b"".join(json.dumps(each).encode() for each in (STARTED, DIED)), is_chunked=True))
    stream = engine.watch({})
    assert [(event.action, event.exit_code) for event in stream] == [("start", None), ("die", 3)]
    stream.close()


@pytest.fixture
def commands(wire):
    wire.on(CREATE_EXEC, Reply(201, {"Id": "x"}))
    wire.on(START_EXEC, Reply(200, frame("hello\n"), closes=True))
    wire.on(INSPECT_EXEC, Reply(200, {"ExitCode": 3, "Running": False, "ContainerID": ID}))


def test_a_command_is_prepared_again_but_begun_once(wire, engine, commands):
    wire.on(CREATE_EXEC, DROPPED, Reply(201, {"Id": "x"}))
    wire.on(INSPECT_EXEC, DROPPED, Reply(200, {"ExitCode": 3, "Running": False}))
    result = engine.execute(ID, ["true"])
    assert (result.exit_code, result.output) == (3, "hello\n")
    assert wire.requests == [CREATE_EXEC, CREATE_EXEC, START_EXEC, INSPECT_EXEC, INSPECT_EXEC]


@pytest.mark.parametrize("fault", [DROPPED, HANG], ids=["dropped", "hang"])
def test_a_command_that_may_have_begun_is_not_begun_again(wire, connect, commands, fault):
    engine = connect(limit=0.3)
    wire.on(START_EXEC, fault)
    with pytest.raises(UnansweredError, match="running true in a container"):
        engine.execute(ID, ["true"])
    assert wire.requests == [CREATE_EXEC, START_EXEC]


def test_a_command_whose_output_breaks_off_in_a_frame_is_told(wire, engine, commands):
    wire.on(START_EXEC, Reply(200, frame("hello\n")[:-2], closes=True))
    with pytest.raises(UnansweredError, match="broke off"):
        engine.execute(ID, ["true"])
    assert wire.requests == [CREATE_EXEC, START_EXEC]


@pytest.fixture
def unfinished(wire, commands, monkeypatch):
    monkeypatch.setattr("envspin.engine.docker.streams.EXIT_CODE_SECONDS", 0.05)
    wire.on(INSPECT_EXEC, Reply(200, {"ExitCode": None, "Running": True, "ContainerID": ID}))


@pytest.mark.usefixtures("unfinished")
def test_a_command_that_goes_on_without_its_output_has_not_ended(wire, engine):
    wire.on(INSPECT, container())
    with pytest.raises(UnansweredError, match="goes on"):
        engine.execute(ID, ["true"])
    assert wire.count(START_EXEC) == 1


@pytest.mark.usefixtures("unfinished")
@pytest.mark.parametrize("after", [container(running=False), refuse(404, "No such container")], ids=["ended", "gone"])
def test_a_command_whose_container_ended_was_killed(wire, engine, after):
    wire.on(INSPECT, after)
    assert engine.execute(ID, ["true"]).exit_code == 137


def test_a_command_in_a_container_that_does_not_run_is_a_conflict(wire, engine):
    wire.on(CREATE_EXEC, refuse(409, f"Container {ID} is not running"))
    with pytest.raises(ConflictError):
        engine.execute(ID, ["true"])
    assert wire.requests == [CREATE_EXEC]


def words(*documents):
    return Reply(200, b"".join(json.dumps(each).encode() + b"\r\n" for each in documents))


def test_a_pull_that_breaks_off_is_made_again(wire, engine):
    wire.on(PULL, DROPPED, words({"status": "Download complete"}))
    wire.on(IMAGE, Reply(200, {"Id": "sha256:0"}))
    assert engine.pull("db:1").id == "sha256:0"
    assert wire.requests == [PULL, PULL, IMAGE]


def test_a_pull_that_says_nothing_is_given_up(wire, connect):
    engine = connect(limit=0.2)
    wire.on(PULL, HANG)
    with pytest.raises(UnansweredError, match=r"said nothing for 0\.2 s"):
        engine.pull("db:1")
    assert wire.requests == [PULL, PULL]


def test_a_pull_that_is_interrupted_is_not_made_again(wire, engine):
    wire.on(PULL, HANG)
    with pytest.raises(Interrupted):
        engine.pull("db:1", is_cancelled=lambda: wire.requests == [PULL])
    assert wire.requests == [PULL]


def test_a_pull_that_the_registry_refuses_is_not_made_again(wire, engine):
    wire.on(PULL, words({"error": "manifest unknown"}))
    with pytest.raises(ImageError, match="manifest unknown"):
        engine.pull("db:1")
    assert wire.requests == [PULL]


@pytest.mark.parametrize(
    ("fault", "error"), [(DROPPED, UnansweredError), (HANG, UnansweredError), (FAILED, ImageError)]
)
def test_a_build_is_made_once(wire, connect, tmp_path, fault, error):
    engine = connect(limit=0.3)
    wire.on("POST /build", fault)
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(error):
        engine.build(BuildRequest("b:1", tmp_path / "context"))
    assert wire.requests == ["POST /build"]
