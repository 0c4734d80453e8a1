"""Redis, MySQL and AMQP: what is sent, and what each answer means."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from envspin.model import AmqpProbe, MysqlProbe, RedisProbe
from envspin.run.probes import NotReady, Refused

from .support import Check, MakeTarget, Peer, Serve

AskRedis = Callable[..., list[bytes]]
AskMysql = Callable[[bytes], None]
AskBroker = Callable[..., dict[str, bytes]]

PING = b"*1\r\n$4\r\nPING\r\n"


@pytest.fixture
def ask_redis(serve: Serve, make_target: MakeTarget, check: Check) -> AskRedis:
    """Return a function that probes a server which gives these answers, one a command, and returns what it was sent."""

    def run(*answers: bytes, password: str | None = None) -> list[bytes]:
        received: list[bytes] = []

        def behave(peer: Peer) -> None:
            for answer in answers:
                count = int(peer.read_until(b"\r\n")[1:])
                words = []
                for _ in range(count):
                    length = int(peer.read_until(b"\r\n")[1:])
                    words.append(peer.read(length + 2)[:-2])
                received.append(b" ".join(words))
                peer.send(answer)
            peer.drain()

        check(RedisProbe(password=password), make_target(serve(behave).port))
        return received

    return run


def test_pong_is_ready(ask_redis: AskRedis) -> None:
    assert ask_redis(b"+PONG\r\n") == [b"PING"]


@pytest.mark.parametrize(
    "answer", [b"-NOAUTH Authentication required.\r\n", b"-NOPERM this user has no permissions\r\n"]
)
def test_a_server_that_wants_a_login_answers(answer: bytes, ask_redis: AskRedis) -> None:
    ask_redis(answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-BUSY x\r\n",
    ],
)
def test_errors_that_pass_are_not_ready(answer: bytes, ask_redis: AskRedis) -> None:
    with pytest.raises(NotReady, match=answer[1:8].decode().strip()) as caught:
        ask_redis(answer)
    assert caught.type is NotReady


def test_a_known_password_is_said_first(ask_redis: AskRedis) -> None:
    assert ask_redis(b"+OK\r\n", b"+PONG\r\n", password="s3cret pass") == [b"AUTH s3cret pass", b"PING"]


@pytest.mark.parametrize(
    "answer",
    [
        b"-ERR Client sent AUTH, but no password is set\r\n",
        b"-ERR AUTH <password> called without any password configured for the default user. Are you sure?\r\n",
    ],
)
def test_a_password_that_is_not_wanted_does_not_matter(answer: bytes, ask_redis: AskRedis) -> None:
    assert ask_redis(answer, b"+PONG\r\n", password="s3cret")[1] == b"PING"


def test_a_wrong_password_is_refused_and_not_repeated(ask_redis: AskRedis) -> None:
    with pytest.raises(Refused, match=r"^WRONGPASS invalid username-password pair$"):
        ask_redis(b"-WRONGPASS invalid username-password pair\r\n", password="wr0ng")


def test_loading_may_answer_the_password_too(ask_redis: AskRedis) -> None:
    with pytest.raises(NotReady, match="LOADING") as caught:
        ask_redis(b"-LOADING Redis is loading\r\n", password="s3cret")
    assert caught.type is NotReady


def test_a_line_without_an_end_is_not_read_for_ever(ask_redis: AskRedis) -> None:
    with pytest.raises(NotReady, match="sent a line of more than 8192 bytes"):
        ask_redis(b"+" + b"A" * 20000)


def mysql_packet(payload: bytes, number: int = 0) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


@pytest.fixture
def ask_mysql(serve: Serve, make_target: MakeTarget, check: Check) -> AskMysql:
    def run(answer: bytes) -> None:
        check(MysqlProbe(), make_target(serve(lambda peer: peer.end(answer)).port))

    return run


def test_a_greeting_is_ready(ask_mysql: AskMysql) -> None:
    ask_mysql(mysql_packet(b"\x0a8.0.36\0\x08\0\0\0salt1234\0\xff\xff\xff"))


def test_an_error_packet_is_the_reason(ask_mysql: AskMysql) -> None:
    with pytest.raises(Refused, match=r"^Host '10.0.0.9' is not allowed to connect to this MariaDB server \(1130\)$"):
        ask_mysql(mysql_packet(b"\xff\x6a\x04Host '10.0.0.9' is not allowed to connect to this MariaDB server"))


@pytest.mark.parametrize(
    "answer",
    [mysql_packet(b""), mysql_packet(b"\x09old\0"), mysql_packet(b"\x0a8.0\0", number=3), mysql_packet(b"\xff")],
)
def test_other_packets_are_no_greeting(answer: bytes, ask_mysql: AskMysql) -> None:
    with pytest.raises(NotReady, match="did not answer in MySQL's protocol"):
        ask_mysql(answer)


def amqp_method(method: int, arguments: bytes = b"", kind: int = 1) -> bytes:
    payload = struct.pack("!HH", 10, method) + arguments
    return struct.pack("!BHI", kind, 0, len(payload)) + payload + b"\xce"


def amqp_close(code: int, text: bytes) -> bytes:
    return amqp_method(50, struct.pack("!H", code) + bytes([len(text)]) + text + struct.pack("!HH", 10, 11))


HEARTBEAT = struct.pack("!BHI", 8, 0, 0) + b"\xce"


class FakeBroker:
    """Opens a connection step by step; ``answers`` replaces the answer to a method."""

    def __init__(self, **answers: bytes) -> None:
        self.answers = {
            "header": amqp_method(10, b"\0\x09" + struct.pack("!III", 0, 0, 0)),
            "start_ok": HEARTBEAT + amqp_method(30, struct.pack("!HIH", 100, 4096, 60)),
            "open": amqp_method(41, b"\0"),
            "close": amqp_method(51),
            **answers,
        }
        self.received: dict[str, bytes] = {}

    def __call__(self, peer: Peer) -> None:
        self.received["header"] = peer.read(8)
        peer.send(self.answers["header"])
        self.received["start_ok"] = self.read_method(peer)
        peer.send(self.answers["start_ok"])
        self.received["tune_ok"] = self.read_method(peer)
        self.received["open"] = self.read_method(peer)
        peer.send(self.answers["open"])
        self.received["close"] = self.read_method(peer)
        peer.send(self.answers["close"])

    def read_method(self, peer: Peer) -> bytes:
        _, _, size = struct.unpack("!BHI", peer.read(7))
        return peer.read(size + 1)[:-1]


@pytest.fixture
def ask_broker(serve: Serve, make_target: MakeTarget, check: Check) -> AskBroker:
    def run(broker: FakeBroker, probe: AmqpProbe | None = None) -> dict[str, bytes]:
        listening = serve(broker)
        check(probe or AmqpProbe(), make_target(listening.port))
        listening.finish()
        return broker.received

    return run


def test_the_whole_opening_is_walked_through_and_closed(ask_broker: AskBroker) -> None:
    received = ask_broker(FakeBroker(), AmqpProbe(user="shop", password="s3cret", vhost="orders"))
    assert received["header"] == b"AMQP\0\0\x09\x01"
    assert b"PLAIN" in received["start_ok"]
    assert received["start_ok"].endswith(struct.pack("!I", 12) + b"\0shop\0s3cret" + b"\x05en_US")
    assert received["tune_ok"] == struct.pack("!HHHIH", 10, 31, 100, 4096, 0)
    assert received["open"] == struct.pack("!HH", 10, 40) + b"\x06orders\0\0"
    assert received["close"][:6] == struct.pack("!HHH", 10, 50, 200)


def test_a_broker_that_hangs_up_instead_of_a_goodbye_is_ready(ask_broker: AskBroker) -> None:
    ask_broker(FakeBroker(close=b""))


@pytest.mark.parametrize(
    ("step", "code", "text"),
    [("start_ok", 403, b"ACCESS_REFUSED - Login was refused"), ("open", 530, b"NOT_ALLOWED - vhost orders not found")],
)
def test_a_close_is_the_reason_in_the_brokers_words(step: str, code: int, text: bytes, ask_broker: AskBroker) -> None:
    with pytest.raises(Refused, match=rf"^{text.decode()} \({code}\)$"):
        ask_broker(FakeBroker(**{step: amqp_close(code, text)}))


def test_a_broker_of_another_version_says_so(ask_broker: AskBroker) -> None:
    with pytest.raises(NotReady, match="another version of AMQP"):
        ask_broker(FakeBroker(header=b"AMQP\0\1\0\0"))


@pytest.mark.parametrize(
    "answer",
    [
        amqp_method(41),
        amqp_method(10, kind=2),
        amqp_method(10)[:-1] + b"\0",
        struct.pack("!BHIHH", 1, 0, 4, 20, 10) + b"\xce",
        struct.pack("!BHI", 1, 0, 1 << 30),
    ],
)
def test_frames_out_of_place_are_no_amqp(answer: bytes, ask_broker: AskBroker) -> None:
    with pytest.raises(NotReady, match="did not answer in AMQP 0-9-1"):
        ask_broker(FakeBroker(header=answer))
