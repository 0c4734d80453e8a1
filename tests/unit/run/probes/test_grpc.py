"""Against the reference implementation of gRPC and its health service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import h2.config
import h2.connection
import h2.events
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from envspin.model import GrpcProbe
from envspin.run.probes import Hopeless, NotReady, make_prober, wait_until_ready

from .support import Check, FakeTarget, MakeTarget, Peer, Serve

Start = Callable[..., FakeTarget]

Status = health_pb2.HealthCheckResponse


@pytest.fixture
def start(make_target: MakeTarget) -> Iterator[Start]:
    """Return a function that starts a server with a health servicer, or with none, and returns its target."""
    servers: list[grpc.Server] = []

    def run(servicer: health_pb2_grpc.HealthServicer | None = None) -> FakeTarget:
        server = grpc.server(ThreadPoolExecutor(2))
        servers.append(server)
        if servicer is not None:
            health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return make_target(port)

    yield run
    for server in servers:
        server.stop(0).wait(10)


def make_servicer(**statuses: int) -> health.HealthServicer:
    servicer = health.HealthServicer()
    for service, status in statuses.items():
        servicer.set(service.replace("overall", ""), status)
    return servicer


def test_serving_is_ready(start: Start, check: Check) -> None:
    check(GrpcProbe(port=50051), start(make_servicer(overall=Status.SERVING)))


def test_the_service_asked_for_counts(start: Start, check: Check) -> None:
    target = start(make_servicer(overall=Status.NOT_SERVING, shop=Status.SERVING))
    check(GrpcProbe(port=50051, service="shop"), target)
    with pytest.raises(NotReady, match=r"^the health is NOT_SERVING$"):
        check(GrpcProbe(port=50051), target)


@pytest.mark.parametrize("status", ["UNKNOWN", "NOT_SERVING"])
def test_other_states_are_the_reason(status: str, start: Start, check: Check) -> None:
    with pytest.raises(NotReady, match=f"^the health is {status}$"):
        check(GrpcProbe(port=50051), start(make_servicer(overall=Status.ServingStatus.Value(status))))


def test_an_unknown_service_may_still_come(start: Start, check: Check) -> None:
    with pytest.raises(NotReady, match="does not know shop"):
        check(GrpcProbe(port=50051, service="shop"), start(make_servicer(overall=Status.SERVING)))


def test_a_long_service_name_is_sent_whole(start: Start, check: Check) -> None:
    """Its length takes two bytes."""
    name = "s" * 300
    check(GrpcProbe(port=50051, service=name), start(make_servicer(**{name: Status.SERVING})))


def test_a_server_without_the_health_service_is_hopeless(start: Start, check: Check) -> None:
    with pytest.raises(Hopeless, match=r"no grpc\.health\.v1\.Health service; register one"):
        check(GrpcProbe(port=50051), start())


def test_an_error_status_is_the_reason(start: Start, check: Check) -> None:
    class Failing(health_pb2_grpc.HealthServicer):
        def Check(self, request: object, context: grpc.ServicerContext) -> None:  # noqa: N802 - the interface's name
            context.abort(grpc.StatusCode.UNAVAILABLE, "warming 100% up\nslowly")

    with pytest.raises(NotReady, match=r"^gRPC status 14 warming 100% up slowly$"):
        check(GrpcProbe(port=50051), start(Failing()))


def test_a_service_that_becomes_healthy_is_found(start: Start) -> None:
    servicer = make_servicer(overall=Status.NOT_SERVING)
    reasons: list[str] = []

    def heal(_: str, reason: str) -> None:
        reasons.append(reason)
        servicer.set("", Status.SERVING)

    prober = make_prober(GrpcProbe(port=50051), start(servicer))
    deadline = time.monotonic() + 20
    wait_until_ready([prober], deadline=deadline, clock=time.monotonic, cancelled=threading.Event(), on_reason=heal)
    assert reasons == ["the health is NOT_SERVING"]


def answer_http2(peer: Peer, answer: Callable[[h2.connection.H2Connection], object]) -> None:
    """Speak HTTP/2 as a server until the request is complete, then let ``answer`` say what it likes."""
    state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, validate_outbound_headers=False))
    state.initiate_connection()
    while True:
        peer.send(state.data_to_send())
        for event in state.receive_data(peer.socket.recv(65536)):
            if isinstance(event, h2.events.StreamEnded):
                answer(state)
                peer.end(state.data_to_send())
                return


def say(state: h2.connection.H2Connection, data: bytes, status: str = "200") -> None:
    state.send_headers(1, [(":status", status), ("grpc-status", "0")])
    state.send_data(1, data, end_stream=True)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda state: say(state, b"", status="404"), "^HTTP 404 where gRPC was awaited$"),
        (lambda state: say(state, b"\0\0\0\0\0"), "^the health is UNKNOWN$"),
        (lambda state: say(state, b"\0\0\0\0\2\x08\x09"), "^the health is 9$"),
        (lambda state: say(state, b"\0\0\0\0\2\x12\x01"), "did not answer in gRPC"),
        (lambda state: say(state, b"\1\0\0\0\2\x08\x01"), "did not answer in gRPC"),
        (lambda state: say(state, b"\0\0\0\0\3\x08\x01"), "did not answer in gRPC"),
        (lambda state: say(state, b"A" * 5000), "did not answer in gRPC"),
        (lambda state: state.reset_stream(1, 7), "^the server ended the call with HTTP/2 error 7$"),
        (lambda state: state.close_connection(2), "^the server ended the call with HTTP/2 error 2$"),
    ],
)
def test_odd_replies_are_the_reason(
    answer: Callable[[h2.connection.H2Connection], object],
    reason: str,
    serve: Serve,
    make_target: MakeTarget,
    check: Check,
) -> None:
    target = make_target(serve(lambda peer: answer_http2(peer, answer)).port)
    with pytest.raises(NotReady, match=reason):
        check(GrpcProbe(port=50051), target)
