"""The fault proxy alone, before an engine that is one thread of this process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.guarantees.faults import FAULT_KINDS, Fault
from tests.guarantees.proxy import FaultProxy

from .upstream import PATIENCE, Upstream

CREATE = "POST /v1.41/containers/create?name=thing HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
ECHO = "GET /v1.41/echo HTTP/1.1\r\nHost: x\r\n\r\n"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def engine(tmp_path):
    with Upstream(tmp_path / "up.sock") as upstream:
        yield upstream


@contextmanager
def proxied(engine, *faults, **options):
    with FaultProxy(engine.path, faults, **options) as proxy:
        yield proxy


@contextmanager
def connected(proxy):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(proxy.path))
        yield client


def read_all(client) -> bytes:
    parts = []
    try:
        while data := client.recv(65536):
            parts.append(data)
    except ConnectionResetError:  # an unread rest of the request makes a close look like this
        pass
    return b"".join(parts)


def ask(proxy, text: str = ECHO) -> bytes:
    with connected(proxy) as client:
        client.sendall(text.encode())
        return read_all(client)


def test_a_call_passes_with_its_body_and_comes_back_whole(engine):
    with proxied(engine) as proxy:
        answer = ask(proxy, 'POST /v1.41/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{"a":1}')
        call = proxy.list_calls()[0]
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b'{"a":1}')
    assert engine.asked == [("POST", "/v1.41/echo", b'{"a":1}')]
    assert (call.kind, call.status, call.client, call.fault) == ("POST /echo", 200, os.getpid(), "")


def test_a_chunked_body_reaches_the_engine_whole(engine):
    head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with proxied(engine) as proxy:
        ask(proxy, head + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert engine.asked == [("POST", "/echo", b"abcde")]


def test_a_stream_arrives_piece_by_piece(engine):
    with proxied(engine) as proxy, connected(proxy) as client:
        client.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b""
        while b"first" not in data:
            data += client.recv(65536)
        assert b"second" not in data
        engine.go_on.set()
        assert b"second" in read_all(client)


def test_an_upgraded_connection_talks_both_ways(engine):
    with proxied(engine) as proxy, connected(proxy) as client:
        client.sendall(b"POST /talk HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        stream = client.makefile("rwb")
        while stream.readline() != b"\r\n":
            pass
        stream.write(b"hello\n")
        stream.flush()
        assert stream.readline() == b"you said hello\n"
        client.shutdown(socket.SHUT_WR)
        assert stream.read() == b"bye\n"


def test_a_client_that_leaves_takes_its_call_along(engine):
    with proxied(engine) as proxy:
        with connected(proxy) as client:
            client.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            client.recv(65536)
        for thread in threading.enumerate():
            if thread.name == "proxy-call":
                thread.join(PATIENCE)
        assert proxy.is_idle()


def test_the_record_knows_what_was_made(engine):
    with proxied(engine) as proxy:
        body = '{"Labels": {"k": "v"}}'
        ask(proxy, f"POST /networks/create HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        ask(proxy, CREATE.replace("\r\n\r\n{}", "\r\n\r\n  "))
        network, container = proxy.list_calls()
    assert network.labels == {"k": "v"}
    assert container.kind == "POST /containers/create"
    assert container.made is not None
    assert container.made[:2] == ("container", "thing")


@pytest.mark.parametrize(
    ("target", "template"),
    [
        ("/v1.41/containers/abc/start", "/containers/{id}/start"),
        ("/v1.41/containers/create?name=x", "/containers/create"),
        ("/containers/json?all=1", "/containers/json"),
        ("/v1.44/containers/abc/json", "/containers/{id}/json"),
        ("/v1.41/networks", "/networks"),
        ("/v1.41/networks/abc", "/networks/{id}"),
        ("/v1.41/networks/abc/connect", "/networks/{id}/connect"),
        ("/v1.41/volumes/some-name", "/volumes/{id}"),
        ("/v1.41/images/a.b:5000/c/d:1/json", "/images/{name}/json"),
        ("/v1.41/images/create?fromImage=x", "/images/create"),
        ("/v1.41/exec/abc/start", "/exec/{id}/start"),
        ("/_ping", "/_ping"),
    ],
)
def test_calls_are_told_apart_by_their_template(engine, target, template):
    with proxied(engine) as proxy:
        ask(proxy, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
        assert proxy.list_calls()[0].template == template


class TestFaults:
    @pytest.mark.parametrize(("kind", "status"), [("404", 404), ("409", 409), ("500", 500), ("enospc", 500)])
    def test_an_error_is_answered_without_asking_the_engine(self, engine, kind, status):
        with proxied(engine, Fault(kind)) as proxy:
            head, _, body = ask(proxy).partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status}".encode())
        assert ("no space left on device" in json.loads(body)["message"]) == (kind == "enospc")
        assert engine.asked == []

    def test_a_refused_call_gets_no_byte(self, engine):
        with proxied(engine, Fault("refuse")) as proxy:
            assert ask(proxy) == b""
        assert engine.asked == []

    def test_a_hanging_call_gets_no_answer_until_the_client_leaves(self, engine):
        with proxied(engine, Fault("hang")) as proxy, connected(proxy) as client:
            client.sendall(ECHO.encode())
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.recv(1)
            assert not proxy.is_idle()
        assert engine.asked == []

    def test_a_cut_answer_promises_more_than_it_holds(self, engine):
        with proxied(engine, Fault("cut")) as proxy:
            head, _, body = ask(proxy).partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert 0 < len(body) < length
        assert engine.asked

    def test_an_answer_without_a_body_is_cut_in_its_head(self, engine):
        with proxied(engine, Fault("cut")) as proxy:
            answer = ask(proxy, "DELETE /containers/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer
        assert b"\r\n\r\n" not in answer

    def test_a_dropped_reply_is_of_a_call_that_was_carried_out(self, engine):
        with proxied(engine, Fault("drop")) as proxy:
            assert ask(proxy, CREATE) == b""
            call = proxy.list_calls()[0]
        assert engine.asked == [("POST", "/v1.41/containers/create?name=thing", b"{}")]
        assert (call.status, call.fault) == (201, "drop")

    @pytest.mark.parametrize("kind", ["kill-before", "kill-after"])
    def test_a_kill_ends_its_owner_and_the_call_is_carried_out(self, engine, kind):
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
            with proxied(engine, Fault(kind, owner=owner.pid)) as proxy:
                assert ask(proxy, CREATE) == b""
            assert owner.wait(PATIENCE) == -signal.SIGKILL
        assert len(engine.asked) == 1

    def test_a_kill_hits_the_sender_where_nobody_is_named(self, engine):
        script = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
        script += f"s.sendall({ECHO.encode()!r}); s.recv(1)"
        with proxied(engine, Fault("kill-before")) as proxy:
            done = subprocess.run([sys.executable, "-c", script, str(proxy.path)], timeout=PATIENCE, check=False)
        assert done.returncode == -signal.SIGKILL

    def test_a_delayed_call_is_carried_out_although_its_client_has_gone(self, engine):
        with proxied(engine, Fault("delay", seconds=0.2)) as proxy:
            with connected(proxy) as client:
                client.sendall(CREATE.encode())
            assert engine.wait_for_call()[1].endswith("name=thing")

    def test_an_engine_that_is_away_refuses_connections_and_comes_back(self, engine):
        with proxied(engine, Fault("away", seconds=0.3)) as proxy:
            with connected(proxy) as bystander:
                assert ask(proxy) == b""
                assert read_all(bystander) == b""  # every connection breaks
            with pytest.raises(ConnectionRefusedError), connected(proxy):
                pass
            for thread in threading.enumerate():
                if thread.name == "proxy-call":
                    thread.join(PATIENCE)
            assert ask(proxy).startswith(b"HTTP/1.1 200")

    def test_a_fault_hits_its_occurrence_alone(self, engine):
        with proxied(engine, Fault("500", "GET", "/echo", occurrence=2)) as proxy:
            ask(proxy, CREATE)
            answers = [ask(proxy)[9:12] for _ in range(3)]
            assert (answers, proxy.hits) == ([b"200", b"500", b"200"], 1)
            assert [call.fault for call in proxy.list_calls()] == ["", "", "500", ""]

    def test_a_fault_can_last(self, engine):
        with proxied(engine, Fault("500", times=2)) as proxy:
            assert [ask(proxy)[9:12] for _ in range(3)] == [b"500", b"500", b"200"]

    def test_a_fault_for_one_client_leaves_the_others_alone(self, engine):
        with proxied(engine, Fault("500"), only_client=1) as proxy:
            assert ask(proxy).startswith(b"HTTP/1.1 200")
            proxy.only_client = os.getpid()
            assert ask(proxy).startswith(b"HTTP/1.1 500")


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_nothing_of_a_proxy_stays(engine, kind):
    """No thread, socket or file, although a call is under way when it closes."""
    threads = list_proxy_threads()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
        with proxied(engine, Fault(kind, owner=owner.pid)) as proxy, connected(proxy) as client:
            client.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        owner.kill()
    engine.go_on.set()
    until = time.monotonic() + 10
    while (left := list_proxy_threads() - threads) and time.monotonic() < until:
        time.sleep(0.01)  # what waits for the engine ends with its answer, which has only now been let go
    assert not left
    assert not proxy.path.exists()


def list_proxy_threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name.startswith("proxy")}


def test_a_proxy_of_its_own_process_works_and_writes_its_record(engine, tmp_path):
    record = tmp_path / "calls.jsonl"
    path = tmp_path / "proxy.sock"
    command = [
        sys.executable, "-P", "-m", "tests.guarantees.proxy", "--listen", path, "--upstream", engine.path,
        "--fault", json.dumps({"kind": "409", "method": "GET"}), "--record", record,
    ]  # fmt: skip
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        try:
            assert process.stdout.readline() == "listening\n"
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PATIENCE)
                client.connect(str(path))
                client.sendall(ECHO.encode())
                assert read_all(client).startswith(b"HTTP/1.1 409")
        finally:
            process.terminate()
    calls = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    assert [(call["method"], call["template"], call["fault"]) for call in calls] == [("GET", "/echo", "409")]
