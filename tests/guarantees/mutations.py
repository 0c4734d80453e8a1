"""Deliberate breakages: a suite that does not notice its own is worth nothing.

Each is put into a copy of the package, from which the suite and all processes that it starts import. The suite then
runs a few tries and must fail.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .document import MutationResult, Results
from .running import DEFAULT_SEED

PROJECT = Path(__file__).parents[2]
MOST_SECONDS = 900.0


@dataclass(frozen=True)
class Edit:
    """In ``file``, below the package, ``old`` becomes ``new``."""

    file: str
    old: str
    new: str

    def apply(self, package: Path) -> None:
        """Break the copy; raise ValueError where the text to replace is not there exactly once."""
        path = package / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has {text.count(self.old)} times {self.old!r}")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True)
class Mutation:
    """One breakage, and the suite that must notice it."""

    name: str
    broken: str
    """In words, for the report."""
    guarantee: str
    count: int
    """How many tries must be enough to notice it."""
    edits: tuple[Edit, ...]
    match: str = ""
    """A regular expression for the cases that are tried, where the suite lists its cases."""


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "idle-watcher", "the watcher goes when its owner has died, and removes nothing", "G1", 10,
        (Edit(
            "run/watcher/waiting.py",
            "        become_removal(label, [word for run in book.runs for word in book.list_words(run)])\n",
            "        book.runs.clear()\n",
        ),),
    ),
    Mutation(
        "no-sweep", "starts do not look for what others left", "G1b", 4,
        (Edit(
            "run/janitor.py",
            "    reasons = {key: find_reason(runs[key], clock, judge_owner) for key in sorted(runs)}\n",
            "    reasons: dict[tuple[str, str], Reason | None] = {}\n",
        ),),
    ),
    Mutation(
        "impatient-watcher", "the watcher does not wait for creates that were never answered", "G2", 2,
        (Edit(
            "run/watcher/removal.py",
            "while empty < EMPTY_SWEEPS or (self._pending and clock() - answered < LATE_SECONDS):",
            "while empty < EMPTY_SWEEPS:",
        ),),
    ),
    Mutation(
        "never-sent", "no create is marked as sent", "G2", 8,
        (Edit("run/watcher/marks.py", "            self._write(place, SET)\n", "            pass\n"),),
    ),
    Mutation(
        "nameless-volumes", "volumes that the engine makes anew for late containers get no labels", "G2", 16,
        (Edit("engine/docker/config.py", '"Labels": dict(mount.labels)', '"Labels": {}'),),
    ),
    Mutation(
        "deaf-to-signals", "SIGTERM and SIGHUP end the process as they are", "G3", 6,
        (Edit(
            "run/signals.py",
            'tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))',
            "()",
        ),),
    ),
    Mutation(
        "owners-all-dead", "every owner is judged to be dead", "G5", 4,
        (Edit(
            "run/ownership.py",
            "return Liveness.ALIVE if start == owner.start else Liveness.DEAD",
            "return Liveness.DEAD",
        ),),
    ),
    Mutation(
        "names-do-not-count", "what carries our labels is ours, whatever its name", "G6", 2,
        (Edit(
            "run/naming.py",
            'return is_labelled and resource.name.startswith(f"envspin-{env}-")',
            "return is_labelled",
        ),),
    ),
    Mutation(
        "no-adoption", "a create whose answer is lost fails, although it was carried out", "G6", 2,
        (Edit(
            "engine/docker/creating.py",
            "        if not isinstance(error, UnansweredError) and not was_server_error(error):\n            raise\n"
            "        failure = error\n",
            "        raise\n",
        ),),
        match="drop at POST /(containers|networks)/create",
    ),
    Mutation(
        "another-name", "a create that is repeated takes another name", "G6", 2,
        (Edit(
            "engine/docker/creating.py",
            "describe_container(spec), spec.name, spec.platform",
            "describe_container(spec), f\"{spec.name}-{__import__('time').monotonic_ns()}\", spec.platform",
        ),),
        match="drop at POST /containers/create",
    ),
    Mutation(
        "no-time-limit", "calls wait for the engine for as long as it takes", "G6", 1,
        (Edit("engine/docker/calls.py", "return min(CALLS[verb].seconds, self.ceiling)", "return 3600.0"),),
        match="hang at POST /containers/create",
    ),
    Mutation(
        "no-successor", "nobody goes on with a tear-down that fails", "G6", 4,
        (Edit("run/watcher/journal.py", 'self._watcher.forget("abandoned", self._run)',
              'self._watcher.forget("closed", self._run)'),),
        match=r"40[49] at GET /(volumes|networks|containers/json) number (?!1 ).*`run`",
    ),
    Mutation(
        "no-waiting", "services do not wait for what they depend on", "G7", 20,
        (Edit(
            "plan/planning.py",
            "needs = tuple(_reached(each) for each in present if each.required)",
            "needs: tuple[str, ...] = ()",
        ),),
    ),
    Mutation(
        "ready-at-once", "probes are not asked", "G7", 20,
        (Edit("run/probes/pacing.py", "        wait.run(cancelled)\n", "        cancelled.is_set()\n"),),
    ),
    Mutation(
        "upside-down", "what others depend on is removed first", "G7", 20,
        (Edit(
            "run/janitor.py",
            "return [levels[depth] for depth in sorted(levels, reverse=True)]",
            "return [levels[depth] for depth in sorted(levels)]",
        ),),
    ),
    Mutation(
        "no-last-words", "a failed service's last lines are not told", "G9", 4,
        (Edit("run/diagnostics.py", "return list(engine.logs(container_id, tail=count))", "return []"),),
    ),
    Mutation(
        "late-deadlines", "every deadline is kept 3 s late", "G9", 4,
        (
            Edit("run/steps.py", "deadline=began + timeout,", "deadline=began + timeout + 3.0,"),
            Edit("run/runner.py", "else time.monotonic() + timeout\n", "else time.monotonic() + timeout + 3.0\n"),
        ),
    ),
    Mutation(
        "no-pulse", "the engine is hardly ever asked for a sign of life", "G9", 5,
        (Edit("run/pulse.py", "PAUSE_SECONDS = 0.75", "PAUSE_SECONDS = 30.0"),),
    ),
    Mutation(
        "one-subnet-for-all", "subnets are chosen alike by all, without the lock, and only once", "G12", 16,
        (
            Edit("run/subnets.py", 'with machine_lock("subnets", seconds=lock_seconds):', "with nullcontext():"),
            Edit("run/subnets.py", "randomness=random.SystemRandom()", "randomness=random.Random(0)"),
            Edit(
                "run/subnets.py",
                '                if "overlap" not in error.message.lower():\n                    raise\n',
                "                raise\n",
            ),
        ),
    ),
    Mutation(
        "open-to-the-world", "ports are published on every address", "G13", 2,
        (Edit("engine/docker/config.py", '"HostIp": "127.0.0.1"', '"HostIp": "0.0.0.0"'),),
    ),
    Mutation(
        "files-stay", "the record of an environment stays", "G6", 2,
        (Edit("run/janitor.py", "    forget_record(name, run_id)\n    return removed\n", "    return removed\n"),),
        match="drop at GET /version number 1 of `run`",
    ),
    Mutation(
        "volumes-stay", "volumes are not removed", "G17", 2,
        (Edit(
            "run/janitor.py",
            "    return list(filter(naming.is_ours, engine.list_resources(labels)))\n",
            "    found = filter(naming.is_ours, engine.list_resources(labels))\n"
            '    return [each for each in found if each.kind != "volume"]\n',
        ),),
    ),
    Mutation(
        "watching-on", "the watch of a detached environment goes on", "G17", 8,
        (Edit("run/environment.py", "        _close(self._watch)\n        self._is_left", "        self._is_left"),),
    ),
    Mutation(
        "open-files", "the file of the lock of subnets stays open", "G17", 20,
        (Edit(
            "run/machine_lock.py",
            "                fcntl.flock(descriptor, fcntl.LOCK_UN)\n            os.close(descriptor)\n",
            "                fcntl.flock(descriptor, fcntl.LOCK_UN)\n",
        ),),
    ),
)  # fmt: skip


def run_mutations(only: Collection[str], say: Callable[[str], None]) -> int:
    """Try the mutations (those of the guarantees or names in ``only``; all for none), keep what came of them.

    Returns 1 if one of them was not noticed.
    """
    missed = 0
    for mutation in MUTATIONS:
        if only and not {mutation.guarantee, mutation.name} & set(only):
            continue
        result = try_mutation(mutation)
        missed += not result.caught_by
        say(f"{mutation.name} ({mutation.guarantee}): {result.caught_by or 'NOT NOTICED'}")
        results = Results.read()
        results.mutations[mutation.name] = result
        results.write()
    return 1 if missed else 0


def try_mutation(mutation: Mutation) -> MutationResult:
    """Run the suite on a broken copy of the package; return what it said."""
    with tempfile.TemporaryDirectory(prefix="envspin-mutation-") as folder:
        copy = Path(folder) / "envspin"
        shutil.copytree(PROJECT / "envspin", copy, ignore=shutil.ignore_patterns("__pycache__"))
        for edit in mutation.edits:
            edit.apply(copy)
        failures = _run_broken(mutation, Path(folder))
    caught = failures[0].replace(folder, "...") if failures else ""
    return MutationResult(
        mutation.name, mutation.broken, mutation.guarantee, caught, f"{datetime.now(UTC):%Y-%m-%d}"
    )  # fmt: skip


def _run_broken(mutation: Mutation, folder: Path) -> list[str]:
    """Return the failures that the suite tells; raise RuntimeError where it could not be run at all."""
    command = [
        sys.executable, "-P", "-m", "tests.guarantees", "--only", mutation.guarantee, "--count", str(mutation.count),
        "--seed", str(DEFAULT_SEED), "--no-report", "--json", "--match", mutation.match,
    ]  # fmt: skip
    path = os.pathsep.join([str(folder), str(PROJECT)])
    environ = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=MOST_SECONDS, check=False
    )
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            return list(json.loads(line)["failures"])
    raise RuntimeError(f"{mutation.name}: the suite could not be run: {done.stderr[-2000:]}")
