"""The distribution's registry as a process of the tests: its port, its files, what it was asked, and its end."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Self

import requests

if TYPE_CHECKING:
    from .certificates import Certificates

USERNAME, PASSWORD = "tester", "only-for-tests"
"""The one account of a registry that asks for basic authentication."""
_PASSWORD_HASH = "$2b$04$zTslXrC46DVl6Y4HFw5fY..XLkFifH8yTtyCfzBqZ6PFB6ksk46Ke"
"""PASSWORD by bcrypt, the only hash that the registry reads, and at its least cost."""

AGENT = "envspin-test-rig"
"""How the rig names itself to the registry; its own requests are left out where those of others are listed."""
_MARK = "envspin-rig-mark="
"""Begins the query by which the rig recognises its own question in the log."""

PATIENCE = 30.0
"""Seconds after which a registry that does not answer counts as broken."""
PORTS = range(20000, 32000)
"""Below the ports that systems give to outgoing connections: one of those could take ours while it is stopped."""

# A shell that becomes the registry. Its watcher reads a pipe from the tests that is never written to: when the tests
# are gone, however they died, the pipe ends and the watcher kills its process group, which is the registry and itself.
_LAUNCH = 'exec 3<&0 </dev/null; (read -r _ <&3; kill -KILL 0) & exec 3<&-; exec "$@"'
_LOGGED = re.compile(r'"(?P<method>[A-Z]+) (?P<path>\S+) [^"]*" (?P<status>\d{3}) \d+ "[^"]*" "(?P<agent>[^"]*)"$')


def find_registry() -> str | None:
    """Return the registry's program: the one that scripts/setup brought, or one on PATH."""
    beside_python = Path(sys.executable).with_name("docker-registry")
    if beside_python.exists():
        return str(beside_python)
    return shutil.which("docker-registry") or shutil.which("registry")


def find_free_port() -> int:
    """Return a port of PORTS on which nobody listens now."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class RegistryServer:
    """A real registry on loopback with its storage in ``folder``; stop it and start it again to play an outage."""

    def __init__(self, folder: Path, *, basic_auth: bool = False, tls: Certificates | None = None) -> None:
        self.folder = folder
        self.basic_auth = basic_auth
        self.tls = tls
        self.port = 0
        """Chosen by the first start, and kept."""
        self.blob_homes: dict[str, str] = {}
        """A repository for each blob that was pushed: from there others get it without another upload."""
        self._access_log = folder / "access.log"
        self._error_log = folder / "error.log"
        self._forgotten = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._session: requests.Session | None = None

    @property
    def address(self) -> str:
        """Host and port, as references of images begin."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The address with its scheme."""
        return f"{'https' if self.tls else 'http'}://{self.address}"

    def reference(self, repository: str, name: str) -> str:
        """Return what a Compose file says for a tag or a digest of a repository."""
        return f"{self.address}/{repository}{'@' if ':' in name else ':'}{name}"

    def start(self) -> None:
        """Start, after a stop on the same port and storage; raise RuntimeError when it does not come to answer."""
        if self._process is not None:
            raise RuntimeError("the registry runs already")
        self.folder.mkdir(parents=True, exist_ok=True)
        for port in [self.port] if self.port else [find_free_port() for _ in range(5)]:
            self._launch(port)
            if self._wait_for_answer(port):
                self.port = port
                return
            self.stop()
        raise RuntimeError(f"the registry does not start; it said:\n{self._error_log.read_text()}")

    def stop(self) -> None:
        """Stop it at once, as a crash or a cut cable would; what was pushed stays."""
        process, self._process = self._process, None
        session, self._session = self._session, None
        if session is not None:
            session.close()
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask(
        self,
        method: str,
        path: str,
        *,
        expect: tuple[int, ...] = (HTTPStatus.OK,),
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
    ) -> requests.Response:
        """Send a request as the rig, with the account and the authority of this registry.

        ``path`` begins with ``/v2/``, or is a whole address as the registry gives them. Raises AssertionError where
        the status is not one of ``expect``.
        """
        assert self._session is not None, "the registry is stopped"
        url = path if path.startswith("http") else self.url + path
        answer = self._session.request(method, url, data=data, headers=headers, params=params, timeout=PATIENCE)
        assert answer.status_code in expect, f"{method} {url}: {answer.status_code} {answer.text}"
        return answer

    def requests(self, *, with_rig: bool = False) -> list[tuple[str, str, int]]:
        """Return method, path (with its query) and status of what others asked since ``forget_requests``, in order.

        ``with_rig`` lists the rig's own requests too, those apart that only see whether the registry answers.
        A request is listed when it is answered; of the body of a large blob the last part may be on its way still.
        """
        if self._process is not None:
            self._catch_up()
        with self._access_log.open("rb") as log:
            log.seek(self._forgotten)
            found = [_LOGGED.search(line) for line in log.read().decode().splitlines()]
        return [
            (match["method"], match["path"], int(match["status"]))
            for match in found
            if match is not None and (with_rig or match["agent"] != AGENT) and _MARK not in match["path"]
        ]

    def forget_requests(self) -> None:
        """Begin the list of requests anew."""
        if self._process is not None:
            self._catch_up()
        self._forgotten = self._access_log.stat().st_size

    def delete_manifest(self, repository: str, digest: str) -> None:
        """Delete a manifest or an index, with the tags that lead to it; its blobs stay."""
        self.ask("DELETE", f"/v2/{repository}/manifests/{digest}", expect=(HTTPStatus.ACCEPTED,))

    def _launch(self, port: int) -> None:
        program = find_registry()
        assert program is not None, "there is no registry: see the fixtures, which skip"
        config = self.folder / "config.json"
        config.write_text(json.dumps(self._describe(port)))
        # REGISTRY_* variables would change the configuration, so none are inherited; version 3 reports traces unasked.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "OTEL_TRACES_EXPORTER": "none"}
        with self._access_log.open("ab") as access_log, self._error_log.open("ab") as error_log:
            self._process = subprocess.Popen(
                ["sh", "-c", _LAUNCH, "sh", program, "serve", str(config)],
                stdin=subprocess.PIPE,
                stdout=access_log,
                stderr=error_log,
                env=environment,
                start_new_session=True,
            )
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["User-Agent"] = AGENT
        if self.basic_auth:
            self._session.auth = (USERNAME, PASSWORD)
        if self.tls:
            self._session.verify = str(self.tls.authority)

    def _describe(self, port: int) -> dict[str, object]:
        """Return the registry's configuration; it is YAML, of which JSON is a part."""
        described: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "storage")},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
        }
        http: dict[str, object] = {"addr": f"127.0.0.1:{port}", "secret": "the same after every start"}
        if self.tls:
            http["tls"] = {"certificate": str(self.tls.certificate), "key": str(self.tls.key)}
        if self.basic_auth:
            accounts = self.folder / "htpasswd"
            accounts.write_text(f"{USERNAME}:{_PASSWORD_HASH}\n")
            described["auth"] = {"htpasswd": {"realm": "envspin tests", "path": str(accounts)}}
        return {**described, "http": http}

    def _wait_for_answer(self, port: int) -> bool:
        """Wait until this registry, and nobody else on its port, answers; False when it ended instead."""
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._is_heard(port):
                return True
            time.sleep(0.01)
        return False

    def _is_heard(self, port: int) -> bool:
        """Ask something unmistakable, and say whether this registry's log tells of it."""
        assert self._session is not None
        mark = secrets.token_hex(8)
        url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}/v2/"
        try:
            self._session.get(f"{url}?{_MARK}{mark}", timeout=PATIENCE)
        except requests.ConnectionError:
            return False
        return mark in self._access_log.read_text()

    def _catch_up(self) -> None:
        """Wait until everything that was answered before now is in the log."""
        deadline = time.monotonic() + PATIENCE
        while not self._is_heard(self.port):
            assert time.monotonic() < deadline, "the registry writes no log"
