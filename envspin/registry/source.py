"""One registry, or one mirror: its answers to whole questions, logged in where needed, repeated and checked."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from envspin.errors import RegistryError
from envspin.registry import manifests
from envspin.registry.authorization import Authorizer
from envspin.registry.failures import MOST_ATTEMPTS, RETRIED, Question, explain_status
from envspin.registry.pacing import Deadline, persist
from envspin.registry.transport import Call, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from envspin.reference import Reference
    from envspin.registry.addresses import Address
    from envspin.registry.credentials import Credentials
    from envspin.registry.transport import Answer

_MIRROR_ATTEMPTS = 2
"""A mirror is passed over soon: the registry itself follows."""


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or index that has been checked against its digest."""

    digest: str
    body: bytes
    content_type: str
    tried: str


class Source:
    """Where the images of one registry are asked for; made for many threads."""

    def __init__(
        self,
        address: Address,
        folders: Sequence[Path],
        find_credentials: Callable[[str], Credentials | None],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self.name = address.name
        self._attempts = _MIRROR_ATTEMPTS if address.is_mirror else MOST_ATTEMPTS
        self._sleep = sleep
        self._transport = Transport(address, folders)
        self._authorizer = Authorizer(self._transport, find_credentials, clock)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def find(self, reference: Reference, deadline: Deadline) -> str | Document:
        """Return what a reference points to: its digest, by HEAD, or itself, by GET where HEAD does not tell."""
        answer = self._fetch("HEAD", reference, f"manifests/{_point(reference)}", manifests.MANIFEST_LIMIT, deadline)
        digest = _read_digest(answer)
        if answer.status != HTTPStatus.OK or digest is None:
            return self.get_document(reference, deadline)
        what = str(reference)
        with located(answer.tried):
            manifests.refuse_schema_1(answer.headers.get("Content-Type", ""), b"", what)
            if reference.digest not in {None, digest}:
                context = (f"asked for {reference.digest}", f"received  {digest}")
                raise RegistryError(f"{what} is not what was asked for: it has another digest", context=context)
        return digest

    def get_document(self, reference: Reference, deadline: Deadline) -> Document:
        """Return a manifest or index: by its digest, or by a tag where the reference has none."""
        answer = self._fetch("GET", reference, f"manifests/{_point(reference)}", manifests.MANIFEST_LIMIT, deadline)
        content_type = answer.headers.get("Content-Type", "")
        digest = reference.digest or _read_digest(answer) or manifests.hash_body(answer.body)
        with located(answer.tried):
            manifests.refuse_schema_1(content_type, answer.body, str(reference))
            manifests.check_body(answer.body, digest, str(reference))
        return Document(digest, answer.body, content_type, answer.tried)

    def get_platform(self, reference: Reference, config: str, deadline: Deadline) -> str:
        """Return the normalised platform that an image's configuration names."""
        answer = self._fetch("GET", reference, f"blobs/{config}", manifests.CONFIG_LIMIT, deadline)
        with located(answer.tried):
            manifests.check_body(answer.body, config, f"the configuration of {reference}")
            return manifests.read_platform(answer.body, str(reference))

    def _fetch(self, method: str, reference: Reference, part: str, limit: int, deadline: Deadline) -> Answer:
        path = f"/v2/{quote(reference.repository)}/{quote(part, safe='/:')}"
        call = Call(method, limit, deadline, accept=manifests.ACCEPT if "manifests/" in part else "*/*")
        return persist(
            lambda: self._ask(path, call, reference), attempts=self._attempts, deadline=deadline, sleep=self._sleep
        )

    def _ask(self, path: str, call: Call, reference: Reference) -> Answer:
        """Ask once, and once more after a challenge."""
        header = self._authorizer.find_header(reference.repository)
        answer = self._transport.ask(path, replace(call, authorization=header))
        if answer.status == HTTPStatus.UNAUTHORIZED:
            header = self._authorizer.answer(answer, reference, header, call.deadline)
            answer = self._transport.ask(path, replace(call, authorization=header))
            if answer.status == HTTPStatus.UNAUTHORIZED:
                self._authorizer.give_up(answer, reference, header)
        if answer.status == HTTPStatus.OK or (call.method == "HEAD" and _is_better_explained_by_get(answer.status)):
            return answer
        question = Question(reference, self.name, self._authorizer.user)
        raise explain_status(answer.status, answer.headers, answer.body, question, answer.tried)


@contextmanager
def located(tried: str) -> Iterator[None]:
    """Add the request to errors about what it brought."""
    try:
        yield
    except RegistryError as error:
        error.context = (tried, *error.context)
        raise


def _point(reference: Reference) -> str:
    return reference.digest or reference.tag or ""


def _read_digest(answer: Answer) -> str | None:
    digest = answer.headers.get("Docker-Content-Digest", "")
    return digest if manifests.DIGEST.fullmatch(digest) else None


def _is_better_explained_by_get(status: int) -> bool:
    """Tell whether GET may do what HEAD does not, or say why: a refusal of HEAD has no body, so no error code."""
    return status != HTTPStatus.UNAUTHORIZED and status not in RETRIED
