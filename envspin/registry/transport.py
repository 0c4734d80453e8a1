"""Single requests to one registry, to where it redirects and to its token service: bounded in size and time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from envspin.errors import RegistryError
from envspin.registry.addresses import is_loopback
from envspin.registry.failures import Cause, TransientError, explain_exception, hide_query, show_host
from envspin.registry.trust import TrustingAdapter, has_client_certificate, make_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from envspin.registry.addresses import Address
    from envspin.registry.pacing import Deadline

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
"""How long a connection may take, and how long an answer may pause."""

MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAY_BE_PLAIN = frozenset({Cause.REFUSED, Cause.NO_TLS, Cause.NO_HANDSHAKE})
"""How TLS fails where there may be plain HTTP."""

_ERROR_LIMIT = 64 << 10
"""Bytes of a refusal that are read; what is beyond is not looked at."""
_PIECE = 16 << 10
_NO_PROXY = {"http": "", "https": ""}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    """Their names in any case."""
    body: bytes
    tried: str
    """The request, for messages: ``GET https://...`` of the last redirect."""
    stranger: str | None = None
    """Who answered, for messages, as ``https://HOST[:PORT]``, where a redirect led away from the scheme, host and port
    that were asked; None where those answered."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it is sent."""

    method: str
    limit: int
    """The most bytes that an answer may have."""
    deadline: Deadline
    authorization: str | None = None
    """Goes to the first host only, however often it redirects."""
    accept: str = "*/*"
    form: Mapping[str, str] | None = None


class Transport:
    """Sends the requests of many threads to one registry; connections are opened when first needed, and kept."""

    def __init__(self, address: Address, folders: Sequence[Path]) -> None:
        self.address = address
        self._folders = folders
        self._scheme = address.schemes[0] if len(address.schemes) == 1 else None
        self._lock = threading.Lock()  # guards all below
        self._idle: list[requests.Session] = []
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._is_closed = False

    @property
    def is_plain(self) -> bool:
        """Whether the registry has been found to be asked without TLS."""
        return self._scheme == "http"

    def ask(self, path: str, call: Call) -> Answer:
        """Ask the registry itself; which scheme it speaks is found out once."""
        schemes = (self._scheme,) if self._scheme else self.address.schemes
        for scheme in schemes[:-1]:
            try:
                return self._ask_by(scheme, path, call)
            except TransientError as error:
                if error.cause not in _MAY_BE_PLAIN:
                    raise
        return self._ask_by(schemes[-1], path, call)

    def _ask_by(self, scheme: str, path: str, call: Call) -> Answer:
        answer = self.send(f"{scheme}://{self.address.location}{path}", call)
        self._scheme = scheme
        return answer

    def send(self, url: str, call: Call) -> Answer:
        """Send a request to any place, following its redirects.

        Raises TransientError where no usable answer comes, RegistryError where it is too long or redirects wrongly.
        """
        authorization, asked = call.authorization, _read_origin(url)
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._exchange(url, call, authorization)
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                if _read_origin(url) == asked:
                    return answer
                return replace(answer, stranger=f"{urlsplit(url).scheme}://{show_host(url)}")
            following = self._find_target(url, call, answer)
            if _read_origin(following) != _read_origin(url):
                authorization = None
            url = following
        message = f"{self.address.name} redirects in a circle, or more than {MOST_REDIRECTS} times"
        raise RegistryError(message, context=(answer.tried,), hint="its settings are wrong: tell who runs it")

    def _find_target(self, url: str, call: Call, answer: Answer) -> str:
        try:
            target = urljoin(url, answer.headers["Location"])
            schemes = (urlsplit(url).scheme, _read_origin(target)[0])
        except ValueError:
            schemes = ("", "")
        if call.form is not None:
            text = "redirects a request that holds a secret"
        elif schemes == ("https", "http"):
            text = f"redirects to a place without TLS, {hide_query(target)}"
        elif schemes[1] not in {"https", "http"}:
            text = "redirects to what is no web address"
        else:
            return target
        hint = "its settings are wrong: tell who runs it"
        raise RegistryError(f"{self.address.name} {text}", context=(answer.tried,), hint=hint)

    def _exchange(self, url: str, call: Call, authorization: str | None) -> Answer:
        tried = f"{call.method} {hide_query(url)}"
        if not call.deadline.remaining:
            message = f"{self.address.name} did not answer within {call.deadline.seconds:.0f} s"
            raise RegistryError(message, context=(tried,), hint="check the network; try again later")
        session = self._take()
        try:
            self._mount(session, url)
            with self._open(session, url, call, authorization) as response:
                body = self._read(response, call, tried)
                return Answer(response.status_code, response.headers, body, tried)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
            raise explain_exception(error, self._name(url), tried, folder=self.address.name) from error
        finally:
            self._give_back(session)

    def _name(self, url: str) -> str:
        """Return who is asked, for messages: a token service or a store of blobs has a name of its own."""
        host = urlsplit(url).netloc.rpartition("@")[2]
        own = self.address.name
        return own if host == self.address.location.partition("/")[0] else f"{show_host(url)} (for {own})"

    def _open(self, session: requests.Session, url: str, call: Call, authorization: str | None) -> requests.Response:
        remaining = call.deadline.remaining
        return session.request(
            call.method,
            url,
            headers={"Accept": call.accept, "Accept-Encoding": "identity", "User-Agent": "envspin"},
            data=call.form,
            auth=_Authorization(authorization),
            verify=None if self.address.is_verified else False,
            timeout=(min(CONNECT_SECONDS, remaining), min(READ_SECONDS, remaining)),
            proxies=dict(_NO_PROXY) if is_loopback(urlsplit(url).netloc) else None,
            allow_redirects=False,
            stream=True,
        )

    def _read(self, response: requests.Response, call: Call, tried: str) -> bytes:
        pieces, size = [], 0
        is_refusal = response.status_code >= HTTPStatus.BAD_REQUEST
        limit = min(call.limit, _ERROR_LIMIT) if is_refusal else call.limit
        try:
            for piece in response.iter_content(_PIECE):
                size += len(piece)
                if size > limit and is_refusal:
                    break
                if size > limit:
                    message = f"{self.address.name} answered with more than {limit >> 10} KiB, which is too much"
                    raise RegistryError(message, context=(tried,), hint="check that the reference is an image")
                if not call.deadline.remaining:
                    raise TimeoutError
                pieces.append(piece)
        except requests.RequestException:
            if not is_refusal:
                raise
        return b"".join(pieces)

    def _take(self) -> requests.Session:
        with self._lock:
            if self._is_closed:
                raise RegistryError(f"{self.address.name} is not asked any more: the client was closed")
            if self._idle:
                return self._idle.pop()
        session = _Session()
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return session

    def _give_back(self, session: requests.Session) -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.append(session)
                return
        session.close()

    def _mount(self, session: requests.Session, url: str) -> None:
        """Make a session trust what the registry's folders say: everywhere, so in its token service too, as docker.

        Likewise all certificates are accepted where the engine calls the registry insecure: logins are then sent
        without knowing to whom, as docker sends them. Client certificates are shown to the registry alone.
        """
        if not url.startswith("https:") or isinstance(session.get_adapter(url), TrustingAdapter):
            return
        session.mount("https://", TrustingAdapter(self._find_context(with_client=False)))
        if has_client_certificate(self.address.name, self._folders):
            host = self.address.location.partition("/")[0]
            session.mount(f"https://{host}/", TrustingAdapter(self._find_context(with_client=True)))

    def _find_context(self, *, with_client: bool) -> ssl.SSLContext:
        with self._lock:
            if with_client not in self._contexts:
                self._contexts[with_client] = make_context(
                    self.address.name,
                    self._folders,
                    with_client=with_client,
                    is_verified=self.address.is_verified,
                )
            return self._contexts[with_client]

    def close(self) -> None:
        """Close the connections; those in use close when their answer has come."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()


class _Session(requests.Session):
    """Does not look where answers redirect: requests would read their whole body first, even if told not to follow."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - requests' own signature
        """Find none."""
        return None


class _Authorization(AuthBase):
    """Sets the header that we chose, or none: without it, requests would take one from ``~/.netrc``."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value is not None:
            request.headers["Authorization"] = self._value
        return request


def _read_origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default
