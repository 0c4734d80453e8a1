"""Names and labels of everything that an environment consists of."""

from __future__ import annotations

import re
import secrets
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from envspin import __version__
from envspin.errors import UsageError
from envspin.run.clock import Clock, read_clock, read_number
from envspin.run.ownership import describe_this_process

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envspin.engine.base import Resource

ENV = "envspin.env"
TOPOLOGY = "envspin.topology"
SERVICE = "envspin.service"
REPLICA_OF = "envspin.replica-of"
RUN = "envspin.run"
OWNER = "envspin.owner"
EXPIRES = "envspin.expires"
EXPIRES_UPTIME = "envspin.expires-uptime"
"""The same moment by the boot clock, which nobody sets: ``BOOT/SECONDS``."""
CREATED = "envspin.created"
VERSION = "envspin.version"
LEASE = "envspin.lease"
"""Marks the volume that lets an environment outlive its owner; its value is `FAILED` where its start had failed."""
FAILED = "failed"
IMAGE = "envspin.image"
PIN = "envspin.pin"
"""What held its image: `set`, `locked`, `built` or `unlocked`."""
DIGEST = "envspin.digest"
"""The registry's digest of its image: the lock's for its platform, else one that the engine knows."""
CONTENT = "envspin.content"
"""The hash of what its image was built from."""
DEPTH = "envspin.depth"
"""How long the chain of services below it is: containers are removed from the top, so that none loses what it needs."""
NETWORK = "envspin.network"
VOLUME = "envspin.volume"
TESTCONTAINERS_SESSION = "org.testcontainers.session-id"

DEFAULT_TTL = 8 * 3600.0
"""Seconds that an environment lives where nobody owns it any more."""

_ENV_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,47}")
_LABELLED_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
"""What an environment's label may say: a topology's own name is not limited in length."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An environment's name and all that its labels say."""

    env: str
    topology: str
    run_id: str
    owner: str
    expires: float
    """Unix time after which it may be removed although its owner cannot be judged."""
    expires_uptime: str = ""
    """The same by the boot clock, as :class:`Clock` marks it; empty where unknown."""
    created: float | None = None
    """Unix time."""

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
        clock = read_clock()
        expires, expires_uptime = clock.mark_end(DEFAULT_TTL if ttl is None else ttl)
        return cls(
            env=name or f"{topology}-{secrets.token_hex(4)}",
            topology=topology,
            run_id=uuid.uuid4().hex,
            owner=str(describe_this_process()),
            expires=expires,
            expires_uptime=expires_uptime,
            created=clock.now,
        )

    @classmethod
    def read(cls, labels: Mapping[str, str]) -> Self:
        """Return the identity that an object's labels tell of; what they do not say is empty."""
        return cls(
            env=labels.get(ENV, ""),
            topology=labels.get(TOPOLOGY, ""),
            run_id=labels.get(RUN, ""),
            owner=labels.get(OWNER, ""),
            expires=read_expiry(labels) or 0.0,
            expires_uptime=labels.get(EXPIRES_UPTIME, ""),
            created=read_created(labels),
        )

    def ending(self, clock: Clock, seconds: float) -> Self:
        """Return the same identity with another expiry: ``seconds`` from the clock's moment on."""
        expires, expires_uptime = clock.mark_end(seconds)
        return replace(self, expires=expires, expires_uptime=expires_uptime)

    def labels(self, **extra: str) -> dict[str, str]:
        """Return the labels of an object; ``extra`` adds ``envspin.<key>`` ones."""
        optional = {
            EXPIRES_UPTIME: self.expires_uptime,
            CREATED: "" if self.created is None else str(round(self.created)),
        }
        return {
            ENV: self.env,
            TOPOLOGY: self.topology,
            RUN: self.run_id,
            OWNER: self.owner,
            EXPIRES: str(round(self.expires)),
            **{name: value for name, value in optional.items() if value},
            VERSION: __version__,
            TESTCONTAINERS_SESSION: self.run_id,
            **{f"envspin.{key}": value for key, value in extra.items()},
        }

    def object_name(self, *parts: str) -> str:
        """Return the engine's name of an object: ``envspin-<env>-<part>``."""
        return "-".join(("envspin", self.env, *parts))


def is_ours(resource: Resource) -> bool:
    """Tell whether an object is part of an environment: it is labelled as one and has the name that we would give it.

    Labels alone would not do: ``docker commit`` copies a container's into the image, and whatever is made of that
    image inherits them.
    """
    env = resource.labels.get(ENV, "")
    is_labelled = _LABELLED_NAME.fullmatch(env) is not None and bool(resource.labels.get(RUN))
    return is_labelled and resource.name.startswith(f"envspin-{env}-")


def is_lease(resource: Resource) -> bool:
    """Tell whether an object lets its environment outlive its owner."""
    return resource.kind == "volume" and LEASE in resource.labels


def read_expiry(labels: Mapping[str, str]) -> float | None:
    """Return the Unix time of an expiry label; None where it says none."""
    return read_number(labels.get(EXPIRES, ""))


def read_created(labels: Mapping[str, str]) -> float | None:
    """Return the Unix time at which the object's environment was made; None where no label says it."""
    return read_number(labels.get(CREATED, ""))


def measure_left(labels: Mapping[str, str], clock: Clock) -> float | None:
    """Return the seconds until an object's expiry, negative after it; None where its labels say none."""
    return clock.measure_left(read_expiry(labels), labels.get(EXPIRES_UPTIME, ""))
