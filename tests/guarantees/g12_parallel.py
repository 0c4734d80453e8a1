"""G12: many identical environments at once: none sees another, all come up, all go; what runs out is waited for."""

from __future__ import annotations

import ipaddress
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from envspin.run import naming

from .exposure import watching_exposure
from .lab import CLEAN_SECONDS, Lab
from .owners import Case, Owner, finish_case, split, start_command, start_owner, summarise_times
from .suites import suite
from .tally import Tally, Trial

FULL, PART = 1000, 40
MANY, SOME = 20, 8
"""How many come up together, in a full run and in a part of one."""
UP_SECONDS = 120.0
POLL_SECONDS = 0.05
REFUSED_SECONDS = 2.0
POOL = "10.212.77.{}/28"
"""Pools of one subnet each, for those that are to run out."""

USER = """\
import json, os, pathlib, socket, sys, time
host, port = os.environ["ENVSPIN_SERVER_HOST"], int(os.environ["ENVSPIN_SERVER_PORT"])
heard = socket.create_connection((host, port), 10).makefile().read()
pathlib.Path("heard.part").write_text(json.dumps({"heard": heard, "env": os.environ["ENVSPIN_ENV"], "port": port}))
pathlib.Path("heard.part").rename("heard")
until = time.monotonic() + float(sys.argv[1])
while not pathlib.Path(sys.argv[2]).exists() and time.monotonic() < until:
    time.sleep(0.05)
"""
"""What each runs against its environment: it reads the token, and stays until all others have as well."""


@dataclass
class Member:
    """One of the environments of a round."""

    case: Case
    owner: Owner
    token: str

    @property
    def heard(self) -> dict[str, Any] | None:
        """What its user has heard from its server; None before that."""
        try:
            document: dict[str, Any] = json.loads((self.case.folder / "heard").read_text())
        except OSError:
            return None
        return document


class Round:
    """Identical environments that come up together, and go together."""

    def __init__(self, lab: Lab, indices: Sequence[int]) -> None:
        self._lab = lab
        self._go = lab.folder / f"go-{indices[0]}"
        self.members = [self._start(index) for index in indices]

    def _start(self, index: int) -> Member:
        case, token = Case(self._lab, "g12", index, "token"), secrets.token_hex(8)
        (case.folder / "user.py").write_text(USER)
        use = [sys.executable, "user.py", str(UP_SECONDS), str(self._go)]
        command = ["-P", "-m", "envspin", "run", str(case.topology), "--name", case.name, "--progress", "json"]
        return Member(case, start_command(case, "run", [*command, "--", *use], TOKEN=token), token)

    def await_all_up(self) -> None:
        """Wait until every user has heard something, or has ended."""
        until = time.monotonic() + UP_SECONDS
        while time.monotonic() < until:
            if all(each.heard is not None or each.owner.process.poll() is not None for each in self.members):
                return
            time.sleep(POLL_SECONDS)

    def let_go(self) -> None:
        """Let all users end."""
        self._go.touch()

    def read_subnets(self) -> dict[str, ipaddress.IPv4Network]:
        """Return the subnet of each environment."""
        client = docker.APIClient(version="auto")
        try:
            listed = client.networks(filters={"label": naming.ENV})
        finally:
            client.close()
        mine = {each.case.name for each in self.members}
        return {
            network["Labels"][naming.ENV]: ipaddress.IPv4Network(network["IPAM"]["Config"][0]["Subnet"])
            for network in listed
            if network["Labels"].get(naming.ENV) in mine
        }


def list_other_networks(own: Sequence[ipaddress.IPv4Network]) -> Iterator[ipaddress.IPv4Network]:
    """Yield what the host routes and the engine's networks use, but for these subnets themselves."""
    lines = subprocess.run(
        ["ip", "-4", "route", "show"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for line in lines:
        with suppress(ValueError):  # the default route is no network
            network = ipaddress.IPv4Network(line.split()[0])
            if network not in own:
                yield network


def check_round(lab: Lab, tally: Tally, indices: Sequence[int], times: list[float]) -> None:
    """Bring a round up, look at every member, and let it go."""
    parallel = Round(lab, indices)
    parallel.await_all_up()
    subnets = parallel.read_subnets()
    others = list(list_other_networks(list(subnets.values())))
    parallel.let_go()

    def work(trial: Trial) -> None:
        member = parallel.members[indices.index(trial.index)]
        try:
            _check_member(trial, member, subnets, others)
            times.extend(event["seconds"] for event in member.owner.events() if event["event"] == "run-ready")
        finally:
            finish_case(trial, member.case, [member.owner])

    tally.run(indices, work, workers=4)


def _check_member(
    trial: Trial,
    member: Member,
    subnets: dict[str, ipaddress.IPv4Network],
    others: Sequence[ipaddress.IPv4Network],
) -> None:
    heard = member.heard
    code = member.owner.wait()
    ended = time.monotonic()
    if trial.check(heard is not None, f"it did not come up; exit code {code}"):
        assert heard is not None
        trial.check(heard["heard"] == member.token, f"it reached another environment: {heard}")
        trial.check(heard["env"] == member.case.name, f"it was told another environment's name: {heard['env']}")
    trial.check(code == 0, f"exit code {code}")
    trial.check("engine-lost" not in member.owner.said(), "an engine that is only busy was told as lost")
    own = subnets.get(member.case.name)
    if trial.check(own is not None, "its network was not there"):
        assert own is not None
        rivals = [name for name, each in subnets.items() if name != member.case.name and each.overlaps(own)]
        trial.check(not rivals, f"its subnet {own} overlaps with that of {rivals}")
        overlapping = [str(each) for each in others if each.overlaps(own)]
        trial.check(not overlapping, f"its subnet {own} overlaps with {overlapping}")
    left, _ = member.case.await_clean([member.owner.label], until=ended + CLEAN_SECONDS)
    trial.check(not left, f"after its end there is {'; '.join(left)}")


def try_exhausted(lab: Lab, trial: Trial, *, waits: bool) -> None:
    """Take the only subnet of a pool; another owner is then refused, or waits until it is given back."""
    pool = POOL.format(16 * (trial.index % 16))
    holder_case = Case(lab, "g12", f"{trial.index}-holder", "single")
    case = Case(lab, "g12", f"{trial.index}-waits" if waits else f"{trial.index}-refused", "single")
    release = lab.folder / f"release-{trial.index}-{waits}"
    wait = f"while [ ! -e {release} ]; do sleep 0.1; done"
    common = ["-P", "-m", "envspin", "run", str(holder_case.topology), "--name", holder_case.name, "--progress", "json"]
    holder = start_command(holder_case, "run", [*common, "--", "sh", "-c", wait], ENVSPIN_SUBNETS=pool)
    owners = [holder]
    try:
        trial.check(holder.await_phase("test"), "the holder of the subnet did not come up")
        options = () if waits else ("--no-wait",)
        began = time.monotonic()
        other = start_owner(case, "run", held=0, options=options, ENVSPIN_SUBNETS=pool)
        owners.append(other)
        if waits:
            _check_waiting(trial, other, release)
        else:
            _check_refused(trial, other, began)
    finally:
        release.touch()
        with suppress(subprocess.TimeoutExpired):
            holder.wait()
        finish_case(trial, case, owners[1:])
        finish_case(trial, holder_case, [holder])


def _check_refused(trial: Trial, other: Owner, began: float) -> None:
    told = other.await_event("run-failed")
    took = time.monotonic() - began
    code = other.wait()
    trial.check(told and "subnet" in other.said(), "it is not told that no subnet is left")
    trial.check(code not in {0, 1}, f"without a subnet and with --no-wait: exit code {code}")
    trial.check(took <= REFUSED_SECONDS, f"refused only after {took:.1f} s")


def _check_waiting(trial: Trial, other: Owner, release: Path) -> None:
    other.await_event("run-started")
    time.sleep(2.0)
    trial.check(other.process.poll() is None, f"it did not wait for a subnet: exit code {other.process.poll()}")
    trial.check(other.phase() == "create", f"it came up without a subnet: {other.phase()}")
    release.touch()
    code = other.wait()
    trial.check(code == 0, f"after a subnet was given back: exit code {code}")


@suite(
    "G12",
    "identical environments at once: no cross traffic, own subnets; what runs out is waited for",
    full=FULL,
    part=PART,
)
def run_parallel(lab: Lab, *, count: int, seed: int) -> Tally:
    """Bring so many environments up, 20 (in a part 8) at a time, and let subnets run out for some more."""
    tally, times = Tally("G12", "parallel", seed), list[float]()
    size = MANY if count >= FULL else SOME
    rounds = list(split(range(count), size))
    if lab.only_index is not None:  # one alone would show nothing: its whole round
        rounds = [each for each in rounds if lab.only_index in each]
    with watching_exposure(lab, tally):
        for indices in rounds:
            check_round(lab, tally, indices, times)
        further = range(count, count + max(1, count // 100))
        for waits in (False, True):
            tally.run(further, lambda trial, waits=waits: try_exhausted(lab, trial, waits=waits), workers=2)
    tally.notes["rounds"] = f"{len(rounds)} of {size} at once"
    tally.notes["until ready"] = summarise_times(times)
    tally.notes["without a free subnet"] = f"{len(further)} refused, {len(further)} waited"
    return tally
