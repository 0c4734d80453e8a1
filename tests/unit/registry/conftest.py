from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from envspin.reference import Reference
from envspin.registry import RegistryClient
from envspin.registry.pacing import Pace

from .server import Registry

VARIABLES = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "DOCKER_AUTH_CONFIG", "XDG_CONFIG_HOME",
)  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep this machine's settings out."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder / ".docker"))
    return folder


class Time:
    """A clock that stands still, unless somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def read(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as entered:
        yield entered


@pytest.fixture
def serve(stack: ExitStack) -> Callable[..., Registry]:
    def serve_one(context: ssl.SSLContext | None = None) -> Registry:
        registry = Registry(context)
        stack.callback(registry.close)
        return registry

    return serve_one


@pytest.fixture
def registry(serve: Callable[..., Registry]) -> Registry:
    return serve()


@pytest.fixture
def make_client(stack: ExitStack, serve: object, time: Time, tmp_path: Path) -> Callable[..., RegistryClient]:
    def make(**options: Any) -> RegistryClient:
        options = {
            "find_credentials": lambda _host: None,
            "certificate_folders": [tmp_path / "certs.d"],
            "pace": Pace(time.read, time.sleep),
            **options,
        }
        client = RegistryClient(**options)
        stack.callback(client.close)
        return client

    return make


@pytest.fixture
def client(make_client: Callable[..., RegistryClient]) -> RegistryClient:
    return make_client()


@pytest.fixture
def app(registry: Registry) -> Reference:
    """The reference that most tests ask for; nothing is pushed yet."""
    return Reference.parse(f"{registry.host}/team/app:1")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a test authority, and certificates that it signed for a server on loopback and for a client."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command")
    folder = tmp_path_factory.mktemp("authority")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    def run(*words: str) -> None:
        subprocess.run([openssl, *words], check=True, capture_output=True, cwd=folder)

    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=Test Authority")
    extensions = {"server": "subjectAltName=IP:127.0.0.1", "elsewhere": "subjectAltName=DNS:elsewhere.example"}
    for name in ("server", "elsewhere", "client"):
        run("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "extensions").write_text(extensions.get(name, "basicConstraints=CA:FALSE"))
        run(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "extensions", "-out", f"{name}.crt",
        )  # fmt: skip
    return folder


def make_server_context(authority: Path, name: str = "server") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / f"{name}.crt", authority / f"{name}.key")
    return context


@pytest.fixture
def secure(serve: Callable[..., Registry], authority: Path) -> Registry:
    """A registry with TLS, whose authority nobody trusts yet."""
    return serve(make_server_context(authority))


@pytest.fixture
def trust(tmp_path: Path, authority: Path) -> Callable[[Registry], Path]:
    """Put the test authority into the folder of a registry."""

    def put(registry: Registry) -> Path:
        folder = tmp_path / "certs.d" / registry.host
        folder.mkdir(parents=True)
        shutil.copy(authority / "ca.crt", folder / "ca.crt")
        return folder

    return put
