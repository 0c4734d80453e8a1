"""Names and labels of everything that an environment consists of."""

from __future__ import annotations

import re
import secrets
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envspin import __version__
from envspin.errors import UsageError
from envspin.run.ownership import describe_this_process

if TYPE_CHECKING:
    from collections.abc import Mapping

ENV = "envspin.env"
TOPOLOGY = "envspin.topology"
SERVICE = "envspin.service"
REPLICA_OF = "envspin.replica-of"
RUN = "envspin.run"
OWNER = "envspin.owner"
EXPIRES = "envspin.expires"
VERSION = "envspin.version"
LEASE = "envspin.lease"
IMAGE = "envspin.image"
PIN = "envspin.pin"
"""What held its image: `set`, `locked`, `built` or `unlocked`."""
DIGEST = "envspin.digest"
"""The registry's digest of its image: the lock's for its platform, else one that the engine knows."""
CONTENT = "envspin.content"
"""The hash of what its image was built from."""
NETWORK = "envspin.network"
VOLUME = "envspin.volume"
TESTCONTAINERS_SESSION = "org.testcontainers.session-id"

DEFAULT_TTL = 8 * 3600.0
"""Seconds that an environment lives where nobody owns it any more."""

_ENV_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,47}")


@dataclass(frozen=True, slots=True)
class Identity:
    """An environment's name and all that its labels say."""

    env: str
    topology: str
    run_id: str
    owner: str
    expires: float
    """Unix time after which it may be removed although its owner cannot be judged."""

    @classmethod
    def new(cls, topology: str, *, name: str | None = None, ttl: float | None = None) -> Identity:
        """Name a new environment ``<topology>-<8 hex>`` unless a name is given.

        Raises UsageError for a name that cannot be part of a container's name.
        """
        if name is not None and not _ENV_NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} is no name for an environment",
                hint="use lower-case letters, digits, '-', '_' and '.', beginning with a letter or digit (48 at most)",
            )
        return cls(
            env=name or f"{topology}-{secrets.token_hex(4)}",
            topology=topology,
            run_id=uuid.uuid4().hex,
            owner=str(describe_this_process()),
            expires=time.time() + (DEFAULT_TTL if ttl is None else ttl),
        )

    def labels(self, **extra: str) -> dict[str, str]:
        """Return the labels of an object; ``extra`` adds ``envspin.<key>`` ones."""
        return {
            ENV: self.env,
            TOPOLOGY: self.topology,
            RUN: self.run_id,
            OWNER: self.owner,
            EXPIRES: str(round(self.expires)),
            VERSION: __version__,
            TESTCONTAINERS_SESSION: self.run_id,
            **{f"envspin.{key}": value for key, value in extra.items()},
        }

    def object_name(self, *parts: str) -> str:
        """Return the engine's name of an object: ``envspin-<env>-<part>``."""
        return "-".join(("envspin", self.env, *parts))


def read_expiry(labels: Mapping[str, str]) -> float | None:
    """Return the Unix time of an expiry label; None where it says none."""
    try:
        return float(labels[EXPIRES])
    except (KeyError, ValueError):
        return None
