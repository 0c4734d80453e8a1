"""G13: whatever a file asks for, nothing listens off loopback."""

from __future__ import annotations

import json
import time
from typing import Any

from .exposure import LOOK_SECONDS, TOTAL, watching_exposure
from .lab import Lab
from .owners import Case, finish_case, start_owner
from .suites import suite
from .tally import Tally, Trial

AT_ONCE = 3
WANTED: tuple[Any, ...] = (
    "8000",
    "18000:8000",
    "0.0.0.0:18001:8000",
    "[::]:18002:8000",
    "127.0.0.1::8000",
    "8000/udp",
    "18003-18005:8000-8002",
    {"target": 8000, "published": "18006", "protocol": "tcp", "mode": "host"},
    {"target": 8000, "host_ip": "0.0.0.0", "mode": "ingress"},
)
"""Ways in which Compose files ask for ports, most of them on every address of the host."""


def try_exposure(lab: Lab, trial: Trial) -> None:
    """Ask for ports in two ways, and hold the environment until it was looked at several times."""
    chance = trial.random
    case = Case(lab, "g13", trial.index)
    service = {
        "image": "debian:bookworm-slim",
        "init": True,
        "command": ["sleep", "900"],
        "x-envspin": {"ready": {"exec": ["true"]}},
    }
    services = {f"s{number}": {**service, "ports": [wanted]} for number, wanted in enumerate(chance.sample(WANTED, 2))}
    (case.topology / "compose.yaml").write_text(json.dumps({"services": services}))
    owner = start_owner(case, "run", held=4 * LOOK_SECONDS)
    try:
        code = owner.wait()
        trial.check(code == 0, f"it ended with {code}, asked for {[each['ports'] for each in services.values()]}")
        left, _ = case.await_clean([owner.label], until=time.monotonic() + 5)
        trial.check(not left, f"after its end there is {'; '.join(left)}")
    finally:
        finish_case(trial, case, [owner])


@suite("G13", "nothing listens off loopback, whatever a file asks for", full=50, part=4)
def run_exposure(lab: Lab, *, count: int, seed: int) -> Tally:
    """Ask so often for ports on every address; all other suites are watched alike."""
    tally = Tally("G13", "exposure", seed)
    with watching_exposure(lab, tally) as exposure:
        tally.run(lab.indices(count), lambda trial: try_exposure(lab, trial), workers=AT_ONCE)
    tally.check(exposure.bindings >= tally.tried, f"only {exposure.bindings} published ports were seen")
    tally.notes["seen by all suites of this run"] = f"{TOTAL['ports']} published ports in {TOTAL['looks']} looks"
    return tally
