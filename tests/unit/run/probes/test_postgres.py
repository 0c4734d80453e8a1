from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from collections.abc import Callable

import pytest

from envspin.model import PostgresProbe
from envspin.run.probes import NotReady, Refused

from .support import Behaviour, Check, MakeTarget, Peer, Serve

Ask = Callable[..., None]

PASSWORD = "s3cret"


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def authentication(code: int, data: bytes = b"") -> bytes:
    return message(b"R", struct.pack("!i", code) + data)


def error(state: bytes, text: bytes) -> bytes:
    return message(b"E", b"SFATAL\0VFATAL\0C" + state + b"\0M" + text + b"\0Fpostmaster.c\0\0")


READY = message(b"Z", b"I")
ROW = message(b"T", b"\0\0") + message(b"D", b"\0\1\0\0\0\x011") + message(b"C", b"SELECT 1\0") + READY


class FakePostgres:
    """Logs a client in as told, answers its query, and notes everything that it said."""

    def __init__(self, challenge: bytes = b"", expected: bytes = b"") -> None:
        self.challenge = challenge
        self.expected = expected
        self.parameters: dict[bytes, bytes] = {}
        self.query: tuple[bytes, bytes] | None = None
        self.said_goodbye = False

    def __call__(self, peer: Peer) -> None:
        (length,) = struct.unpack("!i", peer.read(4))
        words = peer.read(length - 4)[4:].split(b"\0")
        self.parameters = dict(zip(words[::2], words[1::2], strict=False))
        if self.challenge:
            peer.send(self.challenge)
            if self.read_message(peer) != (b"p", self.expected):
                peer.end(error(b"28P01", b'password authentication failed for user "shop"'))
                return
        peer.send(authentication(0) + message(b"N", b"SNOTICE\0\0") + message(b"S", b"a\0b\0") + READY)
        self.query = self.read_message(peer)
        peer.send(ROW)
        self.said_goodbye = self.read_message(peer) == (b"X", b"")

    def read_message(self, peer: Peer) -> tuple[bytes, bytes]:
        kind, length = struct.unpack("!ci", peer.read(5))
        return kind, peer.read(length - 4)


@pytest.fixture
def ask(serve: Serve, make_target: MakeTarget, check: Check) -> Ask:
    """Return a function that probes a fake server."""

    def run(server: Behaviour, *, password: str | None = PASSWORD, database: str | None = None) -> None:
        listening = serve(server)
        check(PostgresProbe(user="shop", password=password, database=database), make_target(listening.port))
        listening.finish()

    return run


def test_a_trusted_client_asks_one_question_and_says_goodbye(ask: Ask) -> None:
    server = FakePostgres()
    ask(server, database="orders")
    assert server.parameters[b"user"] == b"shop"
    assert server.parameters[b"database"] == b"orders"
    assert server.query == (b"Q", b"SELECT 1\0")
    assert server.said_goodbye


def test_the_database_is_the_users_by_default(ask: Ask) -> None:
    server = FakePostgres()
    ask(server)
    assert server.parameters[b"database"] == b"shop"


def hash_md5(*parts: bytes) -> bytes:
    return hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest().encode()


@pytest.mark.parametrize(
    ("challenge", "expected"),
    [
        (authentication(3), b"s3cret\0"),
        (authentication(5, b"salt"), b"md5" + hash_md5(hash_md5(b"s3cret", b"shop"), b"salt") + b"\0"),
    ],
)
def test_passwords_are_sent_as_asked(challenge: bytes, expected: bytes, ask: Ask) -> None:
    ask(FakePostgres(challenge, expected))
    with pytest.raises(Refused, match=r'^password authentication failed for user "shop" \(28P01\)$'):
        ask(FakePostgres(challenge, expected), password="wrong")


@pytest.mark.parametrize(
    "challenge", [authentication(3), authentication(5, b"salt"), authentication(10, b"SCRAM-SHA-256\0\0")]
)
def test_without_a_password_the_challenge_proves_enough(challenge: bytes, ask: Ask) -> None:
    ask(lambda peer: peer.end(challenge), password=None)


@pytest.mark.parametrize("challenge", [authentication(7), authentication(10, b"SCRAM-SHA-256-PLUS\0\0")])
def test_a_way_to_log_in_that_is_not_spoken_proves_enough(challenge: bytes, ask: Ask) -> None:
    ask(lambda peer: peer.end(challenge))


@pytest.mark.parametrize(
    ("state", "kind"), [(b"57P03", NotReady), (b"53300", NotReady), (b"28000", Refused), (b"3D000", Refused)]
)
def test_an_error_is_the_reason_in_the_servers_words(state: bytes, kind: type[NotReady], ask: Ask) -> None:
    with pytest.raises(NotReady, match=rf"^the server's words \({state.decode()}\)$") as caught:
        ask(lambda peer: peer.end(error(state, b"the server's words")))
    assert caught.type is kind


def test_an_error_in_the_place_of_the_row_is_the_reason(ask: Ask) -> None:
    answer = authentication(0) + READY + error(b"57P01", b"terminating connection due to administrator command")
    with pytest.raises(NotReady, match="terminating connection"):
        ask(lambda peer: peer.end(answer))


def test_a_login_without_an_answer_to_the_query_is_not_ready(ask: Ask) -> None:
    with pytest.raises(NotReady, match="closed the connection"):
        ask(lambda peer: peer.end(authentication(0) + READY + message(b"C", b"SELECT 0\0") + READY))


class FakeScramPostgres(FakePostgres):
    """Knows the password and asks for a proof of it, as RFC 5802 has the server do."""

    def __call__(self, peer: Peer) -> None:
        (length,) = struct.unpack("!i", peer.read(4))
        peer.read(length - 4)
        peer.send(authentication(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"))
        _, initial = self.read_message(peer)
        mechanism, _, rest = initial.partition(b"\0")
        first = rest[4:].removeprefix(b"n,,")
        assert mechanism == b"SCRAM-SHA-256"
        nonce = first.partition(b"r=")[2] + b"server"
        challenge = b"r=%s,s=%s,i=4096" % (nonce, base64.b64encode(b"salt"))
        peer.send(authentication(11, challenge))
        _, final = self.read_message(peer)
        without_proof, _, proof = final.partition(b",p=")
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), b"salt", 4096)
        signed = b",".join([first, challenge, without_proof])
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        if bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True)) != client_key:
            peer.end(error(b"28P01", b'password authentication failed for user "shop"'))
            return
        mine = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        peer.send(authentication(12, b"v=" + base64.b64encode(mine)) + authentication(0) + READY)
        self.query = self.read_message(peer)
        peer.send(ROW)


def test_a_proof_of_the_password_is_given(ask: Ask) -> None:
    server = FakeScramPostgres()
    ask(server)
    assert server.query == (b"Q", b"SELECT 1\0")
    with pytest.raises(Refused, match="28P01"):
        ask(FakeScramPostgres(), password="wrong")


def test_a_forged_scram_challenge_is_not_ready(ask: Ask) -> None:
    forged = authentication(11, b"r=not-ours,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    with pytest.raises(NotReady, match="did not answer in PostgreSQL's protocol"):
        ask(lambda peer: peer.end(forged))
