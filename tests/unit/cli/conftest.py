"""The command line on the in-memory engine: topologies in a folder of the test, one engine for all calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import envspin
from envspin.cli import context as cli_context
from envspin.cli.app import cli
from envspin.engine.fake import ExecReply, Exit, FakeEngine, FakeImage, Line, Listener, Script
from envspin.run import naming

SHOP = """\
name: shop
services:
  db:
    image: postgres:16
    ports: ["5432"]
    x-envspin: {ready: {log: up}}
  migrate:
    image: migrate:1
    depends_on: [db]
    x-envspin: {job: true}
  api:
    image: api:1
    ports: ["8000", "9000"]
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
    x-envspin: {ready: {log: up}}
x-envspin:
  exports:
    DATABASE_URL: "postgres://app:s3 cret@{db.host}:{db.port}/app"
"""


class LastingEngine(FakeEngine):
    """An engine that commands cannot close: the next one finds what the last one left."""

    def close(self) -> None:
        pass

    def shut(self) -> None:
        super().close()

    def behave(self, service: str, script: Script) -> None:
        """Let a service's containers do something else from now on."""
        self._scripts[service] = script

    def names(self) -> list[str]:
        """Name everything that carries an environment's label."""
        return [each.name for each in self.list_resources({naming.ENV: None})]


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch) -> None:
    """Keep records to the test, and its output independent of where it runs."""
    monkeypatch.setenv("ENVSPIN_STATE_DIR", str(tmp_path / "state"))
    for name in ("CI", "NO_COLOR", "ENVSPIN_DEBUG", "TESTCONTAINERS_HOST_OVERRIDE", "ENVSPIN_SUBNETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(envspin.__file__).parents[1]))  # for Pythons that tests start
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def engine(monkeypatch) -> Iterator[LastingEngine]:
    lasting = Script(
        lines=(Line("up"), Line("serving")),
        listens={5432: Listener(), 8000: Listener(), 9000: Listener()},
        execs={"whoami": ExecReply(0, "app\n"), "false": ExecReply(3, "no\n")},
    )
    job = Script(lines=(Line("migrating"),), exits=Exit(0))
    engine = LastingEngine(default_image=FakeImage(lasting), scripts={"migrate": job})
    monkeypatch.setattr(cli_context, "connect_engine", lambda: engine)
    yield engine
    engine.shut()


@pytest.fixture
def shop() -> Path:
    """A topology of three services in the folder ``shop``."""
    path = Path("shop")
    path.mkdir()
    (path / "compose.yaml").write_text(SHOP)
    return path


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Call the command line with words; checks the exit code, 0 unless ``code`` says otherwise."""

    def call(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, [str(word) for word in words], prog_name="envspin")
        assert result.exit_code == code, f"exit code {result.exit_code}\n{result.output}"
        return result

    return call


@pytest.fixture
def up(invoke, shop) -> Callable[..., str]:
    """Leave an environment of the shop running and return its name."""

    def call(name: str) -> str:
        invoke("up", "shop", "-d", "--name", name, "--progress", "quiet")
        return name

    return call
