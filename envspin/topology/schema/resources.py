"""`deploy`, `scale`, `ulimits` and the older keys of limits."""

from __future__ import annotations

from envspin.topology.resources import IGNORED_DEPLOY_KEYS, MAX_REPLICAS, UNLIMITED
from envspin.topology.schema.parts import (
    Schema,
    choice,
    either,
    integer,
    key,
    mapping,
    number,
    optional,
    reference,
    refused,
    replaced,
    size,
    table,
)

_NO_DEVICES = "containers get no devices"
_MODE = choice(("replicated", "global"))
_REPLICAS = "How many containers answer to the service's name; 0 starts none."


def resource_keys() -> dict[str, Schema]:
    """Return the keys of a service that limit it."""
    return {
        "deploy": key("Limits, and how many containers.", reference("deploy")),
        "scale": key(_REPLICAS, integer(0, MAX_REPLICAS), default=1),
        "mem_limit": key("Most memory that the container may use.", size(), examples=["512m"]),
        "mem_reservation": key("Memory that the container keeps when there is little.", size(), examples=["128m"]),
        "cpus": key("Most processors that the container may use.", number(), examples=[0.5]),
        "pids_limit": key("Most processes in the container; -1 for any number.", integer(UNLIMITED)),
        "ulimits": key(
            "Limits of the container's processes: a number, or `soft` and `hard`.",
            table(_ulimit()),
            examples=[{"nofile": 65535}],
        ),
    }


def _ulimit() -> Schema:
    bounds = {
        "soft": key("Limit in force; -1 for none.", integer(UNLIMITED)),
        "hard": key("Up to where a process may raise it; -1 for no limit.", integer(UNLIMITED)),
    }
    return either(integer(UNLIMITED), mapping(bounds))


def make_deploy() -> Schema:
    """Return the schema of `deploy`."""
    ignored = {name: replaced(f"`deploy.{name}` has no effect in a test.") for name in IGNORED_DEPLOY_KEYS}
    resources = {
        "limits": key("Most that a container may use.", _limits()),
        "reservations": key("What a container keeps when there is little.", _reservations()),
    }
    properties = {
        "replicas": key(_REPLICAS, integer(0, MAX_REPLICAS), default=1),
        "mode": key("`global` means one container, with a warning: there is one machine.", _MODE, default="replicated"),
        "resources": key("Limits and reservations of each container.", mapping(resources)),
    }
    return optional(mapping({**properties, **ignored}))


def _limits() -> Schema:
    return mapping(
        {
            "cpus": key("Most processors.", number(), examples=["0.5"]),
            "memory": key("Most memory.", size(), examples=["512m"]),
            "pids": key("Most processes; -1 for any number.", integer(UNLIMITED)),
            **_devices(),
        }
    )


def _reservations() -> Schema:
    nothing = {
        name: replaced(f"`reservations.{name}` has no effect: nothing is reserved.") for name in ("cpus", "pids")
    }
    return mapping(
        {"memory": key("Memory that stays when there is little.", size(), examples=["128m"]), **nothing, **_devices()}
    )


def _devices() -> dict[str, Schema]:
    return {name: refused(_NO_DEVICES) for name in ("devices", "generic_resources")}
