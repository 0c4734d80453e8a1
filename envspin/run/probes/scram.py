"""The client's side of SCRAM-SHA-256 (RFC 5802 and 7677) without channel binding. Pure: the nonce is passed in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import unicodedata

MECHANISM = "SCRAM-SHA-256"
MOST_ITERATIONS = 1_000_000
"""More than any server asks for; a bound on the time that a garbled challenge can cost."""

HEADER = "n,,"


class Scram:
    """One exchange: ``first_message``, then ``answer`` the server's, then ``verify`` its last one.

    What cannot be parsed, or does not belong to this exchange, raises ValueError or KeyError.
    """

    def __init__(self, user: str, password: str, nonce: str) -> None:
        # NFKC is the part of SASLprep that changes real passwords; servers fall back to the raw bytes likewise.
        self._password = unicodedata.normalize("NFKC", password).encode()
        self._nonce = nonce
        self._first_bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
        self._server_signature = b""

    def first_message(self) -> bytes:
        """Return the client's first message."""
        return f"{HEADER}{self._first_bare}".encode()

    def answer(self, challenge: bytes) -> bytes:
        """Return the client's final message, which proves that the password is known."""
        server_first = challenge.decode("ascii")
        fields = _parse(server_first)
        nonce, salt, iterations = fields["r"], base64.b64decode(fields["s"], validate=True), int(fields["i"])
        if not nonce.startswith(self._nonce) or not 0 < iterations <= MOST_ITERATIONS:
            raise ValueError("the challenge does not belong to this exchange")
        without_proof = f"c={base64.b64encode(HEADER.encode()).decode()},r={nonce}"
        signed = f"{self._first_bare},{server_first},{without_proof}".encode()
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, iterations)
        client_key = _sign(salted, b"Client Key")
        signature = _sign(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(left ^ right for left, right in zip(client_key, signature, strict=True))
        self._server_signature = _sign(_sign(salted, b"Server Key"), signed)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, final: bytes) -> None:
        """Check that the server knows the password too."""
        claimed = base64.b64decode(_parse(final.decode("ascii"))["v"], validate=True)
        if not hmac.compare_digest(claimed, self._server_signature):
            raise ValueError("the server's signature is wrong")


def _sign(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _parse(message: str) -> dict[str, str]:
    return dict(_split(attribute) for attribute in message.split(","))


def _split(attribute: str) -> tuple[str, str]:
    name, _, value = attribute.partition("=")
    return name, value
