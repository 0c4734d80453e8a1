"""Answers to a registry's challenge: a password as it is, or a token from the service that it names."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections import defaultdict
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from envspin.errors import RegistryError
from envspin.registry.failures import RETRIED, Question, explain_login, explain_status, hide_query
from envspin.registry.transport import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envspin.reference import Reference
    from envspin.registry.credentials import Credentials
    from envspin.registry.pacing import Deadline
    from envspin.registry.transport import Answer, Transport

USUAL_TOKEN_SECONDS = 60.0
"""How long a token is good that does not say."""
_USED_PART = 0.9
"""The part of a token's life in which it is used: it must not end on the way."""
_TOKEN_LIMIT = 1 << 20
_REFUSALS = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}

_WORD = r"[!#$%&'*+\-.^_`|~\w]+"
_SCHEME = re.compile(rf"\s*,*\s*({_WORD})(?=\s|,|$)(?!\s*=)", re.ASCII)
_PARAMETER = re.compile(rf"\s*,?\s*({_WORD})\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,\"]*))", re.ASCII)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What ``WWW-Authenticate`` asks for."""

    scheme: str
    """In lower case: ``basic``, ``bearer``."""
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Token:
    header: str
    ends: float


def parse_challenges(text: str) -> list[Challenge]:
    """Read ``WWW-Authenticate``, which may hold several challenges; what has no form ends the list."""
    challenges, position = [], 0
    while (scheme := _SCHEME.match(text, position)) is not None:
        position = scheme.end()
        parameters: dict[str, str] = {}
        while (parameter := _PARAMETER.match(text, position)) is not None:
            position = parameter.end()
            name, quoted, plain = parameter.groups()
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        challenges.append(Challenge(scheme[1].lower(), parameters))
    return challenges


class Authorizer:
    """Holds what one registry was shown and gave: it is asked for credentials only after a challenge, once.

    Many threads may ask; those that want the same repository wait for one token.
    """

    def __init__(
        self, transport: Transport, find_credentials: Callable[[str], Credentials | None], clock: Callable[[], float]
    ) -> None:
        self._transport = transport
        self._find_credentials = find_credentials
        self._clock = clock
        self._asking = threading.Lock()  # guards _credentials: a helper may take its time, or ask the user
        self._credentials: tuple[Credentials | None] | None = None
        self._lock = threading.Lock()  # guards all below
        self._basic: str | None = None
        self._tokens: dict[str, _Token] = {}
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @property
    def user(self) -> str | None:
        """Who we said we are; None as long as we are nobody."""
        credentials = self._credentials[0] if self._credentials else None
        return (credentials.username or "this login") if credentials is not None else None

    def find_header(self, repository: str) -> str | None:
        """Return the header that will be accepted, as far as is known."""
        with self._lock:
            token = self._tokens.get(repository)
            if token is not None and self._clock() < token.ends:
                return token.header
            return self._basic

    def answer(self, challenged: Answer, reference: Reference, refused: str | None, deadline: Deadline) -> str:
        """Return a header other than the refused one.

        Raises RegistryError where there is none, and where the challenge is not the registry's own: whoever it
        redirects to could otherwise choose the place that gets its password. Raises TransientError where the token
        service fails for now.
        """
        self._refuse_stranger(challenged, self._transport.address.name)
        turn = self._find_turn(reference.repository)
        if not turn.acquire(timeout=deadline.remaining):
            message = f"{self._transport.address.name} gave no token within {deadline.seconds:.0f} s"
            raise RegistryError(message, context=(challenged.tried,), hint="try again later")
        try:
            known = self.find_header(reference.repository)
            if known is not None and known != refused:  # another thread was first
                return known
            return self._make_header(challenged, reference, refused, deadline)
        finally:
            turn.release()

    def _find_turn(self, repository: str) -> threading.Lock:
        with self._lock:
            return self._turns[repository]

    def _make_header(self, challenged: Answer, reference: Reference, refused: str | None, deadline: Deadline) -> str:
        challenges = {each.scheme: each for each in parse_challenges(challenged.headers.get("WWW-Authenticate", ""))}
        credentials = self._learn_credentials()
        if "bearer" in challenges:
            token = self._fetch_token(challenges["bearer"], credentials, reference, deadline)
            with self._lock:
                self._tokens[reference.repository] = token
            return token.header
        if challenges and "basic" not in challenges:
            message = f"{self._transport.address.name} wants a login of a kind that is not known here"
            raise RegistryError(message, context=(challenged.tried,), hint="Basic and Bearer are known")
        if not challenges or credentials is None or not credentials.username:
            raise explain_login(self._question(reference), (challenged.tried,))
        basic = _make_basic(credentials)
        if basic == refused:
            self.give_up(challenged, reference, basic)
        with self._lock:
            self._basic = basic
        return basic

    def give_up(self, challenged: Answer, reference: Reference, refused: str) -> NoReturn:
        """Raise RegistryError for a fresh header that was refused: a password is wrong, a token may not do enough."""
        self._refuse_stranger(challenged, self._transport.address.name)
        is_password = refused.startswith("Basic ")
        raise explain_login(self._question(reference), (challenged.tried,), refused=is_password)

    @staticmethod
    def _refuse_stranger(challenged: Answer, asked: str) -> None:
        if challenged.stranger is not None:
            raise RegistryError(
                f"{asked} redirects to {challenged.stranger}, which wants a login of its own",
                context=(challenged.tried,),
                hint="logins are shown to the registry alone: its settings are wrong, tell who runs it",
            )

    def _question(self, reference: Reference) -> Question:
        return Question(reference, self._transport.address.name, self.user)

    def _learn_credentials(self) -> Credentials | None:
        with self._asking:
            if self._credentials is None:
                self._credentials = (self._find_credentials(self._transport.address.name),)
            return self._credentials[0]

    def _fetch_token(
        self, challenge: Challenge, credentials: Credentials | None, reference: Reference, deadline: Deadline
    ) -> _Token:
        realm = self._check_realm(challenge.parameters.get("realm", ""))
        asked = {
            "service": challenge.parameters.get("service", ""),
            "scope": challenge.parameters.get("scope") or f"repository:{reference.repository}:pull",
        }
        asked = {name: value for name, value in asked.items() if value}
        if credentials is not None and credentials.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": credentials.identity_token, "client_id": "envspin"}
            call = Call("POST", _TOKEN_LIMIT, deadline, form={**form, **asked})
        else:
            realm = _add_query(realm, asked)
            basic = _make_basic(credentials) if credentials is not None else None
            call = Call("GET", _TOKEN_LIMIT, deadline, authorization=basic)
        return self._read_token(self._transport.send(realm, call), reference)

    def _check_realm(self, realm: str) -> str:
        try:
            parts = urlsplit(realm)
            allowed = {"https", "http"} if self._transport.is_plain else {"https"}
            if parts.scheme in allowed and parts.hostname and parts.port != 0:  # ValueError where it is no number
                return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
            shown = hide_query(realm) if parts.hostname else "no web address"
        except ValueError:
            shown = "no web address"
        raise RegistryError(
            f"{self._transport.address.name} sends logins to a place that is not safe: {shown}",
            hint="a token service is asked by TLS only: its settings are wrong, tell who runs the registry",
        )

    def _read_token(self, answer: Answer, reference: Reference) -> _Token:
        name, question = self._transport.address.name, self._question(reference)
        if answer.status in RETRIED:
            raise explain_status(answer.status, answer.headers, answer.body, question, answer.tried)
        context = (answer.tried, f"answer: HTTP {answer.status}")
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self._refuse_stranger(answer, f"the token service of {name}")
        if answer.status in _REFUSALS:
            raise explain_login(question, context, refused=True)
        if answer.status != HTTPStatus.OK:
            hint = f"log in again, with a name and a password or access token: {question.login}"
            raise RegistryError(f"the token service of {name} gave no token", context=context, hint=hint)
        try:
            document = json.loads(answer.body)
            token = document.get("token") or document.get("access_token")
            seconds = float(document.get("expires_in") or USUAL_TOKEN_SECONDS)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            token, seconds = None, 0.0
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RegistryError(f"the token service of {name} gave no token", context=context)
        return _Token(f"Bearer {token}", self._clock() + seconds * _USED_PART)


def _make_basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _add_query(url: str, query: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    return urlunsplit(
        parts._replace(query=urlencode([*parse_qsl(parts.query, keep_blank_values=True), *query.items()]))
    )
