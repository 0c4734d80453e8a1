"""Where suites work: a folder and state directory of their own, the engine, names, and a look at what is left."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from envspin.engine.base import Engine, Resource
from envspin.engine.docker import DockerEngine
from envspin.run import naming
from envspin.run.janitor import remove_environment
from tests.contract.images import build_testbox

from .bystanders import Bystanders
from .host import list_processes

PROJECT = Path(__file__).parents[2]
CLEAN_SECONDS = 10.0
"""Within how many seconds nothing of an environment may be left after its owner's death."""
POLL_SECONDS = 0.1
DEFAULT_SOCKET = Path("/var/run/docker.sock")


class Lab:
    """A context manager; at its end it removes what its own environments left, and its folder."""

    def __init__(self, *, only_index: int | None = None, match: str = "") -> None:
        self.tag = secrets.token_hex(3)
        """Part of every environment's name, so that suites that run at once do not meet."""
        self.only_index = only_index
        self.match = match
        """A regular expression for the cases that are to be tried, where a suite has a list of them."""
        self.folder = Path(tempfile.mkdtemp(prefix=f"envspin-guarantees-{self.tag}-"))
        self.state = self.folder / "state"
        self.engine: Engine = DockerEngine.connect()
        self.bystanders = Bystanders(self.engine, self.stem)

    @property
    def stem(self) -> str:
        """What the names of all its environments begin with."""
        return f"g-{self.tag}"

    def __enter__(self) -> Self:
        build_testbox(self.engine)
        self.bystanders.make()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.clean()
        finally:
            self.bystanders.remove()
            self.engine.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def indices(self, count: int) -> Iterable[int]:
        """Return the numbers to try: ``count`` of them, or the one that was asked for."""
        return range(count) if self.only_index is None else (self.only_index,)

    def name(self, index: int | str, suite: str = "") -> str:
        """Return the name of a try's environment."""
        return "-".join(filter(None, (self.stem, suite.lower(), str(index))))

    def environ(self, *, address: str | None = None, env: str | None = None, **extra: str) -> dict[str, str]:
        """Return the variables of a child process: a state directory of the lab's (with ``env`` one of its own),
        and the engine at ``address``.
        """
        environ = {key: value for key, value in os.environ.items() if not key.startswith("ENVSPIN_")}
        state = self.state / env if env else self.state
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        environ |= {"ENVSPIN_STATE_DIR": str(state), "NO_COLOR": "1", "PYTHONFAULTHANDLER": "1"}
        if address is not None:
            environ["DOCKER_HOST"] = address
        # A copy of the package that was broken on purpose comes first in the path that this process has.
        path = filter(None, (os.environ.get("PYTHONPATH"), extra.pop("PYTHONPATH", "")))
        return {**environ, **extra, "PYTHONPATH": os.pathsep.join(path)}

    def start(
        self, *arguments: str | Path, environ: dict[str, str] | None = None, output: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start ``envspin ARGUMENTS`` in a session of its own; both its outputs go to the file ``output``."""
        target = output.open("wb") if output is not None else subprocess.DEVNULL
        try:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "envspin", *map(str, arguments)],
                env=environ if environ is not None else self.environ(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            if not isinstance(target, int):
                target.close()

    def list_left(self, env: str | None) -> list[Resource]:
        """List what exists of an environment; of all environments of this lab for None.

        By label or by name: an engine makes a volume that a container asks for and that is gone, without any label.
        """

        def belongs(resource: Resource) -> bool:
            labelled = resource.labels.get(naming.ENV)
            if env is None:
                return resource.name.startswith(f"envspin-{self.stem}-") or (labelled or "").startswith(f"{self.stem}-")
            return labelled == env or (not labelled and resource.name.startswith(f"envspin-{env}-"))

        strangers = self.bystanders.ids
        return [each for each in self.engine.list_resources({}) if each.id not in strangers and belongs(each)]

    def clean(self) -> None:
        """Remove what its environments have left."""
        left = self.list_left(None)
        for env in {each.labels[naming.ENV] for each in left if naming.ENV in each.labels}:
            remove_environment(self.engine, env)
        for resource in left:
            if naming.ENV not in resource.labels:
                self.engine.remove(resource)

    def list_files(self, env: str) -> list[Path]:
        """List the files of an environment, and the logs of failed clean-ups."""
        folder = self.state / env if (self.state / env).is_dir() else self.state
        return sorted(
            path for path in folder.rglob("*") if path.is_file() and (env in path.name or path.suffix == ".log")
        )

    def await_clean(
        self,
        env: str,
        *,
        seconds: float = CLEAN_SECONDS,
        owner: str | None = None,
        may_stay: Callable[[str], bool] = lambda _line: False,
    ) -> tuple[list[str], float]:
        """Wait until nothing of an environment is left; return what was left at the end and the seconds it took.

        ``owner`` is what the owner wrote into its labels: its watcher must be gone as well. Of what ``describe_left``
        says, lines that ``may_stay`` do not count.
        """
        began = time.monotonic()
        while True:
            left = [line for line in self.describe_left(env, owner) if not may_stay(line)]
            passed = time.monotonic() - began
            if not left or passed > seconds:
                return left, passed
            time.sleep(POLL_SECONDS)

    def describe_left(self, env: str, owner: str | None = None) -> list[str]:
        """Say what is left of an environment: objects, files, and processes that name its owner."""
        left = [f"{each.kind} {each.name} ({each.status or 'there'})" for each in self.list_left(env)]
        left += [f"file {path.relative_to(self.state)}" for path in self.list_files(env)]
        if owner is not None:
            left += [f"process {pid}: {line}" for pid, line in list_processes(owner)]
        return left
