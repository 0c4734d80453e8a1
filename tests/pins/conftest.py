"""A project of one topology, whose images lie in a real registry and run in a real engine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from docker.errors import APIError

from envspin.cli import context as cli_context
from envspin.cli.app import cli
from envspin.run import naming

if TYPE_CHECKING:
    from tests.registry.publishing import Image
    from tests.registry.server import RegistryServer

HERE = "linux/amd64"


class Project:
    """A folder with a Compose file, a repository of its own in a registry, and the command line."""

    def __init__(self, folder: Path, registry: RegistryServer, repository: str, image: Image, engine: Any) -> None:
        self.folder = folder
        self.registry = registry
        self.repository = repository
        self.engine = engine
        self._image = image
        self._made = 0
        self._labels = {"test": repository}  # so that no test finds the images of another one in the engine

    def make(self, says: str, *, platform: str | None = None) -> Image:
        """Make a runnable image that says this when it runs."""
        from tests.registry.engine_images import announce
        from tests.registry.publishing import variant

        return variant(self._image, command=announce(says), labels=self._labels, platform=platform)

    def push(self, says: str, tag: str, *, repository: str | None = None) -> str:
        """Publish an image of one platform under a tag; return the manifest's digest."""
        from tests.registry.publishing import push

        return push(self.registry, repository or self.repository, self.make(says), tag)

    def push_index(self, says: str, tag: str, *platforms: str, **options: bool) -> str:
        """Publish an index of platforms (two of them by default) under a tag; return the index's digest."""
        from tests.registry.publishing import push_index

        wanted = platforms or (HERE, "linux/arm64")
        images = {each: self.make(says, platform=each) for each in wanted}
        return push_index(self.registry, self.repository, images, tag=tag, **options)

    def reference(self, tag: str) -> str:
        """Return what a Compose file calls a tag or digest of the project's repository."""
        return self.registry.reference(self.repository, tag)

    def write(self, services: str = "", *, tag: str = "1", more: str = "") -> None:
        """Write the Compose file: the service ``web`` with a tag of the repository, or these services."""
        text = services or f"  web:\n    image: {self.reference(tag)}\n"
        ready = "    x-envspin: {ready: {log: says}}\n"
        text = re.sub(r"(?m)^(    (?:image|build): .*\n)(?!    x-envspin)", rf"\1{ready}", text)
        (self.folder / "compose.yaml").write_text(f"name: pins\nservices:\n{text}{more}")

    def call(self, *words: str, code: int = 0, stdin: str | None = None) -> Result:
        """Call the command line and expect an exit code."""
        result = CliRunner().invoke(cli, words, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, f"{words}: {result.exit_code}\n{result.stdout}\n{result.stderr}"
        return result

    def lock(self, *words: str) -> dict[str, Any]:
        """Lock and return the lock's images by tag."""
        self.call("lock", *words)
        from envspin.plan.lock_text import parse_lock

        images = parse_lock((self.folder / "envspin.lock").read_text(), "envspin.lock").images
        return {name.rpartition(":")[2]: image for name, image in images.items()}

    def run(self, *words: str, code: int = 0) -> str:
        """Bring the environment up, return what ``web`` said and what was told on the way, and remove it."""
        self._made += 1
        name = f"pins-{self.repository.partition('/')[0][-8:]}-{self._made}"
        result = self.call("up", "-d", "--progress", "plain", "--name", name, *words, code=code)
        if code:
            assert self.engine.list_resources({naming.ENV: name}) == []
            return result.stderr
        try:
            self.look = json.loads(self.call("ps", name, "--json").stdout)
            self.table = self.call("ps", name).stdout
            return self.call("logs", name, "web").stdout + result.stderr
        finally:
            self.call("down", name)

    def asked(self) -> list[str]:
        """Return the paths that the registry was asked for since the last look."""
        found = [path for _, path, _ in self.registry.requests()]
        self.registry.forget_requests()
        return found

    def forget_images(self) -> None:
        """Let the engine hold no image of this project any more: built, pulled or loaded."""
        from tests.registry.engine_images import open_client

        with open_client(self.engine) as client:
            for _ in range(3):  # what is built on another one goes first
                for image in client.images.list(all=True, filters={"label": f"test={self.repository}"}):
                    with suppress(APIError):
                        client.images.remove(image.id, force=True)

    def drift(self, *words: str, code: int = 5) -> set[tuple[str, str]]:
        """Return which services have drifted, and how."""
        self.document = json.loads(self.call("drift", "--json", *words, code=code).stdout)
        return {(each["service"], each["kind"]) for each in self.document}


@pytest.fixture
def make_project(
    tmp_path, monkeypatch, real_engine, shell_image, fresh_repository
) -> Iterator[Callable[[RegistryServer], Project]]:
    """Return a function that makes the test's project on a registry."""
    monkeypatch.setenv("ENVSPIN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("DOCKER_AUTH_CONFIG", raising=False)
    monkeypatch.setattr(real_engine, "close", lambda: None)  # one for all calls of a test
    monkeypatch.setattr(cli_context, "connect_engine", lambda: real_engine)
    folder = tmp_path / "pins"
    folder.mkdir()
    monkeypatch.chdir(folder)
    made: list[Project] = []

    def make(registry: RegistryServer) -> Project:
        registry.forget_requests()
        made.append(Project(folder, registry, fresh_repository("web"), shell_image, real_engine))
        return made[-1]

    yield make
    for project in made:
        project.forget_images()


@pytest.fixture
def project(make_project, registry) -> Project:
    """Give a project whose image is an index of two platforms, tagged ``1``, that says version 1."""
    made: Project = make_project(registry)
    made.index = made.push_index("says version 1", "1")
    made.write()
    registry.forget_requests()
    return made
