"""G9: what will never be ready is told at once, with its exit code and last lines; deadlines hold."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import docker

from envspin.run import naming

from .exposure import watching_exposure
from .faults import Fault
from .lab import Lab
from .owners import START_SECONDS, Case, Owner, finish_case, start_owner, summarise_times
from .proxy import FaultProxy
from .suites import suite
from .tally import Tally, Trial

TOLD_SECONDS = 2.0
FOR_EVER = 1_000_000
OVERRUN_SECONDS = 1.0
NOT_READY, TIMEOUT = 3, 124
OOM_CODE = 137
AT_ONCE = 3
TITLE = (
    "an end, or the engine's silence, is told within 2 s, with code and last lines; deadlines overrun by at most 1 s"
)
BOX = {"image": "debian:bookworm-slim"}
WORDS = "the last words of"

NEVER_READY: tuple[dict[str, Any], ...] = ({"exec": ["false"]}, {"tcp": 1}, {"log": "never"})
"""Probes that only an event of the engine, or the end of the log, tells of the end."""

Times = dict[str, list[float]]


def _write(case: Case, services: dict[str, Any]) -> None:
    (case.topology / "compose.yaml").write_text(json.dumps({"services": services}))


def _shell(script: str, **keys: Any) -> dict[str, Any]:
    return {**BOX, "command": ["sh", "-c", script], **keys}


def _never_ready(**keys: Any) -> dict[str, Any]:
    return _shell("echo waiting; exec sleep 900", init=True, **{"x-envspin": {"ready": {"log": "never"}, **keys}})


def try_exit(lab: Lab, trial: Trial, times: Times) -> None:
    """Let a service end while it, or another one, is waited for."""
    chance = trial.random
    ready = NEVER_READY[trial.index // len(TRIES) % len(NEVER_READY)]
    code, pause = chance.choice((0, 1, 3, 42, 255)), chance.random() * 1.5
    script = f"sleep {pause:.2f}; echo {WORDS} $$TOKEN >&2; exit {code}"
    settings = {"environment": {"TOKEN": str(trial.index)}, "x-envspin": {"ready": ready}}
    failing = _shell(script, **settings)
    services = {"failing": failing, "other": _never_ready(), "waiting": {**BOX, "depends_on": ["failing"]}}
    kind, reason = f"exit, {next(iter(ready))} probe", f"exited with code {code}"
    _expect_failure(lab, trial, times, kind, services, reason, f"{WORDS} {trial.index}")


def try_crash_loop(lab: Lab, trial: Trial, times: Times) -> None:
    """Let a service end again and again, as its file asks for."""
    code = trial.random.randint(1, 200)
    looping = _shell(f"echo {WORDS} {trial.index}; exit {code}", restart="always")
    services = {"looping": looping, "other": _never_ready()}
    _expect_failure(lab, trial, times, "crash loop", services, f"exited with code {code}", f"{WORDS} {trial.index}")


def try_memory(lab: Lab, trial: Trial, times: Times) -> None:
    """Let a service take more memory than it may."""
    greedy = {"image": "envspin-testbox:1", "command": ["--line", f"{WORDS} {trial.index}", "--eat-memory"],
              "mem_limit": "32m", "x-envspin": {"ready": {"log": "never"}}}  # fmt: skip
    services = {"greedy": greedy, "other": _never_ready()}
    _expect_failure(lab, trial, times, "out of memory", services, "ran out of memory", f"{WORDS} {trial.index}")


def _expect_failure(
    lab: Lab, trial: Trial, times: Times, kind: str, services: dict[str, Any], reason: str, words: str
) -> None:
    case = Case(lab, "g9", trial.index)
    _write(case, services)
    owner = start_owner(case, "run")
    try:
        told = owner.await_event("run-failed")
        heard = time.time()
        code = owner.wait()
        if not trial.check(told, f"{kind}: no failure was told; exit code {code}"):
            return
        trial.check(code == NOT_READY, f"{kind}: exit code {code}")
        trial.check(reason in owner.said(), f"{kind}: {reason!r} is not told")
        trial.check(words in owner.said(), f"{kind}: the last lines are not told")
        died = _find_death(case.name)
        if trial.check(died is not None, f"{kind}: the engine tells of no death"):
            assert died is not None
            trial.check(heard - died <= TOLD_SECONDS, f"{kind}: told {heard - died:.2f} s after the end")
            times[kind].append(max(0.0, heard - died))
    finally:
        finish_case(trial, case, [owner])


def _find_death(topology: str) -> float | None:
    """Return when the engine says that the first container of a topology ended."""
    client = docker.APIClient(version="auto")
    try:
        filters = {"type": "container", "event": "die", "label": f"{naming.TOPOLOGY}={topology}"}
        events = client.events(since=time.time() - 120, until=time.time(), filters=filters, decode=True)
        return min((event["timeNano"] / 1e9 for event in events), default=None)
    finally:
        client.close()


def try_timeout(lab: Lab, trial: Trial, times: Times) -> None:
    """Let the time run out that everything has, or that one service has."""
    chance = trial.random
    limit, for_all = round(0.5 + chance.random() * 2, 1), chance.random() < 0.5
    case = Case(lab, "g9", trial.index)
    _write(case, {"slow": _never_ready(**({} if for_all else {"timeout": f"{limit}s"})), "fine": _never_ready()})
    options = ("--timeout", f"{limit}s") if for_all else ()
    owner = start_owner(case, "run", options=options)
    try:
        owner.await_event("run-failed")
        code = owner.wait()
        took = measure_wait(owner, for_all=for_all)
        kind = "time for all" if for_all else "time for one"
        trial.check(code == (TIMEOUT if for_all else NOT_READY), f"{kind}: exit code {code}")
        trial.check(f"not ready after {limit:g} s" in owner.said(), f"{kind}: the limit is not told")
        if trial.check(took is not None, f"{kind}: no failure was told"):
            assert took is not None
            trial.check(took <= limit + OVERRUN_SECONDS, f"{kind}: {took:.2f} s instead of {limit} s")
            trial.check(took >= limit - 0.1, f"{kind}: given up after {took:.2f} s instead of {limit} s")
            times["overrun"].append(max(0.0, took - limit))
    finally:
        finish_case(trial, case, [owner])


def measure_wait(owner: Owner, *, for_all: bool) -> float | None:
    """Return how long it waited: from its beginning, or from the start of the service, to the failure."""
    events = owner.events()
    began = [
        event.get("at", 0.0)
        for event in events
        if event["event"] == ("run-started" if for_all else "service")
        and (for_all or (event["service"] == "slow" and event["state"] == "started"))
    ]
    failed = [event["at"] for event in events if event["event"] == "run-failed"]
    return failed[0] - began[0] if failed and began else None


def try_silence(lab: Lab, trial: Trial, times: Times) -> None:
    """Let the engine fall silent, with all connections open, while an environment runs."""
    case = Case(lab, "g9", trial.index, "single")
    with FaultProxy() as proxy:
        owner = start_owner(case, "run", held=START_SECONDS, DOCKER_HOST=proxy.address)
        try:
            if not trial.check(owner.await_event("run-ready"), "silence: it did not come up"):
                return
            time.sleep(trial.random.random())
            began = time.monotonic()
            proxy.faults.append(Fault("hang", times=FOR_EVER))
            told, heard = owner.await_event("engine-lost"), time.monotonic() - began
            trial.check(told and heard <= TOLD_SECONDS, f"silence: told {heard:.2f} s after it had begun ({told})")
            times["silence"].append(heard)
            proxy.faults.clear()
            trial.check(owner.await_event("engine-returned"), "silence: its end is not told")
            owner.release()
            code = owner.wait()
            trial.check(code == 0, f"silence: exit code {code}")
            left = case.list_objects()
            trial.check(not left, f"silence: left are {', '.join(each.name for each in left)}")
        finally:
            finish_case(trial, case, [owner])


TRIES: tuple[Callable[[Lab, Trial, Times], None], ...] = (
    try_exit, try_crash_loop, try_memory, try_timeout, try_silence,
)  # fmt: skip


@suite("G9", TITLE, full=60, part=10)
def run_fail_fast(lab: Lab, *, count: int, seed: int) -> Tally:
    """Fail in so many ways."""
    tally, times, tried = Tally("G9", "fail fast", seed), defaultdict(list), Counter[str]()

    def work(trial: Trial) -> None:
        chosen = TRIES[trial.index % len(TRIES)]
        tried[chosen.__name__.removeprefix("try_").replace("_", " ")] += 1
        chosen(lab, trial, times)

    with watching_exposure(lab, tally):
        tally.run(lab.indices(count), work, workers=AT_ONCE)
    tally.notes["tried"] = ", ".join(f"{kind} {number}" for kind, number in tried.items())
    for kind, seconds in times.items():
        tally.notes[kind] = summarise_times(seconds)
    return tally
