"""G6: whatever goes wrong with any one call to the engine, nothing is made twice and nothing remains."""

from __future__ import annotations

import random
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from envspin.run import naming
from envspin.run.ownership import describe_process

from .faults import FAULT_KINDS, Call, Fault, FaultKind
from .host import remove_images
from .lab import Lab
from .proxy import FaultProxy
from .suites import suite
from .tally import Tally, Trial

TITLE = "a lost reply never makes a second object, and any failing call is reported and cleaned up after"
TOPOLOGIES = Path(__file__).parent / "topologies"
WORKERS = 3
CALL_SECONDS = "2"
"""The time limit of each call, so that a hanging one does not hold a try up for long."""
END_SECONDS = 60.0
"""After this a process counts as hung."""
EXIT_CODES = {0, 2, 3, 4, 124, 130}
KILLED = -9
NO_ENVIRONMENT = 2
LOST_REPLIES = {"drop", "cut"}
MISSED = "call did not come"
LATE_SECONDS = 100.0
"""How long a watcher may stay for a create that was never answered."""
ROLES = {"container": naming.SERVICE, "network": naming.NETWORK, "volume": naming.VOLUME}
"""The label that says what an object is to its environment; a service has several volumes, but one container."""
MISSED_SHARE = 0.15
"""The share of tries whose call may not come: polls and sweeps do not ask equally often each time."""


@dataclass(frozen=True)
class Verb:
    """A way to meet the engine's calls: what is run through the proxy, and on which file."""

    name: str
    file: str
    options: tuple[str, ...] = ()


VERBS = (
    Verb("run", "exactly-once.yaml", ("--only", "db")),
    Verb("pair", "exactly-once.yaml"),
    Verb("up", "exactly-once.yaml", ("--only", "db")),
    Verb("down", "exactly-once.yaml", ("--only", "db")),
    Verb("build", "built.yaml"),
)


@dataclass(frozen=True, order=True)
class Case:
    """One call of one verb and what goes wrong with it."""

    verb: str
    method: str
    template: str
    occurrence: int
    fault: FaultKind

    def __str__(self) -> str:
        return f"{self.fault} at {self.method} {self.template} number {self.occurrence} of `{self.verb}`"

    @property
    def may_leave_creates_open(self) -> bool:
        """Whether a create may never have had an answer: its own, or those that were under way at a kill."""
        return self.template.endswith("/create") or self.fault.startswith("kill")

    def make_fault(self) -> Fault:
        """Return what the proxy does."""
        return Fault(self.fault, self.method, re.escape(self.template), self.occurrence)


@dataclass
class Met:
    """What all the tries met together."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    waiting: list[tuple[Trial, Case, Attempt]] = field(default_factory=list)
    """Those whose watcher stays a while, because a create of theirs was never answered."""
    proxies: ExitStack = field(default_factory=ExitStack)
    """What those watchers talk through."""
    lock: threading.Lock = field(default_factory=threading.Lock)


@suite("G6", TITLE, full=10_000, part=150)
def run(lab: Lab, *, count: int, seed: int) -> Tally:
    """Try cases in an order that the seed decides: all of them, or ``count``."""
    tally, met = Tally("G6", TITLE, seed), Met()
    cases = [case for case in list_cases(lab) if re.search(lab.match, str(case))]
    random.Random(seed).shuffle(cases)

    def work(trial: Trial) -> None:
        try_case(lab, trial, cases[trial.index], met)

    with met.proxies:
        tally.run(lab.indices(min(count, len(cases))), work, workers=WORKERS)
        await_watchers(lab, tally, met)
    kinds = {(case.method, case.template) for case in cases}
    calls = {replace(case, fault=FAULT_KINDS[0]) for case in cases}
    tally.notes["cases there are"] = f"{len(cases):,}: {len(calls)} calls of {len(kinds)} kinds"
    tally.notes["ended with"] = ", ".join(f"{key} {value}x" for key, value in sorted(met.outcomes.items()))
    tally.notes["slowest clean-up"] = f"{met.slowest:.1f} s"
    missed = met.outcomes[MISSED]
    tally.check(missed <= max(2, tally.tried * MISSED_SHARE), f"{missed} of {tally.tried} faults hit nothing")
    return tally


def await_watchers(lab: Lab, tally: Tally, met: Met) -> None:
    """See that the watchers leave, and nothing else comes, where a create was never answered."""
    until = time.monotonic() + LATE_SECONDS
    for trial, case, attempt in met.waiting:
        seconds = max(0.0, until - time.monotonic())
        left, _ = lab.await_clean(attempt.env, owner=attempt.owner, seconds=seconds)
        if left:
            tally.fail(f"{case}: left after waiting for late creates: {', '.join(left)}", trial.index)
    tally.notes["watchers that waited for late creates"] = str(len(met.waiting))


def list_cases(lab: Lab) -> list[Case]:
    """Look which calls each verb makes when nothing goes wrong; return each kind's first and last with each fault."""
    cases = set()
    for verb in VERBS:
        attempt = Attempt(lab, verb, lab.name(verb.name, "g6-look"))
        with FaultProxy() as proxy:
            attempt.prepare()
            pid = attempt.run(proxy)
            calls = [call for call in proxy.list_calls() if call.client == pid]
            attempt.finish()
        if attempt.code != 0:
            raise AssertionError(f"`{verb.name}` fails without any fault: {attempt.output}")
        cases |= {Case(verb.name, *each, fault) for each in choose_calls(verb, calls) for fault in FAULT_KINDS}
    return sorted(cases)


def choose_calls(verb: Verb, calls: Iterable[Call]) -> set[tuple[str, str, int]]:
    """Return method, template and occurrence of the calls that are worth a fault: the first and last of each kind.

    Not so pings: they come by the clock, and make and end nothing.
    The other verbs differ from ``run`` in little: ``up`` by its last create, the lease, ``pair`` by the second
    service's container, ``build`` by the build and the second network.
    """
    last: dict[tuple[str, str], int] = {}
    for call in (each for each in calls if each.template != "/_ping"):
        last[call.method, call.template] = call.occurrence
    chosen = {(*kind, 1) for kind in last} | {(*kind, occurrence) for kind, occurrence in last.items()}
    if verb.name == "up":
        return {each for each in chosen if each[:2] == ("POST", "/volumes/create") and each[2] > 1}
    if verb.name == "pair":
        return {each for each in chosen if each[1].startswith("/containers") and (each[2] > 1 or "/logs" in each[1])}
    if verb.name == "build":
        return {each for each in chosen if each[1] in {"/build", "/images/{name}/json", "/networks/{id}/connect"}}
    return chosen


class Attempt:
    """One environment on its way through a verb, with what it says."""

    def __init__(self, lab: Lab, verb: Verb, env: str) -> None:
        self.lab = lab
        self.verb = verb
        self.env = env
        self.code: int | None = None
        self.owner = ""
        self.output_file = lab.folder / f"{env}.out"
        self._environ = lab.environ(
            env=env, ENVSPIN_ENGINE_TIMEOUT=CALL_SECONDS, TOPOLOGY=f"built-{lab.tag}", CASE=env
        )  # fmt: skip

    @property
    def output(self) -> str:
        """What it wrote."""
        return self.output_file.read_text(encoding="utf-8", errors="replace") if self.output_file.exists() else ""

    def prepare(self) -> None:
        """Bring up what ``down`` is to remove, past the proxy."""
        if self.verb.name == "down":
            self._call("up", "-d", "--name", self.env, *self.verb.options, TOPOLOGIES / self.verb.file)

    def run(self, proxy: FaultProxy) -> int:
        """Run the verb through the proxy to its end; return its pid."""
        file, name = TOPOLOGIES / self.verb.file, ("--name", self.env)
        arguments = {
            "up": ("up", "-d", *name, *self.verb.options, file),
            "down": ("down", self.env),
        }.get(self.verb.name, ("run", *name, *self.verb.options, file, "--", "true"))
        environ = {**self._environ, "DOCKER_HOST": proxy.address}
        process = self.lab.start(*arguments, environ=environ, output=self.output_file)
        proxy.only_client = process.pid
        self.owner = str(describe_process(process.pid))
        try:
            self.code = process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return process.pid

    def finish(self) -> None:
        """Remove what may rightly have stayed: an environment that was detached, or that ``down`` could not remove.

        The next start of envspin has to find what a broken ``down`` left, be it a file alone.
        """
        if self.verb.name in {"up", "down"} and self.lab.list_left(self.env):
            self._call("down", self.env, also=NO_ENVIRONMENT)  # the engine may just be finishing a removal
        if self.verb.name == "down" and self.code != 0:
            self._call("gc")
        if self.verb.name == "build":
            remove_images(f"case={self.env}")

    def _call(self, *arguments: str | Path, also: int = 0) -> None:
        output = self.output_file.with_suffix(".beside")
        environ = {key: value for key, value in self._environ.items() if key != "ENVSPIN_ENGINE_TIMEOUT"}
        code = self.lab.start(*arguments, environ=environ, output=output).wait(END_SECONDS)
        if code not in {0, also}:
            raise AssertionError(f"{arguments[0]} without a fault ended with {code}: {shorten(output.read_text())}")


def try_case(lab: Lab, trial: Trial, case: Case, met: Met) -> None:
    """Run one case and check all that must hold."""
    verb = next(each for each in VERBS if each.name == case.verb)
    attempt = Attempt(lab, verb, lab.name(trial.index, "g6"))
    attempt.prepare()
    with ExitStack() as stack:
        proxy = stack.enter_context(FaultProxy(faults=[case.make_fault()]))
        attempt.run(proxy)
        check_end(trial, attempt, case)
        stays = has_right_to_stay(lab, attempt)
        if stays:
            attempt.finish()
        left, seconds = lab.await_clean(attempt.env, owner=attempt.owner, may_stay=waits_for_late_creates)
        trial.check(not left, f"left after {seconds:.0f} s: {', '.join(left)}; it said: {shorten(attempt.output)}")
        for double in find_doubles(proxy.list_calls()):
            trial.check(condition=False, message=double)
        with met.lock:
            met.outcomes[f"code {attempt.code}" if proxy.hits else MISSED] += 1
            met.slowest = max(met.slowest, seconds)
            if lab.describe_left(attempt.env, attempt.owner) and not left:
                trial.check(case.may_leave_creates_open, "its watcher stays, though every create had an answer")
                met.waiting.append((trial, case, attempt))
                met.proxies.push(stack.pop_all())
    if not stays:
        attempt.finish()
    trial.failures[:] = [f"{case}: {failure}" for failure in trial.failures]


def waits_for_late_creates(line: str) -> bool:
    """Tell whether this that is left is a watcher that waits for an unanswered create, or its log."""
    return (line.startswith("process ") and "creating\t" in line) or (line.startswith("file ") and "/watchers/" in line)


def check_end(trial: Trial, attempt: Attempt, case: Case) -> None:
    """Check the exit code and what was said."""
    output, code = attempt.output, attempt.code
    allowed = EXIT_CODES | ({KILLED} if case.fault.startswith("kill") else set())
    trial.check(code is not None, f"hung for {END_SECONDS:g} s: {shorten(output)}")
    trial.check(code in allowed or code is None, f"ended with {code}: {shorten(output)}")
    if case.fault in LOST_REPLIES and case.template.endswith("/create"):
        trial.check(code == 0, f"a lost reply to a create was not made good, it ended with {code}: {shorten(output)}")
    trial.check("Traceback" not in output and "internal error" not in output, f"said {shorten(output)}")
    if code not in {0, KILLED, None}:
        named = re.search(r"error: \S.{14,}", output)
        trial.check(named, f"ended with {code} and no message that names what failed: {shorten(output)}")


def has_right_to_stay(lab: Lab, attempt: Attempt) -> bool:
    """Tell whether it was left running on purpose: detached, or not removed by a ``down`` that said so."""
    if attempt.verb.name == "down":
        return attempt.code != 0
    leases = [each for each in lab.list_left(attempt.env) if naming.LEASE in each.labels]
    return attempt.verb.name == "up" and attempt.code in {0, KILLED} and bool(leases)


def find_doubles(calls: Iterable[Call]) -> list[str]:
    """Say which service, network or volume had two objects at a time, by the engine's own answers."""
    alive: dict[tuple[str, str], set[str]] = {}
    doubles = []
    for call in sorted(calls, key=lambda each: each.ended or each.began):
        if call.method == "DELETE" and call.status in {200, 204}:
            for identities in alive.values():
                identities.discard(call.name)
        if call.made is None:
            continue
        kind, name, identity = call.made
        whats = [name]
        if ROLES[kind] in call.labels:
            whats.append(f"{call.labels.get(naming.ENV)}'s {call.labels[ROLES[kind]]}")
        for what in whats:
            alive.setdefault((kind, what), set()).add(identity)
            if len(alive[kind, what]) > 1:
                doubles.append(f"two {kind}s at once for {what}: {sorted(alive[kind, what])}")
    return doubles


def shorten(text: str) -> str:
    """Return the end of an output on one line."""
    return " ".join(text.split())[-500:]
