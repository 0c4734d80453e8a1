"""The exchange of RFC 7677, section 3, and what is refused."""

from __future__ import annotations

import pytest

from envspin.run.probes.scram import Scram

NONCE = "rOprNGfwEbeRWgbNEkqO"
CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"


@pytest.fixture
def scram() -> Scram:
    return Scram("user", "pencil", NONCE)


def test_the_exchange_of_the_standard(scram: Scram) -> None:
    assert scram.first_message() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert scram.answer(CHALLENGE) == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    scram.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def test_a_server_that_does_not_know_the_password_is_found_out(scram: Scram) -> None:
    scram.answer(CHALLENGE)
    with pytest.raises(ValueError, match="signature"):
        scram.verify(b"v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"\xff",
        b"r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        CHALLENGE.replace(b"4096", b"many"),
        CHALLENGE.replace(b"4096", b"0"),
        CHALLENGE.replace(b"4096", b"999999999"),
        CHALLENGE.replace(b"s=W22", b"s=*"),
        CHALLENGE.replace(b",i=4096", b""),
    ],
)
def test_a_challenge_that_is_none_is_refused(scram: Scram, challenge: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        scram.answer(challenge)


def test_a_user_name_is_escaped() -> None:
    assert Scram("a=b,c", "", "N").first_message() == b"n,,n=a=3Db=2Cc,r=N"
