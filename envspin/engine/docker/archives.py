"""Images as files: what ``docker save`` writes and ``docker load`` reads, streamed."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

from envspin.engine.docker.failures import raise_for_status
from envspin.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    import docker

CHUNK_BYTES = 1 << 20

END_OF_TAR = bytes(1024)
"""A tar archive ends with two blocks of zeros (POSIX.1-1988, ustar)."""

_COMPLAINT = re.compile(rb'"(?:error|message)": ?"([^"]*)"')

_LOADED = ("Loaded image ID: ", "Loaded image(s): ", "Loaded image: ")


def read_saved(client: docker.APIClient, references: Sequence[str]) -> Iterator[bytes]:
    """Yield one archive of all these images, chunk by chunk; raise ImageError where the engine breaks it off."""
    url = f"{client.base_url}/v{client.api_version}/images/get"
    response = client.get(url, params={"names": list(references)}, stream=True, timeout=client.timeout)
    with closing(response):
        raise_for_status(response)
        tail = b""
        for chunk in response.iter_content(CHUNK_BYTES):
            tail = (tail + chunk)[-len(END_OF_TAR) :]
            yield chunk
    if tail != END_OF_TAR:
        raise ImageError(f"the engine broke off saving {', '.join(references)}: {_read_complaint(tail)}")


def _read_complaint(tail: bytes) -> str:
    # What fails after the first byte cannot change the status any more: the engine adds its words to the archive.
    complaint = _COMPLAINT.search(tail)
    return complaint[1].decode(errors="replace") if complaint else "the archive has no end"


def load(client: docker.APIClient, source: BinaryIO) -> tuple[str, ...]:
    """Give the engine an archive and return the references and ids that it loaded."""
    loaded: list[str] = []
    for document in client.load_image(source):  # type: ignore[no-untyped-call]
        if document.get("error"):
            raise ImageError(f"cannot load the archive of images: {_explain(str(document['error']))}")
        loaded += _read_loaded(document)
    if not loaded:
        raise ImageError("cannot load the archive of images: it holds no images")
    return tuple(loaded)


def _explain(error: str) -> str:
    # Without a manifest the engine takes it for an archive of its first versions, and misses their list.
    if error.endswith("repositories: no such file or directory"):
        return "it holds no images"
    return error.strip()


def _read_loaded(document: dict[str, Any]) -> list[str]:
    text = str(document.get("stream", "")).strip()
    start = next((each for each in _LOADED if text.startswith(each)), None)
    return [] if start is None else [name.strip() for name in text.removeprefix(start).split(",")]
