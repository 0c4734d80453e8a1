"""What went wrong at a registry, in words: each broken connection and each refusal becomes one error of ours.

Messages hold no text that a server chose, except the short code of its error and where it redirects, and no URL with
its query: either may repeat a token. What they hold of it is printable, and cut where it is long.
"""

from __future__ import annotations

import json
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
import urllib3

from envspin.errors import ManifestNotFoundError, RegistryError
from envspin.reference import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from envspin.reference import Reference

RETRIED = frozenset({429, 500, 502, 503, 504})
"""Statuses that pass: the registry asks for patience, or something in front of it does."""

_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG"}
"""What OpenSSL calls bytes that are no TLS."""

_NOT_MENDED_BY_TRUST = {10, 62, 64}
"""OpenSSL's numbers of an expired certificate, and of one for another name or address."""

_CODE = re.compile(r"[A-Z][A-Z_]{1,40}")
_LONGEST_URL, _LONGEST_HOST = 400, 100
LONGEST_WAIT = 86_400.0
"""The most seconds that ``Retry-After`` counts for; no deadline is longer."""
_PLAIN_HTTP = "plain HTTP is used on loopback, and where the engine's `insecure-registries` names the registry"


class Cause(Enum):
    """Why no usable answer came."""

    UNRESOLVED = auto()
    REFUSED = auto()
    NO_TLS = auto()
    NO_HANDSHAKE = auto()
    BROKEN = auto()
    STATUS = auto()


MOST_ATTEMPTS = 5
_ATTEMPTS = {Cause.UNRESOLVED: 2, Cause.NO_TLS: 1}


class HandshakeEnded(ssl.SSLError):
    """The other side went away before TLS had begun: as servers of plain HTTP do, and damaged networks."""


class TransientError(RegistryError):
    """An error that may pass, so that it is worth to try again."""

    def __init__(
        self,
        message: str,
        *,
        cause: Cause,
        context: Sequence[str] = (),
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, context=context, hint=hint)
        self.cause = cause
        self.retry_after = retry_after
        """The seconds that the registry asks to wait."""

    @property
    def attempts(self) -> int:
        """How many attempts it is worth: a name that is not known will hardly be known in a second."""
        return _ATTEMPTS.get(self.cause, MOST_ATTEMPTS)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of whom."""

    reference: Reference
    registry: str
    """As ``docker login`` writes it; a mirror's own name."""
    user: str | None = None
    """Who asks; None for anybody."""

    @property
    def login(self) -> str:
        """The command with which people log in there."""
        return "`docker login`" if self.registry == DOCKER_HUB else f"`docker login {self.registry}`"


def hide_query(url: str) -> str:
    """Return a URL for messages: without user, query and fragment, which may carry secrets."""
    parts = urlsplit(url)
    return _show(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", _LONGEST_URL)


def show_host(url: str) -> str:
    """Return the ``HOST[:PORT]`` of a URL for messages."""
    return _show(urlsplit(url).netloc.rpartition("@")[2], _LONGEST_HOST)


def _show(text: str, most: int) -> str:
    """Return text that a server may have chosen as it may be shown: control characters would reach the terminal."""
    shown = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text[:most])
    return f"{shown}..." if len(text) > most else shown


def _advise_network(registry: str) -> str:
    mirror = ", or configure a mirror in the engine (`registry-mirrors`)" if registry == DOCKER_HUB else ""
    return f"check the network and the registry's name{mirror}"


def explain_exception(error: Exception, registry: str, tried: str, *, folder: str) -> RegistryError:
    """Turn what requests, urllib3 or the system raised into an error of ours.

    ``folder`` is the registry's own name, as among docker's folders of certificates; ``registry`` says who was asked.
    """
    causes = list(_list_causes(error))
    for each in causes:
        if isinstance(each, ssl.SSLCertVerificationError):
            return _explain_distrust(each, registry, tried, folder)
    network = _advise_network(folder)
    for kind, found, text, hint in _KINDS:
        if any(isinstance(each, found) for each in causes):
            return TransientError(f"{registry} {text}", cause=kind, context=(tried,), hint=hint or network)
    for each in causes:
        if isinstance(each, ssl.SSLError):
            return _explain_tls(each, registry, tried)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema | UnicodeError):
        return RegistryError(f"{registry} cannot be asked: its address is none", context=(tried,))
    message = f"the connection to {registry} broke"
    return TransientError(message, cause=Cause.BROKEN, context=(tried,), hint=network)


_KINDS: tuple[tuple[Cause, tuple[type[BaseException], ...], str, str | None], ...] = (
    (
        Cause.BROKEN,
        (requests.exceptions.ProxyError,),
        "cannot be reached through the proxy",
        "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
    ),
    (Cause.UNRESOLVED, (urllib3.exceptions.NameResolutionError,), "is not known: its name does not resolve", None),
    (Cause.REFUSED, (ConnectionRefusedError,), "does not answer: connection refused", None),
    (
        Cause.NO_HANDSHAKE,
        (HandshakeEnded,),
        "ended the connection at the start of TLS",
        f"check the network; if it does not speak TLS: {_PLAIN_HTTP}",
    ),
    (
        Cause.BROKEN,
        (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError),
        "does not answer in time",
        None,
    ),
    (
        Cause.BROKEN,
        (urllib3.exceptions.IncompleteRead,),
        "broke off in the middle of an answer",
        "try again; if it stays so, look at what is between here and the registry",
    ),
)
"""What to look for among the causes, in this order; where there is no hint, it is about the network."""


def _explain_distrust(error: ssl.SSLCertVerificationError, registry: str, tried: str, folder: str) -> RegistryError:
    hint = (
        "its certificate has to be replaced by who runs it"
        if error.verify_code in _NOT_MENDED_BY_TRUST
        else f"put the certificate of its authority into /etc/docker/certs.d/{folder}/ca.crt, "
        "or name it in REQUESTS_CA_BUNDLE"
    )
    message = f"the certificate of {registry} is not trusted: {_show(error.verify_message, _LONGEST_URL)}"
    return RegistryError(message, context=(tried,), hint=hint)


def _explain_tls(error: ssl.SSLError, registry: str, tried: str) -> RegistryError:
    if error.reason in _NO_TLS:
        return TransientError(
            f"{registry} does not speak TLS",
            cause=Cause.NO_TLS,
            context=(tried,),
            hint=_PLAIN_HTTP,
        )
    reason = (error.reason or "it broke off").replace("_", " ").lower()
    return TransientError(f"TLS with {registry} failed: {reason}", cause=Cause.BROKEN, context=(tried,))


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it wraps, in whichever way: requests and urllib3 use four."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        wrapped = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        waiting += [inner for inner in wrapped if isinstance(inner, BaseException)]


def explain_status(
    status: int, headers: Mapping[str, str], body: bytes, question: Question, tried: str
) -> RegistryError:
    """Turn a refusal into an error of ours; those in RETRIED may pass."""
    codes = read_error_codes(body)
    context = (tried, f"answer: HTTP {status}{f' ({codes[0]})' if codes else ''}")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _explain_limit(headers, question, context)
    if status in RETRIED:
        message = f"{question.registry} has a problem of its own: HTTP {status}"
        hint = "try again later"
        return TransientError(
            message, cause=Cause.STATUS, context=context, hint=hint, retry_after=read_retry_after(headers)
        )
    if status == HTTPStatus.UNAUTHORIZED:
        return explain_login(question, context)
    if status == HTTPStatus.FORBIDDEN:
        message = f"{question.registry} does not let {question.user or 'just anybody'} read {question.reference}"
        return RegistryError(message, context=context, hint=f"log in as somebody who may: {question.login}")
    if status == HTTPStatus.NOT_FOUND:
        return _explain_missing(codes, question, context)
    message = f"{question.registry} answered HTTP {status} when asked for {question.reference}"
    return RegistryError(message, context=context, hint="check that it is a registry of container images")


def explain_login(question: Question, context: Sequence[str], *, refused: bool = False) -> RegistryError:
    """Say that a login is missing or wrong; ``refused`` if the credentials themselves were, not what they allow."""
    if question.user is not None:
        message = (
            f"the credentials for {question.registry} were refused"
            if refused
            else f"the credentials for {question.registry} were refused for {question.reference}"
        )
        return RegistryError(message, context=context, hint=f"log in again: {question.login}")
    if question.registry == DOCKER_HUB:
        message = f"{question.registry} shows nobody {question.reference} without a login: it is private, or not there"
    else:
        message = f"{question.registry} wants a login for {question.reference}"
    return RegistryError(message, context=context, hint=f"check the name, or log in: {question.login}")


def _explain_missing(codes: Sequence[str], question: Question, context: Sequence[str]) -> RegistryError:
    reference = question.reference
    if "NAME_UNKNOWN" in codes:
        message = f"{question.registry} has no repository {reference.repository}"
    elif "MANIFEST_UNKNOWN" in codes:
        wanted = f"digest {reference.digest}" if reference.digest else f"tag {reference.tag}"
        message = f"{question.registry} has no {wanted} of {reference.name}"
    elif "BLOB_UNKNOWN" in codes:
        message = f"{question.registry} has lost a part of {reference}"
    else:
        message = f"{question.registry} has no {reference}"
    hint = "check the name and the tag"
    if question.registry == DOCKER_HUB:
        hint += f"; if the repository is private: {question.login}"
    return ManifestNotFoundError(message, context=context, hint=hint)


def _explain_limit(headers: Mapping[str, str], question: Question, context: Sequence[str]) -> RegistryError:
    seconds = read_retry_after(headers)
    if seconds is not None:
        context = (*context, f"it asks to wait {seconds:.0f} s{' or more' if seconds == LONGEST_WAIT else ''}")
    who = "anonymous pulls" if question.user is None else "this account"
    return TransientError(
        f"{question.registry} limits how often {who} may ask",
        cause=Cause.STATUS,
        context=context,
        hint=f"wait, log in ({question.login}), or let the engine use a mirror",
        retry_after=seconds,
    )


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of ``Retry-After``, which may also be written as a date; None where there is none.

    They end at LONGEST_WAIT.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), LONGEST_WAIT)


def read_error_codes(body: bytes) -> list[str]:
    """Return the codes of an error as the distribution specification words it: ``MANIFEST_UNKNOWN``."""
    try:
        errors = json.loads(body)["errors"]
        codes = [str(each["code"]) for each in errors]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [code for code in codes if _CODE.fullmatch(code)]
