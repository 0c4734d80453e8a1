"""Whose certificates are trusted: docker's folders for each registry, then the usual variables, then the system."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from envspin.errors import RegistryError
from envspin.registry.failures import HandshakeEnded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def list_folders() -> tuple[Path, ...]:
    """Return the folders in which docker looks, as a service and rootless, for one folder of each registry."""
    configuration = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return (
        Path("/etc/docker/certs.d"),
        Path.home() / ".docker" / "certs.d",
        configuration / "docker" / "certs.d",
    )


def make_context(
    registry: str, folders: Sequence[Path], *, with_client: bool, is_verified: bool = True
) -> ssl.SSLContext:
    """Return what TLS with a registry trusts: ``*.crt`` of its folders, besides what is trusted anyway.

    ``with_client`` shows the client certificates there, ``*.cert`` with ``*.key``; ``is_verified=False`` trusts
    everybody. Raises RegistryError for a file that cannot be used, and its connections HandshakeEnded.
    """
    context = _make_verifying_context(registry, folders) if is_verified else _make_trusting_context()
    context.sslsocket_class = _Socket
    for path in _list_files(registry, folders, ".cert") if with_client else ():
        _load_client(context, path)
    return context


def _make_verifying_context(registry: str, folders: Sequence[Path]) -> ssl.SSLContext:
    context = _make_usual_context()
    # Go's TLS, and so the engine's, accepts authorities without the newer extensions.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    for path in _list_files(registry, folders, ".crt"):
        _load_authority(context, path)
    return context


def _make_trusting_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # It would go to the user's terminal, who has told the engine so.
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return context


class _Socket(ssl.SSLSocket):
    """Tells a connection that ends before TLS has begun from one that ends later: the first may be plain HTTP."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - ssl's own signature
        """Agree on keys. Raises HandshakeEnded where the other side goes away."""
        try:
            super().do_handshake(block)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError) as error:
            raise HandshakeEnded(ssl.SSL_ERROR_EOF, "the connection ended during the handshake") from error


def has_client_certificate(registry: str, folders: Iterable[Path]) -> bool:
    """Tell whether there is a certificate with which to log in."""
    return any(_list_files(registry, folders, ".cert"))


def _list_files(registry: str, folders: Iterable[Path], suffix: str) -> Iterator[Path]:
    for folder in folders:
        try:
            yield from sorted(path for path in (folder / registry).iterdir() if path.suffix == suffix)
        except OSError:  # not there, or not for us to read: what it would have allowed is refused later, with a hint
            continue


def _make_usual_context() -> ssl.SSLContext:
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if named:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load_authority(context, Path(named))
        return context
    context = ssl.create_default_context()  # knows SSL_CERT_FILE and SSL_CERT_DIR
    paths = ssl.get_default_verify_paths()
    if not (paths.cafile or paths.capath):
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context


def _load_authority(context: ssl.SSLContext, path: Path) -> None:
    try:
        if path.is_dir():
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        hint = "it has to hold certificates in PEM form, readable for you"
        raise RegistryError(f"the certificates in {path} cannot be used: {_say(error)}", hint=hint) from error


def _load_client(context: ssl.SSLContext, path: Path) -> None:
    key = path.with_suffix(".key")
    try:
        context.load_cert_chain(path, key, password=_refuse_password)
    except OSError as error:
        hint = f"{key.name} has to be beside it, both in PEM form, the key without a password"
        raise RegistryError(f"the client certificate {path} cannot be used: {_say(error)}", hint=hint) from error


def _refuse_password() -> str:
    """Answer OpenSSL, which would otherwise ask at the terminal."""
    return ""


def _say(error: OSError) -> str:
    text = getattr(error, "reason", None) or error.strerror or "not readable"
    return str(text).replace("_", " ").lower()


class TrustingAdapter(HTTPAdapter):
    """Connects with what a context trusts; requests' own choice of certificates is left out."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as requests has it
        """Give the context to direct connections."""
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 - as requests has it
        """Give the context to connections through a proxy."""
        return super().proxy_manager_for(proxy, ssl_context=self._context, **options)

    def cert_verify(self, conn: object, url: str, verify: object, cert: object) -> None:
        """Leave verification to the context."""
