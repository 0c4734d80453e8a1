"""What must hold for every case: a topology or named problems, at places that exist, without secrets."""

from __future__ import annotations

import resource
import signal
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from envspin.errors import EnvspinError, TopologyError
from envspin.plan.planning import make_plan
from envspin.topology import dump_yaml, load_topology, to_compose
from envspin.topology.codes import CODES

from .cases import CANARY, CORPUS, ENVIRON

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from envspin.model import Topology
    from envspin.problems import Problem

    from .cases import Case

OF_WHOLE_FILES = frozenset(("file-missing", "file-unreadable", "file-empty", "yaml-size", "too-large"))
"""Codes of problems that need no place: the file that they are about was named on the command line."""
OF_ALIASES_WRITTEN_OUT = {"too-large"}
"""What a rendered file may be refused for: it has no aliases, so it can be too long where its origin was not."""
RENDERED = "rendered-again.yaml"
_RESET_PEAK = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class HangError(BaseException):
    """A case took too long; no handler for exceptions may swallow it."""


@dataclass(slots=True)
class Outcome:
    """What became of a case; ``findings`` holds what is wrong, by kind."""

    loaded: bool = False
    codes: set[str] = field(default_factory=set)
    seconds: float = 0.0
    """Processor time of loading."""
    growth: int = 0
    """Bytes by which the process grew while loading, where that is known."""
    findings: dict[str, str] = field(default_factory=dict)


@contextmanager
def hang_guard(seconds: float) -> Iterator[None]:
    """Raise ``HangError`` after so many seconds of processor time, so that a busy machine makes no difference."""

    def stop(_number: int, _frame: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def examine(case: Case, folder: Path, *, hang_seconds: float) -> Outcome:
    """Load a case from ``folder``, which must be the current one, and check all that must hold."""
    outcome = Outcome()
    paths = case.write(folder)
    step = "load"
    try:
        with hang_guard(hang_seconds):
            topology = _load(case, paths, outcome)
            if topology is not None:
                step = "plan"
                _plan(topology)
                step = "render"
                _render_again(case, topology, folder, outcome)
    except HangError:
        outcome.findings[f"{step}: hang"] = traceback.format_exc(limit=-8)
    except Exception as error:  # noqa: BLE001 - that is what the fuzzer looks for
        outcome.findings[f"{step}: {type(error).__name__}"] = traceback.format_exc(limit=-8)
    finally:
        case.remove(folder)
    return outcome


def _load(case: Case, paths: Sequence[Path], outcome: Outcome) -> Topology | None:
    resident = _reset_peak()
    start = time.process_time()
    problems: Sequence[Problem]
    try:
        topology = load_topology(paths, environ=ENVIRON, profiles=["*"], allow_unsafe=case.allow_unsafe)
    except TopologyError as error:
        topology = None
        problems = error.problems
        if not problems:
            outcome.findings["load: refused without a problem"] = str(error)
    else:
        problems = topology.warnings
        outcome.loaded = True
    finally:
        outcome.seconds = time.process_time() - start
        outcome.growth = max(0, _peak() - resident)
    outcome.codes |= {problem.code for problem in problems}
    for kind, detail in check_problems(case, problems):
        outcome.findings.setdefault(kind, detail)
    return topology


def check_problems(case: Case, problems: Iterable[Problem]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with how problems are told."""
    for problem in problems:
        rendered = problem.render()
        told = f"{problem.message}\n{problem.hint}\n{problem.source_line}"
        if CANARY in told.lower():
            yield f"secret shown by {problem.code}", rendered
        if problem.code not in CODES:
            yield f"unknown code {problem.code}", rendered
        if problem.mark is None:
            if problem.code not in OF_WHOLE_FILES:
                yield f"no place for {problem.code}", rendered
        elif not _exists(_columns(case, problem.mark.file), problem.mark.line, problem.mark.column):
            yield f"a place outside the file for {problem.code}", rendered


def _columns(case: Case, name: str) -> list[int] | None:
    """Return the length of each line, with an empty one behind the last: what is missing is missed there."""
    content = case.files.get(name)
    if content is None and case.shared and (CORPUS / name).is_file():
        content = (CORPUS / name).read_bytes()
    if content is None:
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return [1]
    return [*(len(line) + 1 for line in text.splitlines()), 1]


def _exists(lines: list[int] | None, line: int, column: int) -> bool:
    return lines is not None and 1 <= line <= len(lines) and 1 <= column <= lines[line - 1]


def _plan(topology: Topology) -> None:
    try:
        str(make_plan(topology))
    except EnvspinError as error:
        str(error)


def _render_again(case: Case, topology: Topology, folder: Path, outcome: Outcome) -> None:
    """Check that the rendered text means the same."""
    path = folder / RENDERED
    path.write_text(dump_yaml(to_compose(topology)), encoding="utf-8")
    try:
        again = load_topology([path], environ=ENVIRON, profiles=["*"], allow_unsafe=case.allow_unsafe)
    except TopologyError as error:
        if {problem.code for problem in error.problems} != OF_ALIASES_WRITTEN_OUT:
            outcome.findings["render: what is rendered is refused"] = str(error)
        return
    finally:
        path.unlink()
    if essence(again) != essence(topology):
        outcome.findings["render: what is rendered means something else"] = _first_difference(topology, again)


def essence(topology: Topology) -> Topology:
    """Return what must survive rendering."""
    return replace(topology, files=(), warnings=(), directory=Path())


def _first_difference(before: Topology, after: Topology) -> str:
    for name in type(before).__dataclass_fields__:
        old, new = getattr(essence(before), name), getattr(essence(after), name)
        if old != new:
            if name == "services":
                old, new = next(((old[key], new.get(key)) for key in old if old[key] != new.get(key)), (old, new))
            return f"{name}: {old!r}\n became {new!r}"
    return "nothing that can be named"


def _reset_peak() -> int:
    """Let the measuring of the process' size begin anew, where the system can; return the size until now."""
    try:
        _RESET_PEAK.write_text("5")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return _peak()


def _peak() -> int:
    """Return the largest size of the process since the last reset, in bytes."""
    try:
        status = _STATUS.read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(status.partition("VmHWM:")[2].split(None, 1)[0]) * 1024
