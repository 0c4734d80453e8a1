"""`x-envspin` of a service, of the topology, of a secret and of a dependency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envspin.topology.extension import MATRIX_STRATEGIES, UNBUILT
from envspin.topology.keys import SERVICE_EXTENSION_KEYS
from envspin.topology.schema.parts import (
    Schema,
    array,
    boolean,
    choice,
    command,
    either,
    filled,
    integer,
    key,
    mapping,
    matching,
    optional,
    port,
    positive_duration,
    reference,
    refused,
    table,
    text,
    texts,
)
from envspin.topology.toplevel import MAX_GENERATED

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIELD = r"\{(?:secret\.[A-Za-z0-9._-]+|[A-Za-z0-9._-]+\.(?:host|url|port(?:\.[0-9]{1,5})?))\}"
_TEMPLATE = rf"(?:[^{{}}]|\{{\{{|\}}\}}|{_FIELD})*"
_TEMPLATE_HINT = "fields are {SERVICE.host} {SERVICE.port} {SERVICE.port.8000} {SERVICE.url} {secret.NAME}"
_NOT_YET = " Read and checked; nothing acts on it yet."


def make_service_extension() -> Schema:
    """Return the schema of a service's `x-envspin`."""
    probes = {"anyOf": [reference("probe"), array(reference("probe"), 1)]}
    properties = {
        "ready": key(
            "When the service is ready: a probe, or a list of which all must pass. Its healthcheck if omitted, else "
            "the image's, else TCP on each of its ports, else that it keeps running.",
            probes,
            examples=[{"tcp": 5432}, {"http": {"port": 8080, "path": "/health"}}],
        ),
        "timeout": key(
            "How long the service may take to become ready, besides its healthcheck's `start_period`.",
            positive_duration(),
            default="60s",
        ),
        "job": key("The service runs to its end; ready means that it exited with 0.", boolean(), default=False),
        "stub": key("Service that takes the place of this one with --stub.", optional(reference("stub"))),
        "reset": key(
            _describe("reset", "How the service returns to its just-ready state between tests."), _make_reset()
        ),
        "snapshot": key(
            _describe("snapshot", "Keep the ready state, and start from it next time."), boolean(), default=False
        ),
    }
    return optional(mapping(properties))


def make_stub(service_keys: Iterable[str]) -> Schema:
    """Return the schema of a stub: a service that may have the keys of `x-envspin` beside its own."""
    own = {name: {"$ref": f"#/definitions/service/properties/{name}"} for name in service_keys}
    inner = {name: {"$ref": f"#/definitions/serviceExtension/properties/{name}"} for name in SERVICE_EXTENSION_KEYS}
    inner["stub"] = refused("a stub has no stub")
    beside = {name: schema for name, schema in inner.items() if name != "stub"}
    own["x-envspin"] = key("What envspin knows about the stub, if not written beside.", mapping(inner))
    own["extends"] = refused("a stub says all about itself")
    given = [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in ("image", "build")]
    return {**mapping({**own, **beside}), "anyOf": given}


def _describe(name: str, text: str) -> str:
    return text + (_NOT_YET if name in UNBUILT else "")


def _make_reset() -> Schema:
    database = {
        "databases": key("Databases to bring back; all of them if omitted.", texts()),
        "user": key("User that does it.", filled()),
        "port": key("Port of the container.", port()),
    }
    kinds = {
        "postgres": key("Bring the databases of PostgreSQL back.", mapping(database), examples=[{}]),
        "mysql": key("Bring the databases of MySQL back.", mapping(database), examples=[{}]),
        "redis": key("Empty Redis.", mapping({}), examples=[{}]),
        "amqp": key("Empty the queues.", mapping({}), examples=[{}]),
        "exec": key("Run a command in the container.", command(), null=False, examples=[["reset.sh"]]),
        "restart": key("Restart the container.", mapping({}), examples=[{}]),
        "recreate": key("Remove the container and make a new one.", mapping({}), examples=[{}]),
    }
    alone = "|".join(kind for kind in kinds if kind != "exec")
    written = {
        "type": "object",
        "properties": kinds,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return either(matching(alone, "a reset has a kind: {restart: {}}"), written)


def make_topology_extension() -> Schema:
    """Return the schema of the top-level `x-envspin`."""
    template = {**matching(_TEMPLATE, _TEMPLATE_HINT), "type": text()["type"]}
    properties = {
        "exports": key(
            "Variables for the tests, made from templates with {SERVICE.host}, {SERVICE.port}, {SERVICE.port.8000}, "
            "{SERVICE.url} and {secret.NAME}.",
            table(template, "^[A-Za-z_][A-Za-z0-9_]*$"),
            examples=[{"DATABASE_URL": "postgres://app@{db.host}:{db.port}/app"}],
        ),
        "timeout": key("How long the whole environment may take to become ready.", positive_duration()),
        "hermetic": key("Nothing in the environment reaches the outside.", boolean(), default=False),
        "matrix": key(_describe("matrix", "Combinations of images and values for CI jobs."), _make_matrix()),
    }
    return optional(mapping(properties))


def _make_matrix() -> Schema:
    axis = array(text(), 1)
    combinations = array(table(text()))
    properties = {
        "axes": key("Service -> images, or variable -> values.", table(axis), null=False),
        "include": key("Combinations to add.", combinations, null=False),
        "exclude": key("Combinations to leave out.", combinations, null=False),
        "strategy": key(
            "Every combination, every pair of values at least once, or every value at least once.",
            choice(MATRIX_STRATEGIES),
            null=False,
        ),
    }
    return {"type": "object", "properties": properties, "additionalProperties": axis}


def secret_extension() -> Schema:
    """Return the schema of a top-level secret's `x-envspin`."""
    length = key(
        "Length of a random value that is made anew for each environment.",
        integer(1, MAX_GENERATED),
        examples=[24],
    )
    return key("What envspin adds to a secret.", mapping({"generate": length}))


def dependency_extension() -> Schema:
    """Return the schema of `x-envspin` within an entry of `depends_on`."""
    ready = key("Wait until the dependency is ready, as the short form does.", boolean(), default=True)
    return key("What envspin adds to a dependency.", mapping({"ready": ready}))
